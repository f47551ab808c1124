"""The bounds of usage as rows: each at the bound and one beyond it."""

import asyncio
import datetime as dt
import io
import tempfile
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast
from unittest.mock import patch
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection

from accounts.models import Membership, Role, User
from billing.currency.money import format_scaled
from billing.models import Budget
from lib.tables.sources import Count
from tests.support.bounds import Bound
from tests.support.cast import Cast, actor
from usage.books import findings
from usage.buckets.buckets import Span
from usage.exports import exports
from usage.feedback.rules import Opinion, problem_of
from usage.filters.filters import Scope, UsageFilter, between, read_end_user
from usage.filters.groupings import read_groupings
from usage.limits import budget_simulation
from usage.log import live_log
from usage.log.live_log import LiveLog
from usage.margin import provider_bill_lines as bill_lines
from usage.margin import provider_bills
from usage.margin.margin import margin
from usage.models import BillMapping, ChartNote, Export, Finding, ProviderBill, SavedView
from usage.month_files import file as month_file
from usage.overview.chart_notes import add_note
from usage.reports.reports import Totals, series_of
from usage.reports.too_many_records import TooManyRecords, check_records
from usage.requests import log as request_log
from usage.requests.histogram import histogram
from usage.requests.log import RequestSource
from usage.requests.log_position import Place, place_of, read_place
from usage.rollups.levels import Copy, Freshness
from usage.saved_views import saved_views
from usage.saved_views.scheduled_reports import set_schedule
from usage.sessions.cache_use import read_cache_use

UTC: Final = ZoneInfo("UTC")
NOON: Final = dt.datetime(2026, 11, 18, 12, 0, tzinfo=dt.UTC)
DAY: Final = dt.timedelta(days=1)
# A scope that the sums do not have: the records themselves are read.
OF_A_TAG: Final = Scope(tags=("beta",))


def a_day() -> UsageFilter:
    return between(NOON, NOON + DAY, UTC, NOON + DAY)


def lists_finding(people: Cast, count: int) -> bool:
    """Whether a finding is listed that is the so manieth of its invariant."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO usage_finding (invariant, object, expected, found, walk, holds,"
            " acknowledged_as, reason) SELECT 'I1', n::text, '', '', 'books', true, '', ''"
            " FROM generate_series(2, %s) n",
            [count],
        )
    findings.note("books", {"I1": [("new",)]})
    return Finding.objects.filter(invariant="I1").count() == count


def start_exports(people: Cast, count: int) -> None:
    for _ in range(count):
        exports.start_export(actor(people.alice, people.acme), "csv", "", "en")


def takes_export(people: Cast, times: int) -> bool:
    """Whether a worker begins an export for the so manieth time."""
    Export.objects.create(
        organisation=people.acme, user=people.alice, form="csv", query="", language="en",
        takes=times - 1,
    )  # fmt: skip
    return exports._take() is not None


class Answers:
    """A cursor of a database in which so many rows fit, without any of them."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __enter__(self) -> "Answers":
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is held."""

    def execute(self, text: str, parameters: dict[str, Any]) -> None:
        self._count = min(self._count, parameters["most"])

    def fetchall(self) -> list[tuple[int]]:
        return [(self._count,)]

    def fetchmany(self, size: int) -> list[tuple[object, ...]]:
        return []


def simulates(people: Cast, requests: int) -> bool:
    """Whether a budget is simulated for so many requests."""
    budget = Budget(
        organisation=people.acme, scope="organisation", amount_nano=1, period="day", anchor=0
    )
    cursor = Answers(requests)
    database = SimpleNamespace(cursor=lambda: cursor, chunked_cursor=lambda: cursor)
    with patch.object(budget_simulation, "connection", database):
        simulated = budget_simulation.would_have(budget)
    return simulated is not None and not simulated.too_many and simulated.of == requests


def streams(people: Cast, count: int) -> bool:
    """Whether the last of so many streams of a person tells anything of the log."""
    log = SimpleNamespace(
        actor=actor(people.alice, people.acme), in_language=lambda make: str(make())
    )

    async def messages(*_: object) -> AsyncIterator[str]:
        yield "a row"

    async def last_message() -> str:
        opened = [
            cast(Any, live_log.live_events(cast(LiveLog, log), None, lambda: False))
            for _ in range(count)
        ]
        told = [await anext(one) for one in opened]
        for one in opened:
            await one.aclose()
        return str(told[-1])

    with patch.object(live_log, "_messages", messages):
        return asyncio.run(last_message()) == "a row"


def sends_rows(people: Cast, count: int) -> bool:
    """Whether a live page gets each of so many new rows, and nobody counts the rest."""
    log = LiveLog(
        actor(people.alice, people.acme), "", a_day(), cast(Any, None), language="en", places={}
    )
    sent: list[int] = []
    counted: list[object] = []

    def count_since(*asked: object) -> Count:
        counted.append(asked)
        return Count(count)

    def html(_: object, rows: list[object], missed: int) -> str:
        sent.append(len(rows))
        assert missed == count - len(rows)
        return "rows"

    with ExitStack() as stack:
        known = {
            "place_now": lambda: place_of("9:9:"),
            "requests_since": lambda *asked: [None] * min(count, asked[-1]),
            "count_since": count_since,
        }
        for name, does in known.items():
            stack.enter_context(patch.object(request_log, name, does))
        stack.enter_context(patch.object(LiveLog, "_html", html))
        log.read_since(place_of("8:8:"))
    return sent == [count] and not counted


def read_margin(people: Cast, days: int) -> None:
    first = NOON.date()
    margin(actor(people.dora), "channel", first, first + (days - 1) * DAY)


def bill_line(model: str) -> None:
    columns = bill_lines.Columns("day", "", "Date", "Model", "Cost")
    cells = {"amount_column": "1", "day_column": NOON.date(), "model_column": model}
    bill_lines._parse_line(1, cells, columns)


def bill_of_days(people: Cast, days: int) -> None:
    mapping = BillMapping(
        provider="openai", match="day", day_column="Date", model_column="Model",
        amount_column="Cost",
    )  # fmt: skip
    first = NOON.date()
    file = io.BytesIO(b"Date,Model,Cost\n%s,gpt-5,1\n" % first.isoformat().encode())
    last = first + (days - 1) * DAY
    provider_bills.reconcile(
        actor(people.dora), mapping, [UUID(int=7)], first, last, file, "bill.csv"
    )


def compare_lines(count: int) -> None:
    """Compare a bill of so many days, none of which is in our records."""
    bill = ProviderBill(
        match="day", first_on=NOON.date(), last_on=NOON.date(), channel_ids=[], tolerance_nano=0
    )
    with connection.cursor() as cursor:
        cursor.execute(provider_bills._TABLE)
        cursor.execute(
            "INSERT INTO bill_line SELECT NULL, %s::date + n, 'gpt-5', 1"
            " FROM generate_series(1, %s) n",
            [bill.first_on, count],
        )
    assert len(provider_bills._compare(bill)) == count


@contextmanager
def file_of_a_month(length: int) -> Iterator[Path]:
    """A signed file of a month whose directory says that its manifest is so long."""
    manifest = month_file._manifest(NOON.date(), {}, [])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "month.zip"
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("manifest.json", manifest)
            packed.writestr("signature", month_file._sign(b"key", manifest))
            packed.getinfo("manifest.json").file_size = length
        yield path


def reads_manifest(length: int) -> bool:
    with file_of_a_month(length) as path:
        try:
            month_file.read_manifest(path, b"key")
        except month_file.MonthFileBroken:
            return False
    return True


def note_chart(people: Cast, count: int) -> None:
    """Add a note that is the so manieth of its organisation."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO usage_chartnote (id, organisation_id, at, text)"
            " SELECT gen_random_uuid(), %s, %s, 'deployed' FROM generate_series(2, %s)",
            [people.acme.pk, NOON, count],
        )
    assert ChartNote.objects.count() == count - 1
    add_note(actor(people.alice, people.acme), dt.datetime(2020, 1, 1, tzinfo=dt.UTC), "new")


