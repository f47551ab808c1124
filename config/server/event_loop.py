"""The event loop of a web process: uvloop's, extended to accept all waiting connections.

uvloop accepts one waiting connection per turn of the loop. A turn of a busy process takes 100 ms
and more, so only ten of a thousand new clients would be accepted per second, while connected
clients keep the process busy. Measured with 300 new clients beside 100 that send requests without a
pause (1 ms of CPU each): the last client was answered after 35 s, and with this loop after 1.2 s.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any, Final

import uvloop

from config.server.main_loop import wake_once_a_second
from lib.process import service_manager

ACCEPTED_AT_ONCE: Final = 64
"""The most connections accepted per turn."""

ProtocolFactory = Callable[[], asyncio.BaseProtocol]


class EventLoop(uvloop.Loop):
    """The class that `uvicorn --loop` refers to."""

    def __init__(self) -> None:
        super().__init__()
        # Before the server takes over the signals.
        wake_once_a_second()

    async def create_server(self, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:
        server = await super().create_server(protocol_factory, *args, **kwargs)
        self._notify_alive()
        return _Server(self, server, protocol_factory)

    def _notify_alive(self) -> None:
        if service_manager.is_there():
            service_manager.notify_alive()
            self.call_later(service_manager.EVERY_S, self._notify_alive)


class _Server:
    """Reads the sockets of a uvloop server in addition to uvloop. Whichever is first accepts the
    connection."""

    def __init__(self, loop: EventLoop, server: Any, protocol_factory: ProtocolFactory) -> None:
        self._loop = loop
        self._server = server
        self._protocol_factory = protocol_factory
        self._connecting: set[asyncio.Task[Any]] = set()
        # The loop cannot read a socket twice.
        self._listening = [socket.socket(fileno=os.dup(one.fileno())) for one in server.sockets]
        for listening in self._listening:
            listening.setblocking(False)
            loop.add_reader(listening, self._accept, listening)

    def close(self) -> None:
        while self._listening:
            listening = self._listening.pop()
            self._loop.remove_reader(listening)
            # If they were closed before being accepted, their requests would be lost.
            while self._accept(listening):
                pass
            listening.close()
        self._server.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)

    def _accept(self, listening: socket.socket) -> bool:
        """Accept waiting connections. Return False once none is waiting."""
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                accepted, _ = listening.accept()
            except OSError:
                # No connection is waiting, or there is no file descriptor left.
                return False
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connecting = self._loop.connect_accepted_socket(self._protocol_factory, accepted)
            task = self._loop.create_task(connecting)
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
        return True
