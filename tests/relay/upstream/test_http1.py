"""HTTP/1.1 connections to upstreams, against servers that write exactly what a test says."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from lib.network.egress import EgressPolicy
from relay.upstream.connection_pool import ConnectionPool
from relay.upstream.http1 import Connection, Reason, headers_bytes, target_of

LOOPBACK = EgressPolicy(["127.0.0.0/8", "::1/128"])
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6\r\n world\r\n0\r\nx-trailer: 1\r\n\r\n"
)
WAITS: dict[str, Any] = {"connect_s": 2.0, "tls_s": 2.0, "head_s": 30.0}
HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]


class Failed(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Served:
    """A server that answers its n-th request on any connection as a script says."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.connections = 0
        self.requests: list[bytes] = []
        self.ended: asyncio.Queue[bool] = asyncio.Queue()
        self._running: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                self.requests.append(head + await reader.readexactly(length))
                await self._script(reader, writer, len(self.requests))
                if writer.is_closing():
                    break
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self.ended.put_nowait(True)

    async def join(self) -> None:
        await asyncio.gather(*self._running)


@contextlib.asynccontextmanager
async def served(
    script: Script, *, reuse: bool = True, head_s: float = 30
) -> AsyncIterator[tuple[Served, ConnectionPool]]:
    server = Served(script)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    origin = ConnectionPool(
        f"http://127.0.0.1:{port}",
        LOOPBACK,
        Failed,
        **WAITS | {"head_s": head_s},
        reuse=reuse,
    )
    try:
        yield server, origin
    finally:
        origin.close()
        # What a test that failed has left open, the server waits for.
        for connection in list(origin._open):
            connection.cut()
        listening.close()
        await server.join()


