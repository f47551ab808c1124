"""Every timer that cuts or ends something, under a clock that is moved (`tests/house/timers.py`):
an answer that goes on for an hour is cut by none, and what is silent is ended in its time (F8, F9,
F12, P9)."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
from websockets.protocol import State

from config.server import protocol as server
from config.server import websocket as server_socket
from config.server.head_limits import HEAD_S
from lib.process.waiting import TimeLimit, timeout
from relay.answers.abandoned import USAGE_AFTER_TEXT_S
from relay.downstream.deadline import Deadline
from relay.downstream.downstream import KeepAlive
from relay.front.request import ClientWatch
from relay.realtime.gemini_live import connection as gemini_live
from relay.upstream import turn_socket
from relay.upstream import websocket as upstream_socket
from relay.upstream.connection_pool import KEEP_ALIVE_S, ConnectionPool
from relay.upstream.http1 import Connection
from relay.upstream.websocket import HEARTBEAT_S
from tests.config.server.test_protocol import Transport, body, connect, start
from tests.house.moving_clock import run_moving
from tests.relay.upstream.test_http1 import HEAD, LOOPBACK, WAITS, Failed

HOUR_S: Final = 3_600.0
PIECES: Final = 400
EVERY_S: Final = HOUR_S / PIECES
REQUEST: Final = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n"


def now() -> float:
    return asyncio.get_running_loop().time()


async def lives_until(is_over: Callable[[], bool], at_most_s: float) -> float:
    """How long it took until it was over, looked at ten times a second."""
    begun = now()
    while not is_over():
        assert now() - begun < at_most_s, "it is never over"
        await asyncio.sleep(0.1)
    return now() - begun


async def stream(scope: object, receive: object, send: Any) -> None:
    """An application that answers for an hour."""
    await start(send)
    for n in range(PIECES):
        await asyncio.sleep(EVERY_S)
        await body(send, b"x", more=n < PIECES - 1)


# The server ---------------------------------------------------------------------------------------


def test_the_server_cuts_no_running_answer() -> None:
    """Neither the first one of a connection, nor the next one on a connection that was kept, nor
    one that was sent ahead."""

    async def run() -> None:
        protocol, transport = connect(stream)
        await asyncio.sleep(HEAD_S - 1)
        protocol.data_received(REQUEST)
        for n in (1, 2):
            if n == 2:
                await asyncio.sleep(protocol.timeout_keep_alive - 2)
                protocol.data_received(REQUEST + REQUEST)
            await asyncio.sleep(HOUR_S + 1)
            assert not transport.closed
        await asyncio.sleep(HOUR_S)
        assert b"".join(transport.written).count(b"1\r\nx\r\n") == 3 * PIECES
        assert b"".join(transport.written).count(b"0\r\n\r\n") == 3

    run_moving(run())


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nhost", REQUEST])
def test_server_closes_an_idle_connection(sent: bytes) -> None:
    """Silent, or in the midst of a head; after an answer it is kept for a while."""

    async def nothing(scope: object, receive: object, send: Any) -> None:
        await start(send, (b"content-length", b"0"))
        await body(send, b"")

    async def run() -> None:
        protocol, transport = connect(nothing)
        limit_s = HEAD_S
        if sent:
            protocol.data_received(sent)
        if sent == REQUEST:
            await asyncio.sleep(0.01)
            limit_s = protocol.timeout_keep_alive
        assert await lives_until(lambda: transport.closed, 60) == pytest.approx(limit_s, abs=0.2)

    run_moving(run())


@pytest.mark.parametrize("reads", [True, False])
def test_the_server_cuts_a_client_that_does_not_read(reads: bool) -> None:
    """One that reads a byte now and then is not cut."""

    async def run() -> None:
        protocol, transport = connect(stream)
        protocol.data_received(REQUEST)
        await asyncio.sleep(EVERY_S + 1)
        transport.unsent = 100_000
        protocol.pause_writing()
        if not reads:
            limit_s = await lives_until(lambda: transport.closed, 60)
            assert limit_s == pytest.approx(server._STALL_S, abs=6)
            return
        for _ in range(100):
            await asyncio.sleep(5)
            transport.unsent -= 1
        assert not transport.closed
        transport.unsent = 0
        protocol.resume_writing()
        await asyncio.sleep(HOUR_S)
        assert b"".join(transport.written).count(b"0\r\n\r\n") == 1

    run_moving(run())


def test_rejected_socket_is_closed_after_a_while() -> None:
    async def run() -> None:
        transport = Transport()
        refused = server_socket.RealtimeProtocol.__new__(server_socket.RealtimeProtocol)
        refused.loop = asyncio.get_running_loop()
        refused.queue = asyncio.Queue()
        refused.transport = transport
        refused.conn = cast(Any, SimpleNamespace(close_sent=None, data_to_send=lambda: [b"bye"]))
        refused.handle_parser_exception()
        assert await lives_until(lambda: transport.closed, 9) == pytest.approx(
            server_socket._LINGER_S, abs=0.2
        )
        assert transport.written == [b"bye"]

    run_moving(run())


# The limits of a request -------------------------------------------------------------------------


async def reason_of(work: Callable[[Deadline], Awaitable[None]]) -> tuple[str | None, float]:
    """Why a deadline interrupted the work, and when; None if the work came to its end."""
    task = asyncio.current_task()
    assert task is not None
    deadline, begun = Deadline(task), now()
    try:
        await work(deadline)
        return None, now() - begun
    except asyncio.CancelledError:
        return deadline.caught(), now() - begun
    finally:
        deadline.stop()


def test_a_deadline_cuts_no_running_answer() -> None:
    async def answer(deadline: Deadline) -> None:
        deadline.limit("total", 2 * HOUR_S)
        deadline.allow("first_content", 60)
        await asyncio.sleep(59)
        deadline.allow("idle", EVERY_S + 1)
        for _ in range(PIECES):
            await asyncio.sleep(EVERY_S)
            deadline.since = deadline.time()

    async def run() -> tuple[str | None, float]:
        result = await reason_of(answer)
        # Stopped, it interrupts nobody who does something else afterwards.
        await asyncio.sleep(3 * HOUR_S)
        return result

    reason, lasted_s = run_moving(run())
    assert reason is None
    assert lasted_s == pytest.approx(HOUR_S + 59, abs=1)


@pytest.mark.parametrize(
    ("reason", "after_s"), [("first_content", 60), ("idle", 110), ("total", 900)]
)
def test_deadline_ends_late_requests(reason: str, after_s: float) -> None:
    async def answer(deadline: Deadline) -> None:
        deadline.limit("total", 900)
        deadline.allow("first_content", 60)
        if reason != "first_content":
            await asyncio.sleep(50)
            deadline.allow("idle", 60)
        while reason == "total":
            await asyncio.sleep(30)
            deadline.since = deadline.time()
        await asyncio.sleep(HOUR_S)

    found, lasted_s = run_moving(reason_of(answer))
    assert found == reason
    assert lasted_s == pytest.approx(after_s, abs=0.5)


def test_wait_ends_on_time_and_not_while_it_continues() -> None:
    async def run() -> None:
        async def go_on() -> None:
            async with timeout(30) as limit:
                for _ in range(100):
                    await asyncio.sleep(20)
                    limit.restart()
                await asyncio.sleep(HOUR_S)

        begun = now()
        with pytest.raises(TimeoutError):
            await go_on()
        assert now() - begun == pytest.approx(2_030, abs=0.5)
        async with timeout(30):
            await asyncio.sleep(29)
        await asyncio.sleep(HOUR_S)

    run_moving(run())


def test_time_limit_of_an_answer_fails_what_is_late_alone() -> None:
    async def run() -> None:
        begun, loop = now(), asyncio.get_running_loop()
        never = loop.create_future()
        TimeLimit(never, 30)
        with pytest.raises(TimeoutError):
            await never
        assert now() - begun == pytest.approx(30, abs=0.5)
        answer = loop.create_future()
        limit = TimeLimit(answer, 30)
        await asyncio.sleep(29)
        limit.stop()
        await asyncio.sleep(HOUR_S)
        assert not answer.done()

    run_moving(run())


def test_watch_reports_only_clients_that_left() -> None:
    """And of none that left after the request's end."""

    async def run(leaves_after_s: float, stops_after_s: float) -> list[float]:
        left = list[float]()

        async def receive() -> dict[str, str]:
            await asyncio.sleep(leaves_after_s)
            return {"type": "http.disconnect"}

        watch = ClientWatch(cast(Any, receive), lambda: left.append(now()))
        await asyncio.sleep(stops_after_s)
        watch.stop()
        await asyncio.sleep(HOUR_S)
        return left

    assert run_moving(run(HOUR_S, 60)) == []
    assert run_moving(run(60, 0.01)) == []
    assert run_moving(run(30, 60)) == [pytest.approx(30, abs=0.1)]


