"""Recorded answers of the provider, and what each of them must be read as."""

import json
from pathlib import Path
from typing import Any

from dialects.chat import events
from dialects.usage.usage import Counts
from tests.dialects.exchanges import summary_of

GOLDEN = Path(__file__).parents[2] / "golden" / "anthropic"
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


def check_summary(received: list[events.Event], want: dict[str, Any]) -> None:
    """The events against the expectations, in the words of the contract."""
    got = summary_of(received)
    assert (got["text"], got["reasoning"]) == (want["text"], want.get("reasoning", ""))
    assert (got["stop"], got["citations"]) == (want["stop"], want.get("citations", []))
    seals = [event.seal for event in received if isinstance(event, events.ReasoningSeal)]
    sealed = [seal.value for seal in seals if not seal.redacted]
    assert sealed == ([want["seal"]] if "seal" in want else [])
    assert [seal.value for seal in seals if seal.redacted] == want.get("redacted", [])
    calls, expected = (
        [call | {"arguments": json.loads(call["arguments"])} for call in listed]
        for listed in (got["tool_calls"], want.get("tool_calls", []))
    )
    assert calls == expected
