"""Budget alerts: exactly one per period, limit and threshold, to whom they are for (W53)."""

import datetime as dt

import pytest
from django.core import mail
from django.db import connection

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent, Key, Role
from billing.currency.money import parse_usd
from billing.limits import budget_alerts, budgets
from billing.models import Budget, BudgetAlert, BudgetWindow
from lib import clock
from notify.deliveries import deliveries, sending
from outbox.models import Fact
from tests.billing.limits.test_budgets import NOTHING, nothing
from tests.billing.racing import racers
from tests.support import cast
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db

USD = 10**9


@pytest.fixture
def key(people: Cast) -> Key:
    key, _ = cast.make_key(people.core, "ci", user=people.bob)
    return key


def make(key: Key, usd: int = 10, **over: object) -> Budget:
    fields = {"scope": "key", "subject": str(key.id), "period": "month"} | over
    return budgets.create_budget(
        SYSTEM, key.organisation, lambda budget, since: NOTHING, amount_nano=usd * USD, **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def spend(budget: Budget, usd: str) -> None:
    window = budget.windows.latest("starts_at")
    nano = parse_usd(usd)
    BudgetWindow.objects.filter(id=window.id).update(
        spent_nano=nano, cap_nano=max(window.cap_nano, nano)
    )


def sent_alerts() -> list[tuple[str, int | None]]:
    facts = Fact.objects.filter(kind__startswith="budget.").order_by("id")
    return [(fact.kind.removeprefix("budget."), fact.body["threshold"]) for fact in facts]


def roll_over(budget: Budget) -> None:
    """The period ends, and the next one begins empty."""
    window = budget.windows.latest("starts_at")
    with connection.cursor() as cursor:
        # The product goes by the time at which its transaction began, and here all is one.
        cursor.execute("SELECT now()")
        ((begins,),) = cursor.fetchall()
    BudgetWindow.objects.filter(id=window.id).update(ends_at=begins)
    BudgetWindow.objects.create(
        budget=budget, starts_at=begins, ends_at=window.ends_at, cap_nano=budget.amount_nano
    )


def test_each_threshold_is_reported_once_per_period(key: Key) -> None:
    budget = make(key)
    assert budget_alerts.send_budget_alerts() == 0
    spend(budget, "4.999999999")
    assert budget_alerts.send_budget_alerts() == 0
    spend(budget, "5")
    assert [budget_alerts.send_budget_alerts() for _ in range(3)] == [1, 0, 0]
    spend(budget, "10")
    assert [budget_alerts.send_budget_alerts() for _ in range(2)] == [2, 0]
    assert sent_alerts() == [("reached", 50), ("reached", 80), ("reached", 100)]
    roll_over(budget)
    assert budget_alerts.send_budget_alerts() == 0
    spend(budget, "8.5")
    assert budget_alerts.send_budget_alerts() == 2
    assert sent_alerts()[3:] == [("reached", 50), ("reached", 80)]
    body = Fact.objects.filter(kind="budget.reached").latest("id").body
    assert (body["spent"], body["limit"], body["spent_percent"]) == ("8.50", "10.00", 85)
    assert (body["scope"], body["subject"]) == ("key", "ci")


def test_threshold_reached_in_the_last_seconds_is_reported(key: Key) -> None:
    budget = make(key)
    spend(budget, "9")
    roll_over(budget)
    assert budget_alerts.send_budget_alerts() == 2
    BudgetAlert.objects.all().delete()
    old = clock.now() - dt.timedelta(hours=1)
    BudgetWindow.objects.filter(spent_nano__gt=0).update(
        starts_at=old - dt.timedelta(days=31), ends_at=old
    )
    assert budget_alerts.send_budget_alerts() == 0


def test_rejecting_budget_has_reached_its_limit(key: Key) -> None:
    """What is left of a budget is hardly ever exactly nothing."""
    budget = make(key, alert_percents=[100])
    spend(budget, "9.7")
    assert budget_alerts.send_budget_alerts() == 0
    BudgetWindow.objects.update(refused_at=clock.now())
    assert [budget_alerts.send_budget_alerts() for _ in range(2)] == [1, 0]
    assert sent_alerts() == [("reached", 100)]
    # A new limit is a new threshold, and what the old one refused says nothing of it.
    budgets.change_budget(SYSTEM, budget, nothing, amount_nano=20 * USD)
    assert budget_alerts.send_budget_alerts() == 0


def test_forecast_is_told_once_and_not_by_the_first_minutes(key: Key) -> None:
    budget = make(key, alert_percents=[], alert_forecast=True)
    now = clock.now()
    day = dt.timedelta(days=1)
    spend(budget, "3")
    BudgetWindow.objects.update(starts_at=now - day, ends_at=now + 29 * day)
    assert budget_alerts.send_budget_alerts() == 0
    BudgetWindow.objects.update(starts_at=now - 6 * day, ends_at=now + 24 * day)
    assert [budget_alerts.send_budget_alerts() for _ in range(2)] == [1, 0]
    assert sent_alerts() == [("forecast", None)]
    (usage,) = budgets.current_usage([budget])
    assert usage.forecast_at is not None
    assert abs(usage.forecast_at - (now + 14 * day)) < dt.timedelta(minutes=1)
    BudgetAlert.objects.all().delete()
    spend(budget, "1.5")
    assert budget_alerts.send_budget_alerts() == 0


def test_each_new_limit_is_reported_as_reached(key: Key) -> None:
    budget = make(key, alert_percents=[50])
    spend(budget, "6")
    sent = [budget_alerts.send_budget_alerts()]
    for usd in (20, 12, 10):
        budgets.change_budget(SYSTEM, Budget.objects.get(), nothing, amount_nano=usd * USD)
        sent.append(budget_alerts.send_budget_alerts())
    # The limit of before was reported before.
    assert sent == [1, 0, 1, 0]


@pytest.mark.parametrize(("hours", "alerts"), [(1, 0), (-1, 1)])
def test_share_of_a_budget_counts_only_a_present_increase(
    key: Key, hours: int, alerts: int
) -> None:
    budget = make(key, alert_percents=[50])
    until = clock.now() + dt.timedelta(hours=hours)
    Budget.objects.filter(id=budget.id).update(raised_nano=10 * USD, raised_until=until)
    spend(budget, "6")
    assert budget_alerts.send_budget_alerts() == alerts


def test_disabled_or_empty_budgets_report_nothing(key: Key) -> None:
    off, empty = make(key), make(key, 0, period="day")
    spend(off, "9")
    Budget.objects.filter(id=off.id).update(enabled=False)
    assert empty.amount_nano == 0
    assert budget_alerts.send_budget_alerts() == 0


def test_emails_go_to_budget_managers_and_the_budgets_owner(people: Cast, key: Key) -> None:
    cast.member(people.acme, "adam", Role.ADMIN)
    cast.member(people.acme, "bill", Role.BILLING)
    cast.member(people.acme, "vera", Role.VIEWER)
    budget = make(key)
    spend(budget, "8")
    budget_alerts.send_budget_alerts()
    deliveries.spread_facts(100)
    for delivery_id in deliveries.lease_due(100):
        sending.send(delivery_id)
    receivers = sorted(letter.to[0].split("@")[0] for letter in mail.outbox)
    assert receivers == sorted(["adam", "alice", "bill", "bob"] * 2)
    subjects = {letter.subject for letter in mail.outbox}
    assert subjects == {"Key ci has used 80% of 10.00 USD (Acme)"}
    assert mail.outbox[0].body.startswith("Key ci (Acme) has used 8.00 USD of 10.00 USD. ")
    assert f"/b/{budget.id}" in mail.outbox[0].body
    (fifty, eighty) = reversed(budget_alerts.alerts_of(budget))
    assert (fifty.percent, eighty.percent) == (50, 80)


def test_rejection_is_not_reported_as_an_unreached_sum(key: Key) -> None:
    budget = make(key, alert_percents=[100])
    spend(budget, "4.2")
    BudgetWindow.objects.update(refused_at=clock.now())
    budget_alerts.send_budget_alerts()
    (alert,) = budget_alerts.alerts_of(budget)
    assert alert.by_refusal
    deliveries.spread_facts(100)
    for delivery_id in deliveries.lease_due(100):
        sending.send(delivery_id)
    letter = mail.outbox[0]
    assert letter.subject == "Key ci does not have enough left for a request (Acme)"
    assert (
        "has used 4.20 USD of 10.00 USD, and there was not enough left for a request."
        in letter.body
    )
    assert "100 %" not in letter.body
    budgets.change_budget(SYSTEM, budget, nothing, amount_nano=20 * USD)
    spend(budget, "20")
    budget_alerts.send_budget_alerts()
    assert [alert.by_refusal for alert in budget_alerts.alerts_of(budget)] == [False, True]


def test_trial_alert_is_sent_each_time_and_audited(key: Key) -> None:
    budget = make(key)
    for _ in range(2):
        budget_alerts.send_test(SYSTEM, budget)
    assert sent_alerts() == [("tested", None)] * 2
    assert AuditEvent.objects.filter(action="budget.alert_tested").count() == 2


def tell_job(argument: int) -> int:
    return budget_alerts.send_budget_alerts()


@pytest.mark.django_db(transaction=True)
def test_simultaneous_workers_report_once(people: Cast) -> None:
    """Two processes with four tries each, for twenty budgets that all reached a threshold."""
    items = [cast.make_key(people.core, f"k{n}", user=people.bob)[0] for n in range(20)]
    for key in items:
        spend(make(key), "8")
    with racers(2) as run:
        results = run(tell_job, list(range(8)))
    assert sum(results) == 40
    assert Fact.objects.filter(kind="budget.reached").count() == 40
    assert BudgetAlert.objects.exclude(fact_id=None).count() == 40
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM billing_budgetalert a JOIN outbox_fact f ON f.id = a.fact_id"
        )
        assert cursor.fetchone() == (40,)
