"""Exchange rates are the operators', and organisations see amounts by them beside USD, which is all
that the books and the API know."""

import datetime as dt
import re
from typing import Any

import pytest
from django.db import connection
from django.template import Context
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.formats import date_format

from accounts.models import AuditEvent, Organisation
from accounts.organisations.organisations import set_display_currency
from billing.balances.balances import balance
from billing.currency.exchange_rates import RateFields, add_rates, display_rate
from billing.limits.budgets import Past, create_budget
from billing.models import ExchangeRate, SubscriptionPlan
from billing.subscriptions.rules import Terms
from billing.subscriptions.subscription_plans import write_plan
from billing.templatetags.money import also_in
from lib import clock
from lib.refusal import Refused
from tests.billing.credits.test_operator_api import api_of, post
from tests.support import cast
from tests.support.hostile import EVERYTHING, LONG, NUL

pytestmark = pytest.mark.django_db
DAY = dt.date(2026, 10, 20)


@pytest.fixture
def dora(people: cast.Cast) -> Any:
    return cast.actor(people.dora)


def in_euro(people: cast.Cast) -> Organisation:
    return set_display_currency(people.acme, "eur", actor=cast.actor(people.alice, people.acme))


def test_rate_of_a_day_is_the_latest_up_to_it(people: cast.Cast, dora: Any) -> None:
    acme = in_euro(people)
    assert display_rate(acme, DAY) is None
    week = dt.timedelta(days=7)
    add_rates(dora, [RateFields("eur", DAY, "0.92", "ECB"), RateFields("EUR", DAY + week, "0.95")])
    add_rates(dora, [RateFields("EUR", DAY, "0.93", "ECB, corrected"), RateFields("JPY", DAY, "1")])
    days = [DAY + dt.timedelta(days=n) for n in (-1, 0, 6, 7, 400)]
    rates = [display_rate(acme, day) for day in days]
    assert [rate and str(rate.per_usd.normalize()) for rate in rates] == [
        None, "0.93", "0.93", "0.95", "0.95",
    ]  # fmt: skip
    context = Context({"actor": cast.actor(people.alice, acme)})
    figures = [also_in(context, 10**9, day) for day in days]
    first, second = (date_format(day, "DATE_FORMAT") for day in (DAY, DAY + week))
    # Each names the day of its rate, whichever it was asked for.
    assert figures == [
        "", f"≈ €0.93 at 0.93, {first}", f"≈ €0.93 at 0.93, {first}",
        f"≈ €0.95 at 0.95, {second}", f"≈ €0.95 at 0.95, {second}",
    ]  # fmt: skip
    events = AuditEvent.objects.filter(action="exchange_rate.added").order_by("id")
    assert [(event.detail["currency"], event.detail["rate"]) for event in events] == [
        ("EUR", "0.92"), ("EUR", "0.95"), ("EUR", "0.93"), ("JPY", "1"),
    ]  # fmt: skip


