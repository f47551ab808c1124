"""W40 to W42, W75 to W77: what a page or an operation says of one wallet, payment, document or
plan, where two figures, people, days or documents could be taken for each other."""

import csv
import datetime as dt
import io
import re
import zipfile
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import translation

from accounts.access.actors import SYSTEM
from billing.balances.balances import add_opening_credit
from billing.balances.credit_line import set_credit_line
from billing.credits import codes, credits
from billing.invoices.billing_details import set_seller
from billing.invoices.document import describe_document
from billing.ledger.statement import Line, Statement
from billing.models import (
    Account,
    BuyerDetail,
    CodeBatch,
    IncludedUnits,
    Invoice,
    InvoiceLine,
    ProcessorEvent,
    PromoGrant,
    Safeguard,
    Subscription,
    SubscriptionCharge,
    SubscriptionPlan,
    TopUp,
    WalletSetting,
)
from billing.safeguards.safeguards import set_safeguard
from billing.safeguards.words import value_text
from billing.subscriptions import subscriptions
from billing.topups.receipt_document import describe_receipt
from billing.topups.words import top_up_badge
from billing.wallets.views import BalanceDay, balance_days
from lib import clock
from lib.ids import id_text
from tests.support import cast
from tests.support.invoicing import empty_invoice
from tests.support.lists import rows_of
from tests.usage.rows import credit, happen

USD = 10**9
DAY = dt.timedelta(days=1)


def text_of(answer: Any) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def links_of(client: Client, address: str) -> list[str]:
    return [
        unescape(one) for one in re.findall(r'href="([^"]+)"', str(client.get(address).content))
    ]


# A wallet ----------------------------------------------------------------------------------------


def test_chart_has_each_day_and_only_money_that_came_in(people: cast.Cast) -> None:
    """Neither what was spent nor what an operator took away was added."""
    today = clock.now().replace(hour=12, minute=0, second=0, microsecond=0)
    people.acme.created_at = today - 3 * DAY
    moved = [
        ("usage", 0, -2, 3), ("adjust", 1, -4, 5), ("topup", 1, 4, 9), ("redeem", 1, 3, 5),
        ("topup", 3, 2, 2),
    ]  # fmt: skip
    lines = [
        Line(today - ago * DAY, kind, amount, balance, 1) for kind, ago, amount, balance in moved
    ]
    month = (today - 40 * DAY).date().replace(day=1)
    assert balance_days(people.acme, [Statement(month, 0, 3, lines)]) == [
        BalanceDay((today - 3 * DAY).date(), 2, 2),
        BalanceDay((today - 2 * DAY).date(), 2, 0),
        BalanceDay((today - DAY).date(), 5, 7),
        BalanceDay(today.date(), 3, 0),
    ]


def test_overview_tells_balance_available_and_credit_line_apart(people: cast.Cast) -> None:
    add_opening_credit(people.acme, 100 * USD)
    Account.objects.filter(organisation=people.acme, kind="customer:available").update(
        balance_nano=70 * USD
    )
    Account.objects.create(organisation=people.acme, kind="customer:held", balance_nano=23 * USD)
    Account.objects.create(organisation=people.acme, kind="customer:debt", balance_nano=-5 * USD)
    alice = cast.signed_in(people.alice)
    # 70 + 23 - 5 and 70 - 5.
    page = text_of(alice.get("/o/acme/billing"))
    assert "Balance $88.00 $65.00 available" in page
    assert "Reserved now $23.00" in page
    assert "You owe $5.00" in page
    body = alice.get("/api/v1/balance").json()
    assert body == {"currency": "USD", "available": "70.00", "held": "23.00", "debt": "5.00"}
    set_credit_line(people.acme, 11 * USD, actor=cast.actor(people.dora))
    line = text_of(alice.get("/o/acme/billing"))
    assert "$76.00 available, with a credit line of $11.00" in line


def test_used_ledger_line_leads_to_the_requests_of_its_day(people: cast.Cast) -> None:
    key, _ = cast.make_key(people.core)
    credit(key)
    happen(key, clock.now(), 3 * USD, hold_nano=3 * USD)
    [link] = [
        one for one in links_of(cast.signed_in(people.alice), "/o/acme/billing")
        if one.startswith("/o/acme/requests?")
    ]  # fmt: skip
    today = f"{clock.now():%Y-%m-%d}"
    assert parse_qs(urlsplit(link).query) == {
        "range": ["custom"], "from": [today], "to": [today], "tz": ["UTC"],
    }  # fmt: skip


