"""Budgets beside usage: their past, and what they would have refused."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.db import connection

from accounts.access.actors import SYSTEM
from accounts.models import Key
from billing.models import Budget
from lib import clock
from lib.ids import new_id
from tests.support.cast import Cast, actor, make_key, signed_in
from tests.usage import rows
from usage.buckets.buckets import Span, bucket_of
from usage.limits import budget_simulation
from usage.limits.budget_forms import BulkExpiryForm, PercentsField
from usage.models import DetachedMonth, SettleAs, UsageRecord
from usage.records.partitions import ids_of
from usage.reviews import reviews

pytestmark = pytest.mark.django_db


@pytest.fixture
def key(people: Cast) -> Key:
    key, _ = make_key(people.core, user=people.bob)
    rows.credit(key)
    return key


def budget(key: Key, scope: str, subject: object, **over: object) -> Budget:
    fields = {"amount_nano": 1000, "period": "day", "anchor": 0, "timezone": "UTC"} | over
    return Budget(organisation=key.organisation, scope=scope, subject=str(subject), **fields)


def test_past_spending_counts_charges_and_running_requests(people: Cast, key: Key) -> None:
    other, _ = make_key(people.core, "other", user=people.alice, tags=["beta"])
    at = rows.NOON
    rows.happen(key, at, 100, model="gpt-5")
    rows.happen(key, at - dt.timedelta(hours=13), 10, model="gpt-5")
    labels = {"project": "x", "customer": "c", "tags": ["alpha", "beta"]}
    rows.happen(other, at, 200, model="claude-4", **labels)
    running = rows.admit(other, at, model="gpt-5-mini", **labels)
    since = at.replace(hour=0)
    past = {
        (scope, str(subject)): budget_simulation.look_back(budget(key, scope, subject), since)
        for scope, subject in (
            ("organisation", ""), ("team", people.core.id), ("key", key.id), ("key", other.id),
            ("user", people.bob.id), ("user", people.alice.id), ("model", "gpt-5"),
            ("model", "gpt-*"), ("model", "gpt_5"), ("tag", "beta"), ("tag", "bet"),
            ("project", "x"), ("project", "c"), ("customer", "c"), ("customer", ""),
        )
    }  # fmt: skip
    body = {scope: (spent, list(ids)) for scope, (spent, ids) in past.items()}
    assert body == {
        ("organisation", ""): (300, [running.id]),
        ("team", str(people.core.id)): (300, [running.id]),
        ("key", str(key.id)): (100, []),
        ("key", str(other.id)): (200, [running.id]),
        ("user", str(people.bob.id)): (100, []),
        ("user", str(people.alice.id)): (200, [running.id]),
        ("model", "gpt-5"): (100, []),
        ("model", "gpt-*"): (100, [running.id]),
        ("model", "gpt_5"): (0, []),
        ("tag", "beta"): (200, [running.id]),
        ("tag", "bet"): (0, []),
        ("project", "x"): (200, [running.id]),
        ("project", "c"): (0, []),
        ("customer", "c"): (200, [running.id]),
        ("customer", ""): (100, []),
    }


def test_past_spending_counts_payments_after_corrections(people: Cast, key: Key) -> None:
    """I7: a budget made today begins with what one made before it stands at."""
    record = rows.happen(key, clock.now(), 210_000, flags=["quarantine"], basis="estimated")
    since = clock.now() - dt.timedelta(hours=1)
    reviews.settle_review(
        actor(people.dora), record.request_id, SettleAs("amount"), amount_nano=50_000, reason="x"
    )
    for scope, subject, spent in (("organisation", "", 50_000), ("model", "other", 0)):
        assert budget_simulation.look_back(budget(key, scope, subject), since).spent_nano == spent


def test_every_reading_of_a_budget_counts_the_same(
    people: Cast, sum_up: Callable[[], None]
) -> None:
    """What it starts with, what its chart shows and what it would have refused: the charges, and
    what an organisation's own keys cost its provider."""
    key, _ = make_key(people.core, user=people.bob, tags=["beta"])
    rows.credit(key)
    span = Span(bucket_of(clock.now() - dt.timedelta(hours=2)), bucket_of(clock.now()))
    for n, over in enumerate(({}, {"own_nano": 0}, {"own_nano": 30}, {"own_nano": 50})):
        at = span.start_at + dt.timedelta(minutes=n)
        labels = {"project": "x", "customer": "c", "tags": ["beta"]}
        rows.happen(key, at, (100, 7, 0, 5)[n], model="gpt-5", **labels, **over)
    sum_up()
    subjects = {
        "organisation": "", "team": people.core.id, "key": key.id, "user": people.bob.id,
        "model": "gpt-*", "tag": "beta", "project": "x", "customer": "c",
        "end_user": "",
    }  # fmt: skip
    assert subjects.keys() == budget_simulation._PARTS.keys()
    for scope, subject in subjects.items():
        total = 0 if scope == "end_user" else 192
        charted = 0 if scope in ("project", "customer") else total
        fields = {"period": "total", "amount_nano": total}
        whole = budget(key, scope, subject, **fields)
        assert budget_simulation.look_back(whole, span.start_at).spent_nano == total
        assert budget_simulation.spent_by_bucket(whole, [span]) == [charted]
        less = budget(key, scope, subject, **{**fields, "amount_nano": total - 1})
        told = [budget_simulation.would_have(one) for one in (whole, less)]
        if scope == "end_user":
            assert told == [None, None]
        else:
            assert [one and one.refused for one in told] == [0, 1]


