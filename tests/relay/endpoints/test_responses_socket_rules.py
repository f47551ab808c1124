"""What one connection of the Responses API accepts, and why it ends, without a hub."""

import asyncio
import json
from collections import deque
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from dialects.errors.errors import RequestFault
from dialects.json.body import read_body
from dialects.responses.websocket import CreateEvent, SteerEvent, StreamEvent
from lib.ids import new_id
from relay.downstream.error_answers import KEY_ENDED, STOPPING
from relay.endpoints.responses_socket import connection as module
from relay.endpoints.responses_socket.connection import ConnectionOver, _Connection, _leaves_out
from relay.endpoints.responses_socket.lane import Lane, Steer, Turn
from relay.endpoints.responses_socket.memory import Memory, Remembered
from relay.realtime.connection_life import CONNECTION_IDLE_S, CONNECTION_S
from relay.realtime.sink import CODES, POLICY, STOPPING_EXTENSION, ClientLeft
from relay.requests.options import NO_OPTIONS
from relay.requests.sessions import Session, opening_session

KEY = new_id()
OVER = ConnectionOver(STOPPING, 1012)
ITEM = msgspec.Raw(b'{"type":"message","role":"user","content":"x"}')


def create(stream_id: str | None = "a", previous: str | None = None, **body: Any) -> CreateEvent:
    raw = json.dumps({"type": "response.create", "model": "m", "input": "hello"} | body).encode()
    return CreateEvent(read_body(raw), stream_id, True, previous, True)


def steer(previous: str, size: int = 2, **over: Any) -> SteerEvent:
    return SteerEvent(previous, msgspec.Raw(json.dumps("x" * (size - 2)).encode()), [ITEM], **over)


def lane(*waiting: CreateEvent, turn: Turn | None = None) -> Lane:
    one = object.__new__(Lane)
    one.waiting, one.turn, one._task = deque(map(Turn, waiting)), turn, None
    return one


def running(id: str = "r", *, stream_id: str = "a") -> Turn:
    turn = Turn(create(stream_id))
    turn.begin(id)
    return turn


class Connection(_Connection):
    """A connection with these lanes. `sent` is what its client is sent."""

    def __init__(self, **lanes: Lane) -> None:
        self.sent: list[Any] = []
        self._outbox = cast(Any, SimpleNamespace(put=lambda raw: self.sent.append(happened(raw))))
        self._memory = Memory()
        self._lanes = dict(cast(Any, lanes))
        self._without = set()
        self._steers = 0
        self._over = None
        self._options = NO_OPTIONS
        self._stores = True
        self._key_ended = asyncio.Event()
        self._active_at = 0.0
        self.clock = 0.0
        loop = SimpleNamespace(
            time=lambda: self.clock,
            create_future=lambda: asyncio.get_running_loop().create_future(),
        )
        parts = SimpleNamespace(loop=loop, upstreams=None)
        principal = SimpleNamespace(key_id=KEY, log_rules=())
        snapshot = SimpleNamespace(
            now=lambda: 5.0, served_name=lambda name: f"served {name}", aliases={}
        )
        self._request = cast(Any, SimpleNamespace(
            life=SimpleNamespace(parts=parts), principal=principal, snapshot=snapshot, scope={}
        ))  # fmt: skip

    async def _send_error(self, error: Any, stream_id: str | None = None) -> None:
        self.sent.append((error.kind, error.code, stream_id))


def happened(raw: Any) -> Any:
    message = json.loads(raw)
    error = message.get("error") or {}
    steer_id = (message.get("steer") or {}).get("id", "")
    return message["type"], error.get("code"), steer_id, message["sequence_number"]


# ---- requests


