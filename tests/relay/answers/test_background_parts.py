"""The parts of a response that runs in the background: what they do while the database is away or
slow, with a client that reads nothing, and with a response that is too large."""

import asyncio
import json
import uuid
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from dialects.chat.kept import KeptResponse
from dialects.json.body import read_body
from dialects.responses.background import BackgroundEvents, queued_response
from lib.id_types import RequestId
from relay.answers.background import BackgroundAnswer, BackgroundResponses, BackgroundSink
from relay.answers.idempotency import FIRST_BACKGROUND_PIECE, IdempotentRequests
from relay.downstream.downstream import Head
from relay.downstream.error_answers import INTERNAL
from relay.endpoints import background
from relay.endpoints.background import _Follower, _forget, _start
from relay.errors import DatabaseAway
from relay.states.background_forms import RESPONSES
from relay.states.state_store import StateStore
from tests.relay.answers.test_background import events_of


async def test_stopping_process_gives_up_on_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A response whose end the database never takes does not keep its process from stopping."""
    monkeypatch.setattr("relay.answers.background._END_S", 0.05)
    states = cast(StateStore, None)
    responses = BackgroundResponses(states, IdempotentRequests(states))
    cancels = 0

    async def run() -> None:
        nonlocal cancels
        while cancels < 2:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                cancels += 1

    responses.start(run())
    await asyncio.wait_for(responses.drain(0), 30)
    assert cancels == 2


async def test_a_backlog_is_written_in_parts() -> None:
    """What an outage has left unwritten fits into transactions, whose time is limited; no part is
    written twice."""
    away = True
    written: list[list[Any]] = []

    class States:
        async def seal(self, content: bytes, place: str) -> str:
            return content.hex()

        async def run(self, statements: list[Any]) -> list[list[Any]]:
            if away or (len(written) == 1 and len(statements) > 1):
                raise DatabaseAway("away")
            written.append([row.get("n", "end") for _, row in statements])
            return [[("1",)] for _ in statements]

    principal = SimpleNamespace(
        organisation_id=uuid.uuid4(), key_id=uuid.uuid4(), retention_hours=1
    )
    answer = BackgroundAnswer(
        cast(Any, States()), cast(Any, principal), "resp_1", RequestId(uuid.uuid4())
    )
    for _ in range(9):
        await answer.add(None, bytes(1024 * 1024))
    ending = await answer.prepare_end(b"{}")
    away = False
    with pytest.raises(DatabaseAway):
        await answer.end(ending)
    written.append([])
    assert await answer.end(ending)
    numbers = [n - FIRST_BACKGROUND_PIECE if n != "end" else n for part in written for n in part]
    assert numbers == [*range(9), "end"]
    assert max(map(len, written)) == 4


class Stored:
    """A stored response that remembers what it was told; it takes events when `open` is set."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.events: list[bytes] = []
        self.response: dict[str, Any] = {}

    async def add(self, response: bytes | None, events: bytes) -> None:
        await self.open.wait()
        self.events.append(events)

    async def prepare_end(self, response: bytes, events: bytes) -> None:
        self.events.append(events)
        self.response = json.loads(response)

    async def end(self, ending: None) -> bool:
        return True


def sink_of(stored: Stored) -> BackgroundSink:
    body = read_body(b'{"model": "m", "input": "hi", "background": true}')
    events = BackgroundEvents(body, "resp_1", queued_response(body, "resp_1", 0))
    return BackgroundSink(cast(BackgroundAnswer, stored), events)


def delta(size: int) -> bytes:
    event = {"type": "response.output_text.delta", "delta": "x" * size}
    return b"data: " + json.dumps(event).encode() + b"\n\n"


async def test_a_provider_waits_for_the_database() -> None:
    """P9: events that are not stored yet are held back at their provider. None is lost when
    whoever waits is cancelled."""
    stored = Stored()
    sink = sink_of(stored)
    assert sink.write_now(delta(1000)) is None
    room = sink.write_now(delta(1024 * 1024))
    assert room is not None
    waiting = asyncio.ensure_future(room)
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    stored.open.set()
    assert sink.write_now(delta(1)) is None
    await sink.cut()
    numbers = [event["sequence_number"] for event in events_of(b"".join(stored.events))]
    assert numbers == [0, 1, 2, 3]


async def test_oversized_response_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """P9: what one response may store is bounded. Its run is stopped."""
    monkeypatch.setattr("relay.answers.background._EVENTS_BYTES_MAX", 10_000)
    stored, stopped = Stored(), asyncio.Event()
    stored.open.set()
    sink = sink_of(stored)
    sink.stop = stopped.set
    for _ in range(20):
        sink.write_now(delta(1000))
    async with asyncio.timeout(30):
        await stopped.wait()
        await sink.close(INTERNAL)
    seen = events_of(b"".join(stored.events))
    assert seen[-1]["type"] == "response.failed"
    assert len(seen) < 12
    assert stored.response["error"]["message"].endswith("larger than 64 MiB")


