"""Upstreams: one guarded connection pool per channel, and their errors mapped once to faults
(`failures.py`).

Redirects are not followed, answers are not decompressed, cookies are not stored, and the
environment is not read. Addresses are checked after DNS resolution, by the operator's policy
(docs/promises.md, "Egress").
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from websockets.http11 import Response

from dialects.chat.chat import Dialect
from dialects.codec import Codec
from dialects.errors.errors import message_of
from gateway.breaker.faults import FAULTS
from gateway.providers.provider import Quirk
from gateway.providers.signing import Signer, secret_words
from lib.network.egress import EgressPolicy
from lib.network.outbound import Outbound
from lib.process.waiting import timeout
from relay.catalogue.snapshot import Channel, Snapshot
from relay.requests.uploads import OutgoingForm
from relay.upstream.connection_pool import ConnectionPool
from relay.upstream.credential_cache import CredentialCache, NoCredentials
from relay.upstream.failures import (
    UpstreamFailed,
    connection_lost,
    failure_of_status,
    upstream_failure,
)
from relay.upstream.http1 import Connection, Reason, headers_bytes, target_of
from relay.upstream.outgoing import OutgoingRequest, PassedRequest
from relay.upstream.websocket import UpstreamSocket
from usage.records.sql import UPSTREAM_ID_LENGTH

_TLS_HANDSHAKE_S = 5.0
# The time limit for the head of an answer after its first byte; at most half of the time until the
# first content (F12).
_HEAD_S = 30.0
_ERROR_BYTES_MAX = 64 * 1024
_ERROR_BODY_S = 5.0
_REST_BYTES_MAX = 64 * 1024
_CACHED_MAX = 256
# OpenAI and most others; Anthropic; Azure; Amazon.
_REQUEST_IDS = ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid")
_HEAD = b"POST %b HTTP/1.1\r\n%bx-client-request-id: %b\r\ncontent-length: %d\r\n\r\n"
_GET = b"GET %b HTTP/1.1\r\n%bx-client-request-id: %b\r\n%b\r\n"
_CONTENT = (("accept", "*/*"),)
_CONTENT_STATUSES = (200, 206, 416)
_REDIRECT_STATUSES = (301, 302, 303, 307, 308)
_REDIRECTS_MAX = 3
# The policy for addresses that a provider returns: the operator's lists do not extend it.
_PUBLIC = EgressPolicy()
_HEADERS = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "accept-encoding": "identity",
    "user-agent": "weir",
}
# The headers of requests outside any channel.
_PLAIN = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "weir"}


@dataclass(slots=True)
class _Upstream:
    """How a channel is reached: its origin, and the common headers of requests to it."""

    made_for: tuple[Channel, EgressPolicy]
    pool: ConnectionPool
    fields: dict[tuple[int, Dialect, tuple[tuple[str, str], ...], bool], bytes]
    targets: dict[str, bytes]


Answer = Connection
"""An upstream's answer with a successful head; end it by `release` or `cut`. Its exceptions are
UpstreamFailed (F14).
"""


class PassedAnswer(NamedTuple):
    """An answer, and what of the channel's own headers must not be in it. `drop_credentials`
    forgets temporary credentials that it refused."""

    answer: Answer
    secrets: Sequence[str]
    drop_credentials: Callable[[], None]


def request_id_of(answer: Answer) -> str:
    """Return the upstream's id of the request; "" if it does not report one."""
    headers = answer.headers
    for name in _REQUEST_IDS:
        if name in headers:
            return headers[name][:UPSTREAM_ID_LENGTH]
    return ""


async def read_rest(answer: Answer) -> None:
    """Read the bytes after the end marker, so that the connection can be reused."""
    size = 0
    try:
        while size < _REST_BYTES_MAX and (piece := await answer.next_bytes()):
            size += len(piece)
    except UpstreamFailed:
        return


