"""What ends a request twice ends it once; what is over has no limit of time left, and is kept by
nobody. And each way from one attempt to the next or to an end, on a script (P1, P7, P10)."""

import asyncio
import dataclasses
import json
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final, cast
from uuid import UUID

import msgspec
import pytest

from dialects.chat.chat import Dialect
from dialects.chat.kept import KeptResponse
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS
from dialects.errors.errors import RequestFault
from dialects.json.body import read_body
from gateway.channel_order.channel_order import Candidate
from lib.id_types import UpstreamModelName
from relay.attempts import attempt
from relay.attempts import run as run_module
from relay.attempts.next_attempts import Failed
from relay.attempts.rules import backoff_s_max
from relay.attempts.run import Run
from relay.attempts.shadow_traffic import MainAnswer
from relay.downstream.deadline import Deadline
from relay.downstream.downstream import ErrorAnswer
from relay.downstream.error_answers import CLIENT_CLOSED, OVERLOADED, STOPPING
from relay.downstream.limit_answers import BY_BUDGET, ChannelFull, UsedUp
from relay.errors import DatabaseAway, DatabaseFailed
from relay.health.channels_out import ChannelsOut
from relay.operations.unary import UnaryFacts
from relay.preparation.continuation import Continuation
from relay.upstream.failures import UpstreamFailed, upstream_failure


class Refusing:
    """A client that hears why it is refused."""

    client_gone = False

    def __init__(self) -> None:
        self.heard: list[ErrorAnswer] = []

    async def refuse(self, error: ErrorAnswer) -> None:
        self.heard.append(error)


def run_here(codec: str = "openai") -> tuple[Run, Deadline, Refusing]:
    """A run in this task, of which nothing is known but its client and its time."""
    task = asyncio.current_task()
    assert task is not None
    deadline, client = Deadline(task), Refusing()
    target = SimpleNamespace(model="", stream=False)
    invocation = SimpleNamespace(codec=SimpleNamespace(name=codec), target=target)
    context = SimpleNamespace(downstream=client, deadline=deadline, invocation=invocation)
    return Run(cast(Any, context)), deadline, client


async def test_a_client_leaves_once() -> None:
    """P6: a connection may be lost in several ways; what settles meanwhile is not interrupted."""
    run, deadline, client = run_here()
    run.leave()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(0)
    assert (deadline.caught(), client.client_gone) == ("left", True)
    run.leave()
    assert deadline.reason is None


async def test_finished_count_has_no_time_limit() -> None:
    run, deadline, client = run_here("anthropic")
    deadline.limit("total", 0)
    await run.count_tokens(b"{")
    assert [error.status for error in client.heard] == [400]
    for _ in range(3):
        await asyncio.sleep(0)
    assert deadline.reason is None


