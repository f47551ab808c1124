"""One bad answer is not an outage (P26, F5, F7, F8): for how long a fault of a channel keeps which
requests from being asked. Run with `-s` to see the tables.

    alternative     another channel can serve: nobody is refused, and the channel rests
    none            nothing else can: refused without asking for so many seconds
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import NamedTuple
from uuid import UUID

import pytest

from gateway.breaker.breaker import BreakerRule
from gateway.breaker.faults import FAULTS
from gateway.channel_order.channel_order import Candidate
from lib.id_types import UpstreamModelName
from relay.health.channel_health import Health, HealthProbe
from relay.upstream.failures import UpstreamFailed
from tests.relay.health.test_health import CANDIDATE, CHANNEL

ONE, OTHER = UUID(int=1), UUID(int=2)
SPARE = Candidate("spare", UpstreamModelName("m"), 2)
ANOTHER = Candidate("c", UpstreamModelName("another"), 2)
STEP_S = 0.25


class Bad(NamedTuple):
    """A way in which a provider fails: a row, its status, and the wait that it tells."""

    row: str
    status: int = 0
    retry_after_ms: int | None = None

    def failure(self) -> UpstreamFailed:
        return UpstreamFailed(
            self.row,
            FAULTS[self.row].kind or "upstream_error",
            "x",
            retry_after_ms=self.retry_after_ms,
            upstream_status=self.status,
        )


class Kept(NamedTuple):
    """For how many seconds: whom the channel that has no alternative refuses, by what they ask;
    and how long it rests for the same model where there is one."""

    same_model: float
    another_model: float
    another_tenant: float
    rests: float


VARIANTS = {
    "F5": {"F5 401": Bad("F5", 401), "F5 403": Bad("F5", 403)},
    "F8": {
        "F8 after 7 s": Bad("F8", 429, 7000),
        "F8 after a day": Bad("F8", 429, 86_400_000),
        "F8 untold": Bad("F8", 429),
    },
}
BAD = {name: bad for row in FAULTS for name, bad in VARIANTS.get(row, {row: Bad(row, 500)}).items()}
# By the column "health effect"; where it says less, by the name.
NONE = Kept(0, 0, 0, 0)
ONCE = {
    "misconfigured": Kept(1, 1, 1, 10),
    "F9": Kept(1, 1, 1, 300),
    "F8 untold": Kept(1, 0, 1, 1),
    "F8 after 7 s": Kept(7, 0, 7, 7),
    "F8 after a day": Kept(120, 0, 120, 120),
}
# What only one tenant met is held against no other: a client may have brought it about.
OFTEN = ONCE | {
    "count": Kept(1, 1, 1, 10),
    "F5 401": Kept(1, 0, 1, 300),
    "F5 403": Kept(1, 0, 0, 300),
    "F7": Kept(1, 0, 0, 300),
}


@pytest.fixture
def health(monkeypatch: pytest.MonkeyPatch) -> Health:
    """With a clock that stands, and without the few requests that go out nevertheless."""
    monkeypatch.setattr("relay.health.channel_health.random.randrange", lambda _: 99)
    health = Health()
    set_clock(health, 0)
    return health


def set_clock(health: Health, now: float) -> None:
    health.now = lambda: now


def begin(health: Health, candidate: Candidate = CANDIDATE, who: UUID = ONE) -> HealthProbe:
    return health.begin(candidate, CHANNEL, who)


def first(health: Health, holds: Callable[[], bool]) -> float:
    """After how many seconds it holds, and before."""
    for n in count():
        set_clock(health, n * STEP_S)
        if holds():
            set_clock(health, 0)
            return round(n * STEP_S, 2)
    raise AssertionError


def kept(health: Health, bad: Bad, times: int) -> Kept:
    for probe in [begin(health) for _ in range(times)]:
        probe.failed(bad.failure())
    for candidate in (CANDIDATE, ANOTHER):
        assert health.ready([candidate, SPARE], ONE) in ([candidate, SPARE], [SPARE])
    return Kept(
        first(health, lambda: bool(health.ready([CANDIDATE], ONE))),
        first(health, lambda: bool(health.ready([ANOTHER], ONE))),
        first(health, lambda: bool(health.ready([CANDIDATE], OTHER))),
        first(health, lambda: CANDIDATE in health.ready([CANDIDATE, SPARE], ONE)),
    )


def expected(name: str, often: bool) -> Kept:
    table = OFTEN if often else ONCE
    return table.get(name) or table.get(FAULTS[BAD[name].row].health) or NONE


@pytest.mark.parametrize("often", [False, True])
@pytest.mark.parametrize("name", BAD)
def test_seconds_of_rejection(health: Health, name: str, often: bool) -> None:
    result = kept(health, BAD[name], 20 if often else 1)
    assert result == expected(name, often)
    if BAD[name].retry_after_ms is None:
        assert max(result[:3]) <= 1


@pytest.mark.parametrize("often", [False, True])
def test_table_of_results(capsys: pytest.CaptureFixture[str], often: bool) -> None:
    """What the tests above have proved, line by line."""
    head = "once" if not often else "20 times"
    lines = [
        "",
        f"{head:16} |      alternative: refused |       none: seconds of refusal",
        f"{'fault':16} |  same  model tenant  rests |  same model  another   tenant",
    ]
    for name in BAD:
        message = expected(name, often)
        lines.append(
            f"{name:16} | {0:5} {0:6} {0:6} {message.rests:6} | "
            f"{message.same_model:11} {message.another_model:8} {message.another_tenant:8}"
        )
    with capsys.disabled():
        print("\n".join(lines))  # noqa: T201
    assert len(lines) == len(BAD) + 3 > len(FAULTS)


@pytest.mark.parametrize("name", BAD)
def test_success_ends_it_immediately(health: Health, name: str) -> None:
    """For everybody: one request asks, all others wait for it, and then none does."""
    for probe in [begin(health) for _ in range(20)]:
        probe.failed(BAD[name].failure())
    wait_s = expected(name, True).same_model
    set_clock(health, wait_s)
    probe = begin(health)
    alone = wait_s > 0 and BAD[name].retry_after_ms is None
    assert health.ready([CANDIDATE], ONE) == ([] if alone else [CANDIDATE])
    set_clock(health, wait_s + 0.5)
    probe.good()
    for _ in range(20):
        for candidate, who in ((CANDIDATE, ONE), (CANDIDATE, OTHER), (ANOTHER, ONE)):
            assert health.ready([candidate], who) == [candidate]
            begin(health, candidate, who)


@pytest.mark.parametrize("name", ["F5 401", "F5 403", "F7", "F8 untold", "F9", "F10", "F3"])
def test_lasting_failure_is_asked_ever_less_often(health: Health, name: str) -> None:
    """One request at a time: after 1 s, 2 s, 4 s, … 60 s."""
    for probe in [begin(health) for _ in range(20)]:
        probe.failed(BAD[name].failure())
    asked_at: list[float] = []
    for n in range(int(250 / STEP_S)):
        set_clock(health, n * STEP_S)
        while health.ready([CANDIDATE], ONE):
            begin(health).failed(BAD[name].failure())
            asked_at.append(n * STEP_S)
    pauses = [b - a for a, b in zip([0.0, *asked_at], asked_at, strict=False)]
    wanted = [1, 2, 4, 8, 16, 32, 60, 60, 60]
    if name in ("F10", "F3"):
        # It is asked as well when the time of its breaker is over.
        assert pauses[:3] == wanted[:3]
        assert len(pauses) <= 16
    else:
        assert pauses == wanted[: len(pauses)]


@pytest.mark.parametrize("row", ["F10", "F14", "F33"])
def test_a_breaker_that_opens_at_the_first_failure(health: Health, row: str) -> None:
    """A 500, a cut, a reset, where the operators want it so."""
    channel = replace(CHANNEL, breaker=BreakerRule(failures=1))
    health.begin(CANDIDATE, channel, ONE).failed(Bad(row).failure())
    assert health.ready([CANDIDATE], ONE) == []
    assert health.ready([CANDIDATE, SPARE], ONE) == [SPARE]
    set_clock(health, 1)
    assert health.ready([CANDIDATE], ONE) == [CANDIDATE]
    health.begin(CANDIDATE, channel, ONE).good()
    assert health.ready([CANDIDATE], OTHER) == [CANDIDATE]


def test_inconclusive_probe_blocks_no_one(health: Health) -> None:
    """As one whose client cannot pay, or has left."""
    for _ in range(2):
        begin(health).failed(BAD["F5 401"].failure())
    for n in range(50):
        set_clock(health, 1 + n / 100)
        assert health.ready([CANDIDATE], OTHER) == [CANDIDATE]
        probe = begin(health, who=OTHER)
        assert health.ready([CANDIDATE], ONE) == []
        probe.close()


def test_single_401_is_retried_by_one_request(health: Health) -> None:
    """However many hear it at once; only a request that began behind it confirms it."""
    crowd = [begin(health, who=who) for who in (ONE, OTHER) for _ in range(10)]
    set_clock(health, 0.1)
    for probe in crowd:
        probe.failed(BAD["F5 401"].failure())
    retries = [health.take_retry(CANDIDATE, 0) for _ in crowd]
    assert retries == [True] + [False] * 19
    for candidate in (CANDIDATE, ANOTHER):
        assert health.ready([candidate, SPARE], OTHER) == [candidate, SPARE]
    set_clock(health, 0.2)
    begin(health).failed(BAD["F5 401"].failure())
    assert health.ready([CANDIDATE], ONE) == []


def test_success_or_a_minute_ends_the_doubt(health: Health) -> None:
    for at_s, answers in ((0, True), (10, False), (71, False)):
        set_clock(health, at_s)
        begin(health).failed(BAD["F5 401"].failure())
        assert health.take_retry(CANDIDATE, 0)
        assert health.ready([CANDIDATE], ONE) == [CANDIDATE]
        if answers:
            probe = begin(health)
            probe.good()


def test_rejections_of_one_tenant_stop_no_other(health: Health) -> None:
    """However long it goes on, and whatever becomes of its own."""
    for n in range(200):
        set_clock(health, n / 10)
        for name in ("F5 403", "F7"):
            begin(health).failed(BAD[name].failure())
        assert health.ready([CANDIDATE], OTHER) == [CANDIDATE]
        assert health.ready([ANOTHER], ONE) == [ANOTHER]


@pytest.mark.parametrize("name", ["F5 401", "F5 403", "F7", "F8 untold", "F9"])
def test_another_key_is_an_alternative(health: Health, name: str) -> None:
    """It is used alone while the one at fault rests; when that is at fault too, both are asked."""
    channel = replace(CHANNEL, headers=({}, {}))
    used = []
    for _ in range(8):
        probe = health.begin(CANDIDATE, channel, ONE)
        used.append(probe.key)
        if probe.key == 0:
            probe.failed(BAD[name].failure())
        else:
            probe.good()
    assert used.count(0) <= 3
    assert health.ready([CANDIDATE], ONE) == [CANDIDATE]
    for probe in [health.begin(CANDIDATE, channel, ONE) for _ in range(8)]:
        probe.failed(BAD[name].failure())
    assert health.ready([CANDIDATE], ONE) == []
    set_clock(health, 1)
    assert health.ready([CANDIDATE], ONE) == [CANDIDATE]
