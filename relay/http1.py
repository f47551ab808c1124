"""One HTTP/1.1 connection as its client sees it: a request at a time, and the answer to each.

The bytes are parsed by httptools (llhttp), which is strict: names of headers are tokens, values
hold no control characters, an answer has one length. What it leaves open is decided here: how much
a head and trailers may hold, which versions and codings are spoken. Nothing is decompressed.

What goes wrong is told as a Reason, which the connection's owner makes an exception of.
"""

import asyncio
import re
import ssl
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Final, Literal, Protocol, cast
from urllib.parse import urlsplit

import httptools

Reason = Literal[
    "denied", "name", "refused", "timeout", "tls", "closed", "reset", "slow", "head", "body"
]
"""The address is not permitted; the name is unknown; nobody listens; nobody answers in time, or no
connection is free in time; no secure connection; a connection that was kept is closed without a
byte of an answer; closed or reset after the request, which may have been heard; an answer whose
head begins and does not end in time; whose head cannot be read or is too large; whose body ends too
early or cannot be read."""

KEEP_ALIVE_S: Final = 30.0
# Of a head, of trailers, and of what stands between two pieces of a body (F22).
_FIELDS_BYTES_MAX: Final = 64 * 1024
_FIELDS_MAX: Final = 100
# A reader that is slower than its upstream holds back the upstream, not the memory (P9).
_BUFFER_BYTES_MAX: Final = 16 * 1024
# The event loop would read a quarter of a MiB at once, for each of them.
_READ_BYTES: Final = 64 * 1024
_GIVEN_BYTES_MAX: Final = 16 * 1024
_JOINED_BYTES_MAX: Final = 64 * 1024
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE_UNSAFE: Final = re.compile(r"[\0-\x08\x0a-\x1f\x7f]")
_TARGET: Final = re.compile(r"/[!-~]*")

# What is read is parsed at once, before anything else can be read: one buffer does for all. Over
# TLS asyncio fills it in steps, by slices; those of a bytearray would be copies.
_buffer: Final = memoryview(bytearray(_READ_BYTES))


class State(Enum):
    """Where a connection stands in its exchange (RFC 9112, section 2.1)."""

    IDLE = auto()
    SENT = auto()
    HEADERS = auto()
    BODY = auto()
    TRAILERS = auto()
    COMPLETE = auto()


# To look a member up takes longer than to compare with it, which is done for every piece.
_IDLE, _SENT, _HEADERS, _BODY, _TRAILERS, _COMPLETE = State
_ENDED: Final = (_COMPLETE, _IDLE)
_BEFORE_BODY: Final = (_SENT, _HEADERS)


class Owner(Protocol):
    """Who opens connections and takes them back. `head_s` bounds the head of an answer from its
    first bytes on; `failed` makes the exception of a reason and a detail for the operator."""

    @property
    def head_s(self) -> float: ...

    @property
    def failed(self) -> Callable[[Reason, str], Exception]: ...

    def keep(self, connection: "Connection") -> None:
        """The exchange has ended, and the connection may carry another."""

    def forget(self, connection: "Connection") -> None:
        """The connection is closed."""


class _Unfit(Exception):
    """The parser could go on with this answer, and we do not."""