class Upstreams:
    """The pools of all channels. `token_files` are the files that keys may name for their
    credentials."""

    def __init__(self, token_files: Collection[str] = ()) -> None:
        self._by_channel: dict[str, _Upstream] = {}
        self._credentials = CredentialCache(token_files)

    async def post(
        self,
        channel: Channel,
        policy: EgressPolicy,
        request: OutgoingRequest,
        attempt_id: str,
        *,
        key: int,
        fresh: bool,
        on_sent: Callable[[], None] | None = None,
    ) -> Answer:
        """Send a request; return the answer, whose status is 200 and whose content type is
        acceptable. `key` is the position of one of the channel's keys; `fresh` requires an unused
        connection (F32). `on_sent` is called before the first byte is sent. Raises UpstreamFailed.
        """
        upstream = self._upstream(channel, policy)
        signer = await self._signer(channel, policy, key)
        try:
            target = _target(upstream, request.url)
            fields = _fields(upstream, key, request)
            fields += _signature(signer, "POST", request.url, request.body)
        except ValueError as error:
            raise _unreachable("F1", f"{channel.name}: {error}") from error
        body, form = request.body, request.form
        if form is None:
            head = _HEAD % (target, fields, attempt_id.encode(), len(body))
        else:
            head = _form_head(target, fields, attempt_id, form)
        answer = await upstream.pool.connection(fresh=fresh)
        if on_sent is not None:
            on_sent()
        usable = False
        try:
            if form is None:
                await answer.send(head, body)
            else:
                await answer.send_pieces(head, form.pieces())
            headers = answer.headers
            if answer.status != 200 or headers.get("content-type") != request.content_type:
                try:
                    await _check_head(answer, request)
                except UpstreamFailed as failure:
                    failure.request_id = request_id_of(answer)
                    if failure.fault == "F5":
                        self._drop_credentials(channel, key, signer)
                    raise
            elif "content-encoding" in headers:
                check_encoding(answer)
            usable = True
        finally:
            if not usable:
                answer.cut()
        return answer

    async def pass_through(
        self,
        channel: Channel,
        policy: EgressPolicy,
        request: PassedRequest,
        attempt_id: str,
        *,
        key: int,
        fresh: bool,
    ) -> PassedAnswer:
        """Send a client's request as it came, with the channel's headers; return the answer,
        whatever its status. Raises UpstreamFailed, and what the request's body raises.
        """
        upstream, dialect = self._upstream(channel, policy), next(iter(channel.provider.dialects))
        signer = await self._signer(channel, policy, key)
        own, auth = dict(channel.headers[key][dialect]), channel.provider.spoken(dialect).auth
        # The client's version of the API replaces ours; nothing replaces a key.
        keys = {name: own[name] for name in ("authorization", auth.header) if name in own}
        secrets = {value.removeprefix(auth.scheme) for value in keys.values()}
        if signer is not None:
            signed = signer.headers(request.method, request.url, b"", int(time.time()))
            keys |= signed
            secrets |= secret_words(signed)
        headers = {"host": upstream.pool.host_header, "user-agent": "weir", **own}
        headers |= {**request.headers, "accept-encoding": "identity", **keys}
        headers["x-client-request-id"] = attempt_id
        try:
            target, fields = target_of(request.url), headers_bytes(tuple(headers.items()))
        except ValueError as error:
            raise _unreachable("F1", f"{channel.name}: {error}") from error
        head = b"%b %b HTTP/1.1\r\n%b" % (request.method.encode(), target, fields)
        answer = await upstream.pool.connection(fresh=fresh)
        usable = False
        try:
            if request.pieces is None:
                await answer.send(head + b"\r\n", b"")
            else:
                await answer.send_stream(head + request.framing + b"\r\n", request.pieces)
            usable = True
        finally:
            if not usable:
                answer.cut()
        drop = partial(self._drop_credentials, channel, key, signer)
        return PassedAnswer(answer, tuple(secrets), drop)

    async def get(
        self,
        channel: Channel,
        policy: EgressPolicy,
        url: str,
        request_id: str,
        *,
        codec: Codec[Any],
        key: int,
        range_: bytes = b"",
        statuses: Collection[int] = _CONTENT_STATUSES,
    ) -> Answer:
        """Get an address of the channel, or a part of it; return the answer, whose status is one of
        `statuses`. `codec` is that of the channel's dialect there. Raises UpstreamFailed.
        """
        upstream = self._upstream(channel, policy)
        request = OutgoingRequest(codec, url, b"", "", _CONTENT)
        signer = await self._signer(channel, policy, key)
        try:
            fields = _fields(upstream, key, request) + _signature(signer, "GET", url, b"")
            target = target_of(url)
        except ValueError as error:
            raise _unreachable("F1", f"{channel.name}: {error}") from error
        head = _GET % (target, fields, request_id.encode(), _range_header(range_))
        try:
            return await _got(upstream.pool, head, codec, statuses)
        except UpstreamFailed as failure:
            if failure.fault == "F5":
                self._drop_credentials(channel, key, signer)
            raise

    async def get_elsewhere(
        self,
        channel: Channel,
        policy: EgressPolicy,
        url: str,
        request_id: str,
        *,
        codec: Codec[Any],
        key: int | None = None,
        range_: bytes = b"",
    ) -> Answer:
        """Get an address that the channel's provider returned, following redirects; return the
        answer, whose status is 200, 206 or 416. Raises UpstreamFailed.

        Each address is checked again. `policy` is the channel's and applies to the channel's own
        origin only; for others only public addresses are permitted, whatever the operator lists.
        Only the own origin receives the channel's key, selected by `key`.
        """
        for _ in range(_REDIRECTS_MAX + 1):
            try:
                is_own = _origin(url) == _origin(_channel_url(channel))
            except ValueError as error:
                raise _unreachable("F1", f"{channel.name}: {error}") from error
            if is_own and key is not None:
                answer = await self.get(
                    channel, policy, url, request_id, codec=codec, key=key, range_=range_,
                    statuses=(*_CONTENT_STATUSES, *_REDIRECT_STATUSES),
                )  # fmt: skip
            else:
                answer = await _get_without_key(
                    channel, policy, url, request_id, codec=codec, range_=range_, is_own=is_own
                )
            if answer.status in _CONTENT_STATUSES:
                return answer
            location = answer.headers.get("location", "")
            answer.cut()
            if not location:
                break
            try:
                url = urljoin(url, location)
            except ValueError as error:
                raise _unreachable("F1", f"{channel.name}: {error}") from error
        raise upstream_failure("F21")

    async def change_over(
        self,
        channel: Channel,
        policy: EgressPolicy,
        request: OutgoingRequest,
        attempt_id: str,
        *,
        key: int,
    ) -> UpstreamSocket:
        """Open a WebSocket to the address of a request without a body. Raises UpstreamFailed."""
        upstream, own = self._upstream(channel, policy), channel.headers[key][request.codec.name]
        headers = {"user-agent": "weir"} | dict(own) | dict(request.client_headers)
        headers["x-client-request-id"] = attempt_id
        try:
            target_of(request.url)
            headers_bytes(tuple(headers.items()))
        except ValueError as error:
            raise _unreachable("F1", f"{channel.name}: {error}") from error
        connection = await upstream.pool.connection(fresh=True)
        socket, usable = UpstreamSocket(connection, request.url), False
        try:
            async with timeout(upstream.pool.head_s):
                response = await socket.open(tuple(headers.items()))
            _check_changed_over(socket, response, request.codec)
            usable = True
        except TimeoutError:
            raise upstream_failure("F12", seconds=max(1, int(upstream.pool.head_s))) from None
        finally:
            if not usable:
                socket.cut()
        return socket

    async def reachable(self, channel: Channel, policy: EgressPolicy) -> bool:
        """Return whether a connection to the channel can be opened; nothing is sent on it."""
        try:
            connection = await self._upstream(channel, policy).pool.connection(fresh=True)
        except UpstreamFailed:
            return False
        connection.cut()
        return True

    def retire(self, snapshot: Snapshot) -> None:
        """Close the connections of channels that were changed or removed."""
        for key, upstream in list(self._by_channel.items()):
            channel, policy = upstream.made_for
            if snapshot.channels.get(key) != channel or snapshot.egress is not policy:
                self._by_channel.pop(key).pool.close()
        self._credentials.retire(snapshot)

    def close(self) -> None:
        self._credentials.close()
        for upstream in self._by_channel.values():
            upstream.pool.close()
        self._by_channel.clear()

    async def _signer(self, channel: Channel, policy: EgressPolicy, key: int) -> Signer | None:
        """Return the signer for requests that use this key; None if they are not signed. Raises
        UpstreamFailed."""
        source = channel.credential_sources[key] if channel.credential_sources else None
        if source is None:
            return channel.signers[key] if channel.signers else None
        try:
            return await self._credentials.signer(source, channel, policy)
        except NoCredentials as error:
            raise _unreachable(error.fault, f"{channel.name}: {error.detail}") from error

    def _drop_credentials(self, channel: Channel, key: int, signer: Signer | None) -> None:
        """Forget temporary credentials that the provider refused."""
        source = channel.credential_sources[key] if channel.credential_sources else None
        if source is not None and signer is not None:
            self._credentials.drop(source, signer)

    def _upstream(self, channel: Channel, policy: EgressPolicy) -> _Upstream:
        upstream = self._by_channel.get(channel.id)
        # A request with an older snapshot uses the channel's former settings.
        if upstream is not None:
            made_for, allowed = upstream.made_for
            if allowed is policy and (made_for is channel or made_for == channel):
                return upstream
            upstream.pool.close()
        upstream = self._by_channel[channel.id] = _open_upstream(channel, policy)
        return upstream


