"""W43, W44: a month's statement ties with the ledger, the invoice and the page of usage, in any
zone; as page, CSV, XLSX and by the API; and the proof finds what was tampered with."""

import csv
import datetime as dt
import io
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from django.utils.html import strip_tags

from accounts.access.actors import Actor
from accounts.models import Key, KeyKind, Organisation
from billing.currency.money import format_usd
from billing.ledger import ledger
from billing.ledger.funding import adjust
from billing.ledger.statement import Line, close_days, statement
from billing.ledger.statement_months import month_statement
from billing.ledger.words import line_word
from billing.models import StatementDay
from billing.periods.months import month_span
from lib import clock
from lib.ids import first_id_at, id_text, new_id
from tests.support import cast
from tests.support.invoicing import charged, closed, drafted, empty_invoice, mid_month, post_at
from tests.support.markup import squeezed
from tests.usage.rows import happen
from usage.models import DetachedMonth
from usage.statements import files, statements, views

pytestmark = pytest.mark.django_db
USD = 10**9


@pytest.fixture
def dora(people: cast.Cast) -> Actor:
    return cast.actor(people.dora)


def last() -> dt.date:
    """The first day of the last month: asked anew in each test, for a run may begin before it."""
    return mid_month().date().replace(day=1)


@pytest.fixture
def month_is_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last month is over for good: in its wake it would not be compared yet."""
    complete = SimpleNamespace(complete_to=clock.now() + dt.timedelta(days=1))
    monkeypatch.setattr(statements, "read_freshness", lambda: complete)


def old(organisation: Organisation) -> None:
    """It began three months ago, and so did its opening credit."""
    at = mid_month(3)
    Organisation.objects.filter(id=organisation.id).update(created_at=at)
    post_at(at, "opening")
    organisation.refresh_from_db()


@pytest.mark.parametrize(
    "zone", ["UTC", "Asia/Kolkata", "America/St_Johns", "Pacific/Apia", "Australia/Lord_Howe"]
)
@pytest.mark.parametrize("kept", [False, True])
def test_month_in_any_zone_contains_its_postings(
    people: cast.Cast, key: Key, zone: str, kept: bool
) -> None:
    """I17, I19: one charge beside each edge of the month, on both sides; and one that is free,
    which counts as none."""
    old(people.acme)
    span = month_span(last(), ZoneInfo(zone))
    minute = dt.timedelta(minutes=1)
    amounts = {
        span.start_at - minute: 1,
        span.start_at + minute: 20,
        span.end_at - minute: 300,
        span.end_at + minute: 4_000,
        mid_month(): 50_000,
    }
    for at, usd in amounts.items():
        charged(key, at, usd * USD)
        charged(key, at, 0)
    if kept:
        close_days(400)
        assert StatementDay.objects.exists()
    expected = month_statement(people.acme, last(), ZoneInfo(zone))
    assert -expected.moved()["usage"] == 50_320 * USD
    assert expected.opening_nano + sum(expected.moved().values()) == expected.closing_nano
    assert expected.lines[0].balance_nano == expected.closing_nano
    assert [(line.count, line.amount_nano // -USD) for line in expected.lines] == [
        (1, 300), (1, 50_000), (1, 20),
    ]  # fmt: skip
    assert expected.opening_nano == 10**15 - 1 * USD
    following = month_statement(people.acme, clock.now().date().replace(day=1), ZoneInfo(zone))
    assert following.opening_nano == expected.closing_nano


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/St_Johns"])
def test_payments_beside_the_edges_are_in_their_local_month(
    people: cast.Cast, key: Key, zone: str
) -> None:
    """I19: one on both sides of each edge of the month; each has its own line, and all add up."""
    old(people.acme)
    month = mid_month(2).date().replace(day=1)
    span = month_span(month, ZoneInfo(zone))
    minute = dt.timedelta(minutes=1)
    amounts = {
        span.start_at - minute: 1,
        span.start_at + minute: 20,
        span.end_at - minute: 300,
        span.end_at + minute: 4_000,
    }
    for at, usd in amounts.items():
        ledger.post(adjust(new_id(), usd * USD, ledger.lock_wallet(people.acme.id)))
        post_at(at, "adjust")
    found = month_statement(people.acme, month, ZoneInfo(zone))
    assert [(line.at, line.amount_nano // USD) for line in found.lines] == [
        (span.end_at - minute, 300), (span.start_at + minute, 20),
    ]  # fmt: skip
    assert (found.opening_nano, found.closing_nano) == (10**15 + 1 * USD, 10**15 + 321 * USD)
    assert found.opening_nano + sum(found.moved().values()) == found.closing_nano


def test_closed_month_is_compared_by_the_movement_of_its_document(
    people: cast.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the ledger today could have been changed since, and would always match."""
    monkeypatch.setattr(statements, "movement_of", lambda *_: [("settle", "revenue", "", 9)])
    monkeypatch.setattr(statements, "wallet_nano", len)
    statement: Any = SimpleNamespace(
        moved=lambda: {"usage": -3}, span=None, opening_nano=1, closing_nano=8
    )
    for invoice, nano in ((empty_invoice(people.acme), 0), (None, 1)):
        first = next(statements._checks(people.acme, statement, invoice, used=False))
        assert first == statements.Check("ledger", nano, 7)