async def test_rest_of_an_answer_is_not_collected_while_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As long as the task is referred to, it is not collected; and no longer."""
    ended, read = asyncio.Event(), asyncio.Event()

    async def read_rest(_: Any) -> None:
        await ended.wait()

    monkeypatch.setattr(attempt, "read_rest", read_rest)
    before = set(attempt._rests)
    attempt._give_back(cast(Any, SimpleNamespace(at_end=False, release=read.set)))
    (task,) = attempt._rests - before
    ended.set()
    await task
    assert read.is_set()
    await asyncio.sleep(0)
    assert attempt._rests == before
    attempt._give_back(cast(Any, SimpleNamespace(at_end=True, release=read.clear)))
    assert (attempt._rests, read.is_set()) == (before, False)


# On a script --------------------------------------------------------------------------------------

A, B = (Candidate(name, UpstreamModelName("up"), 2) for name in "ab")
FULL: Final = ChannelFull({"gate": "requests", "limit": 1, "need": 1, "wait_ms": 5})
CANCELLED: Final = asyncio.CancelledError()
AWAY: Final = DatabaseAway("gone")
FAILURE: Final = upstream_failure("F10")
LAST: Final = ErrorAnswer("upstream_error", 502, "the last failure")


def used_up(*, of_budget: bool = True, name: str = "") -> UsedUp:
    error = UsedUp(None, 2, 1, name)
    error.budget_id = 1 if of_budget else None
    return error


def following(candidate: Candidate = A, why: str = "priority", **over: Any) -> Any:
    known = {"fresh": False, "avoid": -1, "skipped": (), "prepared": "prepared"}
    return SimpleNamespace(candidate=candidate, why=why, **known | over)


class Script:
    """A request: what is found next, what holds are placed, and how attempts end, one after the
    other; an exception is raised. `wrote` is what was settled, recorded and told the client."""

    def __init__(
        self, *, first: Any = None, then: Any = (), instead: Any = (), cheaper: Any = (),
        holds: Any = (), ends: Any = (), caught: str | None = None, gone: bool = False,
        facts: Any = None, estimate: Any = None,
    ) -> None:  # fmt: skip
        self.wrote, self.attempts = list[Any](), list[Any]()
        self.holds, self.placed = list(holds), list[tuple[Any, int, Any]]()
        self.ends, self.probes = list(ends), list[Any]()
        self.begun = list[dict[str, Any]]()
        names = {"a": None, "b": None}
        self.channels = {
            name: SimpleNamespace(
                name=name, key_ids=("k1", "k2"), own=None, timeouts_of=lambda of: f"times of {of}"
            )
            for name in names
        }
        self.downstream = SimpleNamespace(
            client_gone=gone, notices=(), refuse=self._refuse, stop_keep_alive=lambda: None
        )
        self.context = SimpleNamespace(
            downstream=self.downstream, deadline=SimpleNamespace(caught=lambda: caught),
            snapshot=SimpleNamespace(channels=self.channels),
            principal=SimpleNamespace(organisation_id=UUID(int=1), guard_rules=()),
            parts=SimpleNamespace(
                ledger=SimpleNamespace(settle=self._settle),
                health=SimpleNamespace(begin=self._begin),
                shadows=SimpleNamespace(follow=lambda *values: self.wrote.append(values)),
            ),
            record=self._record,
            invocation=SimpleNamespace(target=SimpleNamespace(model="", stream=False)),
        )  # fmt: skip
        routed = SimpleNamespace(
            model=SimpleNamespace(name="m"), facts=facts or SimpleNamespace(stream=True),
            retry_budget="budget", affinity=b"", estimate=estimate,
        )  # fmt: skip
        self.next = SimpleNamespace(
            failed=[], first=self._from([first or following()]), following=self._from(then),
            instead_of=self._from(instead), within_budget=self._from(cheaper),
            answering=SimpleNamespace(
                routed=routed, holds=SimpleNamespace(place=self._place), why=None,
                translator=SimpleNamespace(continuation="continued"),
            ),
        )  # fmt: skip
        self.run = Run(cast(Any, self.context), cast(Any, self._attempt))
        self.run._next = cast(Any, self.next)

    async def go(self) -> Any:
        return await self.run._make_attempts()

    def _from(self, values: Any) -> Callable[..., Any]:
        left = list(values)

        async def give(*_: Any) -> Any:
            value = left.pop(0) if left else None
            if isinstance(value, BaseException):
                raise value
            return value

        return give

    async def _place(self, chosen: Any, number: int, replaces: Any) -> Any:
        self.placed.append((chosen, number, replaces))
        hold = self.holds.pop(0) if self.holds else None
        if isinstance(hold, BaseException):
            raise hold
        return hold or SimpleNamespace(
            settles_at_once=True, size=SimpleNamespace(output_cap=9), attempt_id=UUID(int=number)
        )

    def _begin(self, candidate: Candidate, channel: Any, who: UUID, again: Any, **how: Any) -> Any:
        probe = SimpleNamespace(key=5, closed=False)
        probe.close = lambda: setattr(probe, "closed", True)
        self.probes.append(probe)
        self.begun.append({"channel": channel.name, "again": again, **how})
        return probe

    def _attempt(self, context: Any, admitted: Any, probe: Any) -> Any:
        end = self.ends.pop(0)

        async def execute(*, fresh: bool) -> Any:
            self.wrote.append(f"sent{' fresh' if fresh else ''}")
            if isinstance(end, BaseException):
                raise end
            return end

        def failed(failure: UpstreamFailed, *, final: bool) -> Any:
            return SimpleNamespace(
                number=admitted.number, failure=failure, final=final,
                ending=SimpleNamespace(basis="absorbed"),
            )  # fmt: skip

        one = SimpleNamespace(
            key=probe.key, channel=admitted.channel, admitted=admitted, execute=execute,
            failed=failed, revoke=lambda reason: self.wrote.append(f"revoked {reason}"),
            cost_of=lambda outcome: 3, answer_text="text",
        )  # fmt: skip
        self.attempts.append(one)
        return one

    def _settle(self, ended: Any, *, at_once: bool) -> None:
        (of, error), failure = ended, ended[0].failure
        assert at_once is True
        self.wrote.append(("settled", of.number, failure, of.final, error.kind))

    def _record(self, error: Any, model: str, **how: Any) -> Any:
        how.pop("window_id", None)
        self.wrote.append(("recorded", error.kind, model, how))
        return ("outcome", error.kind)

    async def _refuse(self, error: ErrorAnswer) -> None:
        self.wrote.append(("told", error.kind))


@pytest.fixture(autouse=True)
def ends_are_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "final_end", lambda ended, error, principal: (ended, error))
    monkeypatch.setattr(run_module, "answer_to_failures", lambda failures: LAST)
    monkeypatch.setattr(
        run_module, "uncharged_outcome",
        lambda context, error, basis="none": ("uncharged", error.kind, basis),
    )  # fmt: skip
    monkeypatch.setattr(
        run_module, "record_refusal", lambda context, *error, **how: context.record(*error, **how)
    )


def recorded(error: ErrorAnswer, *, after: bool) -> tuple[Any, ...]:
    return ("recorded", error.kind, "m", {"stream": True, "after_attempts": after})


TOLD_LAST: Final = ("told", LAST.kind)


async def test_first_attempt_answers() -> None:
    script = Script(ends=["answered"], first=following(fresh=True, avoid=1))
    assert await script.go() == "answered"
    assert script.wrote == ["sent fresh"]
    assert script.begun == [{"channel": "a", "again": None, "avoid": 1, "only": -1, "order": ()}]
    ((chosen, number, replaces),) = script.placed
    assert (chosen.candidate, chosen.key, number, replaces) == (A, 5, 1, None)
    admitted = script.attempts[0].admitted
    assert (admitted.number, admitted.timeouts, admitted.cut_above) == (1, "times of m", None)
    assert (admitted.continuation, admitted.channel.name) == ("continued", "a")
    assert not script.probes[0].closed


async def test_answer_above_its_hold_is_cut() -> None:
    estimate = SimpleNamespace(cut_above=lambda cap: cap + 1)
    script = Script(ends=["answered"], estimate=estimate)
    await script.go()
    assert script.attempts[0].admitted.cut_above == 10


@pytest.mark.parametrize(("key", "position"), [("k2", 1), (None, -1)])
async def test_key_that_owns_the_object_is_used(key: Any, position: int) -> None:
    facts = UnaryFacts(
        own=None, body=read_body(b"{}"), model="m", user="", text_bytes=0, max_cost_nano=None,
        units=(), only_key=key,
    )  # fmt: skip
    script = Script(ends=["answered"], facts=facts)
    await script.go()
    assert script.begun[0]["only"] == position


async def test_next_attempt_replaces_a_failed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = list[Any]()

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(random, "uniform", lambda least, most: (least, most))
    monkeypatch.setattr(asyncio, "sleep", sleep)
    script = Script(
        ends=[FAILURE, upstream_failure("F11"), "answered"],
        then=[following(B, "failover"), following(B, "retry")],
    )
    assert await script.go() == "answered"
    assert script.wrote == ["sent"] * 3
    assert [(one["channel"], one["again"]) for one in script.begun] == [
        ("a", None), ("b", "budget"), ("b", "budget")
    ]  # fmt: skip
    replaced = [(number, replaces) for _, number, replaces in script.placed]
    assert [number for number, _ in replaced] == [1, 2, 3]
    assert replaced[0][1] is None
    assert [(one.number, one.failure, one.final) for _, one in replaced[1:]] == [
        (1, FAILURE, False), (2, script.next.failed[1].failure, False)
    ]  # fmt: skip
    assert [(one.candidate, one.key) for one in script.next.failed] == [(A, 5), (B, 5)]
    assert waited == [(0, backoff_s_max(2))], "only before the same channel"


async def test_the_last_failure_is_the_answer() -> None:
    script = Script(ends=[FAILURE])
    assert await script.go() == ("uncharged", LAST.kind, "absorbed")
    assert script.wrote == ["sent", ("settled", 1, FAILURE, True, LAST.kind), TOLD_LAST]
    script = Script(ends=[FAILURE])
    script.downstream.client_gone = True
    assert await script.go() == ("uncharged", "client_closed", "none")
    assert script.wrote == ["sent", ("settled", 1, FAILURE, True, "client_closed")]


@pytest.mark.parametrize("reason", ["revoked", None])
async def test_ended_request_stops_when_its_attempt_starts(
    reason: Any,
) -> None:
    script = Script(ends=["answered"])
    script.run._revoked = reason
    await script.go()
    assert script.wrote == ([f"revoked {reason}"] if reason else []) + ["sent"]


# The database ----


async def test_replaced_attempt_ends_despite_a_database_failure() -> None:
    """P1: nobody knows whether the transaction of the second admission ended the first."""
    script = Script(ends=[FAILURE], then=[following(B, "failover")], holds=[None, AWAY])
    with pytest.raises(DatabaseFailed):
        await script.go()
    assert script.wrote == [
        "sent", ("settled", 1, FAILURE, False, "overloaded"), recorded(OVERLOADED, after=True)
    ]  # fmt: skip
    assert script.probes[1].closed, "nobody else's probe is kept"
    script = Script(holds=[AWAY])
    with pytest.raises(DatabaseFailed):
        await script.go()
    assert (script.wrote, script.probes[0].closed) == ([], True)


async def test_failed_attempt_ends_when_no_next_one_is_found() -> None:
    script = Script(ends=[FAILURE], then=[AWAY])
    with pytest.raises(DatabaseFailed):
        await script.go()
    assert script.wrote == ["sent", ("settled", 1, FAILURE, True, "overloaded")]


@pytest.mark.parametrize("attempts", [0, 1])
async def test_full_channel_without_database_is_recorded_after_attempts(attempts: int) -> None:
    script = Script(
        ends=[FAILURE], then=[following(B, "failover")], holds=[None, FULL][1 - attempts :],
        instead=[AWAY],
    )  # fmt: skip
    with pytest.raises(DatabaseFailed):
        await script.go()
    assert [one for one in script.wrote if one != "sent"] == [recorded(OVERLOADED, after=True)][
        :attempts
    ]


# Limits ----


async def test_another_channel_answers_instead_of_a_full_one() -> None:
    script = Script(ends=["answered"], holds=[FULL], instead=[following(B)])
    assert await script.go() == "answered"
    assert [one["channel"] for one in script.begun] == ["a", "b"]
    assert [one.closed for one in script.probes] == [True, False]
    # The hold that was to be replaced is resolved: it is replaced by no other.
    script = Script(
        ends=[FAILURE, "answered"], holds=[None, FULL], then=[following(B)], instead=[following(A)]
    )
    assert await script.go() == "answered"
    assert [replaces is None for _, _, replaces in script.placed] == [True, False, True]


@pytest.mark.parametrize("gone", [False, True])
async def test_failure_is_the_answer_when_the_rest_is_full(gone: bool) -> None:
    script = Script(ends=[FAILURE], holds=[None, FULL], then=[following(B)], gone=gone)
    assert await script.go() == ("outcome", LAST.kind)
    assert script.wrote == ["sent", recorded(LAST, after=True), TOLD_LAST][: 2 if gone else 3]


async def test_a_cheaper_model_answers_and_the_client_is_told() -> None:
    script = Script(
        ends=["answered"], holds=[used_up(), used_up()],
        cheaper=[following(B, "budget_rule"), following(A, "budget_rule")],
    )  # fmt: skip
    assert await script.go() == "answered"
    assert script.downstream.notices == (BY_BUDGET,)
    first, second = used_up(), used_up()
    script = Script(holds=[first, second], cheaper=[following(B, "budget_rule")])
    with pytest.raises(UsedUp) as refused:
        await script.go()
    assert refused.value is first, "the limit of the model that was asked for"
    script = Script(holds=[used_up(of_budget=False)], cheaper=[following(B)])
    with pytest.raises(UsedUp):
        await script.go()
    assert script.downstream.notices == ()


@pytest.mark.parametrize(
    ("why", "failed", "hears_of_failure"),
    [("fallback_rule", True, True), ("fallback_rule", False, False), ("failover", True, False)],
)
async def test_client_without_fallback_gets_its_own_models_error(
    why: str, failed: bool, hears_of_failure: bool
) -> None:
    script = Script(
        ends=[FAILURE], first=following(A, why), holds=[None, used_up()][1 - failed :],
        then=[following(B, why)],
    )  # fmt: skip
    if hears_of_failure:
        assert await script.go() == ("outcome", LAST.kind)
        assert script.wrote == ["sent", recorded(LAST, after=True), TOLD_LAST]
    else:
        with pytest.raises(UsedUp):
            await script.go()


# Cancelled ----


@pytest.mark.parametrize("caught", ["left", None])
async def test_client_leaving_before_an_attempt_is_recorded(caught: str | None) -> None:
    """Whoever else cancels, the process or the caller, hears of it."""
    closed, unsent = recorded(CLIENT_CLOSED, after=False), ("uncharged", "client_closed", "none")
    for script, outcome, wrote in (
        (Script(first=CANCELLED, caught=caught), ("outcome", "client_closed"), [closed]),
        (Script(holds=[CANCELLED], caught=caught), unsent, []),
        (
            Script(holds=[FULL], instead=[CANCELLED], caught=caught),
            ("outcome", "client_closed"), [closed],
        ),
        (
            Script(holds=[used_up()], cheaper=[CANCELLED], caught=caught),
            ("outcome", "client_closed"), [closed],
        ),
        (
            Script(
                ends=[FAILURE], then=[following(B)], holds=[None, FULL], instead=[CANCELLED],
                caught=caught,
            ),
            ("outcome", "client_closed"), ["sent", recorded(CLIENT_CLOSED, after=True)],
        ),
    ):  # fmt: skip
        if caught:
            assert await script.go() == outcome
            assert script.wrote == wrote
        else:
            with pytest.raises(asyncio.CancelledError):
                await script.go()
            assert [one for one in script.wrote if one != "sent"] == []


async def test_ending_between_attempts_is_settled() -> None:
    script = Script(ends=[FAILURE], then=[CANCELLED], caught="total")
    assert await script.go() == ("uncharged", LAST.kind, "absorbed")
    assert script.wrote == ["sent", ("settled", 1, FAILURE, True, LAST.kind), TOLD_LAST]
    for gone in (False, True):
        script = Script(ends=[FAILURE], then=[CANCELLED], gone=gone)
        assert await script.go() == ("uncharged", STOPPING.kind, "none")
        settled = ("settled", 1, FAILURE, True, STOPPING.kind)
        assert script.wrote == ["sent", settled, ("told", STOPPING.kind)][: 2 if gone else 3]


# Whoever ends it ----


def test_ended_request_ends_its_attempt() -> None:
    for running in (True, False):
        script = Script()
        script.context.deadline.interrupt = script.wrote.append
        if running:
            script.run._attempt = cast(Any, SimpleNamespace(
                leave=lambda wrote=script.wrote: wrote.append("attempt left"),
                revoke=lambda reason, wrote=script.wrote: wrote.append(f"attempt {reason}"),
            ))  # fmt: skip
        script.run.revoke("session_ended")
        script.run.leave()
        assert script.run._revoked == "session_ended"
        assert script.wrote == (["attempt session_ended", "attempt left"] if running else ["left"])


def test_session_is_known_once_found() -> None:
    script = Script()
    script.context.session = None
    assert script.run.session_id is None
    script.context.session = SimpleNamespace(id=UUID(int=4))
    assert script.run.session_id == UUID(int=4)


@pytest.mark.parametrize("error", [None, AWAY, RequestFault("permission", None, "m")])
async def test_rejected_request_gets_the_reason_and_no_time_limit(error: Any) -> None:
    script, stopped = Script(ends=["answered"]), list[str]()
    script.run._reader = cast(Any, SimpleNamespace(model_name="m", stream=True))
    script.context.deadline.stop = lambda: stopped.append("time")
    script.downstream.stop_keep_alive = lambda: stopped.append("keep alive")

    async def route() -> None:
        if error is not None:
            raise error

    outcome = cast(Any, await script.run._answer(route))
    told = [one for one in script.wrote if one[0] == "told"]
    if error is None:
        assert (outcome, told) == ("answered", [])
    else:
        kind = "overloaded" if error is AWAY else "permission"
        assert told == [("told", kind)]
        assert kind in outcome
    assert stopped == ["time", "keep alive"]


@pytest.mark.parametrize("continued", ["earlier", None])
@pytest.mark.parametrize("shadowed", [True, False])
async def test_request_goes_through_each_step(
    monkeypatch: pytest.MonkeyPatch, continued: Any, shadowed: bool
) -> None:
    script, steps = Script(), list[Any]()
    script.context.snapshot.shadowed = shadowed
    script.context.deadline.stop = lambda: steps.append(("over",))
    codec = SimpleNamespace(continuation_of=lambda _: continued)
    script.context.invocation = SimpleNamespace(codec=codec)

    async def continuing(_: Any, of: Any) -> str:
        return f"after {of}"

    async def step(name: str, *values: Any) -> str:
        steps.append((name, *values))
        return "answered"

    monkeypatch.setattr(run_module, "continue_request", continuing)
    script.run._reader = cast(Any, SimpleNamespace(read_facts=lambda raw: f"facts of {raw!r}"))
    monkeypatch.setattr(Run, "_find_session", lambda _, *v: steps.append(("session", *v)))
    monkeypatch.setattr(Run, "_find_channels", lambda _, *v: step("route", *v))
    monkeypatch.setattr(Run, "_make_attempts", lambda _: step("attempts"))
    monkeypatch.setattr(Run, "_follow", lambda _, *v: steps.append(("shadow", v[1])))
    assert cast(Any, await script.run.answer(b"{}")) == "answered"
    found = "facts of b'{}'", f"after {continued}" if continued else None
    shadow = [("shadow", "answered")] if shadowed else []
    assert steps == [
        ("session", *found),
        ("route", *found, None),
        ("attempts",),
        *shadow,
        ("over",),
    ]


async def test_caller_errors_come_before_transient_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And what continues an answer is routed as a whole."""
    routed = list[Any]()

    class NoneReady:
        def __init__(self, context: Any, facts: Any, *_: Any) -> None:
            routed.append(facts)

        def first(self, model: Any) -> None:
            raise ChannelsOut("no_channel", "m", None, ())

    async def check_means(*_: Any) -> None:
        raise RequestFault("insufficient_balance", None, "m")

    monkeypatch.setattr(run_module, "RoutedModels", NoneReady)
    monkeypatch.setattr(run_module, "check_means", check_means)
    script = Script()
    script.context.snapshot.entries = True
    script.context.snapshot.notices_of = lambda name: (f"notices of {name}",)
    for alias in ("", "alias"):
        model = SimpleNamespace(name="m", alias=alias)
        reader = SimpleNamespace(find_model=lambda _, of=model: of, find_fallbacks=lambda *_: ())
        script.run._reader = cast(Any, reader)
        facts: Any = SimpleNamespace(model="m")
        for continued in (None, SimpleNamespace(facts=SimpleNamespace(model="m"))):
            with pytest.raises(RequestFault):
                await script.run._find_channels(facts, cast(Any, continued))
            assert routed[-1] is (continued.facts if continued else facts)
        assert script.downstream.notices == (f"notices of {alias or 'm'}",)


