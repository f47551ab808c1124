"""The members of a text completion that are read, for whole and streamed answers. Compatible
servers differ in types; understandable values are read, the rest is ignored.
"""

from typing import Any

import msgspec

from dialects.chat.events import Event, Finish, TextDelta
from dialects.endpoints.completions.finish_reasons import FINISH_REASONS
from dialects.json.not_json import NOT_JSON
from dialects.json.raw_json import dicts
from dialects.openai.unary import RawMembers, member_bytes
from dialects.streams.stream import ChoiceProgress

_INDEX_MAX = 1_000_000

Choices = list[dict[str, Any]]


def read_choices(members: RawMembers) -> Choices:
    """Return the choices of an answer or chunk; [] for an invalid one."""
    try:
        choices = msgspec.json.decode(member_bytes(members, "choices") or b"[]")
    except NOT_JSON:
        return []
    return dicts(choices)


def usage_of(members: RawMembers, choices: Choices) -> bytes | None:
    """Return the raw usage object, which some servers put into a choice."""
    usage = member_bytes(members, "usage")
    for choice in choices:
        if usage is None and choice.get("usage") is not None:
            usage = msgspec.json.encode(choice["usage"])
    return usage


class ChoiceReader(ChoiceProgress):
    """Converts choices to events, one after the other, and collects what a stream splits over
    several frames.
    """

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
