"""The addresses to which the server may connect on somebody's behalf (docs/promises.md,
"Egress").

Resolved addresses are checked, never the text of a URL: `guarded_client` resolves a name once,
checks every answer, connects to an address that it checked, and checks the socket's peer address
again. It follows no redirect (`fetching.fetch_url` does, checking each), stores no cookies and does
not read the environment.

    EgressError
        EgressDenied    the address, the scheme or the form of the URL is not permitted
        Unreachable     a user's address does not answer, or is internal: the text is the same
        TooLarge        the response exceeds the permitted size
        Unresolved      the name has no address
        EgressFailed    no connection, no TLS, no answer in time, or a broken answer
          Unusable        a complete answer, but not the expected one

All outgoing HTTP uses this module (the relay has its own, equally guarded); it also offers the
parts of its client library that others need.
"""

import asyncio
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Final, Literal, TypeAlias

import httpcore
import httpx

from lib.network.outbound import DIRECT, Outbound, Proxy, ProxyFault, tls_context, tunnel
from lib.network.trust import trusted_context

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Answer: TypeAlias = httpx.Response
AsyncClient: TypeAlias = httpx.AsyncClient
Resolver: TypeAlias = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a host. Raises OSError."""

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
# Address ranges that were assigned for global use. The exceptions below are reserved ranges inside
# them, and ranges newer than Python's own table.
_GLOBAL_V6: Final = ipaddress.IPv6Network("2000::/3")
_NEVER: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # the former 6to4 relays
        "2001::/23",  # protocol assignments, Teredo in it
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)
# A host whose last label is a number is an address to some resolvers: 127.1, 0x7f.1, 2130706433.
_ENDS_IN_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?", re.IGNORECASE)
_HOST: Final = re.compile(r"[0-9a-z_-]+(?:\.[0-9a-z_-]+)*\.?", re.IGNORECASE)
AGENT: Final = "Weir"
HTTPS_PORT: Final = 443
_WRITTEN_BYTES: Final = 16 * 1024
BROKEN: Final = (httpx.HTTPError, httpx.InvalidURL, UnicodeError, httpcore.NetworkError)
"""The library's exceptions; UnicodeError if a redirect leads to an invalid name."""


class EgressError(Exception):
    """An outgoing request was not made, or failed."""


class EgressDenied(EgressError):
    """The address is private, and the operator did not permit it; or the URL is not acceptable."""


class Unresolved(EgressError):
    """The host has no address."""


class Unreachable(EgressError):
    """The address that a user named does not answer, or is internal. The message is the same for
    both, so that nobody can probe our network for open ports or existing names."""

    def __init__(self) -> None:
        super().__init__(
            "Only public https URLs on port 443 with a trusted certificate can be fetched."
        )


class EgressFailed(EgressError):
    """The address is permitted, but the request failed. `reason` says how."""

    def __init__(self, reason: Literal["refused", "tls", "timeout", "broken"], text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Unusable(EgressFailed):
    """The answer is complete, but not the expected one, such as another status than 200."""

    def __init__(self, text: str) -> None:
        super().__init__("broken", text)


class EgressPolicy:
    """Global unicast addresses, and the networks that the operator lists."""

    def __init__(self, allow: Iterable[str] = ()) -> None:
        self._allow: tuple[Network, ...] = tuple(ipaddress.ip_network(net) for net in allow)

    def permits(self, address: str) -> bool:
        if self.lists(address):
            return True
        ip = _unmap_address(ipaddress.ip_address(address.partition("%")[0]))
        if isinstance(ip, ipaddress.IPv6Address) and ip not in _GLOBAL_V6:
            return False
        if any(ip.version == net.version and ip in net for net in _NEVER):
            return False
        return ip.is_global and not ip.is_multicast and not ip.is_reserved

    def lists(self, address: str) -> bool:
        """Return whether the operator named its network."""
        ip = _unmap_address(ipaddress.ip_address(address.partition("%")[0]))
        return any(ip.version == net.version and ip in net for net in self._allow)

    @property
    def lists_any(self) -> bool:
        """Return whether the operator listed any network."""
        return bool(self._allow)

    def check(self, address: str) -> None:
        if not self.permits(address):
            raise EgressDenied(
                f"{address} is not a public address. "
                "An operator can permit it in settings.egress_allow."
            )


def _unmap_address(ip: Address) -> Address:
    """Return the IPv4 address inside a mapped, 6to4 or NAT64 address, which is checked instead."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip.sixtofour is not None:
        return ip.sixtofour
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip


def check_host(host: str) -> None:
    """Refuse a host that is not a name or an address in its canonical form. Forms that only some
    resolvers accept (decimal, octal, hexadecimal, shortened) are always refused."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if _ENDS_IN_NUMBER.fullmatch(host) or not _HOST.fullmatch(host):
            raise EgressDenied(
                f"{host[:100]!r} is neither a host name nor a plain address."
            ) from None


def literal_address(host: str) -> str | None:
    """Return the address that the host itself contains, or that of `localhost` (RFC 6761, section
    6.3). Return None for a name that must be resolved."""
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def resolve(host: str, port: int) -> list[str]:
    """Return every address of a host, from the system's resolver. Raises OSError."""
    resolved = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in resolved))


