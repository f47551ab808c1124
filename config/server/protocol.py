"""The web server's HTTP: uvicorn's protocol with changes. Less data waits for a slow reader. A
response's head is sent together with the first part of its body. HTTP/1.0 clients get no chunks,
which they would read as content; a response without a length ends with its connection. The limits
below also apply without nginx.

The limits of one connection:

    receiving a whole head          10 s, 32 KiB, 100 headers (docs/promises.md, "Requests")
    between two requests            uvicorn's --timeout-keep-alive
    neither head nor body           32 KiB in a row: a header, a trailer, the size of a chunk
    pipelined requests              8
    the rest of a request that was  256 KiB, then one read per 0.1 s, as long as a head may take;
    answered early                  closing the connection immediately would lose the response
    a response that is not read     30 s without progress, during a stream and after its end

A process that stops answers with `Connection: close`. A connection that is still open after it
stops accepting is closed only once it has been silent for as long as the process went on accepting.
So a proxy that keeps idle connections for less never sends a request into a connection that is
being closed.

A busy process reads late. A request that arrived in time is answered however late it is read:
before a silent connection is closed, the kernel is asked whether it has unread data.

The number of connections is limited by the number of open files. If it is reached, the connection
that has been silent for the longest time is closed.
"""

import asyncio
import re
import select
from collections.abc import Callable
from functools import partial
from operator import itemgetter
from typing import Any, Final, NamedTuple
from urllib.parse import unquote
from weakref import WeakKeyDictionary

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from config.server.connection_limits import connections_max
from config.server.head_limits import HEAD_BYTES_MAX, HEAD_S, HEADERS_MAX
from config.server.websocket import RealtimeProtocol, accepts_web_socket
from dialects.errors.errors import message_of
from lib.ids import id_text, new_id
from lib.process.asgi import HEED, RESPOND, WRITE_PIECE, Fields, Scope
from relay.downstream.downstream import ErrorAnswer
from relay.downstream.error_answers import ErrorResponse
from relay.endpoints.table import response_at

# The most unsent data of a client in memory, per stream (P9).
_UNSENT_BYTES_MAX: Final = 16 * 1024
_JOINED_BYTES_MAX: Final = 64 * 1024
_AHEAD_MAX: Final = 8
_STALL_S = 30.0
_LOOKS: Final = 6
_DROPPED_BYTES_FREE: Final = 256 * 1024
_DROP_EVERY_S: Final = 0.1
# Data in the kernel is read within this time, or as soon as the process is less busy.
_UNREAD_S: Final = 0.01
# The characters allowed in `Host` (RFC 3986, section 3.2.2, with an optional port; or empty).
_HOST: Final = re.compile(rb"(?:\[[0-9A-Za-z.:]+\]|[\w.~!$&'()*+,;=%-]*)(?::[0-9]*)?", re.ASCII)
_REFUSALS: Final[dict[int, ErrorAnswer]] = {
    400: ErrorAnswer(
        "malformed_json", 400, message_of("malformed_json", "the request is not valid HTTP/1.1")
    ),
    408: ErrorAnswer(
        "request_timeout",
        408,
        message_of(
            "request_timeout",
            f"the header section did not come within {HEAD_S:.0f} s; send the request again",
        ),
    ),
    431: ErrorAnswer(
        "headers_too_large",
        431,
        message_of(
            "headers_too_large",
            f"the header section has more than {HEAD_BYTES_MAX // 1024} KiB or "
            f"{HEADERS_MAX} field lines",
        ),
    ),
    500: ErrorAnswer("internal", 500, message_of("internal")),
    503: ErrorAnswer("overloaded", 503, message_of("overloaded"), retry_after_ms=5000),
}
_NO_HOST: Final = ErrorAnswer(
    "malformed_json",
    400,
    message_of("malformed_json", "the header section needs one Host with a valid value"),
)

_name_of = itemgetter(0)

# How long a silent connection stays open while the process stops; 0 while it does not stop.
_linger_s: Callable[[], float] = float

