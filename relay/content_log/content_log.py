"""Hands settled requests over to the process that writes them, and never waits for it.

    add --> waiting, as frames --while few are with the writer--> sent --the writer says so--> over

The writer (`writer_process.py`) starts with the first entry. What waits here and what is with the
writer is bounded together; a request that finds no room is not kept, and counted. If the writer
dies, another one gets what was sent to it, and writes nothing twice. It gets the first entry alone:
if it dies too, it may have died of that one, which is then dropped and counted.
"""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from contextvars import Context
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

import msgspec

from relay.content_log.entry import (
    Caller,
    Connection,
    Ended,
    FromWriter,
    NewEntry,
    Ready,
    Setup,
    SpanContent,
    Submitted,
    frame,
    read_from_writer,
)
from relay.credentials.keys import Principal

log = logging.getLogger(__name__)

WRITER: Final = "relay.content_log.writer_process"
WAITING_BYTES_MAX: Final = 64 * 1024 * 1024
"""How much may wait in the memory of a web process and its writer together."""
# How much the writer has of it. It is there twice, because the web process keeps it too.
_SENT_BYTES_MAX: Final = 16 * 1024 * 1024
# What an entry takes beside its frame.
_ENTRY_BYTES: Final = 1024
_SENDINGS_MAX: Final = 2
# How long entries wait for others: a turn of the event loop and a transaction are for all of them.
_TOGETHER_S: Final = 0.25
_PAUSE_S_MIN, _PAUSE_S_MAX = 0.5, 30.0
_END_S: Final = 5.0
# How long a process that stops waits for a writer that finishes nothing.
_SILENT_S: Final = 10.0
_ROOMS: Final = Path(__file__).parents[2]


class Spans(Protocol):
    """The spans that wait for the content of requests."""

    def wait_for_content(self, request_id: UUID) -> bool:
        """Let the span of a request that will be written wait. Return False if it has none."""

    def end_waiting(self, request_id: UUID, content: SpanContent) -> None:
        """End the span of a request that is over; without content if it is not written."""


class _Waiting(msgspec.Struct):
    """An entry until it is over, as it is sent, and how often it was."""

    frame: bytes
    size: int
    span: UUID | None
    sendings: int = 0


