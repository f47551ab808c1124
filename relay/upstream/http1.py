"""One HTTP/1.1 connection of a client: one request at a time, and its response.

httptools (llhttp) parses responses strictly: header names are tokens, values have no control
characters, a message has one length. This module adds what it leaves open: the maximum size of a
section, and the supported versions and transfer codings. Nothing is decompressed. Errors are a
Reason, from which the connection's owner creates an exception.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from enum import Enum, auto
from itertools import chain
from typing import Final, Literal, Protocol, cast
from urllib.parse import urlsplit

import httptools

from relay.errors import RelayError

# The response -------------------------------------------------------------------------------------


# The maximum size of a header section, of trailers, and of the framing between two pieces of a body
# (F22).
_SECTION_BYTES_MAX: Final = 64 * 1024
_SECTION_FIELDS_MAX: Final = 100
_PIECES_BYTES_MAX: Final = 16 * 1024
_TOO_MUCH: Final = "there are too many header or trailer fields, or too large ones"


class State(Enum):
    """The state of an exchange (RFC 9112, section 2.1).

    IDLE       no request             request sent ->                 AWAITING
    AWAITING   the request is sent    first byte of a response ->     HEADERS
    HEADERS    its header section     end of an interim one ->        AWAITING
                                      end of the final one ->         BODY
    BODY       its message body       a trailer field ->              TRAILERS
                                      end ->                          COMPLETE
    TRAILERS   its trailer section    end ->                          COMPLETE
    COMPLETE   the whole response     it has been read ->             IDLE

    A message body without a length or chunks ends with its connection.
    """

    IDLE = auto()
    AWAITING = auto()
    HEADERS = auto()
    BODY = auto()
    TRAILERS = auto()
    COMPLETE = auto()


# Module-level constants: looking up an enum member for every piece would cost more than the
# comparison.
_IDLE, _AWAITING, _HEADERS, _BODY, _TRAILERS, _COMPLETE = State
ENDED: Final = (_COMPLETE, _IDLE)
BEFORE_BODY: Final = (_AWAITING, _HEADERS)


class Unreadable(RelayError):
    """The received data is not an acceptable HTTP response."""


class ResponseReader:
    """Reads the responses of one connection, one after the other. `status` and `headers`
    (lower-case names) are those of the latest. The received part of the body is in `pieces`, `size`
    bytes in total. `persists` tells whether the connection may carry another exchange,
    `until_close` whether the body ends with it; `unframed` counts the bytes since the last byte of
    a header section or body.
    """

    __slots__ = (
        "_fields",
        "_parser",
        "headers",
        "persists",
        "pieces",
        "size",
        "state",
        "status",
        "unframed",
        "until_close",
    )

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._fields: list[tuple[bytes, bytes]] = []
        self.state = _IDLE
        self.persists = True
        self.until_close = False
        self.status = 0
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self.size = self.unframed = 0

    def ask(self) -> None:
        """Expect a response, because a request is being sent."""
        self.pieces.clear()
        self.size = self.unframed = 0
        self.state = _AWAITING

    def feed(self, octets: memoryview) -> None:
        """Parse received data. Raises Unreadable."""
        self.unframed += len(octets)
        try:
            self._parser.feed_data(octets)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise Unreadable(str(error.__context__ or error)) from error
        if self.unframed > _SECTION_BYTES_MAX and self.state is not _COMPLETE:
            raise Unreadable("too much stands in the header section, or around the body")

    def end(self) -> None:
        """Handle the end of the data. This breaks the reference cycle with the parser, which
        otherwise would keep both in memory until the next garbage collection."""
        del self._parser

    def first_pieces(self) -> bytes:
        """Return the received part of the body, up to the size that may be forwarded in one write,
        because the result is held in memory until it is written."""
        pieces = self.pieces
        size = count = 0
        for piece in pieces:
            if count and size + len(piece) > _PIECES_BYTES_MAX:
                break
            size += len(piece)
            count += 1
        raw = b"".join(pieces[:count])
        del pieces[:count]
        self.size -= size
        return raw

    # ---- the parser's calls

    def on_message_begin(self) -> None:
        if self.state is _AWAITING:
            self.state = _HEADERS
            self._fields = []
        else:
            # Data after the end of the response: this connection is out of sync.
            self.persists = False

    def on_header(self, name: bytes, value: bytes) -> None:
        state = self.state
        if state is _COMPLETE:
            # Data of a response that nobody requested.
            return
        if state is _BODY:
            self.state = _TRAILERS
            self._fields = []
        self._fields.append((name, value))
        if len(self._fields) > _SECTION_FIELDS_MAX:
            raise Unreadable(_TOO_MUCH)

    def on_headers_complete(self) -> None:
        if self.state is not _HEADERS:
            return
        headers = self.headers = _read_fields(self._fields)
        status = self._parser.get_status_code()
        coding = headers.get("transfer-encoding")
        framed = coding is not None or "content-length" in headers
        if status < 200:
            _check_interim(status, framed)
            return
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise Unreadable(f"HTTP/{version} is not spoken")
        if coding is not None and coding.lower() != "chunked":
            raise Unreadable("the transfer coding is another than chunked")
        self.persists = self.persists and version == "1.1"
        self.until_close = not framed
        self.status = status
        self.unframed = 0
        self.state = _BODY

    def on_body(self, body: bytes) -> None:
        if self.state is _BODY:
            self.pieces.append(body)
            self.size += len(body)
            self.unframed = 0

    def on_message_complete(self) -> None:
        if self.state is _HEADERS:
            # An interim response, and nothing else.
            self.state = _AWAITING
        elif self.state is not _COMPLETE:
            if self.state is _TRAILERS:
                _check_size(self._fields)
            self.state = _COMPLETE
            self.persists = self.persists and self._parser.should_keep_alive()


def _read_fields(fields: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the values of a header section, by lower-case name. Raises Unreadable."""
    _check_size(fields)
    headers: dict[str, str] = {}
    for line, value in fields:
        name, text = line.decode("latin-1").lower(), value.decode("latin-1")
        if text.endswith((" ", "\t")):
            # The parser keeps white space after a value (RFC 9110, section 5.5).
            text = text.rstrip(" \t")
            if name == "transfer-encoding" and b"\t" in value:
                raise Unreadable("the parser does not know a transfer coding with a tab behind it")
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    return headers


