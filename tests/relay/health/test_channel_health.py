"""What one process makes of each attempt: reservations, ends, alerts, and the state of a channel as
its page shows it, on a clock that the test moves (P21, P26, F5, F7, F9)."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from gateway.breaker.breaker import PANIC_PERCENT, BreakerRule
from gateway.breaker.channel_state import DOUBTED_MAX, OFF_S, Block
from gateway.breaker.retry_budget import RetryBudget
from gateway.breaker.state_names import ChannelStatus
from gateway.channel_order.channel_order import Candidate
from lib.id_types import UpstreamModelName
from lib.ids import id_text
from relay.catalogue.snapshot import EMPTY, Channel, OwnKeyTerms
from relay.health import channel_health
from relay.health.channel_health import Health, HealthProbe
from relay.health.operator_alerts import LONG_S, Alert
from relay.upstream.failures import UpstreamFailed
from tests.relay.health.test_health import CANDIDATE, CHANNEL, WHO

OPEN_S = 10.0
ONE_KEY = replace(CHANNEL, breaker=BreakerRule(failures=2, open_for=OPEN_S))
TWO_KEYS = replace(ONE_KEY, headers=({}, {}))
OTHER = Candidate("d", UpstreamModelName("m"), 2)


class Process:
    """One process's knowledge of a channel."""

    def __init__(self, channel: Channel = ONE_KEY) -> None:
        self.time, self.channel, self.health = 1000.0, channel, Health()
        self.health.now = self.health.alerts.now = lambda: self.time

    def begin(self, model: str = "m", **over: Any) -> HealthProbe:
        candidate = replace(CANDIDATE, upstream_model=UpstreamModelName(model))
        return self.health.begin(candidate, self.channel, WHO, **over)

    def fail(self, fault: str, times: int = 1, **over: Any) -> None:
        for _ in range(times):
            self.begin(**over).failed(failure(fault))

    def opened(self) -> "Process":
        """Its breaker is open, for the last moment."""
        self.fail("F10", 2)
        assert self.condition == "open"
        self.time += OPEN_S
        return self

    def refused(self, **over: Any) -> None:
        """A key is refused, and another model confirms it."""
        self.fail("F5", 2, **over)
        self.fail("F5", model="n", **over)

    @property
    def state(self) -> Any:
        return self.health.state_of(self.channel)

    @property
    def status(self) -> ChannelStatus:
        return self.health.channel_status("c")

    @property
    def condition(self) -> str:
        return self.status.condition

    @property
    def is_out(self) -> bool:
        """Whether no request may be sent, not even one without an alternative."""
        return self.health.out([CANDIDATE], WHO) == {"c"}

    @property
    def is_out_beside_another(self) -> bool:
        """Whether no request may be sent that another channel can serve."""
        return self.health.out([CANDIDATE, OTHER], WHO) == {"c"}

    def told(self) -> list[tuple[str, str, bool]]:
        taken = self.health.alerts.take()
        assert {(one.channel_id, one.channel) for one in taken} <= {
            (id_text(self.channel.uuid), self.channel.name)
        }
        return [(one.cause, one.what, one.last) for one in taken]


def failure(fault: str) -> UpstreamFailed:
    return UpstreamFailed(fault, "upstream_error", "x")


@pytest.fixture(autouse=True)
def nobody_is_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(monkeypatch, PANIC_PERCENT)


def drawn(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    monkeypatch.setattr(random, "randrange", {100: n}.__getitem__)


# The end of an attempt ----------------------------------------------------------------------------

ENDS: dict[str, Callable[[HealthProbe], None]] = {
    "good": HealthProbe.good,
    "blamed": lambda probe: probe.failed(failure("F10")),
    "not blamed": lambda probe: probe.failed(failure("F6")),
    "alerted": lambda probe: probe.failed(failure("F20")),
    "closed": HealthProbe.close,
}


@pytest.mark.parametrize("first", ENDS)
@pytest.mark.parametrize("second", ENDS)
def test_an_attempt_ends_once(first: str, second: str) -> None:
    process = Process()
    ended = process.begin()
    assert process.state.in_flight == 1
    process.begin()
    assert process.state.in_flight == 2
    ENDS[first](ended)
    assert process.state.in_flight == 1
    ENDS[second](ended)
    ENDS[second](ended)
    assert process.state.in_flight == 1
    # One failure is not enough to open it.
    assert process.condition == "good"


def test_three_successes_close_a_breaker_and_one_is_reported_once() -> None:
    process = Process().opened()
    for left in (2, 1, 0):
        probe = process.begin()
        for _ in range(3):
            probe.good()
        assert process.condition == ("half_open" if left else "good")
        assert (process.state.kind is None) == (not left)


@pytest.mark.parametrize("fault", ["F6", "F20"])
def test_a_fault_of_the_request_costs_no_retry_and_no_state(fault: str) -> None:
    process, budget = Process(), RetryBudget()
    for _ in range(9):
        process.begin(again=budget).failed(failure(fault))
    assert process.state.kind is None
    assert budget.spent(["c"], process.time) == set()
    assert process.told() == ([("compressed", "", False)] if fault == "F20" else [])


def test_a_failed_retry_is_charged_to_its_budget() -> None:
    process, budget = Process(), RetryBudget()
    for _ in range(4):
        process.begin(again=budget).failed(failure("F10"))
    assert budget.spent(["c"], process.time) == {"c"}


def test_each_model_has_one_budget_of_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_health, "_BUDGETS_MAX", 2)
    health = Health()
    first = health.budget("a")
    assert health.budget("b") is not first
    assert health.budget("a") is first
    health.budget("c")
    assert health.budget("a") is not first


