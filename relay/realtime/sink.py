"""The client's end of a realtime connection: an HTTP response until it is accepted, then events."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol
from uuid import UUID

from dialects.errors.kinds import ErrorKind
from dialects.realtime.realtime import error_event
from lib.id_types import RequestId
from lib.ids import id_text, new_id
from lib.process.asgi import Message, Receive, Scope, Send
from lib.process.waiting import timeout
from relay.content_log.talk import Talk
from relay.downstream.downstream import ErrorAnswer, Head
from relay.downstream.http_sink import HttpSink
from relay.errors import ClientGone
from relay.requests.invocation import Invocation
from relay.requests.outcome import Outcome

STOPPING_EXTENSION: Final = "weir.stopping"
"""The key in the scope of an event (`asyncio.Event`) that is set when the server is about to
stop.
"""

_PROTOCOL: Final = "realtime"
LAST_WORDS_S: Final = 1.0
_REASON_BYTES_MAX: Final = 120
# Close codes (RFC 6455, section 7.4) for errors that the client caused.
POLICY, _FAILED, _RESTARTS, _LATER = 1008, 1011, 1012, 1013
CODES: Final[dict[ErrorKind, int]] = {
    "upstream_error": _FAILED,
    "upstream_unreachable": _FAILED,
    "upstream_truncated": _FAILED,
    "upstream_malformed": _FAILED,
    "upstream_auth": _FAILED,
    "timeout": _FAILED,
    "internal": _FAILED,
    "server_shutting_down": _RESTARTS,
    "overloaded": _LATER,
    "no_channel": _LATER,
}


class ClientLeft(ClientGone):
    """The client closed its WebSocket."""


class ConnectionListener(Protocol):
    """Receives the holds and charges of the connection's responses, in addition to the client's
    events.
    """

    def held(self, request_id: UUID, hold_nano: int) -> None:
        """Called when this amount is held for a response that may begin."""

    def settled(self, outcome: Outcome) -> None:
        """Called once for each response or transcript of the input when it is settled."""


class RealtimeSink(HttpSink):
    """The sink of one connection. `listener` receives its holds and charges, `talk` what is said on
    it, None if nothing is kept; `notice` are more headers of the handshake. `write_error` writes an
    error as an event, with the arguments of `realtime.error_event`.
    """

    __slots__ = (
        "_closed", "_receive", "_send_event", "_subprotocols", "accepted", "listener", "notice",
        "talk", "write_error",
    )  # fmt: skip

    def __init__(
        self, scope: Scope, send: Send, request_id: RequestId, invocation: Invocation
    ) -> None:
        super().__init__(scope, _send_as_websocket(send), request_id, invocation)
        self._receive: Receive = _receive_nothing
        self._send_event = send
        self._subprotocols = scope.get("subprotocols", ())
        self.accepted = False
        self.listener: ConnectionListener | None = None
        self.notice: Sequence[tuple[bytes, bytes]] = ()
        self.talk: Talk | None = None
        self._closed = False
        self.write_error: Callable[..., str] = error_event

    def listen(self, receive: Receive) -> None:
        """Set where events come from."""
        self._receive = receive

    async def accept(self, head: Head) -> None:
        """Accept the WebSocket, which begins the connection. Raises ClientLeft."""
        await self.open([pair for pair in self._fields(head) if pair[0] != b"content-type"])

    async def open(self, fields: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Accept the WebSocket with these headers. Raises ClientLeft."""
        self.accepted = True
        named = [*fields, *self.notice, (b"x-request-id", id_text(self.request_id).encode())]
        # A page requires that one of its subprotocols is selected; its key is among them.
        chosen = _PROTOCOL if _PROTOCOL in self._subprotocols else None
        await self._put({"type": "websocket.accept", "headers": named, "subprotocol": chosen})

    async def receive(self) -> str | None:
        """Return the next event, None for an event that is not text. Raises ClientLeft."""
        while True:
            message = await self._receive()
            if message["type"] == "websocket.receive":
                text: str | None = message.get("text")
                return text
            if message["type"] == "websocket.disconnect":
                self._closed = True
                raise ClientLeft

    async def send_text(self, text: str) -> None:
        """Send an event. Return once more may be sent. Raises ClientLeft."""
        await self._put({"type": "websocket.send", "text": text})

    async def send_error(self, error: ErrorAnswer, event_id: Any = None) -> None:
        """Send an error that does not end the connection. Raises ClientLeft."""
        id = id_text(new_id())
        await self.send_text(
            self.write_error(
                error.kind, error.message, id=id, param=error.param, code=error.code,
                event_id=event_id,
            )
        )  # fmt: skip

    async def refuse(self, error: ErrorAnswer, *fields: tuple[bytes, bytes]) -> None:
        """End the connection with an error: by an HTTP response before the WebSocket is accepted,
        by an event and a close afterwards."""
        if not self.accepted:
            await super().refuse(error, *fields)
            return
        if self._closed:
            return
        with contextlib.suppress(ClientLeft, TimeoutError):
            async with timeout(LAST_WORDS_S):
                await self.send_error(error)
                await self.close(CODES.get(error.kind, POLICY), error.message)

    async def close(self, code: int, reason: str = "") -> None:
        """Close the WebSocket. Raises ClientLeft."""
        if not self._closed:
            self._closed = True
            cut = reason.encode()[:_REASON_BYTES_MAX].decode(errors="ignore")
            await self._put({"type": "websocket.close", "code": code, "reason": cut})

    async def _put(self, message: Message) -> None:
        try:
            await self._send_event(message)
        except (OSError, RuntimeError) as error:
            # The server's exception for a client that has closed or is gone.
            raise ClientLeft from error


async def _receive_nothing() -> Message:
    return {"type": "websocket.disconnect"}


def _send_as_websocket(send: Send) -> Send:
    """Send the HTTP response that refuses a WebSocket, through the WebSocket's own messages."""

    async def send_response(message: Message) -> None:
        message = {**message, "type": f"websocket.{message['type']}"}
        with contextlib.suppress(OSError):
            await send(message)

    return send_response
