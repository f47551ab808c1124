import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from config.protocol import Protocol

App = Callable[[Any, Any, Any], Awaitable[None]]


class Transport(asyncio.Transport):
    """Keeps what is written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.high: int | None = None
        self.written: list[bytes] = []
        self.closed = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high

    def write(self, data: Any) -> None:
        assert not self.closed
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


def connect(app: App) -> tuple[Protocol, Transport]:
    config = Config(app, loop="none", log_config=None, server_header=False, date_header=False)
    config.load()
    transport = Transport()
    protocol = Protocol(config, ServerState(), {})
    protocol.connection_made(transport)
    return protocol, transport


async def start(send: Any, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def body(send: Any, raw: bytes, *, more: bool = False) -> None:
    await send({"type": "http.response.body", "body": raw, "more_body": more})


async def finish(protocol: Protocol) -> None:
    """Until the answers of all requests are done, and a turn of the loop after them."""
    while protocol.tasks:
        await asyncio.wait(protocol.tasks)
    await asyncio.sleep(0)


async def test_little_waits_for_a_slow_reader() -> None:
    """P9; what a stream holds in all is measured in tests/gateway/relay/test_memory.py."""

    async def nothing(scope: object, receive: object, send: object) -> None:
        """Nobody asks."""

    _, transport = connect(nothing)
    assert transport.high == 16 * 1024


@pytest.mark.parametrize("size", [0, 5, 100_000])
async def test_a_whole_answer_is_one_write(size: int) -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        await start(send, (b"content-length", b"%d" % size))
        await body(send, b"x" * size)

    protocol, transport = connect(app)
    for _ in range(2):
        protocol.data_received(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        await finish(protocol)
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size
    assert b"".join(transport.written) == answer * 2
    # What is large is not copied once more.
    assert len(transport.written) == (4 if size == 100_000 else 2)


async def test_a_head_alone_does_not_wait_for_what_comes_later() -> None:
    later = asyncio.Event()

    async def app(scope: object, receive: object, send: object) -> None:
        await start(send)
        await later.wait()
        await body(send, b"one", more=True)
        await body(send, b"two")

    protocol, transport = connect(app)
    protocol.data_received(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
    for _ in range(3):
        await asyncio.sleep(0)
    assert transport.written == [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"]
    later.set()
    await finish(protocol)
    assert transport.written[1:] == [b"3\r\none\r\n", b"3\r\ntwo\r\n0\r\n\r\n"]


async def ask_old(length: bool) -> tuple[bytes, bool]:
    async def app(scope: object, receive: object, send: object) -> None:
        await start(send, *[(b"content-length", b"6")] * length)
        await body(send, b"one", more=True)
        await body(send, b"", more=True)
        await body(send, b"two")

    protocol, transport = connect(app)
    protocol.data_received(b"GET / HTTP/1.0\r\n\r\n")
    await finish(protocol)
    return b"".join(transport.written), transport.closed


async def test_a_client_of_http_1_0_gets_no_chunks() -> None:
    """RFC 9112, section 6.1: what has no length ends with its connection."""
    head = b"HTTP/1.1 200 OK\r\n%bconnection: close\r\n\r\nonetwo"
    assert await ask_old(length=False) == (head % b"", True)
    assert await ask_old(length=True) == (head % b"content-length: 6\r\n", True)


async def test_an_answer_without_a_body_is_sent() -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        await start(send, (b"content-length", b"7"))
        await body(send, b"nothing")

    protocol, transport = connect(app)
    protocol.data_received(b"HEAD / HTTP/1.1\r\nhost: h\r\n\r\n")
    await finish(protocol)
    assert transport.written == [b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n"]


async def test_a_body_that_waits_to_be_asked_for() -> None:
    async def app(scope: object, receive: Any, send: object) -> None:
        message = await receive()
        await start(send, (b"content-length", b"2"))
        await body(send, message["body"])

    protocol, transport = connect(app)
    protocol.data_received(
        b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n"
    )
    for _ in range(3):
        await asyncio.sleep(0)
    assert transport.written == [b"HTTP/1.1 100 Continue\r\n\r\n"]
    protocol.data_received(b"hi")
    await finish(protocol)
    assert b"".join(transport.written[1:]) == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"


async def test_an_answer_that_breaks_off_is_closed_behind_its_head() -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        await start(send, (b"content-length", b"2"))
        raise ValueError

    protocol, transport = connect(app)
    protocol.data_received(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
    await finish(protocol)
    assert transport.written == [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"]
    assert transport.closed


async def test_a_client_that_has_gone_is_not_written_to() -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        await start(send, (b"content-length", b"2"))
        transport.close()
        protocol.connection_lost(ConnectionResetError())
        await body(send, b"hi")

    protocol, transport = connect(app)
    protocol.data_received(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
    await finish(protocol)
    assert transport.written == []