@pytest.mark.usefixtures("month_is_summed")
def test_everything_matches_or_states_the_difference(
    people: cast.Cast, key: Key, dora: Actor, sum_up: Callable[[], None]
) -> None:
    """Entries = balances = statements = invoice = dashboards, with requests over both edges."""
    old(people.acme)
    span = month_span(last(), ZoneInfo("UTC"))
    hour = dt.timedelta(hours=1)
    charged(key, span.start_at + hour, 3 * USD, span.start_at - hour)
    charged(key, span.end_at + hour, 5 * USD, span.end_at - hour)
    charged(key, mid_month(), 11 * USD)
    erik = cast.actor(cast.person("erik", operator=True))
    sum_up()
    closed(drafted(people.acme, dora), dora, erik)
    result = statements.tie_out(people.acme, last())
    assert result.state == "closed"
    assert {check.name for check in result.checks} == {"ledger", "invoice", "usage"}
    assert result.ties, result.checks
    usage = result.checks[-1]
    assert dict(usage.parts) == {
        "shown": 16 * USD, "before": 3 * USD, "after": -5 * USD, "corrected": 0,
    }  # fmt: skip
    whole = statements.proof(people.acme)
    assert whole.ties
    assert len(whole.months) == 4
    assert whole.balance_nano == whole.months[0].statement.closing_nano
    # Whoever owns the database changes one kept day: the statement says by how much.
    close_days(400)
    StatementDay.objects.filter(day=mid_month().date()).update(amount_nano=-12 * USD)
    wrong = statements.tie_out(people.acme, last())
    assert not wrong.ties
    assert {check.name: check.difference_nano for check in wrong.checks} == {
        "ledger": 1 * USD, "invoice": -1 * USD, "usage": -1 * USD,
    }  # fmt: skip
    assert not statements.proof(people.acme).chained


@pytest.mark.usefixtures("month_is_summed")
@pytest.mark.parametrize(("months", "compared"), [(0, False), (1, True), (-1, False)])
def test_month_beside_requests_in_a_file_is_not_compared_with_usage(
    people: cast.Cast, key: Key, sum_up: Callable[[], None], months: int, compared: bool
) -> None:
    """W43, W44: a request over the edge of a month is in the file of the month in which it began,
    so the month and the one after it cannot be compared with the page of usage; others can."""
    old(people.acme)
    span = month_span(last(), ZoneInfo("UTC"))
    charged(key, mid_month(), 11 * USD)
    sum_up()
    day = dt.timedelta(days=1)
    away = {0: span.start_at, 1: span.end_at, -1: (span.start_at - day).replace(day=1)}[months]
    end_at = (away + 31 * day).replace(day=1)
    detached = DetachedMonth.objects.create(
        month=away.date(), first_id=first_id_at(away), end_id=first_id_at(end_at), from_at=away,
        to_at=end_at, price_version_ids=[],
    )  # fmt: skip
    result = statements.tie_out(people.acme, last())
    assert [check.name for check in result.checks] == ["ledger", *["usage"] * compared]
    alice = cast.signed_in(people.alice)
    page = alice.get(f"/o/acme/billing/statements/{last():%Y-%m}").content.decode()
    assert ("The usage page is not compared. The requests of" in page) is not compared
    assert "Differs" not in page
    proof = statements.proof(people.acme)
    assert proof.ties
    assert proof.detached == [detached]
    page = alice.get("/o/acme/billing/proof").content.decode()
    assert "are in a file, the usage page is not compared." in page


def test_running_month_is_not_compared(
    people: cast.Cast, key: Key, sum_up: Callable[[], None]
) -> None:
    sum_up()
    month = clock.now().date().replace(day=1)
    result = statements.tie_out(people.acme, month)
    assert (result.state, result.checks) == ("open", ())
    assert result.statement.closing_nano == statement(people.acme, month).closing_nano