def request_head(channel: Channel, request: OutgoingRequest, attempt_id: str) -> bytes:
    """Return the head of a request by a channel's first key; nothing is sent. Raises ValueError if
    no request can be made.
    """
    upstream = _open_upstream(channel, EgressPolicy())
    target, fields = _target(upstream, request.url), _fields(upstream, 0, request)
    return _HEAD % (target, fields, attempt_id.encode(), len(request.body))


def _range_header(range_: bytes) -> bytes:
    return b"range: %b\r\n" % range_ if range_ else b""


async def _get_without_key(
    channel: Channel,
    policy: EgressPolicy,
    url: str,
    request_id: str,
    *,
    codec: Codec[Any],
    range_: bytes,
    is_own: bool,
) -> Answer:
    """Get an address that the channel's provider returned, on a connection of its own. Raises
    UpstreamFailed.
    """
    if is_own:
        outbound, proxy_policy = channel.outbound, None
    else:
        # Only the channel's own host gets its client certificate and is judged by its authorities.
        # The operator has chosen the proxy, so the channel's policy judges that.
        outbound, proxy_policy, policy = Outbound(channel.outbound.proxy), policy, _PUBLIC
    try:
        pool = _open_pool(channel, policy, url, outbound, reuse=False, proxy_policy=proxy_policy)
        fields = headers_bytes(tuple({"host": pool.host_header, **_PLAIN}.items()))
        head = _GET % (target_of(url), fields, request_id.encode(), _range_header(range_))
    except ValueError as error:
        raise _unreachable("F1", f"{channel.name}: {error}") from error
    return await _got(pool, head, codec, (*_CONTENT_STATUSES, *_REDIRECT_STATUSES))


