"""What a Live connection forwards, counts and holds for, event by event, without a provider."""

import asyncio
import base64
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dialects.errors.errors import RequestFault
from dialects.realtime import live
from relay.downstream.error_answers import CLIENT_CLOSED, OVERLOADED
from relay.realtime.connection_holds import EventRefused, RealtimeOver
from relay.realtime.live import connection as module
from relay.realtime.live.connection import LiveConnection
from relay.realtime.live.stretches import LEAD_MS, MARGIN_MS

# 10 ms of it at 48 bytes a millisecond.
SOUND = base64.b64encode(bytes(480)).decode()
CONTEXT_EVENTS = ("response.item.create", "session.instructions.append",
                  "session.thinking.append", "session.commentary.append")  # fmt: skip


class Connection(LiveConnection):
    """A connection. `happened` is what is counted, held, recorded and sent, in order."""

    def __init__(self, *, talks: bool = False) -> None:
        self.happened: list[Any] = []
        self.refused: Exception | None = None
        note = self.noted
        self._time = cast(Any, SimpleNamespace(
            position_ms=100, least_ms=90, most_ms=lambda now, ms=0: 1_000 + ms,
            add_input=note("heard"), add_output=note("said"), reach=note("reached"),
        ))  # fmt: skip
        self._stretches = cast(Any, SimpleNamespace(
            cover=self.later("covered"), covered_ms=2_000, note_least=note("least"),
            book=self.book,
            finish=lambda error, fault, now, *, is_final: ("last", error, fault, now, is_final),
        ))  # fmt: skip
        self._delegations = cast(Any, SimpleNamespace(
            change=self.changed, prepare=self.later("prepared"), note_input=note("input"),
            note=self.later("delegated"), charge_decision=self.later("decided"), running=False,
            delegate="responses", client_model="theirs", release=note("released"),
            settle=note("settled"),
        ))  # fmt: skip
        self._sink = cast(Any, SimpleNamespace(send_error=self.later("error")))
        self._bytes_ms = 48
        self._talk = cast(Any, SimpleNamespace(reach=note("talk reached"))) if talks else None
        self._context = cast(Any, SimpleNamespace(
            time=lambda: 5.0, downstream=SimpleNamespace(client_gone=True)
        ))  # fmt: skip
        self._admitted = cast(Any, SimpleNamespace(
            prepared=SimpleNamespace(traits=SimpleNamespace(requested_model="mine"))
        ))  # fmt: skip
        self._first = cast(Any, SimpleNamespace(end=SimpleNamespace(outcome=None)))
        self._closed = self._is_final = False

    def noted(self, name: str) -> Any:
        return lambda *values: self.happened.append((name, *values))

    def later(self, name: str) -> Any:
        async def work(*values: Any, **named: Any) -> None:
            if self.refused is not None and name != "error":
                raise self.refused
            self.happened.append((name, *values, *named.values()))

        return work

    def book(self, reading: Any, now: float) -> str:
        self.happened.append(("booked", reading.ms, now))
        return "final"

    def changed(self, settings: Any) -> str:
        self.happened.append(("changed", settings.delegate))
        return "upstream"

    async def _send(self, raw: bytes) -> None:
        self.happened.append(("sent", json.loads(raw)["type"]))

    def _touch(self) -> None:
        self.happened.append("touched")

    async def admit(self, type: str, **members: Any) -> list[Any]:
        raw = json.dumps({"type": type} | members).encode()
        await self._admit(live.read_client_event(raw), raw)
        return self.happened

    async def count(self, type: str, **members: Any) -> list[Any]:
        raw = json.dumps({"type": type} | members).encode()
        await self._count(live.read_server_event(raw), raw)
        return self.happened


async def test_sound_is_held_for_before_it_is_sent() -> None:
    assert await Connection().admit(live.APPEND, audio=SOUND) == [
        ("covered", 1_010 + MARGIN_MS), ("heard", 10),
    ]  # fmt: skip


