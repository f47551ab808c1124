"""W79: of a provider's bill of 100,000 lines with three planted differences, those are open."""

import csv
import datetime as dt
import io
import os
import zipfile
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import pytest
import xlsxwriter
from django.db import connection

from accounts.access.actors import Actor
from accounts.models import AuditEvent, Key
from gateway.models import Channel
from lib.files.sheets import SheetUnreadable, sheet_rows
from lib.ids import first_id_at, id_text
from tests.support import cast
from tests.support.hostile import LONG, NUL
from tests.usage.rows import CHANNEL, happen, id_at
from usage.margin import provider_bills
from usage.margin.provider_bill_lines import BillRefused, Columns, bill_lines
from usage.models import BillDifference, BillMapping, DetachedMonth, ProviderBill

pytestmark = pytest.mark.django_db
USD = 10**9
DAY = dt.datetime(2026, 11, 3, 0, 0, tzinfo=dt.UTC)
BY_REQUEST = {"match": "request", "request_column": "Request ID", "amount_column": "Cost"}
BY_DAY = {"match": "day", "day_column": "Date", "model_column": "Model", "amount_column": "Cost"}


@pytest.fixture
def dora(people: cast.Cast) -> Actor:
    return cast.actor(people.dora)


def csv_of(rows: Iterable[Sequence[object]], delimiter: str = ",") -> io.BytesIO:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return io.BytesIO(("\ufeff" + text.getvalue()).encode())


def compare(dora: Actor, file: io.BytesIO, **columns: str) -> ProviderBill:
    mapping = BillMapping(provider="openai", **columns)
    day = DAY.date()
    return provider_bills.reconcile(dora, mapping, [CHANNEL], day, day, file, "bill.csv")


def open_of(bill: ProviderBill) -> set[tuple[str, UUID | None, int, int]]:
    return {
        (row.kind, row.request_id, row.billed_nano, row.ours_nano)
        for row in bill.differences.filter(settled_at=None)
    }


def fill(key: Key, n: int) -> list[UUID]:
    """So many records of one day, each of 0.0021 USD, by one statement from one that is whole."""
    happen(key, DAY, cost_nano=2_100_000, charge_nano=0)
    ids = [id_at(DAY + dt.timedelta(seconds=i * 0.8)) for i in range(n)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns"
            " WHERE table_name = 'usage_usagerecord'"
            " AND column_name NOT IN ('id', 'request_id', 'admitted_at', 'xid')"
        )
        ((rest,),) = cursor.fetchall()
        cursor.execute(
            f"INSERT INTO usage_usagerecord (id, request_id, admitted_at, {rest})"
            f" SELECT one, one, %s, {rest} FROM usage_usagerecord"
            " CROSS JOIN unnest(%s::uuid[]) one",
            [DAY, ids],
        )
        cursor.execute("SELECT id FROM usage_usagerecord ORDER BY id")
        return [id for (id,) in cursor.fetchall()]