def says(*answers: bytes, close: bool = False) -> Script:
    """One answer after the other; the last one again and again."""

    async def script(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        writer.write(answers[min(number, len(answers)) - 1])
        await writer.drain()
        if close:
            writer.close()

    return script


async def asked(origin: ConnectionPool, body: bytes = b"?", *, fresh: bool = False) -> Connection:
    connection = await origin.connection(fresh=fresh)
    try:
        await connection.send(HEAD % len(body), body)
    except Failed:
        connection.cut()
        raise
    return connection


async def read_into(pieces: list[bytes], connection: Connection) -> None:
    while piece := await connection.next_bytes():
        pieces.append(piece)


async def whole(connection: Connection) -> bytes:
    pieces: list[bytes] = []
    await read_into(pieces, connection)
    return b"".join(pieces)


async def failure(origin: ConnectionPool) -> Reason:
    with pytest.raises(Failed) as caught:
        await asked(origin)
    return caught.value.reason


@pytest.mark.parametrize("form", [PLAIN, CHUNKED], ids=["length", "chunked"])
async def test_answer_reads_the_same_however_split(form: bytes) -> None:
    wanted = b"{}" if form is PLAIN else b"hello world"
    for at in range(1, len(form)):

        async def script(
            reader: asyncio.StreamReader,
            writer: asyncio.StreamWriter,
            number: int,
            at: int = at,
        ) -> None:
            writer.write(form[:at])
            await writer.drain()
            await asyncio.sleep(0)
            writer.write(form[at:])

        async with served(script) as (server, origin):
            for _ in range(2):
                answer = await asked(origin)
                assert await whole(answer) == wanted
                answer.release()
            assert server.connections == 1


@pytest.mark.parametrize("status", [100, 102, 103])
async def test_interim_answer_is_skipped(status: int) -> None:
    """F37"""
    interim = b"HTTP/1.1 %d Wait\r\nx-early: 1\r\n\r\n" % status
    async with served(says(interim + interim + PLAIN)) as (server, origin):
        for _ in range(2):
            answer = await asked(origin)
            assert answer.status == 200
            assert "x-early" not in answer.headers
            assert await whole(answer) == b"{}"
            answer.release()
        assert server.connections == 1


async def test_white_space_around_a_value_is_not_part_of_it() -> None:
    """RFC 9110, section 5.5."""
    spaced = PLAIN.replace(b" application/json", b"\t application/json \t ")
    async with served(says(spaced)) as (_, origin):
        answer = await asked(origin)
        assert answer.headers["content-type"] == "application/json"
        answer.cut()


async def test_trailers_are_dropped() -> None:
    """F37"""
    async with served(says(CHUNKED)) as (_, origin):
        answer = await asked(origin)
        assert await whole(answer) == b"hello world"
        assert "x-trailer" not in answer.headers
        answer.release()


@pytest.mark.parametrize(
    "behind",
    [
        b"0\r\n" + b"x: a\r\n" * 101 + b"\r\n",
        b"0\r\nx: " + b"a" * 70_000 + b"\r\n\r\n",
        b"0\r\nx: " + b"a" * 200_000,
        b"0\r\n" + b"x" * 200_000,
        b"0;" + b"x" * 200_000,
        b"1;" + b"x" * 200_000,
        b"0" * 200_000,
    ],
    ids=["many", "giant", "endless", "name", "last", "extension", "zeros"],
)
async def test_data_around_a_body_is_bounded(behind: bytes) -> None:
    """F14, P9: trailers as headers are; what the parser gathers of them takes no more memory."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    async with served(says(head + behind)) as (_, origin):
        answer = await asked(origin)
        results: list[bytes] = []
        with pytest.raises(Failed) as caught:
            await read_into(results, answer)
        assert (b"".join(results), caught.value.reason) == (b"hello", "body")
        assert answer.closed


async def test_a_body_in_many_small_chunks_is_not_bounded() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    framed = head + b"1;some=extension\r\nx\r\n" * 20_000 + b"0\r\n\r\n"
    async with served(says(framed)) as (_, origin):
        answer = await asked(origin)
        assert await whole(answer) == b"x" * 20_000
        answer.release()


@pytest.mark.parametrize("behind", [b"junk", b"HTTP/1.1 200 OK\r\n\0", PLAIN, b"\0"])
async def test_whole_answer_is_delivered_whatever_follows_it(behind: bytes) -> None:
    async with served(says(PLAIN + behind, PLAIN)) as (server, origin):
        answer = await asyncio.wait_for(asked(origin), 30)
        assert await whole(answer) == b"{}"
        answer.release()
        again = await asked(origin)
        assert await whole(again) == b"{}"
        assert server.connections == 2
        again.release()


async def test_http_1_0_connection_is_not_reused() -> None:
    """RFC 9112, appendix C.2.2: who stands between may not know of `keep-alive`."""
    old = PLAIN.replace(b"1.1", b"1.0").replace(
        b"Content-L", b"Connection: keep-alive\r\nContent-L"
    )
    async with served(says(old)) as (server, origin):
        for _ in range(2):
            answer = await asked(origin)
            assert await whole(answer) == b"{}"
            answer.release()
        assert server.connections == 2


async def test_connection_end_ends_an_answer_without_a_length() -> None:
    async with served(says(b"HTTP/1.0 200 OK\r\n\r\nall of it", close=True)) as (_, origin):
        assert await whole(await asked(origin)) == b"all of it"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nzz\r\n",
    ],
    ids=["length", "chunked", "framing"],
)
async def test_broken_body_is_reported_after_its_content(answer: bytes) -> None:
    """F14: never a clean end."""
    async with served(says(answer, close=True)) as (_, origin):
        connection = await asked(origin)
        results: list[bytes] = []
        with pytest.raises(Failed) as caught:
            await read_into(results, connection)
        assert (b"".join(results), caught.value.reason) == (b"short", "body")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "reset"),
        (b"HTTP/1.1 200 OK\r\nContent-", "reset"),
        (b"220 mail.example ESMTP\r\n\r\n", "head"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 70_000 + b"\r\n\r\n", "head"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: a\r\n" * 101 + b"\r\n", "head"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 70_000, "head"),
        (b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "head"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "head"),
        (b"HTTP/1.1 103 Hints\r\n\r\n" * 5000, "head"),
        (b"HTTP/1.1 103 Hints\r\nContent-Length: 19\r\n\r\n" + PLAIN, "head"),
        (b"HTTP/1.1 103 Hints\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + PLAIN, "head"),
        (b"HTTP/1.1 099 OK\r\n\r\n" + PLAIN, "head"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n", "head"),
        (b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", "head"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "head"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n{}", "head"),
        (PLAIN.replace(b"Content-Type", b"Content Type"), "head"),
        (PLAIN.replace(b"Content-Type", b"Content-Type "), "head"),
        (PLAIN.replace(b"Content-Type", b"Content\0Type"), "head"),
        (PLAIN.replace(b"/json", b"/js\0on"), "head"),
        (PLAIN.replace(b"/json", b"/json\r\n folded: 1"), "head"),
        (PLAIN.replace(b"Length: 2", b"Length: 2\r\nContent-Length: 3"), "head"),
        (PLAIN.replace(b"Length: 2", b"Length: 2\r\nTransfer-Encoding: chunked"), "head"),
    ],
    ids=[
        "nothing",
        "half",
        "other",
        "giant",
        "flood",
        "endless",
        "upgrade",
        "changed",
        "interims",
        "interim length",
        "interim chunks",
        "status",
        "tab",
        "version",
        "coded",
        "unknown",
        "spaced",
        "colon",
        "name",
        "value",
        "folded",
        "lengths",
        "smuggled",
    ],
)
async def test_answer_without_a_head(answer: bytes, reason: Reason) -> None:
    """F22, F33: also a connection that is closed without a word was fresh, and may have been
    heard."""
    async with served(says(answer, close=True)) as (_, origin):
        assert await failure(origin) == reason


async def test_started_head_must_end() -> None:
    """F12: from its first byte on; before that the time of the first content runs (F11)."""

    async def script(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nx")
        await reader.read()

    async with served(script, head_s=0.01) as (_, origin):
        assert await failure(origin) == "slow"


async def test_an_interim_answer_begins_no_head() -> None:
    """F37: what follows it may take its time."""
    waits: list[asyncio.Event] = []

    async def script(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")
        await waits[0].wait()
        writer.write(PLAIN)

    async with served(script, head_s=0.01) as (_, origin):
        waits.append(asyncio.Event())
        asyncio.get_running_loop().call_later(0.05, waits[0].set)
        connection = await asked(origin)
        assert await whole(connection) == b"{}"
        connection.release()


async def test_a_reset_idle_connection_counts_as_closed_not_broken() -> None:
    """F32: nothing of the second request was heard."""

    async def script(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        if number == 1:
            writer.write(PLAIN)
            return
        raw: socket.socket = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        writer.transport.abort()

    async with served(script) as (_, origin):
        answer = await asked(origin)
        assert await whole(answer) == b"{}"
        answer.release()
        assert await failure(origin) == "closed"


async def test_unrequested_bytes_are_never_the_next_answer() -> None:
    lie = PLAIN.replace(b"{}", b"[]")
    async with served(says(PLAIN + lie, PLAIN)) as (server, origin):
        answer = await asked(origin)
        assert await whole(answer) == b"{}"
        answer.release()
        again = await asked(origin)
        assert await whole(again) == b"{}"
        assert server.connections == 2
        again.release()


async def test_bytes_on_an_idle_connection_close_it() -> None:
    late = asyncio.Event()

    async def script(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        writer.write(PLAIN)
        if number == 1:
            await late.wait()
            writer.write(PLAIN.replace(b"{}", b"[]"))

    async with served(script) as (server, origin):
        answer = await asked(origin)
        assert await whole(answer) == b"{}"
        answer.release()
        late.set()
        await server.ended.get()
        again = await asked(origin)
        assert await whole(again) == b"{}"
        assert server.connections == 2
        again.release()


async def test_a_slow_reader_holds_back_the_upstream_not_the_memory() -> None:
    """P9"""
    sent = 0
    size = 8 * 1024 * 1024

    async def script(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        nonlocal sent
        writer.transport.set_write_buffer_limits(high=0)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async with served(script) as (_, origin):
        answer = await asked(origin)
        first = await answer.next_bytes()
        # As much as the sockets of both ends take, and no more, has been sent when it stands still.
        before = -1
        while sent != before:
            before = sent
            for _ in range(500):
                await asyncio.sleep(0)
        assert sent < size
        held = await answer.next_bytes()
        assert len(held) <= 512 * 1024
        assert len(first) + len(held) + len(await whole(answer)) == size
        answer.release()


async def test_a_cut_reaches_the_upstream() -> None:
    """P6"""

    async def script(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx")
        await reader.read()

    async with served(script) as (server, origin):
        answer = await asked(origin)
        assert await answer.next_bytes() == b"x"
        answer.cut()
        assert await asyncio.wait_for(server.ended.get(), 30)


async def test_early_answer_is_delivered_while_a_long_body_is_sent() -> None:
    """F35"""
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(refusal)
        await reader.read(1)
        writer.close()

    listening = await asyncio.start_server(refuse, "127.0.0.1", 0, limit=1024)
    port = listening.sockets[0].getsockname()[1]
    origin = ConnectionPool(f"http://127.0.0.1:{port}", LOOPBACK, Failed, **WAITS, reuse=True)
    answer = await asked(origin, b"x" * 30_000_000)
    assert answer.status == 413
    answer.release()
    listening.close()


def test_headers_cannot_be_terminated_by_their_values() -> None:
    assert headers_bytes([("x-a", "ä"), ("x-b", "a\tb"), ("x-c", "")]) == (
        "x-a: ä\r\nx-b: a\tb\r\nx-c: \r\n".encode()
    )
    for value in ("a\r\nx-b: 1", "a\n", "a\0", "a\x7f", "\x1b[0m"):
        with pytest.raises(ValueError, match="line end"):
            headers_bytes([("x-a", value)])


@pytest.mark.parametrize("name", ["", "x a", "x:", "x-a: 1\r\nx-b", "x\n", "ä", "x\0", "(x)"])
def test_header_name_is_a_token(name: str) -> None:
    """RFC 9110, section 5.1."""
    with pytest.raises(ValueError, match="no name of a header"):
        headers_bytes([(name, "1")])


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://api.example/v1/chat", b"/v1/chat"),
        ("https://api.example", b"/"),
        ("http://x.example:81/a%2Fb?api-version=1", b"/a%2Fb?api-version=1"),
    ],
)
def test_target(url: str, target: bytes) -> None:
    assert target_of(url) == target


@pytest.mark.parametrize("url", ["https://x.example/a b", "https://x.example/ü"])
def test_a_target_that_would_end_the_request_line(url: str) -> None:
    with pytest.raises(ValueError, match="no request"):
        target_of(url)


async def test_chunks_are_handed_over_in_the_reading_call() -> None:
    """What is taken needs no turn of the reading task; what is not comes back to it, in order."""
    go_on = asyncio.Event()

    async def script(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        for piece in (b"a", b"b", b"stop"):
            go_on.clear()
            writer.write(piece)
            await go_on.wait()

    async with served(script) as (_, origin):
        answer = await asked(origin)
        taken: list[bytes] = []
        tasks: list[object] = []

        def take(piece: bytes) -> bool:
            taken.append(piece)
            tasks.append(asyncio.current_task())
            go_on.set()
            return piece == b"stop"

        await answer.hand_to(take)
        assert taken == [b"a", b"b", b"stop"]
        # The first may have come with the head.
        assert tasks[1:] == [None, None]
        await answer.hand_to(take)
        assert taken == [b"a", b"b", b"stop", b""]
        answer.release()


@pytest.mark.parametrize("length", [5, 9])
async def test_end_is_handed_over_in_every_form(length: int) -> None:
    """F14: after what came before it; `next_bytes` tells whether it was one."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length
    async with served(says(head + b"hello", close=True)) as (_, origin):
        answer = await asked(origin)
        taken: list[bytes] = []

        def take(piece: bytes) -> bool:
            taken.append(piece)
            return not piece

        await answer.hand_to(take)
        assert b"".join(taken) == b"hello"
        assert taken[-1] == b""
        answer.cut()


async def test_consumer_failure_fails_the_reading_task() -> None:
    async with served(says(PLAIN)) as (_, origin):
        answer = await asked(origin)

        def take(piece: bytes) -> bool:
            raise LookupError(piece)

        with pytest.raises(LookupError):
            await answer.hand_to(take)
        answer.cut()
