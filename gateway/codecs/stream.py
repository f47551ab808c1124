"""Decoding a stream of server-sent events: what is the same in every dialect.

A dialect says what one frame means (`_read`); here is when a stream is over and what of it was cut.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from gateway.codecs.errors import mask_members
from gateway.codecs.events import Broken, BrokenFault, End, Step
from gateway.codecs.faults import UpstreamFault
from gateway.codecs.sse import Frame, FrameSplitter


class Reader(Protocol):
    """What turns members of an answer into events, and counts them."""

    @property
    def seen(self) -> int: ...
    @property
    def text_bytes(self) -> int: ...
    @property
    def reasoning_bytes(self) -> int: ...


class FrameDecoder(ABC):
    """Reads one streamed answer.

    After any call `complete` says that a cut would be no fault, `usage` is the last raw usage
    object (F26) or None.
    """

    _reader: Reader

    def __init__(self, frame_bytes_max: int) -> None:
        self._splitter = FrameSplitter(frame_bytes_max)
        self._closed = False
        self.usage: bytes | None = None
        self.complete = False

    @property
    def text_bytes(self) -> int:
        """UTF-8 bytes of text, refusals and tool calls so far."""
        return self._reader.text_bytes

    @property
    def reasoning_bytes(self) -> int:
        """UTF-8 bytes of reasoning so far."""
        return self._reader.reasoning_bytes

    def feed(self, chunk: bytes) -> list[Step]:
        """What is whole now. The last step holds End, UpstreamError or Broken when it is over."""
        if self._closed:
            return []
        steps: list[Step] = []
        for frame in self._splitter.feed(chunk):
            steps.append(self._read(frame))
            if self._closed:
                return steps
        if self._splitter.too_large:
            steps.append(self._break("F17"))
        return steps

    def end(self) -> list[Step]:
        """The upstream has closed: what was left over, then End or Broken unless it was over."""
        if self._closed:
            return []
        steps: list[Step] = []
        frame = self._splitter.end()
        if frame is not None and frame.data is not None:
            steps += self._read_leftover(frame)
        if not self._closed:
            steps.append(self._end(marked=False) if self.complete else self._break(self._cut()))
        return steps

    @abstractmethod
    def _read(self, frame: Frame) -> Step:
        """What a whole frame means."""

    @property
    def _seen(self) -> bool:
        return bool(self._reader.seen)

    def _read_leftover(self, frame: Frame) -> list[Step]:
        """A last frame without its empty line counts if it is whole, else it is what was cut."""
        step = self._read(frame)
        if step.events and isinstance(step.events[-1], Broken):
            self._closed = False
            return []
        ending = b"" if not step.raw else b"\n" if step.raw.endswith((b"\n", b"\r")) else b"\n\n"
        return [Step(step.raw + ending, step.events)]

    def _cut(self) -> BrokenFault:
        return "F14" if self._seen else "F24"

    def _end(self, *, marked: bool, raw: bytes = b"") -> Step:
        self._closed = self.complete = True
        return Step(raw, [End(marked)])

    def _break(self, fault: BrokenFault) -> Step:
        self._closed = True
        return Step(b"", [Broken(fault)])

    def _fail(self, raw: bytes, fault: UpstreamFault) -> Step:
        self._closed = True
        return Step(raw, [fault.event])


def is_utf8(raw: bytes) -> bool:
    """Whether the bytes are UTF-8; ASCII is told apart by the caller, who mostly has that."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def mask_frame(frame: Frame, write: Callable[[Any], bytes]) -> bytes:
    """The frame as it came, unless a text in its data must be masked: then `write` has it anew.

    Nothing (b"") when it cannot be looked through; the relay then tells the error in its words.
    """
    try:
        told = msgspec.json.decode(frame.data or b"")
        masked = mask_members(told)
    except (msgspec.DecodeError, RecursionError):
        return b""
    return frame.raw if masked == told else write(masked)


def write_data(value: Any) -> bytes:
    """A frame that holds this value and has no name."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"
