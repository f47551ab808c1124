r"""Unpaired surrogates in a JSON text: a provider that splits an emoji sends `"\ud83d"` and then
`"\ude00"`, neither of which a parser accepts (F15a).

For a forwarded text, a copy is parsed in which each half is U+FFFD with an escape of the same
length, so that all positions stay the same. For a translated text, a half at the end or start of a
text becomes a mark; `Pairs` joins it with its other half, or replaces it by U+FFFD if none follows.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from dialects.chat import events as neutral

_SUSPECT: Final = re.compile(rb"\\u[dD][89a-fA-F]")
# An escaped backslash does not begin an escape.
_ESCAPE: Final = re.compile(
    rb"(?<!\\)(?P<before>(?:\\\\)*+)\\u"
    rb"(?:(?P<high>[dD][89abAB][0-9a-fA-F]{2})(?P<pair>\\u[dD][c-fC-F][0-9a-fA-F]{2})?"
    rb"|(?P<low>[dD][c-fC-F][0-9a-fA-F]{2}))"
)
_REPLACED: Final = rb"\ufffd"
# The marks are the last code points of Unicode, which are for private use: one for each half.
_MARKS_BEGIN: Final = 0x10F800
_MARKED: Final = re.compile("[\U0010f800-\U0010ffff]")
_MARKED_BYTES: Final = re.compile(rb"\xf4\x8f[\xa0-\xbf].", re.DOTALL)
_MARKED_PAIR: Final = re.compile("([\U0010f800-\U0010fbff])([\U0010fc00-\U0010ffff])")
_HALF_AT_END: Final = re.compile("[\U0010f800-\U0010fbff]$")
_TEXTS: Final = (
    neutral.TextDelta,
    neutral.ReasoningDelta,
    neutral.RefusalDelta,
    neutral.ToolArgumentsDelta,
)
# Events that may occur between the pieces of one text.
_ASIDE: Final = (neutral.Usage, neutral.LogprobsDelta)


def find(raw: bytes) -> int | None:
    """Return the position of the first lone surrogate, or None."""
    if _SUSPECT.search(raw) is None:
        return None
    lone = (escape for escape in _ESCAPE.finditer(raw) if escape["pair"] is None)
    return next((escape.start() + len(escape["before"]) for escape in lone), None)


def replace(raw: bytes) -> bytes | None:
    """Return the text with U+FFFD for each lone surrogate, in the same length; None if it has
    none."""
    return _respell(raw, marks=False)


def make_readable(raw: bytes) -> bytes:
    """Return the text with lone surrogates replaced, so that a parser accepts it."""
    return replace(raw) or raw


def mark(raw: bytes) -> bytes | None:
    """Return the text with a mark in place of each lone surrogate at the end or start of a
    string."""
    return _respell(raw, marks=_MARKED_BYTES.search(raw) is None)


class Pairs:
    """Joins the marked surrogates of a stream's events."""

    def __init__(self) -> None:
        self._held: dict[tuple[type[neutral.Event], int, int], Any] = {}

    def join(self, events: Sequence[neutral.Event]) -> list[neutral.Event]:
        """Return the events without marks. A first half at the end of a text waits for the next
        piece of the same text."""
        if not self._held and not any(map(_is_marked, events)):
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


def _respell(raw: bytes, *, marks: bool) -> bytes | None:
    if _SUSPECT.search(raw) is None:
        return None
    respelled = _ESCAPE.sub(lambda escape: _spell(escape, marks=marks), raw)
    return None if respelled == raw else respelled


def _spell(escape: re.Match[bytes], *, marks: bool) -> bytes:
    if escape["pair"] is not None:
        return escape[0]
    half, raw = escape["high"] or escape["low"], escape.string
    at = escape.end() if escape["low"] is None else escape.start("low") - 3
    if marks and raw[at : at + 1] == b'"':
        character = chr(_MARKS_BEGIN + int(half, 16) - 0xD800).encode()
    else:
        character = _REPLACED
    return escape["before"] + character


def _pair(pair: re.Match[str]) -> str:
    high, low = (ord(half) - _MARKS_BEGIN for half in pair.groups())
    return chr(0x10000 + (high << 10) + low - 0x400)


def _without_marks(text: str) -> str:
    return text if text.isascii() else _MARKED.sub("\ufffd", text)


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
        return not text.isascii() and _MARKED.search(text) is not None
    return _MARKED_BYTES.search(msgspec.json.encode(event)) is not None


def _remove_marks(event: neutral.Event) -> neutral.Event:
    raw = msgspec.json.encode(event)
    if _MARKED_BYTES.search(raw) is None:
        return event
    return msgspec.json.decode(_MARKED_BYTES.sub("\ufffd".encode(), raw), type=type(event))