async def test_text_that_a_response_may_read_is_counted() -> None:
    for kind in CONTEXT_EVENTS:
        raw = json.dumps({"type": kind, "content": "hello"}).encode()
        assert await Connection().admit(kind, content="hello") == [("input", len(raw))]
    assert await Connection().admit("response.create") == [("prepared", True)]
    others = live.CLIENT_EVENTS - {
        *CONTEXT_EVENTS, "response.create", "session.update", live.APPEND, live.START,
    }  # fmt: skip
    assert others
    for kind in others:
        assert await Connection().admit(kind) == []


async def test_changed_settings_are_held_for_and_named_for_the_provider() -> None:
    connection = Connection()
    work = {"type": "responses", "responses": {"model": "theirs"}}
    session = {"delegation": work}
    raw = json.dumps({"type": "session.update", "session": session}).encode()
    sent = await connection._admit(live.read_client_event(raw), raw)
    assert json.loads(sent)["session"]["delegation"]["responses"]["model"] == "upstream"
    assert connection.happened == [("changed", "responses"), ("prepared", True)]


@pytest.mark.parametrize(
    ("kind", "words"), [("session.fly", "session.fly"), (live.START, "has started")]
)
async def test_other_events_are_refused(kind: str, words: str) -> None:
    with pytest.raises(RequestFault) as refused:
        await Connection().admit(kind)
    assert (refused.value.kind, refused.value.param) == ("invalid_value", "type")
    assert words in refused.value.message


async def test_refused_event_is_answered_and_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[bytes] = []
    monkeypatch.setattr(module, "record_sent", lambda talk, event, raw: recorded.append(raw))
    connection = Connection(talks=True)
    await connection._forward(b'{"type":"session.fly","event_id":"e"}')
    ((name, error, event_id),) = connection.happened
    assert (name, error.kind, event_id) == ("error", "invalid_value", "e")
    connection.happened.clear()
    connection.refused = EventRefused(OVERLOADED)
    await connection._forward(b'{"type":"response.create","event_id":"e"}')
    assert connection.happened == [("error", OVERLOADED, "e")]
    connection.happened.clear()
    connection.refused = None
    assert recorded == []
    await connection._forward(b'{"type":"response.create"}')
    assert connection.happened == [("prepared", True), ("sent", "response.create"), "touched"]
    assert recorded == [b'{"type":"response.create"}']


# ---- from the upstream


@pytest.mark.parametrize(
    ("event", "happened"),
    [
        ({"type": "session.output_audio.delta", "delta": SOUND}, [("said", 10)]),
        ({"type": "session.input_transcript.delta", "delta": "abc"}, [("input", 5)]),
        ({"type": "session.output_transcript.delta", "delta": "abc"}, [("input", 5)]),
        ({"type": "session.updated", "delta": "abc"}, []),
        # The provider's clock is believed up to ours.
        ({"type": "x", "end_ms": 500}, [("reached", 500), "least"]),
        ({"type": "x", "end_ms": 5_000}, [("reached", 1_000), "least"]),
        ({"type": "x", "end_ms": 100}, []),
    ],
)
async def test_events_are_counted_before_the_client_has_them(
    event: dict[str, Any], happened: list[Any]
) -> None:
    connection = Connection()
    cast(Any, connection._stretches).note_least = lambda: connection.happened.append("least")
    assert await connection.count(**event) == happened


async def test_reports_of_time_are_booked_and_the_last_one_is_final() -> None:
    usage = {"duration_ms": 70}
    for kind, closes in (("session.usage.updated", False), (live.CLOSED, True)):
        connection = Connection()
        (booked,) = await connection.count(kind, usage=usage)
        assert (booked[0], booked[2]) == ("booked", 5.0)
        assert (connection._closed, bool(connection._is_final)) == (closes, closes)
        assert connection._ends_in_order is closes


async def test_delegated_work_is_counted_where_it_belongs() -> None:
    assert [one[0] for one in await Connection().count("response.event")] == ["delegated"]
    assert [one[0] for one in await Connection().count("decision.event")] == ["decided"]


