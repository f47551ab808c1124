"""The client's end of a live connection: frames in both directions. Errors are sent as the code and
reason of a close, as Google does."""

import contextlib
from typing import Final

from dialects.errors.errors import RequestFault
from lib.process.waiting import timeout
from relay.downstream.downstream import ErrorAnswer, Head
from relay.realtime.sink import CODES, LAST_WORDS_S, POLICY, ClientLeft, RealtimeSink

# The close code of Google's for an invalid argument (RFC 6455, section 7.4).
_INVALID: Final = 1007
_INVALID_STATUSES: Final = frozenset({400, 404, 405, 413, 415, 422})


class LiveSink(RealtimeSink):
    """The sink of one live connection. The WebSocket is accepted before the model is known."""

    __slots__ = ()

    async def accept(self, head: Head) -> None:
        """Do nothing, because the WebSocket is already accepted."""

    async def receive(self) -> str:
        """Return the next message. Raises ClientLeft, RequestFault for a message that is not
        UTF-8."""
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                self._closed = True
                raise ClientLeft
            if message["type"] != "websocket.receive":
                continue
            text: str | None = message.get("text")
            if text is not None:
                return text
            try:
                return bytes(message.get("bytes") or b"").decode()
            except UnicodeDecodeError:
                raise RequestFault("malformed_json", None, "a message must be UTF-8") from None

    async def send_text(self, text: str) -> None:
        """Send a message, as Google does in a binary frame. Raises ClientLeft."""
        await self._put({"type": "websocket.send", "bytes": text.encode()})

    async def refuse(self, error: ErrorAnswer, *fields: tuple[bytes, bytes]) -> None:
        """End the connection with an error: by an HTTP response before the WebSocket is accepted,
        by a close afterwards."""
        if not self.accepted:
            await super().refuse(error, *fields)
            return
        code = CODES.get(error.kind, POLICY)
        if code == POLICY and error.status in _INVALID_STATUSES:
            code = _INVALID
        with contextlib.suppress(ClientLeft, TimeoutError):
            async with timeout(LAST_WORDS_S):
                await self.close(code, error.message)
