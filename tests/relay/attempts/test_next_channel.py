"""Which channel and which model follow a failed attempt, a full channel or one that cannot serve
the request, and which were passed over (the fault table; P7, P21)."""

from collections.abc import Sequence
from math import inf
from types import SimpleNamespace
from typing import Any, Final, cast
from uuid import UUID

import pytest

from dialects.errors.errors import RequestFault
from gateway.breaker.channel_state import Block
from gateway.channel_order.channel_order import Candidate, Skipped
from lib.id_types import UpstreamModelName
from relay.attempts.next_attempts import Failed, NextAttempt, NextAttempts
from relay.downstream.limit_answers import ChannelFull
from relay.health.channels_out import ChannelsOut
from relay.upstream.failures import upstream_failure

ORGANISATION: Final = UUID(int=1)
A, B, C, D = (Candidate(name, UpstreamModelName("up"), 2, why="priority") for name in "abcd")
ALL: Final = frozenset({"error", "budget", "context_length", "content_policy"})


class Health:
    """What the process knows of the channels."""

    def __init__(self) -> None:
        self.outs, self.other_keys, self.retries = set[str](), set[str](), list[str]()
        self.reasons = dict[str, Block]()
        self.barred = list[tuple[str, str, float]]()

    def now(self) -> float:
        return 50.0

    def ready(self, candidates: list[Candidate], who: UUID) -> list[Candidate]:
        return [one for one in candidates if one.channel_id not in self.outs]

    def out(self, candidates: Sequence[Candidate], who: UUID) -> set[str]:
        return {one.channel_id for one in candidates} & self.outs

    def has_other_key(self, candidate: Candidate, who: UUID, key: int) -> bool:
        return candidate.channel_id in self.other_keys

    def take_retry(self, candidate: Candidate, key: int) -> bool:
        return candidate.channel_id in self.retries

    def skipped(self, candidates: Sequence[Candidate], who: UUID) -> list[Skipped]:
        return [
            Skipped(one.channel_id, "failing") for one in candidates if one.channel_id in self.outs
        ]

    def why_not(self, candidate: Candidate, who: UUID) -> Block | None:
        return self.reasons.get(candidate.channel_id)

    def bar(self, channel: Any, reason: str, wait_s: float) -> None:
        self.barred.append((channel.name, reason, wait_s))


class Budget:
    """A model's retry budget."""

    def __init__(self) -> None:
        self.empty, self.requests = set[str](), list[float]()

    def request(self, now: float) -> None:
        self.requests.append(now)

    def spent(self, channel_ids: set[str], now: float) -> set[str]:
        assert now == 50.0
        return self.empty & channel_ids


class Models:
    """The fallback models that are left."""

    def __init__(self, *models: Any, causes: frozenset[str] = ALL) -> None:
        self.left, self.causes, self.asked = list(models), causes, list[tuple[bool, Any]]()

    def __bool__(self) -> bool:
        return bool(self.left)

    @property
    def on_error(self) -> bool:
        return bool(self.left) and "error" in self.causes

    def next(self, *, failed: bool, why: Any) -> Any:
        self.asked.append((failed, why))
        return self.left.pop(0) if self.left else None


class Model:
    """One model with its channels; `unfit` are those that cannot serve the request."""

    def __init__(
        self, *candidates: Candidate, name: str = "m", unfit: str = "", why: Any = None,
        resting: Sequence[Candidate] = (), skipped: Sequence[Skipped] = (), kind: str = "",
        planned: Sequence[Candidate] = (),
    ) -> None:  # fmt: skip
        self.why, self.unfit, self.prepared = why, set(unfit), list[str]()
        self.kind = kind or "unsupported_capability"
        self.translator = self
        self.budget = Budget()
        self.routed = SimpleNamespace(
            candidates=candidates, resting=resting, skipped=skipped, retry_budget=self.budget,
            planned=planned or (*candidates, *resting), facts=SimpleNamespace(model=name),
            model=SimpleNamespace(name=name),
        )  # fmt: skip

    async def prepare(self, candidate: Candidate) -> Any:
        self.prepared.append(candidate.channel_id)
        if candidate.channel_id in self.unfit:
            raise RequestFault(cast(Any, self.kind), None, "")
        return f"{self.routed.facts.model} for {candidate.channel_id}"


