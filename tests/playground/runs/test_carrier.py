"""What becomes of a run in each way in which its request ends, without its database."""

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from dialects.errors.errors import RequestFault
from lib.ids import new_id
from playground.answers.events import AppendResult
from playground.answers.late_charges import UNCHARGED
from playground.answers.notifications import RunNotifications
from playground.conversations import titles
from playground.models import Conversation, Message, NamedBy, Run, RunState
from playground.runs import runs, watching
from playground.turns.turns import Turn
from relay.errors import DatabaseAway
from tests.playground.asking import BOUND, STREAM, WAIT, PlannedRelay, chunks, outcome

HELLO: list[Any] = [STREAM, *chunks({"content": "Good "}, {"content": "day"})]
FAULT = RequestFault("authentication", None, "revoked")
SETTLED = {"charge_nano": 77, "basis": "drained"}
GOES_ON, STOPS, LOST = (
    AppendResult(True, False),
    AppendResult(True, True),
    AppendResult(False, False),
)


class Frames:
    """Notes what is written, and says of the run what `states` say in turn, the last one again."""

    def __init__(self, states: Sequence[AppendResult]) -> None:
        self.status = SimpleNamespace(bound=None, meter=None, next_at=lambda: None)
        self.events: list[Any] = []
        self.ends: list[tuple[RunState, dict[str, Any]]] = []
        self._states = list(states)

    def write(self, events: Sequence[Any], wire: str, now: float) -> AppendResult:
        self.events += events
        return self._states.pop(0) if len(self._states) > 1 else self._states[0]

    def write_end(self, state: RunState, facts: dict[str, Any]) -> None:
        self.ends.append((state, facts))