def colours(groups: int) -> bool:
    """Whether each of so many groups has its own part of a chart."""
    rows = [(1, place, f"m{place}", f"m{place}", 1) for place in range(1, groups + 1)]
    return all(part.id is not None for part in series_of(a_day(), rows).parts)


def reports_on(records: int) -> bool:
    try:
        check_records(records)
    except TooManyRecords:
        return False
    return True


def draws_bars(people: Cast, requests: int) -> bool:
    """Whether the log of a tag has bars, out of so many requests."""
    asked = replace(a_day(), scope=OF_A_TAG)
    return histogram(actor(people.alice, people.acme), asked, [Totals(requests)]) != []


def counts_exactly(people: Cast, requests: int) -> bool:
    reader = actor(people.alice, people.acme)
    count = RequestSource(reader, Span(NOON, NOON + DAY), sums=Totals(requests)).count()
    return count is not None and count.exact


def place(running: int) -> Place:
    """A place of the log at which so many transactions were running."""
    return place_of(f"1:{running + 1}:{','.join(map(str, range(1, running + 1)))}")


def reads_copy(lag_us: int) -> bool:
    """Whether a day that is not over is read from a copy that is so far behind."""
    copied = Span(NOON, NOON + DAY)
    copy = Copy(cast(Any, None), copied)
    fresh = Freshness(copied.end_at + dt.timedelta(microseconds=lag_us), copies=(copy,))
    return fresh.copy_of([Span(NOON, NOON + 2 * DAY)]) is copy


def save_view(people: Cast, count: int) -> None:
    """Save a view that is the so manieth of a person."""
    of = {"organisation": people.acme, "user": people.alice, "page": "explore"}
    SavedView.objects.bulk_create([SavedView(**of, name=f"View {n}") for n in range(1, count)])
    saved_views.save_view(
        actor(people.alice, people.acme), "explore", "New", "group_by=key", shared=False
    )


