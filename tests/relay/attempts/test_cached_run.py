"""A stored answer that is served again: what is charged and recorded of it, and when none is
served."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from billing.prices.cached_answers import CACHED
from lib.ids import new_id
from relay.answers.answer_cache import Hit, StoredAnswer
from relay.attempts import cached_run
from relay.attempts.cached_run import CachedRun
from relay.attempts.run import Run

ATTEMPT, ORGANISATION = new_id(), new_id()


def hit(*, stream: bool = False, age_s: int = 5) -> Hit:
    answer = StoredAnswer(
        b"digest", "earlier", 100, "stop", "text/x", stream, ("seed",), ("masked", "mine"), b"raw"
    )
    return Hit(answer, age_s, 55)


class World:
    """One request. `happened` is what happens, in order."""

    def __init__(
        self, found: Any = None, *, age_max: int | None = None, gone: bool = False,
        percent: int | None = 30, records: bool = False, guarded: bool = False,
        why: Any = None, stores: bool = True,
    ) -> None:  # fmt: skip
        self.happened: list[Any] = []
        happened = self.happened.append
        rule = None if percent is None else SimpleNamespace(price_percent=percent)
        recorder = SimpleNamespace(
            keep_end=self.noted("kept end"), keep_answer=self.noted("kept answer")
        )
        self.downstream = SimpleNamespace(
            notices=(), client_gone=gone, recorder=recorder if records else None,
            begin=self.noted("begin"), write=self.noted("write"),
            sink=SimpleNamespace(answer=self.noted("answer")),
        )  # fmt: skip
        self.settled: list[Any] = []
        guarding = SimpleNamespace(
            flags=("guard:pii", "guard_ms:4"), masks=SimpleNamespace(originals={})
        )
        context = SimpleNamespace(
            principal=SimpleNamespace(cache=rule), downstream=self.downstream,
            request_id=new_id(), elapsed_ms=lambda: 40,
            options=SimpleNamespace(flags=("mine",), address="10.0.0.1"),
            deadline=SimpleNamespace(stop=lambda: happened("limits stop")),
            guarding=guarding if guarded else None,
            parts=SimpleNamespace(ledger=SimpleNamespace(settle=self.settle)),
        )  # fmt: skip
        run = self.run = object.__new__(CachedRun)
        run._context = cast(Any, context)
        holds = SimpleNamespace(place_cached=self.place)
        run._next = cast(Any, SimpleNamespace(answering=SimpleNamespace(holds=holds, why=why)))
        run._cache = cast(Any, SimpleNamespace(find=self.find, store=self.noted("stored")))
        run._control = cast(Any, SimpleNamespace(age_max=age_max))
        run._stores, run._copy, run._digest, run._raw = stores, None, b"", b"body"
        self.found = found

    def noted(self, name: str) -> Any:
        async def note(*values: Any, **_: Any) -> None:
            self.happened.append((name, *values))

        return note

    async def find(self, digest: bytes) -> Any:
        self.happened.append("looked up")
        if isinstance(self.found, BaseException):
            raise self.found
        return self.found

    async def place(self, nano: int) -> Any:
        self.happened.append(("held", nano))
        principal = SimpleNamespace(organisation_id=ORGANISATION)
        return SimpleNamespace(
            headroom={}, principal=principal, attempt_id=ATTEMPT, settles_at_once=True
        )

    def settle(self, settlement: Any, *, at_once: bool) -> None:
        self.happened.append(("settled", at_once))
        self.settled.append(settlement)

    @property
    def notices(self) -> dict[str, str]:
        return dict(self.downstream.notices)


@pytest.fixture(autouse=True)
def cacheable(monkeypatch: pytest.MonkeyPatch) -> None:
    async def make_attempts(self: Any) -> Any:
        return "made attempts"

    monkeypatch.setattr(Run, "_make_attempts", make_attempts)
    monkeypatch.setattr(cached_run, "is_cacheable", lambda context, raw: raw == b"body")
    monkeypatch.setattr(CachedRun, "_find_digest", lambda self: b"digest")
    monkeypatch.setattr(cached_run, "AnswerCopy", lambda sink: ("copy of", sink))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("percent", "nano"), [(30, 30), (0, 0), (None, 100)])
async def test_stored_answer_costs_its_share(stream: bool, percent: Any, nano: int) -> None:
    world = World(hit(stream=stream), percent=percent, guarded=True)
    outcome = await world.run._make_attempts()
    assert (outcome.charge_nano, outcome.hold_nano, outcome.basis) == (nano, nano, CACHED)
    assert (outcome.status, outcome.finish_reason, outcome.meters) == (200, "stop", {})
    (settlement,) = world.settled
    ending = settlement.ending
    assert (settlement.organisation_id, settlement.attempt_id, settlement.state) == (
        ORGANISATION, ATTEMPT, "settled",
    )  # fmt: skip
    assert (ending.final, ending.status, ending.charge_nano, ending.basis) == (
        True, 200, nano, CACHED,
    )  # fmt: skip
    assert (ending.cost_nano, ending.ttft_ms, ending.total_ms) == (0, 40, 40)
    assert (ending.dropped, ending.address, ending.finish_reason) == ("seed", "10.0.0.1", "stop")
    # Each flag once: its own, its guards', and those of the answer.
    assert ending.flags == ("mine", "guard:pii", "guard_ms:4", "masked")
    share = 100 if percent is None else percent
    assert json.loads(ending.pricing) == {
        CACHED: {"request": "earlier", "charge_nano": 100, "price_percent": share}
    }
    assert world.notices == {"cache-status": "weir; hit; ttl=55", "age": "5"}


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize("stream", [False, True])
async def test_stored_answer_is_kept_and_settled_before_it_is_sent(
    stream: bool, gone: bool
) -> None:
    world = World(hit(stream=stream), records=True, gone=gone)
    await world.run._make_attempts()
    names = [one if isinstance(one, str) else one[0] for one in world.happened]
    if stream:
        wanted = ["looked up", "held", "begin", "kept end", "settled", "limits stop", "write"]
    else:
        wanted = ["looked up", "held", "kept answer", "settled", "limits stop", "answer"]
    assert names == (wanted[:-1] if gone else wanted)
    head = next(one[1] for one in world.happened if one[0] in ("begin", "kept answer"))
    assert (head.content_type, head.hold_nano, head.cost_nano, head.dropped) == (
        "text/x", 30, 30, ("seed",),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "age_max", "served", "status"),
    [
        (None, None, False, "weir; fwd=miss"), (hit(age_s=5), 5, True, ""),
        (hit(age_s=6), 5, False, "weir; fwd=request"), (hit(), -1, False, "weir; fwd=request"),
        (None, 60, False, "weir; fwd=request"),
    ],
)  # fmt: skip
async def test_answer_that_is_too_old_is_not_served(
    found: Any, age_max: int | None, served: bool, status: str
) -> None:
    world = World(found, age_max=age_max)
    result = await world.run._make_attempts()
    assert (result != cast(Any, "made attempts")) is served
    if not served:
        assert world.notices == {"cache-status": status}
        copy = cast(Any, world.run._copy)
        assert copy[0] == "copy of"
        assert world.downstream.sink is copy
        assert ("looked up" in world.happened) is (age_max != -1)


async def test_answer_is_neither_found_nor_stored_where_it_may_not_be() -> None:
    for world in (World(hit()), World(hit(), guarded=True), World(hit(), why="model_fallback")):
        if world.run._context.guarding is None and world.run._next.answering.why is None:
            world.run._raw = b"another"
        elif world.run._context.guarding is not None:
            cast(Any, world.run._context.guarding).masks.originals = {"[1]": "card"}
        assert await world.run._make_attempts() == cast(Any, "made attempts")
        assert (world.happened, world.run._copy) == ([], None)
        assert world.notices == {"cache-status": "weir; fwd=bypass"}
    unstored = World(stores=False)
    await unstored.run._make_attempts()
    assert unstored.run._copy is None


async def test_client_that_left_while_it_was_looked_up_is_charged_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(CachedRun, "_reraise_unless_left", lambda self: None)
    outcome = await World(asyncio.CancelledError()).run._make_attempts()
    assert (outcome.kind, outcome.charge_nano) == ("client_closed", 0)


@pytest.mark.parametrize("why", [None, "model_fallback"])
async def test_answer_is_stored_with_what_guards_did_to_it(why: Any) -> None:
    world, given = World(guarded=True, why=why), list[Any]()
    world.run._digest = b"digest"

    def stored(*values: Any) -> str | None:
        given.append(values)
        return "answer" if len(given) == 1 else None

    await world.run.store(cast(Any, "outcome"))
    world.run._copy = cast(Any, SimpleNamespace(stored=stored))
    await world.run.store(cast(Any, "outcome"))
    await world.run.store(cast(Any, "outcome"))
    if why is not None:
        assert (given, world.happened) == ([], [])
    else:
        assert given == [(b"digest", "outcome", ("guard:pii",))] * 2
        assert world.happened == [("stored", "answer")]
