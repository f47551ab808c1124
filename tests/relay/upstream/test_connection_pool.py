"""Connections to one origin: kept, bounded, raced, guarded and secure, on either event loop."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from math import inf
from pathlib import Path

import pytest
import uvloop

from lib.network.egress import EgressDenied, EgressPolicy
from relay.upstream import connection_pool, dialer
from relay.upstream.connection_pool import ConnectionPool
from relay.upstream.dialer import Dialer, interleave_addresses
from relay.upstream.http1 import Connection
from tests.fakes import listeners
from tests.relay.upstream.test_http1 import (
    LOOPBACK,
    PLAIN,
    WAITS,
    Failed,
    asked,
    failure,
    says,
    served,
    whole,
)


async def test_connection_is_reused_newest_first() -> None:
    async with served(says(PLAIN)) as (server, origin):
        for _ in range(3):
            answer = await asked(origin)
            assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
            assert await whole(answer) == b"{}"
            assert answer.at_end
            answer.release()
        assert (server.connections, len(server.requests)) == (1, 3)
        other = await asked(origin, fresh=True)
        assert await whole(other) == b"{}"
        assert server.connections == 2
        other.release()


async def test_without_reuse_every_request_has_its_own_connection() -> None:
    async with served(says(PLAIN), reuse=False) as (server, origin):
        for _ in range(2):
            answer = await asked(origin)
            assert await whole(answer) == b"{}"
            answer.release()
        assert server.connections == 2


async def test_closed_port() -> None:
    """F1"""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        origin = ConnectionPool(url, LOOPBACK, Failed, **WAITS, reuse=True)
        assert await failure(origin) == "refused"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://[::1]:9", "https://localhost:9"])
async def test_private_addresses_are_refused_before_anything_is_sent(url: str) -> None:
    """P13"""
    origin = ConnectionPool(url, EgressPolicy(), Failed, **WAITS, reuse=True)
    assert await failure(origin) == "denied"


async def test_one_private_address_of_a_name_refuses_the_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """P13"""

    async def resolve(host: str, port: int) -> list[str]:
        return ["93.184.215.14", "10.0.0.1"]

    monkeypatch.setattr(dialer, "_resolve", resolve)
    origin = ConnectionPool("http://two.example", EgressPolicy(), Failed, **WAITS, reuse=True)
    assert await failure(origin) == "denied"


async def test_peer_address_is_checked_too() -> None:
    """P13: where addresses are rewritten on the way, the end is elsewhere than was asked for."""
    checked: list[str] = []

    class Lenient(EgressPolicy):
        def check(self, address: str) -> None:
            checked.append(address)
            if len(checked) == 2:
                raise EgressDenied(address)

    async with served(says(PLAIN)) as (server, origin):
        origin._dialer._policy = Lenient()
        assert await failure(origin) == "denied"
        assert checked == ["127.0.0.1", "127.0.0.1"]
        assert server.requests == []


async def test_resolved_name_is_kept_while_dns_is_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers: list[list[str] | None] = [["127.0.0.1"], None, None]
    asked_for = 0

    async def ask(host: str, port: int) -> list[str]:
        nonlocal asked_for
        asked_for += 1
        result = answers.pop(0)
        if result is None:
            raise socket.gaierror("no name service")
        return result

    monkeypatch.setattr(dialer, "_resolve_host", ask)
    results = await asyncio.gather(*(dialer._resolve("once.example", 80) for _ in range(5)))
    assert results == [["127.0.0.1"]] * 5
    assert asked_for == 1
    monkeypatch.setattr(dialer, "_NAME_S", 0.0)
    assert await dialer._resolve("once.example", 80) == ["127.0.0.1"]
    monkeypatch.setattr(dialer, "_NAME_STALE_S", 0.0)
    with pytest.raises(socket.gaierror):
        await dialer._resolve("once.example", 80)


async def test_an_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """F2"""

    async def ask(host: str, port: int) -> list[str]:
        raise socket.gaierror("unknown")

    monkeypatch.setattr(dialer, "_resolve_host", ask)
    origin = ConnectionPool("http://unknown.example", LOOPBACK, Failed, **WAITS, reuse=True)
    assert await failure(origin) == "name"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://api.example/v1", "api.example"),
        ("https://api.example:444/v1", "api.example:444"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("https://bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_host_header(url: str, host: str) -> None:
    origin = ConnectionPool(url, LOOPBACK, Failed, **WAITS, reuse=True)
    assert origin.host_header == host


# ---- bounds


async def test_a_waiting_request_gets_the_first_returned_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A provider that lets requests hang takes so many sockets of the process and no more."""
    monkeypatch.setattr(connection_pool, "_CONNECTIONS_MAX", 2)
    async with served(says(PLAIN)) as (_, origin):
        held = [await asked(origin) for _ in range(2)]
        waiting = [asyncio.create_task(origin.connection(fresh=fresh)) for fresh in (False, True)]
        late = asyncio.create_task(origin.connection(fresh=False))
        await asyncio.sleep(0)
        for answer in held:
            assert await whole(answer) == b"{}"
            answer.release()
        results = await asyncio.gather(*waiting)
        assert results[0] is held[0]
        assert results[1] not in held
        assert (held[1].closed, late.done()) == (True, False)
        results[0].cut()
        for other in (results[1], await late):
            assert not other.closed
            other.cut()