def _check_size(fields: Sequence[tuple[bytes, bytes]]) -> None:
    if sum(map(len, chain.from_iterable(fields))) > _SECTION_BYTES_MAX:
        raise Unreadable(_TOO_MUCH)


def _check_interim(status: int, framed: bool) -> None:
    """Check an interim response (RFC 9110, section 15.2). Raises Unreadable."""
    if status < 100 or status == 101:
        raise Unreadable(f"nothing was asked for that is answered by {status}")
    if framed:
        raise Unreadable("an interim answer has no body")


# The connection -----------------------------------------------------------------------------------


Reason = Literal[
    "denied", "name", "refused", "timeout", "tls", "closed", "reset", "slow", "head", "body"
]
"""The address is not permitted; the name is unknown; the connection was refused; no connection in
time; no secure connection; a kept connection was closed without a byte of an answer; closed or
reset after the request, which may have been received; an answer whose head did not end in time;
whose head is unreadable or too large; whose body ended too early or is unreadable.
"""

# Beyond this, a slow reader stops the upstream instead of filling the memory (P9).
_BUFFER_BYTES_MAX: Final = 16 * 1024
# The event loop would read 256 KiB in one go, for each connection.
_READ_BYTES: Final = 64 * 1024
_JOINED_BYTES_MAX: Final = 64 * 1024
# How long after a request a peer's close may have been sent before it: the longest way there and
# back. No provider bills an answer in that time.
_RACE_S: Final = 0.5
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE_UNSAFE: Final = re.compile(r"[\0-\x08\x0a-\x1f\x7f]")
_TARGET: Final = re.compile(r"/[!-~]*")
# Module-level constants: looking up an enum member for every piece would cost more than the
# comparison.
_IDLE, _AWAITING, _HEADERS, _COMPLETE = (
    State.IDLE,
    State.AWAITING,
    State.HEADERS,
    State.COMPLETE,
)

# Data is parsed as soon as it is read, so one buffer serves all connections. Over TLS asyncio fills
# it in steps, by slices; slices of a bytearray would be copies.
_buffer: Final = memoryview(bytearray(_READ_BYTES))


class Owner(Protocol):
    """Opens connections and takes them back. `head_s` limits the head of an answer after its first
    bytes; `failed` creates the exception from a reason and a detail for the operator."""

    @property
    def head_s(self) -> float: ...

    @property
    def failed(self) -> Callable[[Reason, str], Exception]: ...

    def keep(self, connection: "Connection") -> None:
        """Take back a connection whose exchange has ended, so that another exchange can use it."""

    def forget(self, connection: "Connection") -> None:
        """Remove a closed connection."""