# Reservations -------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", [ONE_KEY, TWO_KEYS], ids=["one key", "two keys"])
def test_one_request_probes_a_channel_until_it_ends(channel: Channel) -> None:
    process = Process(channel).opened()
    for give_back in (HealthProbe.close, HealthProbe.first_content, HealthProbe.good):
        assert not process.is_out_beside_another
        probe = process.begin()
        assert process.is_out_beside_another
        give_back(probe)
    assert not process.is_out_beside_another


def test_key_fault_returns_its_channels_probe() -> None:
    process = Process().opened()
    process.fail("F5")
    assert not process.is_out


def test_key_with_its_own_breaker_is_probed_once_and_closes() -> None:
    process = Process(TWO_KEYS)
    process.fail("F10", 2, only=0)
    process.time += OPEN_S
    key = process.state.keys[0]
    for left in (2, 1, 0):
        probe = process.begin(only=0)
        assert probe.key == 0
        assert not key.breaker.allows(process.time)
        probe.good()
        assert key.breaker.closed == (not left)
    assert process.state.calm(process.time)


def test_a_refused_key_is_asked_by_one_request_at_a_time() -> None:
    process = Process()
    process.refused()
    assert process.is_out
    process.time += 1
    assert not process.is_out
    probe = process.begin()
    assert process.is_out
    probe.close()
    assert not process.is_out
    for end in (HealthProbe.accepted, HealthProbe.good):
        process.refused()
        process.time += 1
        end(process.begin())
        assert process.condition == "good"


def test_first_content_of_a_healthy_channel_is_no_extra_success() -> None:
    process = Process(replace(ONE_KEY, breaker=BreakerRule(failures=1, open_for=OPEN_S)))
    process.begin().first_content()
    process.begin().first_content()
    process.fail("F10")
    assert process.condition == "open", "one failure of one end is half"


# Which keys and channels --------------------------------------------------------------------------


def test_the_only_key_and_the_one_to_avoid() -> None:
    process = Process(TWO_KEYS)
    for key in (0, 0, 1, 1):
        assert process.begin(only=key).key == key
        assert process.begin(avoid=key).key == 1 - key
    assert {process.begin().key for _ in range(2)} == {0, 1}


def test_another_key_is_one_that_can_be_used() -> None:
    process = Process(TWO_KEYS)
    assert not process.health.has_other_key(CANDIDATE, WHO, 0)
    assert process.health.usable_key(CANDIDATE, WHO) == 0
    process.begin().close()
    assert process.health.has_other_key(CANDIDATE, WHO, 0)
    process.refused(only=0)
    assert process.health.has_other_key(CANDIDATE, WHO, 1) is False
    assert process.health.has_other_key(CANDIDATE, WHO, 0)
    assert [process.health.usable_key(CANDIDATE, WHO) for _ in range(3)] == [1, 1, 1]
    process.refused(only=1)
    assert not process.health.has_other_key(CANDIDATE, WHO, 0)


def test_one_request_retries_a_rejected_key() -> None:
    process = Process()
    assert not process.health.take_retry(CANDIDATE, 0)
    process.fail("F5")
    assert [process.health.take_retry(CANDIDATE, 0) for _ in range(2)] == [True, False]


def test_available_keys_while_some_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    process, both, other = Process(), [CANDIDATE, OTHER], [OTHER]
    health = process.health
    assert health.ready(both, WHO) is both
    process.refused()
    assert health.ready(other, WHO) is other
    assert health.ready(both, WHO) == [OTHER]
    assert health.out(both, WHO) == {"c"}
    assert [(skipped.channel_id, skipped.reason) for skipped in health.skipped(both, WHO)] == [
        ("c", "key_refused")
    ]
    # With none left one may be asked as a last resort, after a second.
    assert health.ready([CANDIDATE], WHO) == []
    drawn(monkeypatch, PANIC_PERCENT - 1)
    assert health.ready([CANDIDATE], WHO) == [], "a refused key is not asked by chance"
    process.time += 1
    assert health.out(both, WHO) == {"c"}
    assert health.out([CANDIDATE], WHO) == set()
    (last,) = health.ready([CANDIDATE], WHO)
    assert (last.channel_id, last.why) == ("c", "last_resort")
    assert health.ready(both, WHO) == [OTHER]


