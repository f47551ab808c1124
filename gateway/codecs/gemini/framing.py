"""A stream of the gemini dialect, cut into frames without changing a byte.

With `alt=sse` it is server-sent events. Without, it is one JSON array whose elements come one after
the other, with whatever white space between them:

    START --[--> BETWEEN --{--> ELEMENT --}--> BETWEEN --]--> END        START --{--> ELEMENT

An element's frame begins with what stood before it. Each byte is looked at a bounded number of
times however the stream is fed: inside a long string, where the search stopped is remembered.
"""

import re
from typing import Final

from gateway.codecs.sse import FRAME_BYTES_MAX, Frame, FrameSplitter

CLOSED: Final = "]"
"""What the frame of the closing bracket has in the place of an event's name."""

_BLANK = b" \t\r\n\xef\xbb\xbf"
_BETWEEN = re.compile(rb"[ \t\r\n,\xef\xbb\xbf]*+")
# Whole strings are jumped over; one that is not whole yet stops at its opening quote.
_TO_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_TO_QUOTE = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_QUOTE, _OPENING, _ARRAY, _END = b'"', b"{[", b"[", b"]"


class ElementSplitter:
    """Takes bytes of a JSON array, or of one object, as they arrive and gives whole elements.

    `array` says that there was an opening bracket. What cannot begin an element is given as a
    frame whose data is no JSON. When an element passes `frame_bytes_max`, `too_large` becomes true
    and nothing is read on (F17).
    """

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self.array = False
        self.too_large = False
        self._max = frame_bytes_max
        self._pending = bytearray()
        self._lead = self._begin = self._at = self._depth = 0
        self._in_string = self._over = False

    def feed(self, chunk: bytes) -> list[Frame]:
        """The elements that are whole now."""
        if self._over or self.too_large:
            return []
        self._pending += chunk
        frames: list[Frame] = []
        while (frame := self._next()) is not None:
            frames.append(frame)
            if self._over:
                return frames
        if len(self._pending) > self._max:
            self.too_large = True
            self._pending.clear()
        return frames

    def end(self) -> Frame | None:
        """What was left, as a frame; its data is None when that is only white space."""
        if not self._pending or self._over:
            return None
        raw = bytes(self._pending)
        self._pending.clear()
        return Frame(raw, "", raw[self._begin :] if self._depth else None)

    def _next(self) -> Frame | None:
        pending = self._pending
        if self._depth == 0:
            at = self._skip(self._lead)
            letter = pending[at : at + 1]
            if letter == _ARRAY and not self.array:
                self.array = True
                at = self._skip(at + 1)
                letter = pending[at : at + 1]
            self._lead = at
            if not letter:
                return None
            if letter != b"{":
                self._over = True
                if letter == _END and self.array:
                    return Frame(bytes(pending[: self._skip(at + 1)]), CLOSED, None)
                return Frame(bytes(pending), "", bytes(pending[at:]))
            self._begin, self._at, self._depth = at, at + 1, 1
        return self._cut() if self._ends() else None

    def _skip(self, at: int) -> int:
        found = _BETWEEN.match(self._pending, at)
        return found.end() if found else at

    def _ends(self) -> bool:
        """Search on for the bracket that ends the element; true when it is there."""
        pending, at = self._pending, self._at
        while True:
            found = (_TO_QUOTE if self._in_string else _TO_BRACKET).match(pending, at)
            at = self._at = found.end() if found else at
            letter = pending[at : at + 1]
            # A lone backslash at the end waits for what it escapes.
            if not letter or letter == b"\\":
                return False
            at += 1
            if letter == _QUOTE:
                self._in_string = not self._in_string
                continue
            self._depth += 1 if letter in _OPENING else -1
            if self._depth == 0:
                self._at = at
                return True

    def _cut(self) -> Frame:
        raw = bytes(self._pending[: self._at])
        del self._pending[: self._at]
        self._lead = 0
        return Frame(raw, "", raw[self._begin :])


class Framing:
    """Cuts a stream of either form; which it is, its first byte tells.

    `array` says that it is a JSON array, `too_large` that a frame was (F17).
    """

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._max = frame_bytes_max
        self._head = b""
        self._splitter: FrameSplitter | ElementSplitter | None = None

    @property
    def array(self) -> bool:
        """Whether the stream is a JSON array."""
        return isinstance(self._splitter, ElementSplitter) and self._splitter.array

    @property
    def too_large(self) -> bool:
        """Whether a frame was larger than it may be."""
        return self._splitter is not None and self._splitter.too_large

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that are whole now."""
        if self._splitter is not None:
            return self._splitter.feed(chunk)
        self._head += chunk
        letter = self._head.lstrip(_BLANK)[:1]
        if not letter:
            return []
        json = letter in b"[{"
        self._splitter = ElementSplitter(self._max) if json else FrameSplitter(self._max)
        return self._splitter.feed(self._head)

    def end(self) -> Frame | None:
        """What was left over, None when nothing was."""
        return None if self._splitter is None else self._splitter.end()