class Request:
    """A request of a model, and its attempts."""

    def __init__(self, model: Model, models: Models | None = None) -> None:
        self.model, self.models, self.health = model, models or Models(), Health()
        timeouts = SimpleNamespace(total=100.0)
        channels = {
            name: SimpleNamespace(name=name, timeouts_of=lambda _: timeouts, key_endings=("1234",))
            for name in "abcd"
        }
        self.context = SimpleNamespace(
            parts=SimpleNamespace(health=self.health), began=0.0, time=lambda: 1.0,
            principal=SimpleNamespace(organisation_id=ORGANISATION),
            downstream=SimpleNamespace(client_gone=False),
            snapshot=SimpleNamespace(channels=channels),
        )  # fmt: skip
        self.attempts = NextAttempts(
            cast(Any, self.context), cast(Any, model), cast(Any, self.models)
        )

    def failed(self, candidate: Candidate, fault: str = "F10", key: int = 4) -> None:
        self.attempts.failed.append(Failed(candidate, key, upstream_failure(fault)))

    async def after(self, candidate: Candidate, fault: str = "F10") -> tuple[str, str] | None:
        """The channel that follows a failure of another one, and why."""
        self.failed(candidate, fault)
        following = await self.attempts.following()
        return None if following is None else (following.candidate.channel_id, following.why)


def told(attempt: NextAttempt | None) -> list[tuple[str, str]]:
    """The channels that were passed over, and why."""
    assert attempt is not None
    return [(one.channel_id, one.reason) for one in attempt.skipped]


# The first one ------------------------------------------------------------------------------------


async def test_best_fitting_channel_is_first() -> None:
    request = Request(Model(A, B, C, unfit="a"))
    assert request.model.budget.requests == [50.0]
    first = await request.attempts.first()
    assert (first.candidate, cast(Any, first.prepared), first.why) == (B, "m for b", "priority")
    assert (first.fresh, first.avoid, told(first)) == (False, -1, [("a", "unsupported")])
    # The one that does not fit is not asked again.
    assert await request.after(B) == ("c", "failover")
    assert request.model.prepared == ["a", "b", "c"]
    request = Request(Model(A, B))
    assert told(await request.attempts.first()) == []
    request = Request(Model(A, why="model_fallback"))
    assert (await request.attempts.first()).why == "model_fallback"


async def test_resting_channel_is_used_when_nothing_else_fits() -> None:
    request = Request(Model(A, resting=(B, C), unfit="a"))
    request.health.outs = {"b"}
    assert (await request.attempts.first()).candidate == C
    request = Request(Model(A, B, resting=(C,), unfit="a"))
    assert (await request.attempts.first()).candidate == B
    assert request.attempts._resting == (C,)


async def test_unservable_request_gets_the_reason() -> None:
    request = Request(Model(A, unfit="a"))
    with pytest.raises(RequestFault):
        await request.attempts.first()
    # One at its own limit would serve it.
    request = Request(Model(A, resting=(B, C, D), unfit="abd"))
    request.health.outs = {"b", "c", "d"}
    request.health.reasons = {"b": Block("requests", 1), "c": Block("tokens", 2),
                              "d": Block("failing", 3)}  # fmt: skip
    with pytest.raises(ChannelsOut):
        await request.attempts.first()
    assert await request.attempts._blocking_limits() == [Block("tokens", 2)]
    request.model.unfit.clear()
    assert await request.attempts._blocking_limits() == [Block("requests", 1), Block("tokens", 2)]


@pytest.mark.parametrize(
    ("kind", "causes", "taken"),
    [
        ("unsupported_capability", ALL, True),
        ("unsupported_capability", ALL - {"error"}, False),
        ("malformed_json", ALL, False),
    ],
)
async def test_fallback_model_serves_what_the_first_cannot(
    kind: str, causes: frozenset[str], taken: bool
) -> None:
    other = Model(B, name="other", why="model_fallback")
    models = Models(other, causes=causes)
    request = Request(Model(A, unfit="a", kind=kind), models)
    if taken:
        assert (await request.attempts.first()).prepared == cast(Any, "other for b")
        assert request.attempts.answering is cast(Any, other)
        assert (models.asked, other.budget.requests) == ([(False, None)], [50.0])
    else:
        with pytest.raises(RequestFault):
            await request.attempts.first()


# After a failure ----------------------------------------------------------------------------------


async def test_attempts_follow_until_three_have_failed() -> None:
    request = Request(Model(A, B, C, D))
    assert await request.attempts._another() is None, "nothing has failed"
    assert [await request.after(one) for one in (A, B, C)] == [
        ("b", "failover"), ("c", "failover"), None
    ]  # fmt: skip