def permitted_addresses(
    policy: EgressPolicy, host: str, port: int, resolver: Resolver = resolve
) -> Sequence[str]:
    """Return the addresses of `host`, if all of them are permitted. Raises EgressError."""
    check_host(host)
    try:
        addresses = resolver(host, port)
    except (OSError, UnicodeError) as error:
        raise Unresolved(f"The name {host} cannot be resolved: {error}") from error
    if not addresses:
        raise Unresolved(f"The name {host} has no address.")
    for address in addresses:
        policy.check(address)
    return addresses


def guarded_client(
    policy: EgressPolicy,
    *,
    connect_s: float = 3.0,
    read_s: float = 10.0,
    until: float | None = None,
    schemes: Sequence[str] = ("https",),
    resolver: Resolver = resolve,
    outbound: Outbound = DIRECT,
) -> httpx.Client:
    """Return a client that can only connect to what the policy permits.

    Requests raise EgressError. An invalid TLS configuration raises BadPem. `read_s` limits each
    single read, `until` (`time.monotonic`) all of them: without it, a host that sends byte by byte
    holds the caller as long as it likes. `schemes` may include http when an operator wrote the
    address. With a proxy, the addresses of both the host and the proxy are checked.
    """
    network = GuardedNetwork(policy, resolver, outbound.proxy, until)
    trust = tls_context(outbound) if outbound.own_tls else system_trust()
    transport = _GuardedTransport(network, schemes, trust)
    return httpx.Client(
        transport=transport,
        timeout=httpx.Timeout(read_s, connect=connect_s),
        trust_env=False,
        follow_redirects=False,
        headers={"user-agent": AGENT, "accept-encoding": "identity"},
    )


def guarded_async_client(
    policy: EgressPolicy,
    *,
    schemes: Sequence[str],
    resolver: Resolver = resolve,
) -> AsyncClient:
    """Return a client like `guarded_client` for an event loop."""
    transport = _GuardedAsyncTransport(_AsyncNetwork(policy, resolver), schemes)
    return httpx.AsyncClient(
        transport=transport,
        timeout=httpx.Timeout(10.0, connect=3.0),
        trust_env=False,
        follow_redirects=False,
        headers={"user-agent": AGENT, "accept-encoding": "identity"},
    )


@contextmanager
def stream_request(
    client: httpx.Client,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    connected: Callable[[], None] = lambda: None,
) -> Iterator[Answer]:
    """Send a request and return the response with its body unread (`iter_raw`). `connected` is
    called when the connection is established, including TLS. Raises EgressError, also while the
    body is read inside the block."""

    def trace(event: str, info: Mapping[str, Any]) -> None:
        if event == "http11.send_request_headers.started":
            connected()

    with (
        translate_errors(),
        client.stream(
            method, url, headers=dict(headers), content=body, extensions={"trace": trace}
        ) as response,
    ):
        yield response


def send_request(
    client: httpx.Client, method: str, url: str, headers: Mapping[str, str], body: bytes
) -> Answer:
    """Send a request to a trusted host and return the whole response. Raises EgressError."""
    with translate_errors():
        return client.request(method, url, headers=dict(headers), content=body)