def test_usd_only_display_costs_no_statement(
    people: cast.Cast, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(0):
        assert display_rate(people.acme, DAY) is None


@pytest.mark.parametrize(
    ("currency", "day", "rate", "field"),
    [
        ("USD", DAY, "1", "currency"),
        ("EURO", DAY, "1", "currency"),
        ("EUR", dt.date(9999, 12, 31), "1", "day"),
        ("EUR", DAY, "0,92", "rate"),
        ("jpy", DAY, "2", "day"),
    ],
)
def test_invalid_rate_rejects_the_whole_batch(
    dora: Any, currency: str, day: dt.date, rate: str, field: str
) -> None:
    """Two of one currency and day, too: what an organisation is shown goes by what somebody said,
    never by which stands last in a list."""
    with pytest.raises(Refused) as refused:
        add_rates(dora, [RateFields("JPY", DAY, "1"), RateFields(currency, day, rate)])
    assert refused.value.field == field
    assert not AuditEvent.objects.filter(action="exchange_rate.added").exists()
    assert not ExchangeRate.objects.exists()


@pytest.mark.parametrize(("days", "is_taken"), [(0, True), (1, True), (2, False)])
def test_rate_needs_a_day_that_has_started_somewhere(
    dora: Any, monkeypatch: pytest.MonkeyPatch, days: int, is_taken: bool
) -> None:
    monkeypatch.setattr(clock, "now", lambda: dt.datetime(2026, 10, 20, 10, 1, tzinfo=dt.UTC))
    of_day = RateFields("EUR", DAY + dt.timedelta(days=days), "0.92")
    if is_taken:
        add_rates(dora, [of_day])
        assert ExchangeRate.objects.get().day == of_day.day
    else:
        with pytest.raises(Refused, match="future"):
            add_rates(dora, [of_day])
        assert not ExchangeRate.objects.exists()


def test_an_operator_adds_rates_on_the_page(people: cast.Cast) -> None:
    client = cast.signed_in(people.dora)
    sent = {"currency": "eur", "day": "2026-10-20", "rate": "0.92", "source": "ECB"}
    assert client.post("/admin/exchange-rates/new", sent).status_code == 303
    text = client.get("/admin/exchange-rates").content.decode()
    assert "0.92" in text
    assert "ECB" in text
    wrong = client.post("/admin/exchange-rates/new", {**sent, "rate": "much"})
    assert wrong.status_code == 422
    assert "such as 0.92" in wrong.content.decode()


def test_page_reads_only_the_rates_it_shows(people: cast.Cast, dora: Any) -> None:
    """Every day adds some, and none is ever deleted."""
    days = [DAY - dt.timedelta(days=n) for n in range(60)]
    add_rates(dora, [RateFields("EUR", day, "0.92") for day in days])
    client = cast.signed_in(people.dora)
    with CaptureQueriesContext(connection) as captured:
        first = client.get("/admin/exchange-rates?currency=EUR&rows=25").content.decode()
    reads = [one["sql"] for one in captured if 'SELECT "billing_exchangerate"."id"' in one["sql"]]
    assert [" LIMIT " in sql for sql in reads] == [True, True]
    assert date_format(days[0], "DATE_FORMAT") in first
    assert date_format(days[-1], "DATE_FORMAT") not in first


def test_rates_are_added_and_listed_by_the_api(people: cast.Cast) -> None:
    api = api_of(people, "dora")
    rows = [{"currency": "EUR", "day": "2026-10-20", "rate": "0.920", "source": "ECB"},
            {"currency": "CNY", "day": "2026-10-20", "rate": "7.1203"}]  # fmt: skip
    added = post(api, "/exchange-rates", {"items": rows})
    assert added.status_code == 201
    assert [row["rate"] for row in added.json()["items"]] == ["0.92", "7.1203"]
    listed = api.get("/api/v1/exchange-rates").json()
    assert [row["currency"] for row in listed["items"]] == ["CNY", "EUR"]
    refused = post(api, "/exchange-rates", {"items": [rows[0], {**rows[1], "currency": "XYZ"}]})
    assert refused.status_code == 422
    assert len(api.get("/api/v1/exchange-rates").json()["items"]) == 2
    assert post(api_of(people, "alice"), "/exchange-rates", {"items": rows}).status_code == 403


@pytest.mark.parametrize("text", [EVERYTHING, LONG, NUL])
def test_source_is_shown_as_written_or_rejected(people: cast.Cast, text: str) -> None:
    client = cast.signed_in(people.dora)
    sent = {"currency": "EUR", "day": "2026-10-20", "rate": "0.92", "source": text}
    assert client.post("/admin/exchange-rates/new", sent).status_code in (303, 422)
    assert client.get("/admin/exchange-rates").status_code == 200


def read_page_text(client: Client, people: cast.Cast, path: str) -> str:
    return " ".join(client.get(f"/o/{people.acme.slug}{path}").content.decode().split())


def test_totals_show_both_and_the_rate(people: cast.Cast, dora: Any) -> None:
    client = cast.signed_in(people.alice)
    assert "≈" not in read_page_text(client, people, "/billing")
    path = f"/o/{people.acme.slug}/settings"
    api = api_of(people, "alice")
    changed = api.patch(
        "/api/v1/organisation", {"display_currency": "eur"}, content_type="application/json"
    )
    assert (changed.status_code, changed.json()["display_currency"]) == (200, "EUR")
    assert 'value="EUR"' in client.get(path).content.decode()
    # Without a rate nothing is made up.
    assert "≈" not in read_page_text(client, people, "/billing")
    # Of an older day, which each amount names.
    day = clock.now().date() - dt.timedelta(days=3)
    add_rates(dora, [RateFields("EUR", day, "0.5")])
    rate = f"at 0.5, {date_format(day, 'DATE_FORMAT')}"
    cents = balance(people.acme).available_nano // 2 // 10**7
    page_text = read_page_text(client, people, "/billing")
    assert f"≈ €{cents // 100:,}.{cents % 100:02d} {rate}" in page_text
    statement = read_page_text(client, people, f"/billing/statements/{clock.now():%Y-%m}")
    assert re.search(rf"≈ €[\d,.]+ {rate}", statement)
    write_plan(dora, "Pro", Terms(30 * 10**9, 40 * 10**9))
    write_plan(dora, "Max", Terms(60 * 10**9, 90 * 10**9))
    SubscriptionPlan.objects.update(state="offered")
    with CaptureQueriesContext(connection) as captured:
        plans = read_page_text(client, people, "/billing/plan")
    assert f"≈ €15.00 {rate}" in plans
    assert f"≈ €30.00 {rate}" in plans
    assert sum('FROM "billing_exchangerate"' in one["sql"] for one in captured) == 1
    budget = create_budget(
        cast.actor(people.alice, people.acme), people.acme, lambda *_: Past(0, []),
        scope="organisation", subject="", amount_nano=10**9, period="month", alert_percents=[],
    )  # fmt: skip
    assert f"≈ €0.00 {rate}" in read_page_text(client, people, f"/budgets/{budget.id}")
    with_rate = api.get("/api/v1/balance").json()
    assert with_rate["currency"] == "USD"


def test_invalid_currency_cannot_be_set(people: cast.Cast) -> None:
    alice = cast.actor(people.alice, people.acme)
    for code in ("XYZ", "€", "E\0R"):
        with pytest.raises(Refused):
            set_display_currency(people.acme, code, actor=alice)
    assert set_display_currency(people.acme, "USD", actor=alice).display_currency == ""
