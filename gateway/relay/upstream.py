"""The far end: one connection pool per channel, guarded, and its errors mapped once to faults.

    UpstreamFailed     the attempt failed; `fault` is a row of the fault table

Nothing is followed, decompressed, remembered in cookies or taken from the environment. Addresses
are judged after they are resolved, by the policy of the operator (promises.md, "Egress").
"""

import asyncio
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from multidict import CIMultiDict
from yarl import URL

from gateway.codecs.chat import Dialect
from gateway.codecs.errors import KINDS, ErrorKind, message_of
from gateway.providers.provider import Quirk
from gateway.relay.dialects import Codec
from gateway.relay.snapshot import Channel, Snapshot
from gateway.rules.faults import FAULTS
from lib.egress import EgressDenied, EgressPolicy

_TLS_S = 5.0
_KEEP_ALIVE_S = 30.0
_HEADER_BYTES_MAX = 64 * 1024
_HEADERS_MAX = 100
_READ_BYTES = 64 * 1024
_ERROR_BYTES_MAX = 64 * 1024
_ERROR_BODY_S = 5.0
_REST_BYTES_MAX = 64 * 1024
_URLS_MAX = 256
_HEADERS = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "accept-encoding": "identity",
    "user-agent": "weir",
}


class UpstreamFailed(Exception):
    """An attempt failed. `fault` is a row of the fault table, the rest is for the client: the kind
    with its status and message, code and param where the provider's stand, and the wait that the
    upstream asked for. `detail` is for the operator."""

    def __init__(
        self,
        fault: str,
        kind: ErrorKind,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after_ms: int | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(f"{fault} {detail or message}")
        self.fault = fault
        self.kind = kind
        self.status = KINDS[kind].status if status is None else status
        self.message = message
        self.code = code
        self.param = param
        self.retry_after_ms = retry_after_ms
        self.detail = detail


def failed(fault: str, what: str = "", *, seconds: int = 0) -> UpstreamFailed:
    """The failure of a row whose kind the table names; `what` completes its phrase."""
    kind = FAULTS[fault].kind or "upstream_error"
    return UpstreamFailed(fault, kind, message_of(kind, what, seconds=seconds), detail=what)


class GuardedResolver(AbstractResolver):
    """Resolves names and refuses a name of which any address is not permitted."""

    def __init__(self, policy: EgressPolicy) -> None:
        self._policy = policy
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        results = await self._inner.resolve(host, port, family)
        for result in results:
            self._policy.check(result["host"])
        return results

    async def close(self) -> None:
        await self._inner.close()


@dataclass(slots=True)
class _Pool:
    """A channel's connections. It is closed when it is retired and its last answer has ended."""

    made_for: tuple[Channel, EgressPolicy]
    session: aiohttp.ClientSession
    headers: dict[Dialect, CIMultiDict[str]]
    urls: dict[str, URL]
    denied: str
    in_use: int = 0
    retired: bool = False


class Outgoing(NamedTuple):
    """A request as it goes out: to which address, in whose dialect, with which of its client's
    headers, and which kind of content its answer must have."""

    codec: Codec[Any]
    url: str
    body: bytes
    content_type: str
    passed: Mapping[str, str] = MappingProxyType({})


class Answer:
    """An upstream's answer whose head was a success; give it back by `release` or `cut`."""

    __slots__ = ("_closed", "_content", "_pool", "_response")

    def __init__(self, pool: _Pool, response: aiohttp.ClientResponse) -> None:
        self._pool = pool
        self._response = response
        self._content = response.content
        # The client library closes a connection whose framing breaks in the middle of a body, but
        # forgets to tell whoever reads the body.
        self._closed: asyncio.Future[None] | None = None
        connection = response.connection
        if connection is not None and connection.protocol is not None:
            self._closed = connection.protocol.closed
            if self._closed is not None:
                self._closed.add_done_callback(self._broken)

    def _broken(self, closed: "asyncio.Future[None]") -> None:
        if not closed.cancelled():
            closed.exception()
        if not self._content.is_eof() and self._content.exception() is None:
            self._content.set_exception(aiohttp.ClientPayloadError("the connection was closed"))

    def _forget(self) -> None:
        if self._closed is not None:
            self._closed.remove_done_callback(self._broken)
        self._pool.in_use -= 1

    async def next_bytes(self) -> bytes:
        """What has come, b"" at the end. Raises UpstreamFailed when the answer breaks (F14)."""
        try:
            return await self._content.readany()
        except aiohttp.ClientError as error:
            raise failed("F14") from error

    @property
    def at_end(self) -> bool:
        """Whether everything has been read."""
        return self._content.at_eof()

    async def rest(self) -> None:
        """Read what stands behind the end marker, so that the connection can be used again."""
        size = 0
        try:
            while size < _REST_BYTES_MAX and (piece := await self._content.readany()):
                size += len(piece)
        except aiohttp.ClientError:
            self._response.close()

    def release(self) -> None:
        """Done: the connection goes back to the pool if the answer was read to its end."""
        if self._content.at_eof():
            self._response.release()
        else:
            self._response.close()
        self._forget()

    def cut(self) -> None:
        """Close the connection now: the provider hears that nobody listens any more."""
        self._response.close()
        self._forget()


class Upstreams:
    """The pools of all channels."""

    def __init__(self) -> None:
        self._pools: dict[tuple[str, bool], _Pool] = {}
        self._retired: list[_Pool] = []

    async def post(
        self,
        channel: Channel,
        policy: EgressPolicy,
        outgoing: Outgoing,
        attempt: str,
        *,
        fresh: bool,
    ) -> Answer:
        """Send a request; the answer, whose status is 200 and whose kind of content fits.

        `fresh` sends on a connection that was never used before (F32). Raises UpstreamFailed.
        """
        pool = self._pool(channel, policy, fresh)
        if pool.denied:
            raise _unreachable("F1", pool.denied)
        headers = pool.headers[outgoing.codec.name].copy()
        headers["x-client-request-id"] = attempt
        if outgoing.passed:
            headers.update(outgoing.passed)
        pool.in_use += 1
        response: aiohttp.ClientResponse | None = None
        usable = False
        try:
            response = await pool.session.post(
                _url(pool, outgoing.url),
                data=outgoing.body,
                headers=headers,
                allow_redirects=False,
            )
            await _check_head(response, outgoing)
            usable = True
        except (aiohttp.ClientError, OSError, EgressDenied, ValueError) as error:
            raise _fault_of(error, channel) from error
        finally:
            if not usable:
                pool.in_use -= 1
                if response is not None:
                    response.close()
        return Answer(pool, response)

    async def retire(self, snapshot: Snapshot) -> None:
        """Let go of the pools of channels that are no longer so, once nobody reads from them."""
        for key, pool in list(self._pools.items()):
            channel, policy = pool.made_for
            if snapshot.channels.get(key[0]) != channel or snapshot.egress is not policy:
                self._retired.append(self._pools.pop(key))
        idle = [pool for pool in self._retired if pool.in_use == 0]
        self._retired = [pool for pool in self._retired if pool.in_use > 0]
        for pool in idle:
            await pool.session.close()

    async def close(self) -> None:
        for pool in [*self._pools.values(), *self._retired]:
            await pool.session.close()
        self._pools.clear()
        self._retired.clear()

    def _pool(self, channel: Channel, policy: EgressPolicy, fresh: bool) -> _Pool:
        key = (channel.id, fresh)
        pool = self._pools.get(key)
        # A request that began with an older snapshot speaks to the channel as it was then.
        if pool is None or pool.made_for != (channel, policy):
            if pool is not None:
                self._retired.append(pool)
            pool = self._pools[key] = _open_pool(channel, policy, fresh)
        return pool


def _open_pool(channel: Channel, policy: EgressPolicy, fresh: bool) -> _Pool:
    single = fresh or Quirk.NO_CONNECTION_REUSE in channel.provider.quirks
    connector = aiohttp.TCPConnector(
        limit=0,
        resolver=GuardedResolver(policy),
        ttl_dns_cache=60,
        **({"force_close": True} if single else {"keepalive_timeout": _KEEP_ALIVE_S}),
    )
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        timeout=aiohttp.ClientTimeout(
            total=None,
            connect=channel.timeouts.connect + _TLS_S,
            sock_connect=channel.timeouts.connect,
        ),
        read_bufsize=_READ_BYTES,
        max_line_size=_HEADER_BYTES_MAX,
        max_field_size=_HEADER_BYTES_MAX,
        max_headers=_HEADERS_MAX,
    )
    headers: dict[Dialect, CIMultiDict[str]] = {}
    for dialect, own in channel.headers.items():
        headers[dialect] = CIMultiDict(_HEADERS)
        headers[dialect].update(own)
    # Every address of a channel is on the same host.
    any_url = URL(next(iter(channel.address.urls.values())), encoded=True)
    return _Pool((channel, policy), session, headers, {}, _denied(any_url, policy))


