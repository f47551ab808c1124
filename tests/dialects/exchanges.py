"""Recorded exchanges with providers by file and id, what is read of a stream, small bodies."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from dialects.chat.events import (
    Broken,
    Citation,
    End,
    Event,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    Step,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStart,
    UpstreamError,
)
from dialects.chat.fold import AnswerFault
from dialects.codec import Decoder
from dialects.errors.errors import RequestFault
from dialects.upstream_errors.upstream_errors import UpstreamFault

GOLDEN = Path(__file__).parents[1] / "golden"
EXPECTED: dict[str, Any] = json.loads((GOLDEN / "media" / "expected.json").read_text())


def load_exchange(key: str) -> dict[str, Any]:
    """The exchange of `file.json#id`."""
    name, _, exchange_id = key.partition("#")
    (path,) = GOLDEN.glob(f"*/{name}")
    exchanges = json.loads(path.read_text())["exchanges"]
    recorded: dict[str, Any] = next(item for item in exchanges if item["id"] == exchange_id)
    return recorded


def exchange(key: str) -> tuple[bytes, bytes]:
    """The request and the answer of `file.json#id`, as JSON texts."""
    recorded = load_exchange(key)
    return (
        json.dumps(recorded["request"].get("body")).encode(),
        json.dumps(recorded["response"]["body"]).encode(),
    )


def events_of(steps: Iterable[Step]) -> list[Event]:
    return [event for step in steps for event in step.events]


def raw_of(steps: Iterable[Step]) -> bytes:
    return b"".join(step.raw for step in steps)


def by_bytes(raw: bytes) -> list[bytes]:
    return [raw[i : i + 1] for i in range(len(raw))]


def check_cuts(raw: bytes, open_decoder: Callable[[], Decoder]) -> None:
    """Cut behind any byte, a stream is told as complete only where every choice had its reason, and
    else as broken, or as the error that it ends with."""
    whole = open_decoder()
    last = events_of([*whole.feed(raw), *whole.end()])[-1]
    otherwise = Broken | UpstreamError if isinstance(last, UpstreamError) else Broken
    for at in range(len(raw)):
        decoder = open_decoder()
        steps = decoder.feed(raw[:at])
        was_complete = decoder.complete
        got = events_of(steps + decoder.end())
        if isinstance(got[-1], End):
            assert was_complete or any(isinstance(event, Finish) for event in got)
        else:
            assert isinstance(got[-1], otherwise)


def wire(**members: object) -> bytes:
    return json.dumps(members).encode()


def refusal(caught: pytest.ExceptionInfo[RequestFault]) -> tuple[str, str | None]:
    return caught.value.kind, caught.value.param


def fault_of(caught: pytest.ExceptionInfo[AnswerFault]) -> str:
    event: UpstreamError | Broken = caught.value.event
    return event.fault if isinstance(event, Broken) else event.kind


def check_error(got: UpstreamFault, want: dict[str, Any], response: dict[str, Any]) -> None:
    """An error as it was read against the expectation; it holds neither markup nor a secret."""
    assert (got.kind, got.status) == (want["kind"], want["http"])
    wait_s = want.get("retry_after_s")
    assert got.retry_after_ms == (None if wait_s is None else round(wait_s * 1000))
    assert "<" not in got.message
    assert "sk-" not in got.message
    if got.kind == "provider_rejected":
        body = response["body"]
        error = (body[0] if isinstance(body, list) else body)["error"]
        assert got.message == f"API request failed: {error['message']}"


def summary_of(all_events: list[Event], choice: int = 0) -> dict[str, Any]:
    """One choice in the words of the expectations."""
    text = reasoning = refusal = ""
    calls: dict[int, dict[str, str]] = {}
    cited: list[str] = []
    stop = None
    for event in all_events:
        if getattr(event, "choice", choice) != choice:
            continue
        match event:
            case TextDelta(text=piece):
                text += piece
            case ReasoningDelta(text=piece):
                reasoning += piece
            case RefusalDelta(text=piece):
                refusal += piece
            case ToolCallStart(index=at, id=call_id, name=name):
                calls[at] = {"id": call_id, "name": name, "arguments": ""}
            case ToolArgumentsDelta(index=at, text=piece):
                calls[at]["arguments"] += piece
            case Citation(source=source):
                cited.append(source.url)
            case Finish(reason=reason):
                stop = reason
    return {
        "text": text,
        "reasoning": reasoning,
        "refusal": refusal,
        "tool_calls": [calls[at] for at in sorted(calls)],
        "citations": cited,
        "stop": stop,
    }
