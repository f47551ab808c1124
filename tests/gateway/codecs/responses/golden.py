"""Recorded answers of the provider, what each must be read as, and the published schemas.

`*.schema.json` are the components of the public OpenAPI documents of OpenAI and of Open Responses
that describe answers, stream events and requests of this dialect, without their prose.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any, Literal

from jsonschema import Draft202012Validator

from gateway.codecs import events
from gateway.codecs.usage import Counts

GOLDEN = Path(__file__).parents[3] / "golden" / "responses"
EXPECTED: dict[str, Any] = json.loads((GOLDEN / "expected.json").read_text())
STREAMS = [name for name in EXPECTED["codec"] if name.endswith(".sse")]
ANSWERS = [name for name in EXPECTED["codec"] if "#" in name]
Publisher = Literal["openai", "openresponses"]


def load_exchange(key: str) -> dict[str, Any]:
    name, _, exchange_id = key.partition("#")
    exchanges = json.loads((GOLDEN / name).read_text())["exchanges"]
    found: dict[str, Any] = next(item for item in exchanges if item["id"] == exchange_id)
    return found


def request_of(exchange: dict[str, Any]) -> bytes:
    return json.dumps(exchange["request"]["body"]).encode()


def body_of(exchange: dict[str, Any]) -> bytes:
    if "raw_body" in exchange["response"]:
        return str(exchange["response"]["raw_body"]).encode()
    return json.dumps(exchange["response"]["body"]).encode()


def frames_of(raw: bytes) -> list[dict[str, Any]]:
    """The events of a stream of ours, whose names and numbers are checked on the way."""
    told = []
    for number, frame in enumerate(raw.decode().removesuffix("\n\n").split("\n\n")):
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == number
        told.append(event)
    return told


@cache
def _schema(publisher: Publisher) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((GOLDEN / f"{publisher}.schema.json").read_text())
    return schema


@cache
def _validator(publisher: Publisher, name: str) -> Draft202012Validator:
    return Draft202012Validator(_schema(publisher) | {"$ref": f"#/$defs/{name}"})


@cache
def _event_names(publisher: Publisher) -> dict[str, str]:
    """The names of the schemas of stream events by the type that they describe."""
    return {
        schema["properties"]["type"]["enum"][0]: name
        for name, schema in _schema(publisher)["$defs"].items()
        if name.endswith("Event") and "sequence_number" in schema.get("properties", {})
    }


def check(value: Any, publisher: Publisher, name: str) -> None:
    """Fail unless the value is what the publisher's schema says."""
    faults = list(_validator(publisher, name).iter_errors(value))
    assert faults == [], [(list(fault.absolute_path), fault.message[:300]) for fault in faults]


def check_events(told: list[dict[str, Any]], *, open_responses: bool = True) -> None:
    """Each event against both publishers; Open Responses knows no built-in tools."""
    for event in told:
        response = event.get("response", {})
        if response.get("usage", {}) is None:
            # OpenAI sends a null here that its own schema does not know.
            response = {name: value for name, value in response.items() if name != "usage"}
        whole = event | ({"response": response} if response else {})
        check(whole, "openai", _event_names("openai")[event["type"]])
        if open_responses:
            check(event, "openresponses", _event_names("openresponses")[event["type"]])


def check_usage(counts: Counts | None, want: dict[str, int] | None) -> None:
    if counts is None:
        assert want is None
        return
    got = {name: getattr(counts, name) for name in (*Counts.__struct_fields__, "total")}
    wanted = {name: count for name, count in (want or {}).items() if count}
    assert {name: count for name, count in got.items() if count} == wanted


def check_told(told: list[events.Event], want: dict[str, Any]) -> None:
    """The events against the expectations, in the words of the contract."""
    text = reasoning = ""
    calls: dict[int, dict[str, str]] = {}
    stop = None
    cited = []
    for event in told:
        match event:
            case events.TextDelta(text=piece):
                text += piece
            case events.ReasoningDelta(text=piece):
                reasoning += piece
            case events.ToolCallStart(index=at, id=call_id, name=name):
                calls[at] = {"id": call_id, "name": name, "arguments": ""}
            case events.ToolArgumentsDelta(index=at, text=piece):
                calls[at]["arguments"] += piece
            case events.Citation(source=source):
                cited.append(source.url)
            case events.Finish(reason=reason):
                stop = reason
    assert (text, reasoning, stop) == (
        want.get("text", ""),
        want.get("reasoning", ""),
        want.get("stop"),
    )
    assert cited == want.get("citations", [])
    assert list(calls.values()) == want.get("tool_calls", [])