@pytest.mark.parametrize("clear", [True, False])
async def test_tokens_are_counted_for_a_body_with_clear_names(
    monkeypatch: pytest.MonkeyPatch, clear: bool
) -> None:
    """For the channels that may have the data, or here where none may."""
    counted, stopped = list[Any](), list[str]()

    def check(raw: bytes) -> None:
        if not clear:
            raise RequestFault("malformed_json", None, "a name comes twice")

    async def count(*of: Any) -> None:
        counted.append(of[-1])

    counter = SimpleNamespace(read=lambda *_: SimpleNamespace(model="m"))
    monkeypatch.setattr(run_module, "COUNTERS", {"scripted": counter})
    monkeypatch.setattr(run_module, "check_nested_names", check)
    monkeypatch.setattr(run_module, "count_tokens", count)
    monkeypatch.setattr(run_module, "plan", lambda *_, seed: ["planned"])
    monkeypatch.setattr(run_module, "plan_own_keys", lambda _, planned, model: planned)
    monkeypatch.setattr(Run, "_find_model", lambda *_: SimpleNamespace(name="m"))

    def refuse(*_: Any) -> None:
        raise ChannelsOut("no_channel", "m", None, ())

    for screen, candidates in ((lambda *_: (["left"], ()), ["left"]), (refuse, [])):
        monkeypatch.setattr(run_module, "screen", screen)
        script = Script()
        script.context.invocation.codec = SimpleNamespace(name="scripted")
        script.context.snapshot.routes_of = lambda _: []
        script.context.deadline.stop = lambda: stopped.append("time")
        counted.clear()
        await script.run.count_tokens(b"{}")
        assert counted == ([candidates] if clear else [])
        assert script.wrote == ([] if clear else [("told", "malformed_json")])
    assert stopped == ["time", "time"]


