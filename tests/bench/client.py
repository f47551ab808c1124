"""The load client, the same for all that is measured: raw HTTP/1.1 over kept connections.

Each connection sends its next request when the last answer is whole. An answer that is not 200, or
that lacks a part of its stream, ends the measurement with an error: a wrong answer has no speed.
"""

import asyncio
import gc
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import httptools
import uvloop

from tests.bench.process import BenchError

_LIMIT_S = 150.0
_STILL_S = 0.25
_OPENED_AT_ONCE = 64
_ANSWER_ID = re.compile(rb'"id":\s?"chatcmpl-[a-z]+-(\d+)"')
_TEXT = re.compile(rb'"content":\s?"[^"]')


@dataclass(frozen=True)
class Target:
    """Where requests go: an address of this machine and the head that they have."""

    port: int
    headers: tuple[tuple[str, str], ...]
    model: str
    path: str = "/v1/chat/completions"

    def request(self, body: bytes) -> bytes:
        lines = [f"POST {self.path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        lines += ["Accept: application/json", "User-Agent: bench"]
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True)
class Load:
    """What is asked: `connections` at once, for `seconds` or `times` per connection; before that,
    on the same connections, for `warm_s` seconds (at least once each) that do not count.

    `events` is how many frames a stream has at least (0 = a plain answer). `timed` notes when each
    frame with text came; connections then begin one after the other, `stagger_s` apart.
    """

    body: bytes
    connections: int
    seconds: float = 0.0
    times: int = 0
    warm_s: float = 0.0
    events: int = 0
    timed: bool = False
    stagger_s: float = 0.0


@dataclass
class Taken:
    """What came back. Latencies in nanoseconds; arrivals by the number of the provider's row.
    `seen` is what was looked at when the load began and when all was over."""

    latencies: list[int] = field(default_factory=list)
    seen: list[list[int]] = field(default_factory=list)
    arrivals: dict[int, list[int]] = field(default_factory=dict)
    began: int = 0
    ended: int = 0

    @property
    def count(self) -> int:
        return len(self.latencies)

    @property
    def seconds(self) -> float:
        return (self.ended - self.began) / 1e9