@pytest.mark.parametrize(
    ("lanes", "waiting", "new", "room"),
    [(32, 63, False, True), (32, 64, False, False), (31, 0, True, True), (32, 0, True, False)],
)
def test_lanes_and_waiting_requests_are_bounded(
    lanes: int, waiting: int, new: bool, room: bool
) -> None:
    events = [create() for _ in range(waiting)]
    connection = Connection(**{str(n): lane(*(events if not n else ())) for n in range(lanes)})
    assert connection._has_room(create(), new_lane=new) is room


def test_bytes_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    size, turn = len(create().body.raw), running()
    turn.steers.append(Steer("s", steer("r", 10)))
    connection = Connection(a=lane(create(), turn=turn), b=lane(create()))
    assert connection._waiting_bytes() == 2 * size + 10
    for bytes_max, room in ((3 * size + 10, True), (3 * size + 9, False)):
        monkeypatch.setattr(module, "_WAITING_BYTES_MAX", bytes_max)
        assert connection._has_room(create(), new_lane=False) is room


async def test_event_goes_to_its_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[Any] = []
    monkeypatch.setattr(Lane, "add", lambda self, turn: added.append((self, turn.event.stream_id)))
    connection = Connection()
    text = json.dumps({"type": "response.create", "model": "m", "input": "x", "stream_id": "a"})
    await connection._take(text)
    await connection._take(text)
    (first, name), (second, _) = added
    assert (first is second, name, [*connection._lanes]) == (True, "a", ["a"])
    await connection._take(None)
    monkeypatch.setattr(module, "_LANES_MAX", 1)
    await connection._take(text.replace('"a"', '"b"'))
    assert connection.sent == [
        ("invalid_type", None, None), ("invalid_value", "websocket_stream_limit_reached", "b"),
    ]  # fmt: skip
    connection._over = OVER
    await connection._take(text)
    assert connection.sent[2:] == [(STOPPING.kind, None, "a")]
    assert len(added) == 2


async def test_waiting_requests_are_refused_with_their_steering_when_it_ends() -> None:
    turn = running()
    turn.commits = [Steer("s1", steer("r")), Steer("s2", steer("r"))]
    connection = Connection()
    await connection._refuse(turn)
    assert connection.sent == []
    connection._over = OVER
    await connection._refuse(turn)
    assert connection.sent == [
        (STOPPING.kind, None, "a"),
        ("response.steer.failed", "successor_creation_failed", "s1", 1),
        ("response.steer.failed", "successor_creation_failed", "s2", 2),
    ]


# ---- steering


def test_steering_waits_for_the_response_that_it_names() -> None:
    turns = running("r1"), running("r2")
    connection = Connection(a=lane(turn=turns[0]), b=lane(turn=turns[1]), c=lane())
    connection._steer(steer("r2"))
    connection._steer(steer("r2", fault="no text"))
    connection._steer(steer("r3"))
    assert [len(turn.steers) for turn in turns] == [0, 1]
    (accepted,) = turns[1].steers
    assert connection.sent == [
        ("response.steer.accepted", None, accepted.id, 1),
        ("response.steer.failed", "invalid_input", "", 2),
        ("response.steer.failed", "response_not_found", "", 3),
    ]


def test_refused_steering_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    turn = running()
    connection = Connection(a=lane(turn=turn))
    connection._memory.remember("b", Remembered("old", None))

    def code(event: SteerEvent, turn: Turn | None) -> str:
        return (connection._steer_refusal(event, turn) or ("",))[0]

    assert code(steer("r"), turn) == ""
    assert code(steer("old"), None) == "response_already_completed"
    assert code(steer("other"), None) == "response_not_found"
    monkeypatch.setattr(module, "_WAITING_BYTES_MAX", 10)
    assert [code(steer("r", size), turn) for size in (10, 11)] == ["", "too_many_pending_steers"]
    monkeypatch.setattr(module, "_WAITING_BYTES_MAX", 100)
    turn.steers += [Steer(str(n), steer("r")) for n in range(15)]
    assert code(steer("r"), turn) == ""
    turn.steers += [Steer("15", steer("r"))]
    assert code(steer("r"), turn) == "too_many_pending_steers"
    connection._over = OVER
    assert code(steer("r"), turn) == "response_not_active"
    assert code(steer("r", fault="no text"), turn) == "invalid_input"