class ContentLog:
    """The content log of one web process. `writer` is the module of its writer."""

    def __init__(self, setup: Setup, writer: str = WRITER, spans: Spans | None = None) -> None:
        self._setup = setup
        self._writer_module = writer
        self._spans = spans
        # Both from the oldest entry on: what waits to be sent, and what is with the writer.
        self._waiting = deque[_Waiting]()
        self._sent = deque[_Waiting]()
        # What is sent counts twice.
        self._bytes = self._sent_bytes = 0
        self._dropped = 0
        self._stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._sending: asyncio.TimerHandle | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._is_ready = False
        # Whether the present writer has finished an entry.
        self._works = False

    def add(self, entry: NewEntry) -> bool:
        """Keep a request, unless too much waits already. Return whether it is kept."""
        framed = frame(Submitted(entry))
        size = _ENTRY_BYTES + len(framed)
        if self._bytes + size > WAITING_BYTES_MAX or self._stopping.is_set():
            self.count_dropped(1)
            return False
        span = None
        if self._spans is not None and self._spans.wait_for_content(entry.request_id):
            # It has the same length.
            framed, span = frame(Submitted(entry, described=True)), entry.request_id
        self._waiting.append(_Waiting(framed, size, span))
        self._bytes += size
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep_writer(), context=Context())
        elif self._is_ready:
            self._send_soon()
        return True

    def count_dropped(self, number: int) -> None:
        """Count requests that should have been kept and are not."""
        self._dropped += number

    def take_dropped(self) -> int:
        """Return how many requests were not kept since the last call."""
        dropped, self._dropped = self._dropped, 0
        return dropped

    async def stop(self) -> None:
        """Let the writer write what waits, as far as the database and the store are available. What
        is not written when this is cancelled, or when the writer hangs, is dropped: at most too
        much is counted then."""
        self._stopping.set()
        if (keeper := self._keeper) is None:
            return
        if self._is_ready:
            self._send()
        try:
            left = -1
            while not keeper.done() and left != (left := len(self._sent) + len(self._waiting)):
                await asyncio.wait([keeper], timeout=_SILENT_S)
        finally:
            keeper.cancel()
            if self._connection is not None:
                self._connection.abort()
            self._drop([*self._sent, *self._waiting], "the process stops")
            self._sent.clear()
            self._waiting.clear()

    async def _keep_writer(self) -> None:
        """Run a writer after another while there are entries."""
        pause_s = _PAUSE_S_MIN
        while self._waiting:
            try:
                code = await self._run_writer()
            except (OSError, RuntimeError) as error:
                # No process, or no thread to wait for its end.
                failed = f"cannot start: {error}"
            else:
                failed = f"ended with {_name_of(code)}" if code else ""
            self._take_back()
            if failed:
                log.warning("the writer of the content log %s", failed)
                pause_s = _PAUSE_S_MIN if self._works else min(2 * pause_s, _PAUSE_S_MAX)
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._stopping.wait()
        self._keeper = None

    async def _run_writer(self) -> int:
        """Run a writer until it ends. Return its exit code."""
        self._works = False
        process, ours = _start(self._writer_module)
        connection = Connection(lambda raw: self._receive(read_from_writer(raw)))
        try:
            loop = asyncio.get_running_loop()
            await loop.connect_accepted_socket(lambda: connection, ours)
            self._connection = connection
            connection.send(frame(self._setup))
            await connection.closed.wait()
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(process.wait, _END_S)
        finally:
            self._is_ready, self._connection = False, None
            connection.abort()
            process.kill()
            # It ends at once, by a signal that no process can ignore.
            process.wait()
        return process.returncode

    def _receive(self, message: FromWriter) -> None:
        if isinstance(message, Ready):
            self._is_ready = True
            self._send()
        elif isinstance(message, Ended):
            self._works = True
            self.count_dropped(message.dropped)
            for _ in range(message.entries):
                waiting = self._sent.popleft()
                self._sent_bytes -= waiting.size
                self._bytes -= 2 * waiting.size
                self._end_span(waiting, message.contents)
            if self._sending is None:
                self._send()
        else:
            logging.getLogger(message.name).log(message.level, "%s", message.text)

    def _send_soon(self) -> None:
        if self._sending is None:
            self._sending = self._loop.call_later(_TOGETHER_S, self._send)

    def _send(self) -> None:
        """Send what waits, as far as the writer may have it: all of it to one that stops."""
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
        connection, stopping = self._connection, self._stopping.is_set()
        if connection is None:
            # It was lost in the meantime.
            return
        frames = list[bytes]()
        while self._waiting:
            size = self._waiting[0].size
            bytes_max = _SENT_BYTES_MAX if self._works else 0
            if self._sent and not stopping and self._sent_bytes + size > bytes_max:
                break
            waiting = self._waiting.popleft()
            waiting.sendings += 1
            self._sent.append(waiting)
            self._sent_bytes += size
            self._bytes += size
            frames.append(waiting.frame)
        if frames:
            connection.send(b"".join(frames))
        if stopping:
            connection.send_eof()

    def _take_back(self) -> None:
        """Let the next writer have what the last one did not finish."""
        lost = [waiting for waiting in self._sent if waiting.sendings >= _SENDINGS_MAX]
        again = [waiting for waiting in self._sent if waiting.sendings < _SENDINGS_MAX]
        self._waiting.extendleft(reversed(again))
        self._sent.clear()
        self._bytes -= self._sent_bytes + sum(waiting.size for waiting in lost)
        self._sent_bytes = 0
        self._drop(lost, "their writer died")

    def _drop(self, entries: list[_Waiting], why: str) -> None:
        if entries:
            self.count_dropped(len(entries))
            log.warning("%d requests are missing from the content log: %s", len(entries), why)
        for waiting in entries:
            self._end_span(waiting, {})

    def _end_span(self, waiting: _Waiting, contents: Mapping[UUID, SpanContent]) -> None:
        if self._spans is not None and waiting.span is not None:
            self._spans.end_waiting(waiting.span, contents.get(waiting.span, {}))


def caller_of(principal: Principal) -> Caller:
    """Return what the writer knows of the caller."""
    return Caller(
        principal.organisation_id,
        principal.team_id,
        principal.key_id,
        principal.user_id,
        principal.guard_rules,
    )


def _start(module: str) -> tuple["subprocess.Popen[bytes]", socket.socket]:
    """Start a writer. Return it and the connection to it. Raises OSError."""
    ours, theirs = socket.socketpair()
    path = [str(_ROOMS), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    with theirs:
        try:
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-P", "-m", module],
                env=environment,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
            )
        except OSError:
            ours.close()
            raise
    ours.setblocking(False)
    return process, ours


def _name_of(code: int) -> str:
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"exit code {code}"