def exchanged_at_most(
    client: httpx.Client,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    bytes_max: int,
) -> Answer:
    """Like `send_request`, for a host whose response may be endless. Raises EgressError."""
    with (
        translate_errors(),
        client.stream(method, url, headers=dict(headers), content=body) as response,
    ):
        content = b""
        for piece in response.iter_raw():
            content += piece
            if len(content) > bytes_max:
                raise TooLarge(f"The answer has more than {bytes_max} bytes.")
        return httpx.Response(response.status_code, headers=response.headers, content=content)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise EgressError for the client library's errors."""
    try:
        yield
    except (httpx.TimeoutException, httpcore.TimeoutException) as error:
        raise EgressFailed("timeout", type(error).__name__) from error
    except (httpx.ConnectError, httpcore.ConnectError) as error:
        tls = isinstance(_root_of(error), ssl.SSLError)
        raise EgressFailed("tls" if tls else "refused", str(error)) from error
    except (httpx.LocalProtocolError, httpcore.ProtocolError) as error:
        # Do not keep the text, which quotes data that was sent, such as a header with its key, or
        # received.
        raise EgressFailed("broken", type(error).__name__) from error
    except BROKEN as error:
        raise EgressFailed("broken", str(error)) from error


class TooLarge(EgressError):
    """The file is larger than the permitted size."""


def check_named_by_user(policy: EgressPolicy, url: str) -> None:
    """Refuse addresses that a user may not name: plain http and ports other than 443, except for
    hosts in the networks that the policy lists. Raises EgressError.
    """
    host, port = host_and_port(url)
    if url.lower().startswith("https://") and port == HTTPS_PORT:
        return
    addresses = permitted_addresses(policy, host, port)
    if not all(policy.lists(address) for address in addresses):
        raise EgressDenied("The URL does not use https on port 443.")


def check_form_of_named(policy: EgressPolicy, url: str) -> None:
    """Refuse an address whose text already shows that `check_named_by_user` or the connector would
    refuse it. Resolves no name. Raises EgressDenied."""
    check_url(parse_url(url), ("https", "http"))
    host, port = host_and_port(url)
    literal = literal_address(host)
    if literal is not None:
        policy.check(literal)
    if not url.lower().startswith("https://") or port != HTTPS_PORT:
        listed = policy.lists_any if literal is None else policy.lists(literal)
        if not listed:
            raise EgressDenied("The URL does not use https on port 443.")


def host_and_port(url: str) -> tuple[str, int]:
    """Return the host and port of an http or https URL. Raises EgressDenied."""
    parsed = parse_url(url)
    host = parsed.host
    port = parsed.port or {"https": 443, "http": 80}.get(parsed.scheme)
    if port is None or not host:
        raise EgressDenied("The URL has no scheme or host that a request could go to.")
    return host, port


def parse_url(url: str) -> httpx.URL:
    """Return the parsed URL. Raises EgressDenied."""
    try:
        parsed = httpx.URL(url)
        # Reading the host raises for a name that IDNA does not permit.
        parsed.host  # noqa: B018
    except (httpx.InvalidURL, UnicodeError) as error:
        raise EgressDenied(f"The URL cannot be read: {error}") from error
    return parsed


def _root_of(error: BaseException) -> BaseException:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def check_url(url: httpx.URL, schemes: Sequence[str]) -> None:
    if url.scheme not in schemes:
        raise EgressDenied(f"The URL begins with {url.scheme}: expected {' or '.join(schemes)}.")
    if url.userinfo:
        raise EgressDenied("The URL contains a user name.")
    check_host(url.raw_host.decode("ascii").strip("[]"))


@cache
def system_trust() -> ssl.SSLContext:
    """Return a context with the trusted authorities. It is cached, because loading takes longer
    than many requests."""
    return trusted_context()


class _GuardedTransport(httpx.HTTPTransport):
    def __init__(
        self, network: "GuardedNetwork", schemes: Sequence[str], trust: ssl.SSLContext
    ) -> None:
        super().__init__(verify=trust, trust_env=False)
        # httpx has no argument for the network backend of its pool; httpcore has.
        self._pool._network_backend = network
        self._schemes = schemes

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        check_url(request.url, self._schemes)
        return super().handle_request(request)


