"""When a delegated response takes its hold, what it is charged, and which settings may change."""

import json
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from dialects.errors.errors import RequestFault
from dialects.realtime.live import ServerEvent, Settings
from relay.counting.vocabularies import family_of
from relay.downstream.error_answers import OVERLOADED, STOPPING
from relay.realtime.connection_holds import EventRefused, RealtimeOver
from relay.realtime.hold_sizes import Used
from relay.realtime.live import delegations
from relay.realtime.live.delegations import DELEGATED, Delegated, Delegations
from relay.realtime.live.operation import BackendBound
from relay.realtime.response import NOT_USED

WORK = Settings("live-1", "responses", "m", b'{"model":"m","max_output_tokens":50}', 48)
DECIDE = WORK._replace(delegate="decisions")
USAGE = {"input_tokens": 30, "output_tokens": 4, "total_tokens": 34}


class Response:
    """A response that has taken a hold."""

    def __init__(self, world: "World", basis: str) -> None:
        self.calls, self.outcome = world.calls, SimpleNamespace(basis=basis, meters={"in_text": 90})
        self.meter = SimpleNamespace(answer=Delegated(), prices=SimpleNamespace(price="the price"))
        self.end = SimpleNamespace(ttft_ms=None, unheard=None, bill_so_far=lambda: "so far")
        self.model, self.request_id, self.hold_nano = "m", "request", 7
        self.times = iter((40, 50))

    def elapsed_ms(self) -> int:
        return next(self.times)

    def start(self, id: str) -> None:
        self.calls.append(("start", id))

    def settle(self, error: Any, bill: Any, fault: str = "") -> Any:
        kind = None if error is None else (error.kind, error.status)
        self.calls.append(("settle", kind, bill, fault))
        return self.outcome