@pytest.mark.parametrize("n", [1_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_exactly_the_three_planted_differences_are_open(key: Key, dora: Actor, n: int) -> None:
    """One line with another amount, one that we have not, one that the bill has not."""
    ids = fill(key, n - 1)
    assert len(ids) == n
    unknown = UUID(bytes=os.urandom(16))
    amounts = dict.fromkeys(ids, "0.0021")
    changed, missing = ids[n // 3], ids[n // 2]
    amounts[changed] = "0.0022"
    del amounts[missing]
    amounts[unknown] = "0.5"
    lines = ((id_text(id), amount) for id, amount in amounts.items())
    bill = compare(dora, csv_of([("Request ID", "Cost"), *lines]), **BY_REQUEST)
    assert open_of(bill) == {
        ("differs", changed, 2_200_000, 2_100_000),
        ("not_billed", missing, 0, 2_100_000),
        ("not_recorded", unknown, USD // 2, 0),
    }
    assert (bill.lines, bill.ours_nano) == (n, n * 2_100_000)
    assert bill.billed_nano == (n - 2) * 2_100_000 + 2_200_000 + USD // 2
    # The same by day and model: the sums differ by what was planted.
    rows = [("Date", "Model", "Cost")] + [("2026-11-03", "gpt-5-2026", a) for a in amounts.values()]
    by_day = compare(dora, csv_of(rows, ";"), **BY_DAY)
    assert open_of(by_day) == {("differs", None, bill.billed_nano, bill.ours_nano)}


def test_a_difference_of_one_percent_is_reported_and_settled(
    key: Key, dora: Actor, people: cast.Cast
) -> None:
    """W79, by its pages: the mapping is kept, the tolerance holds, a note settles."""
    happen(key, DAY, cost_nano=100 * USD)
    Channel.objects.create(
        id=CHANNEL, name="openai-east", provider="openai", base_url="https://a.b"
    )
    operator = cast.signed_in(people.dora)
    rows = [("Date", "Model", "Cost"), ("2026-11-03T10:00:00Z", "gpt-5-2026", "$101.00")]

    def sent(tolerance: str, content: io.BytesIO) -> dict[str, Any]:
        content.name = "<b>.csv"
        return {
            "provider": "openai", "channels": [id_text(CHANNEL)], "first_on": "2026-11-01",
            "last_on": "2026-11-30", "tolerance": tolerance, "file": content, **BY_DAY,
        }  # fmt: skip

    answer = operator.post("/admin/reconcile/new", sent("1.00", csv_of(rows)), follow=True)
    assert b"Nothing differs" in answer.content
    answer = operator.post("/admin/reconcile/new", sent("0.99", csv_of(rows)), follow=True)
    bill = ProviderBill.objects.latest("id")
    page = f"/admin/reconcile/{id_text(bill.id)}"
    assert b"101.00" in answer.content
    assert b"&lt;b&gt;.csv" in answer.content
    assert operator.get(f"{page}/1").status_code == 200
    assert operator.get(f"{page}/2").status_code == 404
    for note, status in ((" ", 422), (NUL, 422), (LONG, 422), ("Price of October", 303)):
        assert operator.post(f"{page}/1/settle", {"note": note}).status_code == status, note
    settled = BillDifference.objects.get(bill=bill)
    assert (settled.note, settled.settled_by) == ("Price of October", people.dora)
    assert b"Price of October" in operator.get(f"{page}?state=settled").content
    operator.post(f"{page}/1/reopen")
    settled.refresh_from_db()
    assert settled.settled_at is None
    actions = AuditEvent.objects.order_by("id").values_list("action", flat=True)
    assert list(actions)[-4:] == [
        "provider_bill.compared", "provider_bill.compared", "bill_difference.settled",
        "bill_difference.reopened",
    ]  # fmt: skip
    assert "openai" in operator.get("/admin/reconcile").content.decode()
    kept = operator.get("/admin/reconcile/new?provider=openai").content.decode()
    assert 'value="Model"' in kept
    assert 'href="?provider=openai"' in operator.get("/admin/reconcile/new").content.decode()
    wrongs: list[dict[str, Any]] = [
        {"file": csv_of([])},
        {"day_column": "X"},
        {"tolerance": "-1"},
        {"channels": []},
    ]
    for wrong in wrongs:
        again = {**sent("0", csv_of(rows)), **wrong}
        assert operator.post("/admin/reconcile/new", again).status_code == 422, wrong


def test_a_workbook_is_read_as_typed_cells(key: Key, dora: Actor) -> None:
    happen(key, DAY, cost_nano=3 * USD)
    file = io.BytesIO()
    book: Any = xlsxwriter.Workbook(file, {"default_date_format": "yyyy-mm-dd"})
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["Model", "Cost", "Date"])
    sheet.write_row(1, 0, ["gpt-5-2026", 3.0])
    sheet.write_datetime(1, 2, DAY.replace(tzinfo=None))
    book.close()
    file.seek(0)
    bill = compare(dora, file, **BY_DAY)
    assert (bill.lines, bill.billed_nano, open_of(bill)) == (1, 3 * USD, set())


COLUMNS = Columns("day", "", "Date", "Model", "Cost")
HEADS = ("Date", "Model", "Cost")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (("2026-11-03", "m", "1,5x"), "Row 2, column Cost"),
        (("2026-11-03", "m", "NaN"), "Row 2, column Cost"),
        (("2026-11-03", "m", "1e99"), "Row 2, column Cost"),
        (("2026-11-03", "m", "1e999999"), "Row 2, column Cost"),
        (("2026-11-03", "m", "9" * 5_000), "Row 2, column Cost"),
        (("2026-11-03", "m"), "Row 2, column Cost cannot be read: empty"),
        (("03/11/2026", "m", "1"), "Row 2, column Date"),
        (("2026-11-03", "", "1"), "Row 2, column Model"),
        (("2026-11-03", "m" * 201, "1"), "Row 2, column Model"),
        (("2026-11-03", "m\0", "1"), "Row 2, column Model"),
    ],
)
def test_unreadable_file_names_row_and_column(row: tuple[str, ...], says: str) -> None:
    with pytest.raises(BillRefused, match=says):
        list(bill_lines([HEADS, row], COLUMNS))


def test_amounts_are_exact_to_the_nano() -> None:
    texts = ("0.000000001", "-2", "$1,234.5", "1,234,567", "0.0000000005", "1e-3", 0.1)
    lines = list(bill_lines([HEADS, *(("2026-11-03", "m", text) for text in texts)], COLUMNS))
    amounts = [line.amount_nano for line in lines]
    assert amounts == [
        1, -2 * USD, 1_234_500_000_000, 1_234_567 * USD, 0, 1_000_000, 100_000_000,
    ]  # fmt: skip


@pytest.mark.parametrize("amount", ["12,34", "0,000123", "1.234,56", "1,234", "0,123", "1,2,3.4"])
def test_decimal_comma_is_never_read_as_another_amount(dora: Actor, amount: str) -> None:
    """A spreadsheet of another language saves decimal commas, and columns between semicolons."""
    rows = [("Date", "Model", "Cost"), ("2026-11-03", "m", amount)]
    with pytest.raises(BillRefused, match=f"Row 2, column Cost cannot be read: {amount}"):
        compare(dora, csv_of(rows, ";"), **BY_DAY)


@pytest.mark.parametrize("day", ["0001-01-01", "1960-01-01", "9999-12-31"])
def test_bill_of_another_age_is_refused(dora: Actor, day: str) -> None:
    mapping = BillMapping(provider="openai", **BY_REQUEST)
    file, on = csv_of([("Request ID", "Cost"), (id_text(CHANNEL), "1")]), dt.date.fromisoformat(day)
    with pytest.raises(BillRefused, match="from 2000 to 2199") as refused:
        provider_bills.reconcile(dora, mapping, [CHANNEL], on, on, file, "bill.csv")
    assert refused.value.field == "first_on"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b'"', b"PK\x03\x04broken", b"a" * 200_000])