async def test_client_that_reads_nothing_is_dropped() -> None:
    """As the client of any stream: its follower does not wait for it for ever."""
    left: list[bool] = []

    class Stalled:
        async def write(self, raw: bytes, *, last: bool) -> None:
            await asyncio.sleep(3600)

    follower = _Follower(cast(Any, Stalled()), lambda: not left, lambda: left.append(True))
    async with asyncio.timeout(30):
        await follower.write(b"event", 0.01)
    assert left == [True]


async def test_cancelled_responses_stop_when_another_raises() -> None:
    """One raises, and one has ended by itself: it is not recorded as left."""

    class Nothing:
        async def run(self, statements: list[Any]) -> list[list[Any]]:
            return [[] for _ in statements]

        def enter(self, answer: Any) -> None:
            """Renews nothing."""

    responses = BackgroundResponses(cast(Any, Nothing()), cast(Any, Nothing()))
    stopped = asyncio.Event()
    told: list[str] = []

    def fail() -> None:
        told.append("failing")
        raise ValueError

    class Running:
        answer = None

        def __init__(self, *, ends: bool) -> None:
            self.ends = ends
            self.place = (uuid.uuid4(), uuid.uuid4())

    responses.enter(cast(Any, Running(ends=False)), fail)
    responses.enter(cast(Any, Running(ends=True)), lambda: told.append("ended"))
    responses.enter(cast(Any, Running(ends=False)), stopped.set)
    async with asyncio.timeout(30):
        await stopped.wait()
    assert told == ["failing"]
    assert responses._watching is not None
    responses._watching.cancel()
    await asyncio.wait([responses._watching])
    assert responses._watching is None


async def test_cancelled_response_is_forgotten_after_an_outage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cancelled response is never continued: whoever deletes what was stored of it waits for the
    database."""
    monkeypatch.setattr(background, "AGAIN_S", 0)
    kept = KeptResponse(msgspec.Raw(b'{"id": "resp_1", "output": [{"id": "msg_1"}]}'), [])
    dropped: list[tuple[str, str]] = []
    outages = [DatabaseAway("away"), DatabaseAway("away")]

    class States:
        async def find(self, principal: None, kind: str, names: list[str]) -> dict[str, bytes]:
            if outages:
                raise outages.pop()
            return {names[0]: msgspec.json.encode(kept)}

        async def drop(self, principal: None, kind: str, name: str) -> None:
            dropped.append((kind, name))

    async with asyncio.timeout(30):
        await _forget(cast(Any, States()), cast(Any, None), "resp_1", RESPONSES)
    assert dropped == [("item", "msg_1"), ("response", "resp_1")]


class Started:
    """A request whose client waits for a response in the background."""

    def __init__(self) -> None:
        self.admitted: asyncio.Future[Head] = asyncio.get_running_loop().create_future()
        self.runs = asyncio.Event()
        self.seen: list[str] = []

    async def begin(self, head: Head) -> None:
        self.seen.append("begin")

    async def cut(self) -> None:
        self.seen.append("cut")

    async def run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        states = SimpleNamespace(seal=self._seal, run=self._write)
        principal = SimpleNamespace(
            organisation_id=uuid.uuid4(), key_id=uuid.uuid4(), retention_hours=1
        )
        life = SimpleNamespace(
            parts=SimpleNamespace(states=states),
            background=SimpleNamespace(start=self._run),
        )
        sink = SimpleNamespace(admitted=self.admitted, take_input=list)
        invocation = SimpleNamespace(operation="responses")
        monkeypatch.setattr(background, "BackgroundSink", lambda answer, events: sink)
        body = read_body(b'{"model": "m", "input": "hi", "background": true, "stream": true}')
        await _start(
            cast(Any, SimpleNamespace(life=life, principal=principal)),
            cast(Any, SimpleNamespace(request_id=RequestId(uuid.uuid4()), invocation=invocation)),
            body,
            _Follower(cast(Any, self), lambda: True, lambda: None),
            stores=True,
        )

    def _run(self, run: Coroutine[Any, Any, None]) -> None:
        run.close()
        self.runs.set()

    async def _seal(self, content: bytes, place: str) -> str:
        return ""

    async def _write(self, statements: list[Any]) -> list[list[Any]]:
        return [[] for _ in statements]


async def test_broken_off_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """P5: its run goes on, so that its Idempotency-Key neither starts another nor repeats the half
    of an answer: where nobody knows yet whether it is admitted, and in the middle of its events."""
    stopped = Started()
    task = asyncio.create_task(stopped.run(monkeypatch))
    async with asyncio.timeout(30):
        await stopped.runs.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stopped.seen == ["cut"]
    assert not stopped.admitted.cancelled()

    async def break_off(*_: Any) -> None:
        raise DatabaseAway("away")

    monkeypatch.setattr(background, "_follow", break_off)
    broken = Started()
    broken.admitted.set_result(Head("text/event-stream", 0, None, None))
    with pytest.raises(DatabaseAway):
        await broken.run(monkeypatch)
    assert broken.seen == ["begin", "cut"]