async def _got(
    pool: ConnectionPool, head: bytes, codec: Codec[Any], statuses: Collection[int]
) -> Answer:
    answer = await pool.connection(fresh=False)
    usable = False
    try:
        await answer.send(head, b"")
        if answer.status not in statuses:
            await _refuse_status(answer, codec)
        check_encoding(answer)
        usable = True
    finally:
        if not usable:
            answer.cut()
    return answer


def _form_head(target: bytes, fields: bytes, attempt_id: str, form: OutgoingForm) -> bytes:
    fields += b"content-type: %b\r\n" % form.content_type
    return _HEAD % (target, fields, attempt_id.encode(), form.size)


def _open_upstream(channel: Channel, policy: EgressPolicy) -> _Upstream:
    url = _channel_url(channel)
    reuse = Quirk.NO_CONNECTION_REUSE not in channel.provider.quirks
    pool = _open_pool(channel, policy, url, channel.outbound, reuse=reuse)
    return _Upstream((channel, policy), pool, {}, {})


def _channel_url(channel: Channel) -> str:
    """Return one address of the channel; all of them have the same origin."""
    return next(iter(channel.address.urls.values()))


def _origin(url: str) -> tuple[str, str, int]:
    """Return the scheme, host and port of an address. Raises ValueError if no request can be sent
    to it.
    """
    parts = urlsplit(url)
    host, port = parts.hostname, parts.port
    if parts.scheme not in ("https", "http") or not host or port == 0:
        raise ValueError(f"no request can go to {url[:200]!r}")
    if "@" in parts.netloc:
        raise ValueError("the address contains a user name or password")
    return parts.scheme, host, port or (443 if parts.scheme == "https" else 80)