class Connection(asyncio.BufferedProtocol):
    """One connection. After `send` has returned, `status` and `headers` (lower-case names) are the
    response's, and `next_bytes` returns its body; `release` or `cut` ends the exchange. The state
    of the exchange is in its reader; a connection without a transport is closed.
    """

    __slots__ = (
        "_error",
        "_full",
        "_head_timer",
        "_idle_since",
        "_loop",
        "_owner",
        "_paused",
        "_response",
        "_room",
        "_take",
        "_transport",
        "_used_at",
        "_waiter",
        "headers",
        "status",
    )

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self._owner = owner
        self._loop = loop
        self._response = ResponseReader()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._take: Callable[[bytes], bool] | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._error: Exception | None = None
        self._paused = False
        # The transport's write buffer is full.
        self._full = False
        # Set when it has room again, or the connection is lost; for a body that still arrives.
        self._room: asyncio.Future[None] | None = None
        # Loop time; None before the end of its first exchange.
        self._idle_since: float | None = None
        # The latest time at which a kept connection was taken or given back (loop time).
        self._used_at: float | None = None
        self.status = 0
        self.headers: dict[str, str] = {}

    # ---- for whoever sends

    async def send(self, head: bytes, body: bytes) -> None:
        """Send a request and wait for the headers of its response. Raises the owner's exception."""
        response, transport = self._response, self._transport
        response.ask()
        if transport is None:
            raise self._owner.failed("closed", "")
        if len(body) <= _JOINED_BYTES_MAX:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)
        while response.state in BEFORE_BODY:
            if self._error is not None:
                raise self._error
            await self._wait()
        self.status, self.headers = response.status, response.headers

    async def send_pieces(self, head: bytes, pieces: Iterator[bytes]) -> None:
        """Send a request with a body in pieces, no faster than the peer reads it, and wait for the
        headers of its response. If the peer responds early, the rest is not sent, and the
        connection is not kept. Raises the owner's exception.
        """
        response, transport = self._response, self._transport
        response.ask()
        if transport is None:
            raise self._owner.failed("closed", "")
        transport.write(head)
        for piece in pieces:
            while self._full and self._may_send_more:
                await self._wait()
            if not self._may_send_more:
                response.persists = False
                break
            transport.write(piece)
        while response.state in BEFORE_BODY:
            if self._error is not None:
                raise self._error
            await self._wait()
        self.status, self.headers = response.status, response.headers

    async def send_stream(self, head: bytes, pieces: AsyncIterator[bytes]) -> None:
        """Send a request like `send_pieces`, with a body that is still arriving. Also raises what
        `pieces` raises."""
        response, transport = self._response, self._transport
        response.ask()
        if transport is None:
            raise self._owner.failed("closed", "")
        transport.write(head)
        upload = self._loop.create_task(self._upload(pieces))
        upload.add_done_callback(self._upload_ended)
        try:
            while response.state in BEFORE_BODY:
                if self._error is not None:
                    raise self._error
                if upload.done() and (error := upload.exception()) is not None:
                    raise error
                await self._wait()
        finally:
            if not upload.done():
                response.persists = False
                upload.cancel()
        self.status, self.headers = response.status, response.headers

    async def _upload(self, pieces: AsyncIterator[bytes]) -> None:
        async for piece in pieces:
            if self._transport is None:
                return
            self._transport.write(piece)
            while self._full and self._transport is not None:
                self._room = self._loop.create_future()
                await self._room

    def _upload_ended(self, upload: "asyncio.Task[None]") -> None:
        self._wake()

    @property
    def _may_send_more(self) -> bool:
        """Return whether the peer still expects the rest of the request's body."""
        return self._error is None and self._response.state in BEFORE_BODY

    async def next_bytes(self) -> bytes:
        """Return the received part of the body, b"" at its end. If the body ends too early, return
        the received part first, then raise the owner's exception."""
        response = self._response
        while not response.pieces:
            if response.state in ENDED:
                return b""
            if self._error is not None:
                raise self._error
            await self._wait()
        return self._take_pieces()

    async def hand_to(self, take: Callable[[bytes], bool]) -> None:
        """Pass each received piece of the body to `take` until it returns True. `take` runs
        directly in the callback that read the piece, because waking a task would cost more than the
        piece. b"" means that no more will arrive, for whatever reason."""
        response = self._response
        while response.pieces or not (response.state in ENDED or self._error is not None):
            if response.pieces:
                if take(self._take_pieces()):
                    return
                continue
            self._take = take
            try:
                if await self._wait():
                    return
            finally:
                self._take = None
        take(b"")

    def _take_pieces(self) -> bytes:
        """Return the received part of the body. Reading resumes when little is left."""
        response = self._response
        raw = response.first_pieces()
        if self._paused and response.size <= _BUFFER_BYTES_MAX:
            self._paused = False
            if self._transport is not None:
                self._transport.resume_reading()
        return raw

    @property
    def at_end(self) -> bool:
        """Whether the whole response has been read."""
        return self._response.state in ENDED and not self._response.pieces

    def release(self) -> None:
        """End the exchange. The connection is kept if the response is complete."""
        response, transport = self._response, self._transport
        if (
            response.state is _COMPLETE
            and response.persists
            and transport is not None
            and not transport.get_write_buffer_size()
        ):
            response.state = _IDLE
            self._idle_since = self._used_at = self._loop.time()
            self._owner.keep(self)
        else:
            self.cut()

    def cut(self) -> None:
        """Close the connection now, so that the provider notices the disconnect."""
        self._stop_head_timer()
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    async def _wait(self) -> bool:
        """Wait until something has happened. Return whether data was passed on and `take` returned
        True.
        """
        waiter: asyncio.Future[bool] = self._loop.create_future()
        self._waiter = waiter
        try:
            return await waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(False)

    # ---- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._wake()

    def get_buffer(self, sizehint: int) -> memoryview:
        return _buffer

    def buffer_updated(self, nbytes: int) -> None:
        response = self._response
        state = response.state
        if state is _COMPLETE or state is _IDLE:
            # Unsolicited data cannot be a response to the next request.
            self.cut()
            return
        try:
            response.feed(_buffer[:nbytes])
        except Unreadable as error:
            self._fail("head" if response.state in BEFORE_BODY else "body", str(error))
            return
        state, waiter = response.state, self._waiter
        if state is _HEADERS:
            if self._head_timer is None:
                # Header sections rarely arrive in pieces (F12).
                self._head_timer = self._loop.call_later(self._owner.head_s, self._head_late)
            return
        if self._head_timer is not None:
            self._stop_head_timer()
        if state is _AWAITING:
            return
        # Pass a piece of the body, or its end, to the waiting reader.
        if response.size > _BUFFER_BYTES_MAX and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        if waiter is None or waiter.done():
            return
        take, pieces = self._take, response.pieces
        if take is None:
            waiter.set_result(False)
            return
        try:
            while pieces:
                if len(pieces) == 1 and not self._paused:
                    # Nearly always, nothing else waits.
                    response.size = 0
                    raw = pieces.pop()
                else:
                    raw = self._take_pieces()
                if take(raw):
                    waiter.set_result(True)
                    return
        except Exception as error:
            waiter.set_exception(error)
            return
        if response.state is _COMPLETE:
            waiter.set_result(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._owner.forget(self)
        response = self._response
        response.end()
        if response.state in ENDED:
            self._wake()
            return
        if response.state in BEFORE_BODY:
            # A peer that closes a kept connection, just as it is used again, has not received the
            # request (F32). Otherwise it may have, so the request is not repeated silently (F33).
            used_at = self._used_at
            unheard = used_at is not None and self._loop.time() - used_at < _RACE_S
            unheard = unheard and not response.unframed
            self._fail("closed" if unheard else "reset", str(exc or ""))
        elif response.until_close and exc is None:
            response.state = _COMPLETE
            self._wake()
        else:
            self._fail("body", str(exc or ""))

    def _head_late(self) -> None:
        self._head_timer = None
        self._fail("slow", "the header section of the response does not come to its end")

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _fail(self, reason: Reason, detail: str) -> None:
        self._response.persists = False
        if self._response.state not in ENDED and self._error is None:
            self._error = self._owner.failed(reason, detail)
        # Wake the reader even if its response was complete before the unreadable data arrived.
        self._wake()
        self.cut()

    # ---- for the owner

    def change_over(self, protocol: asyncio.BaseProtocol) -> asyncio.Transport:
        """Give the transport of an idle connection to another protocol, which calls
        `connection_lost` here when it is lost. Raises the owner's exception.
        """
        transport = self._transport
        if transport is None:
            raise self._owner.failed("closed", "")
        transport.set_protocol(protocol)
        return transport

    async def secure(self, context: ssl.SSLContext, host: str) -> bool:
        """Start TLS; return whether it succeeded. Raises OSError."""
        if self._transport is None:
            return False
        secured = await self._loop.start_tls(self._transport, self, context, server_hostname=host)
        # uvloop may report no error if the peer closes during the handshake.
        if secured is None or self._transport is None:
            return False
        self._transport = secured
        return True

    @property
    def closed(self) -> bool:
        """Whether either end has closed the connection."""
        return self._transport is None

    def is_usable(self, idle_s_max: float) -> bool:
        """Return whether the connection may carry another request now: it is open, and has been
        idle for less than `idle_s_max`."""
        idle_since = self._idle_since
        if self._transport is None or idle_since is None:
            return False
        now = self._used_at = self._loop.time()
        return now - idle_since < idle_s_max


def headers_bytes(headers: Sequence[tuple[str, str]]) -> bytes:
    """Return the header lines of a request (RFC 9110, section 5). Raises ValueError for an invalid
    header."""
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name[:100]!r} is no name of a header")
        if _VALUE_UNSAFE.search(value):
            raise ValueError(f"the value of {name} holds a line end or another control character")
    return b"".join(f"{name}: {value}\r\n".encode() for name, value in headers)


def target_of(url: str) -> bytes:
    """Return the path and query of a URL as a request's target. Raises ValueError."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not _TARGET.fullmatch(target):
        raise ValueError(f"no request can go to {url[:200]!r}")
    return target.encode()
