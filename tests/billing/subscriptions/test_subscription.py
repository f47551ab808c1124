"""What a month of a plan and its parts come to, to the nano."""

import datetime as dt
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.periods.months import month_after, month_span
from billing.subscriptions.rules import (
    Change,
    Terms,
    change_plan,
    days_left,
    days_of_month,
    first_of_month,
    rest_of_month,
    share,
)

USD = 10**9
FREE = Terms(0, 0)
DAYS = st.dates(dt.date(2024, 1, 1), dt.date(2032, 12, 31))
AMOUNTS = st.integers(0, 10**15)
TERMS = st.builds(Terms, AMOUNTS, AMOUNTS, st.just(()))


@pytest.mark.parametrize(
    ("day", "left", "of"),
    [
        (dt.date(2026, 11, 1), 30, 30),
        (dt.date(2026, 11, 16), 15, 30),
        (dt.date(2026, 11, 30), 1, 30),
        (dt.date(2028, 2, 29), 1, 29),
        (dt.date(2026, 2, 1), 28, 28),
        (dt.date(2026, 12, 31), 1, 31),
    ],
)
def test_the_day_on_which_it_begins_counts(day: dt.date, left: int, of: int) -> None:
    assert (days_left(day), days_of_month(day)) == (left, of)
    part = rest_of_month(Terms(of * USD, 2 * of * USD), day)
    assert part == Terms(left * USD, 2 * left * USD)


@given(AMOUNTS, DAYS, st.lists(st.integers(1, 31), max_size=8))
def test_parts_of_a_month_sum_to_the_whole(amount: int, day: dt.date, cuts: list[int]) -> None:
    """However it is cut, nothing is lost and nothing is charged twice, to the nano."""
    first = first_of_month(day)
    inner = {first.replace(day=cut) for cut in cuts if cut <= days_of_month(day)}
    edges = sorted(inner | {first, month_after(first)})
    parts = [share(amount, begin, end) for begin, end in pairwise(edges)]
    assert sum(parts) == amount
    assert all(part >= 0 for part in parts)


@pytest.mark.parametrize(
    ("old", "new", "unused", "change"),
    [
        # An upgrade on the 16th of 30 days: half of what it costs and includes more.
        (Terms(20, 25), Terms(50, 60), 25, Change(15, 17, 0)),
        # A downgrade: half of the difference back, as long as that much is unused.
        (Terms(50, 60), Terms(20, 25), 60, Change(-15, 0, 17)),
        # Half of what would be taken was used: it is taken off what is given back.
        (Terms(50, 60), Terms(20, 30), 5, Change(-5, 0, 5)),
        # All was used: nothing is given back, and nothing is charged for costing less.
        (Terms(50, 60), FREE, 0, Change(0, 0, 0)),
        # Dearer with less included, cheaper with more.
        (Terms(20, 60), Terms(40, 20), 60, Change(10, 0, 20)),
        (Terms(40, 20), Terms(20, 60), 0, Change(-10, 20, 0)),
    ],
)
def test_a_change_on_the_16th(old: Terms, new: Terms, unused: int, change: Change) -> None:
    assert change_plan(old, new, dt.date(2026, 11, 16), unused, {}) == change


@given(TERMS, TERMS, DAYS, AMOUNTS)
def test_used_up_plan_is_not_refunded(old: Terms, new: Terms, day: dt.date, unused: int) -> None:
    change = change_plan(old, new, day, unused, {})
    before, after = rest_of_month(old, day), rest_of_month(new, day)
    assert 0 <= change.taken_nano <= unused
    assert change.grant_nano >= 0
    assert not (change.grant_nano and change.taken_nano)
    # What is given back is at most the price of the days, less what of them was used beyond.
    used_nano = max(before.included_nano - after.included_nano - change.taken_nano, 0)
    back_nano = max(-change.charge_nano, 0)
    assert back_nano == max(before.price_nano - after.price_nano - used_nano, 0) or (
        change.charge_nano >= 0 and back_nano == 0
    )


@given(TERMS, st.lists(st.tuples(TERMS, st.integers(1, 31)), max_size=5), DAYS)
def test_unused_changes_cost_each_days_plan(
    first: Terms, changes: list[tuple[Terms, int]], day: dt.date
) -> None:
    """Up and down through a month, all unused: each day costs what its plan does."""
    month = first_of_month(day)
    steps = sorted(
        ((month.replace(day=n), terms) for terms, n in changes if n <= days_of_month(day)),
        key=lambda step: step[0],
    )
    paid = first.price_nano
    included = first.included_nano
    expected_paid, expected_included, begin, on = 0, 0, month, first
    for at, terms in steps:
        change = change_plan(on, terms, at, included, {})
        paid += change.charge_nano
        included += change.grant_nano - change.taken_nano
        expected_paid += share(on.price_nano, begin, at) if at > begin else 0
        expected_included += share(on.included_nano, begin, at) if at > begin else 0
        begin, on = at, terms
    end = month_after(month)
    assert paid == expected_paid + share(on.price_nano, begin, end)
    assert included == expected_included + share(on.included_nano, begin, end)


@pytest.mark.parametrize("name", ["Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata",
                                  "America/New_York", "America/Sao_Paulo"])  # fmt: skip
def test_months_of_a_zone_follow_one_another(name: str) -> None:
    """No instant of a zone is in two months or in none, also where the clock is set."""
    zone = ZoneInfo(name)
    months = [dt.date(year, month, 1) for year in (2011, 2012, 2026) for month in range(1, 13)]
    for month in months:
        span, after = month_span(month, zone), month_span(month_after(month), zone)
        assert span.end_at == after.start_at
        assert span.start_at.astimezone(zone).date() == month
        assert (span.end_at - dt.timedelta(seconds=1)).astimezone(zone).date() < month_after(month)