def _url(pool: _Pool, text: str) -> URL:
    """The address as the client library wants it; remembered, as far as models do not differ."""
    url = pool.urls.get(text)
    if url is None:
        if len(pool.urls) >= _URLS_MAX:
            pool.urls.clear()
        url = pool.urls[text] = URL(text, encoded=True)
    return url


def _denied(url: URL, policy: EgressPolicy) -> str:
    """Why a host that is an address itself may not be reached, for no resolver will see it."""
    host = url.host or ""
    if not host.replace(".", "").isdigit() and ":" not in host:
        return ""
    try:
        policy.check(host)
    except (EgressDenied, ValueError) as error:
        return str(error)
    return ""


def _unreachable(fault: str, detail: str) -> UpstreamFailed:
    kind = FAULTS[fault].kind or "upstream_unreachable"
    return UpstreamFailed(fault, kind, message_of(kind), detail=detail)


def _fault_of(error: Exception, channel: Channel) -> UpstreamFailed:
    """The row of the fault table for an error of the client library before any head came."""
    for types, fault in _FAULT_OF_ERROR:
        if isinstance(error, types):
            if fault == "F22":
                return failed(fault, "the provider's head cannot be read")
            return _unreachable(fault, f"{channel.name}: {error}")
    raise error


# The first that fits counts, so the narrow ones come first.
_FAULT_OF_ERROR: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((EgressDenied,), "F1"),
    ((aiohttp.ClientConnectorDNSError,), "F2"),
    ((aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError), "F3"),
    ((aiohttp.ConnectionTimeoutError,), "F4"),
    ((TimeoutError,), "F4"),
    ((aiohttp.ClientConnectorError,), "F1"),
    ((aiohttp.ServerDisconnectedError,), "F32"),
    ((aiohttp.ClientResponseError, aiohttp.ClientPayloadError), "F22"),
    ((aiohttp.ClientConnectionResetError, aiohttp.ClientOSError, OSError), "F33"),
    ((aiohttp.ClientError, ValueError), "F1"),
)


