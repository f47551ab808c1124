"""Answers that are forwarded while they arrive, and read for their usage: sound files, events, and
JSON with pictures, which may be larger than the part that is kept in memory.

    feed    returns what may be forwarded now; nothing before `begun`, until which another
            provider may still answer
    end     finishes after the last byte

Both raise AnswerFault for an answer that has failed or is invalid.
"""

from abc import ABC, abstractmethod
from collections import deque
from typing import Final

import msgspec

from dialects.chat.fold import AnswerFault
from dialects.media.sound_length import ENDS_BYTES
from dialects.openai.errors import read_object
from dialects.openai.unary import answer_fault, member_bytes, open_answer
from dialects.streams.sse import FrameSplitter

_WHOLE_BYTES_MAX: Final = 64 * 1024
# The limit for a JSON text without its long strings.
_SKELETON_BYTES_MAX: Final = 1024 * 1024
_STRING_BYTES_MAX: Final = 1024
_DONE: Final = b"[DONE]"
_UNFINISHED: Final = ".partial_image"


class PassedAnswer(ABC):
    """One answer. `usage` is the raw usage object, `size` the bytes received."""

    usage: bytes | None = None
    size: int = 0
    begun: bool = False

    @abstractmethod
    def feed(self, chunk: bytes) -> bytes:
        """Return what may be forwarded now."""

    @abstractmethod
    def end(self) -> bytes:
        """Return the rest of the answer at its end."""


class PassedFile(PassedAnswer):
    """A forwarded file. `head` and `tail` are its ends, from which its length can be read."""

    def __init__(self) -> None:
        self.head = b""
        # The latest pieces, in total at least as long as `tail`.
        self._last: deque[bytes] = deque()
        self._last_bytes = 0

    @property
    def tail(self) -> bytes:
        """Return the end of what has been received."""
        return b"".join(self._last)[-ENDS_BYTES:]

    def feed(self, chunk: bytes) -> bytes:
        self.size += len(chunk)
        if len(self.head) < ENDS_BYTES:
            self.head += chunk[: ENDS_BYTES - len(self.head)]
        self._last.append(chunk)
        self._last_bytes += len(chunk)
        while self._last_bytes - len(self._last[0]) >= ENDS_BYTES:
            self._last_bytes -= len(self._last.popleft())
        self.begun = True
        return chunk

    def end(self) -> bytes:
        if not self.size:
            raise answer_fault("F24")
        return b""


class PassedEvents(PassedAnswer):
    """Server-sent events. `last` are the members of the event whose type ends in one of `ends`: it
    reports the usage, and completes the answer.
    """

    def __init__(self, ends: tuple[str, ...]) -> None:
        self._ends = ends
        self._splitter = FrameSplitter()
        self.last: dict[str, msgspec.Raw] = {}
        # The number of complete pictures.
        self.finished = 0

    def feed(self, chunk: bytes) -> bytes:
        self.size += len(chunk)
        frames = self._splitter.feed(chunk)
        if self._splitter.too_large:
            raise answer_fault("F17")
        return b"".join([self._read(frame.raw, frame.data) for frame in frames])

    def end(self) -> bytes:
        frame = self._splitter.end()
        rest = b"" if frame is None else self._read(frame.raw, frame.data)
        if not self.last:
            raise answer_fault("F14" if self.begun else "F24")
        return rest

    def _read(self, raw: bytes, data: bytes | None) -> bytes:
        if data is None or data == _DONE:
            return raw
        if len(data) > _WHOLE_BYTES_MAX:
            data = _skeleton(data)
        members = open_answer(data)
        kind = _text(members, "type")
        if kind == "error":
            raise AnswerFault(read_object(data).event)
        if ("b64_json" in members or "url" in members) and not kind.endswith(_UNFINISHED):
            self.finished += 1
        if kind.endswith(self._ends):
            self.last = members
            self.usage = member_bytes(members, "usage") or self.usage
        self.begun = True
        return raw


class PassedJson(PassedAnswer):
    """A JSON text. While it is short nothing is forwarded, so that an error can still replace
    it.
    """

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._reader = SkeletonReader()
        self.members: dict[str, msgspec.Raw] = {}

    def feed(self, chunk: bytes) -> bytes:
        self.size += len(chunk)
        self._reader.feed(chunk)
        if self.begun:
            return chunk
        self._held.append(chunk)
        if self.size <= _WHOLE_BYTES_MAX:
            return b""
        self.begun = True
        return self._release_held()

    def end(self) -> bytes:
        whole = not self.begun
        self.members = open_answer(b"".join(self._held) if whole else self._reader.skeleton())
        self.usage = member_bytes(self.members, "usage")
        return self._release_held() if whole else b""

    def _release_held(self) -> bytes:
        held = b"".join(self._held)
        self._held.clear()
        return held


class SkeletonReader:
    """A JSON text without the inside of its long strings, which are pictures: each of them becomes
    the empty string. Raises AnswerFault (F17) if too much is left.
    """

    def __init__(self) -> None:
        self._kept = bytearray()
        # The position in the kept text at which the current string began; -1 outside strings.
        self._string_at = -1
        self._escaped = False

    def feed(self, chunk: bytes) -> None:
        """Read the next piece."""
        at = 0
        while at < len(chunk):
            at = self._outside(chunk, at) if self._string_at < 0 else self._inside(chunk, at)
        if len(self._kept) > _SKELETON_BYTES_MAX:
            raise answer_fault("F17")

    def skeleton(self) -> bytes:
        """Return the JSON without its long strings."""
        return bytes(self._kept)

    def _outside(self, chunk: bytes, at: int) -> int:
        quote = chunk.find(b'"', at)
        end = len(chunk) if quote < 0 else quote + 1
        self._kept += chunk[at:end]
        if quote >= 0:
            self._string_at = len(self._kept)
        return end

    def _inside(self, chunk: bytes, at: int) -> int:
        if self._escaped:
            self._escaped = False
            self._kept += chunk[at : at + 1]
            return at + 1
        quote, slash = chunk.find(b'"', at), chunk.find(b"\\", at)
        ends = [place for place in (quote, slash) if place >= 0]
        end = min(ends) if ends else len(chunk)
        self._kept += chunk[at : min(end, at + _STRING_BYTES_MAX)]
        if not ends:
            self._shorten()
            return end
        self._kept += chunk[end : end + 1]
        if end == slash:
            self._escaped = True
        else:
            self._end_string()
        return end + 1

    def _shorten(self) -> None:
        """Drop a long string except for its beginning."""
        del self._kept[self._string_at + _STRING_BYTES_MAX :]

    def _end_string(self) -> None:
        if len(self._kept) - self._string_at > _STRING_BYTES_MAX:
            del self._kept[self._string_at : -1]
        self._string_at = -1


def _skeleton(raw: bytes) -> bytes:
    reader = SkeletonReader()
    reader.feed(raw)
    return reader.skeleton()


def _text(members: dict[str, msgspec.Raw], name: str) -> str:
    value = member_bytes(members, name) or b""
    return str(msgspec.json.decode(value)) if value.startswith(b'"') else ""
