"""The members of a text completion that are looked at, for whole and streamed answers alike.

Compatible servers differ in types; what can be understood is read, the rest is ignored.
"""

from typing import Any

import msgspec

from dialects.chat.events import Event, Finish, TextDelta
from dialects.endpoints.completions.finish_reasons import FINISH_REASONS
from dialects.endpoints.unary import RawMembers, member_bytes
from dialects.json.raw_json import dicts
from dialects.streams.stream import ChoiceProgress

_INDEX_MAX = 1_000_000

Choices = list[dict[str, Any]]


def read_choices(members: RawMembers) -> Choices:
    """The choices of an answer or chunk; [] for what is none."""
    try:
        choices = msgspec.json.decode(member_bytes(members, "choices") or b"[]")
    except (msgspec.DecodeError, RecursionError):
        return []
    return dicts(choices)


def usage_of(members: RawMembers, choices: Choices) -> bytes | None:
    """The raw usage object, which some servers put into a choice."""
    usage = member_bytes(members, "usage")
    for choice in choices:
        if usage is None and choice.get("usage") is not None:
            usage = msgspec.json.encode(choice["usage"])
    return usage


class ChoiceReader(ChoiceProgress):
    """Turns one choice after the other into events, and remembers what a stream spreads over
    several frames."""

    def read(self, choice: dict[str, Any], events: list[Event]) -> None:
        """Append the events of one choice; the count of bytes grows by its text."""
        index = choice.get("index")
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < _INDEX_MAX:
            index = 0
        self._seen.add(index)
        text = choice.get("text")
        if text and isinstance(text, str):
            events.append(TextDelta(index, text))
            self.text_bytes += len(text.encode())
        reason = choice.get("finish_reason")
        if reason and isinstance(reason, str) and index not in self._finished:
            self._finished.add(index)
            events.append(Finish(index, FINISH_REASONS.get(reason, "stop")))