def test_a_keep_alive_is_sent_into_silence_alone() -> None:
    async def run() -> list[float]:
        pings = list[float]()

        async def ping() -> None:
            pings.append(now())

        keep_alive = KeepAlive(ping, 15)
        for _ in range(PIECES):
            await asyncio.sleep(EVERY_S)
            keep_alive.heard_at = now()
        assert pings == []
        await asyncio.sleep(46)
        keep_alive.stop()
        await asyncio.sleep(HOUR_S)
        return pings

    assert run_moving(run()) == [pytest.approx(HOUR_S + n * 15, abs=0.5) for n in (1, 2, 3)]


# Upstream -----------------------------------------------------------------------------------------


class Owner:
    """Whose connections they are: it makes the exception, and hears of the end."""

    head_s = 30.0

    def failed(self, reason: Any, detail: str) -> Exception:
        return Failed(reason, detail)

    def forget(self, connection: Connection) -> None:
        """Nothing has to be forgotten."""


class UpstreamTransport(Transport):
    """Hands bytes over as a socket does."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection

    def hear(self, raw: bytes) -> None:
        self.connection.get_buffer(-1)[: len(raw)] = raw
        self.connection.buffer_updated(len(raw))


def upstream() -> tuple[Connection, UpstreamTransport]:
    connection = Connection(cast(Any, Owner()), asyncio.get_running_loop())
    transport = UpstreamTransport(connection)
    connection.connection_made(transport)
    return connection, transport


def test_an_upstream_is_not_cut_while_it_answers() -> None:
    """Its head may come in pieces, and its body for as long as its deadline allows."""

    async def run() -> None:
        connection, transport = upstream()
        sending = asyncio.ensure_future(connection.send(HEAD % 1, b"?"))
        await asyncio.sleep(HOUR_S)
        transport.hear(b"HTTP/1.1 200 OK\r\n")
        await asyncio.sleep(Owner.head_s - 1)
        transport.hear(b"Content-Length: %d\r\n\r\n" % PIECES)
        await sending
        for _ in range(PIECES):
            await asyncio.sleep(EVERY_S)
            transport.hear(b"x")
            assert await connection.next_bytes() == b"x"
            assert not transport.closed
        assert await connection.next_bytes() == b""

    run_moving(run())


def test_upstream_must_finish_its_head_in_time() -> None:
    async def run() -> float:
        connection, transport = upstream()
        sending = asyncio.ensure_future(connection.send(HEAD % 1, b"?"))
        await asyncio.sleep(1)
        begun = now()
        transport.hear(b"HTTP/1.1 200 OK\r\n")
        await asyncio.sleep(20)
        transport.hear(b"x-piece: 1\r\n")
        with pytest.raises(Failed) as failed:
            await sending
        assert failed.value.reason == "slow"
        return now() - begun

    assert run_moving(run()) == pytest.approx(Owner.head_s, abs=0.5)


def test_pool_drops_only_idle_connections() -> None:
    async def run() -> None:
        pool = ConnectionPool("http://127.0.0.1:9", LOOPBACK, Failed, **WAITS, reuse=True)
        cut = list[str]()

        def kept(name: str, since: float) -> Any:
            return SimpleNamespace(
                cut=lambda: cut.append(name), is_usable=lambda idle_s: now() - since < idle_s
            )

        for n in range(3):
            pool.keep(kept(f"idle {n}", now()))
            await asyncio.sleep(KEEP_ALIVE_S / 2)
        # Taken while the timer of another one runs, it is out of its reach.
        in_use = await pool.connection(fresh=False)
        await asyncio.sleep(HOUR_S)
        assert sorted(cut) == ["idle 0", "idle 1"]
        pool.keep(kept("kept again", now()))
        assert await lives_until(lambda: "kept again" in cut, 90) <= 2 * KEEP_ALIVE_S + 1
        assert in_use is not None
        pool.keep(kept("at the end", now()))
        pool.close()
        assert cut[-1] == "at the end"

    run_moving(run())


def test_turn_socket_is_closed_only_between_turns() -> None:
    async def run() -> None:
        turns: Any = turn_socket.TurnSocket(cast(Any, None), set())
        closed = list[float]()
        answer: Any = SimpleNamespace(at_end=True)
        turns._socket = SimpleNamespace(is_open=True, close=lambda: closed.append(now()))
        turns._made_for, turns._answer = ("channel", "policy", 0), answer
        turns.end(answer, "resp_1")
        await asyncio.sleep(turn_socket._IDLE_S - 1)
        # A turn begins, and lasts for an hour.
        assert await turns._connect("channel", "policy", None, "id", 0)
        await asyncio.sleep(HOUR_S)
        assert closed == []
        turns.end(answer, "resp_2")
        turns.end(answer, "resp_2")
        await asyncio.sleep(turn_socket._IDLE_S + 1)
        assert closed == [pytest.approx(now() - 1, abs=0.5)]

    run_moving(run())


@pytest.mark.parametrize(("hears", "paused"), [(True, False), (False, False), (False, True)])
def test_only_a_silent_upstream_socket_is_cut(hears: bool, paused: bool) -> None:
    """Nor one whose messages this process does not read for now."""

    async def run() -> None:
        socket: Any = upstream_socket.UpstreamSocket.__new__(upstream_socket.UpstreamSocket)
        pings, transport = list[bytes](), Transport()

        def send_ping(data: bytes) -> None:
            pings.append(data)
            if hears:
                socket._heard_at = now()

        ws = SimpleNamespace(
            state=State.OPEN, send_ping=send_ping, data_to_send=list,
            send_close=lambda code: None, connect=lambda: SimpleNamespace(headers={}),
            send_request=lambda request: None,
        )  # fmt: skip
        socket._loop, socket._ws, socket._transport = asyncio.get_running_loop(), ws, transport
        socket._lost, socket._paused, socket._heard_at = False, paused, now()
        socket._answered = asyncio.get_running_loop().create_future()
        socket._answered.set_result(None)
        await socket.open([])
        if hears or paused:
            await asyncio.sleep(HOUR_S)
            assert not transport.closed
            assert len(pings) == pytest.approx(HOUR_S / HEARTBEAT_S, abs=2)
            socket.close()
            await asyncio.sleep(HOUR_S)
            assert transport.cut.is_set()
            return
        lived_s = await lives_until(lambda: transport.closed, HOUR_S)
        assert lived_s <= 3 * HEARTBEAT_S + 1

    run_moving(run())


# Live sessions ------------------------------------------------------------------------------------


class Turns:
    """What of a live session runs: an answer or none, and how each one ended."""

    def __init__(self) -> None:
        self.running = self.begun = 0
        self.ended = list[tuple[float, Any]]()


def live_session(turns: Turns) -> Any:
    """A session whose answers are those of `turns`."""

    class Running(dict[str, Any]):
        def end(self, key: str) -> Any:
            response = self.pop(key)

            def finish(done: object) -> Any:
                turns.ended.append((now(), response))
                return SimpleNamespace(basis="estimated", meters={})

            return SimpleNamespace(finish=finish)

    session: Any = gemini_live.LiveConnection.__new__(gemini_live.LiveConnection)
    session._usage_due, session._running = None, Running()
    session._interrupted = session._settled_without_usage = session._client_works = False
    session._goodbye, session._talk = False, None
    session._context = SimpleNamespace(parts=SimpleNamespace(loop=asyncio.get_running_loop()))
    session._probe = SimpleNamespace(good=lambda: None, first_content=lambda: None)
    session._touch = lambda: None
    session._admitted = SimpleNamespace(upstream_model="m")
    session._answer = lambda response: SimpleNamespace(
        note_message=lambda message: True, counted_usage=lambda usage, model: b""
    )

    async def begin() -> None:
        turns.begun += 1
        session._running[gemini_live._TURN] = SimpleNamespace(
            note_output=lambda has_content: True, number=turns.begun
        )

    session._begin_answer = begin
    return session


TALK: Final = b'{"serverContent": {"modelTurn": {"parts": [{"text": "a"}]}}}'
TURN_ENDS: Final = b'{"serverContent": {"turnComplete": true}}'
USAGE: Final = b'{"usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 2}}'


def test_previous_turn_does_not_settle_a_running_answer() -> None:
    """Its end is told twice, and its usage comes after that: the next answer runs on."""

    async def run() -> None:
        turns = Turns()
        session = live_session(turns)
        for raw in (TALK, TURN_ENDS, TURN_ENDS, USAGE):
            await session._take(raw)
        assert [response.number for _, response in turns.ended] == [1]
        for _ in range(PIECES):
            await session._take(TALK)
            await asyncio.sleep(EVERY_S)
        assert len(turns.ended) == 1
        await session._take(TURN_ENDS)
        ends_at = now()
        await asyncio.sleep(HOUR_S)
        assert [response.number for _, response in turns.ended] == [1, 2]
        assert turns.ended[1][0] - ends_at == pytest.approx(USAGE_AFTER_TEXT_S, abs=0.1)

    run_moving(run())
