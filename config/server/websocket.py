"""The web server's WebSocket, for realtime connections and responses: uvicorn's protocol with
changes. An event that is too large gets an error before the close. There is no compression. When
the server stops, it does not close the connection: its endpoint is told and closes it.

    the size of an event        15 MiB (relay/config.py)
    a client that reads slowly  its endpoint waits, as any stream
    a client that is gone       a ping every 20 s, whose pong must arrive within 20 s
"""

import asyncio
from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from dialects.realtime.realtime import error_event
from lib.ids import id_text, new_id
from relay.endpoints.table import find_endpoint
from relay.realtime.sink import STOPPING_EXTENSION
from relay.upstream.websocket import EVENT_BYTES_MAX

# How long a client may continue sending a refused event.
_LINGER_S: Final = 2.0


def accepts_web_socket(path: str) -> bool:
    """Return whether this path accepts a WebSocket."""
    endpoint = find_endpoint(path)
    return endpoint is not None and endpoint.socket is not None


class _Connection(ServerProtocol):
    """Closes a connection because of an event that is too large. An error is sent first, unless the
    close itself reports it, as in Google's form."""

    tells_errors = True

    def fail(self, code: CloseCode | int, reason: str = "") -> None:
        if self.tells_errors and code == CloseCode.MESSAGE_TOO_BIG and self.state is State.OPEN:
            message = f"API request failed: an event may have {EVENT_BYTES_MAX} bytes"
            event = error_event("body_too_large", message, id=id_text(new_id()))
            self.send_text(event.encode())
        super().fail(code, reason)


class RealtimeProtocol(WebSocketsSansIOProtocol):
    """A connection that is a WebSocket, or is being upgraded to one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = self._connection = _Connection(max_size=EVENT_BYTES_MAX)
        self._stopping = asyncio.Event()
        self._refused = False

    def data_received(self, data: bytes) -> None:
        if not self._refused:
            super().data_received(data)

    def handle_parser_exception(self) -> None:
        """Send the reason, and continue to read for a while, because a client that is closed while
        it sends would not receive the reason."""
        self._refused = self.close_sent = True
        frame = self.conn.close_sent
        code = CloseCode.ABNORMAL_CLOSURE if frame is None else frame.code
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": None})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.resume_reading()
        self.close_timer = self.loop.call_later(_LINGER_S, self.transport.close)

    def handle_connect(self, event: Request) -> None:
        endpoint = find_endpoint(event.path.partition("?")[0])
        self._connection.tells_errors = endpoint is None or endpoint.dialect != "gemini"
        super().handle_connect(event)
        status = self.response.status_code
        if status != HTTPStatus.SWITCHING_PROTOCOLS:
            # Log it like uvicorn logs an application's refusal.
            host, port = self.client or ("", 0)
            self.logger.info('%s:%d - "WebSocket %s" %d', host, port, event.path, status)

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            # A refusal ends the handshake too; without this uvicorn logs an error.
            self.handshake_complete = True

    def shutdown(self) -> None:
        if self.close_sent or not self.handshake_initiated:
            super().shutdown()
        else:
            self._stopping.set()

    async def run_asgi(self) -> None:
        self.scope["extensions"] = {
            **(self.scope.get("extensions") or {}),
            STOPPING_EXTENSION: self._stopping,  # type: ignore[dict-item]
        }
        await super().run_asgi()