def send_report(people: Cast, receivers: int) -> None:
    people_told = User.objects.bulk_create(
        [User(email=f"reader{n}@example.org") for n in range(receivers)]
    )
    Membership.objects.bulk_create(
        [
            Membership(user=person, organisation=people.acme, role=Role.VIEWER)
            for person in people_told
        ]
    )
    view = SavedView.objects.create(
        organisation=people.acme, user=people.alice, page="explore", name="Models"
    )
    alice = actor(people.alice, people.acme)
    set_schedule(alice, view, "week", 8, UTC, [person.pk for person in people_told])


def sums_session(people: Cast, turns: int) -> bool:
    return read_cache_use(actor(people.alice, people.acme), UUID(int=1), turns) is not None


BOUNDS: Final[dict[str, Bound]] = {
    "usage/books/findings.py:note:LISTED_MAX": Bound(lists_finding, None, 200),
    "usage/exports/exports.py:_take:_TAKES_MAX": Bound(takes_export, None, 3),
    "usage/exports/exports.py:start_export:WAITING_MAX": Bound(start_exports, None, 3),
    "usage/exports/exports.py:start_export:_QUERY_MAX": Bound(
        lambda people, n: exports.start_export(
            actor(people.alice, people.acme), "csv", "q" * n, "en"
        ),
        None,
        8_000,
    ),
    "usage/feedback/rules.py:problem_of:COMMENT_MAX": Bound(
        lambda _, n: problem_of(Opinion(comment="c" * n)) is None, 1, 4_000
    ),
    "usage/feedback/rules.py:problem_of:SCORE_MAX": Bound(
        lambda _, n: problem_of(Opinion(n)) is None, 0, 100
    ),
    "usage/filters/filters.py:between:_RANGE_MAX": Bound(
        lambda _, n: between(NOON, NOON + dt.timedelta(seconds=n), UTC, NOON), 1, 316_224_000
    ),
    "usage/filters/filters.py:read_end_user:END_USER_LENGTH": Bound(
        lambda _, n: read_end_user("u" * n), None, 256
    ),
    "usage/filters/groupings.py:read_groupings:GROUPINGS_MAX": Bound(
        lambda _, n: read_groupings(",".join("abc"[:n]), list("abc")), 1, 2
    ),
    "usage/limits/budget_simulation.py:would_have:SIMULATED_MAX": Bound(simulates, None, 500_000),
    "usage/log/live_log.py:live_events:STREAMS_MAX": Bound(streams, None, 3),
    "usage/log/live_log.py:read_since:ROWS_MAX": Bound(sends_rows, None, 50),
    "usage/margin/margin.py:margin:DAYS_MAX": Bound(read_margin, 1, 100),
    "usage/margin/provider_bill_lines.py:_amount:_NANO_MAX": Bound(
        lambda _, n: bill_lines._amount(format_scaled(n, 9)) == n and n, -(10**18), 10**18
    ),
    "usage/margin/provider_bill_lines.py:_parse_line:_MODEL_MAX": Bound(
        lambda _, n: bill_line("m" * n), 1, 200
    ),
    "usage/margin/provider_bills.py:_compare:DIFFERENCES_MAX": Bound(
        lambda _, n: compare_lines(n), None, 10_000
    ),
    "usage/margin/provider_bills.py:reconcile:DAYS_MAX": Bound(bill_of_days, 1, 100),
    "usage/month_files/file.py:read_manifest:_MANIFEST_BYTES_MAX": Bound(
        lambda _, n: reads_manifest(n), None, 16_777_216
    ),
    "usage/overview/chart_notes.py:add_note:NOTES_MAX": Bound(note_chart, None, 1_000),
    "usage/reports/reports.py:series_of:SERIES_MAX": Bound(lambda _, n: colours(n), None, 7),
    "usage/reports/too_many_records.py:check_records:RECORDS_MAX": Bound(
        lambda _, n: reports_on(n), None, 500_000
    ),
    "usage/requests/histogram.py:histogram:COUNTED_MAX": Bound(draws_bars, None, 10_000),
    "usage/requests/log.py:count:COUNTED_MAX": Bound(counts_exactly, None, 10_000),
    "usage/requests/log_position.py:name:OPEN_MAX": Bound(
        lambda _, n: place(n).name == place(n).text, None, 400
    ),
    "usage/requests/log_position.py:read_place:OPEN_MAX": Bound(
        lambda _, n: read_place(place(n).text) == place(n), None, 400
    ),
    "usage/rollups/levels.py:copy_of:LAG_MAX": Bound(lambda _, n: reads_copy(n), None, 120_000_000),
    "usage/saved_views/saved_views.py:_lasting:_QUERY_MAX": Bound(
        lambda _, n: saved_views._lasting("a=" + "b" * (n - 2)), None, 4_000
    ),
    "usage/saved_views/saved_views.py:save_view:VIEWS_MAX": Bound(save_view, None, 100),
    "usage/saved_views/scheduled_reports.py:set_schedule:RECEIVERS_MAX": Bound(send_report, 1, 50),
    "usage/sessions/cache_use.py:read_cache_use:TURNS_MAX": Bound(sums_session, None, 100_000),
}
ELSEWHERE: Final[dict[str, str]] = {}
UNSEEN: Final[dict[str, str]] = {}
