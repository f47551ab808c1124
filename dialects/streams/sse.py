"""Split server-sent events into frames without changing a byte.

A frame ends with its empty line, so that joined frames are the original stream: comments, CR, LF,
CRLF, a byte order mark, U+2028 inside text.

The ends of frames do not depend on how the bytes were split into chunks. Therefore a CR at the end
of the input waits for one more byte: it may be half of a CRLF. Each byte is examined a bounded
number of times, however the stream is split.
"""

import re

import msgspec

FRAME_BYTES_MAX = 32 * 1024 * 1024

# Atomic, so that one CRLF is never read as two line ends.
_EMPTY_LINE = re.compile(rb"(?>\r\n|[\r\n])(?>\r\n|[\r\n])")
_EMPTY_LINE_BYTES_MAX = 4
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One frame: its bytes, its event name ("" if unnamed), its data or None without any."""

    raw: bytes
    event: str
    data: bytes | None


class FrameSplitter:
    """Splits bytes into frames as they arrive. When a frame exceeds `frame_bytes_max`, complete or
    not, `too_large` becomes true, the frames before it are returned, and reading stops (F17).
    """

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self.too_large = False
        self._max = frame_bytes_max
        self._pending = bytearray()
        self._searched = 0
        self._carriage_returns = False
        self._first = True

    def feed(self, chunk: bytes) -> list[Frame]:
        """Return the complete frames."""
        if self.too_large:
            return []
        frames: list[Frame] = []
        if b"\r" in chunk:
            self._carriage_returns = True
        if self.begins(chunk):
            # Nearly every chunk begins and ends a frame: it is split without a copy into the
            # buffer.
            chunk = self._cut_straight(chunk, frames)
            if not chunk:
                return frames
        self._pending += chunk
        while end := self._next_end():
            if end > self._max:
                break
            frames.append(self._cut(end))
        if len(self._pending) > self._max and (end or self._searched):
            self.too_large = True
            self._pending.clear()
        return frames

    def begins(self, chunk: bytes) -> bool:
        """Return whether this chunk begins a frame, and ends its lines with LF only."""
        if self._pending or self._carriage_returns or self.too_large:
            return False
        return len(chunk) <= self._max and b"\r" not in chunk

    def end(self) -> Frame | None:
        """Return the rest without its empty line, as a frame; None if there is none."""
        return self._cut(len(self._pending)) if self._pending else None

    def _cut_straight(self, chunk: bytes, frames: list[Frame]) -> bytes:
        """Append the frames of a chunk without CR that begins a frame; return the rest. One line
        end is found much faster than two, and most frames are a single line.
        """
        at = 0
        while (line_end := chunk.find(b"\n", at)) >= 0:
            end, one_line = line_end, chunk.startswith(b"\n", line_end + 1)
            if not one_line:
                end = chunk.find(b"\n\n", line_end)
                if end < 0:
                    break
            raw = chunk[at : end + 2]
            if one_line and raw.startswith(b"data: "):
                self._first = False
                frames.append(Frame(raw, "", raw[6:-2]))
            elif (
                raw.startswith(b"event: ")
                and chunk.startswith(b"data: ", line_end + 1)
                and chunk.find(b"\n", line_end + 1, end) < 0
            ):
                # A name and one line of data, like all frames of some dialects.
                self._first = False
                name = chunk[at + 7 : line_end].decode(errors="replace")
                frames.append(Frame(raw, name, chunk[line_end + 7 : end]))
            else:
                frames.append(self._frame(raw))
            at = end + 2
        return chunk[at:]

    def _next_end(self) -> int:
        """Return where the first pending frame ends, or 0 if it is incomplete."""
        pending = self._pending
        if self._carriage_returns:
            empty_line = _EMPTY_LINE.search(pending, self._searched)
            end = empty_line.end() if empty_line else 0
            if empty_line and end == len(pending) and pending.endswith(b"\r"):
                self._searched = empty_line.start()
                return 0
        else:
            end = pending.find(b"\n\n", self._searched) + 2
            end = 0 if end == 1 else end
        # An incomplete empty line begins within the last bytes.
        self._searched = 0 if end else max(0, len(pending) - _EMPTY_LINE_BYTES_MAX + 1)
        return end

    def _cut(self, end: int) -> Frame:
        raw = bytes(self._pending[:end])
        del self._pending[:end]
        self._searched = 0
        return self._frame(raw)

    def _frame(self, raw: bytes) -> Frame:
        first, self._first = self._first, False
        return read_frame(raw, first=first)


def read_frame(raw: bytes, *, first: bool = False) -> Frame:
    """Read the fields of a frame as the standard says; unknown fields are ignored."""
    text = raw.removeprefix(_BYTE_ORDER_MARK) if first else raw
    event, data = "", []
    for line in text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            event = value.decode(errors="replace")
    return Frame(raw, event, b"\n".join(data) if data else None)