async def test_the_only_channel_is_asked_again_with_another_key() -> None:
    request = Request(Model(A))
    request.failed(A, key=3)
    again = await request.attempts.following()
    assert again is not None
    assert (again.candidate, again.why, again.avoid, again.fresh) == (A, "retry", 3, False)
    request.failed(A)
    following = await request.attempts.following()
    assert (following is not None, await request.after(A)) == (True, None)
    request = Request(Model(A, B))
    request.failed(A, key=3)
    following = await request.attempts.following()
    assert following is not None
    assert following.avoid == -1


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("F6", None),
        ("F18", None),
        ("F10", ("b", "failover")),
        ("F32", ("a", "resend")),
        ("F33", None),
    ],
)
async def test_fault_table_decides_the_next_step(fault: str, expected: Any) -> None:
    assert await Request(Model(A, B)).after(A, fault) == expected


async def test_request_is_resent_once_over_a_new_connection() -> None:
    """F32; not where its channel may be sent nothing more."""
    request = Request(Model(A, B))
    request.failed(A, "F32")
    again = await request.attempts.following()
    assert again is not None
    assert (again.fresh, again.avoid) == (True, -1)
    assert await request.after(A, "F32") == ("b", "failover")
    request = Request(Model(A, B))
    request.model.budget.empty = {"a"}
    assert await request.after(A, "F32") is None
    # The attempt that is kept for another model is not used for it.
    request = Request(Model(A), Models(Model(B, name="other")))
    request.failed(A)
    request.failed(A, "F32")
    following = await request.attempts.following()
    assert following is not None
    assert following.prepared == cast(Any, "other for b")


async def test_possibly_paid_request_is_not_resent() -> None:
    """F33; also behind the one that F32 permits."""
    assert await Request(Model(A, B)).after(A, "F33") is None
    request = Request(Model(A, B))
    assert await request.after(A, "F32") == ("a", "resend")
    assert await request.after(A, "F33") is None


async def test_unbilled_request_is_resent_once_only() -> None:
    """F33: a provider that takes no key."""
    request = Request(Model(A, B, C))
    for name in "ab":
        request.context.snapshot.channels[name].key_endings = ()
    assert await request.after(A, "F33") == ("b", "failover")
    assert await request.after(B, "F33") is None


@pytest.mark.parametrize("fault", ["F4", "F7", "F21"])
async def test_channel_that_would_fail_alike_is_not_asked_again(fault: str) -> None:
    assert await Request(Model(A)).after(A, fault) is None
    assert await Request(Model(A, B)).after(A, fault) == ("b", "failover")
    request = Request(Model(A))
    request.failed(A, fault)
    assert await request.after(A) is None, "also after another fault there"


@pytest.mark.parametrize("fault", ["F5", "F8", "F9"])
@pytest.mark.parametrize("other_key", [True, False])
@pytest.mark.parametrize("retry", [True, False])
async def test_faulty_key_is_not_used_again(fault: str, other_key: bool, retry: bool) -> None:
    request = Request(Model(A))
    request.health.other_keys = {"a"} if other_key else set()
    request.health.retries = ["a"] if retry else []
    assert await request.after(A, fault) == (("a", "retry") if other_key or retry else None)


async def test_no_channel_allowed_means_no_next_attempt() -> None:
    request = Request(Model(A, B))
    request.health.outs = {"b"}
    request.model.budget.empty = {"a"}
    assert await request.after(A) is None
    # Who left, and who has waited too long, is sent nothing more.
    for gone, now in ((True, 1.0), (False, 75.1)):
        request = Request(Model(A, B))
        request.context.downstream.client_gone, request.context.time = gone, lambda now=now: now
        assert await request.after(A) is None


async def test_unsuitable_channels_are_left_out_of_the_next_attempts() -> None:
    request = Request(Model(A, B, C, unfit="b"))
    assert await request.after(A) == ("c", "failover")
    assert request.model.prepared == ["b", "c"]


async def test_skip_reasons_follow_the_order_of_routes() -> None:
    known = (Skipped("d", "region"), Skipped("b", "retention"))
    request = Request(Model(A, C, planned=(D, A, B, C), skipped=known))
    assert told(await request.attempts.first()) == [("d", "region")]
    request.failed(A)
    assert told(await request.attempts.following()) == [("d", "region"), ("b", "retention")]
    # Each for the first reason that is known; what was tried is not passed over.
    request = Request(Model(A, B, C, D, skipped=(Skipped("b", "region"),)))
    request.health.outs, request.model.budget.empty = {"a", "b"}, {"c"}
    request.failed(A)
    assert told(await request.attempts.following()) == [("b", "region"), ("c", "retry_budget")]
    request = Request(Model(A, B))
    request.failed(A)
    assert told(await request.attempts.following()) == []


# Another model ------------------------------------------------------------------------------------


async def test_last_attempt_is_the_fallback_models() -> None:
    other = Model(D, name="other", why="model_fallback")
    models = Models(other)
    request = Request(Model(A, B, C), models)
    assert await request.after(A) == ("b", "failover")
    assert await request.after(B) == ("d", "model_fallback")
    assert (models.asked, cast(Any, request.attempts.answering)) == ([(True, None)], other)
    # The failures of the first model are not its own, and three were made.
    assert await request.attempts._another() is None
    assert await request.after(D) is None


