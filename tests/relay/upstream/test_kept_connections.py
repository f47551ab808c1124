"""When a connection of an upstream carries another request, and what its end means (F14, F22, F32,
F33, F35)."""

import asyncio
import socket
import struct
from typing import Any

import pytest

from tests.relay.upstream.test_http1 import HEAD, Failed, asked, failure, says, served, whole

SAID = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"


@pytest.mark.parametrize(("seconds", "connections"), [(30.0, 1), (0.0, 2)])
async def test_connection_idle_for_too_long_is_not_used(
    monkeypatch: pytest.MonkeyPatch, seconds: float, connections: int
) -> None:
    """The other end is about to close it: what is sent then is lost, or heard and not answered."""
    async with served(says(SAID)) as (server, origin):
        first = await asked(origin)
        assert await whole(first) == b"hi"
        first.release()
        monkeypatch.setattr("relay.upstream.connection_pool.KEEP_ALIVE_S", seconds)
        second = await asked(origin)
        assert await whole(second) == b"hi"
        second.release()
        assert server.connections == connections


@pytest.mark.parametrize(("fields", "read"), [(100, True), (101, False)])
async def test_a_hundred_headers_are_read_and_one_more_is_not(fields: int, read: bool) -> None:
    head = b"".join(b"x%d: y\r\n" % n for n in range(fields - 1))
    answer = b"HTTP/1.1 200 OK\r\n" + head + b"content-length: 2\r\n\r\nhi"
    async with served(says(answer)) as (_, origin):
        if not read:
            assert await failure(origin) == "head"
            return
        connection = await asked(origin)
        assert await whole(connection) == b"hi"
        connection.release()


@pytest.mark.parametrize(
    ("second", "reason"), [(b"", "closed"), (b"H", "reset"), (b"HTTP/1.1 200 OK\r\nx: ", "reset")]
)
async def test_kept_connection_ending_within_a_head_was_heard(second: bytes, reason: str) -> None:
    """F33: some of an answer has come, so the request is not sent again in silence."""

    async def script(reader: Any, writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(SAID if number == 1 else second)
        await writer.drain()
        if number == 2:
            writer.close()

    async with served(script) as (server, origin):
        connection = await asked(origin)
        assert await whole(connection) == b"hi"
        connection.release()
        assert await failure(origin) == reason
        assert server.connections == 1


@pytest.mark.parametrize(("seconds", "reason"), [(0.49, "closed"), (0.51, "reset")])
async def test_kept_connection_ending_late_was_heard(
    seconds: float, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F32, F33: a close that crossed the request comes within the time of the way."""
    loop, ahead = asyncio.get_running_loop(), [0.0]
    real = loop.time

    async def script(reader: Any, writer: asyncio.StreamWriter, number: int) -> None:
        if number == 1:
            writer.write(SAID)
            return
        # The clock moves, not the test.
        ahead[0] = seconds
        writer.close()

    async with served(script) as (_, origin):
        connection = await asked(origin)
        assert await whole(connection) == b"hi"
        connection.release()
        at = real()
        monkeypatch.setattr(loop, "time", lambda: at + ahead[0])
        assert await failure(origin) == reason
        monkeypatch.undo()


async def test_answer_before_the_whole_body_is_its_connections_last() -> None:
    """F35: the rest of the body would be read as the next request."""
    read_on = asyncio.Event()

    async def script(reader: Any, writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(SAID)
        await writer.drain()
        await read_on.wait()
        writer.close()

    async with served(script) as (_, origin):
        connection = await origin.connection(fresh=False)
        # What the other end does not read stays with us.
        await connection.send(HEAD % 1, b"x" * 32 * 1024 * 1024)
        assert await whole(connection) == b"hi"
        connection.release()
        read_on.set()
        assert connection.closed


@pytest.mark.parametrize("reset", [False, True])
async def test_only_a_clean_end_ends_an_answer_without_a_length(reset: bool) -> None:
    """F14: a reset is no end."""
    begun = asyncio.Event()

    async def script(reader: Any, writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhi")
        await writer.drain()
        await begun.wait()
        if reset:
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        else:
            writer.close()

    async with served(script) as (_, origin):
        connection = await asked(origin)
        assert await connection.next_bytes() == b"hi"
        begun.set()
        if reset:
            with pytest.raises(Failed) as caught:
                await connection.next_bytes()
            assert caught.value.reason == "body"
        else:
            assert await connection.next_bytes() == b""
        connection.release()
        assert connection.closed
