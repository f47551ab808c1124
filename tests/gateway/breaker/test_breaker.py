"""When a breaker opens, for how long, and what closes it (docs/promises.md, "Numbers")."""

from gateway.breaker.breaker import Breaker, BreakerRule, Window
from gateway.breaker.retry_budget import RetryBudget

RULE = BreakerRule()


def test_window_forgets() -> None:
    window = Window(10)
    window.add(0, good=True)
    window.add(5.5, good=False)
    window.add(5.9, good=False)
    assert window.count(9.9) == (1, 2)
    assert window.count(10.1) == (0, 2)
    assert window.count(16) == (0, 0)
    window.add(1000, good=True)
    assert window.count(1000) == (1, 0)


def fail(breaker: Breaker, times: int, now: float, *, connect: bool = False) -> None:
    for _ in range(times):
        breaker.bad(now, now, connect=connect)


def test_half_of_twenty_opens_it() -> None:
    breaker = Breaker(RULE)
    for n in range(10):
        breaker.good(n / 10)
    fail(breaker, 9, 1)
    assert breaker.closed
    breaker.bad(1, 1)
    assert not breaker.closed
    assert not breaker.allows(10.9)
    assert breaker.seconds_open(2) == 9
    assert breaker.allows(11)


def test_less_than_half_does_not() -> None:
    for rule in (RULE, BreakerRule(failures=3)):
        breaker = Breaker(rule)
        for n in range(100):
            breaker.good(1)
            if n % 3:
                breaker.bad(1, 1)
            assert breaker.closed
            breaker.good(1)


def test_events_older_than_the_window_do_not_count() -> None:
    breaker = Breaker(RULE)
    fail(breaker, 19, 0)
    fail(breaker, 10, 10.5)
    assert breaker.closed


def test_five_connects_in_a_row_open_it() -> None:
    breaker = Breaker(RULE)
    fail(breaker, 4, 0, connect=True)
    breaker.good(0)
    fail(breaker, 4, 0, connect=True)
    assert breaker.closed
    breaker.bad(0, 0, connect=True)
    assert not breaker.closed
    breaker = Breaker(RULE)
    for _ in range(5):
        breaker.bad(0, 0)
    fail(breaker, 4, 0, connect=True)
    assert breaker.closed, "another failure is no failed connection"
    breaker.recover()
    fail(breaker, 4, 0, connect=True)
    assert breaker.closed


def test_its_own_number_of_failures() -> None:
    breaker = Breaker(BreakerRule(failures=3, window=60, open_for=5))
    fail(breaker, 2, 0)
    assert breaker.closed
    breaker.bad(50, 50)
    assert (breaker.allows(54), breaker.allows(55)) == (False, True)


def test_disabled_never_opens() -> None:
    breaker = Breaker(BreakerRule(enabled=False))
    fail(breaker, 100, 0, connect=True)
    breaker.trip(0, 0)
    breaker.adopt(0, 10)
    assert breaker.closed
    assert breaker.rest.calm(0)


def test_open_breaker_is_tried_after_a_second_as_last_resort() -> None:
    breaker = Breaker(RULE)
    breaker.trip(0, 0)
    assert [breaker.allows_without_alternative(now) for now in (0.9, 1)] == [False, True]
    assert (breaker.allows(1), breaker.wait_s(0.25)) == (False, 0.75)
    breaker.good(2)
    assert breaker.allows(2), "it is half-open"
    assert breaker.rest.calm(2)


def test_findings_of_other_processes_are_adopted() -> None:
    breaker = Breaker(RULE)
    breaker.adopt(0, 7)
    assert (breaker.allows(6.9), breaker.allows_without_alternative(0), breaker.allows(7)) == (
        False,
        True,
        True,
    )
    assert breaker.rest.claim(0), "one request asks, and others wait for it"
    for closed in (False, False, True):
        breaker.good(7)
        assert breaker.closed is closed
    breaker.trip(10, 10)
    breaker.recover()
    assert (breaker.closed, breaker.rest.calm(10)) == (True, True)


def test_reachable_channel_is_asked_immediately() -> None:
    breaker = Breaker(RULE)
    breaker.reachable(0)
    assert breaker.closed
    breaker.trip(5, 5)
    breaker.reachable(6)
    assert (breaker.closed, breaker.allows(6), breaker.rest.calm(6)) == (False, True, True)


def test_single_probes_close_it_after_three_successes() -> None:
    breaker = Breaker(RULE)
    breaker.trip(0, 0)
    for n in range(3):
        assert breaker.allows(10 + n)
        breaker.claim(10 + n, 60)
        assert not breaker.allows(10 + n)
        assert not breaker.closed
        breaker.good(10 + n)
    assert breaker.closed
    assert breaker.allows(13)


def test_inconclusive_probe_is_returned() -> None:
    breaker = Breaker(RULE)
    breaker.trip(0, 0)
    breaker.claim(10, 60)
    assert not breaker.allows(69)
    assert breaker.allows(70)
    breaker.claim(70, 60)
    breaker.give_back()
    assert breaker.allows(70)


def test_a_bad_probe_opens_it_twice_as_long_up_to_a_minute() -> None:
    breaker, now = Breaker(RULE), 0.0
    breaker.trip(now, now)
    for seconds in (10, 20, 40, 60, 60):
        assert breaker.seconds_open(now) == seconds
        # What began earlier and fails now says nothing new.
        breaker.bad(now + 1, now - 1)
        assert breaker.seconds_open(now) == seconds
        now += seconds
        breaker.claim(now, 60)
        breaker.bad(now, now)
    for _ in range(3):
        breaker.good(now)
    breaker.trip(now, now)
    assert breaker.seconds_open(now) == 10


def test_budget_of_further_attempts() -> None:
    """P21: three, and a tenth of the requests of ten seconds, for each channel that fails them."""
    budget = RetryBudget()
    for n in range(100):
        budget.request(n / 100)
    allowed = 0
    while not budget.spent({"a", "b"}, 1):
        budget.failed("a", 1)
        allowed += 1
    assert allowed == 13
    assert budget.spent({"a", "b"}, 1) == {"a"}
    assert budget.spent({"a", "b"}, 12) == set()