async def _check_head(response: aiohttp.ClientResponse, outgoing: Outgoing) -> None:
    """Refuse every answer that is no success of the kind that was asked for."""
    headers = response.headers
    if response.status != 200:
        await _refuse_status(response, outgoing.codec)
    encoding = headers.get("Content-Encoding")
    if encoding and encoding.lower() != "identity":
        raise failed("F20", "the provider's answer is compressed")
    content_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if content_type == outgoing.content_type:
        return
    body = await _error_body(response)
    if not body.strip():
        raise failed("F24")
    if content_type == "application/json":
        # F23: an error object although a stream was asked for.
        told = outgoing.codec.read_error_object(body)
        if told.detail:
            raise UpstreamFailed(
                "F23", told.kind, told.message, status=told.status, detail=told.detail
            )
    raise failed("F19", "the provider's answer is of another kind")


async def _refuse_status(response: aiohttp.ClientResponse, codec: Codec[Any]) -> None:
    if response.status in (204, 205):
        raise failed("F24")
    headers = {name.lower(): value for name, value in response.headers.items()}
    body = await _error_body(response)
    told = codec.read_error(response.status, headers, body, int(time.time()))
    raise UpstreamFailed(
        told.fault,
        told.kind,
        told.message,
        status=told.status,
        code=told.code,
        param=told.param,
        retry_after_ms=told.retry_after_ms,
        detail=told.detail,
    )


async def _error_body(response: aiohttp.ClientResponse) -> bytes:
    """As much of an error's body as is looked at; a slow or broken one counts as empty."""
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_ERROR_BODY_S):
            while size < _ERROR_BYTES_MAX and (piece := await response.content.readany()):
                pieces.append(piece)
                size += len(piece)
    except (TimeoutError, aiohttp.ClientError):
        return b""
    return b"".join(pieces)