class Connection(asyncio.BufferedProtocol):
    """One connection. After `send` has returned, `status` and `headers` (names in small letters)
    are the answer's, and `next_bytes` gives its body; `release` or `cut` ends the exchange."""

    __slots__ = (
        "_closed",
        "_error",
        "_fed",
        "_fields",
        "_fields_bytes",
        "_head_timer",
        "_idle_since",
        "_loop",
        "_owner",
        "_parser",
        "_paused",
        "_pieces",
        "_reusable",
        "_size",
        "_state",
        "_take",
        "_transport",
        "_until_close",
        "_used",
        "_waiter",
        "headers",
        "status",
    )

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self._owner = owner
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._take: Callable[[bytes], bool] | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._error: Exception | None = None
        self._pieces: list[bytes] = []
        self._size = self._fed = self._fields = self._fields_bytes = 0
        self._state = _IDLE
        self._reusable = True
        self._closed = self._paused = self._used = self._until_close = False
        self._idle_since = 0.0
        self.status = 0
        self.headers: dict[str, str] = {}

    # ---- for whoever sends

    async def send(self, head: bytes, body: bytes) -> None:
        """Send a request and wait for the head of its answer. Raises the owner's exception."""
        self._pieces.clear()
        self._size = self._fed = 0
        self._state = _SENT
        if self._transport is None or self._closed:
            raise self._owner.failed("closed", "")
        if len(body) <= _JOINED_BYTES_MAX:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        while self._state in _BEFORE_BODY:
            if self._error is not None:
                raise self._error
            await self._wait()

    async def next_bytes(self) -> bytes:
        """What has come of the body, b"" at its end. Raises the owner's exception when it ends too
        early, after what came before has been given."""
        while not self._pieces:
            if self._state in _ENDED:
                return b""
            if self._error is not None:
                raise self._error
            await self._wait()
        return self._given()

    async def hand_to(self, take: Callable[[bytes], bool]) -> None:
        """Hand over what comes of the body until `take` says True, in the very call that read it:
        a task that is woken for each piece costs more than the piece. b"" = there will be no more,
        however it ended."""
        while self._pieces or not (self._state in _ENDED or self._error is not None):
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
        return self._state in _ENDED and not self._pieces

    def release(self) -> None:
        """Done: the connection is kept if the answer has come to its end."""
        transport = self._transport
        if (
            self._state is _COMPLETE
            and self._reusable
            and not self._closed
            and transport is not None
            and not transport.get_write_buffer_size()
        ):
            self._state = _IDLE
            self._used = True
            self._owner.keep(self)
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

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(False)

    # ---- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return _buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._state in _ENDED:
            # Nothing was asked: whatever this is, it is no answer to the next request.
            self.cut()
            return
        self._fed += nbytes
        try:
            self._parser.feed_data(_buffer[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail_reading(str(error.__context__ or error))
            return
        if self._fed > _FIELDS_BYTES_MAX and self._state is not _COMPLETE:
            self._fail_reading("too much stands in the head, or around the body")
        elif self._state is _HEADERS:
            if self._head_timer is None:
                # Hardly any head comes in pieces (F12).
                self._head_timer = self._loop.call_later(self._owner.head_s, self._head_late)
        elif self._state is not _SENT:
            self._hand_over()

    def _hand_over(self) -> None:
        """Something of the answer is there, or its end: who waits for it hears of it."""
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
        if self._state is _COMPLETE:
            waiter.set_result(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._owner.forget(self)
        if self._state in _ENDED:
            return
        if self._state in _BEFORE_BODY:
            # Who closes a kept connection may not have seen the request (F32). On a fresh one it
            # may have been heard, and is not sent again in silence (F33).
            unheard = self._used and not self._fed
            self._fail("closed" if unheard else "reset", str(exc or ""))
        elif self._until_close and exc is None:
            self._state = _COMPLETE
            self._wake()
        else:
            self._fail("body", str(exc or ""))

    def _head_late(self) -> None:
        self._head_timer = None
        self._fail("slow", "the head of the answer does not come to its end")

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _fail_reading(self, detail: str) -> None:
        self._fail("head" if self._state in _BEFORE_BODY else "body", detail)

    def _fail(self, reason: Reason, detail: str) -> None:
        self._reusable = False
        if self._state not in _ENDED and self._error is None:
            self._error = self._owner.failed(reason, detail)
        # Also who waits for an answer that was whole before what cannot be read.
        self._wake()
        self.cut()

    # ---- the parser's calls

    def on_message_begin(self) -> None:
        if self._state is _SENT:
            self._state = _HEADERS
            self._fields = self._fields_bytes = 0
            self.headers = {}
        else:
            # More than was asked for stands behind the answer: this connection is out of step.
            self._reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        state = self._state
        if state is _COMPLETE:
            # Of what nobody asked for.
            return
        if state is _BODY:
            self._state = _TRAILERS
            self._fields = self._fields_bytes = 0
        self._fields += 1
        self._fields_bytes += len(name) + len(value)
        if self._fields > _FIELDS_MAX or self._fields_bytes > _FIELDS_BYTES_MAX:
            raise _Unfit("there are too many headers or trailers, or too large ones")
        if state is _HEADERS:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            if value and value[-1] in b" \t":
                # The parser leaves the white space behind a value (RFC 9110, section 5.5).
                text = text.rstrip(" \t")
                if key == "transfer-encoding" and b"\t" in value:
                    raise _Unfit("the parser does not know a transfer coding with a tab behind it")
            before = self.headers.get(key)
            self.headers[key] = text if before is None else f"{before}, {text}"

    def on_headers_complete(self) -> None:
        if self._state is not _HEADERS:
            return
        status = self._parser.get_status_code()
        coding = self.headers.get("transfer-encoding")
        if status < 200:
            if status < 100 or status == 101:
                raise _Unfit(f"nothing was asked for that is answered by {status}")
            if coding is not None or "content-length" in self.headers:
                raise _Unfit("an interim answer has no body")
            return
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise _Unfit(f"HTTP/{version} is not spoken")
        if coding is not None and coding.lower() != "chunked":
            raise _Unfit("the transfer coding is another than chunked")
        self._reusable = self._reusable and version == "1.1"
        self._until_close = coding is None and "content-length" not in self.headers
        self.status = status
        self._fed = 0
        self._state = _BODY
        self._stop_head_timer()

    def on_body(self, body: bytes) -> None:
        if self._state is _BODY:
            self._pieces.append(body)
            self._size += len(body)
            self._fed = 0

    def on_message_complete(self) -> None:
        if self._state is _HEADERS:
            # An interim answer, and no more than that.
            self._state = _SENT
            self._stop_head_timer()
        elif self._state is not _COMPLETE:
            self._state = _COMPLETE
            self._reusable = self._reusable and self._parser.should_keep_alive()

    # ---- for the owner

    async def secure(self, context: ssl.SSLContext, host: str) -> bool:
        """Go on in TLS; whether it stands. Raises OSError."""
        if self._transport is None:
            return False
        secured = await self._loop.start_tls(self._transport, self, context, server_hostname=host)
        # uvloop may tell no error when the other end closes in the middle of it.
        if secured is None or self._closed:
            return False
        self._transport = secured
        return True

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


def headers_bytes(headers: Sequence[tuple[str, str]]) -> bytes:
    """Header lines as they go out (RFC 9110, section 5). Raises ValueError for what is none."""
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name[:100]!r} is no name of a header")
        if _VALUE_UNSAFE.search(value):
            raise ValueError(f"the value of {name} holds a line end or another control character")
    return b"".join(f"{name}: {value}\r\n".encode() for name, value in headers)


def target_of(url: str) -> bytes:
    """Path and query of an URL as a request names them. Raises ValueError."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not _TARGET.fullmatch(target):
        raise ValueError(f"no request can go to {url[:200]!r}")
    return target.encode()
