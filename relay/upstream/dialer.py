"""Connect to a host. Names are resolved here, the operator's policy checks every address of a name
before any connection (docs/promises.md, "Egress"), and the addresses of a name are raced (RFC
8305). The environment is not read, and no data is sent.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections import deque
from collections.abc import Sequence
from itertools import zip_longest
from typing import Final
from urllib.parse import urlsplit

from lib.network.egress import EgressDenied, EgressPolicy
from lib.network.outbound import BadPem, Outbound, Proxy, Talk, tls_context, tunnel
from lib.network.trust import trusted_context
from lib.process.waiting import timeout
from relay.upstream.http1 import Connection, Owner

# The delay between two addresses of a name (RFC 8305, section 5).
_STAGGER_S: Final = 0.25
_NAME_S: Final = 60.0
# How long a successful DNS answer is used while DNS is unavailable.
_NAME_STALE_S: Final = 300.0


class Dialer:
    """Opens connections to the scheme, host and port of a URL, as `policy` permits and by the route
    `outbound`.

    `connect_s` limits a connection, `tls_s` its TLS handshake; `owner` owns the connections.
    `proxy_policy` is for untrusted hosts: it checks the proxy instead of `policy`, and the proxy
    receives the checked address, never a name that it would resolve again.
    """

    def __init__(
        self,
        url: str,
        policy: EgressPolicy,
        owner: Owner,
        outbound: Outbound,
        *,
        connect_s: float,
        tls_s: float,
        proxy_policy: EgressPolicy | None = None,
    ) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        self._host = host if host.isascii() else host.encode("idna").decode()
        self._secure = parts.scheme == "https"
        self._port = parts.port or (443 if self._secure else 80)
        self._policy = policy
        self._proxy_policy = policy if proxy_policy is None else proxy_policy
        self._tells_address = proxy_policy is not None
        self._owner = owner
        self.connect_s = connect_s
        self._tls_s = tls_s
        self._outbound = outbound
        self._context: ssl.SSLContext | None = None

    @property
    def host_header(self) -> str:
        """The value of `Host`."""
        named = f"[{self._host}]" if ":" in self._host else self._host
        standard = self._port == (443 if self._secure else 80)
        return named if standard else f"{named}:{self._port}"

    async def dial(self) -> Connection:
        """Return a new connection, which may already have been closed by the peer. Raises the
        owner's exception.
        """
        connection = await self._connect_to_any(
            await self._permitted_addresses(self._policy, self._host, self._port)
        )
        whole = False
        try:
            if self._secure:
                await self._secure_it(connection)
            whole = True
        finally:
            if not whole:
                connection.cut()
        return connection

    async def _permitted_addresses(
        self, policy: EgressPolicy, host: str, port: int
    ) -> Sequence[str]:
        """Return the addresses of a host, all of them permitted by a policy."""
        addresses = await self._addresses(host, port)
        try:
            for address in addresses:
                policy.check(address)
        except (EgressDenied, ValueError) as error:
            raise self._owner.failed("denied", str(error)) from error
        return interleave_addresses(addresses)

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            try:
                return await _resolve(host, port)
            except (OSError, UnicodeError) as error:
                raise self._owner.failed("name", f"{host}: {error}") from error
        return [host]

    async def _connect_to_any(self, addresses: Sequence[str]) -> Connection:
        """Return a connection to the first address that accepts, within the time limit."""
        proxy = self._outbound.proxy
        at: Sequence[str] = ()
        if proxy is not None:
            at = await self._permitted_addresses(self._proxy_policy, proxy.host, proxy.port)
        try:
            async with timeout(self.connect_s):
                if proxy is not None:
                    return await self._connect_through_proxy(proxy, at, addresses)
                if len(addresses) == 1:
                    return await self._connect(addresses[0])
                return await self._race(addresses)
        except TimeoutError as error:
            raise self._owner.failed("timeout", f"no connection in time: {error}") from error
        except OSError as error:
            raise self._owner.failed("refused", str(error)) from error
        except EgressDenied as error:
            raise self._owner.failed("denied", str(error)) from error

    async def _race(self, addresses: Sequence[str]) -> Connection:
        """Return the first connection that succeeds. The next address is tried when one fails, or
        after a delay. Raises the OSError of the last address."""
        left, trying = deque(addresses), set[asyncio.Task[Connection]]()
        failure = OSError("the name has no address")
        try:
            while left or trying:
                if left:
                    trying.add(asyncio.create_task(self._connect(left.popleft())))
                wait_s = _STAGGER_S if left else None
                done, _ = await asyncio.wait(
                    trying, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    trying.discard(task)
                    try:
                        return task.result()
                    except OSError as error:
                        failure = error
        finally:
            for task in trying:
                task.cancel()
                task.add_done_callback(_close_late)
        raise failure

    async def _connect(self, address: str) -> Connection:
        loop = asyncio.get_running_loop()
        connection = Connection(self._owner, loop)
        whole = False
        try:
            transport, _ = await loop.create_connection(lambda: connection, address, self._port)
            # The other end may differ from the requested one where addresses are rewritten.
            self._policy.check(str(transport.get_extra_info("peername")[0]))
            whole = True
        finally:
            if not whole:
                connection.cut()
        return connection

    async def _connect_through_proxy(
        self, proxy: Proxy, at: Sequence[str], addresses: Sequence[str]
    ) -> Connection:
        """Connect through a proxy at one of the addresses `at`, to one of `addresses`, or to the
        name if the proxy resolves it. Raises the OSError of the last try."""
        failure = OSError("the name has no address")
        by_address = proxy.by_address or self._tells_address
        for target in addresses if by_address else [self._host]:
            for address in at:
                try:
                    return await self._tunnel(proxy, address, target)
                except OSError as error:
                    failure = error
        raise failure

    async def _tunnel(self, proxy: Proxy, address: str, target: str) -> Connection:
        loop = asyncio.get_running_loop()
        way = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        whole = False
        try:
            way.setblocking(False)
            await loop.sock_connect(way, (address, proxy.port))
            self._proxy_policy.check(str(way.getpeername()[0]))
            await _talk_through(loop, way, tunnel(proxy, target, self._port))
            connection = Connection(self._owner, loop)
            await loop.create_connection(lambda: connection, sock=way)
            whole = True
        finally:
            if not whole:
                way.close()
        return connection

    def _own_context(self) -> ssl.SSLContext:
        if not self._outbound.own_tls:
            return _tls_context()
        if self._context is None:
            try:
                self._context = tls_context(self._outbound)
            except BadPem as error:
                raise self._owner.failed("tls", str(error)) from error
        return self._context

    async def _secure_it(self, connection: Connection) -> None:
        try:
            async with timeout(self._tls_s):
                secured = await connection.secure(self._own_context(), self._host)
        except TimeoutError as error:
            raise self._owner.failed("timeout", "no secure connection in time") from error
        except OSError as error:
            # Refused with a TLS alert, or dropped silently by a peer that speaks another protocol.
            raise self._owner.failed("tls", str(error)) from error
        if not secured:
            raise self._owner.failed("tls", "the connection was closed while it was made secure")


async def _talk_through(loop: asyncio.AbstractEventLoop, way: socket.socket, talk: Talk) -> None:
    """Exchange messages with a proxy until the tunnel is established. Raises OSError."""
    to_send = next(talk)
    while True:
        if to_send:
            await loop.sock_sendall(way, to_send)
        try:
            to_send = talk.send(await loop.sock_recv(way, 4096))
        except StopIteration:
            return


def interleave_addresses(addresses: Sequence[str]) -> list[str]:
    """Return the addresses alternating between IPv6 and IPv4, beginning with the family of the
    first one (RFC 8305, section 4)."""
    first = [address for address in addresses if (":" in address) == (":" in addresses[0])]
    other = [address for address in addresses if (":" in address) != (":" in addresses[0])]
    return [
        address for pair in zip_longest(first, other) for address in pair if address is not None
    ]


def _close_late(task: "asyncio.Task[Connection]") -> None:
    """Close a connection that succeeded after another one had."""
    if not task.cancelled() and task.exception() is None:
        task.result().cut()


_context: ssl.SSLContext | None = None


def _tls_context() -> ssl.SSLContext:
    """Return the process's TLS context, creating it once, because loading all authorities takes
    some milliseconds."""
    global _context
    if _context is None:
        _context = trusted_context()
    return _context


# The last result of the name service for a host, and its time (loop time); at most one query per
# host at a time.
_names: dict[tuple[str, int], tuple[float, Sequence[str]]] = {}
_resolving: dict[tuple[str, int], "asyncio.Task[Sequence[str]]"] = {}


async def _resolve(host: str, port: int) -> Sequence[str]:
    key, now = (host, port), asyncio.get_running_loop().time()
    known = _names.get(key)
    if known is not None and now - known[0] < _NAME_S:
        return known[1]
    task = _resolving.get(key)
    if task is None:
        task = _resolving[key] = asyncio.create_task(_resolve_host(host, port))
        task.add_done_callback(lambda _: _resolving.pop(key, None))
    try:
        addresses = await asyncio.shield(task)
    except OSError:
        if known is not None and now - known[0] < _NAME_STALE_S:
            return known[1]
        raise
    _names[key] = (now, addresses)
    return addresses


async def _resolve_host(host: str, port: int) -> Sequence[str]:
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))
