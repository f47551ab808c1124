"""Figures of charts: each is the sum of the rows behind it."""

import datetime as dt
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from accounts.access.actors import SYSTEM
from accounts.models import Key
from billing.limits import budgets
from billing.models import BudgetScope
from billing.periods.period_starts import Span
from lib import clock
from lib.ids import id_text, new_id
from tests.support import cast
from tests.usage.rows import credit, happen, refuse
from usage.breakdowns.failures import failure_series, failures_by_cause
from usage.filters.filters import UsageFilter, from_query
from usage.limits import budget_simulation
from usage.limits.budget_chart import _forecasts, budget_chart
from usage.overview.overview import overview
from usage.reports.reports import Totals
from usage.requests.histogram import histogram
from usage.requests.log import request_page
from usage.rollups.levels import read_freshness


def today(**over: str) -> UsageFilter:
    query = {"range": ["7d"], **{name: [value] for name, value in over.items()}}
    return from_query(query, clock.now(), channels=True, log=True)


@pytest.fixture
def life(people: cast.Cast, key: Key, sum_up: Callable[[], None]) -> dt.datetime:
    """Three answers, a stopped one and three failures of two causes."""
    now = clock.now()
    for n in range(3):
        happen(key, now, (n + 1) * 10**9)
    happen(key, now, 0, status=499)
    for kind in ("upstream_error", "upstream_error", "timeout"):
        happen(key, now, 0, status=502, kind=kind)
    sum_up()
    return now


def test_failures_by_cause(people: cast.Cast, life: dt.datetime) -> None:
    alice = cast.actor(people.alice, people.acme)
    asked = today()
    causes = failures_by_cause(alice, asked.span)
    assert [tuple(cause) for cause in causes] == [("upstream_error", 2), ("timeout", 1)]
    series = failure_series(alice, asked)
    assert [(part.id, part.total) for part in series.parts] == [
        ("upstream_error", 2),
        ("timeout", 1),
    ]
    assert series.total == 3
    stranger = cast.actor(people.charlie, people.stranger)
    assert failures_by_cause(stranger, asked.span) == []


@pytest.mark.parametrize(
    ("over", "requests", "failed"),
    [
        ({}, 7, 3),
        ({"status": "error"}, 3, 3),
        ({"status": "stopped"}, 1, 0),
        ({"cause": "timeout"}, 1, 1),
        ({"min_cost": "2"}, 2, 0),
        ({"model": "none-such"}, 0, 0),
    ],
)
def test_bars_over_the_log(
    people: cast.Cast, life: dt.datetime, over: dict[str, str], requests: int, failed: int
) -> None:
    bars = histogram(cast.actor(people.alice, people.acme), today(**over))
    assert sum(bar.requests for bar in bars) == requests
    assert sum(bar.failed for bar in bars) == failed
    assert all(one.span.end_at == other.span.start_at for one, other in itertools.pairwise(bars))


def test_bars_add_up_to_the_rows_of_the_log(people: cast.Cast, key: Key) -> None:
    """Each request counts once, and not the failed attempts that another replaced."""
    now, alice = clock.now(), cast.actor(people.alice, people.acme)
    asked, session = new_id(), new_id()
    ok: dict[str, Any] = {"status": 200, "kind": "", "charge_nano": 10**9}
    failed: dict[str, Any] = {"status": 502, "kind": "upstream_error", "charge_nano": 0}
    stopped: dict[str, Any] = {"status": 499, "kind": "", "charge_nano": 10**9}
    labels = {"tags": ["blue"], "session_id": session, "flags": ["masked"]}
    for id, end in ((asked, ok), (new_id(), failed), (new_id(), stopped)):
        for _replaced in range(2):
            refuse(key, now, request_id=id, final=False, **labels, **failed)
        refuse(key, now, request_id=id, **labels, **end)
    for over, expected in (
        ({"status": "error"}, (1, 1)),
        ({"status": "stopped"}, (1, 0)),
        ({"cause": "upstream_error"}, (1, 1)),
        ({"min_cost": "0.5"}, (2, 0)),
        ({"tag": "blue"}, (3, 1)),
        ({"session": id_text(session)}, (3, 1)),
        ({"q": id_text(asked)}, (1, 0)),
        ({"guards": "masked"}, (3, 1)),
    ):
        picked = today(**over)
        # The sums of all three come from the rollups, which know no filter of single requests.
        bars = histogram(alice, picked, [Totals(requests=3)])
        assert (sum(bar.requests for bar in bars), sum(bar.failed for bar in bars)) == expected
        rows = request_page(alice, picked.span, picked.scope, limit=9).rows
        assert len(rows) == expected[0], over


def test_compared_period_counts_only_what_the_filter_and_the_reader_select(
    people: cast.Cast, key: Key
) -> None:
    """P12: its days lie apart from those of the period itself."""
    other, _ = cast.make_key(people.stranger.teams.get(), "other")
    credit(other)
    query = {"range": ["7d"], "compare": ["year"], "customer": ["c-1"]}
    asked = from_query(query, clock.now(), channels=False)
    moments = [asked.previous.start_at, asked.spans[0].start_at, clock.now()]
    for at in moments:
        happen(key, at, 7, customer="c-1")
        happen(key, at, 11, customer="c-2")
        happen(other, at, 13, customer="c-1")
        happen(other, at, 17, customer="c-2")
    happen(key, asked.previous.end_at, 19, customer="c-1")
    alice = cast.actor(people.alice, people.acme)
    figures = overview(alice, asked, read_freshness(), keys=9)
    assert (figures.before.requests, figures.before.charge_nano) == (1, 7)
    assert [one.charge_nano for one in figures.buckets] == [7, 0, 0, 0, 0, 0, 7]
    assert [(group.totals.charge_nano, old.charge_nano) for group, old in figures.keys] == [(14, 7)]


def test_forecast_of_a_day_is_what_is_spent_by_its_end() -> None:
    day = dt.timedelta(days=1)
    starts = [dt.datetime(2026, 11, 1, tzinfo=dt.UTC) + n * day for n in range(5)]
    spans = [Span(start, start + day) for start in starts]
    forecasts = _forecasts(spans, 1, 300, starts[1] + day / 2)
    assert forecasts == {1: 300, 2: 600, 3: 800, 4: 1000}


def test_a_budget_is_drawn_up_to_what_it_has_spent(
    people: cast.Cast, key: Key, life: dt.datetime
) -> None:
    budget = budget_simulation.create_budget(
        SYSTEM, people.acme, scope=BudgetScope.KEY, subject=str(key.id),
        amount_nano=10**10, period="month",
    )  # fmt: skip
    (usage,) = budgets.current_usage([budget])
    chart = budget_chart(usage)
    assert chart is not None
    spent = [row["spent"] for row in chart["rows"] if row["spent"] is not None]
    assert spent[-1] == usage.spent_nano == 6 * 10**9
    assert spent == sorted(spent)
    unfinished = [n for n, row in enumerate(chart["rows"]) if row["unfinished"]]
    assert unfinished == [len(spent) - 1]
