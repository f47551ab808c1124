"""P20: how many requests a busy process has under way at most."""

from heapq import heappop, heappush
from itertools import pairwise
from random import Random

import pytest

from relay.config import WAIT_S_MAX
from relay.load.load_shedding import (
    COME_AGAIN_S,
    LIMITED_PATIENCE_S,
    MEASURED_EACH_S,
    PATIENCE_S,
    UNDER_WAY_MIN,
    LoadShedding,
)

LONG = 2 * WAIT_S_MAX
SHORT = WAIT_S_MAX / 2
MANY = 1000


def measure(
    shedding: LoadShedding,
    wait_s: float,
    seconds: float,
    *,
    at: float = 0.0,
    under_way: int = MANY,
    busy: float = 1.0,
) -> float:
    """What is due waits for so long, for so many seconds; the time at their end."""
    for n in range(round(seconds / MEASURED_EACH_S)):
        shedding.measured(wait_s, under_way, busy, at + n * MEASURED_EACH_S)
    return at + seconds


@pytest.mark.parametrize(
    ("wait_s", "seconds", "under_way", "busy", "wait_s_max"),
    [
        pytest.param(SHORT, 60, MANY, 1.0, WAIT_S_MAX, id="short, however many"),
        pytest.param(WAIT_S_MAX, 60, MANY, 1.0, WAIT_S_MAX, id="just as long as it may be"),
        pytest.param(1.0, PATIENCE_S - 1.0, MANY, 1.0, WAIT_S_MAX, id="a burst"),
        pytest.param(1.0, 60, UNDER_WAY_MIN - 1, 1.0, WAIT_S_MAX, id="few"),
        pytest.param(1.0, 60, MANY, 0.4, WAIT_S_MAX, id="others have the CPU"),
        pytest.param(1.0, 60, MANY, 1.0, 0.0, id="off"),
    ],
)
def test_light_load_rejects_no_one(
    wait_s: float, seconds: float, under_way: int, busy: float, wait_s_max: float
) -> None:
    shedding = LoadShedding(wait_s_max)
    measure(shedding, wait_s, seconds, under_way=under_way, busy=busy)
    assert shedding.limit is None
    assert shedding.admits(100_000)


def test_spaced_bursts_are_accepted() -> None:
    shedding, now = LoadShedding(WAIT_S_MAX), 0.0
    for _ in range(5):
        now = measure(shedding, LONG, PATIENCE_S - MEASURED_EACH_S, at=now)
        now = measure(shedding, 0.0, 0.5, at=now)
    assert shedding.limit is None


def test_waves_lower_no_limit() -> None:
    """Each makes the process wait, and has some rest behind it."""
    shedding = LoadShedding(WAIT_S_MAX)
    now = measure(shedding, LONG, PATIENCE_S + 1)
    limit = shedding.limit
    for _ in range(10):
        now = measure(shedding, LONG, LIMITED_PATIENCE_S - LONG, at=now)
        now = measure(shedding, 0.0, 0.2, at=now)
    assert limit
    assert shedding.limit
    assert shedding.limit > limit


def test_long_wait_admits_ever_fewer_but_some() -> None:
    shedding = LoadShedding(WAIT_S_MAX)
    now = measure(shedding, LONG, PATIENCE_S + 4 * MEASURED_EACH_S)
    for under_way in (1000, 500, 100, 65):
        now = measure(shedding, LONG, MEASURED_EACH_S, at=now, under_way=under_way)
        assert not shedding.admits(under_way)
        assert shedding.admits(min(UNDER_WAY_MIN, under_way) - 1)
    assert shedding.limit == UNDER_WAY_MIN


def test_a_short_wait_lets_ever_more_in_and_then_all() -> None:
    shedding, limits = LoadShedding(WAIT_S_MAX), list[float]()
    now = measure(shedding, LONG, PATIENCE_S + 1, under_way=500)
    now = measure(shedding, SHORT, 0.5, at=now, under_way=500)
    while shedding.limit is not None:
        now = measure(shedding, SHORT, MEASURED_EACH_S, at=now, under_way=500)
        limits.append(shedding.limit or 1000)
    assert all(before < after for before, after in pairwise(limits))
    assert len(limits) * MEASURED_EACH_S < 5
    # Until then a long wait counts at once; behind it there is patience again.
    measure(shedding, LONG, PATIENCE_S - LONG, at=now)
    assert shedding.limit is None