async def test_what_is_said_is_recorded_at_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Connection(talks=True)
    monkeypatch.setattr(
        module, "record_received", lambda talk, event, raw: connection.happened.append(event.type)
    )
    assert await connection.count("session.updated") == [("talk reached", 90), "session.updated"]


async def test_client_reads_its_own_names_of_models() -> None:
    delegation = {"type": "responses", "responses": {"model": "upstream-2"}}
    session = {"model": "upstream", "delegation": delegation}
    connection = Connection()
    shown = json.loads(
        await connection._read(json.dumps({"type": "session.updated", "session": session}).encode())
    )["session"]
    assert (shown["model"], shown["delegation"]["responses"]["model"]) == ("mine", "theirs")
    assert connection.happened == ["touched"]
    # The provider's clock alone keeps no connection open.
    clock = Connection()
    raw = b'{"type":"session.usage.updated","usage":{}}'
    assert await clock._read(raw) == raw.decode()
    assert "touched" not in clock.happened


# ---- the time


@pytest.mark.parametrize(
    ("left_ms", "waits", "ends"),
    [
        (LEAD_MS + 4_000, 4.0, False), (LEAD_MS + 1, 0.05, False), (LEAD_MS, 1.0, False),
        (MARGIN_MS + 1, 1.0, False), (MARGIN_MS, None, True),
    ],
)  # fmt: skip
async def test_next_stretch_is_held_for_in_time(
    monkeypatch: pytest.MonkeyPatch, left_ms: int, waits: float | None, ends: bool
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", sleep)
    connection = Connection()
    connection._stretches.covered_ms = 1_000 + left_ms
    connection.refused = EventRefused(OVERLOADED)
    with pytest.raises(RealtimeOver if ends else asyncio.CancelledError) as over:
        await connection._keep_covered()
    assert slept == ([] if waits is None else [waits])
    if ends:
        assert cast(Any, over.value).error == OVERLOADED


async def test_stretch_that_is_held_for_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Connection()
    connection._stretches.covered_ms = 1_000

    async def cover(ms: int) -> None:
        connection.happened.append(ms)
        connection._stretches.covered_ms = 1_000 + LEAD_MS + 2_000

    async def sleep(seconds: float) -> None:
        connection.happened.append(seconds)
        raise asyncio.CancelledError

    connection._stretches.cover = cover  # type: ignore[method-assign]
    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await connection._keep_covered()
    assert connection.happened == [1_001, 2.0]


# ---- its end


async def test_connection_is_closed_at_the_provider_which_reports_last() -> None:
    connection = Connection()
    events = [b'{"type":"session.updated"}', b'{"type":"session.closed","usage":{}}', b"{}"]
    sent: list[Any] = []

    async def send(raw: Any) -> None:
        sent.append(raw)

    async def receive() -> bytes:
        return events.pop(0)

    connection._socket = cast(Any, SimpleNamespace(send=send, receive=receive))
    await connection._wind_down()
    assert (sent, events, connection._closed) == ([live.CLOSE], [b"{}"], True)
    await connection._wind_down()
    assert len(sent) == 1


@pytest.mark.parametrize("error", [None, OVERLOADED])
def test_connection_is_settled_with_what_it_delegated(error: Any) -> None:
    connection = Connection()
    connection._is_final = True
    outcome: Any = connection._settle(RealtimeOver(error), "F14")
    assert outcome == ("last", error, "F14", 5.0, True)
    assert connection.happened == [("settled", error, "F14")]
    # A client ends a connection by leaving it.
    assert connection._context.downstream.client_gone is (error is not None)
    cast(Any, connection._first.end).outcome = "the first stretch's"
    assert connection._settle(RealtimeOver(error), "") == cast(Any, "the first stretch's")
    connection.happened.clear()
    connection._release(RealtimeOver(error), None, "F14")
    assert connection.happened == [("released", None, "F14", error or CLIENT_CLOSED)]
    connection._delegations.running = True  # type: ignore[misc]
    assert connection._is_generating
