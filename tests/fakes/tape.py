"""A provider that plays what was recorded, and breaks it off at a given byte in a given way.

A request steers it from within its user's text: `tape=stall@120` stands for the first 120 bytes of
the answer and then silence. The tape is that of the path's dialect, whole or streamed.

    cut        the connection is closed: in turn without the last chunk, without any framing, and
               after a proper end of the body
    reset      the connection is reset
    stall      nothing more comes, until the other end goes
    garbage    bytes that are no UTF-8 come in between, then the rest
    whole      everything
"""

import asyncio
import re
import socket
import threading
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import NamedTuple, Self

import uvloop

GARBAGE = b"\xff\xfe}{"
_WISH = re.compile(rb"tape=([a-z]+)@(\d+)")
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_ATTEMPT = re.compile(rb"\r\nx-client-request-id: (\S+)\r\n", re.IGNORECASE)
START_LIMIT_S = 20.0


class Tape(NamedTuple):
    """The body of one answer."""

    content_type: str
    body: bytes


class TapeDeck:
    """Plays `tapes`, by a part of the path that asks for them and by whether it is a stream.

    `obeys` says whether it heeds the wishes in requests. `sent` counts requests by attempt id.
    """

    def __init__(self, tapes: Mapping[tuple[str, bool], Tape], *, obeys: bool) -> None:
        self.tapes = tapes
        self.obeys = obeys
        self.sent: Counter[str] = Counter()
        self.port = 0
        self.key = "sk-tape-0000000000000000"
        self._loop = uvloop.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._run, name="tape", daemon=True)
        self._ready = threading.Event()
        self._stop = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(START_LIMIT_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_LIMIT_S)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection can carry another."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        attempt = _ATTEMPT.search(head)
        self.sent[attempt[1].decode() if attempt else ""] += 1
        tape = self._tape(head.partition(b"\r\n")[0].decode(), body)
        wish = _WISH.search(body)
        kind, at = (wish[1].decode(), int(wish[2])) if wish and self.obeys else ("whole", 0)
        await self._play(reader, writer, tape, kind, at)
        return kind in ("whole", "garbage")

    def _tape(self, request_line: str, body: bytes) -> Tape:
        stream = "stream" in request_line or b'"stream":true' in body.replace(b" ", b"")
        return next(
            tape
            for (path, streamed), tape in self.tapes.items()
            if path in request_line and streamed == stream
        )

    async def _play(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        tape: Tape,
        kind: str,
        at: int,
    ) -> None:
        framed = kind != "cut" or at % 3 != 1
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {tape.content_type}\r\n"
        head += "transfer-encoding: chunked\r\n\r\n" if framed else "connection: close\r\n\r\n"
        played = tape.body[:at]
        if kind == "whole":
            played = tape.body
        elif kind == "garbage":
            played = tape.body[:at] + GARBAGE + tape.body[at:]
        chunk = b"%x\r\n%b\r\n" % (len(played), played) if framed and played else played
        ends = kind in ("whole", "garbage") or (kind == "cut" and at % 3 == 2)
        writer.write(head.encode() + chunk + (b"0\r\n\r\n" if ends else b""))
        await writer.drain()
        if kind == "stall":
            await reader.read(1)
        elif kind == "reset":
            extra_info: socket.socket = writer.get_extra_info("socket")
            extra_info.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()