# The connections that wait for a head, the one silent for longest first.
_awaiting_head: WeakKeyDictionary[ServerState, dict["Protocol", None]] = WeakKeyDictionary()


def leave_open_while_stopping(linger_s: Callable[[], float]) -> None:
    """Keep silent connections open for `linger_s()` seconds while the process stops. It must return
    0 while the process does not stop."""
    global _linger_s
    _linger_s = linger_s


class Connections(NamedTuple):
    """The numbers of connections. `in_flight` are connections on which a response is awaited or
    being sent, and realtime connections."""

    open: int
    in_flight: int


def count_connections() -> Connections:
    """Count the connections of this process. Safe in any thread."""
    every = [one for state in list(_awaiting_head) for one in tuple(state.connections)]
    busy = [one for one in every if not isinstance(one, Protocol) or one.answering]
    return Connections(len(every), len(busy))


class _Ahead(list[Any]):
    """A queue of pipelined requests, first come first served; uvicorn would serve the last one
    first. uvicorn's own queue takes 760 bytes per connection, although clients rarely pipeline."""

    __slots__ = ()

    def appendleft(self, item: Any) -> None:
        """Append at the end of the queue."""
        self.insert(0, item)


class _Refused(Exception):
    """The request whose head was just read is refused before it reaches the application."""


def _response(path: str, error: ErrorAnswer) -> tuple[ErrorResponse, list[tuple[bytes, bytes]]]:
    """Return an error in the form that clients of this path read, with all fields of its header
    section."""
    request_id = id_text(new_id())
    response = response_at(path, error, request_id)
    fields = [
        *response.fields,
        (b"x-request-id", request_id.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"content-length", b"%d" % len(response.body)),
        (b"connection", b"close"),
    ]
    return response, fields


async def _send_500_response(cycle: RequestResponseCycle) -> None:
    """Send the response to a request whose application failed before it began a response."""
    response, fields = _response(cycle.scope["path"], _REFUSALS[500])
    await cycle.send({"type": "http.response.start", "status": 500, "headers": fields})
    await cycle.send({"type": "http.response.body", "body": response.body, "more_body": False})


# uvicorn has no hook for this. A subclass of the cycle would make each chunk a fifth slower.
RequestResponseCycle.send_500_response = _send_500_response  # type: ignore[assignment, method-assign]