def test_unending_budget_starts_with_everything(key: Key) -> None:
    rows.happen(key, rows.NOON - dt.timedelta(days=400), 70)
    new_budget = budget_simulation.create_budget(
        SYSTEM, key.organisation, scope="key", subject=str(key.id), amount_nano=100, period="total"
    )
    assert new_budget.windows.get().spent_nano == 70


def test_unending_budget_starts_with_detached_months(
    people: Cast, key: Key, sum_up: Callable[[], None]
) -> None:
    """A budget that is switched off and on keeps what was spent in a month that is in a file."""
    at = clock.now().replace(day=1, hour=12, minute=0) - dt.timedelta(days=70)
    first, end = ids_of(at.date().replace(day=1))
    first_record = rows.happen(key, at, 950, model="gpt-5")
    record = rows.happen(
        key, at, 210_000, flags=["quarantine"], basis="estimated", model="claude-4"
    )
    reviews.settle_review(
        actor(people.dora), record.request_id, SettleAs("amount"), amount_nano=50_000, reason="x"
    )
    rows.happen(key, clock.now() - dt.timedelta(hours=1), 7, model="gpt-5")
    sum_up()
    subjects = {
        "organisation": ("", 50_957), "key": (key.id, 210_957), "model": ("gpt-*", 957),
        "team": (people.core.id, 210_957), "user": (people.alice.id, 0),
    }  # fmt: skip
    made = [
        budget_simulation.create_budget(
            SYSTEM, key.organisation, scope=scope, subject=str(subject), amount_nano=10**6,
            period="total",
        )
        for scope, (subject, _) in subjects.items()
    ]  # fmt: skip
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    DetachedMonth.objects.create(
        month=at.date().replace(day=1), first_id=first, end_id=end, from_at=day,
        to_at=day + dt.timedelta(days=1), price_version_ids=[],
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        UsageRecord.objects.filter(id__in=[first_record.id, record.id]).delete()
        cursor.execute("SET LOCAL session_replication_role = origin")
    for budget, (_, spent) in zip(made, subjects.values(), strict=True):
        for enabled in (False, True):
            budget_simulation.change_budget(SYSTEM, budget, enabled=enabled)
        assert budget.windows.get().spent_nano == spent


def test_requests_a_budget_would_have_rejected(key: Key) -> None:
    """Its days, one by one: what did not fit what was left."""
    now = clock.now()
    for days, charges in ((40, [5000]), (3, [600, 500, 300]), (2, [1000, 1]), (1, [2000])):
        midnight = (now - dt.timedelta(days=days)).replace(hour=1, minute=0, second=0)
        for n, charge in enumerate(charges):
            rows.happen(key, midnight + dt.timedelta(minutes=n), charge)
    message = budget_simulation.would_have(budget(key, "key", key.id))
    assert message is not None
    assert (message.refused, message.of) == (3, 6)
    assert message.first_at is not None
    assert (now - message.first_at).days in (2, 3)
    ample = budget_simulation.would_have(budget(key, "key", key.id, amount_nano=10**9))
    assert ample is not None
    assert ample.refused == 0


def test_simulated_budget_begins_each_period_with_nothing_spent(key: Key) -> None:
    for days in (3, 2, 1):
        rows.happen(key, clock.now() - dt.timedelta(days=days), 600)
    simulated = budget_simulation.would_have(budget(key, "key", key.id))
    assert simulated is not None
    assert (simulated.refused, simulated.of) == (0, 3)


def test_too_many_requests_are_not_simulated(
    people: Cast, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P35: what one page reads is bounded. Those that are simulated are read piece by piece."""
    made = budget_simulation.create_budget(
        SYSTEM, key.organisation, scope="key", subject=str(key.id), amount_nano=10, period="day"
    )
    for n in range(4):
        rows.happen(key, clock.now() - dt.timedelta(days=1, minutes=n), 20)
    monkeypatch.setattr(budget_simulation, "SIMULATED_MAX", 4)
    monkeypatch.setattr(budget_simulation, "_ROWS", 3)
    told = budget_simulation.would_have(made)
    assert told is not None
    assert told[:2] == (4, 4)
    monkeypatch.setattr(budget_simulation, "SIMULATED_MAX", 3)
    assert budget_simulation.would_have(made) == (0, 3, None, True)
    alice = signed_in(people.alice)
    page = alice.get(f"/o/acme/budgets/{made.id}").content.decode()
    assert "More than 3 requests were charged in the last 30 days" in page
    budget_simulation.change_budget(SYSTEM, made, action="warn")
    made.refresh_from_db()
    assert budget_simulation.would_have(made) is None
    page = alice.get(f"/o/acme/budgets/{made.id}").content.decode()
    assert "in the last 30 days" not in page


def test_charge_at_the_end_of_a_period_counts_in_the_next() -> None:
    midnight = dt.datetime(2026, 11, 19, tzinfo=dt.UTC)
    tick = dt.timedelta(microseconds=1)
    daily = Budget(scope="organisation", amount_nano=100, period="day", anchor=0, timezone="UTC")
    ended = [(midnight - tick, 100, None), (midnight, 100, None)]
    assert budget_simulation._would_have_by_period(daily, ended, 2) == (0, 2, None, False)
    again = [*ended, (midnight + tick, 1, None), (midnight + 2 * tick, 1, None)]
    refused = (2, 4, midnight + tick, False)
    assert budget_simulation._would_have_by_period(daily, again, 4) == refused


def test_session_may_spend_its_budget_to_the_last_nano() -> None:
    at = dt.datetime(2026, 11, 19, tzinfo=dt.UTC)
    tick = dt.timedelta(microseconds=1)
    each = Budget(scope="organisation", amount_nano=100, period="session")
    one, other = new_id(), new_id()
    fits = [(at, 50, one), (at, 100, other), (at, 50, one), (at, 999, None)]
    assert budget_simulation._would_have_by_session(each, fits, 4) == (0, 4, None, False)
    more = [*fits, (at + tick, 1, one), (at + 2 * tick, 1, other)]
    refused = (2, 6, at + tick, False)
    assert budget_simulation._would_have_by_session(each, more, 6) == refused


def test_day_of_two_detached_months_is_counted_once() -> None:
    begin, middle, end = (dt.datetime(2026, n, 1, tzinfo=dt.UTC) for n in (9, 10, 11))
    day = dt.timedelta(days=1)
    for from_at, to_at in ((begin, middle), (middle - day, end)):
        DetachedMonth.objects.create(
            month=to_at - day, first_id=new_id(), end_id=new_id(), from_at=from_at, to_at=to_at,
            price_version_ids=[],
        )  # fmt: skip
    spans = budget_simulation._detached_spans(begin + day)
    assert spans == [Span(begin + day, middle), Span(middle, end)]


def test_percents_of_alerts_are_sorted_and_each_listed_once() -> None:
    assert PercentsField().clean("100, 50 80% 50") == [50, 80, 100]


def test_keys_can_expire_at_the_end_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    at = dt.datetime(2026, 11, 19, 23, 59, 58, tzinfo=dt.UTC)
    monkeypatch.setattr(clock, "now", lambda: at)
    today = BulkExpiryForm({"on": "2026-11-19"})
    assert today.is_valid()
    assert today.cleaned_data["on"] == at.replace(second=59)
    assert not BulkExpiryForm({"on": "2026-11-18"}).is_valid()