CALL = msgspec.Raw(b'{"type":"function_call","call_id":"c","name":"n","arguments":"{}"}')


def test_successor_reads_the_steering_first_unless_a_tool_has_to_answer() -> None:
    connection, turn = Connection(), running()
    one = lane(create())
    assert connection._continue(one, turn, "r", []) == ()
    assert len(one.waiting) == 1
    waits = Steer("s", steer("r"))
    turn.steers = [waits]
    assert connection._continue(one, turn, "r", []) == ()
    successor = one.waiting[0]
    assert (successor.commits, turn.steers) == ([waits], [])
    assert successor.event.previous_id == "r"
    assert successor.event.input_items() == [ITEM]
    turn.steers = [waits]
    assert connection._continue(one, turn, "r", [CALL]) == [waits]
    assert (len(one.waiting), connection.sent) == (2, [("response.steer.pending", None, "s", 1)])
    turn.steers, connection._over = [waits], OVER
    assert connection._continue(one, turn, "r", []) == ()
    assert connection.sent[1:] == [("response.steer.failed", "successor_creation_failed", "s", 2)]
    assert len(one.waiting) == 2


# ---- what is remembered


@pytest.mark.parametrize("stored", [False, True])
def test_response_is_remembered_with_its_session(stored: bool) -> None:
    connection, turn, one = Connection(), running(), lane()
    session: Any = Session(new_id(), "name", cast(Any, "header"))
    response = {"id": "r", "output": [{"type": "message", "role": "assistant", "content": []}]}
    raw = msgspec.Raw(json.dumps(response).encode())
    end = StreamEvent("response.completed", raw)
    before = None if stored else [ITEM]
    connection._memory.remember("a", Remembered("older", None, [Steer("s", steer("older"))]))
    connection._remember(one, turn, end, before, session, left_out=True)
    # What waited for the one before is given back.
    assert connection.sent == [("response.steer.failed", "successor_creation_failed", "s", 1)]
    kept = connection._memory.find("r")
    assert kept is not None
    assert (kept.session, kept.left_out) == ((str(session.id), "name"), True)
    assert kept.is_whole
    assert kept.conversation is None if stored else len(kept.conversation or ()) == 2
    connection._remember(one, turn, end, before, None, left_out=False)
    kept = connection._memory.find("r")
    assert kept is not None
    assert (kept.session, kept.left_out) == (None, False)


def test_request_that_continues_a_response_is_in_its_session() -> None:
    connection, id = Connection(), cast(Any, new_id())
    alone = connection._in_session(create(), None, id).session
    known = opening_session(KEY, id)
    assert alone is not None
    assert (str(alone.id), alone.name) == known
    earlier = Remembered("r", None, session=(str(new_id()), "mine"))
    continued = connection._in_session(create(), earlier, id).session
    assert continued is not None
    assert (str(continued.id), continued.name) == earlier.session
    named = msgspec.structs.replace(NO_OPTIONS, session=continued)
    connection._options = named
    assert connection._in_session(create(), None, id) is named