def test_ledger_is_searched_by_reason_document_and_person(people: cast.Cast) -> None:
    for name, reason, document in (("otto", "Outage", "DOC-7"), ("pia", "Goodwill", "N-8")):
        actor = cast.actor(cast.person(name, operator=True))
        credits.request_credit(actor, people.acme, USD, reason=reason, document=document)
    alice = cast.signed_in(people.alice)
    for text, found in (("outage", "otto"), ("n-8", "pia"), ("PIA@", "pia"), ("otto", "otto")):
        page = text_of(alice.get(f"/o/acme/billing?q={text}"))
        assert [name for name in ("otto", "pia") if f"{name}@example.org" in page] == [found], text


def test_months_of_the_ledger_are_offered_newest_first(people: cast.Cast) -> None:
    begun = (clock.now().replace(day=15) - 65 * DAY).replace(day=2)
    type(people.acme).objects.filter(id=people.acme.id).update(created_at=begun)
    page = cast.signed_in(people.alice).get("/o/acme/billing").content.decode()
    [menu] = re.findall(r'<select[^>]*name="month".*?</select>', page, re.DOTALL)
    offered = re.findall(r'value="([^"]*)"', menu)
    assert offered[0] == ""
    assert offered[1:] == sorted(offered[1:], reverse=True)
    assert offered[-1] == f"{begun:%Y-%m}"
    assert len(offered) > 2


def test_settings_of_a_wallet_say_whether_a_card_is_kept(people: cast.Cast) -> None:
    setting = WalletSetting.objects.create(
        organisation=people.acme, low_nano=7 * USD, auto_below_nano=11 * USD,
        auto_amount_nano=13 * USD, customer_ref="cus_1",
    )  # fmt: skip
    alice = cast.signed_in(people.alice)
    shown = {
        "low_balance": "7.00", "automatic": False, "automatic_below": "11.00",
        "automatic_amount": "13.00", "card_kept": True,
    }  # fmt: skip
    assert alice.get("/api/v1/wallet").json() == shown
    setting.customer_ref = ""
    setting.auto_enabled = True
    setting.save()
    other = {**shown, "automatic": True, "card_kept": False}
    assert alice.get("/api/v1/wallet").json() == other


@pytest.mark.parametrize(
    ("state", "refunded", "disputed", "word"),
    [
        ("paid", 0, 0, "Paid"),
        ("paid", 1, 0, "Partially refunded"),
        ("paid", 9, 0, "Partially refunded"),
        ("paid", 10, 0, "Refunded"),
        ("paid", 10, 1, "Disputed"),
        ("expired", 0, 0, "Expired"),
        ("failed", 0, 0, "Failed"),
    ],
)
def test_status_of_a_payment_says_what_went_back(
    state: str, refunded: int, disputed: int, word: str
) -> None:
    top_up = TopUp(state=state, amount_nano=10, refunded_nano=refunded, disputed_nano=disputed)
    assert top_up_badge(top_up).text == word


def test_paid_top_up_says_what_is_available_after_the_debt(people: cast.Cast) -> None:
    top_up = TopUp.objects.create(
        organisation=people.acme, processor="stripe", live=True, amount_nano=50 * USD, state="paid",
        payment_id="pi_1", refunded_nano=3 * USD, paid_at=clock.now(),
    )  # fmt: skip
    for kind, nano in (("customer:available", 40), ("customer:debt", -6)):
        Account.objects.create(organisation=people.acme, kind=kind, balance_nano=nano * USD)
    page = text_of(cast.signed_in(people.alice).get(f"/o/acme/billing/top-ups/{top_up.outer_id}"))
    assert "$50.00 was added. $34.00 is available now. $3.00 was refunded later." in page


# Payments and codes of operators -----------------------------------------------------------------


def test_unmatched_payments_are_listed_newest_first(people: cast.Cast) -> None:
    for n, verdict in enumerate(("refused", "waiting", "applied", "refused")):
        ProcessorEvent.objects.create(
            processor="stripe", event_id=f"evt_{n}", kind="paid", payment_id=f"pi_{n}", told={},
            verdict=verdict, reason=f"reason {n}",
        )  # fmt: skip
    page = text_of(cast.signed_in(people.dora).get("/admin/payments"))
    assert re.findall(r"pi_\d", page) == ["pi_3", "pi_1", "pi_0"]
    assert re.findall(r"reason \d", page) == ["reason 3", "reason 1", "reason 0"]