class Hands:
    """A run with all that its carrier uses but the relay."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.named: list[UUID] = []
        self.beats: list[UUID] = []
        self.settlements: list[dict[str, Any] | None] = [None, SETTLED]
        self.chat = Conversation(id=new_id(), organisation_id=new_id(), columns=[])
        self.run = Run(
            id=new_id(), request_id=new_id(), model="m", conversation=self.chat,
            user_message=Message(id=new_id()), assistant_message=Message(id=new_id()),
        )  # fmt: skip
        self.frames = Frames([GOES_ON])
        payer = SimpleNamespace(key=None, labels="labels", principal=self._principal)
        patch.setattr(runs, "run_in_database", self._in_database)
        patch.setattr(runs, "stored_payer", lambda chat: payer)
        patch.setattr(runs, "request_of_run", lambda run: {"model": run.model})
        patch.setattr(runs, "price_version_of", lambda actor, key, model: None)
        patch.setattr(runs, "record_heartbeat", self.beats.append)
        patch.setattr(runs, "final_record", lambda *_: self.settlements.pop(0))
        patch.setattr(runs, "_SETTLED_LOOK_S", 0.0)
        patch.setattr(runs, "FRAME_S", 0.0)
        # Nothing but news ends a wait.
        patch.setattr(runs, "HEARTBEAT_S", 3_600)
        patch.setattr(runs, "FrameWriter", lambda run, incoming: self.frames)
        patch.setattr(titles, "name_chat", self._name)
        patch.setattr(RunNotifications, "_listen", _deaf)

    async def _in_database(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return work(*arguments)

    async def _principal(self, actor: Any, relay: PlannedRelay) -> Any:
        return await relay.principal_of_key(new_id(), 7)

    async def _name(self, answer_id: UUID, actor: Any, relay: Any) -> None:
        self.named.append(answer_id)

    def carry(self, relay: PlannedRelay, *states: AppendResult) -> tuple[Any, Any]:
        """How the run ended."""
        if states:
            self.frames = Frames(states)
        message = self.run.assistant_message
        turn = Turn(self.run, self.chat, self.run.user_message, message, fresh=True)

        async def carry() -> None:
            await runs._Carrier(turn, None, relay).carry()  # type: ignore[arg-type]

        asyncio.run(asyncio.wait_for(carry(), 10))
        # The first end counts.
        return self.frames.ends[0] if self.frames.ends else (None, None)


async def _deaf(self: RunNotifications) -> None:
    return


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    return Hands(monkeypatch)


@pytest.fixture
def impatient(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> Hands:
    """One who looks again and again what became of the run elsewhere."""
    monkeypatch.setattr(runs, "HEARTBEAT_S", 0.0)
    return hands


REFUSING = (400, 402, 403, 404, 413, 422, 429)
BROKEN = (401, 499, 500, 502, 503, 504)


@pytest.mark.parametrize(
    ("items", "state"),
    [
        ([*HELLO, outcome()], RunState.DONE),
        ([outcome()], RunState.DONE),
        ([*HELLO, outcome(499, "client_closed")], RunState.STOPPED),
        ([outcome(499, "client_closed")], RunState.STOPPED),
        *(([outcome(status, "invalid_request")], RunState.REFUSED) for status in REFUSING),
        *(([*HELLO, outcome(status, "any")], RunState.FAILED) for status in REFUSING),
        *(([outcome(status, "any")], RunState.FAILED) for status in BROKEN),
    ],
)
def test_run_ends_as_its_request_does(hands: Hands, items: list[Any], state: RunState) -> None:
    end, facts = hands.carry(PlannedRelay(items))
    assert end == state
    kept = runs.facts_of(items[-1])
    assert facts == kept | {"expected_nano": BOUND.expected_nano}
    assert "request_id" not in facts
    shown = "".join(getattr(event, "text", "") for event in hands.frames.events)
    assert shown == ("Good day" if len(items) > 1 else "")


def test_request_goes_to_the_relay_as_the_runs_own(hands: Hands) -> None:
    relay = PlannedRelay([outcome()])
    hands.carry(relay)
    (call,) = relay.calls
    assert call == {
        "body": {"model": "m"}, "user": 7, "source": "playground", "labels": "labels",
        "request_id": hands.run.request_id,
    }  # fmt: skip
    assert relay.bounds == [{"body": {"model": "m"}, "labels": "labels"}]


@pytest.mark.parametrize(
    ("relay", "end"),
    [
        # There is no request, so nothing is charged or awaited.
        (
            {"principal": FAULT},
            (RunState.REFUSED, {"kind": "authentication", "message": FAULT.message, **UNCHARGED}),
        ),
        (
            {"principal": RuntimeError()},
            (RunState.FAILED, {"kind": "internal", "status": 500, **UNCHARGED}),
        ),
        # Its charge is awaited.
        (
            {"items": [*HELLO, RuntimeError()]},
            (RunState.FAILED, {"kind": "internal", "status": 500, "expected_nano": 6_000_000}),
        ),
    ],
)
def test_run_without_an_outcome_says_whether_a_charge_may_come(
    hands: Hands, relay: dict[str, Any], end: tuple[RunState, dict[str, Any]]
) -> None:
    assert hands.carry(PlannedRelay(**relay)) == end


@pytest.mark.parametrize("unknown", [BOUND._replace(expected_nano=None), FAULT, DatabaseAway()])
def test_request_is_sent_although_its_cost_is_not_known(hands: Hands, unknown: Any) -> None:
    relay = PlannedRelay([*HELLO, outcome()], bound_result=unknown)
    state, facts = hands.carry(relay)
    assert (state, "expected_nano" in facts, len(relay.calls)) == (RunState.DONE, False, 1)


@pytest.mark.parametrize("blind", [False, True])
def test_amounts_are_hidden_while_models_are(hands: Hands, blind: bool) -> None:
    hands.chat.columns = [{"model": "a"}, {"model": "b"} | ({"blind": True} if blind else {})]
    hands.carry(PlannedRelay([*HELLO, outcome()]))
    status = hands.frames.status
    assert (status.bound is None, status.meter is None) == (blind, blind)


def test_stopped_run_has_the_charge_that_the_books_have_then(impatient: Hands) -> None:
    relay = PlannedRelay([*HELLO, WAIT])
    end = (RunState.STOPPED, {**SETTLED, "expected_nano": BOUND.expected_nano})
    assert impatient.carry(relay, GOES_ON, GOES_ON, STOPS) == end
    assert (len(relay.calls), relay.ended) == (1, 0)


def test_run_that_is_stopped_before_its_request_is_not_charged(hands: Hands) -> None:
    assert hands.carry(PlannedRelay(principal=WAIT), STOPS) == (RunState.STOPPED, UNCHARGED)


def test_stop_after_the_last_word_changes_nothing(hands: Hands) -> None:
    done = PlannedRelay([*HELLO, outcome()])
    assert hands.carry(done, *[GOES_ON] * 2, STOPS)[0] == RunState.DONE


def test_run_that_another_process_ended_is_left_to_it(impatient: Hands) -> None:
    relay = PlannedRelay([*HELLO, WAIT])
    assert impatient.carry(relay, GOES_ON, LOST) == (None, None)
    assert relay.ended == 0


@pytest.mark.parametrize(
    ("named_by", "column", "named"),
    [
        (NamedBy.PENDING, 0, True), (NamedBy.PENDING, 1, False), (NamedBy.WORDS, 0, False),
        (NamedBy.PERSON, 0, False),
    ],
)  # fmt: skip
def test_first_column_names_a_chat_that_waits(
    hands: Hands, named_by: NamedBy, column: int, named: bool
) -> None:
    hands.chat.named_by, hands.run.column = named_by, column
    hands.carry(PlannedRelay([outcome()]))
    assert hands.named == [hands.run.assistant_message.id] * named


def test_run_says_that_it_is_alive(impatient: Hands) -> None:
    impatient.carry(PlannedRelay([outcome()]))
    assert {*impatient.beats} == {impatient.run.id}


@pytest.mark.parametrize("unwatched_ms", [None, 5])
async def test_only_a_run_with_a_limit_is_watched(
    hands: Hands, monkeypatch: pytest.MonkeyPatch, unwatched_ms: int | None
) -> None:
    watched = list[Run]()

    async def stop_when_left(run: Run) -> None:
        watched.append(run)
        await asyncio.Event().wait()

    monkeypatch.setattr(watching, "stop_when_left", stop_when_left)
    hands.run.unwatched_ms = unwatched_ms
    message = hands.run.assistant_message
    turn = Turn(hands.run, hands.chat, hands.run.user_message, message, fresh=True)
    runs.start([turn], None, PlannedRelay([outcome()]))  # type: ignore[arg-type]
    await runs.finish()
    assert hands.frames.ends
    assert watched == ([] if unwatched_ms is None else [hands.run])
    left = asyncio.all_tasks() - {asyncio.current_task()}
    # Whoever watches it stops with it.
    done, _ = await asyncio.wait(left, timeout=5) if left else (set(), set())
    assert all(task.cancelled() for task in done)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_settlement_is_looked_for_until_it_is_late(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands.settlements = [None, None, SETTLED, None]
    assert await runs.read_settlement(new_id(), new_id()) == SETTLED
    monkeypatch.setattr(runs, "_SETTLED_WITHIN_S", 0.0)
    assert await runs.read_settlement(new_id(), new_id()) == {}