class Protocol(HttpToolsProtocol):
    """One connection of a client."""

    # With these slots, the dictionaries of the instances still share their keys, as those of
    # uvicorn's class do.
    __slots__ = (
        "_awaiting",
        "_changed_over",
        "_dropped",
        "_head_timer",
        "_leave",
        "_open_bytes",
        "_refusal",
        "_running",
        "_unsent",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.url = b""
        self.pipeline = _Ahead()  # type: ignore[assignment]
        self.ws_protocol_class = RealtimeProtocol
        self._awaiting = _awaiting_head.setdefault(self.server_state, {})
        self._refusal = _REFUSALS[400]
        # Consecutive bytes, up to the end of the last read, that neither completed a head nor were
        # body.
        self._open_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._unsent = _UnsentWatch(self)
        self._running: Any = None
        # Called when the running request's client disconnects.
        self._leave: Callable[[], None] | None = None
        # Unread body bytes of the current request; None after its end.
        self._dropped: int | None = None
        self._changed_over = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=_UNSENT_BYTES_MAX)
        if len(self.connections) > connections_max() and not self._make_room():
            self._refuse(_REFUSALS[503])
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_awaiting()
        self._unsent.stop()
        # uvicorn tells only the last pipelined request that the client has disconnected.
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
            if self._leave is not None:
                self._leave()
        # Break the reference cycle, or everything stays in memory until the next garbage
        # collection.
        del self._unsent
        self._leave = None
        if self._running is not None:
            for key in (RESPOND, WRITE_PIECE, HEED):
                self._running.scope.pop(key, None)
            self._running.transport = self.transport
        super().connection_lost(exc)

    # ---- reading

    def data_received(self, data: bytes) -> None:
        self._awaiting.pop(self, None)
        self._open_bytes += len(data)
        super().data_received(data)
        if self._changed_over or self.transport.is_closing():
            return
        if self._open_bytes > HEAD_BYTES_MAX:
            self._refuse(_REFUSALS[431])
        elif not self.answering:
            self._await_head()
            self._drop(len(data))

    @property
    def answering(self) -> bool:
        """Return whether a response is awaited or being sent."""
        cycle: Any = self.cycle
        return cycle is not None and not cycle.response_complete

    def _drop(self, size: int) -> None:
        """Read the rest of an answered request slowly."""
        if self._dropped is None:
            return
        self._dropped += size
        if self._dropped > _DROPPED_BYTES_FREE:
            self.flow.pause_reading()
            self.loop.call_later(_DROP_EVERY_S, self._read_on)

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def on_headers_complete(self) -> None:
        size, self._open_bytes = self._open_bytes, 0
        self._stop_awaiting()
        if (
            len(self.headers) > HEADERS_MAX
            or len(self.pipeline) >= _AHEAD_MAX
            or (size > HEAD_BYTES_MAX and self._head_too_large())
        ):
            self._refusal = _REFUSALS[431]
            raise _Refused
        if not _names_host(self.headers, self.parser.get_http_version()):
            self._refusal = _NO_HOST
            raise _Refused
        self._dropped = 0
        super().on_headers_complete()
        if not (self.parser.should_upgrade() and self._should_upgrade()):
            # The application has its own list, so headers after the body are trailers, which are
            # ignored.
            self.headers = []
        if self._leave is not None and len(self.pipeline) < _AHEAD_MAX:
            # uvicorn stops reading after a pipelined request and would not notice a disconnect.
            self.flow.resume_reading()

    def on_body(self, body: bytes) -> None:
        self._open_bytes = 0
        cycle: Any = self.cycle
        if cycle.response_complete or self.parser.should_upgrade():
            super().on_body(body)
            return
        # Do as uvicorn does, but do not copy a piece that is read before the next one arrives.
        if not cycle.body:
            cycle.body = body
        elif isinstance(cycle.body, bytes):
            cycle.body = bytearray(cycle.body) + body
        else:
            cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        self._open_bytes = 0
        self._dropped = None
        super().on_message_complete()

    def _should_upgrade_to_ws(self) -> bool:
        """Upgrade only realtime connections; other upgrade requests get an HTTP response."""
        return not self.answering and accepts_web_socket(self._path)

    def handle_websocket_upgrade(self) -> None:
        self._changed_over = True
        self._unsent.stop()
        super().handle_websocket_upgrade()

    def on_response_complete(self) -> None:
        self._leave = None
        super().on_response_complete()
        if self.timeout_keep_alive_task is not None:
            self._awaiting[self] = None
        self._unsent.watch()

    def respond(self, scope: Scope, status: int, fields: Fields, body: bytes) -> bool:
        """Write a whole response to the current request, for a quarter of the cost of uvicorn's two
        messages. Return False if it must be sent that way (`lib.process.asgi.Respond`)."""
        cycle = self._running
        if cycle.default_headers:
            fields = [*cycle.default_headers, *fields]
        section = b"\r\n".join(map(b": ".join, fields))
        if (
            cycle.scope is not scope
            or cycle.response_started
            or cycle.disconnected
            or cycle.access_log
            # Leave these responses to uvicorn: for clients that do not know `Content-Length`, or
            # must be told that the connection closes.
            or not cycle.keep_alive
            or b"connection" in section
            or scope["method"] == "HEAD"
            or self.flow.write_paused
            or len(body) > _JOINED_BYTES_MAX
            # The section contains characters that could be read as another line.
            or not section.count(b"\r") == section.count(b"\n") == len(fields) - 1
        ):
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        # Replace the transport that joins the head, which refers back to the cycle.
        cycle.transport = self.transport
        self.transport.write(STATUS_LINE[status] + section + b"\r\n\r\n" + body)
        cycle.message_event.set()
        cycle.on_response()
        return True

    def write_piece(self, scope: Scope, piece: bytes) -> bool:
        """Write a piece of the current response, for a fifth of the cost of uvicorn's message.
        Return False if it must be sent that way (`lib.process.asgi.WritePiece`)."""
        cycle = self._running
        if (
            cycle.scope is not scope
            or not cycle.response_started
            or cycle.response_complete
            or cycle.disconnected
            # Leave these to uvicorn: a response of known length, and one that ends with its
            # connection.
            or not cycle.chunked_encoding
            or scope["method"] == "HEAD"
            or self.flow.write_paused
            or not piece
        ):
            return False
        cycle.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        return True

    def heed(self, scope: Scope, leave: Callable[[], None]) -> bool:
        """Call `leave` when the running request's client disconnects. Awaiting the disconnect as a
        message would need a task (`lib.process.asgi.Heed`)."""
        cycle = self._running
        if cycle.scope is not scope or cycle.disconnected or cycle.response_complete:
            return False
        self._leave = leave
        self.flow.resume_reading()
        return True

    def send_400_response(self, msg: str) -> None:
        """Answer a request that the parser or on_headers_complete refused."""
        self._refuse(self._refusal)

    @property
    def _path(self) -> str:
        """Return the path of the request that is being read, as far as it has arrived."""
        return unquote(bytes(self.url).partition(b"?")[0].decode("latin-1"))

    def _head_too_large(self) -> bool:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        return size > HEAD_BYTES_MAX

    def _refuse(self, error: ErrorAnswer) -> None:
        # While a response is being sent, an error response would be read as a part of it.
        if not self.answering:
            response, fields = _response(self._path, error)
            lines = b"".join(b"%b: %b\r\n" % field for field in fields)
            self.transport.write(STATUS_LINE[response.status] + lines + b"\r\n" + response.body)
        self._stop_awaiting()
        self.transport.close()
        self._unsent.watch()

    # ---- waiting for a head

    def _await_head(self) -> None:
        self._awaiting[self] = None
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_S, self._head_is_late)

    def _stop_awaiting(self) -> None:
        self._awaiting.pop(self, None)
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self, *, looked: bool = False) -> None:
        self._head_timer = None
        if not looked and self._has_unread():
            # Set the timer only once, so that a client that sends a byte now and then gets no more
            # time.
            self._head_timer = self.loop.call_later(
                _UNREAD_S, partial(self._head_is_late, looked=True)
            )
        elif self._open_bytes:
            self._refuse(_REFUSALS[408])
        else:
            self._stop_awaiting()
            self.transport.close()

    def timeout_keep_alive_handler(self) -> None:
        if self._has_unread():
            # Reading the data ends this timer.
            self.timeout_keep_alive_task = self.loop.call_later(
                _UNREAD_S, self.timeout_keep_alive_handler
            )
        else:
            super().timeout_keep_alive_handler()

    def _has_unread(self) -> bool:
        """Return whether the client has sent data that the event loop has not read yet."""
        connection = self.transport.get_extra_info("socket")
        if connection is None or self.flow.read_paused or self.transport.is_closing():
            return False
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def _make_room(self) -> bool:
        """Close the connection that has been silent for the longest time. Return False if there is
        none."""
        longest = next((one for one in self._awaiting if not one._has_unread()), None)
        if longest is None:
            return False
        del self._awaiting[longest]
        longest.transport.abort()
        return True

    # ---- when the process stops

    def shutdown(self) -> None:
        linger_s = _linger_s()
        self.timeout_keep_alive = linger_s  # type: ignore[assignment]
        if self.answering:
            if not self.cycle.response_started:
                self.cycle.keep_alive = False
            return
        self._unset_keepalive_if_required()
        if linger_s:
            self.timeout_keep_alive_task = self.loop.call_later(
                linger_s, self.timeout_keep_alive_handler
            )
        else:
            self.timeout_keep_alive_handler()

    # ---- waiting for a reader

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unsent.watch()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        cycle.transport = _HeadJoined(self.loop, cycle)
        cycle.scope[RESPOND] = self.respond
        cycle.scope[WRITE_PIECE] = self.write_piece
        cycle.scope[HEED] = self.heed
        self._running = cycle
        if not self.timeout_keep_alive or _linger_s():
            cycle.keep_alive = False
        unchunked = cycle.scope["http_version"] == "1.0"
        super()._start_asgi_task(cycle, _remove_chunking(cycle, app) if unchunked else app)


