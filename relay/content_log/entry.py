"""What the content log of a web process and the process that writes it send each other.

    web process --> writer    Setup once, then an entry for each request
    writer --> web process    Ready once, then Ended for each batch, and lines of its log

A frame is the length of its message in four bytes, and the message as msgpack. Every answer of the
writer is about the oldest entries, so none needs a number.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast
from uuid import UUID

import msgspec

from content.guards.rules import GuardRule
from content.log.kept import Kept, Pieces

_LENGTH_BYTES: Final = 4

SpanContent = Mapping[str, str | bool]


class Caller(msgspec.Struct, frozen=True, array_like=True):
    """Whose request it is, and the rules of all policies that apply to it."""

    organisation_id: UUID
    team_id: UUID
    key_id: UUID
    user_id: int | None
    guard_rules: Sequence[GuardRule] = ()


class NewEntry(msgspec.Struct, frozen=True, array_like=True):
    """A settled request to keep. `at` is the database's time, in Unix seconds. `redact` are the
    guards whose findings are masked, `masked` the texts that are masked already, by placeholder,
    `cut` those that were cut, as `to_store` has them."""

    request_id: UUID
    caller: Caller
    session_id: UUID | None
    model: str
    dialect: str
    operation: str
    status: int
    at: float
    epoch: int
    retention_hours: int
    redact: Sequence[str]
    masked: Mapping[str, str]
    kept: Kept
    cut: Sequence[Pieces] = ()

    @property
    def size(self) -> int:
        return len(self.kept.request) + len(self.kept.answer)


class Setup(msgspec.Struct, frozen=True, tag=True):
    """What a writer needs: the database, the secret that opens data keys, and the address of the
    object store, "" for none."""

    dsn: str
    kek: str
    database_wait_s: float
    store: str = ""


class Submitted(msgspec.Struct, frozen=True, tag=True):
    """An entry for the writer; `described`: a span waits for its content."""

    entry: NewEntry
    described: bool = False


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The writer can take entries."""


class Ended(msgspec.Struct, frozen=True, tag=True):
    """That many of the oldest entries are over, and that many texts of them are not kept.
    `contents` are what spans wait for, of entries that are written."""

    entries: int
    dropped: int
    contents: Mapping[UUID, SpanContent]


class Line(msgspec.Struct, frozen=True, tag=True):
    """A line of the writer's log, with the name of its logger."""

    level: int
    name: str
    text: str


ToWriter = Setup | Submitted
FromWriter = Ready | Ended | Line

_encoder: Final = msgspec.msgpack.Encoder(uuid_format="bytes")
_to_writer: Final[msgspec.msgpack.Decoder[ToWriter]] = msgspec.msgpack.Decoder(ToWriter)
_from_writer: Final[msgspec.msgpack.Decoder[FromWriter]] = msgspec.msgpack.Decoder(FromWriter)


def frame(message: ToWriter | FromWriter) -> bytes:
    """Return a message as it is sent."""
    raw = _encoder.encode(message)
    return len(raw).to_bytes(_LENGTH_BYTES, "big") + raw


def read_for_writer(raw: bytes) -> ToWriter:
    return _to_writer.decode(raw)


def read_from_writer(raw: bytes) -> FromWriter:
    return _from_writer.decode(raw)


class Connection(asyncio.Protocol):
    """One end of the connection between both. `receive` is called with each message; `closed` ends
    is set when it is over. When nothing more comes, `on_eof` is called, and what is still to be
    said is sent."""

    def __init__(
        self, receive: Callable[[bytes], None], on_eof: Callable[[], None] | None = None
    ) -> None:
        """Without `on_eof`, the connection is closed when nothing more comes."""
        self._receive = receive
        self._on_eof = on_eof
        self._is_over = False
        self._transport: asyncio.Transport | None = None
        self._unread = bytearray()
        self.closed = asyncio.Event()

    def send(self, framed: bytes) -> None:
        """Send a frame. What the other end does not take waits in memory."""
        if self._transport is not None:
            self._transport.write(framed)

    def send_eof(self) -> None:
        """Tell the other end that nothing follows."""
        if self._transport is not None and not self._is_over:
            self._is_over = True
            self._transport.write_eof()

    def close(self) -> None:
        """Close it as soon as everything is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        unread, begin = self._unread, 0
        unread += data
        while len(unread) >= (body := begin + _LENGTH_BYTES):
            end = body + int.from_bytes(unread[begin:body], "big")
            if len(unread) < end:
                break
            self._receive(bytes(unread[body:end]))
            begin = end
        del unread[:begin]

    def eof_received(self) -> bool:
        if self._on_eof is None:
            return False
        self._on_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.closed.set()
        if self._on_eof is not None:
            self._on_eof()