def test_file_of_codes_says_until_when_they_are_redeemed(people: cast.Cast) -> None:
    until = clock.now().replace(microsecond=0) + 9 * DAY
    dora = cast.actor(people.dora)
    batch = codes.create_batch(dora, "Spring", 5 * USD, 2, expires_at=until)
    answer: Any = cast.signed_in(people.dora).post(f"/admin/codes/{id_text(batch.id)}/download")
    assert answer["Cache-Control"] == "private, no-store"
    assert f"codes-{id_text(batch.id)}.csv" in answer["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert [(row["value"], row["currency"]) for row in rows] == [("5.00", "USD")] * 2
    assert {dt.datetime.fromisoformat(row["expires_at"]) for row in rows} == {until}


def test_share_of_redeemed_codes_is_of_all_their_uses(people: cast.Cast) -> None:
    batch = codes.create_batch(cast.actor(people.dora), "Spring", USD, 4, max_uses=5)
    texts = codes.download_codes(cast.actor(people.dora), batch)
    for text in texts[:3]:
        codes.redeem(cast.actor(people.alice, people.acme), people.acme, text)
    # 3 of 4 codes that can be used 5 times each.
    [row] = rows_of(cast.signed_in(people.dora), "/admin/codes?cols=used")
    assert row == "3 (15.0%)"


def test_page_asks_again_only_while_codes_are_being_made(people: cast.Cast) -> None:
    batch = CodeBatch.objects.create(name="Spring", value_nano=USD, count=1)
    dora, address = cast.signed_in(people.dora), f"/admin/codes?made={id_text(batch.id)}"
    assert 'hx-trigger="every 1s"' in dora.get(address).content.decode()
    CodeBatch.objects.update(downloaded_at=clock.now())
    assert 'hx-trigger="every 1s"' not in dora.get(address).content.decode()


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("credit_limit", 0, "$0.00"),
        ("credit_limit", 250 * USD, "$250.00"),
        ("audit_retention", 0, "Forever"),
        ("audit_retention", 1, "1 day"),
        ("audit_retention", 90, "90 days"),
    ],
)
def test_value_of_a_safeguard_in_words(name: str, value: int, text: str) -> None:
    assert value_text(name, value) == text


def test_safeguards_show_the_value_in_force_and_who_proposed_another(people: cast.Cast) -> None:
    otto = cast.actor(cast.person("otto", operator=True))
    set_safeguard(otto, "credit_limit", 50 * USD, people.acme)
    row = set_safeguard(otto, "credit_limit", 900 * USD, people.acme)
    dora = cast.signed_in(people.dora)
    [item] = dora.get("/api/v1/safeguards").json()["items"]
    assert item.pop("approval")
    assert item == {
        "id": str(row.pk), "name": "credit_limit", "organisation": "acme", "value": "50.00",
        "proposed": "900.00", "proposed_by": "otto@example.org",
    }  # fmt: skip
    assert "Acme $50.00 $900.00 otto@example.org" in text_of(dora.get("/admin/safeguards"))
    assert Safeguard.objects.get().value == 50 * USD


# Documents ---------------------------------------------------------------------------------------


def _two_documents(people: cast.Cast) -> tuple[Invoice, Invoice]:
    """An invoice of a zone where it is a day later by then, and its note."""
    begin = dt.datetime(2025, 12, 31, 18, 30, tzinfo=dt.UTC)
    common: dict[str, Any] = {
        "organisation": people.acme, "zone": "Asia/Kolkata", "from_at": begin,
        "until_at": begin + 31 * DAY, "state": "proposed", "proposed_by": people.dora,
        "closed_by": people.alice, "month": dt.date(2026, 1, 1),
        "closed_at": dt.datetime(2026, 2, 3, 20, 0, tzinfo=dt.UTC),
        "seller": {"legal_name": "Weir Operations", "country": "IE", "tax_id": "IE-1"},
        "buyer": {"legal_name": "Acme Buying", "country": "DE", "tax_id": "DE-2"},
    }  # fmt: skip
    invoice = Invoice.objects.create(kind="invoice", number="INV-2026-0001", **common)
    note = Invoice.objects.create(
        kind="credit_note", number="CN-2026-0002", corrects=invoice, reason="Outage", **common
    )
    lines: list[dict[str, Any]] = [
        {"kind": "credit", "amount_nano": -2 * USD},
        {"kind": "included", "amount_nano": -3 * USD},
        {"kind": "own_key", "amount_nano": 5 * USD, "project": "Bots", "model": "m"},
        {"kind": "cached", "amount_nano": 7 * USD, "team": "core", "model": "m"},
        {"kind": "correction", "amount_nano": 11 * USD, "origin": dt.date(2025, 11, 1)},
        {"kind": "subscription", "amount_nano": 13 * USD, "text": "Gold"},
        {"kind": "tax", "amount_nano": 17 * USD, "text": "VAT", "rate_ppm": 81_000},
    ]
    for n, line in enumerate(lines):
        InvoiceLine.objects.create(invoice=invoice, n=n, **line)
    for one in (invoice, note):
        one.state = "closed"
        one.save(update_fields=["state"])
    return invoice, note


