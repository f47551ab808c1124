"""Names of tools that an upstream does not take are shortened, and come back as the client's."""

import json
from hashlib import blake2s
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat import tool_names
from dialects.chat.chat import ChatRequest, FunctionTool, Message, ToolCall, ToolChoice, ToolResult
from dialects.chat.events import TextDelta, ToolCallStart
from dialects.chat.tool_names import fit_names, restore_names
from dialects.translation import translate

LONG, LONGER = "mcp__" + "a" * 80, "mcp__" + "a" * 90
name = st.text("ab_-9", min_size=1, max_size=128)


def request(*declared: str, called: tuple[str, ...] = (), forced: str | None = None) -> ChatRequest:
    parts = [ToolCall(f"c{n}", one, "{}") for n, one in enumerate(called)]
    results = [
        Message("tool", (ToolResult(f"c{n}", (), name=one),)) for n, one in enumerate(called)
    ]
    return ChatRequest(
        dialect="anthropic",
        request_id="r",
        received_at=0,
        model="m",
        messages=(Message("assistant", tuple(parts)), *results),
        tools=tuple(FunctionTool(one) for one in declared),
        tool_choice=None if forced is None else ToolChoice("required", (forced,)),
    )


def names_in(request: ChatRequest) -> list[str]:
    """Every name of a tool, in the order of `request`."""
    tools = [tool.name for tool in request.tools if isinstance(tool, FunctionTool)]
    parts: list[Any] = [part for message in request.messages for part in message.parts]
    chosen = () if request.tool_choice is None else request.tool_choice.names
    return [*tools, *(part.name for part in parts), *chosen]


def test_names_that_fit_change_nothing() -> None:
    asked = request("a" * 64, called=("b",), forced="a" * 64)
    assert fit_names(asked, 64) == (asked, {})
    assert fit_names(request(LONG), 128)[1] == {}


def test_a_name_is_the_same_short_one_in_every_place_and_turn() -> None:
    asked = request(LONG, LONGER, "read", called=(LONG, "read", "gone_" * 20), forced=LONGER)
    fitting, names = fit_names(asked, 64)
    short = names_in(fitting)
    assert [names.get(one, one) for one in short] == names_in(asked)
    assert max(map(len, short)) == 64
    assert fit_names(request(LONG), 64)[1].items() <= names.items()


@given(st.lists(name, min_size=1, max_size=6, unique=True), st.lists(name, max_size=4))
def test_no_two_tools_get_one_name(declared: list[str], called: list[str]) -> None:
    asked = request(*declared, called=tuple(called))
    fitting, names = fit_names(asked, 64)
    short, own = names_in(fitting), names_in(asked)
    assert all(len(one) <= 64 for one in short)
    assert len(set(short)) == len(set(own))
    assert [names.get(one, one) for one in short] == own
    assert fit_names(asked, 64)[1] == names


def test_taken_digest_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two names whose digests are alike, and one that is already called so."""

    def weak(text: bytes, *, digest_size: int, salt: bytes) -> Any:
        return blake2s(salt, digest_size=digest_size)

    taken = next(iter(fit_names(request(LONG), 64)[1]))
    monkeypatch.setattr(tool_names, "blake2s", weak)
    alike = next(iter(fit_names(request(LONG), 64)[1]))
    for declared in ((LONG, LONGER), (LONG, LONGER, alike, taken)):
        fitting, names = fit_names(request(*declared), 64)
        assert len(set(names_in(fitting))) == len(declared)
        assert set(names.values()) == {LONG, LONGER}


def test_only_the_calls_of_an_answer_get_their_names_back() -> None:
    events = [TextDelta(0, "s"), ToolCallStart(0, 0, "c", "s"), ToolCallStart(0, 1, "d", "other")]
    assert restore_names(events, {"s": LONG}) == [
        TextDelta(0, "s"), ToolCallStart(0, 0, "c", LONG), ToolCallStart(0, 1, "d", "other")
    ]  # fmt: skip


def test_a_translation_hides_the_short_names() -> None:
    """Forced, whole and streamed: what Claude's client declared, of a model that takes 64."""
    asked = {
        "model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}],
        "tools": [{"name": LONG, "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": LONG},
    }  # fmt: skip
    translation = translate(json.dumps(asked).encode(), "anthropic", "openai", "up")
    sent = json.loads(translation.body)
    short = sent["tools"][0]["function"]["name"]
    assert (len(short), sent["tool_choice"]["function"]["name"]) == (64, short)
    call = {"index": 0, "id": "c", "type": "function",
            "function": {"name": short, "arguments": "{}"}}  # fmt: skip
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    head = {"id": "i", "created": 1, "model": "up"}
    whole = head | {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
    }
    (block,) = json.loads(translation.answer(json.dumps(whole).encode()))["content"]
    assert block["name"] == LONG
    stream = translation.stream()
    chunk = head | {
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": message, "finish_reason": "tool_calls"}],
    }
    frames = stream.feed(b"data: " + json.dumps(chunk).encode() + b"\n\ndata: [DONE]\n\n")
    assert (LONG.encode() in frames, short.encode() in frames) == (True, False)