@pytest.fixture
def books(
    people: cast.Cast, key: Key, dora: Actor, sum_up: Callable[[], None], month_is_summed: None
) -> Key:
    """A closed month with usage, and a reason that begins as a formula does."""
    old(people.acme)
    charged(key, mid_month(), 11 * USD + 1, model="=1+1")
    charged(key, mid_month() + dt.timedelta(days=1), 2 * USD)
    wallets = wallets_of(people)
    post_at(mid_month(), "adjust")
    assert wallets
    sum_up()
    closed(drafted(people.acme, dora), dora, cast.actor(cast.person("erik", operator=True)))
    return key


def wallets_of(people: cast.Cast) -> bool:
    posting = adjust(new_id(), 7 * USD, ledger.lock_wallet(people.acme.id))
    return ledger.post(posting, actor="dora@example.org", cause={"reason": '=HYPERLINK("x")'})


def test_page_csv_workbook_and_api_agree(people: cast.Cast, books: Key) -> None:
    """I19, in every form."""
    statement_value = statements.tie_out(people.acme, last()).statement
    period = f"{last():%Y-%m}"
    alice = cast.signed_in(people.alice)
    page = alice.get(f"/o/acme/billing/statements/{period}").content.decode()
    assert format_usd(statement_value.closing_nano) in page
    assert page.count("Matches") == 3
    assert "Differs" not in page
    assert "Closed" in alice.get("/o/acme/billing/statements").content.decode()
    proof = alice.get("/o/acme/billing/proof").content.decode()
    assert "Everything matches" in proof

    answer = alice.get(f"/o/acme/billing/statements/{period}.csv")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))
    assert rows[0]["type"] == "opening_balance"
    assert rows[-1]["balance"] == format_usd(statement_value.closing_nano)
    moved = sum(Decimal(row["amount"]) for row in rows if row["amount"])
    assert Decimal(rows[0]["balance"]) + moved == Decimal(rows[-1]["balance"])
    assert next(row["reason"] for row in rows if row["type"] == "adjust").startswith("'=")

    _, secret = cast.make_key(people.core, "mgmt", user=people.alice, kind=KeyKind.MANAGEMENT)
    program = cast.with_key(secret)
    body = program.get(f"/api/v1/statements/{period}").json()
    assert (body["opening"], body["closing"]) == (rows[0]["balance"], rows[-1]["balance"])
    assert Decimal(body["opening"]) + sum(map(Decimal, body["moved"].values())) == Decimal(
        body["closing"]
    )
    assert {check["source"]: check["difference"] for check in body["checks"]} == {
        "ledger": "0.00", "invoice": "0.00", "usage": "0.00",
    }  # fmt: skip
    assert len(body["items"]) == len(rows) - 2
    assert len(program.get("/api/v1/statements").json()["items"]) == 4
    for wrong in ("1999-01", "2026-13", "x", "2026-1", "٢٠٢٦-١٠"):
        assert program.get(f"/api/v1/statements/{wrong}").status_code == 404
        assert alice.get(f"/o/acme/billing/statements/{wrong}").status_code == 404


def test_the_workbook_has_typed_cells_and_formulas(people: cast.Cast, books: Key) -> None:
    statement_value = statements.tie_out(people.acme, last()).statement
    address = f"/o/acme/billing/statements/{last():%Y-%m}.xlsx"
    answer = cast.signed_in(people.alice).get(address)
    assert answer["Content-Disposition"].endswith('.xlsx"')
    values = openpyxl.load_workbook(io.BytesIO(answer.content), data_only=True)
    assert values.sheetnames == ["Summary", "Model", "Key", "Person", "Ledger"]
    summary: Any = values["Summary"]
    figures = [row[1] for row in summary.iter_rows(min_row=2, values_only=True)]
    assert all(isinstance(figure, int | float) for figure in figures)
    assert Decimal(str(figures[-1])) == Decimal(format_usd(statement_value.closing_nano))
    assert sum(Decimal(str(figure)) for figure in figures[:-1]) == Decimal(str(figures[-1]))
    formulas: Any = openpyxl.load_workbook(io.BytesIO(answer.content))
    assert formulas["Summary"].freeze_panes == "A2"
    assert [cell.data_type for cell in formulas["Model"][2]] == ["s", "n", "n", "n"]
    assert "=1+1" in [cell.value for cell in formulas["Model"]["A"]]
    lines = list(formulas["Ledger"].iter_rows(min_row=2))
    assert len(lines) == len(statement_value.lines)
    for cells, line in zip(lines, reversed(statement_value.lines), strict=True):
        assert isinstance(cells[0].value, dt.datetime)
        assert Decimal(str(cells[3].value)) == Decimal(format_usd(line.amount_nano))
        assert all(cell.data_type in ("s", "n", "d") for cell in cells)