async def test_reserved_attempt_is_used_without_a_fallback() -> None:
    request = Request(Model(A, B, C), Models(None))
    assert await request.after(A) == ("b", "failover")
    assert await request.after(B) == ("c", "failover")
    # Those that can be used no more are passed over, one after the other.
    models = Models(Model(D, name="unfit", unfit="d"), Model(D, name="last"))
    request = Request(Model(A), models)
    request.failed(A)
    following = await request.attempts.following()
    assert following is not None
    assert following.prepared == cast(Any, "last for d")


@pytest.mark.parametrize(
    ("fault", "causes", "falls_back"),
    [("F10", ALL, True), ("F6", ALL, False), ("F10", ALL - {"error"}, False)],
)
async def test_fallback_model_follows_only_its_own_causes(
    fault: str, causes: frozenset[str], falls_back: bool
) -> None:
    request = Request(Model(A), Models(Model(B, name="other"), causes=causes))
    request.health.outs = {"a"}
    result = await request.after(A, fault)
    assert result == (("b", "priority") if falls_back else None)


async def test_no_fallback_after_three_failures_or_a_lost_client() -> None:
    for failures, gone, expected in ((2, False, True), (3, False, False), (2, True, False)):
        request = Request(Model(A, B, C), Models(Model(D)))
        request.context.downstream.client_gone = gone
        for one in (A, B, C)[:failures]:
            request.failed(one)
        assert request.attempts._change_to_fallback() is expected


async def test_a_budget_lets_a_cheaper_model_answer() -> None:
    cheap = Model(B, name="cheap", why="budget_rule")
    models = Models(Model(C, unfit="c"), cheap)
    request = Request(Model(A), models)
    instead = await request.attempts.within_budget()
    assert instead is not None
    assert (cast(Any, instead.prepared), instead.why) == ("cheap for b", "budget_rule")
    assert models.asked == [(False, "budget_rule")] * 2
    assert await request.attempts.within_budget() is None
    for causes, failed in ((ALL - {"budget"}, False), (ALL, True)):
        request = Request(Model(A), Models(cheap, causes=causes))
        if failed:
            request.failed(A)
        assert await request.attempts.within_budget() is None


# A full channel -----------------------------------------------------------------------------------


def full(reason: str, wait_ms: int | None) -> ChannelFull:
    return cast(ChannelFull, SimpleNamespace(reason=reason, wait_ms=wait_ms))


async def test_another_channel_answers_instead_of_a_full_one() -> None:
    request = Request(Model(A, B, C))
    instead = await request.attempts.instead_of(A, full("requests", 1500))
    assert instead is not None
    assert (instead.candidate, instead.why) == (B, "priority")
    assert [(one.channel_id, one.reason, one.wait_s) for one in instead.skipped] == [
        ("a", "requests", 1.5)
    ]
    assert request.health.barred == [("a", "requests", 1.5)]
    # Its limit of tokens may leave room for a smaller request.
    instead = await request.attempts.instead_of(B, full("tokens", None))
    assert instead is not None
    assert [(one.channel_id, one.wait_s) for one in instead.skipped] == [("a", 1.5), ("b", inf)]
    assert len(request.health.barred) == 1
    # It is not asked after a failure either.
    assert await request.after(C) == ("c", "retry")


async def test_limits_are_reported_when_every_channel_is_full() -> None:
    request = Request(Model(A))
    with pytest.raises(ChannelsOut):
        await request.attempts.instead_of(A, full("parallel", 1000))
    other = Model(A, B, name="other")
    request = Request(Model(A), Models(Model(A, name="full too"), other))
    instead = await request.attempts.instead_of(A, full("parallel", 1000))
    assert instead is not None
    assert instead.prepared == cast(Any, "other for b")
    request = Request(Model(A, B, unfit="b"))
    with pytest.raises(ChannelsOut):
        await request.attempts.instead_of(A, full("parallel", 1000))


async def test_earlier_failure_is_reported_when_the_rest_is_full() -> None:
    request = Request(Model(A, B, C))
    request.failed(A)
    instead = await request.attempts.instead_of(B, full("parallel", 1000))
    assert instead is not None
    assert (instead.candidate, instead.why) == (C, "failover")
    # The failure was another model's.
    for last in (Model(B, name="other"), Model(B, C, name="other", unfit="c")):
        request = Request(Model(A), Models(last))
        assert await request.after(A) == ("b", "priority")
        assert await request.attempts.instead_of(B, full("parallel", 1000)) is None
