"""Clients that ask again as soon as they are answered, each over a connection that it keeps; who is
told to come again later does so. Of a page that there is not, 404 is the answer."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from multiprocessing.connection import Connection
from typing import Any, cast

import httptools
import uvloop

from tests.bench.process import cpu_clock
from tests.runner import forks

_OPENED_AT_ONCE = 64
_LIMIT_S = 60.0


@dataclass
class Taken:
    """What a crowd was answered. While it was measured: `served_s` is how long each answer took,
    `served_cpu_s` what the process used meanwhile, for whomever; `cpu_s` what it used in all;
    `served_ids` are those that a model answered. From
    its first request on: `ids` of those that a model answered, `refused_s` how long each refusal
    took; `untyped` are those that have no kind or no wait. `lost_s` has a request whose connection
    ended before its answer: for how long the connection had been silent before."""

    served_s: list[float] = field(default_factory=list)
    served_cpu_s: list[float] = field(default_factory=list)
    served_ids: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    untyped: list[bytes] = field(default_factory=list)
    lost_s: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    measured_s: float = 0.0

    @property
    def goodput(self) -> float:
        """Answers each second."""
        return len(self.served_s) / self.measured_s

    @property
    def cpu_each_s(self) -> float:
        """The CPU time of the process for each of them, whatever else it did."""
        return self.cpu_s / len(self.served_s)

    @property
    def p99_s(self) -> float:
        return _p99(self.served_s)

    @property
    def p99_cpu_s(self) -> float:
        """As `p99_s`, by a clock that only goes while the process works: what other processes of
        the machine take from it changes nothing."""
        return _p99(self.served_cpu_s)


def _p99(values: list[float]) -> float:
    return sorted(values)[len(values) * 99 // 100]


def put_on(
    port: int,
    requests: Sequence[bytes],
    clients: int,
    *,
    seconds: float,
    pid: int,
    settling_s: float = 0.0,
) -> Taken:
    """Let so many clients ask the process `pid`, by one request after the other. It is measured for
    so long once each of them has had an answer, and the process `settling_s` to get used to them;
    then the last ones are heard to their end."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_put_on(_Crowd(port, requests, pid), clients, seconds, settling_s))


@contextmanager
def crowd_beside(
    port: int, requests: Sequence[bytes], clients: int, *, pid: int
) -> Iterator[Taken]:
    """So many clients that ask the process `pid` as long as the block runs, from a process of their
    own; they go on once each of them has had an answer. What they were answered is known behind
    the block."""
    ours, theirs = forks.context.Pipe()
    process = forks.context.Process(
        target=_keep_asking, args=(theirs, port, requests, clients, pid)
    )
    process.start()
    theirs.close()
    try:
        assert ours.recv() is None
        taken = Taken()
        yield taken
        ours.send(None)
        vars(taken).update(vars(ours.recv()))
    finally:
        process.terminate()
        process.join()
    assert not taken.lost_s, taken.lost_s
    assert not taken.untyped, taken.untyped[0]


def _keep_asking(
    pipe: "Connection[Any, Any]", port: int, requests: Sequence[bytes], clients: int, pid: int
) -> None:
    async def keep_asking() -> Taken:
        crowd, message = _Crowd(port, requests, pid), asyncio.Event()
        asyncio.get_running_loop().add_reader(pipe.fileno(), message.set)
        async with asyncio.timeout(_LIMIT_S):
            await crowd.gather(clients)
            began, cpu = time.monotonic(), crowd.cpu_ns()
            crowd.measuring = True
            pipe.send(None)
            await message.wait()
            crowd.measure_until_now(began, cpu)
            await crowd.end()
        return crowd.taken

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        taken = runner.run(keep_asking())
    # The loop has read from it, and left it without blocking.
    os.set_blocking(pipe.fileno(), True)
    pipe.send(taken)


async def _put_on(crowd: "_Crowd", clients: int, seconds: float, settling_s: float) -> Taken:
    async with asyncio.timeout(_LIMIT_S):
        await crowd.gather(clients)
        await asyncio.sleep(settling_s)
        began, cpu = time.monotonic(), crowd.cpu_ns()
        crowd.measuring = True
        await asyncio.sleep(seconds)
        crowd.measure_until_now(began, cpu)
        await crowd.end()
    return crowd.taken