# What a body names ----


async def test_session_limit_needs_a_session() -> None:
    run, _, _ = run_here()
    context = cast(Any, run._context)
    facts: Any = SimpleNamespace(body=read_body(b"{}"))
    context.snapshot = SimpleNamespace(prefix_sessions=False)
    context.principal = SimpleNamespace(key_id=UUID(int=1))
    for known, cap, refused in (("s", 5, False), (None, None, False), (None, 5, True)):
        context.session, context.options = known, SimpleNamespace(session_cap_nano=cap)
        if refused:
            with pytest.raises(RequestFault):
                run._find_session(facts, None)
        else:
            run._find_session(facts, None)
        assert context.session == known


async def test_continued_answer_keeps_its_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, _, _ = run_here()
    context = cast(Any, run._context)
    context.snapshot = SimpleNamespace(prefix_sessions=False)
    context.principal, context.session = SimpleNamespace(key_id=UUID(int=1)), None
    context.options = SimpleNamespace(session_cap_nano=5)
    monkeypatch.setattr(run_module, "read_session_members", lambda key, body, earlier: earlier)
    continued = SimpleNamespace(earlier_session="earlier", session=None)
    run._find_session(cast(Any, SimpleNamespace(body=None)), cast(Any, continued))
    assert (context.session, continued.session) == ("earlier", "earlier")