def test_document_names_its_parties_dates_and_lines(people: cast.Cast) -> None:
    invoice, note = _two_documents(people)
    with translation.override("en"):
        shown, noted = describe_document(invoice, "en"), describe_document(note, "en")
    (seller, sells), (buyer, buys) = shown.parties
    assert (seller, sells[0], sells[-1]) == ("Seller", "Weir Operations", "Tax ID: IE-1")
    assert (buyer, buys[0], buys[-1]) == ("Buyer", "Acme Buying", "Tax ID: DE-2")
    assert (shown.corrects, noted.corrects, noted.reason) == ("", "INV-2026-0001", "Outage")
    assert shown.closed_on == "4 Feb 2026"
    assert [(row.amount, row.what) for row in shown.rows[:2]] == [
        ("-2.00", "Promotional credit used"), ("-3.00", "Included usage used"),
    ]  # fmt: skip
    words = ("Bots", "core", "Correction", "Gold", "VAT")
    assert all(word in row.what for word, row in zip(words, shown.rows[2:], strict=True))
    assert [row.rate for row in shown.rows] == [""] * 6 + ["8.1%"]
    assert "November 2025" in shown.rows[4].detail


def test_lines_of_an_invoice_have_their_rate_and_month_in_the_api(people: cast.Cast) -> None:
    _two_documents(people)
    body = cast.signed_in(people.alice).get("/api/v1/invoices/INV-2026-0001").json()
    assert [(line["kind"], line["rate"], line["month"]) for line in body["lines"]] == [
        ("credit", None, None), ("included", None, None), ("own_key", None, None),
        ("cached", None, None), ("correction", None, "2025-11"), ("subscription", None, None),
        ("tax", "8.1", None),
    ]  # fmt: skip
    assert body["seller"]["tax_id"] == "IE-1"
    assert body["buyer"]["tax_id"] == "DE-2"


def test_invoice_and_its_note_lead_to_each_other(people: cast.Cast) -> None:
    _two_documents(people)
    alice, path = cast.signed_in(people.alice), "/o/acme/billing/invoices"
    assert f"{path}/CN-2026-0002" in links_of(alice, f"{path}/INV-2026-0001")
    assert f"{path}/INV-2026-0001" in links_of(alice, f"{path}/CN-2026-0002")


def test_first_invoice_is_announced_for_the_day_in_its_zone(people: cast.Cast) -> None:
    """Of a zone ahead of UTC, the month ends on the day before by UTC."""
    BuyerDetail.objects.create(organisation=people.acme, zone="Pacific/Kiritimati")
    today = clock.now().astimezone(ZoneInfo("Pacific/Kiritimati")).date()
    first = (today.replace(day=1) + 32 * DAY).replace(day=1)
    page = text_of(cast.signed_in(people.alice).get("/o/acme/billing/invoices"))
    assert f"when {today:%B %Y} closes, on 1 {first:%b %Y}." in page


