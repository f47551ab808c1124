"""I19: what happens in the first instant of a month is on its invoice, in the first one after it on
the next."""

import datetime as dt
from types import SimpleNamespace
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.db import OperationalError, connection
from django.db.backends.utils import CursorWrapper

from accounts.models import Key, Organisation
from billing.ledger.funding import consume_promo
from billing.ledger.ledger import post
from billing.ledger.movements import movement_of
from billing.ledger.posting import Entry, Posting
from billing.models import Invoice, Seal
from billing.models import Posting as StoredPosting
from billing.periods.period_starts import Span
from lib import clock
from lib.ids import new_id
from tests.support import cast, invoicing
from tests.usage import rows
from usage.models import BooksCheck, DetachedMonth, Review
from usage.months import close, detaching
from usage.months.invoice_lines import gather
from usage.records.partitions import ensure_partitions
from usage.rollups.rollups import replace_all

pytestmark = pytest.mark.django_db

UTC = ZoneInfo("UTC")
MONTH = Span(dt.datetime(2026, 10, 1, tzinfo=dt.UTC), dt.datetime(2026, 11, 1, tzinfo=dt.UTC))
TICK = dt.timedelta(microseconds=1)
MILLISECOND = dt.timedelta(milliseconds=1)


def happen_at(key: Key, at: dt.datetime) -> None:
    """A charge, a correction, a fee and a use of promo, all of one instant."""
    owner = key.organisation_id
    before = set(StoredPosting.objects.values_list("id", flat=True))
    version = rows.price_version(f"m{len(before)}")
    rows.happen(key, at, price_version_id=version.id, ended_at=at)
    lines = (Entry("revenue", owner, 3), Entry("customer:available", owner, -3))
    post(Posting(f"adjust:{new_id()}:late", "correct", lines))
    fee = (Entry("subscription:fees", owner, 4), Entry("customer:available", owner, -4))
    post(Posting(f"subscription:{new_id()}", "adjust", fee), cause={"reason": "Pro"})
    post(consume_promo(new_id(), 1, 5, owner))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for id_ in StoredPosting.objects.exclude(id__in=before).values_list("id", flat=True):
            cursor.execute(
                "UPDATE billing_posting SET created_at = %s, id = %s WHERE id = %s",
                [at, rows.id_at(at), id_],
            )
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


@pytest.mark.parametrize(
    ("at", "inside"),
    [(MONTH.start_at - TICK, False), (MONTH.start_at, True),
     (MONTH.end_at - TICK, True), (MONTH.end_at, False)],
)  # fmt: skip
def test_instant_belongs_to_one_month(key: Key, at: dt.datetime, inside: bool) -> None:
    happen_at(key, at)
    found = gather(key.organisation, UTC, MONTH)
    lines = {"usage", "correction", "subscription", "credit"} if inside else set()
    assert {line.kind for line in found.lines} == lines
    assert bool(found.movement) is inside
    # The same beside what is surely of the month.
    happen_at(key, MONTH.start_at + dt.timedelta(days=9))
    amounts = dict[str, int]()
    for line in gather(key.organisation, UTC, MONTH).lines:
        amounts[line.kind] = amounts.get(line.kind, 0) + line.amount_nano
    times = 1 + inside
    assert (amounts["correction"], amounts["subscription"]) == (3 * times, 4 * times)
    assert amounts["credit"] == -5 * times
    before = gather(key.organisation, UTC, Span(MONTH.start_at - (MONTH.end_at - MONTH.start_at),
                                                MONTH.start_at))  # fmt: skip
    assert bool(before.lines) is (at < MONTH.start_at)


def test_the_movement_counts_postings_and_sums_their_lines(key: Key) -> None:
    happen_at(key, MONTH.start_at)
    assert ["correct", "revenue", 1, 3] in movement_of(key.organisation_id, MONTH)
    assert ["consume", "promo:earmarked", 1, 5] in movement_of(key.organisation_id, MONTH)


def seal_up_to(at: dt.datetime) -> None:
    Seal.objects.create(
        kind="ledger", from_at=at - TICK, to_at=at, rows=0, digest=b"", code=b"", form=4
    )


@pytest.mark.parametrize(
    ("sealed_to", "drafted"),
    [(None, 0), (MONTH.end_at - TICK, 0), (MONTH.end_at, 1)],
)
def test_a_month_is_drafted_once_the_ledger_is_sealed_to_its_end(
    key: Key, monkeypatch: pytest.MonkeyPatch, sealed_to: dt.datetime | None, drafted: int
) -> None:
    month = (MONTH.start_at.date(), UTC, MONTH)
    monkeypatch.setattr(close, "_periods", lambda of: [month] if of == key.organisation else [])
    monkeypatch.setattr(close, "_draft", lambda *_: True)
    if sealed_to is not None:
        seal_up_to(sealed_to)
    assert close.draft_invoices() == drafted


@pytest.mark.parametrize(
    ("ran_at", "broken", "ok"),
    [(None, {}, False), (MONTH.end_at - TICK, {}, False), (MONTH.end_at, {}, True),
     (MONTH.end_at, {"I1": ["1"]}, False)],
)  # fmt: skip
def test_the_ledger_was_checked_since_the_end_of_the_month(
    ran_at: dt.datetime | None, broken: dict[str, list[str]], ok: bool
) -> None:
    if ran_at is not None:
        BooksCheck.objects.create(id=1, ran_at=ran_at, broken=broken)
    assert close._invariants(Invoice(until_at=MONTH.end_at)).ok is ok


