"""HTTP/1.1 to one origin: connections that are kept, one request at a time on each.

    Origin       where a channel is reached; keeps idle connections, opens others
    Connection   sends a request, gives its answer: status and headers, then bytes as they come

The bytes are parsed by httptools (llhttp). Nothing is followed, decompressed or remembered, and
nothing is taken from the environment; names are resolved here, and every address of a name is
judged by the operator's policy before any is spoken to (promises.md, "Egress").

What goes wrong is told as a Reason, which the owner of the origin makes an exception of.
"""

import asyncio
import ipaddress
import re
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Literal, cast
from urllib.parse import urlsplit

import httptools

from lib.egress import EgressDenied, EgressPolicy

Reason = Literal[
    "denied", "name", "refused", "timeout", "tls", "closed", "reset", "slow", "head", "body"
]
"""The address is not permitted; the name is unknown; nobody listens; nobody answers in time; no
secure connection; closed without a byte of an answer; reset after the request; an answer whose
head begins and does not end in time; whose head cannot be read or is too large; whose body ends too
early or cannot be read."""

KEEP_ALIVE_S: Final = 30.0
_HEAD_BYTES_MAX: Final = 64 * 1024
_HEADERS_MAX: Final = 100
# A reader that is slower than its upstream holds back the upstream, not the memory (P9).
_BUFFER_BYTES_MAX: Final = 16 * 1024
# The event loop would read a quarter of a MiB at once, for each of them.
_READ_BYTES: Final = 64 * 1024
_GIVEN_BYTES_MAX: Final = 16 * 1024
_JOINED_BYTES_MAX: Final = 64 * 1024
_NAME_S: Final = 60.0
# How long a good answer of the name service is used while the service is away.
_NAME_STALE_S: Final = 300.0
_HEADER_UNSAFE: Final = re.compile(r"[\r\n\0]")
_TARGET: Final = re.compile(r"/[!-~]*")


# What is read is parsed at once, before anything else can be read: one buffer does for all.
_buffer: Final = bytearray(_READ_BYTES)