def _open_pool(
    channel: Channel,
    policy: EgressPolicy,
    url: str,
    outbound: Outbound,
    *,
    reuse: bool,
    proxy_policy: EgressPolicy | None = None,
) -> ConnectionPool:
    head_s = min(_HEAD_S, channel.timeouts.first_content / 2)

    def failure_of(reason: Reason, detail: str) -> UpstreamFailed:
        if reason == "slow":
            return upstream_failure("F12", seconds=max(1, int(head_s)))
        return _failure_of_reason(reason, f"{channel.name}: {detail}")

    return ConnectionPool(
        url,
        policy,
        failure_of,
        connect_s=channel.timeouts.connect,
        tls_s=_TLS_HANDSHAKE_S,
        head_s=head_s,
        reuse=reuse,
        outbound=outbound,
        proxy_policy=proxy_policy,
    )


def _target(upstream: _Upstream, url: str) -> bytes:
    """Return the request target for an address; cached, as the same ones recur."""
    target = upstream.targets.get(url)
    if target is None:
        if len(upstream.targets) >= _CACHED_MAX:
            upstream.targets.clear()
        target = upstream.targets[url] = target_of(url)
    return target


def _fields(upstream: _Upstream, key: int, request: OutgoingRequest) -> bytes:
    """Return the common header lines of requests; the client's own replace ours. Raises
    ValueError.
    """
    dialect, client_headers = request.codec.name, request.client_headers
    is_form = request.form is not None
    cache_key = (key, dialect, client_headers, is_form)
    fields = upstream.fields.get(cache_key)
    if fields is None:
        if len(upstream.fields) >= _CACHED_MAX:
            upstream.fields.clear()
        channel_headers = upstream.made_for[0].headers[key][dialect]
        headers = {"host": upstream.pool.host_header, **_HEADERS}
        headers |= dict(channel_headers) | dict(client_headers)
        if is_form:
            # A form has another boundary each time.
            del headers["content-type"]
        fields = upstream.fields[cache_key] = headers_bytes(tuple(headers.items()))
    return fields


def _signature(signer: Signer | None, method: str, url: str, body: bytes) -> bytes:
    """Return the header lines that sign one request, if its provider requires a signature."""
    if signer is None:
        return b""
    return headers_bytes(tuple(signer.headers(method, url, body, int(time.time())).items()))


def _unreachable(fault: str, detail: str) -> UpstreamFailed:
    kind = FAULTS[fault].kind or "upstream_unreachable"
    return UpstreamFailed(fault, kind, message_of(kind), detail=detail)