@pytest.mark.parametrize(("opened_at", "ok"), [(MONTH.end_at - TICK, False), (MONTH.end_at, True)])
def test_month_waits_for_running_requests(key: Key, opened_at: dt.datetime, ok: bool) -> None:
    rows.admit(key, opened_at)
    invoice = Invoice(organisation=key.organisation, until_at=MONTH.end_at)
    assert close._check_holds(invoice).ok is ok


@pytest.mark.parametrize(
    ("count", "names"), [(5, "o0, o1, o2, o3, o4."), (6, "o0, o1, o2, o3, o4, ….")]
)
def test_five_organisations_with_open_invoices_are_named(
    monkeypatch: pytest.MonkeyPatch, count: int, names: str
) -> None:
    unclosed = [Organisation(slug=f"o{n}") for n in range(count)]
    monkeypatch.setattr(detaching, "find_unclosed", lambda *_: unclosed)
    monkeypatch.setattr(detaching, "has_own", lambda _: True)
    ended = detaching._MonthContents(1, 0, 0, 1, MONTH.start_at, MONTH.end_at, MONTH.start_at)
    monkeypatch.setattr(detaching, "_read_contents", lambda _: ended)
    now = MONTH.end_at + detaching.RESTS
    monkeypatch.setattr(clock, "now", lambda: now)
    (why,) = [one for one in detaching.obstacles(MONTH.start_at.date()) if "Invoices" in one]
    assert why.endswith(f" are not closed: {names}")
    monkeypatch.setattr(clock, "now", lambda: now - TICK)
    assert detaching.obstacles(MONTH.start_at.date()) == ["It can be detached from 2026-12-02 on."]


def test_running_or_pending_work_keeps_a_month(
    people: cast.Cast, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I7: what may still change what its requests cost."""
    ensure_partitions(MONTH.start_at.date())
    rows.admit(key, MONTH.start_at)
    decided, *_ = (rows.happen(key, MONTH.start_at, flags=["quarantine"]) for _ in range(3))
    Review.objects.create(
        attempt_id=decided.id, organisation_id=key.organisation_id, request_id=decided.request_id,
        settle_as="free", before_nano=0, charge_nano=0, reason="r", decided_by=people.dora,
    )  # fmt: skip
    monkeypatch.setattr(clock, "now", lambda: MONTH.end_at + detaching.RESTS)
    assert detaching.obstacles(MONTH.start_at.date())[:2] == [
        "1 of its holds are open or kept.",
        "2 of its requests are under review.",
    ]


@pytest.mark.parametrize(
    ("busy", "error", "rests"),
    [
        (0, "", 0),
        (2, "lock_not_available", 2),
        (2, "deadlock_detected", 2),
        (detaching._TRIES - 1, "lock_not_available", detaching._TRIES - 1),
        (detaching._TRIES, "lock_not_available", detaching._TRIES),
        # Not of a table that somebody reads.
        (1, "query_canceled", 0),
    ],
)
def test_a_month_rests_until_nobody_reads_its_tables(
    monkeypatch: pytest.MonkeyPatch, busy: int, error: str, rests: int
) -> None:
    rested, tries = list[float](), 0
    monkeypatch.setattr(detaching, "time", SimpleNamespace(sleep=rested.append))

    def change(cursor: CursorWrapper) -> None:
        nonlocal tries
        tries += 1
        if tries <= busy:
            cursor.execute(f"DO $$ BEGIN RAISE {error}; END $$")

    if rests < busy:
        with pytest.raises(OperationalError):
            detaching._patiently(change)
    elif busy == detaching._TRIES:
        with pytest.raises(detaching.MonthRefused, match="read all the time"):
            detaching._patiently(change)
    else:
        detaching._patiently(change)
        assert tries == busy + 1
    assert rested == [detaching._REST_S] * rests


def test_a_detached_month_is_not_summed_again_the_next_day_is(key: Key) -> None:
    """I16: its sums stay as they were signed."""
    day = dt.timedelta(days=1)
    first = rows.NOON.replace(hour=0)
    for at in (first, first + day):
        rows.happen(key, at, charge_nano=5)
    with connection.cursor() as cursor:
        replace_all(cursor, first + 2 * day)
        cursor.execute("UPDATE usage_rollup SET charge_nano = 7")
        DetachedMonth.objects.create(
            month=first.date(), first_id=UUID(int=0), end_id=UUID(int=1), from_at=first,
            to_at=first + day, price_version_ids=[],
        )  # fmt: skip
        summed = replace_all(cursor, first + 2 * day)
        cursor.execute("SELECT bucket_at, charge_nano FROM usage_rollup ORDER BY 1")
        assert cursor.fetchall() == [(first, 7), (first + day, 5)]
    assert (summed.buckets, summed.rows) == (2, 1)


@pytest.mark.parametrize(
    ("at", "ok"),
    [
        (MONTH.start_at - close._WAITS - MILLISECOND, True),
        (MONTH.start_at - close._WAITS, False),
        (MONTH.end_at - MILLISECOND, False),
        (MONTH.end_at, True),
    ],
)
def test_month_waits_for_reviews_of_requests_that_began_before_its_end(
    key: Key, at: dt.datetime, ok: bool
) -> None:
    rows.happen(key, at, flags=["quarantine"])
    invoice = Invoice(organisation=key.organisation, from_at=MONTH.start_at, until_at=MONTH.end_at)
    assert close._reviews(invoice).ok is ok


def test_draft_of_the_next_month_keeps_no_month_open(people: cast.Cast) -> None:
    invoicing.empty_invoice(people.acme, month=MONTH.end_at.date())
    assert list(close.find_unclosed(MONTH.start_at, MONTH.end_at)) == []
    assert list(close.find_unclosed(MONTH.start_at, MONTH.end_at + TICK)) == [people.acme]
