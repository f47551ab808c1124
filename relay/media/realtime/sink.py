"""The client's end of a realtime session: an HTTP response until it is accepted, events behind
that."""

import contextlib
from collections.abc import Sequence
from typing import Any, Final, Protocol
from uuid import UUID

from dialects.errors.errors import ErrorKind
from dialects.streams.realtime import error_event
from lib.id_types import RequestId
from lib.ids import id_text, new_id
from lib.process.asgi import Message, Receive, Scope, Send
from lib.process.waiting import timeout
from relay.errors import ClientGone
from relay.front.downstream import ErrorAnswer, Head
from relay.front.http_sink import HttpSink
from relay.requests.context import Invocation, Outcome

STOPPING_EXTENSION: Final = "weir.stopping"
"""Of a scope: an event (`asyncio.Event`) that is set when the server is about to stop."""

_PROTOCOL: Final = "realtime"
_LAST_WORDS_S: Final = 1.0
_REASON_BYTES_MAX: Final = 120
# Codes of a close (RFC 6455, section 7.4): those kinds end a session by what the client may do.
_POLICY, _FAILED, _RESTARTS, _LATER = 1008, 1011, 1012, 1013
_CODES: Final[dict[ErrorKind, int]] = {
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
    """The client has closed its end."""


class SessionListener(Protocol):
    """Hears what the responses of a session come to, beside what its client is told."""

    def held(self, request_id: UUID, hold_nano: int) -> None:
        """So much is held for a response that may begin."""

    def settled(self, outcome: Outcome) -> None:
        """A response, or what was written down of what was said, has ended in the books; once."""


class RealtimeSink(HttpSink):
    """The sink of one session. `listener` hears of its holds and charges."""

    __slots__ = ("_closed", "_receive", "_send_event", "_subprotocols", "accepted", "listener")

    def __init__(
        self, scope: Scope, send: Send, request_id: RequestId, invocation: Invocation
    ) -> None:
        super().__init__(scope, _send_as_websocket(send), request_id, invocation)
        self._receive: Receive = _receive_nothing
        self._send_event = send
        self._subprotocols = scope.get("subprotocols", ())
        self.accepted = False
        self.listener: SessionListener | None = None
        self._closed = False

    def listen(self, receive: Receive) -> None:
        """Where events come from."""
        self._receive = receive

    async def accept(self, head: Head) -> None:
        """Change over: the session begins. Raises ClientLeft."""
        await self.open([pair for pair in self._fields(head) if pair[0] != b"content-type"])

    async def open(self, fields: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Change over, with these fields. Raises ClientLeft."""
        self.accepted = True
        named = [*fields, (b"x-request-id", id_text(self.request_id).encode())]
        # What a page offers it must find chosen; its key is among that.
        chosen = _PROTOCOL if _PROTOCOL in self._subprotocols else None
        await self._put({"type": "websocket.accept", "headers": named, "subprotocol": chosen})

    async def receive(self) -> str | None:
        """The next event, None for one that is no text. Raises ClientLeft."""
        while True:
            message = await self._receive()
            if message["type"] == "websocket.receive":
                text: str | None = message.get("text")
                return text
            if message["type"] == "websocket.disconnect":
                self._closed = True
                raise ClientLeft

    async def say(self, text: str) -> None:
        """Send an event; returns when there may be more. Raises ClientLeft."""
        await self._put({"type": "websocket.send", "text": text})

    async def complain(self, error: ErrorAnswer, event_id: Any = None) -> None:
        """Tell an error, which the session survives. Raises ClientLeft."""
        id = id_text(new_id())
        await self.say(
            error_event(
                error.kind, error.message, id=id, param=error.param, code=error.code,
                event_id=event_id,
            )
        )  # fmt: skip

    async def refuse(self, error: ErrorAnswer, *fields: tuple[bytes, bytes]) -> None:
        """End it: by a response before it is accepted, by an event and a close behind that."""
        if not self.accepted:
            await super().refuse(error, *fields)
            return
        if self._closed:
            return
        with contextlib.suppress(ClientLeft, TimeoutError):
            async with timeout(_LAST_WORDS_S):
                await self.complain(error)
                await self.close(_CODES.get(error.kind, _POLICY), error.message)

    async def close(self, code: int, reason: str = "") -> None:
        """Close it. Raises ClientLeft."""
        if not self._closed:
            self._closed = True
            cut = reason.encode()[:_REASON_BYTES_MAX].decode(errors="ignore")
            await self._put({"type": "websocket.close", "code": code, "reason": cut})

    async def _put(self, message: Message) -> None:
        try:
            await self._send_event(message)
        except (OSError, RuntimeError) as error:
            # So the server says that nobody is there, or that it has closed.
            raise ClientLeft from error


async def _receive_nothing() -> Message:
    return {"type": "websocket.disconnect"}


def _send_as_websocket(send: Send) -> Send:
    """What refuses to change over, by a response that is sent through it."""

    async def send_response(message: Message) -> None:
        message = {**message, "type": f"websocket.{message['type']}"}
        with contextlib.suppress(OSError):
            await send(message)

    return send_response