def test_few_requests_reach_channels_that_all_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process()
    process.fail("F10", 2)
    assert process.health.ready([CANDIDATE], WHO) == []
    drawn(monkeypatch, PANIC_PERCENT - 1)
    (last,) = process.health.ready([CANDIDATE], WHO)
    assert last.why == "last_resort"


def test_reasons_why_a_channel_cannot_be_used() -> None:
    process = Process()
    health = process.health
    assert health.why_not(CANDIDATE, WHO) is None
    process.refused()
    assert health.why_not(CANDIDATE, WHO) == Block("key_refused", 1.0)
    assert health.why_not(OTHER, WHO) is None
    assert health.blocks([OTHER, CANDIDATE], WHO) == [Block("key_refused", 1.0)]


def test_a_channel_at_its_own_limit_rests_for_that_long() -> None:
    process = Process()
    process.health.bar(process.channel, "spend_day", 60)
    assert process.health.why_not(CANDIDATE, WHO) == Block("spend_day", 60.0)
    assert process.status == ChannelStatus("limited", 61)
    # It answers what was begun before; the limit stays.
    process.fail("F5")
    process.begin().good()
    assert process.health.why_not(CANDIDATE, WHO) == Block("spend_day", 60.0)
    process.health.bar(process.channel, "spend_day", 0)
    assert process.health.why_not(CANDIDATE, WHO) is None
    assert process.status == ChannelStatus("good")


def test_findings_of_other_processes_are_adopted() -> None:
    process = Process()
    state = process.state
    state.breaker.trip(process.time, process.time)
    process.health.adopted(state, process.time)
    assert process.health.why_not(CANDIDATE, WHO) == Block("failing", 1.0)
    state.kind = "upstream_error"
    state.breaker.recover()
    process.health.adopted(state, process.time)
    assert state.kind is None
    assert process.health.why_not(CANDIDATE, WHO) is None


# The page and the operators -----------------------------------------------------------------------


def test_page_shows_the_state_and_its_duration() -> None:
    process = Process()
    assert process.status == ChannelStatus("good")
    process.opened()
    assert process.status == ChannelStatus("half_open", 0, "upstream_error")
    process.time -= 0.5
    assert process.status == ChannelStatus("open", 1, "upstream_error")
    process = Process(TWO_KEYS)
    process.refused(only=0)
    process.refused(only=1)
    assert process.status == ChannelStatus("keys_out", int(OFF_S) + 1, "upstream_error")
    process = Process()
    process.fail("F7", DOUBTED_MAX)
    assert process.status == ChannelStatus("models_out", int(OFF_S) + 1, "upstream_error")


def test_operators_learn_which_key_is_rejected_and_if_it_was_the_last() -> None:
    process = Process(TWO_KEYS)
    process.fail("F5", only=0)
    assert process.told() == []
    process.fail("F5", only=0)
    assert process.told() == [("key_refused", "1", False)]
    process.fail("F9", only=1)
    assert process.told() == [("no_credit", "2", True)]
    process = Process()
    process.fail("F7", DOUBTED_MAX)
    assert process.told() == [("model_unknown", "m", False)]
    process = Process()
    process.fail("F21")
    assert process.is_out
    assert process.told() == [("misconfigured", "", False)]
    process.health.alert_channel(process.channel, "unusable")
    assert process.told() == [("unusable", "", False)]


def test_owners_are_notified_only_of_their_own_key() -> None:
    own = OwnKeyTerms(UUID(int=3), None)  # type: ignore[arg-type]
    process = Process(replace(ONE_KEY, own=own))
    process.fail("F21")
    assert process.health.alerts.take() == []
    process.refused()
    assert process.health.alerts.take() == [
        Alert(str(own.key_id), process.channel.name, "own_key_refused")
    ]


def test_alert_of_a_long_outage_states_its_beginning() -> None:
    process = Process()
    for _ in range(2):
        process.fail("F10", 2)
        process.time += LONG_S - 1
        process.fail("F10")
        assert process.told() == []
        process.time += 1
        process.fail("F10")
        assert process.told() == [("out", "", False)]
        process.time += 3600
        for _ in range(3):
            process.begin().good()
        assert process.condition == "good"
        process.time += 3600


def test_changed_channel_starts_afresh() -> None:
    process = Process()
    process.fail("F10", 2)
    process.health.keep(replace(EMPTY, channels={"c": replace(process.channel)}))
    assert process.condition == "open"
    process.channel = replace(process.channel, retries=1)
    process.health.keep(replace(EMPTY, channels={"c": process.channel}))
    assert process.condition == "good"
    process.fail("F10", 2)
    assert process.condition == "open"
    assert process.told() == [], "it has been out since now"