def test_documents_of_a_year_are_those_that_are_closed(
    people: cast.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = [
        empty_invoice(people.acme, people.dora, people.alice, dt.date(*month, 1))
        for month in ((2025, 12), (2026, 1), (2026, 12), (2027, 1))
    ]
    empty_invoice(people.acme, month=dt.date(2026, 2, 1))
    empty_invoice(people.stranger, people.dora, people.alice, dt.date(2026, 3, 1))
    monkeypatch.setattr("billing.topups.views.invoice_pdf", lambda *_: b"%PDF")
    answer = cast.signed_in(people.alice).get("/o/acme/billing/invoices.zip?year=2026")
    names = zipfile.ZipFile(io.BytesIO(b"".join(answer))).namelist()
    assert sorted(names) == [f"{one.number}-en.pdf" for one in closed[1:3]]


@pytest.mark.parametrize("kind", ["invoice", "receipt", "year"])
def test_downloaded_documents_are_kept_by_no_cache(people: cast.Cast, kind: str) -> None:
    _two_documents(people)
    top_up = TopUp.objects.create(
        organisation=people.acme, processor="stripe", live=True, amount_nano=50 * USD, state="paid",
        payment_id="pi_1", paid_at=clock.now(),
    )  # fmt: skip
    addresses = {
        "invoice": "invoices/INV-2026-0001.pdf?language=en",
        "receipt": f"top-ups/{top_up.outer_id}/receipt.pdf?language=en",
        "year": "invoices.zip?year=2026",
    }
    names = {
        "invoice": "INV-2026-0001-en.pdf",
        "receipt": f"receipt-{top_up.outer_id}-en.pdf",
        "year": "invoices-2026-en.zip",
    }
    alice = cast.signed_in(people.alice)
    answer = alice.get(f"/o/acme/billing/{addresses[kind]}")
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "private, no-store"
    assert names[kind] in answer["Content-Disposition"]


# Subscriptions -----------------------------------------------------------------------------------


def test_subscription_tells_granted_left_held_and_its_days_apart(people: cast.Cast) -> None:
    plan = SubscriptionPlan.objects.create(
        name="Gold", price_nano=20 * USD, included_nano=30 * USD, state="offered"
    )
    month = clock.now().date().replace(day=1)
    subscription = Subscription.objects.create(
        organisation=people.acme, plan=plan, zone="Pacific/Kiritimati", month=month,
        started_at=clock.now(),
    )  # fmt: skip
    IncludedUnits.objects.create(
        organisation=people.acme, subscription=subscription, month=month, meter="in_text",
        patterns=["m*"], included=100, used=30, held=7, position=0,
        ends_at=clock.now() + 40 * DAY,
    )  # fmt: skip
    alice = cast.signed_in(people.alice)
    after = (month + 32 * DAY).replace(day=1)
    shown = alice.get("/api/v1/subscription").json()["subscription"]
    assert shown["units"] == [
        {"meter": "in_text", "models": ["m*"], "units": 100, "used": 30, "held": 7}
    ]
    assert (shown["renews_on"], shown["ends_on"]) == (after.isoformat(), None)
    assert f"Renews {after.day} {after:%b %Y}" in text_of(alice.get("/o/acme/billing/plan"))
    subscriptions.cancel_subscription(cast.actor(people.alice, people.acme), people.acme)
    shown = alice.get("/api/v1/subscription").json()["subscription"]
    assert (shown["renews_on"], shown["ends_on"]) == (None, after.isoformat())


def test_ended_subscription_says_the_day_in_its_zone(people: cast.Cast) -> None:
    """An unpaid one ends at once. By UTC it is a day earlier or later there for most of a day."""
    plan = SubscriptionPlan.objects.create(name="Gold", price_nano=0, included_nano=USD)
    zone = "Pacific/Kiritimati" if clock.now().hour >= 12 else "Pacific/Midway"
    Subscription.objects.create(
        organisation=people.acme, plan=plan, zone=zone, state="unpaid", started_at=clock.now(),
        month=clock.now().date().replace(day=1), unpaid_since=clock.now(),
    )  # fmt: skip
    ended = cast.signed_in(people.alice).post("/api/v1/subscription/cancel").json()
    today = clock.now().astimezone(ZoneInfo(zone)).date()
    assert (ended["ends_on"], ended["renews_on"]) == (today.isoformat(), None)


def _included(people: cast.Cast, granted: int, used: int) -> Subscription:
    """A subscription whose included usage of this month is used in part."""
    plan = SubscriptionPlan.objects.create(
        name="Gold", price_nano=20 * USD, included_nano=30 * USD, state="offered"
    )
    month = clock.now().date().replace(day=1)
    subscription = Subscription.objects.create(
        organisation=people.acme, plan=plan, zone="UTC", month=month, started_at=clock.now()
    )
    charge = SubscriptionCharge.objects.create(
        organisation=people.acme, subscription=subscription, plan=plan, month=month, n=0,
        from_day=month, charge_nano=20 * USD, included_nano=30 * USD,
    )  # fmt: skip
    PromoGrant.objects.create(
        organisation=people.acme, amount_nano=granted * USD, consumed_nano=used * USD,
        charge=charge, source="i", expires_at=clock.now() + 40 * DAY,
    )  # fmt: skip
    return subscription


def test_included_usage_is_told_apart_from_promotional_credit(people: cast.Cast) -> None:
    """The one is of the plan, the other of the wallet; each once."""
    _included(people, 30, 12)
    PromoGrant.objects.create(organisation=people.acme, amount_nano=7 * USD, source="p")
    alice = cast.signed_in(people.alice)
    shown = alice.get("/api/v1/subscription").json()["subscription"]
    assert (shown["included_granted"], shown["included_left"]) == ("30.00", "18.00")
    page = text_of(alice.get("/o/acme/billing"))
    assert "$18.00 of $30.00 included usage left" in page
    promo = page.partition("Promotional credit")[2].partition("Ledger")[0]
    assert re.findall(r"\$[\d.]+", promo) == ["$7.00", "$7.00"]


def test_preview_of_a_plan_tells_added_removed_and_renewal_apart(people: cast.Cast) -> None:
    plan = SubscriptionPlan.objects.create(
        name="Gold", price_nano=20 * USD, included_nano=30 * USD, state="offered"
    )
    alice, body = cast.signed_in(people.alice), {"plan": id_text(plan.id)}
    seen = alice.post("/api/v1/subscription/preview", body, "application/json").json()
    today = clock.now().date()
    after = (today.replace(day=1) + 32 * DAY).replace(day=1)
    days = (after - today).days
    assert seen["included_added"] != seen["included_removed"] == "0.00"
    assert (seen["from_day"], seen["renews_on"]) == (today.isoformat(), after.isoformat())
    assert (seen["days"], seen["of_days"]) == (days, (after - today.replace(day=1)).days)
    # Nothing is on the balance: all of the charge is missing.
    assert seen["missing"] == seen["charge"] != "0.00"


def test_redeemed_code_renews_the_balance_in_the_header(people: cast.Cast) -> None:
    batch = codes.create_batch(cast.actor(people.dora), "Spring", 5 * USD, 1)
    [text] = codes.download_codes(cast.actor(people.dora), batch)
    alice = cast.signed_in(people.alice)
    refused = alice.post("/o/acme/billing/redeem", {"code": "no such code"})
    assert (refused.status_code, "HX-Trigger" in refused) == (422, False)
    redeemed = alice.post("/o/acme/billing/redeem", {"code": text})
    assert (redeemed.status_code, redeemed["HX-Trigger"]) == (200, "balance")


def test_receipt_names_its_parties_day_and_what_went_back(people: cast.Cast) -> None:
    set_seller(SYSTEM, legal_name="Weir Operations", tax_id="IE-1")
    BuyerDetail.objects.create(
        organisation=people.acme, legal_name="Acme Buying", tax_id="DE-2", zone="Asia/Tokyo"
    )
    top_up = TopUp.objects.create(
        organisation=people.acme, processor="stripe", live=True, amount_nano=50 * USD, state="paid",
        payment_id="pi_1", refunded_nano=3 * USD, disputed_nano=4 * USD,
        created_at=dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC),
        paid_at=dt.datetime(2026, 3, 3, 20, tzinfo=dt.UTC),
    )  # fmt: skip
    with translation.override("en"):
        shown = describe_receipt(top_up, "en")
    (to, paid_to), (by, paid_by) = shown.parties
    assert (to, paid_to) == ("Paid to", ("Weir Operations", "Tax ID: IE-1"))
    assert (by, paid_by) == ("Paid by", ("Acme Buying", "Tax ID: DE-2"))
    assert (shown.number, shown.reason, shown.closed_on) == (
        top_up.outer_id, "pi_1", "4 Mar 2026",
    )  # fmt: skip
    assert [(row.what, row.amount) for row in shown.rows] == [
        ("Payment by Card", "50.00"), ("Refunded", "-3.00"), ("Reversed by the bank", "-4.00"),
    ]  # fmt: skip
    assert [figure for _, figure in shown.totals] == ["43.00"]


def test_receipt_of_an_organisation_without_details_names_it(people: cast.Cast) -> None:
    top_up = TopUp(organisation=people.acme, processor="manual", amount_nano=USD, state="paid")
    top_up.paid_at = clock.now()
    with translation.override("en"):
        shown = describe_receipt(top_up, "en")
    assert shown.parties[1][1] == ("Acme",)
    assert shown.rows[0].what == "Payment by Bank transfer"
