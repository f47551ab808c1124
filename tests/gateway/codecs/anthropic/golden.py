"""Recorded answers of the provider, and what each of them must be read as."""

import json
from pathlib import Path
from typing import Any

from gateway.codecs import events
from gateway.codecs.usage import Counts

GOLDEN = Path(__file__).parents[3] / "golden" / "anthropic"
EXPECTED: dict[str, Any] = json.loads((GOLDEN / "expected.json").read_text())
STREAMS = [name for name in EXPECTED["codec"] if name.endswith(".sse")]
ANSWERS = [name for name in EXPECTED["codec"] if "#" in name]


def request_of(exchange: dict[str, Any]) -> bytes:
    return json.dumps(exchange["request"]["body"]).encode()


def body_of(exchange: dict[str, Any]) -> bytes:
    return json.dumps(exchange["response"]["body"]).encode()


def check_usage(counts: Counts, want: dict[str, int]) -> None:
    got = {name: getattr(counts, name) for name in (*Counts.__struct_fields__, "total")}
    assert {name: count for name, count in got.items() if count} == want


def check_told(told: list[events.Event], want: dict[str, Any]) -> None:
    """The events against the expectations, in the words of the contract."""
    text = reasoning = ""
    calls: dict[int, dict[str, str]] = {}
    stop = None
    cited: list[str] = []
    seals: list[str] = []
    redacted: list[str] = []
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
            case events.ReasoningSeal(seal=seal):
                (redacted if seal.redacted else seals).append(seal.value)
            case events.Finish(reason=reason):
                stop = reason
    assert (text, reasoning, stop) == (want["text"], want.get("reasoning", ""), want["stop"])
    assert cited == want.get("citations", [])
    assert seals == ([want["seal"]] if "seal" in want else [])
    assert redacted == want.get("redacted", [])
    wanted = want.get("tool_calls", [])
    assert [call["id"] for call in calls.values()] == [call["id"] for call in wanted]
    assert [call["name"] for call in calls.values()] == [call["name"] for call in wanted]
    assert [json.loads(call["arguments"]) for call in calls.values()] == [
        json.loads(call["arguments"]) for call in wanted
    ]
