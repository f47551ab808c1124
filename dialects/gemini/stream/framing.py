"""Split a stream of the gemini dialect into frames without changing a byte.

With `alt=sse` it is server-sent events. Otherwise it is one JSON array, whose elements may be
separated by any white space:

    START --[--> BETWEEN --{--> ELEMENT --}--> BETWEEN --]--> END        START --{--> ELEMENT

An element's frame starts with the bytes before it. Each byte is examined a bounded number of times,
however the stream is split into chunks: the search in a long string resumes where it stopped.
"""

import re
from typing import Final

from dialects.streams.sse import FRAME_BYTES_MAX, Frame, FrameSplitter

CLOSED: Final = "]"
"""The event name of the closing bracket's frame."""

_BLANK = b" \t\r\n\xef\xbb\xbf"
_BETWEEN = re.compile(rb"[ \t\r\n,\xef\xbb\xbf]*+")
# Whole strings are skipped; an incomplete one stops at its opening quote. The outer repeat is not
# possessive: before 3.11.5 (gh-106052) it would stop after the quote.
_TO_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*', re.DOTALL)
_TO_QUOTE = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_QUOTE, _OPENING, _ARRAY, _END = b'"', b"{[", b"[", b"]"


class ElementSplitter:
    """Splits a JSON array, or a single object, into elements as its bytes arrive. `array`: there
    was an opening bracket. An invalid beginning of an element becomes a frame whose data is not
    JSON. When an element exceeds `frame_bytes_max`, `too_large` becomes true and reading stops
    (F17).
    """

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self.array = False
        self.too_large = False
        self._max = frame_bytes_max
        self._pending = bytearray()
        self._lead = self._begin = self._at = self._depth = 0
        self._in_string = self._over = False

    def feed(self, chunk: bytes) -> list[Frame]:
        """Return the complete elements."""
        if self._over or self.too_large:
            return []
        self._pending += chunk
        frames: list[Frame] = []
        while (frame := self._find_element()) is not None:
            frames.append(frame)
            if self._over:
                return frames
        if len(self._pending) > self._max:
            self.too_large = True
            self._pending.clear()
        return frames

    def end(self) -> Frame | None:
        """Return the rest as a frame; its data is None if it is only white space."""
        if not self._pending or self._over:
            return None
        raw = bytes(self._pending)
        self._pending.clear()
        return Frame(raw, "", raw[self._begin :] if self._depth else None)

    def _find_element(self) -> Frame | None:
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
        return self._take_element() if self._find_end() else None

    def _skip(self, at: int) -> int:
        between = _BETWEEN.match(self._pending, at)
        return between.end() if between else at

    def _find_end(self) -> bool:
        """Search on for the bracket that ends the element, from where the last chunk ended. Return
        whether it was found."""
        pending, at = self._pending, self._at
        while True:
            match = (_TO_QUOTE if self._in_string else _TO_BRACKET).match(pending, at)
            at = self._at = match.end() if match else at
            letter = pending[at : at + 1]
            # A backslash at the end of a chunk waits for the escaped character.
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

    def _take_element(self) -> Frame:
        raw = bytes(self._pending[: self._at])
        del self._pending[: self._at]
        self._lead = 0
        return Frame(raw, "", raw[self._begin :])


class Framing:
    """Splits a stream in either form; the first byte decides. `array`: it is a JSON array;
    `too_large`: a frame exceeded the limit (F17).
    """

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._max = frame_bytes_max
        self._head = b""
        self._events: FrameSplitter | None = None
        self._elements: ElementSplitter | None = None
        self._started = False
        self._held = 0

    @property
    def array(self) -> bool:
        """Whether the stream is a JSON array."""
        return self._elements is not None and self._elements.array

    @property
    def too_large(self) -> bool:
        """Whether a frame exceeded the limit."""
        splitter = self._events or self._elements
        return splitter is not None and splitter.too_large

    def begins(self, chunk: bytes) -> bool:
        """Return False, because this dialect does not skip similar frames."""
        return False

    def feed(self, chunk: bytes) -> list[Frame]:
        """Return the complete frames."""
        if self._events is not None:
            return self._cut_events(self._events, chunk)
        if self._elements is not None:
            return self._elements.feed(chunk)
        self._head += chunk
        letter = self._head.lstrip(_BLANK)[:1]
        if not letter:
            return []
        if letter in b"[{":
            self._elements = ElementSplitter(self._max)
            return self._elements.feed(self._head)
        self._events = FrameSplitter(self._max)
        return self._cut_events(self._events, self._head)

    def end(self) -> Frame | None:
        """Return the rest as a frame, or None."""
        splitter = self._events or self._elements
        return None if splitter is None else splitter.end()

    def _cut_events(self, splitter: FrameSplitter, chunk: bytes) -> list[Frame]:
        """Split frames of one line here if the splitter has no pending data. Lines end in CRLF,
        which the splitter processes much more slowly than LF.
        """
        frames: list[Frame] = []
        if self._started and not self._held and len(chunk) <= self._max:
            chunk = _cut_straight(chunk, frames)
        if chunk:
            slow = splitter.feed(chunk)
            self._held += len(chunk) - sum(len(frame.raw) for frame in slow)
            self._started = self._started or bool(slow)
            frames += slow
        return frames


def _cut_straight(chunk: bytes, frames: list[Frame]) -> bytes:
    """Append the frames whose only line is data that ends in CRLF; return the rest."""
    at = 0
    while chunk.startswith(b"data: ", at):
        end = chunk.find(b"\r", at)
        if not chunk.startswith(b"\r\n\r\n", end) or chunk.find(b"\n", at, end) >= 0:
            break
        raw = chunk[at : end + 4]
        frames.append(Frame(raw, "", raw[6:-4]))
        at = end + 4
    return chunk[at:]
