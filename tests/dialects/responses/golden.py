"""Recorded answers of the provider, and what each must be read as."""

import json
from pathlib import Path
from typing import Any

from dialects.chat import events
from dialects.usage.usage import Counts
from tests.dialects.exchanges import summary_of
from tests.support.openapi import check, event_names

GOLDEN = Path(__file__).parents[2] / "golden" / "responses"
EXPECTED: dict[str, Any] = json.loads((GOLDEN / "expected.json").read_text())
STREAMS = [name for name in EXPECTED["codec"] if name.endswith(".sse")]
ANSWERS = [name for name in EXPECTED["codec"] if "#" in name]


def request_of(exchange: dict[str, Any]) -> bytes:
    return json.dumps(exchange["request"]["body"]).encode()


def body_of(exchange: dict[str, Any]) -> bytes:
    if "raw_body" in exchange["response"]:
        return str(exchange["response"]["raw_body"]).encode()
    return json.dumps(exchange["response"]["body"]).encode()


def frames_of(raw: bytes) -> list[dict[str, Any]]:
    """The events of a stream of ours, whose names and numbers are checked on the way."""
    events = []
    for number, frame in enumerate(raw.decode().removesuffix("\n\n").split("\n\n")):
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == number
        events.append(event)
    return events


def check_events(events: list[dict[str, Any]], *, open_responses: bool = True) -> None:
    """Each event against both publishers; Open Responses knows no built-in tools."""
    for event in events:
        response = event.get("response", {})
        if response.get("usage", {}) is None:
            # OpenAI sends a null here that its own schema does not know.
            response = {name: value for name, value in response.items() if name != "usage"}
        whole = event | ({"response": response} if response else {})
        check(whole, "openai", event_names("openai")[event["type"]])
        if open_responses:
            check(event, "openresponses", event_names("openresponses")[event["type"]])


def check_usage(counts: Counts | None, want: dict[str, int] | None) -> None:
    if counts is None:
        assert want is None
        return
    got = {name: getattr(counts, name) for name in (*Counts.__struct_fields__, "total")}
    expected = {name: count for name, count in (want or {}).items() if count}
    assert {name: count for name, count in got.items() if count} == expected


def check_summary(received: list[events.Event], want: dict[str, Any]) -> None:
    """The events against the expectations, in the words of the contract."""
    got = summary_of(received)
    assert (got["text"], got["reasoning"]) == (want.get("text", ""), want.get("reasoning", ""))
    assert (got["stop"], got["citations"]) == (want.get("stop"), want.get("citations", []))
    assert got["tool_calls"] == want.get("tool_calls", [])