@pytest.mark.parametrize(
    ("before", "event_stores", "could", "left_out"),
    [(False, True, True, False), (True, True, True, True), (False, False, True, False),
     (False, True, False, True)],
)  # fmt: skip
def test_prepared_input_is_remembered(
    monkeypatch: pytest.MonkeyPatch, before: bool, event_stores: bool, could: bool, left_out: bool
) -> None:
    asked: list[Any] = []

    def could_keep(principal: Any, model: str, at: float, *, opted_out: bool) -> bool:
        asked.append((model, at, opted_out))
        return could

    monkeypatch.setattr(module, "could_keep", could_keep)
    monkeypatch.setattr(module, "read_name", lambda snapshot, name: SimpleNamespace(name=name))
    connection, turn = Connection(), running()
    event = msgspec.structs.replace(create(), stores=event_stores)
    connection._prepare(turn, event, [ITEM], left_out=before)
    kept = connection._memory.find(turn.response_id)
    assert kept is not None
    assert (len(kept.conversation or ()), kept.left_out) == (2, left_out)
    if not before:
        assert asked == [("served m", 5.0, not event_stores)]
    assert connection.sent
    with pytest.raises(RequestFault) as refused:
        connection._prepare(turn, event, None, left_out=False)
    assert refused.value.param == "previous_response_id"


def test_content_log_leaves_out_what_it_did_not_keep_before() -> None:
    kept, left_out = Remembered("r", [ITEM]), Remembered("r", [ITEM], left_out=True)
    continuing = create(previous="r")
    assert not _leaves_out(continuing, kept, [ITEM])
    assert _leaves_out(continuing, left_out, [ITEM])
    # Of what was stored, the connection knows nothing.
    assert _leaves_out(continuing, Remembered("r", None), [ITEM])
    assert _leaves_out(continuing, None, [ITEM])
    assert not _leaves_out(continuing, None, None)
    assert not _leaves_out(create(), None, [])


# ---- its ends


async def end_of(work: Any) -> ConnectionOver:
    with pytest.raises(ConnectionOver) as over:
        await work
    return over.value


async def test_connection_ends_with_its_process_and_its_key() -> None:
    connection = Connection()
    stopping = asyncio.Event()
    stopping.set()
    connection._request.scope["extensions"] = {STOPPING_EXTENSION: stopping}
    over = await end_of(connection._until_stopped())
    assert (over.error, over.code) == (STOPPING, CODES[STOPPING.kind])
    connection.revoke()
    over = await end_of(connection._until_key_ended())
    assert (over.error, over.code) == (KEY_ENDED, POLICY)
    assert connection.session_id is None


async def test_connection_ends_after_its_longest_time(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    over = await end_of(Connection()._until_too_long())
    assert (slept, over.code) == ([CONNECTION_S], 1000)
    assert over.error.code == "websocket_connection_limit_reached"


async def test_idle_connection_ends_and_one_that_answers_does_not() -> None:
    connection = Connection(a=lane())
    connection.clock = CONNECTION_IDLE_S
    over = await end_of(connection._until_idle())
    assert (over.code, over.error.code) == (1000, "websocket_connection_limit_reached")
    connection._lanes["a"].turn = running()
    work = asyncio.create_task(connection._until_idle())
    await asyncio.sleep(0)
    assert connection._active_at == CONNECTION_IDLE_S
    assert not work.done()
    work.cancel()


async def test_first_reason_is_the_one_that_counts() -> None:
    async def end(error: Exception) -> None:
        raise error

    connection, other = Connection(), ConnectionOver(KEY_ENDED, POLICY)
    await connection._wait_for_end([asyncio.ensure_future(end(OVER))])
    await connection._wait_for_end([asyncio.ensure_future(end(other))])
    assert connection._over is OVER
    with pytest.raises(ClientLeft):
        await connection._wait_for_end([asyncio.ensure_future(end(ClientLeft()))])


async def test_ended_lanes_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = lane(create("b"))
    connection = Connection(b=waiting)
    connection._over = OVER
    await connection._finish([])
    assert connection.sent == [(STOPPING.kind, None, "b")]
    assert not waiting.waiting
    # After its key has ended, a running request is waited for only as long as this.
    monkeypatch.setattr(module, "LAST_WORDS_S", 0.001)
    slow = lane()
    slow._task = asyncio.create_task(asyncio.Event().wait())  # type: ignore[arg-type]
    connection._lanes = {"c": slow}
    connection.revoke()
    await connection._finish([])
    slow._task.cancel()
