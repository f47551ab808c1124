"""Observe an upstream's answer for traces and metrics: the times of its chunks, its id, and its
model. The relay reads an observed answer like any other.
"""

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from dialects.json.not_json import NOT_JSON
from relay.upstream.upstream import Answer

# How much of a stream's beginning is inspected, and the largest inspected whole answer.
_HEAD_BYTES_MAX: Final = 64 * 1024
_WHOLE_BYTES_MAX: Final = 4 * 1024 * 1024
_DATA: Final = b"data:"


class _Called(msgspec.Struct):
    id: str | None = None
    model: str | None = None


class _Frame(msgspec.Struct):
    """An answer or a frame of one, in OpenAI's and Gemini's form; Responses nests it in `response`,
    Anthropic in `message`.
    """

    id: str | None = None
    model: str | None = None
    response: _Called | None = None
    message: _Called | None = None
    response_id: str | None = msgspec.field(default=None, name="responseId")
    model_version: str | None = msgspec.field(default=None, name="modelVersion")


_FRAME: Final = msgspec.json.Decoder(_Frame)
OnChunk = Callable[[float], None]


class ObservedAnswer:
    """Wraps an answer. `streamed`: its chunks are frames. `on_chunk` receives the time between two
    chunks of a stream.
    """

    def __init__(
        self, answer: Answer, *, sent_at: float, streamed: bool, on_chunk: OnChunk
    ) -> None:
        self._answer = answer
        self._sent_at = sent_at
        self.streamed = streamed
        self._on_chunk = on_chunk
        self._last_at: float | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._identified = False
        self.first_chunk_s: float | None = None
        self.id = self.model = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._answer, name)

    async def next_bytes(self) -> bytes:
        piece = await self._answer.next_bytes()
        self._note(piece)
        return piece

    async def hand_to(self, take: Callable[[bytes], bool]) -> None:
        def note_and_take(piece: bytes) -> bool:
            self._note(piece)
            return take(piece)

        await self._answer.hand_to(note_and_take)

    def identify(self) -> None:
        """Read the id and the model from the part of the answer that has arrived."""
        pieces, self._pieces = self._pieces, []
        if self._identified or not pieces:
            return
        raw = b"".join(pieces)
        if self.streamed:
            self._read_frames(raw)
        else:
            self._read_frame(raw)

    def _note(self, piece: bytes) -> None:
        if not piece:
            return
        now = time.perf_counter()
        if self._last_at is None:
            self.first_chunk_s = now - self._sent_at
        elif self.streamed:
            self._on_chunk(now - self._last_at)
        self._last_at = now
        if not self._identified:
            self._gather(piece)

    def _gather(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        most = _HEAD_BYTES_MAX if self.streamed else _WHOLE_BYTES_MAX
        if self._size > most:
            self._identified, self._pieces = True, []
        elif self.streamed and b"\n" in piece:
            raw = b"".join(self._pieces)
            self._read_frames(raw[: raw.rindex(b"\n")])

    def _read_frames(self, raw: bytes) -> None:
        for line in raw.splitlines():
            if line.startswith(_DATA) and self._read_frame(line[len(_DATA) :]):
                self._pieces = []
                return

    def _read_frame(self, raw: bytes) -> bool:
        try:
            frame = _FRAME.decode(raw)
        except NOT_JSON:
            return False
        called = frame.response or frame.message or _Called()
        self.id = frame.id or called.id or frame.response_id or ""
        self.model = frame.model or called.model or frame.model_version or ""
        self._identified = bool(self.id or self.model)
        return self._identified