class _UnsentWatch:
    """Closes a connection whose client does not read the response."""

    __slots__ = ("_looks", "_protocol", "_size", "_timer")

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._timer: asyncio.TimerHandle | None = None
        # The unsent bytes at the last check, and the number of checks without progress.
        self._size = self._looks = 0

    def watch(self) -> None:
        """Start, if there is unsent data."""
        if self._timer is None and (size := self._protocol.transport.get_write_buffer_size()):
            self._size, self._looks = size, 0
            self._schedule_check()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _schedule_check(self) -> None:
        self._timer = self._protocol.loop.call_later(_STALL_S / _LOOKS, self._check_progress)

    def _check_progress(self) -> None:
        self._timer = None
        protocol = self._protocol
        size = protocol.transport.get_write_buffer_size()
        if not size:
            return
        # While more may be written at any time, the amount alone does not show progress.
        blocked = protocol.flow.write_paused or not protocol.answering
        self._looks = self._looks + 1 if blocked and size >= self._size else 0
        self._size = size
        if self._looks >= _LOOKS:
            protocol.transport.abort()
        else:
            self._schedule_check()


def _names_host(headers: list[tuple[bytes, bytes]], version: str) -> bool:
    """Return whether the request names its host as RFC 9112, section 3.2, requires."""
    names = [*map(_name_of, headers)]
    count = names.count(b"host")
    if count == 1:
        return _HOST.fullmatch(headers[names.index(b"host")][1]) is not None
    return not count and version == "1.0"