class _Crowd:
    def __init__(self, port: int, requests: Sequence[bytes], pid: int) -> None:
        self.port = port
        self._clock = cpu_clock(pid)
        self.requests = cycle(requests)
        self.taken = Taken()
        self.measuring = False
        self.over = False
        self.all_answered = asyncio.Event()
        self.clients: list[_Client] = []
        self._silent = 0
        self._quiet = asyncio.Event()
        self._connecting = set[asyncio.Future[Any]]()

    def cpu_ns(self) -> int:
        """What the process that is asked has used."""
        return time.clock_gettime_ns(self._clock)

    def measure_until_now(self, began: float, cpu: int) -> None:
        self.measuring = False
        self.taken.measured_s = time.monotonic() - began
        self.taken.cpu_s = (self.cpu_ns() - cpu) / 1e9

    async def gather(self, clients: int) -> None:
        """Connect so many, and wait until each of them has had an answer."""
        for first in range(0, clients, _OPENED_AT_ONCE):
            number = min(_OPENED_AT_ONCE, clients - first)
            await asyncio.gather(*(self.connect() for _ in range(number)))
        await self.all_answered.wait()

    async def connect(self) -> None:
        self._silent += 1
        _, client = await asyncio.get_running_loop().create_connection(
            lambda: _Client(self), "127.0.0.1", self.port
        )
        self.clients.append(client)

    def connect_again(self, client: "_Client") -> None:
        connecting = asyncio.get_running_loop().create_connection(
            lambda: client, "127.0.0.1", self.port
        )
        task = asyncio.ensure_future(connecting)
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def heard_first(self) -> None:
        self._silent -= 1
        if not self._silent:
            self.all_answered.set()

    async def end(self) -> None:
        """Ask nothing more, and hear what was asked."""
        self.over = True
        while any(client.asking for client in self.clients):
            self._quiet.clear()
            await self._quiet.wait()
        for client in self.clients:
            client.close()

    def rest(self) -> None:
        self._quiet.set()


class _Client(asyncio.Protocol):
    def __init__(self, crowd: _Crowd) -> None:
        self._crowd = crowd
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._body = b""
        self._asked_at = self._answered_at = 0.0
        self._asked_cpu = 0
        self._heard = False
        self.asking = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.asking:
            self.asking = False
            self._crowd.taken.lost_s.append(self._asked_at - self._answered_at)
            self._crowd.rest()

    def close(self) -> None:
        self._transport.abort()

    def _ask(self) -> None:
        if self._crowd.over:
            return
        if self._transport.is_closing():
            # It has waited for longer than the server keeps a connection.
            self._parser = httptools.HttpResponseParser(self)
            self._crowd.connect_again(self)
            return
        self.asking, self._headers, self._body = True, {}, b""
        self._asked_at, self._asked_cpu = time.monotonic(), self._crowd.cpu_ns()
        self._transport.write(next(self._crowd.requests))

    # ---- what comes

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        crowd, status = self._crowd, self._parser.get_status_code()
        self.asking = False
        self._answered_at = time.monotonic()
        took_s, wait_s = self._answered_at - self._asked_at, 0.0
        crowd.taken.statuses[status] += 1
        if status in (200, 404):
            if status == 200:
                request_id = self._headers[b"x-request-id"].decode()
                crowd.taken.ids.append(request_id)
                if crowd.measuring:
                    crowd.taken.served_ids.append(request_id)
            if crowd.measuring:
                crowd.taken.served_s.append(took_s)
                crowd.taken.served_cpu_s.append((crowd.cpu_ns() - self._asked_cpu) / 1e9)
        else:
            crowd.taken.refused_s.append(took_s)
            wait_s = self._wait_s(status)
        if not self._heard:
            self._heard = True
            crowd.heard_first()
        self._loop.call_later(wait_s, self._ask)
        crowd.rest()

    def _wait_s(self, status: int) -> float:
        wait, exact_ms = (self._headers.get(b"retry-after" + unit, b"") for unit in (b"", b"-ms"))
        typed = status in (429, 503) and b'"code"' in self._body
        if not typed or not wait.isdigit() or not exact_ms.isdigit():
            self._crowd.taken.untyped.append(b"%d %s" % (status, self._body))
            return 1.0
        # As OpenAI's clients do: the exact one.
        return int(exact_ms) / 1000