class _GuardedAsyncTransport(httpx.AsyncHTTPTransport):
    def __init__(self, network: "_AsyncNetwork", schemes: Sequence[str]) -> None:
        super().__init__(verify=system_trust(), trust_env=False)
        self._pool._network_backend = network
        self._schemes = schemes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        check_url(request.url, self._schemes)
        return await super().handle_async_request(request)


class GuardedNetwork(httpcore.NetworkBackend):
    """Connects to checked addresses; the name is resolved here and nowhere else."""

    def __init__(
        self,
        policy: EgressPolicy,
        resolver: Resolver,
        proxy: Proxy | None,
        until: float | None = None,
    ) -> None:
        self._policy = policy
        self._resolver = resolver
        self._proxy = proxy
        self._until = until
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = permitted_addresses(self._policy, host, port, self._resolver)
        if self._proxy is None:
            return self._to_one_of(addresses, port, timeout)
        for address in addresses[:-1] if self._proxy.by_address else ():
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return self._through(self._proxy, address, port, timeout)
        target = addresses[-1] if self._proxy.by_address else host
        return self._through(self._proxy, target, port, timeout)

    def _to_one_of(
        self, addresses: Sequence[str], port: int, timeout: float | None
    ) -> httpcore.NetworkStream:
        last = len(addresses) - 1
        for n, address in enumerate(addresses):
            limit = timeout if self._until is None else _left_s(self._until, timeout)
            try:
                stream = self._inner.connect_tcp(address, port, limit)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if n == last:
                    raise
                continue
            try:
                self._policy.check(str(stream.get_extra_info("server_addr")[0]))
            except EgressDenied:
                stream.close()
                raise
            return stream if self._until is None else _TimedStream(stream, self._until)
        raise Unresolved("The name has no address.")

    def _through(
        self, proxy: Proxy, host: str, port: int, timeout: float | None
    ) -> httpcore.NetworkStream:
        """Return a connection to a host, or to an address, through a proxy."""
        addresses = permitted_addresses(self._policy, proxy.host, proxy.port, self._resolver)
        stream = self._to_one_of(addresses, proxy.port, timeout)
        connected = False
        try:
            talk = tunnel(proxy, host, port)
            to_send = next(talk)
            while not connected:
                if to_send:
                    stream.write(to_send, timeout)
                try:
                    to_send = talk.send(stream.read(4096, timeout))
                except StopIteration:
                    connected = True
        except ProxyFault as error:
            raise httpcore.ConnectError(str(error)) from error
        finally:
            if not connected:
                stream.close()
        return stream


class _TimedStream(httpcore.NetworkStream):
    """A stream whose operations all end by `until`, a time of `time.monotonic`."""

    def __init__(self, inner: httpcore.NetworkStream, until: float) -> None:
        self._inner, self._until = inner, until

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left_s(self._until, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # The inner stream gives each part that the host accepts the full time.
        for start in range(0, len(buffer), _WRITTEN_BYTES):
            piece = buffer[start : start + _WRITTEN_BYTES]
            self._inner.write(piece, _left_s(self._until, timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left_s = _left_s(self._until, timeout)
        inner = self._inner.start_tls(ssl_context, server_hostname, left_s)
        return _TimedStream(inner, self._until)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left_s(until: float, timeout: float | None) -> float:
    """Return the time that one operation has. Raises ReadTimeout after `until`."""
    left_s = until - time.monotonic()
    if left_s <= 0:
        raise httpcore.ReadTimeout
    return left_s if timeout is None else min(timeout, left_s)


class _AsyncNetwork(httpcore.AsyncNetworkBackend):
    def __init__(self, policy: EgressPolicy, resolver: Resolver) -> None:
        self._policy = policy
        self._resolver = resolver
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await asyncio.to_thread(
            permitted_addresses, self._policy, host, port, self._resolver
        )
        last = len(addresses) - 1
        for n, address in enumerate(addresses):
            try:
                stream = await self._inner.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if n == last:
                    raise
                continue
            try:
                self._policy.check(str(stream.get_extra_info("server_addr")[0]))
            except EgressDenied:
                await stream.aclose()
                raise
            return stream
        raise Unresolved(f"The name {host} has no address.")