class Connection(asyncio.BufferedProtocol):
    """One connection. After `send` has returned, `status` and `headers` (names in small letters)
    are the answer's, and `next_bytes` gives its body; `release` or `cut` ends the exchange."""

    __slots__ = (
        "_alive",
        "_answered",
        "_begun",
        "_busy",
        "_closed",
        "_done",
        "_error",
        "_fed",
        "_head_timer",
        "_headers_seen",
        "_idle_since",
        "_interim",
        "_loop",
        "_origin",
        "_parser",
        "_paused",
        "_pieces",
        "_size",
        "_take",
        "_transport",
        "_unfit",
        "_until_close",
        "_used",
        "_waiter",
        "headers",
        "status",
    )

    def __init__(self, origin: "Origin", loop: asyncio.AbstractEventLoop) -> None:
        self._origin = origin
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._take: Callable[[bytes], bool] | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._error: Exception | None = None
        self._pieces: list[bytes] = []
        self._size = self._fed = self._headers_seen = 0
        self._busy = self._answered = self._begun = self._interim = self._until_close = False
        self._done = self._alive = True
        self._closed = self._paused = self._used = self._unfit = False
        self._idle_since = 0.0
        self.status = 0
        self.headers: dict[str, str] = {}

    # ---- for whoever sends

    async def send(self, head: bytes, body: bytes) -> None:
        """Send a request and wait for the head of its answer. Raises the origin's exception."""
        self._pieces.clear()
        self._size = self._fed = self._headers_seen = 0
        self._busy, self._answered, self._done = True, False, False
        if self._transport is None or self._closed:
            raise self._origin.failed("closed", "")
        if len(body) <= _JOINED_BYTES_MAX:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        while not self._answered:
            if self._error is not None:
                raise self._error
            await self._wait()

    async def next_bytes(self) -> bytes:
        """What has come of the body, b"" at its end. Raises the origin's exception when it ends too
        early, after what came before has been given."""
        while not self._pieces:
            if self._done:
                return b""
            if self._error is not None:
                raise self._error
            await self._wait()
        return self._given()

    async def hand_to(self, take: Callable[[bytes], bool]) -> None:
        """Hand over what comes of the body until `take` says True, in the very call that read it:
        a task that is woken for each piece costs more than the piece. b"" = there will be no more,
        however it ended."""
        while self._pieces or not (self._done or self._error is not None):
            if self._pieces:
                if take(self._given()):
                    return
                continue
            self._take = take
            try:
                if await self._wait():
                    return
            finally:
                self._take = None
        take(b"")

    def _given(self) -> bytes:
        """What has come, or as much of it as is given at once."""
        pieces = self._pieces
        if self._size <= _GIVEN_BYTES_MAX or len(pieces) == 1:
            raw = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            self._size = 0
        else:
            raw = self._first_pieces()
        if self._paused and self._size <= _BUFFER_BYTES_MAX:
            self._paused = False
            if self._transport is not None:
                self._transport.resume_reading()
        return raw

    def _first_pieces(self) -> bytes:
        """As much as is given at once; what comes of it is held in memory until it is written."""
        size = count = 0
        for piece in self._pieces:
            if count and size + len(piece) > _GIVEN_BYTES_MAX:
                break
            size += len(piece)
            count += 1
        raw = b"".join(self._pieces[:count])
        del self._pieces[:count]
        self._size -= size
        return raw

    @property
    def at_end(self) -> bool:
        """Whether everything has been read."""
        return self._done and not self._pieces

    def release(self) -> None:
        """Done: the connection is kept if the answer has come to its end."""
        transport = self._transport
        self._used = True
        if (
            self._done
            and self._alive
            and not self._closed
            and transport is not None
            and not transport.get_write_buffer_size()
        ):
            self._busy = False
            self._origin.keep(self)
        else:
            self.cut()

    def cut(self) -> None:
        """Close the connection now: the provider hears that nobody listens any more."""
        self._closed = True
        self._stop_head_timer()
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self) -> bool:
        """Until something has happened; whether it was handed over and `take` said True."""
        waiter: asyncio.Future[bool] = self._loop.create_future()
        self._waiter = waiter
        try:
            return await waiter
        finally:
            self._waiter = None

    # ---- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def secured(self, transport: asyncio.Transport) -> None:
        """TLS stands: from now on this is the transport."""
        self._transport = transport

    def get_buffer(self, sizehint: int) -> bytearray:
        return _buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = memoryview(_buffer)[:nbytes]
        if not self._busy:
            # Nothing was asked: whatever this is, it is no answer to the next request.
            self.cut()
            return
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail("body" if self._answered else "head", str(error))
            return
        if not self._answered:
            if self._unfit or self._fed > _HEAD_BYTES_MAX:
                self._fail("head", "the head is too large, or of another protocol")
            elif self._begun and self._head_timer is None:
                # Hardly any head comes in pieces (F12).
                self._head_timer = self._loop.call_later(self._origin.head_s, self._head_late)
            return
        if self._size > _BUFFER_BYTES_MAX and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if self._take is None:
            waiter.set_result(False)
            return
        try:
            while self._pieces:
                if self._take(self._given()):
                    waiter.set_result(True)
                    return
        except Exception as error:
            waiter.set_exception(error)
            return
        if self._done:
            waiter.set_result(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._origin.forget(self)
        if not self._busy or self._done:
            return
        if not self._answered:
            unheard = not self._fed and (exc is None or self._used)
            self._fail("closed" if unheard else "reset", str(exc or ""))
        elif self._until_close and exc is None:
            self._done = True
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(False)
        else:
            self._fail("body", str(exc or ""))

    def _head_late(self) -> None:
        self._head_timer = None
        self._fail("slow", "the head of the answer does not come to its end")

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _fail(self, reason: Reason, detail: str) -> None:
        self._alive = False
        if not self._done and self._error is None:
            self._error = self._origin.failed(reason, detail)
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(False)
        self.cut()

    # ---- the parser's calls

    def on_message_begin(self) -> None:
        if self._done:
            # More than was asked for stands behind the answer: this connection is out of step.
            self._alive = False
        else:
            self.headers = {}
            self._headers_seen = 0
            self._begun = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._answered:
            # A trailer, or the head of what nobody asked for.
            return
        self._headers_seen += 1
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        before = self.headers.get(key)
        self.headers[key] = text if before is None else f"{before}, {text}"

    def on_headers_complete(self) -> None:
        if self._done:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self._interim = True
            self._unfit = status == 101
            return
        headers = self.headers
        # The first bytes that were read may hold a head and much of the body.
        size = sum(len(name) + len(value) for name, value in headers.items())
        if size > _HEAD_BYTES_MAX or self._headers_seen > _HEADERS_MAX:
            self._unfit = True
            return
        self.status = status
        self._answered = True
        self._stop_head_timer()
        self._until_close = (
            "content-length" not in headers
            and "chunked" not in headers.get("transfer-encoding", "").lower()
        )

    def on_body(self, body: bytes) -> None:
        if not self._done:
            self._pieces.append(body)
            self._size += len(body)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = self._begun = False
            self._stop_head_timer()
        elif not self._done:
            self._done = True
            self._alive = self._alive and self._parser.should_keep_alive()

    # ---- for the origin

    @property
    def closed(self) -> bool:
        """Whether either end has closed it."""
        return self._closed

    def usable(self, now: float) -> bool:
        """Whether a kept connection may carry another request."""
        return not self._closed and now - self._idle_since < KEEP_ALIVE_S

    def kept(self, now: float) -> None:
        """It carries nothing from now on (loop time)."""
        self._idle_since = now


class Origin:
    """Scheme, host and port of an URL, spoken to as `policy` permits.

    `failed` makes the exception of a reason and a detail for the operator. `connect_s` bounds a
    connection, `tls_s` making it secure, `head_s` the head of an answer from its first bytes on.
    Without `reuse` each connection carries one request.
    """

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
    ) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        self._host = host if host.isascii() else host.encode("idna").decode()
        self._secure = parts.scheme == "https"
        self._port = parts.port or (443 if self._secure else 80)
        self._policy = policy
        self.failed = failed
        self._connect_s = connect_s
        self._tls_s = tls_s
        self.head_s = head_s
        self._reuse = reuse
        self._idle: deque[Connection] = deque()
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False
        named = f"[{self._host}]" if ":" in self._host else self._host
        standard = self._port == (443 if self._secure else 80)
        self.host_header = named if standard else f"{named}:{self._port}"

    async def connection(self, *, fresh: bool) -> Connection:
        """A connection that carries nothing; `fresh` asks for one that was never used."""
        if not fresh:
            now = asyncio.get_running_loop().time()
            while self._idle:
                found = self._idle.pop()
                if found.usable(now):
                    return found
                found.cut()
        return await self._open()

    def keep(self, connection: Connection) -> None:
        """Take back a connection whose answer has come to its end."""
        if not self._reuse or self._closed:
            connection.cut()
            return
        loop = asyncio.get_running_loop()
        connection.kept(loop.time())
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(KEEP_ALIVE_S, self._drop_old)

    def forget(self, connection: Connection) -> None:
        """The connection is closed."""
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """Close what carries nothing; the others close when their answer has been read."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        while self._idle:
            self._idle.pop().cut()

    def _drop_old(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._idle and not self._idle[0].usable(now):
            self._idle.popleft().cut()
        self._sweep = loop.call_later(KEEP_ALIVE_S, self._drop_old) if self._idle else None

    async def _open(self) -> Connection:
        addresses = await self._addresses()
        try:
            for address in addresses:
                self._policy.check(address)
        except (EgressDenied, ValueError) as error:
            raise self.failed("denied", str(error)) from error
        refused: OSError | None = None
        for address in addresses:
            try:
                return await self._open_to(address, self._connect_s / len(addresses))
            except OSError as error:
                refused = error
        timed_out = isinstance(refused, TimeoutError)
        raise self.failed("timeout" if timed_out else "refused", str(refused)) from refused

    async def _open_to(self, address: str, seconds: float) -> Connection:
        loop = asyncio.get_running_loop()
        made = Connection(self, loop)
        whole = False
        try:
            async with asyncio.timeout(seconds):
                transport, _ = await loop.create_connection(lambda: made, address, self._port)
            # The other end may be elsewhere than was asked for, where addresses are rewritten.
            self._policy.check(str(transport.get_extra_info("peername")[0]))
            if self._secure:
                made.secured(await self._secured(transport, made))
            whole = True
        except EgressDenied as error:
            raise self.failed("denied", str(error)) from error
        finally:
            if not whole:
                made.cut()
        return made

    async def _secured(
        self, transport: asyncio.Transport, protocol: Connection
    ) -> asyncio.Transport:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._tls_s):
                secure = await loop.start_tls(
                    transport, protocol, _tls_context(), server_hostname=self._host
                )
        except TimeoutError as error:
            raise self.failed("timeout", "no secure connection in time") from error
        except OSError as error:
            # Refused in the words of TLS, or dropped without a word by an end that speaks another.
            raise self.failed("tls", str(error)) from error
        # uvloop may tell no error when the other end closes in the middle of it.
        if secure is None or protocol.closed:
            raise self.failed("tls", "the connection was closed while it was made secure")
        return secure

    async def _addresses(self) -> Sequence[str]:
        try:
            ipaddress.ip_address(self._host)
        except ValueError:
            try:
                return await _resolve(self._host, self._port)
            except (OSError, UnicodeError) as error:
                raise self.failed("name", f"{self._host}: {error}") from error
        return [self._host]


def headers_bytes(headers: Sequence[tuple[str, str]]) -> bytes:
    """Header lines as they go out. Raises ValueError for what would end a line."""
    for _, value in headers:
        if _HEADER_UNSAFE.search(value):
            raise ValueError("a header's value holds a line end")
    return b"".join(f"{name}: {value}\r\n".encode() for name, value in headers)


def target_of(url: str) -> bytes:
    """Path and query of an URL as a request names them. Raises ValueError."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not _TARGET.fullmatch(target):
        raise ValueError(f"no request can go to {url[:200]!r}")
    return target.encode()


_context: ssl.SSLContext | None = None


def _tls_context() -> ssl.SSLContext:
    """One for the process: reading the system's certificates takes some milliseconds."""
    global _context
    if _context is None:
        _context = ssl.create_default_context()
    return _context


# What the name service said last of a host, and when (loop time); one question at a time of each.
_names: dict[tuple[str, int], tuple[float, Sequence[str]]] = {}
_asking: dict[tuple[str, int], "asyncio.Task[Sequence[str]]"] = {}


async def _resolve(host: str, port: int) -> Sequence[str]:
    key, now = (host, port), asyncio.get_running_loop().time()
    known = _names.get(key)
    if known is not None and now - known[0] < _NAME_S:
        return known[1]
    task = _asking.get(key)
    if task is None:
        task = _asking[key] = asyncio.create_task(_ask(host, port))
        task.add_done_callback(lambda _: _asking.pop(key, None))
    try:
        found = await asyncio.shield(task)
    except OSError:
        if known is not None and now - known[0] < _NAME_STALE_S:
            return known[1]
        raise
    _names[key] = (now, found)
    return found


async def _ask(host: str, port: int) -> Sequence[str]:
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))
