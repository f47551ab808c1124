"""A WebSocket to a provider, spoken with the server's side of the protocol in memory."""

import time
from types import SimpleNamespace
from typing import Any

import httpcore
import httpx
import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import SERVER, Protocol
from websockets.utils import accept_key

from lib.network.egress import EgressFailed
from lib.network.web_socket import SocketClosed, WebSocket, handshake_headers, is_accepted


class Peer:
    """A stream whose other end is a server: what it will be read, and what was written to it."""

    def __init__(self) -> None:
        self.protocol = Protocol(SERVER)
        self.said: list[bytes] = []

    def read(self, size: int, timeout: float) -> bytes:
        assert 0 < timeout <= 60
        data = b"".join(self.protocol.data_to_send())
        if not data:
            raise httpcore.ReadTimeout
        return data

    def write(self, data: bytes, timeout: float) -> None:
        assert timeout >= 0.1
        self.protocol.receive_data(data)
        frames = (one for one in self.protocol.events_received() if isinstance(one, Frame))
        self.said += [bytes(frame.data) for frame in frames if frame.opcode is Opcode.TEXT]


class Gone(Peer):
    def read(self, size: int, timeout: float) -> bytes:
        return b""


def opened(peer: Peer, bytes_max: int = 100) -> WebSocket:
    answer: Any = SimpleNamespace(extensions={"network_stream": peer})
    return WebSocket(answer, until=time.monotonic() + 60, bytes_max=bytes_max)


def test_messages_go_both_ways_and_pieces_are_one_message() -> None:
    peer = Peer()
    socket = opened(peer)
    socket.send(b"hello")
    assert peer.said == [b"hello"]
    peer.protocol.send_text(b"one")
    peer.protocol.send_text(b"tw", fin=False)
    peer.protocol.send_ping(b"")
    peer.protocol.send_continuation(b"o", fin=True)
    assert [socket.receive(5), socket.receive(5)] == [b"one", b"two"]


def test_wait_for_a_message_ends() -> None:
    for wait_s in (5, 0):
        with pytest.raises(EgressFailed) as caught:
            opened(Peer()).receive(wait_s)
        assert caught.value.reason == "timeout"


def test_close_is_told_with_its_code_and_reason() -> None:
    peer = Peer()
    socket = opened(peer)
    peer.protocol.send_text(b"last")
    peer.protocol.send_close(1011, "broken")
    assert socket.receive(5) == b"last"
    for use in (lambda: socket.receive(5), lambda: socket.send(b"x")):
        with pytest.raises(SocketClosed) as caught:
            use()
        assert (caught.value.code, caught.value.reason) == (1011, "broken")
        assert str(caught.value) == "1011 broken"


def test_connection_that_ends_without_a_close_has_a_code_of_its_own() -> None:
    with pytest.raises(SocketClosed) as caught:
        opened(Gone()).receive(5)
    assert (caught.value.code, caught.value.reason, str(caught.value)) == (1006, "", "1006")


def test_own_close_is_sent_once() -> None:
    peer = Peer()
    socket = opened(peer)
    socket.close()
    socket.close()
    assert peer.protocol.close_rcvd is not None
    assert peer.protocol.close_rcvd.code == 1000


def test_message_above_the_bound_closes_the_socket() -> None:
    peer = Peer()
    peer.protocol.send_text(b"x" * 101)
    with pytest.raises(SocketClosed):
        opened(peer).receive(5)
    assert peer.protocol.close_rcvd is not None
    assert peer.protocol.close_rcvd.code == 1009


def test_handshake_is_accepted_by_its_own_key() -> None:
    asked = handshake_headers()
    assert asked["sec-websocket-key"] != handshake_headers()["sec-websocket-key"]
    assert (asked["connection"], asked["upgrade"], asked["sec-websocket-version"]) == (
        "Upgrade", "websocket", "13",
    )  # fmt: skip
    right = {"sec-websocket-accept": accept_key(asked["sec-websocket-key"])}
    assert is_accepted(asked, httpx.Response(101, headers=right))
    assert not is_accepted(asked, httpx.Response(200, headers=right))
    assert not is_accepted(asked, httpx.Response(101, headers={"sec-websocket-accept": "x"}))
    assert not is_accepted(asked, httpx.Response(101))