# The shadow ----


@pytest.mark.parametrize(
    ("status", "gone", "followed"),
    [(200, False, True), (201, False, False), (499, False, False), (500, False, True),
     (501, False, True), (200, True, False), (500, True, False)],
)  # fmt: skip
def test_shadow_follows_an_answer_or_a_failure(status: int, gone: bool, followed: bool) -> None:
    script, outcome = Script(gone=gone), cast(Any, SimpleNamespace(status=status))
    script.run._follow(cast(Any, "facts"), outcome)
    assert [one[:3] for one in script.wrote] == [(script.context, "facts", "m")][:followed]


async def test_shadow_is_compared_with_its_models_answer() -> None:
    script, outcome = Script(ends=["answered"]), cast(Any, SimpleNamespace(status=200))
    answer, model = script.run._main_answer, script.next.answering.routed.model
    assert answer(outcome) is None, "nothing was asked"
    await script.go()
    channel = script.channels["a"]
    assert answer(outcome) == MainAnswer(outcome, model, cast(Any, channel), 3, "text")
    # Neither of another model, nor with an organisation's own key.
    script.next.answering.why = "model_fallback"
    assert answer(outcome) is None
    script.next.answering.why, channel.own = None, "own"
    assert answer(outcome) is None
    script = Script()
    script.next.failed = [Failed(B, 0, FAILURE), Failed(A, 0, FAILURE)]
    channel = script.channels["a"]
    assert script.run._main_answer(outcome) == MainAnswer(
        outcome, script.next.answering.routed.model, cast(Any, channel), None, ""
    )
    channel.own = "own"
    assert script.run._main_answer(outcome) is None