class World:
    """One connection. `refused` is what its next call for a model fails with."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, settings: Settings = WORK, *, talks: bool = True
    ) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.taken: list[Response] = []
        self.wanted: list[Any] = []
        self.kind: Any = None
        self.basis, self.refused = "measured", cast(Any, None)
        world = self

        class Next:
            def __init__(self, context: Any, holds: Any, kind: Any, _: Any) -> None:
                world.kind = kind

            async def next(self, *, asked: bool) -> None:
                world.calls.append(("next", asked))

            async def take(self) -> Response:
                world.taken.append(Response(world, world.basis))
                return world.taken[-1]

            def release(self, error: Any, fault: str) -> None:
                world.calls.append(("release", error, fault))

        def find_upstream_model(wanted: Any) -> str:
            self.wanted.append(wanted)
            if self.refused is not None:
                raise self.refused
            return "upstream"

        async def granted(placing: Any) -> str:
            if self.refused is not None:
                raise self.refused
            return f"granted {placing}"

        def place(wanted: Any) -> str:
            self.wanted.append(wanted)
            return "hold"

        monkeypatch.setattr(delegations, "NextHold", Next)
        monkeypatch.setattr(delegations, "backend_invocation", lambda invocation: invocation)
        monkeypatch.setattr(
            delegations,
            "backend_bound",
            lambda newest, model, most: BackendBound(100_000, most or 9),
        )
        holds = SimpleNamespace(
            newest=None, find_upstream_model=find_upstream_model, granted=granted, place=place
        )
        talk = SimpleNamespace(
            begin=lambda *values: self.calls.append(("talk begins", *values)),
            end=lambda id, model, outcome, **options: self.calls.append(
                ("talk ends", id, model, outcome, *options.items())
            ),
        )
        for name in ("record_delegated", "record_decision"):
            monkeypatch.setattr(
                delegations, name, lambda talk, id, raw: self.calls.append(("said", id))
            )
        context = cast(Any, SimpleNamespace(invocation="invocation"))
        self.delegations = Delegations(
            context, cast(Any, holds), settings, cast(Any, talk if talks else None)
        )

    async def note(self, type: str, **members: Any) -> None:
        raw = json.dumps({"type": type} | members).encode()
        await self.delegations.note(ServerEvent(event=msgspec.Raw(raw)))

    def happened(self) -> list[tuple[Any, ...]]:
        calls, self.calls[:] = [*self.calls], []
        return calls


async def test_response_is_settled_at_its_end_and_the_next_hold_is_placed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch)
    world.delegations.note_input(300)
    await world.note("response.created", response={"id": "r"})
    assert world.happened() == [("start", "r"), ("talk begins", "r", "request"), ("said", "r")]
    assert world.delegations.running
    (response,) = world.taken
    # What was sent before it begins is what it reads.
    assert response.meter.answer.input_tokens == 100
    await world.note("response.in_progress", response_id="r")
    assert response.end.ttft_ms is None
    for _ in range(2):
        await world.note("response.output_text.delta", response_id="r", delta="a")
    assert response.end.ttft_ms == 40
    # An event without an id is one of the response that runs.
    await world.note("response.output_text.delta", delta="a")
    assert response.meter.answer.pieces == 3
    world.happened()
    await world.note("response.completed", response={"id": "r", "usage": USAGE})
    assert world.happened() == [
        ("said", "r"), ("settle", None, "so far", ""),
        ("talk ends", "r", "m", response.outcome), ("next", False),
    ]  # fmt: skip
    assert not world.delegations.running
    # A measured one says how long the conversation is.
    assert world.kind.needed() == 90
    await world.note("response.output_text.delta", response_id="r", delta="a")
    assert world.happened() == []


@pytest.mark.parametrize(("basis", "known"), [("measured", 90), ("drained", 90), ("estimated", 10)])
async def test_only_a_measured_response_says_how_long_the_conversation_is(
    monkeypatch: pytest.MonkeyPatch, basis: str, known: int
) -> None:
    world = World(monkeypatch, talks=False)
    world.basis = basis
    world.delegations.note_input(30)
    await world.note("response.created", response={"id": "r"})
    await world.note("response.incomplete", response={"id": "r"})
    assert world.delegations._input.tokens_max == known


@pytest.mark.parametrize(
    ("piece", "usage", "bill"),
    [(False, None, NOT_USED), (True, None, "so far"), (False, USAGE, "so far")],
)
async def test_failed_response_costs_nothing_if_it_said_nothing(
    monkeypatch: pytest.MonkeyPatch, piece: bool, usage: Any, bill: Any
) -> None:
    world = World(monkeypatch, talks=False)
    await world.note("response.created", response={"id": "r"})
    if piece:
        await world.note("response.output_text.delta", response_id="r", delta="a")
    failed = {"id": "r", "status": "failed", "error": {"message": "x"}, "usage": usage}
    await world.note("response.failed", response=failed)
    assert world.happened() == [
        ("start", "r"), ("settle", ("upstream_error", 502), bill, "F23"), ("next", False),
    ]  # fmt: skip


async def test_response_that_is_only_seen_at_its_end_takes_a_hold_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch, talks=False)
    await world.note("response.completed", response={"id": "r", "usage": USAGE})
    assert world.happened() == [("start", "r"), ("settle", None, "so far", ""), ("next", False)]


async def test_events_without_a_delegation_end_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decisions = World(monkeypatch, DECIDE)
    with pytest.raises(ValueError, match="a response that nobody delegated"):
        await decisions.note("response.created", response={"id": "r"})
    responses = World(monkeypatch)
    decision = ServerEvent(event=msgspec.Raw(b'{"decision": {"usage": {}}}'))
    with pytest.raises(ValueError, match="a decision that nobody delegated"):
        await responses.delegations.charge_decision(decision)
    for number in range(16):
        await responses.note("response.created", response={"id": f"r{number}"})
    for id in ("", "r3", "r16"):
        with pytest.raises(ValueError, match="no response, or too many"):
            await responses.delegations._begin(id)
    await decisions.delegations.prepare(asked=True)
    assert decisions.happened() == []
    responses.happened()
    await responses.delegations.prepare(asked=True)
    assert responses.happened() == [("next", True)]


async def test_decision_is_held_for_and_settled_by_its_usage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch, DECIDE)
    decided, counted = Response(world, "measured"), list[Any]()

    def meter(placed: str, bound: BackendBound) -> Response:
        assert (placed, bound) == ("granted hold", BackendBound(0, 0))
        return decided

    def count(evidence: Any, price: str, hold_nano: int, basis: str) -> str:
        counted.append((evidence.here(), evidence.reported.meters, price, hold_nano, basis))
        return "bill"

    monkeypatch.setattr(delegations, "_meter", meter)
    monkeypatch.setattr(delegations, "count", count)
    raw = json.dumps({"type": "x", "decision": {"model": "m", "usage": USAGE}}).encode()
    event = ServerEvent(event=msgspec.Raw(raw))
    await world.delegations.charge_decision(event)
    meters = {"in_text": 30, "out_text": 4}
    assert counted == [(meters, meters, "the price", 7, "measured")]
    assert world.happened() == [
        ("start", ""), ("settle", None, "bill", ""), ("talk begins", "request", "request"),
        ("said", "request"), ("talk ends", "request", "m", decided.outcome),
    ]  # fmt: skip
    (wanted,) = world.wanted
    assert (wanted.model, wanted.unary._unit) == ("m", Used(meters))
    world.refused = EventRefused(OVERLOADED)
    with pytest.raises(RealtimeOver) as over:
        await world.delegations.charge_decision(event)
    assert over.value.error == OVERLOADED
    assert world.happened() == []


async def test_running_responses_are_settled_when_the_connection_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch)
    await world.note("response.created", response={"id": "r"})
    world.happened()
    world.delegations.release(STOPPING, "F14", OVERLOADED)
    assert world.taken[0].end.unheard == OVERLOADED
    world.delegations.settle(STOPPING, "F14")
    assert world.happened() == [
        ("release", STOPPING, "F14"),
        ("settle", ("server_shutting_down", 503), "so far", "F14"),
        ("talk ends", "r", "m", world.taken[0].outcome, ("broken", True)),
    ]  # fmt: skip
    assert not world.delegations.running


# ---- settings


def test_model_is_the_one_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    assert (world.delegations.client_model, world.delegations.delegate) == ("m", "responses")
    assert world.delegations.find_upstream_model() == "upstream"
    (wanted,) = world.wanted
    assert (wanted.model, wanted.raw, wanted.invocation) == ("m", WORK.config, "invocation")
    # The room for input that may follow, and the client's limit of the answer.
    assert wanted.unary._unit == BackendBound(8_192, 50, is_full=False)
    nothing = World(monkeypatch, WORK._replace(backend=""))
    assert nothing.delegations.find_upstream_model() == ""
    assert nothing.wanted == []


def test_changed_settings_are_added_to_those_before(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    change = Settings("", "", "", b'{"tools":[{"type":"web_search"}]}', 0)
    # The provider's name of the model is only of use if the client names the model.
    assert world.delegations.change(change) == ""
    config = json.loads(world.delegations._settings.config)
    assert config == {
        "model": "m", "max_output_tokens": 50, "tools": [{"type": "web_search"}],
    }  # fmt: skip
    named = change._replace(delegate="responses", backend="m")
    assert world.delegations.change(named) == "upstream"
    assert len(world.wanted) == 2
    # The provider refuses it: nothing is asked of the price.
    assert world.delegations.change(named._replace(delegate="decisions")) == ""
    assert len(world.wanted) == 2


def test_refused_settings_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    change = Settings("", "responses", "", b'{"tools":[]}', 0)
    with pytest.raises(RequestFault) as other:
        world.delegations.change(change._replace(backend="n"))
    assert other.value.param == "session.delegation.responses.model"
    world.refused = RequestFault("unsupported_capability", "tools", "no price")
    with pytest.raises(RequestFault):
        world.delegations.change(change)
    assert world.delegations._settings == WORK


def test_delegated_response_is_counted_by_its_events() -> None:
    answer = Delegated()
    family = family_of("gpt-5")
    assert DELEGATED.own_count(None, {}, family) == {}
    assert DELEGATED.provider_count(answer, {}).meters == {}
    answer.input_tokens = 11
    answer.feed(b'{"type":"response.output_text.delta","item_id":"i","delta":"abcdefgh"}')
    assert (answer.begun, answer.pieces) == (True, 1)
    assert DELEGATED.own_count(answer, {}, family)["in_text"] == 11
    assert DELEGATED.own_count(answer, {}, family)["out_text"] > 0
    done = {"type": "response.completed", "response": {"id": "r", "usage": USAGE}}
    answer.feed(json.dumps(done, indent=1).encode())
    assert DELEGATED.provider_count(answer, {}).meters == {"in_text": 30, "out_text": 4}