def run(
    target: Target | Sequence[Target], load: Load, look: Callable[[], list[int]] = list
) -> Taken:
    """Put the load on, and return when every answer that was asked for is there. BenchError.
    Connections take turns at several targets.

    `look` is called when everything is warm and still, and again at the end: between the two
    stands no more than the work of the load itself.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        gc.collect()
        gc.disable()
        try:
            targets = [target] if isinstance(target, Target) else target
            return runner.run(_run(targets, load, look))
        finally:
            gc.enable()


async def _run(targets: Sequence[Target], load: Load, look: Callable[[], list[int]]) -> Taken:
    driver = _Driver(targets, load)
    try:
        async with asyncio.timeout(_LIMIT_S):
            await driver.open()
            if load.warm_s:
                await driver.ask_for(load.warm_s, 0)
                await asyncio.sleep(_STILL_S)
            driver.taken = Taken(seen=[look()])
            await driver.ask_for(load.seconds, load.times)
            # What a system does after its last answer (settling, logging) belongs to its requests.
            await asyncio.sleep(_STILL_S)
            driver.taken.seen.append(look())
    except TimeoutError:
        raise BenchError(
            f"port {targets[0].port}: only {driver.taken.count} answers within {_LIMIT_S:.0f} s"
        ) from None
    finally:
        driver.close()
    return driver.taken


class _Driver:
    """All connections of one load, and when it is over."""

    def __init__(self, targets: Sequence[Target], load: Load) -> None:
        self.load = load
        self._asked = [(target.port, target.request(load.body)) for target in targets]
        self.taken = Taken()
        self.loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self.loop.create_future()
        self._until = 0
        self._times = 0
        self._connections: list[_Connection] = []
        self._reconnecting: set[asyncio.Task[None]] = set()
        self._busy = 0

    async def open(self) -> None:
        for first in range(0, self.load.connections, _OPENED_AT_ONCE):
            number = min(_OPENED_AT_ONCE, self.load.connections - first)
            await asyncio.gather(*(self._connect(first + n) for n in range(number)))

    async def _connect(self, number: int) -> None:
        port, raw = self._asked[number % len(self._asked)]
        _, created = await self.loop.create_connection(
            lambda: _Connection(self, port, raw), "127.0.0.1", port
        )
        self._connections.append(created)

    def again(self, connection: "_Connection") -> None:
        """Connect once more, and ask then."""
        task = self.loop.create_task(self._reconnect(connection))
        self._reconnecting.add(task)
        task.add_done_callback(self._reconnecting.discard)

    async def _reconnect(self, connection: "_Connection") -> None:
        try:
            await self.loop.create_connection(lambda: connection, "127.0.0.1", connection.port)
        except OSError as error:
            self.fail(connection.port, f"cannot connect: {error}")
        else:
            connection.ask()

    async def ask_for(self, seconds: float, times: int) -> None:
        """Keep every connection busy for so long, or so often."""
        load, self._times = self.load, times
        self._done = self.loop.create_future()
        self._busy = len(self._connections)
        self.taken.began = time.monotonic_ns()
        self._until = self.taken.began + int(seconds * 1e9)
        for number, connection in enumerate(self._connections):
            connection.asked = 0
            self.loop.call_later(number * load.stagger_s, connection.ask)
        await self._done

    def finished(self, connection: "_Connection", now: int) -> None:
        """A connection has its answer: it asks again, or rests."""
        if (connection.asked < self._times) if self._times else (now < self._until):
            connection.ask()
            return
        self._busy -= 1
        if not self._busy and not self._done.done():
            self.taken.ended = now
            self._done.set_result(None)

    def fail(self, port: int, what: str) -> None:
        if not self._done.done():
            self._done.set_exception(BenchError(f"port {port}: {what}"))

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


class _Connection(asyncio.Protocol):
    """One connection and the answer that it reads."""

    def __init__(self, driver: _Driver, port: int, raw: bytes) -> None:
        self._driver, self.port, self._raw = driver, port, raw
        self._transport: asyncio.Transport
        self._parser: httptools.HttpResponseParser
        self._closing = self._lost = self._busy = False
        self._sent_at = 0
        self._ends = 0
        self._line_ended = False
        self._times: list[int] = []
        self._row = 0
        self._rest = b""
        self._status = 0
        self.asked = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpResponseParser(self)
        self._lost = False

    def ask(self) -> None:
        self._busy = True
        if self._lost:
            # A server may close a connection on which nothing was asked for a while.
            self._driver.again(self)
            return
        self.asked += 1
        self._ends, self._line_ended, self._rest = 0, False, b""
        self._times = []
        self._row = 0
        self._sent_at = time.monotonic_ns()
        self._transport.write(self._raw)

    def close(self) -> None:
        self._closing = True
        self._transport.abort()

    # ---- what comes

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._driver.fail(self.port, f"an answer cannot be read: {error!r}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if self._busy and not self._closing:
            self._driver.fail(
                self.port, f"a connection was closed after {self.asked} requests ({exc})"
            )

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        if self._status != 200:
            self._driver.fail(self.port, f"status {self._status}: {body[:300]!r}")
        load = self._driver.load
        if load.timed:
            self._note(body)
        elif load.events:
            self._ends += body.count(b"\n\n") + (self._line_ended and body.startswith(b"\n"))
            self._line_ended = body.endswith(b"\n") and not body.endswith(b"\n\n")

    def _note(self, body: bytes) -> None:
        now = time.monotonic_ns()
        *frames, self._rest = (self._rest + body).split(b"\n\n")
        self._ends += len(frames)
        for frame in frames:
            if not self._row and (result := _ANSWER_ID.search(frame)):
                self._row = int(result[1])
            if _TEXT.search(frame):
                self._times.append(now)

    def on_message_complete(self) -> None:
        now = time.monotonic_ns()
        driver = self._driver
        if self._status != 200:
            driver.fail(self.port, f"status {self._status}")
            return
        if self._ends < driver.load.events:
            driver.fail(
                self.port,
                f"a stream of {self._ends} frames, at least {driver.load.events} expected",
            )
            return
        self._busy = False
        driver.taken.latencies.append(now - self._sent_at)
        if driver.load.timed:
            driver.taken.arrivals[self._row] = self._times
        # The parser is still inside the answer; what it asks next is sent after this turn of it.
        driver.loop.call_soon(driver.finished, self, now)
