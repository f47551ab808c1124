"""The reusable connections to one origin, and their maximum number."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from lib.network.egress import EgressPolicy
from lib.network.outbound import DIRECT, Outbound
from lib.process.waiting import timeout
from relay.upstream.dialer import Dialer
from relay.upstream.http1 import Connection, Reason

KEEP_ALIVE_S: Final = 30.0
# A provider at which all requests hang uses at most this many sockets of the process.
_CONNECTIONS_MAX: Final = 2048


class ConnectionPool:
    """Connections to the scheme, host and port of a URL, as `policy` permits. `failed` creates the
    exception from a reason and a detail for the operator. `connect_s` limits connecting, `tls_s`
    the TLS handshake, `head_s` the head of an answer after its first bytes. Without `reuse` each
    connection carries one request. `outbound` is the network route; `proxy_policy` is as for a
    Dialer."""

    def __init__(
        self,
        url: str,
        policy: EgressPolicy,
        failed: Callable[[Reason, str], Exception],
        *,
        connect_s: float,
        tls_s: float,
        head_s: float,
        reuse: bool,
        outbound: Outbound = DIRECT,
        proxy_policy: EgressPolicy | None = None,
    ) -> None:
        self.failed = failed
        self.head_s = head_s
        self._dialer = Dialer(
            url, policy, self, outbound, connect_s=connect_s, tls_s=tls_s, proxy_policy=proxy_policy
        )
        self._reuse = reuse
        self._idle: deque[Connection] = deque()
        self._open: set[Connection] = set()
        # Open connections, and those being opened.
        self._places_taken = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False
        self.host_header = self._dialer.host_header

    async def connection(self, *, fresh: bool) -> Connection:
        """Return an idle connection; `fresh` requires one that was never used. If all are in use,
        wait for one no longer than opening one may take."""
        if not fresh and (connection := self._take_idle()) is not None:
            return connection
        if self._places_taken < _CONNECTIONS_MAX:
            self._places_taken += 1
            return await self._open_reserved()
        connection = self._take_idle() or await self._wait_for_turn()
        if connection is None:
            return await self._open_reserved()
        if not fresh:
            return connection
        # The room of the old connection is used for a new one.
        self._open.discard(connection)
        connection.cut()
        return await self._open_reserved()

    def keep(self, connection: Connection) -> None:
        """Take back a connection whose answer has ended."""
        if not self._reuse or self._closed:
            connection.cut()
            return
        if self._waiting and self._give_to_waiter(connection):
            return
        self._idle.append(connection)
        if self._sweep is None:
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_later(KEEP_ALIVE_S, self._drop_old)

    def forget(self, connection: Connection) -> None:
        """Remove a closed connection."""
        if connection in self._idle:
            self._idle.remove(connection)
        if connection in self._open:
            self._open.discard(connection)
            self._free_place()

    def close(self) -> None:
        """Close idle connections. The others close when their answer has been read."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        while self._idle:
            self._idle.pop().cut()

    def _take_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable(KEEP_ALIVE_S):
                return connection
            connection.cut()
        return None

    def _drop_old(self) -> None:
        loop = asyncio.get_running_loop()
        while self._idle and not self._idle[0].is_usable(KEEP_ALIVE_S):
            self._idle.popleft().cut()
        self._sweep = loop.call_later(KEEP_ALIVE_S, self._drop_old) if self._idle else None

    # ---- All connections in use

    async def _wait_for_turn(self) -> Connection | None:
        """Wait for a returned connection, first come first served; return None if a connection was
        closed, so that a new one may be opened."""
        place: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            async with timeout(self._dialer.connect_s):
                return await self._wait_for_place(place)
        except TimeoutError as error:
            message = f"all {_CONNECTIONS_MAX} connections are in use"
            raise self.failed("timeout", message) from error

    async def _wait_for_place(
        self, place: "asyncio.Future[Connection | None]"
    ) -> Connection | None:
        try:
            return await place
        except asyncio.CancelledError:
            # A connection was assigned just as the waiter was cancelled.
            if place.done() and not place.cancelled():
                connection = place.result()
                if connection is None:
                    self._free_place()
                else:
                    self.keep(connection)
            raise

    def _give_to_waiter(self, what: Connection | None) -> bool:
        """Give a returned connection, or the right to open one, to the next waiter. Return False if
        nobody waits."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(what)
                return True
        return False

    def _free_place(self) -> None:
        if not self._give_to_waiter(None):
            self._places_taken -= 1

    # ---- opening

    async def _open_reserved(self) -> Connection:
        """Open a connection. The caller has reserved room for it."""
        connection: Connection | None = None
        try:
            connection = await self._dialer.dial()
        finally:
            if connection is None or connection.closed:
                self._free_place()
            else:
                self._open.add(connection)
        return connection
