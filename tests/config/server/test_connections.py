"""The bounds of one connection at their very edge, and what it never says (P9, "Requests")."""

import asyncio
import resource
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from config.server import protocol as module
from config.server.connection_limits import connections_max, open_files
from config.server.protocol import Protocol
from tests.config.server.test_protocol import HEAD, Asked, Transport, body, connect, finish, start

ENOUGH_TURNS = 50
KIB = 1024
# More than all buffers between two ends of a connection hold.
SIZE = 32 * 1024 * KIB


class NeverChanged:
    """What a connection would be handed to that changes over."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise AssertionError("the connection has changed over")


@pytest.mark.parametrize("count", [100, 101])
async def test_a_hundred_headers_are_answered_and_one_more_is_not(count: int) -> None:
    protocol, transport = connect(Asked())
    head = HEAD + b"".join(b"x%d: y\r\n" % n for n in range(count - 1)) + b"\r\n"
    protocol.data_received(head)
    await finish(protocol)
    text = b"HTTP/1.1 200 " if count == 100 else b"HTTP/1.1 431 "
    assert transport.written[0].startswith(text)


async def test_upgrade_request_gets_a_plain_answer() -> None:
    """Whatever library for WebSocket is installed."""
    asked = Asked()
    config = Config(asked, loop="none", log_config=None, ws=NeverChanged)  # type: ignore[arg-type]
    config.load()
    protocol, transport = Protocol(config, ServerState(), {}), Transport()
    protocol.connection_made(transport)
    protocol.data_received(
        HEAD + b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await finish(protocol)
    assert transport.written[0].startswith(b"HTTP/1.1 200 ")
    assert asked.bodies == [b""]


@pytest.mark.parametrize("junk", [b"\x00\x01", b"G@T / HTTP/1.1\r\n\r\n", HEAD * 4000])
async def test_no_second_answer_within_an_answer(junk: bytes) -> None:
    """It would be read as a part of it."""
    going, release = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await start(send, (b"content-length", b"4"))
        await body(send, b"on", more=True)
        going.set()
        await release.wait()

    protocol, transport = connect(app)
    protocol.data_received(HEAD + b"\r\n")
    await asyncio.wait_for(going.wait(), 30)
    before = b"".join(transport.written)
    protocol.data_received(junk)
    assert transport.closed
    assert b"".join(transport.written) == before
    protocol.connection_lost(None)
    release.set()
    await finish(protocol)


async def test_reader_keeping_up_with_a_stream_is_not_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What waits is as much as before because as much has come as was taken."""
    monkeypatch.setattr(module, "_STALL_S", 0.0)
    release = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await start(send)
        await body(send, b"one", more=True)
        await release.wait()
        await body(send, b"two")

    protocol, transport = connect(app)
    protocol.data_received(HEAD + b"\r\n")
    await asyncio.sleep(0)
    transport.unsent = 10_000
    protocol.pause_writing()
    protocol.resume_writing()
    for _ in range(ENOUGH_TURNS):
        await asyncio.sleep(0.0)
    assert not transport.closed
    transport.unsent = 0
    release.set()
    await finish(protocol)


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_cut_whole_answer_is_shorter_than_announced(
    monkeypatch: pytest.MonkeyPatch, version: bytes
) -> None:
    """docs/promises.md, "Numbers": the client takes nothing for its time. What it reads after that
    is less than was promised to it, and cannot be taken for the whole."""
    monkeypatch.setattr(module, "_STALL_S", 0.006)
    cut = asyncio.Event()

    class Watched(Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            cut.set()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await start(send, (b"content-length", b"%d" % SIZE))
        await body(send, b"x" * SIZE)

    config = Config(app, loop="none", log_config=None)
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Watched(config, ServerState(), {}), "127.0.0.1")
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), limit=KIB)
    writer.write(b"GET / HTTP/%b\r\nhost: h\r\n\r\n" % version)
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"content-length: %d\r\n" % SIZE in head
    await asyncio.wait_for(cut.wait(), 30)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await reader.readexactly(SIZE)
    writer.close()
    server.close()


async def test_each_request_has_its_own_allowance_of_unread_bytes() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await start(send, (b"content-length", b"2"))
        await body(send, b"no")

    protocol, transport = connect(app)
    for _ in range(3):
        protocol.data_received(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 200000\r\n\r\n")
        await finish(protocol)
        for _ in range(2):
            protocol.data_received(b"x" * 100_000)
    assert transport.paused == []
    assert b"".join(transport.written).count(b"HTTP/1.1 200 ") == 3


@pytest.mark.parametrize(
    ("soft", "connections"),
    [(1024, 448), (100_000, 8192), (64, 16), (16_512, 8192), (16_510, 8191)],
)
def test_every_connection_leaves_a_file_for_its_upstream(
    monkeypatch: pytest.MonkeyPatch, soft: int, connections: int
) -> None:
    """P9: a stream needs two, and the database and the log theirs."""
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, soft))
    connections_max.cache_clear()
    try:
        assert connections_max() == connections
    finally:
        connections_max.cache_clear()


@pytest.mark.parametrize(
    ("soft", "hard", "opened"),
    [
        (1024, 4096, 4096),
        (1024, resource.RLIM_INFINITY, 16_512),
        (1024, 100_000, 16_512),
        (20_000, 100_000, None),
        (4096, 4096, None),
    ],
)
def test_file_limit_is_raised_and_never_lowered(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, opened: int | None
) -> None:
    set_to: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: set_to.append(limits))
    open_files()
    assert set_to == ([] if opened is None else [(opened, hard)])
