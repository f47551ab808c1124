r"""Unpaired surrogates in a JSON text: a provider that splits an emoji sends `"\ud83d"` and then
`"\ude00"`, neither of which a parser accepts (F15a).

For a forwarded text, a copy is parsed in which each half is U+FFFD with an escape of the same
length, so that all positions stay the same. For a translated text, a half at the end or start of a
text becomes a mark; `Pairs` (dialects/streams) joins it with its other half, or replaces it by
U+FFFD if none follows.
"""

import re
from typing import Final

import msgspec

from dialects.json.not_json import NOT_JSON

_SUSPECT: Final = re.compile(rb"\\u[dD][89a-fA-F]")
# An escaped backslash does not begin an escape.
_ESCAPE: Final = re.compile(
    rb"(?<!\\)(?P<before>(?:\\\\)*+)\\u"
    rb"(?:(?P<high>[dD][89abAB][0-9a-fA-F]{2})(?P<pair>\\u[dD][c-fC-F][0-9a-fA-F]{2})?"
    rb"|(?P<low>[dD][c-fC-F][0-9a-fA-F]{2}))"
)
_REPLACED: Final = rb"\ufffd"
# The marks are the last code points of Unicode, which are for private use: one for each half.
MARKS_BEGIN: Final = 0x10F800
MARKED_BYTES: Final = re.compile(rb"\xf4\x8f[\xa0-\xbf].", re.DOTALL)
_objects: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


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
    return _respell(raw, marks=MARKED_BYTES.search(raw) is None)


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
        character = chr(MARKS_BEGIN + int(half, 16) - 0xD800).encode()
    else:
        character = _REPLACED
    return escape["before"] + character


def object_line(text: str) -> msgspec.Raw | None:
    """Return a JSON object on one line; None if the text is not an object."""
    try:
        raw = make_readable(text.encode())
        _objects.decode(raw)
        return msgspec.Raw(msgspec.json.format(raw, indent=-1))
    except (UnicodeEncodeError, *NOT_JSON):
        return None
