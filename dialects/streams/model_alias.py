"""Replaces the model's name in a forwarded answer if the channel's name differs from the client's,
so that an alias hides the real model.

    whole answer    model, in gemini modelVersion
    frame           the same, in anthropic message.model, in responses response.model

Only the value of that member changes. Most frames of a stream begin alike up to it: after one was
changed, the next is recognised by its beginning and not parsed.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Final

import msgspec

from dialects.json.body import Body
from dialects.json.not_json import NOT_JSON
from dialects.streams.json_repair import read_answer_body

# A longer beginning contains more than constant members.
_BEGINNING_BYTES_MAX: Final = 1_024
_root = msgspec.json.Decoder(dict[str, msgspec.Raw])
_DATA: Final = re.compile(rb"^data: ?(\{.*\}) *\r?$", re.MULTILINE)


class FrameNaming:
    """Replaces the model in the frames of one stream by `name`; `path` leads to the member."""

    __slots__ = ("_after", "_before", "_member", "_name", "_path")

    def __init__(self, path: Sequence[str], name: str) -> None:
        self._path = path
        self._member = b'"%b"' % path[-1].encode()
        self._name = msgspec.json.encode(name)
        self._before: bytes | None = None
        self._after = b""

    def rename(self, raw: bytes) -> bytes:
        """Return whole frames with the model replaced."""
        if self._before is not None and raw.startswith(self._before):
            # Quotes inside a text are escaped: only a frame begins like this.
            return raw.replace(self._before, self._after)
        if self._member not in raw:
            return raw
        if raw.count(b"\n\n") > 1:
            return b"".join(self.rename(frame + b"\n\n") for frame in raw.split(b"\n\n")[:-1])
        data = _DATA.search(raw)
        # A frame without data lines is an element of gemini's array.
        start, end = data.span(1) if data else (raw.find(b"{"), raw.rfind(b"}") + 1)
        place = _place(raw[start:end], self._path)
        if place is None:
            return raw
        before = raw[: start + place[1]]
        after = raw[: start + place[0]] + self._name
        if len(before) <= _BEGINNING_BYTES_MAX:
            self._before, self._after = before, after
        return after + raw[len(before) :]


def name_answer(raw: bytes, path: Sequence[str], name: str) -> bytes:
    """Return a whole answer in which the model at `path` is `name`."""
    place = _place(raw, path)
    return raw if place is None else raw[: place[0]] + msgspec.json.encode(name) + raw[place[1] :]


def _only_place(raw: bytes, path: Sequence[str]) -> tuple[int, int] | None:
    """Return the position that `_place` would return, ten times as fast. None if it is ambiguous:
    the root lacks the member, its name appears twice, or a name is escaped."""
    if len(path) != 1 or b"\\u" in raw:
        return None
    match = _text_member(path[0]).search(raw)
    if match is None:
        return None
    member, at = match[1], match.start()
    if not raw.find(member) == raw.rfind(member) == at:
        return None
    if raw.count(b"{", 0, at) == 1:
        # No other object precedes it in which it could be.
        return match.span(2)
    try:
        root = _root.decode(raw)
    except NOT_JSON:
        return None
    return match.span(2) if path[0] in root else None


@cache
def _text_member(name: str) -> re.Pattern[bytes]:
    return re.compile(rb'("%b")[ \t\r\n]*:[ \t\r\n]*("[^"\\]*")' % name.encode())


def _place(raw: bytes, path: Sequence[str]) -> tuple[int, int] | None:
    """Return the position of the text at a path; None if there is none."""
    place = _only_place(raw, path)
    if place is not None:
        return place
    at, end = 0, len(raw)
    for name in path:
        body: Body | None = read_answer_body(raw[at:end])
        span = None if body is None else body.members.get(name)
        if span is None:
            return None
        at, end = at + span.start, at + span.end
    return (at, end) if raw[at : at + 1] == b'"' else None
