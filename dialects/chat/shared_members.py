"""Request members that several dialects share, read in one place so that all checks agree."""

from collections.abc import Iterable
from typing import Any, Final, TypedDict

from dialects.chat.chat import FunctionTool, JsonSchema, Tool
from dialects.json.members import Members

INTEGER_MAX: Final = 2**63 - 1


class Place(TypedDict):
    """The location that a web search assumes."""

    city: str | None
    region: str | None
    country: str | None
    timezone: str | None


def read_place(place: Members | None) -> Place:
    """Return the place of a `user_location`."""
    place = place or Members({})
    return Place(
        city=place.text("city"),
        region=place.text("region"),
        country=place.text("country"),
        timezone=place.text("timezone"),
    )


def check_names(body: Members, tools: Iterable[Tool]) -> None:
    """Refuse two tools of the same name."""
    names = [tool.name for tool in tools if isinstance(tool, FunctionTool)]
    if len(names) != len(set(names)):
        body.refuse_value("tools", "must not name two tools alike")


def read_json_schema(form: Members) -> JsonSchema:
    """Read a named schema for the answer."""
    return JsonSchema(
        schema=form.required("schema", form.json("schema")),
        name=form.required("name", form.text("name")),
        strict=form.boolean("strict"),
        description=form.text("description"),
    )


def read_sampling(body: Members, stops_max: int) -> dict[str, Any]:
    """Return the sampling parameters of OpenAI's chat and text completions, by the fields of
    ChatRequest.
    """
    return {
        "temperature": body.number("temperature", 0, 2),
        "top_p": body.number("top_p", 0, 1),
        "seed": body.integer("seed", -INTEGER_MAX - 1, INTEGER_MAX),
        "presence_penalty": body.number("presence_penalty", -2, 2),
        "frequency_penalty": body.number("frequency_penalty", -2, 2),
        "logit_bias": read_logit_bias(body),
        "stop": read_stop(body, stops_max),
    }


def read_settings(body: Members) -> dict[str, Any]:
    """Return the settings that OpenAI's two chat endpoints share, by the fields of ChatRequest."""
    return {
        "parallel_tool_calls": body.boolean("parallel_tool_calls"),
        "user": body.text("user"),
        "metadata": body.json("metadata"),
        "service_tier": body.text("service_tier"),
        "store": body.boolean("store"),
        "prompt_cache_key": body.text("prompt_cache_key"),
        "safety_identifier": body.text("safety_identifier"),
    }


def read_stop(body: Members, most: int) -> tuple[str, ...]:
    """Return `stop`: one text, or at most `most` texts."""
    value = body.value.get("stop")
    return (value,) if isinstance(value, str) else read_stops(body, "stop", most)


def read_stops(body: Members, name: str, most: int) -> tuple[str, ...]:
    """Return a list of at most `most` texts that end the answer."""
    stops = body.texts(name)
    if len(stops) > most:
        body.refuse_value(name, f"must have at most {most} items")
    return stops


def read_logit_bias(body: Members) -> dict[str, float] | None:
    """Return the bias of each token."""
    bias = body.object("logit_bias")
    if bias is None:
        return None
    read = {token: bias.number(token, -100, 100) for token in bias.value}
    return {token: value for token, value in read.items() if value is not None}