def test_malformed_table_is_rejected(dora: Actor, content: bytes) -> None:
    with pytest.raises(BillRefused):
        compare(dora, io.BytesIO(content), **BY_DAY)
    assert not ProviderBill.objects.exists()


def test_a_workbook_that_unpacks_to_gigabytes_is_refused() -> None:
    file = io.BytesIO()
    packed = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)
    with packed, packed.open("xl/workbook.xml", "w") as member:
        for _ in range(257):
            member.write(bytes(1024 * 1024))
    assert file.tell() < 1024 * 1024
    file.seek(0)
    with pytest.raises(SheetUnreadable):
        list(sheet_rows(file))


def test_second_bill_for_a_filed_month_is_rejected(key: Key, dora: Actor) -> None:
    """Without its requests each of its lines would differ."""
    first, end = DAY.replace(day=1), DAY.replace(day=1, month=DAY.month + 1)
    detached = DetachedMonth.objects.create(
        month=first.date(), first_id=first_id_at(first), end_id=first_id_at(end), from_at=first,
        to_at=end, price_version_ids=[],
    )  # fmt: skip
    rows: list[list[object]] = [["Date", "Model", "Cost"], [DAY.date(), "x", "1"]]
    with pytest.raises(BillRefused, match="2026-11 are kept in a file"):
        compare(dora, csv_of(rows), **BY_DAY)
    detached.delete()
    assert compare(dora, csv_of(rows), **BY_DAY).lines == 1


def test_lines_of_one_request_are_added_up(key: Key, dora: Actor) -> None:
    """Such as one for its input and one for its output."""
    record = happen(key, DAY, cost_nano=3 * USD)
    lines = [[id_text(record.id), amount] for amount in ("1", "2")]
    bill = compare(dora, csv_of([["Request ID", "Cost"], *lines]), **BY_REQUEST)
    assert (bill.lines, bill.billed_nano, open_of(bill)) == (2, 3 * USD, set())


def test_a_bill_covers_as_many_days_as_are_offered(dora: Actor) -> None:
    first = DAY.date()
    last = first + dt.timedelta(days=provider_bills.DAYS_MAX - 1)
    rows: list[list[object]] = [["Date", "Model", "Cost"], [last, "x", "1"]]

    def reconcile(to: dt.date) -> ProviderBill:
        mapping = BillMapping(provider="openai", **BY_DAY)
        return provider_bills.reconcile(
            dora, mapping, [CHANNEL], first, to, csv_of(rows), "bill.csv"
        )

    assert reconcile(last).lines == 1
    with pytest.raises(BillRefused, match="from 1 to 100 days"):
        reconcile(last + dt.timedelta(days=1))