def test_groups_beyond_the_largest_are_one_row_of_the_statement(
    people: cast.Cast, books: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W43: the total of a grouping is that of the month, however many groups there are."""
    monkeypatch.setattr(views, "_GROUPS_MAX", 1)
    alice, address = cast.signed_in(people.alice), f"/o/acme/billing/statements/{last():%Y-%m}"
    page = squeezed(strip_tags(alice.get(f"{address}?tab=model").content.decode()))
    assert re.search(r"=1\+1 1 0 \$11\.00\S* Others 1 0 \$2\.00", page)
    assert re.search(r"Requests that began this month \$13\.00", page)
    book = openpyxl.load_workbook(io.BytesIO(alice.get(f"{address}.xlsx").content))
    model: Any = book["Model"]
    assert [row[0].value for row in model.iter_rows(min_row=2)] == ["=1+1", "Others", "Total"]
    assert (model["D3"].value, model["D4"].value) == (2, "=SUM(D2:D3)")
    assert [cell.value for cell in book["Key"]["A"]][2:] == ["Total"]


def test_each_column_of_the_files_has_its_own_value(people: cast.Cast, books: Key) -> None:
    """One line whose values all differ."""
    whole = statements.tie_out(people.acme, last()).statement
    cause = {"reason": "a reason", "document": "a document"}
    line = Line(mid_month(), "adjust", 3 * USD, 7 * USD, 1, new_id(), "an actor", cause)
    line_id = id_text(line.id or new_id())
    statement = replace(whole, lines=[line])
    head, *rows = files.csv_rows(statement)
    assert head == (
        "time", "type", "charges", "amount", "balance", "reason", "document", "by", "id",
    )  # fmt: skip
    _, row, _ = rows
    assert len(rows) == 3
    assert row[1:] == (
        "adjust", "", "3.00", "7.00", "a reason", "a document", "an actor", line_id,
    )  # fmt: skip
    book: Any = openpyxl.load_workbook(io.BytesIO(files.workbook(statement, {})))
    assert book["Summary"].cell(8, 2).value == "=SUM(B2:B7)"
    heads, cells = book["Ledger"].iter_rows(values_only=True)
    shown = dict(zip(heads, cells, strict=True))
    at = mid_month().replace(tzinfo=None)
    assert abs(shown.pop("Time (UTC)") - at) < dt.timedelta(seconds=1)
    assert shown == {
        "Type": str(line_word("adjust")), "Charges": None, "Amount (USD)": 3, "Balance (USD)": 7,
        "Reason": "a reason", "Document": "a document", "By": "an actor", "ID": line_id,
    }  # fmt: skip


def test_statements_of_no_usage(people: cast.Cast) -> None:
    alice = cast.signed_in(people.alice)
    month = f"{clock.now():%Y-%m}"
    assert "No transactions" in alice.get(f"/o/acme/billing/statements/{month}").content.decode()
    for tab in ("model", "key", "user", "other"):
        assert alice.get(f"/o/acme/billing/statements/{month}?tab={tab}").status_code == 200
    assert alice.get(f"/o/acme/billing/statements/{month}.xlsx").status_code == 200
    assert alice.get("/o/acme/billing/proof").status_code == 200


def test_request_that_ends_at_the_edge_of_a_month_crosses_it(key: Key) -> None:
    edge = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    second, tick = dt.timedelta(seconds=1), dt.timedelta(microseconds=1)
    for admitted_at, ended_at, nano in (
        (edge - second, edge - tick, 1),
        (edge - second, edge, 20),
        (edge - tick, edge + second, 300),
        (edge, edge + second, 4_000),
    ):
        happen(key, admitted_at, nano, ended_at=ended_at)
    assert statements._crossed_nano(key.organisation, edge) == 320


@pytest.mark.parametrize(("zone", "first"), [("UTC", 9), ("Asia/Tokyo", 10)])
def test_first_month_is_that_of_the_creation_in_the_zone(
    monkeypatch: pytest.MonkeyPatch, zone: str, first: int
) -> None:
    monkeypatch.setattr(clock, "now", lambda: dt.datetime(2026, 11, 30, 14, tzinfo=dt.UTC))
    organisation = Organisation(created_at=dt.datetime(2026, 9, 30, 20, tzinfo=dt.UTC))
    months = statements._months(organisation, ZoneInfo(zone))
    assert months == [dt.date(2026, n, 1) for n in range(11, first - 1, -1)]