def _remove_chunking(cycle: Any, app: Any) -> Any:
    """Return the application for a client that does not understand chunks."""
    unbounded = False

    async def send(message: Any) -> None:
        nonlocal unbounded
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message.get("headers", ())}
            unbounded = b"content-length" not in names
            if unbounded:
                cycle.chunked_encoding = False
        elif unbounded:
            cycle.expected_content_length = len(message.get("body", b""))
        await cycle.send(message)

    async def answer(scope: Any, receive: Any, _: Any) -> Any:
        return await app(scope, receive, send)

    return answer


class _HeadJoined:
    """Collects the first writes of a response. The head waits for the rest of what is written in
    the same turn of the loop, which saves a packet and a system call. Later writes go directly to
    the transport."""

    __slots__ = ("_cycle", "_flushing", "_head", "_loop", "_transport")

    def __init__(self, loop: asyncio.AbstractEventLoop, cycle: Any) -> None:
        self._loop = loop
        self._cycle = cycle
        self._transport: asyncio.Transport = cycle.transport
        self._head: bytes | None = None
        self._flushing: asyncio.Handle | None = None

    def write(self, data: bytes) -> None:
        if self._head is None:
            self._head = data
            self._flushing = self._loop.call_soon(self._flush)
        elif len(data) > _JOINED_BYTES_MAX:
            self._flush()
            self._transport.write(data)
        else:
            self._transport.write(self._taken() + data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _taken(self) -> bytes:
        self._cycle.transport = self._transport
        if self._flushing is not None:
            self._flushing.cancel()
        return self._head or b""

    def _flush(self) -> None:
        head = self._taken()
        if head and not self._transport.is_closing():
            self._transport.write(head)
