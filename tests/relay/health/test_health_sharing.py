"""What processes tell each other of the channels: the later word holds, and whoever begins knows
what was known before (P21, P26)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from gateway.breaker.breaker import BreakerRule
from gateway.breaker.channel_state import DOUBTED_MAX
from gateway.breaker.state_names import ModelStatus
from lib.id_types import UpstreamModelName
from relay.catalogue.snapshot import EMPTY
from relay.health.channel_health import Health
from relay.health.health_sharing import ChannelReport, HealthSharing, read
from relay.upstream.failures import UpstreamFailed
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.health.test_health import CANDIDATE, CHANNEL, WHO
from tests.relay.health.test_many_processes import processes
from tests.support.hub import Hub

TWO_KEYS = replace(CHANNEL, headers=({}, {}))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0


class Process:
    """One process's knowledge; its clock differs from the others'."""

    def __init__(self, clock: Clock, ahead_s: float, channel: Any = CHANNEL) -> None:
        self.health = Health()
        self.health.now = lambda: clock.now + ahead_s
        self.sharing = HealthSharing(self.health)
        self.channel = channel
        self.snapshot = replace(EMPTY, channels={"c": channel})

    def fail(self, fault: str = "F1", times: int = 5, kind: Any = "upstream_unreachable") -> None:
        for _ in range(times):
            probe = self.health.begin(CANDIDATE, self.channel, WHO)
            probe.failed(UpstreamFailed(fault, kind, "x"))

    def answer(self, times: int = 1) -> None:
        for _ in range(times):
            probe = self.health.begin(CANDIDATE, self.channel, WHO)
            probe.accepted()
            probe.good()

    @property
    def condition(self) -> str:
        return self.health.channel_status("c").condition

    def asks(self) -> bool:
        """Whether a request goes out that has nowhere else to go."""
        return bool(self.health.ready([CANDIDATE], WHO))

    def hear(self, other: "Process", age_s: float = 0.0) -> None:
        text = msgspec.json.encode(other.sharing.report()).decode()
        ((age, reports),) = read([(str(age_s), text)])
        self.sharing.adopt(reports, age, self.snapshot)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pair(clock: Clock) -> tuple[Process, Process]:
    return Process(clock, 0), Process(clock, 5000)


def test_finding_of_one_process_is_known_to_all(pair: tuple[Process, Process]) -> None:
    one, other = pair
    one.fail()
    other.hear(one)
    assert (one.condition, other.condition) == ("open", "open")
    assert other.health.out([CANDIDATE], WHO) == set(), "who has nothing else may find out at once"
    second = replace(CANDIDATE, channel_id="d")
    assert other.health.ready([CANDIDATE, second], WHO) == [second]


def test_recovery_in_one_process_is_known_to_all(
    pair: tuple[Process, Process], clock: Clock
) -> None:
    one, other = pair
    one.fail()
    other.hear(one)
    clock.now += 11
    other.answer(3)
    assert other.condition == "good"
    one.hear(other)
    assert one.condition == "good"
    # Nor does the old word come back.
    other.hear(one)
    one.hear(other)
    assert (one.condition, other.condition) == ("good", "good")


def test_later_report_wins(pair: tuple[Process, Process], clock: Clock) -> None:
    one, other = pair
    one.fail()
    one.sharing.report()
    clock.now += 11
    one.answer(3)
    one.sharing.report()
    clock.now += 1
    other.fail()
    other.hear(one)
    assert other.condition == "open"
    one.hear(other)
    assert one.condition == "open"


def test_simultaneous_failures_do_not_prolong_a_rest(
    pair: tuple[Process, Process], clock: Clock
) -> None:
    one, other = pair
    one.fail()
    clock.now += 0.4
    other.fail()
    for _ in range(8):
        clock.now += 1
        one.hear(other)
        other.hear(one)
    clock.now += 3
    assert {one.condition, other.condition} == {"half_open"}


def test_key_rejected_in_one_process_is_rejected_in_all(clock: Clock) -> None:
    one, other = Process(clock, 0, TWO_KEYS), Process(clock, -700, TWO_KEYS)
    # The keys take turns: one of them is refused for two models.
    one.fail("F5", 2, "upstream_auth")
    n_model = replace(CANDIDATE, upstream_model=UpstreamModelName("n"))
    probe = one.health.begin(n_model, TWO_KEYS, WHO)
    probe.failed(UpstreamFailed("F5", "upstream_auth", "x"))
    other.hear(one, age_s=30)
    messages = [key.status(other.health.now()) for key in other.health.state_of(TWO_KEYS).keys]
    (refused,) = [status for status in messages if status.condition == "paused"]
    assert refused.reason == "key_refused"
    assert refused.for_s == 30
    assert 265 <= refused.seconds <= 271
    n = messages.index(refused)
    assert {other.health.usable_key(CANDIDATE, WHO) for _ in range(6)} == {1 - n}
    # A good answer by it ends it everywhere.
    clock.now += 2
    other.health.state_of(TWO_KEYS).keys[n].good("m", other.health.now())
    one.hear(other)
    assert one.condition == "good"


def test_new_process_adopts_what_a_dead_one_knew(clock: Clock) -> None:
    one = Process(clock, 0)
    one.fail()
    text = msgspec.json.encode(one.sharing.report()).decode()
    fresh = Process(clock, 77)
    ((age, reports),) = read([("4", text)])
    fresh.sharing.adopt(reports, age, fresh.snapshot)
    assert fresh.condition == "open"
    late = Process(clock, 77)
    ((age, reports),) = read([("20", text)])
    late.sharing.adopt(reports, age, late.snapshot)
    assert late.condition == "half_open"
    too_late = Process(clock, 77)
    ((age, reports),) = read([("1000", text)])
    too_late.sharing.adopt(reports, age, too_late.snapshot)
    assert too_late.condition == "good"


def test_report_about_another_channel_is_ignored(
    pair: tuple[Process, Process], clock: Clock
) -> None:
    one, _ = pair
    one.fail()
    changed = Process(clock, 0, TWO_KEYS)
    changed.hear(one)
    gone = Process(clock, 0)
    gone.snapshot = EMPTY
    gone.hear(one)
    never = Process(clock, 0, replace(CHANNEL, breaker=BreakerRule(enabled=False)))
    never.hear(one)
    assert [process.condition for process in (changed, gone, never)] == ["good"] * 3


def test_healthy_channels_are_not_reported(pair: tuple[Process, Process], clock: Clock) -> None:
    one, _ = pair
    one.answer(3)
    assert one.sharing.report() == {}
    one.fail()
    assert set(one.sharing.report()) == {"c"}
    clock.now += 11
    one.answer(3)
    assert not one.sharing.report()["c"].out
    clock.now += 901
    assert one.sharing.report() == {}


def test_resting_models_are_reported_only_to_pages(
    pair: tuple[Process, Process], clock: Clock
) -> None:
    """By their upstream names, with how many of the keys rest."""
    one, other = pair[0], Process(clock, 0, TWO_KEYS)
    one.fail("F8", 1, "upstream_rate_limited")
    (report,) = one.sharing.report().values()
    assert report.models == {CANDIDATE.upstream_model: ModelStatus("limited", 2, 1)}
    pair[1].hear(one)
    assert pair[1].condition == "good"
    for _ in range(2 * DOUBTED_MAX):
        other.fail("F7", 1, "upstream_error")
    (report,) = other.sharing.report().values()
    assert report.models == {CANDIDATE.upstream_model: ModelStatus("model_unknown", 301, 2)}
    clock.now += 301
    other.answer(2)
    assert [one_message.models for one_message in other.sharing.report().values()] == []


def test_report_of_another_version_is_ignored() -> None:
    assert read([("1", '{"c": {"state": "open"}}'), ("1", "{}")]) == [(1.0, {})]
    fields = {field.name for field in msgspec.structs.fields(ChannelReport)}
    assert fields == {"status", "out", "rest_s", "age_s", "keys", "models"}


# ---- of real processes


@contextmanager
def two(hub: Hub, fake: FakeUpstream, **channel: Any) -> Iterator[tuple[Hub, Hub, Any, str]]:
    with processes(hub, 2) as (one, other):
        tenant = one.tenant()
        model = one.model(fake, retries=0, **channel)
        other.know(model)
        yield one, other, tenant, model


def conditions(hub: Hub) -> list[str]:
    """What the processes tell of their channels now, of each that tells anything."""
    rows = hub.rows("SELECT channels FROM gateway_channelreport WHERE channels <> '{}'")
    return sorted(report["status"][0] for row in rows for report in row["channels"].values())


def test_every_process_knows_a_dead_provider_and_its_return(own_hub: Hub) -> None:
    with FakeUpstream(name="dying", fsync=False) as fake, two(own_hub, fake) as four:
        one, other, tenant, model = four
        assert one.post(tenant, ask(model)).status == 200
        fake.stop()

        def known() -> bool:
            one.post(tenant, ask(model))
            return conditions(one) == ["open", "open"]

        one.wait(known, "the other process does not hear of it")
        fake.start()

        def back() -> bool:
            one.post(tenant, ask(model))
            return set(conditions(one)) <= {"good"}

        one.wait(back, "its return is not known")
        assert other.post(tenant, ask(model)).status == 200


@pytest.mark.slow
def test_memory_survives_a_restart(own_hub: Hub, fake: FakeUpstream) -> None:
    own_hub.start()
    tenant = own_hub.tenant()
    model = own_hub.model(fake, retries=0, breaker={"failures": 3, "open_for": 600})
    for _ in range(3):
        own_hub.post(tenant, ask(model, "#fault=F10:500"))
    own_hub.wait(lambda: conditions(own_hub) == ["open"], "it is not told")
    own_hub.kill()
    own_hub.start()
    own_hub.wait(lambda: conditions(own_hub) == ["open", "open"], "it is forgotten")


def test_rate_limit_findings_are_reported_but_not_adopted(
    pair: tuple[Process, Process], clock: Clock
) -> None:
    """The database counts for all of them: what one was refused may fit what another one asks."""
    one, other = pair
    one.health.bar(CHANNEL, "spend_day", 30.0)
    assert (one.condition, one.asks()) == ("limited", False)
    assert one.sharing.report()["c"].status.seconds == 31
    other.hear(one)
    assert (other.condition, other.asks()) == ("good", True)
    clock.now += 30.0
    assert (one.condition, one.asks()) == ("good", True)
    assert one.sharing.report() == {}
    one.health.bar(CHANNEL, "requests", 5.0)
    one.health.bar(CHANNEL, "requests", 0.0)
    assert one.asks()
