"""Joins surrogate pairs that a provider has split over the pieces of a stream (F15a)."""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from dialects.chat import events as neutral
from dialects.json.lone_surrogates import MARKED_BYTES, MARKS_BEGIN

MARKED: Final = re.compile("[\U0010f800-\U0010ffff]")
"""Halves of characters, marked."""
_MARKED_PAIR: Final = re.compile("([\U0010f800-\U0010fbff])([\U0010fc00-\U0010ffff])")
_HALF_AT_END: Final = re.compile("[\U0010f800-\U0010fbff]$")
_TEXTS: Final = (
    neutral.TextDelta,
    neutral.ReasoningDelta,
    neutral.RefusalDelta,
    neutral.ToolArgumentsDelta,
)
# Events without a text of the provider's. The raw JSON of a usage is shown to nobody.
_TEXTLESS: Final = frozenset({neutral.Usage, neutral.ToolCallEnd, neutral.End})
# Events that may occur between the pieces of one text.
_ASIDE: Final = (neutral.Usage, neutral.LogprobsDelta)


class Pairs:
    """Joins the marked surrogates of a stream's events."""

    def __init__(self) -> None:
        self._held: dict[tuple[type[neutral.Event], int, int], Any] = {}

    @property
    def waits(self) -> bool:
        """Whether a first half waits."""
        return bool(self._held)

    def join(self, events: Sequence[neutral.Event]) -> list[neutral.Event]:
        """Return the events without marks. A first half at the end of a text waits for the next
        piece of the same text."""
        if not self._held:
            for event in events:
                # Nearly every event is a text, and most texts are ASCII.
                if type(event) is neutral.TextDelta:
                    plain = event.text.isascii()
                elif type(event) is neutral.Finish:
                    plain = event.stop_sequence == ""
                else:
                    plain = type(event) in _TEXTLESS
                if not plain and _is_marked(event):
                    break
            else:
                return list(events)
        joined: list[neutral.Event] = []
        for event in events:
            if self._held:
                joined += self._release(event)
            joined += self._join(event)
        return joined

    def _join(self, event: neutral.Event) -> list[neutral.Event]:
        if not isinstance(event, _TEXTS):
            return [_remove_marks(event)]
        key = _key(event)
        held = self._held.pop(key, None)
        text = event.text if held is None else held.text + event.text
        text = _MARKED_PAIR.sub(_pair, text)
        if half := _HALF_AT_END.search(text):
            self._held[key] = msgspec.structs.replace(event, text=half[0])
            text = text[: half.start()]
        return [msgspec.structs.replace(event, text=_without_marks(text))] if text else []

    def _release(self, event: neutral.Event) -> list[neutral.Event]:
        """Return held text for which no second half can come any more."""
        closed = [key for key in self._held if _ends_text_of(key, event)]
        return [_remove_marks(self._held.pop(key)) for key in closed]


def _pair(pair: re.Match[str]) -> str:
    high, low = (ord(half) - MARKS_BEGIN for half in pair.groups())
    return chr(0x10000 + (high << 10) + low - 0x400)


def _without_marks(text: str) -> str:
    return text if text.isascii() else MARKED.sub("\ufffd", text)


def _key(event: Any) -> tuple[type[neutral.Event], int, int]:
    return type(event), event.choice, getattr(event, "index", 0)


def _ends_text_of(key: tuple[type[neutral.Event], int, int], event: neutral.Event) -> bool:
    kind, choice, index = key
    of = getattr(event, "choice", None)
    if isinstance(event, _ASIDE) or (of is not None and of != choice):
        return False
    if kind is neutral.ToolArgumentsDelta:
        own = isinstance(event, neutral.ToolCallEnd) and event.index == index
        return own or of is None or isinstance(event, neutral.Finish)
    return type(event) is not kind


def _is_marked(event: neutral.Event) -> bool:
    text = getattr(event, "text", None)
    if text is not None:
        return not text.isascii() and MARKED.search(text) is not None
    return MARKED_BYTES.search(msgspec.json.encode(event)) is not None


def _remove_marks(event: neutral.Event) -> neutral.Event:
    raw = msgspec.json.encode(event)
    if MARKED_BYTES.search(raw) is None:
        return event
    return msgspec.json.decode(MARKED_BYTES.sub("\ufffd".encode(), raw), type=type(event))