async def test_waiting_for_a_connection_takes_no_longer_than_a_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """F4: nothing was sent, so the next channel may be asked."""
    monkeypatch.setattr(connection_pool, "_CONNECTIONS_MAX", 1)
    async with served(says(PLAIN)) as (_, origin):
        held = await asked(origin)
        origin._dialer.connect_s = 0.01
        assert await failure(origin) == "timeout"
        assert await whole(held) == b"{}"
        held.release()
        again = await asked(origin)
        assert again is held
        again.cut()


async def test_cancelled_waiter_gives_up_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_pool, "_CONNECTIONS_MAX", 1)
    async with served(says(PLAIN)) as (_, origin):
        held = await asked(origin)
        assert await whole(held) == b"{}"
        leaving, staying = (asyncio.create_task(origin.connection(fresh=False)) for _ in range(2))
        await asyncio.sleep(0)
        held.release()
        leaving.cancel()
        assert await staying is held
        held.cut()
        assert not (await asked(origin)).closed


async def test_cancelled_waiter_passes_its_place_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else an origin whose clients leave is out of places for good, and idle."""
    monkeypatch.setattr(connection_pool, "_CONNECTIONS_MAX", 1)
    async with served(says(PLAIN)) as (_, origin):
        held = await asked(origin)
        leaving = asyncio.create_task(origin.connection(fresh=False))
        await asyncio.sleep(0)
        held.cut()
        origin.forget(held)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert origin._places_taken == 0
        (await asked(origin)).cut()


async def returned(origin: ConnectionPool) -> Connection:
    """A connection that has carried one exchange."""
    connection = await asked(origin)
    assert await whole(connection) == b"{}"
    connection.release()
    return connection


@contextlib.contextmanager
def dialling(origin: ConnectionPool, dial: Callable[[], Awaitable[Connection]]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(origin._dialer, "dial", dial)
        yield


async def fail() -> Connection:
    raise Failed("refused", "no way")


async def hang() -> Connection:
    never: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
    return await never


async def is_refused(origin: ConnectionPool, *, fresh: bool = False) -> None:
    with dialling(origin, fail), pytest.raises(Failed, match="no way"):
        await origin.connection(fresh=fresh)


async def is_cancelled(origin: ConnectionPool) -> None:
    with dialling(origin, hang):
        opening = asyncio.create_task(origin.connection(fresh=False))
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening


async def is_closed_at_once(origin: ConnectionPool) -> None:
    async def dial() -> Connection:
        return Connection(origin, asyncio.get_running_loop())

    with dialling(origin, dial):
        assert (await origin.connection(fresh=False)).closed


async def fails_in_place_of_an_old_one(origin: ConnectionPool) -> None:
    await returned(origin)
    await is_refused(origin, fresh=True)


async def is_cut(origin: ConnectionPool) -> None:
    (await asked(origin)).cut()


async def is_cut_while_idle(origin: ConnectionPool) -> None:
    (await returned(origin)).cut()


async def is_swept(origin: ConnectionPool) -> None:
    (await returned(origin))._idle_since = -inf
    origin._drop_old()


async def is_too_old(origin: ConnectionPool) -> None:
    (await returned(origin))._idle_since = -inf


async def is_not_reused(origin: ConnectionPool) -> None:
    origin._reuse = False
    await returned(origin)


@pytest.mark.parametrize(
    "way",
    [
        is_refused, is_cancelled, is_closed_at_once, fails_in_place_of_an_old_one, is_cut,
        is_cut_while_idle, is_swept, is_too_old, is_not_reused,
    ],
)  # fmt: skip
async def test_a_connection_gives_its_place_back_once(
    monkeypatch: pytest.MonkeyPatch, way: Callable[[ConnectionPool], Awaitable[None]]
) -> None:
    """Else a provider is out of reach after an outage, or takes more sockets than it may."""
    monkeypatch.setattr(connection_pool, "_CONNECTIONS_MAX", 1)
    async with served(says(PLAIN)) as (_, origin):
        for _ in range(2):
            await way(origin)
        (await returned(origin)).cut()
        kept = await asked(origin)
        assert not kept.closed
        assert (origin._places_taken, origin._open) == (1, {kept})
        kept.cut()


async def test_one_that_cannot_be_opened_passes_its_place_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_pool, "_CONNECTIONS_MAX", 1)
    async with served(says(PLAIN)) as (_, origin):
        with dialling(origin, hang):
            leaving = asyncio.create_task(origin.connection(fresh=False))
            await asyncio.sleep(0)
        staying = asyncio.create_task(origin.connection(fresh=False))
        await asyncio.sleep(0)
        leaving.cancel()
        assert not (await staying).closed
        assert origin._places_taken == 1


# ---- several addresses


@pytest.mark.parametrize(
    ("addresses", "order"),
    [
        ([], []),
        (["1"], ["1"]),
        (["1", "2", "::3"], ["1", "::3", "2"]),
        (["::1", "::2", "3", "4", "5"], ["::1", "3", "::2", "4", "5"]),
    ],
)
def test_the_families_take_turns(addresses: list[str], order: list[str]) -> None:
    """RFC 8305, section 4."""
    assert interleave_addresses(addresses) == order


@contextlib.asynccontextmanager
async def named(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str], *, stagger_s: float = 0.0
) -> AsyncIterator[tuple[ConnectionPool, list[str]]]:
    """An origin whose name has these addresses; which of them were tried. 127.0.0.1 answers, ::1
    refuses, 127.0.0.2 never answers."""
    tried: list[str] = []
    connect = Dialer._connect

    async def watched(self: Dialer, address: str) -> Connection:
        tried.append(address)
        if address == "127.0.0.2":
            await asyncio.Event().wait()
        return await connect(self, address)

    async def resolve(host: str, port: int) -> list[str]:
        return addresses

    monkeypatch.setattr(Dialer, "_connect", watched)
    monkeypatch.setattr(dialer, "_resolve", resolve)
    monkeypatch.setattr(dialer, "_STAGGER_S", stagger_s)
    async with served(says(PLAIN)) as (_, other):
        origin = ConnectionPool(
            f"http://a.example:{other._dialer._port}", LOOPBACK, Failed, **WAITS, reuse=True
        )
        yield origin, tried
        origin.close()


@pytest.mark.parametrize(
    ("addresses", "stagger_s", "tried"),
    [
        # One that hangs holds back nobody.
        (["127.0.0.2", "127.0.0.1"], 0.01, ["127.0.0.2", "127.0.0.1"]),
        # One that refuses is left at once.
        (["::1", "127.0.0.1"], 60.0, ["::1", "127.0.0.1"]),
        # One that answers is enough.
        (["127.0.0.1", "::1", "127.0.0.2"], 60.0, ["127.0.0.1"]),
    ],
    ids=["hangs", "refuses", "answers"],
)
async def test_addresses_of_a_name_are_raced(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str], stagger_s: float, tried: list[str]
) -> None:
    """RFC 8305, section 5."""
    async with named(monkeypatch, addresses, stagger_s=stagger_s) as (origin, seen):
        answer = await asked(origin)
        assert await whole(answer) == b"{}"
        answer.release()
        assert seen == tried
    assert [task for task in asyncio.all_tasks() if "watched" in repr(task)] == []


async def test_loser_of_a_connection_race_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent twice, and no socket is left."""
    items: list[Connection] = []
    connect = Dialer._connect

    async def watched(self: Dialer, address: str) -> Connection:
        items.append(await connect(self, address))
        return items[-1]

    async with named(monkeypatch, ["127.0.0.1"] * 3) as (origin, _):
        monkeypatch.setattr(Dialer, "_connect", watched)
        answer = await asked(origin)
        assert await whole(answer) == b"{}"
        answer.release()
        others = [task for task in asyncio.all_tasks() if "watched" in repr(task)]
        await asyncio.gather(*others, return_exceptions=True)
        assert [one.closed for one in items] == [one is not answer for one in items]
        assert not answer.closed