@pytest.mark.parametrize("clients", [10, 1000, 3000])
def test_rejected_clients_retry_when_they_can_be_served(clients: int) -> None:
    """However many wait: for each that is taken hardly more than one is refused in vain."""
    shedding, random, now = LoadShedding(WAIT_S_MAX), Random(1), 0.0
    taken = refused = 0
    due = [0.0] * clients
    measure(shedding, LONG, PATIENCE_S + 1)
    for tick in range(round(240 / MEASURED_EACH_S)):
        now = PATIENCE_S + 1 + tick * MEASURED_EACH_S
        if tick == round(120 / MEASURED_EACH_S):
            taken = refused = 0
        places = 5
        while due and due[0] <= now:
            heappop(due)
            if shedding.admits(0 if places else MANY**2):
                places, taken = places - 1, taken + 1
                # At the next tick, whatever the sum of the ticks is rounded to.
                heappush(due, now + MEASURED_EACH_S / 2)
            else:
                refused += 1
                heappush(due, now + shedding.come_again_s() * random.uniform(0.5, 1.5))
        # It stays long: else there would soon be no limit, and everybody would be taken.
        shedding.measured(LONG, MANY**2, 1.0, now)
    assert shedding.limit
    shortest, longest = COME_AGAIN_S
    assert shortest <= shedding.come_again_s() <= longest
    assert taken >= 0.9 * min(5 * 120 / MEASURED_EACH_S, clients * 120 / MEASURED_EACH_S)
    assert refused <= 1.5 * taken


def test_retry_wait_is_bounded() -> None:
    shedding = LoadShedding(WAIT_S_MAX)
    now = measure(shedding, LONG, PATIENCE_S + 1)
    assert shedding.come_again_s() == COME_AGAIN_S[0]
    for tick in range(200):
        assert shedding.admits(0)
        for _ in range(1000):
            shedding.admits(MANY**2)
        shedding.measured(LONG, MANY, 1.0, now + tick * MEASURED_EACH_S)
    assert shedding.come_again_s() == COME_AGAIN_S[1]
    for tick in range(200, 10_000):
        shedding.admits(0)
        shedding.measured(SHORT, MANY, 1.0, now + tick * MEASURED_EACH_S)
    assert shedding.come_again_s() == COME_AGAIN_S[0]


@pytest.mark.timed
@pytest.mark.parametrize(
    ("times", "provider_s"),
    [
        (1.3, 0.2),
        (5, 0.2),
        pytest.param(2, 0.2, marks=pytest.mark.slow),
        pytest.param(2, 5, marks=pytest.mark.slow),
        pytest.param(5, 5, marks=pytest.mark.slow),
    ],
)
def test_all_capacity_is_used(times: float, provider_s: float) -> None:
    """Whatever comes: a process is never idle, and those whom it takes hardly wait."""
    process = Process(times, provider_s)
    process.run_until(20 + 4 * provider_s)
    process.forget()
    process.run_until(40 + 12 * provider_s)
    capacity = (1 - times * RATE * REFUSED_S) / (SERVED_S - REFUSED_S)
    assert process.served / (20 + 8 * provider_s) >= 0.85 * capacity
    assert sorted(process.waits)[len(process.waits) * 99 // 100] < 0.2


SERVED_S = 0.001
REFUSED_S = 0.00006
RATE = 1000
# Of what it takes to serve a request, that which is done in each of its four turns.
STEPS_S = (0.00015, 0.00018, 0.00033, 0.00034)
ANSWERED = 2


class Process:
    """An event loop that has `times` as many requests as it can serve, each of which waits for its
    provider for about so long, between its second step and its third."""

    def __init__(self, times: float, provider_s: float) -> None:
        self.random = Random(1)
        self.every_s = 1 / RATE / times
        self.provider_s = provider_s
        self.shedding = LoadShedding(WAIT_S_MAX)
        self.now = self.measured_at = self.comes_at = 0.0
        self.awake = False
        self.under_way = self.served = 0
        self.waits: list[float] = []
        # Since when, and the step that is next; and those whose provider answers, and when.
        self.ready: list[tuple[float, int]] = []
        self.asked: list[tuple[float, float]] = []

    def forget(self) -> None:
        self.served = 0
        self.waits.clear()

    def run_until(self, end: float) -> None:
        while self.now < end:
            self.gather()
            if not self.ready:
                self.now = min(self.comes_at, self.asked[0][0] if self.asked else self.comes_at)
                continue
            ready, self.ready = self.ready, []
            for since, step in ready:
                self.do(since, step)
            self.measure()

    def measure(self) -> None:
        """What is due wakes up behind a turn, and gives everybody else one more."""
        due = self.measured_at + MEASURED_EACH_S
        if self.awake:
            self.awake, self.measured_at = False, self.now
            self.shedding.measured(self.now - due, self.under_way, 1.0, self.now)
        elif self.now >= due:
            self.awake = True

    def gather(self) -> None:
        while self.comes_at <= self.now:
            self.ready.append((self.comes_at, 0))
            self.comes_at += self.random.expovariate(1 / self.every_s)
        while self.asked and self.asked[0][0] <= self.now:
            at, wait_s = heappop(self.asked)
            self.ready.append((at - wait_s, ANSWERED))

    def do(self, since: float, step: int) -> None:
        if step == 0 and not self.shedding.admits(self.under_way):
            self.now += REFUSED_S
            return
        self.under_way += step == 0
        self.now += STEPS_S[step]
        if step + 1 == ANSWERED:
            # What it has waited until now is taken along.
            wait_s = self.provider_s * self.random.uniform(0.5, 1.5)
            heappush(self.asked, (self.now + wait_s, self.now - since))
        elif step + 1 < len(STEPS_S):
            self.ready.append((since, step + 1))
        else:
            self.under_way -= 1
            self.served += 1
            self.waits.append(self.now - since)