def test_shadow_gets_no_answer_of_other_models() -> None:
    continued = cast(Any, SimpleNamespace(facts_alone=lambda: "alone"))
    assert run_module._shadow_facts(cast(Any, "facts"), None) == cast(Any, "facts")
    assert run_module._shadow_facts(cast(Any, "facts"), continued) == cast(Any, "alone")


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("dialect", ["responses", "interactions"])
def test_no_shadow_stores_a_continued_conversation(dialect: Dialect, guarded: bool) -> None:
    """Whether or not a guard changed what is sent."""
    codec: Any = CODECS[dialect]
    previous = {"responses": "previous_response_id", "interactions": "previous_interaction_id"}
    ask = {"model": "m", "input": "more", "store": True}
    own = codec.read(json.dumps(ask | {previous[dialect]: "r"}).encode(), Target())
    earlier = KeptResponse(msgspec.Raw(b'{"id":"r"}'), [])
    continued = Continuation(codec, own, earlier, {}, keeps=True, opens=("", ""))
    if guarded:
        continued.send(codec.read(json.dumps(ask).encode(), Target()))
    alone = continued.facts_alone()
    assert alone is not None
    assert (alone.store, alone.previous_response_id) == (False, None)
    assert alone.body.value("store") == b"false"


@pytest.mark.parametrize(
    ("body", "alone"),
    [
        ({}, True), ({"prompt": {"id": "p"}}, False), ({"conversation": "c"}, False),
        ({"cached_content": "x"}, False),
    ],
)  # fmt: skip
def test_shadow_gets_only_what_more_than_its_provider_knows(body: Any, alone: bool) -> None:
    codec: Any = CODECS["responses"]
    raw = json.dumps({"model": "m", "input": "more"} | body).encode()
    own = codec.read(raw, Target())
    earlier = KeptResponse(msgspec.Raw(b'{"id":"r"}'), [])
    continued = Continuation(codec, own, earlier, {}, keeps=True, opens=("", ""))
    assert (continued.facts_alone() is not None) is alone
    # A request to compact a conversation is for its provider alone.
    compact = Continuation(
        codec, dataclasses.replace(own, compact=True), earlier, {}, keeps=True, opens=("", "")
    )
    assert compact.facts_alone() is None
