"""Requests that use all of a dialect, in every dialect: what is read, sent, dropped or rejected.
`requests.txt` has what came of them when it was recorded."""

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, get_args

import msgspec
import pytest

from dialects.chat.chat import (
    ChatRequest,
    Dialect,
    Encoded,
    Flag,
    ReasoningSettings,
    SearchForm,
    Upstream,
)
from dialects.chat.operation import NO_NEEDS
from dialects.chat.tool_names import fit_names
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS
from dialects.errors.errors import RequestFault
from tests.dialects.full_requests import REQUESTS
from tests.support.golden_texts import GoldenTexts

TEXTS: Final = GoldenTexts(Path(__file__).with_name("requests.txt"))
# What the name of a model may ask for at its end.
THINKING: Final = ReasoningSettings(effort="low", budget_tokens=1500, switch="on")
TARGET: Final = Target("m", stream=True)
DIALECTS: Final[tuple[Dialect, ...]] = get_args(Dialect)
PLAIN: Final = Upstream("up")
_NOTHING: Final[tuple[object, ...]] = (None, "", 0, (), [], {}, NO_NEEDS)
# What a model may be, besides what its dialect is.
MODELS: Final = {
    **{flag: Upstream("up", frozenset({flag})) for flag in get_args(Flag)},
    **{f"search {form}": Upstream("up", search=form) for form in get_args(SearchForm)},
    "cap 77": Upstream("up", output_cap=77),
    "at most 300": Upstream("up", output_max=300),
    "low and high": Upstream("up", efforts=("low", "high")),
    "none to max": Upstream("up", efforts=("none", "minimal", "medium", "xhigh", "max")),
    "3000 to 4000": Upstream("up", budget_min=3000, budget_max=4000),
}


def facts_of(client: Dialect, raw: bytes) -> tuple[str, ChatRequest]:
    """What is known of a request that is forwarded, and the request in neutral form."""
    codec = CODECS[client]
    facts = codec.read(raw, TARGET)
    names = getattr(facts, "__struct_fields__", None) or [one.name for one in fields(facts)]
    known = {name: getattr(facts, name) for name in names if name != "body"}
    known |= {
        "needs": codec.needs(facts),
        "operation": codec.operation(TARGET, stream=True),
        "unseen input": codec.unseen_input(facts),
        "without reasoning": codec.calls_without_reasoning(facts),
        "other steps": codec.other_steps(facts),
        "hosted tools": codec.hosted_tools(facts),
        "undecoded": codec.undecoded_fields(facts),
        "count": codec.count_model("m"),
    }
    answered = codec.answer_request(facts, "asked", "r", 7)
    if answered is not None:
        known["answered by"] = members_of(answered)
    said = {name: value for name, value in known.items() if value not in _NOTHING}
    return repr(said), codec.decode(facts, TARGET, "01K0", 0)


def members_of(request: ChatRequest) -> str:
    """The members that do not have their default."""
    said = {
        field.name: getattr(request, field.name)
        for field in msgspec.structs.fields(request)
        if getattr(request, field.name) != field.default
    }
    return json.dumps(msgspec.to_builtins(said), ensure_ascii=False, sort_keys=True)


def sent(request: ChatRequest, upstream: Dialect, model: Upstream) -> str:
    codec = CODECS[upstream]
    try:
        encoded: Encoded = codec.encode(fit_names(request, codec.tool_name_max)[0], model)
    except RequestFault as fault:
        return f"rejected: {fault.kind} {fault.param} {fault.message}"
    tool = f" answered by {encoded.answer_tool}" if encoded.answer_tool else ""
    dropped = f" without {', '.join(encoded.dropped)}" if encoded.dropped else ""
    return f"{encoded.body.decode()}{tool}{dropped}"


def forwarded(raw: bytes, client: Dialect, model: Upstream) -> str:
    """The bytes for an upstream of the same dialect."""
    codec = CODECS[client]
    facts = codec.read(raw, TARGET)
    thoughts = dict.fromkeys(codec.calls_without_reasoning(facts), "thought")
    try:
        quirks = codec.quirks_for(facts, model, thoughts)
    except RequestFault as fault:
        return f"rejected: {fault.kind} {fault.param} {fault.message}"
    suffix = codec.thinking(THINKING, model)
    fitted = "fitted " if codec.needs_fit(facts, model.flags) else ""
    return f"{fitted}{codec.edit(facts, 'up', model.output_cap, suffix, quirks).decode()}"


def lines(client: Dialect, members: dict[str, Any]) -> Iterator[str]:
    facts, request = facts_of(client, json.dumps(members).encode())
    yield facts
    yield members_of(request)
    for upstream in DIALECTS:
        yield f"{upstream}: {sent(request, upstream, PLAIN)}"


@pytest.mark.parametrize("client", DIALECTS)
def test_request_is_read_and_sent_to_each_dialect(client: Dialect) -> None:
    TEXTS.check(
        client,
        {
            f"{client}, {name}": "\n".join(lines(client, it))
            for name, it in REQUESTS[client].items()
        },
    )


@pytest.mark.parametrize("upstream", DIALECTS)
def test_request_is_sent_otherwise_to_models_that_differ(upstream: Dialect) -> None:
    found = dict[str, list[str]]()
    for name, members in REQUESTS["openai"].items():
        _, request = facts_of("openai", json.dumps(members).encode())
        usual = sent(request, upstream, PLAIN)
        for title, model in MODELS.items():
            if (other := sent(request, upstream, model)) != usual:
                found.setdefault(f"models {upstream}, {title}", []).append(f"{name}: {other}")
    TEXTS.check(f"models {upstream}", {title: "\n".join(rows) for title, rows in found.items()})


@pytest.mark.parametrize("client", DIALECTS)
def test_request_is_edited_for_models_that_differ(client: Dialect) -> None:
    found = dict[str, list[str]]()
    for name, members in REQUESTS[client].items():
        raw = json.dumps(members).encode()
        usual = forwarded(raw, client, PLAIN)
        found.setdefault(f"edited {client}, up", []).append(f"{name}: {usual}")
        for title, model in MODELS.items():
            if (other := forwarded(raw, client, model)) != usual:
                found.setdefault(f"edited {client}, {title}", []).append(f"{name}: {other}")
    TEXTS.check(f"edited {client}", {title: "\n".join(rows) for title, rows in found.items()})
