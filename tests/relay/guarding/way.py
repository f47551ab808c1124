"""The way of a streamed answer through the relay, without a hub: an upstream's bytes are decoded,
guarded and encoded for its client.

These are the relay's own parts, put together as `StreamRelay` does it; `test_planted.py` sends some
of the same texts through a running hub.
"""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from content.guards.rules import GuardRule
from dialects.chat.chat import ChatRequest
from dialects.chat.events import (
    Broken,
    End,
    Event,
    Finish,
    Start,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallEnd,
    ToolCallStart,
    Usage,
)
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS
from dialects.translation import StreamTranslator
from relay.downstream.error_answers import answer_to
from relay.guarding.guarded_answer import GuardedAnswer, Refused
from relay.guarding.guarding import Guarding
from relay.guarding.rule_set import KeyRules
from tests.relay.speakers import SPEAKERS, SpokenAnswer, Wish

TARGET: Final = Target("m", stream=True)


@cache
def _request_of(dialect: str) -> ChatRequest:
    codec: Any = CODECS[dialect]  # type: ignore[index]
    body = SPEAKERS[dialect].body("m", Wish("hello", stream=True, tools=True))
    facts = codec.read(json.dumps(body).encode(), TARGET)
    request: ChatRequest = codec.decode(facts, TARGET, "r", 0)
    return request


class Way:
    """A stream through the relay: an upstream's bytes in, the bytes for its client out."""

    def __init__(self, dialect: str, rules: list[GuardRule]) -> None:
        codec: Any = CODECS[dialect]  # type: ignore[index]
        request = _request_of(dialect)
        self.encoder = codec.encoder(request, TARGET)
        self._framing = codec.framing(lambda: 0)
        self._translator = StreamTranslator(
            codec.translating_decoder(request, ""),
            codec.encoder(request, TARGET),
            1,
            change=GuardedAnswer(Guarding(KeyRules(rules))),
        )
        self.refused = self.broken = False

    def upstream(self, events: list[Event]) -> bytes:
        """The bytes of an upstream that answers these events."""
        raw = b"".join(
            self.encoder.end() if isinstance(event, End) else self.encoder.feed(event)
            for event in events
        )
        return raw if self._framing is None else self._framing.feed(raw)

    def feed(self, raw: bytes) -> bytes:
        return self._sent(self._translator.feed(raw))

    def end(self) -> bytes:
        return self._sent(self._translator.end())

    def _sent(self, steps: Any) -> bytes:
        sent = b""
        for step in steps:
            sent += step.raw
            last = step.events[-1] if step.events else None
            if isinstance(last, Refused):
                self.refused = True
                sent += self._translator.fail(
                    "guard_refused", last.message, answer_to(last.error).guard_code
                )
            self.broken = self.broken or isinstance(last, Broken)
        return sent


def spoken(dialect: str, sent: bytes) -> SpokenAnswer:
    """What a client reads in these bytes."""
    codec: Any = CODECS[dialect]  # type: ignore[index]
    framing = codec.framing(lambda: 0)
    return SPEAKERS[dialect].streamed(sent if framing is None else framing.feed(sent))


def strings_in(sent: bytes) -> list[str]:
    """Each text of each frame, wherever it stands, and those within texts that are JSON; a name has
    a zero behind it, so that no text goes on with it."""
    found: list[str] = []

    def collect(value: Any) -> None:
        if isinstance(value, str):
            found.append(value)
            if value[:1] in ("{", "["):
                try:
                    collect(json.loads(value))
                except ValueError:
                    return
        elif isinstance(value, list):
            for item in value:
                collect(item)
        elif isinstance(value, dict):
            for name, item in value.items():
                found.append(f"{name}\0")
                collect(item)

    for line in sent.decode().splitlines():
        data = line.removeprefix("data: ")
        if data != line and data != "[DONE]":
            collect(json.loads(data))
    return found


def pieces_of(text: str, size: int) -> list[str]:
    return [text[n : n + size] for n in range(0, len(text), size)]


def answer_of(pieces: Sequence[str]) -> list[Event]:
    """The events of an answer whose text comes in these pieces."""
    deltas: list[Event] = [TextDelta(0, piece) for piece in pieces if piece]
    return [Start("a", "m"), *deltas, Finish(0, "stop"), Usage(b"{}"), End(marked=True)]


def call_of(pieces: Sequence[str]) -> list[Event]:
    """The events of an answer that calls a tool whose arguments come in these pieces."""
    deltas: list[Event] = [ToolArgumentsDelta(0, 0, piece) for piece in pieces if piece]
    return [
        Start("a", "m"), ToolCallStart(0, 0, "c1", "get_weather"), *deltas, ToolCallEnd(0, 0),
        Finish(0, "tool_calls"), Usage(b"{}"), End(marked=True),
    ]  # fmt: skip
