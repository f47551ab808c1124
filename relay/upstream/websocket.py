"""A WebSocket to an upstream (RFC 6455), on a connection dialled by the pool of its channel: with
the operator's policy, the channel's proxy and its TLS. Messages are text only. Neither direction is
buffered: reading stops while a message waits to be received, and a sender waits until earlier
messages are written.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Final

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidState, PayloadTooBig
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from relay.config import MIB
from relay.errors import RelayError
from relay.upstream.http1 import Connection

EVENT_BYTES_MAX: Final = 15 * MIB
HEARTBEAT_S: Final = 20.0
"""How often the peer is asked whether it is there."""
# How long a peer has to receive the last bytes after a close.
_CLOSE_S: Final = 2.0
_HOP_BY_HOP: Final = frozenset({"host", "content-type", "accept", "accept-encoding"})

# The library's log lines name addresses, not requests.
_log = logging.getLogger("relay.upstream.websocket.protocol")
_log.setLevel(logging.CRITICAL)


class SocketLost(RelayError):
    """The connection is closed: with the peer's code, 1006 if there was none, 1009 if its message
    was too large; and with the peer's reason.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(str(code))
        self.code = code
        self.reason = reason


class UpstreamSocket(asyncio.Protocol):
    """One WebSocket. `open` performs the handshake; `receive` and `send` are each for one task."""

    def __init__(self, connection: Connection, url: str) -> None:
        scheme, _, rest = url.partition("://")
        uri = parse_uri(("wss://" if scheme == "https" else "ws://") + rest)
        self._loop = asyncio.get_running_loop()
        self._ws = ClientProtocol(uri, max_size=EVENT_BYTES_MAX + 1024, logger=_log)
        self._connection = connection
        self._transport = connection.change_over(self)
        self._answered: asyncio.Future[Response | None] = self._loop.create_future()
        self._pieces: list[bytes] = []
        self._messages: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self._lost = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._heard_at = self._loop.time()
        self._beat: asyncio.TimerHandle | None = None

    # ---- for the session

    async def open(self, headers: Sequence[tuple[str, str]]) -> Response | None:
        """Request the upgrade. Return the response, or None if it is not HTTP; the WebSocket is
        open if its status is 101 and `stands` is set.
        """
        request = self._ws.connect()
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP:
                request.headers[name] = value
        self._ws.send_request(request)
        self._flush()
        response = await self._answered
        if self.is_open:
            self._beat = self._loop.call_later(HEARTBEAT_S, self._check_heart)
        return response

    @property
    def is_open(self) -> bool:
        """Whether messages may be sent."""
        return self._ws.state is State.OPEN and not self._lost

    async def receive(self) -> bytes:
        """Return the next message. Raises SocketLost after the last one."""
        while not self._messages:
            if self._lost or self._ws.state is State.CLOSED or self._ws.close_rcvd is not None:
                raise self._loss()
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        message = self._messages.popleft()
        if self._paused and not self._messages:
            self._paused = False
            self._heard_at = self._loop.time()
            if not self._lost:
                self._transport.resume_reading()
        return message

    async def send(self, message: bytes) -> None:
        """Send a message, once those before it are written. Raises SocketLost."""
        await self._writable.wait()
        if self._lost:
            raise self._loss()
        try:
            self._ws.send_text(message)
        except InvalidState:
            raise self._loss() from None
        self._flush()

    def close(self) -> None:
        """Send a close, and close the connection."""
        self._stop()
        if self._lost:
            return
        if self.is_open:
            self._ws.send_close(CloseCode.NORMAL_CLOSURE)
            self._flush()
        self._transport.close()
        self._loop.call_later(_CLOSE_S, self._transport.abort)

    def cut(self) -> None:
        """Close immediately, without a close frame."""
        self._stop()
        if not self._lost:
            self._transport.abort()

    def _loss(self) -> SocketLost:
        if isinstance(self._ws.parser_exc, PayloadTooBig):
            return SocketLost(CloseCode.MESSAGE_TOO_BIG)
        frame = self._ws.close_rcvd
        if frame is None:
            return SocketLost(CloseCode.ABNORMAL_CLOSURE)
        return SocketLost(frame.code, frame.reason)

    # ---- the transport's calls

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        if self._ws.state is State.CLOSED:
            return
        self._ws.receive_data(data)
        self._read_events()
        self._flush()

    def eof_received(self) -> None:
        self._ws.receive_eof()
        self._read_events()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._stop()
        self._ws.receive_eof()
        self._writable.set()
        self._answer(None)
        self._wake()
        self._connection.connection_lost(exc)

    def _read_events(self) -> None:
        for event in self._ws.events_received():
            if isinstance(event, Response):
                self._answer(event)
            elif isinstance(event, Frame):
                self._read_frame(event)
        if self._ws.handshake_exc is not None:
            self._answer(None)
        if self._ws.state is not State.OPEN:
            self._wake()

    def _read_frame(self, frame: Frame) -> None:
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        self._pieces.append(bytes(frame.data))
        if not frame.fin:
            return
        pieces, self._pieces = self._pieces, []
        self._messages.append(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def _answer(self, response: Response | None) -> None:
        if not self._answered.done():
            self._answered.set_result(response)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _flush(self) -> None:
        written = b"".join(self._ws.data_to_send())
        if written and not self._lost:
            self._transport.write(written)

    # ---- Pings

    def _check_heart(self) -> None:
        """Ping the peer; one that is silent until the second next ping is gone."""
        self._beat = None
        if self._lost or not self.is_open:
            return
        silent_s = self._loop.time() - self._heard_at
        if silent_s > 2 * HEARTBEAT_S and not self._paused:
            self._transport.abort()
            return
        self._ws.send_ping(b"")
        self._flush()
        self._beat = self._loop.call_later(HEARTBEAT_S, self._check_heart)

    def _stop(self) -> None:
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None
