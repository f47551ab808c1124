"""A way to a provider that takes time: what is sent arrives later, in its order, however much."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast


class _End(asyncio.Protocol):
    """One end of a connection; `other` is where what it receives is sent, after the delay."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        early, self._early = self._early, []
        for data in early:
            self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._loop.call_later(self._delay_s, self._forward, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._loop.call_later(self._delay_s, self._close)

    def _forward(self, data: bytes) -> None:
        assert self.other is not None
        if self.other.transport is None:
            self.other._early.append(data)
        else:
            self.other.transport.write(data)

    def _close(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


@contextmanager
def far_away(port: int, round_trip_s: float) -> Iterator[int]:
    """A port by which the one of a provider is so far away."""
    loop, ready, ports = asyncio.new_event_loop(), threading.Event(), list[int]()
    connecting: set[asyncio.Task[object]] = set()

    def near() -> _End:
        client, provider = _End(round_trip_s / 2), _End(round_trip_s / 2)
        client.other, provider.other = provider, client
        task: asyncio.Task[object] = loop.create_task(
            loop.create_connection(lambda: provider, "127.0.0.1", port)
        )
        connecting.add(task)
        task.add_done_callback(connecting.discard)
        return client

    def run() -> None:
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(loop.create_server(near, "127.0.0.1", 0))
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        loop.run_forever()
        server.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