async def test_addresses_that_all_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """F1, F4"""
    async with named(monkeypatch, ["::1", "::1"]) as (origin, _):
        assert await failure(origin) == "refused"
    async with named(monkeypatch, ["127.0.0.2", "::1"]) as (origin, _):
        origin._dialer.connect_s = 0.02
        assert await failure(origin) == "timeout"


# ---- TLS


LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
on_each_loop = pytest.mark.parametrize("loop", LOOPS)


@pytest.fixture
def certified(
    tmp_path: Path, authority: listeners.Authority, monkeypatch: pytest.MonkeyPatch
) -> ssl.SSLContext:
    """A server's side of TLS, which ours trusts."""
    context, trusted = listeners.tls_context(tmp_path, authority=authority)
    monkeypatch.setattr(dialer, "_context", ssl.create_default_context(cafile=trusted))
    return context


@contextlib.asynccontextmanager
async def secured(
    context: ssl.SSLContext,
    answer: Callable[[bytes, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[ConnectionPool]:
    """An origin whose server is given each request's body, and the writer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                await answer(await reader.readexactly(length), writer)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = listening.sockets[0].getsockname()[1]
    origin = ConnectionPool(f"https://127.0.0.1:{port}", LOOPBACK, Failed, **WAITS, reuse=True)
    try:
        yield origin
    finally:
        origin.close()
        listening.close()


def numbered(mark: bytes, size: int) -> bytes:
    """Text in which no two places are alike."""
    return b"".join(b"%b%08d" % (mark, n) for n in range(size // 9))


@on_each_loop
@pytest.mark.parametrize("size", [40_000, 300_000, pytest.param(3_000_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("chunked", [False, True])
def test_large_tls_answer_arrives_intact(
    loop: str, size: int, chunked: bool, certified: ssl.SSLContext
) -> None:
    """P12: not what the last answer, maybe another tenant's, left in the buffer."""

    async def answer(body: bytes, writer: asyncio.StreamWriter) -> None:
        text = numbered(body, size)
        if chunked:
            head, framed = (
                b"transfer-encoding: chunked",
                b"%x\r\n%b\r\n0\r\n\r\n" % (len(text), text),
            )
        else:
            head, framed = b"content-length: %d" % len(text), text
        writer.write(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n%b" % (head, framed))
        await writer.drain()

    async def ask() -> None:
        async with secured(certified, answer) as origin:
            for mark in (b"a", b"b", b"c"):
                got = await asked(origin, mark)
                assert await whole(got) == numbered(mark, size)
                got.release()

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(ask())


@on_each_loop
def test_long_tls_request_arrives(loop: str, certified: ssl.SSLContext) -> None:
    sent = numbered(b"x", 5_000_000)
    arrived: list[bool] = []

    async def answer(body: bytes, writer: asyncio.StreamWriter) -> None:
        arrived.append(body == sent)
        writer.write(PLAIN)

    async def ask() -> None:
        async with secured(certified, answer) as origin:
            got = await asked(origin, sent)
            assert await whole(got) == b"{}"
            got.release()

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(ask())
    assert arrived == [True]
