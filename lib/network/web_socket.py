"""A WebSocket (RFC 6455) on a connection of the guarded client, for one thread: a few messages in
each direction.
"""

import base64
import os
import time
from collections import deque
from collections.abc import Mapping
from typing import Final, cast

import httpcore
from websockets.exceptions import InvalidState
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import CLIENT, Protocol, State
from websockets.utils import accept_key

from lib.network.egress import Answer, EgressFailed

_READ_BYTES: Final = 64 << 10
_DATA: Final = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})


class SocketClosed(Exception):
    """The peer closed the socket, with this code and reason; 1006 if it sent no close."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code = code
        self.reason = reason


def handshake_headers() -> dict[str, str]:
    """Return the headers that ask for a WebSocket (section 4.1)."""
    return {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": base64.b64encode(os.urandom(16)).decode(),
    }


def is_accepted(asked: Mapping[str, str], answer: Answer) -> bool:
    """Return whether an answer accepts the handshake with these headers."""
    expected = accept_key(asked["sec-websocket-key"])
    return answer.status_code == 101 and answer.headers.get("sec-websocket-accept") == expected


class WebSocket:
    """The socket of an accepted handshake. Every operation ends by `until` (`time.monotonic`).
    Operations raise EgressFailed; inside the block of the request, its client translates other
    errors of the connection.
    """

    def __init__(self, answer: Answer, *, until: float, bytes_max: int) -> None:
        self._stream = cast(httpcore.NetworkStream, answer.extensions["network_stream"])
        self._until = until
        self._protocol = Protocol(CLIENT, max_size=bytes_max)
        self._pieces: list[bytes] = []
        self._messages: deque[bytes] = deque()

    def send(self, message: bytes) -> None:
        """Send a text message. Raises SocketClosed."""
        try:
            self._protocol.send_text(message)
        except InvalidState:
            raise self._closed() from None
        self._flush()

    def receive(self, wait_s: float) -> bytes:
        """Return the next message. Raises SocketClosed, EgressFailed `timeout` if none arrives in
        time.
        """
        until = min(self._until, time.monotonic() + wait_s)
        while not self._messages:
            if self._protocol.state is not State.OPEN:
                raise self._closed()
            left_s = until - time.monotonic()
            if left_s <= 0:
                raise EgressFailed("timeout", "no message")
            try:
                received = self._stream.read(_READ_BYTES, left_s)
            except httpcore.ReadTimeout:
                raise EgressFailed("timeout", "no message") from None
            if received:
                self._protocol.receive_data(received)
            else:
                self._protocol.receive_eof()
            self._flush()
            for event in self._protocol.events_received():
                if isinstance(event, Frame) and event.opcode in _DATA:
                    self._note(event)
        return self._messages.popleft()

    def close(self) -> None:
        """Send a close frame. The connection is closed once the peer has answered it."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
            self._flush()

    def _note(self, frame: Frame) -> None:
        self._pieces.append(bytes(frame.data))
        if frame.fin:
            self._messages.append(b"".join(self._pieces))
            self._pieces = []

    def _flush(self) -> None:
        left_s = max(0.1, self._until - time.monotonic())
        for data in self._protocol.data_to_send():
            if data:
                self._stream.write(data, left_s)

    def _closed(self) -> SocketClosed:
        frame = self._protocol.close_rcvd
        if frame is None:
            return SocketClosed(CloseCode.ABNORMAL_CLOSURE, "")
        return SocketClosed(frame.code, frame.reason)