def _failure_of_reason(reason: Reason, detail: str) -> UpstreamFailed:
    """Return the row of the fault table for a connection error."""
    if reason == "body":
        return upstream_failure("F14")
    if reason == "head":
        return upstream_failure("F22", "the provider's response headers cannot be read")
    if reason in ("closed", "reset"):
        return connection_lost("F32" if reason == "closed" else "F33", detail)
    return _unreachable(_FAULT_OF_REASON[reason], detail)


_FAULT_OF_REASON: Mapping[Reason, str] = MappingProxyType(
    {
        "denied": "F1",
        "refused": "F1",
        "name": "F2",
        "tls": "F3",
        "timeout": "F4",
    }
)


async def _check_head(answer: Answer, request: OutgoingRequest) -> None:
    """Raise UpstreamFailed unless an answer is a success of the requested type."""
    if answer.status != 200:
        await _refuse_status(answer, request.codec)
    check_encoding(answer)
    content_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == request.content_type or _is_acceptable(content_type, request.others):
        return
    body = await _read_error_body(answer)
    if not body.strip():
        raise upstream_failure("F24")
    if content_type == "application/json":
        # F23: an error object although a stream was requested.
        error = request.codec.read_error_object(body)
        if error.detail:
            raise UpstreamFailed(
                "F23", error.kind, error.message, status=error.status, detail=error.detail
            )
    raise upstream_failure("F19", "the provider's answer has the wrong content type")


def _is_acceptable(content_type: str, kinds: frozenset[str]) -> bool:
    return content_type in kinds or content_type.partition("/")[0] + "/*" in kinds


def check_encoding(answer: Answer) -> None:
    """Raise UpstreamFailed for a compressed answer: none is asked for (F20)."""
    encoding = answer.headers.get("content-encoding")
    if encoding and encoding.lower() != "identity":
        raise upstream_failure("F20", "the provider's answer is compressed")


def _check_changed_over(
    socket: UpstreamSocket, response: Response | None, codec: Codec[Any]
) -> None:
    """Raise UpstreamFailed for any response that is not a WebSocket."""
    if socket.is_open:
        return
    if response is None:
        raise connection_lost("F33")
    if response.status_code in (101, 200, 204):
        raise upstream_failure("F22", "the provider does not change over to a WebSocket")
    headers = {name.lower(): value for name, value in response.headers.raw_items()}
    body = bytes(response.body or b"")[:_ERROR_BYTES_MAX]
    raise failure_of_status(response.status_code, headers, body, codec)


async def _refuse_status(answer: Answer, codec: Codec[Any]) -> None:
    if answer.status in (204, 205):
        raise upstream_failure("F24")
    raise await read_failure(answer, codec)


async def read_failure(answer: Answer, codec: Codec[Any]) -> UpstreamFailed:
    """Return the failure that an unsuccessful answer reports, with its id of the request."""
    body = await _read_error_body(answer)
    failure = failure_of_status(answer.status, answer.headers, body, codec)
    failure.request_id = request_id_of(answer)
    return failure


async def read_beginning(answer: Answer) -> bytes:
    """Return the beginning of an error's body, at least what `failure_of_status` reads of it; the
    rest can be read afterwards. Raises UpstreamFailed."""
    body = b""
    while len(body) < _ERROR_BYTES_MAX and (piece := await answer.next_bytes()):
        body += piece
    return body


async def _read_error_body(answer: Answer) -> bytes:
    """Return the beginning of an error's body; a slow or broken one counts as empty."""
    pieces: list[bytes] = []
    size = 0
    try:
        async with timeout(_ERROR_BODY_S):
            while size < _ERROR_BYTES_MAX and (piece := await answer.next_bytes()):
                pieces.append(piece)
                size += len(piece)
    except (TimeoutError, UpstreamFailed):
        return b""
    return b"".join(pieces)
