"""A month leaves the database for a file and comes back, while a hub serves (I3, I10, I16, I23,
P22): in a database of its own, for months of the shared one are other tests'."""

import datetime as dt
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.beside import Beside, manage
from tests.fakes.upstream import FakeUpstream
from tests.hostile import EVERYTHING
from tests.hub import Hub

Site = tuple[Hub, Beside]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A hub, and a process in its database where a month of three months ago is closed."""
    from tests.databases import own_database

    with own_database("months") as dsn:
        hub = Hub(dsn)
        beside = Beside({**os.environ, "DATABASE_URL": dsn})
        try:
            hub.settings()
            hub.start()
            with closing(beside):
                beside.call(make_month)
                yield hub, beside
        finally:
            hub.kill()
            hub.close()


@pytest.fixture
def beside(site: Site) -> Beside:
    return site[1]


# ---- in the process beside the hub


def month() -> dt.date:
    from tests.invoicing import mid_month

    return mid_month(3).date().replace(day=1)


def make_month() -> None:
    """Requests of a month that is over and closed, of two organisations, one with a budget; all
    summed, checked and sealed. Just behind it is a request of the next month."""
    from accounts.kek_ring import seal_key
    from billing import seals
    from billing.models import Budget, BudgetWindow, Hold
    from config.secret_check import check_secrets
    from lib import clock
    from tests import cast
    from tests.invoicing import mid_month, post_at
    from tests.usage.rows import credit, happen, price_version, refuse
    from usage import books_check, books_walk
    from usage.models import BooksCheck
    from usage.partitions import ensure_partitions
    from usage.rollups import rebuild

    check_secrets()
    at = mid_month(3)
    ensure_partitions(at.date())
    people = cast.assemble()
    key, _ = cast.make_key(people.core, user=people.bob)
    credit(key)
    version = price_version()
    ids = []
    for n in range(20):
        record = happen(
            key, at + n * dt.timedelta(hours=5), price_version_id=version.id, model=f"gpt-{n % 3}",
        )  # fmt: skip
        ids.append(record.id)
    happen(
        key,
        at,
        price_version_id=version.id,
        message=EVERYTHING,
        end_user=EVERYTHING[:200],
        tags=[EVERYTHING],
    )
    happen(key, at, 0, basis="free", status=502, meters={})
    refuse(key, at, message="\\N\t\\.")
    budget = Budget.objects.create(
        organisation=people.acme, scope="organisation", subject="", amount_nano=10**12,
        period="total", anchor=0, timezone="UTC", action="block", enabled=True,
    )  # fmt: skip
    window = BudgetWindow.objects.create(
        budget=budget, starts_at=at, ends_at=at + dt.timedelta(days=9), cap_nano=10**12,
        spent_nano=20 * 210_000,
    )  # fmt: skip
    Hold.objects.filter(id__in=ids).update(window_ids=[window.id])
    post_at(at)
    happen(key, month_after_at(), price_version_id=version.id)
    close_invoices(people.acme, people)
    seals.seal_all(seal_key())
    rebuild()
    books_walk.begin(books_check.NEW, clock.now())
    BooksCheck.objects.update_or_create(id=1, defaults={"rest_until": clock.now()})
    assert books_check.check_books() == {}


def month_after_at() -> dt.datetime:
    from usage.partitions import next_month

    day = next_month(month())
    return dt.datetime(day.year, day.month, 1, 0, 5, tzinfo=dt.UTC)


def close_invoices(organisation: Any, people: Any) -> None:
    from lib import clock
    from tests import cast
    from tests.invoicing import empty_invoice

    erik = cast.person("erik", operator=True)
    invoice = empty_invoice(organisation)
    first = dt.datetime.combine(month(), dt.time(), dt.UTC)
    type(invoice).objects.filter(id=invoice.id).update(
        month=month(), from_at=first, until_at=month_after_at(), state="closed",
        number="INV-2000-0001", proposed_by=people.dora, closed_by=erik, closed_at=clock.now(),
    )  # fmt: skip


def problems() -> list[str]:
    """Everything that `verify --tamper-check` finds in the books."""
    from django.db import connection

    from accounts.kek_ring import seal_key
    from billing.models import SealKind
    from billing.seals import broken_chain
    from usage.books_check import wrong_charges
    from usage.books_walk import broken_in_all
    from usage.invariants import broken_invariants
    from usage.months import altered

    findings = broken_in_all()
    found = [f"{name}: {rows}" for name, rows in findings.broken.items()]
    found += [*findings.unfinished, *map(str, wrong_charges()), *altered(seal_key())]
    with connection.cursor() as cursor:
        found += [f"{name}: {rows}" for name, rows in broken_invariants(cursor).items()]
        for kind in SealKind.values:
            found += map(str, broken_chain(cursor, seal_key(), kind))
    return found


def standing() -> dict[str, Any]:
    """What must stay as it is without the rows: postings, sums of the month, budgets."""
    from django.db import connection

    first, end = month(), month_after_at()
    queries = {
        "postings": "SELECT md5(string_agg(p::text, '|' ORDER BY id)) FROM billing_posting p "
        "WHERE created_at >= %s AND created_at < %s",
        **{
            table: f"SELECT md5(string_agg(r::text, '|' ORDER BY r::text)) FROM {table} r "
            "WHERE bucket_at >= %s AND bucket_at < %s"
            for table in ("usage_rollup", "usage_hourrollup", "usage_dayrollup")
        },
    }
    found = {}
    with connection.cursor() as cursor:
        for name, query in queries.items():
            cursor.execute(query, [first, end])
            found[name] = cursor.fetchall()
            assert found[name] != [(None,)]
    return found


def rows_of_month() -> dict[str, Any]:
    """The month's rows, each by what is in it."""
    from django.db import connection

    from usage.partitions import PARTITIONED, ids_of

    found = {}
    with connection.cursor() as cursor:
        for table in PARTITIONED:
            cursor.execute(
                f"SELECT count(*), md5(string_agg(r::text, '|' ORDER BY r.id)) FROM {table} r "
                "WHERE id >= %s AND id < %s", ids_of(month()),
            )  # fmt: skip
            (found[table],) = cursor.fetchall()
    return found


def detach(file: Path) -> list[str]:
    """The reasons why it was refused."""
    from accounts.actors import SYSTEM
    from accounts.kek_ring import seal_key
    from usage import months

    try:
        months.detach(SYSTEM, month(), file, seal_key())
    except months.MonthRefused as refused:
        return list(refused.reasons)
    return []


def attach(file: Path) -> None:
    from accounts.actors import SYSTEM
    from accounts.kek_ring import seal_key
    from usage import months

    months.attach(SYSTEM, file, seal_key())


def events() -> list[str]:
    from accounts.models import AuditEvent

    found = AuditEvent.objects.filter(action__startswith="month.").order_by("id")
    return list(found.values_list("action", flat=True))


def die_at(step: str, act: Any, file: Path) -> None:
    """Die where that step begins, as by `kill -9`."""
    from usage import months

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(months, step, die)
    act(file)


def rebuild_all() -> None:
    from usage.rollups import rebuild

    rebuild()


def run(text: str) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(text)


# ---- the tests


@contextmanager
def traffic(hub: Hub, fake: FakeUpstream) -> Iterator[list[int]]:
    """Requests one after the other, two at a time, for as long as the block lasts; the statuses of
    those that have ended."""
    tenant, model, over = hub.tenant(), hub.model(fake), Event()
    statuses: list[int] = []

    def go_on() -> None:
        while not over.is_set():
            body = {"model": model, "messages": [{"role": "user", "content": "#tokens=3"}]}
            statuses.append(hub.post(tenant, body).status)

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(go_on) for _ in range(2)]
        try:
            yield statuses
        finally:
            over.set()
    for one in both:
        one.result()
    hub.settled(tenant)


def test_a_month_leaves_and_comes_back_under_traffic(site: Site, tmp_path: Path) -> None:
    """I3, I10, I16, I23, P22: nothing is refused or lost meanwhile; balances, seals and sums hold
    with the month and without it."""
    hub, beside = site
    file = tmp_path / "month.zip"
    before, rows = beside.call(standing), beside.call(rows_of_month)
    assert rows["usage_usagerecord"][0] == 23
    with FakeUpstream(name="a", fsync=False) as fake, traffic(hub, fake) as statuses:
        assert beside.call(detach, file) == []
        served = len(statuses)
        assert {count for count, _ in beside.call(rows_of_month).values()} == {0}
        assert beside.call(problems) == []
        # Also where all sums are made anew, as after a restore (P16).
        beside.call(rebuild_all)
        assert beside.call(standing) == before
        assert f"{month():%Y-%m}: in month.zip: 67 rows" in beside.call(manage, "month", "list")
        beside.call(attach, file)
        assert beside.call(problems) == []
    assert set(statuses) == {200}
    assert len(statuses) > served > 0
    assert beside.call(rows_of_month) == rows
    beside.call(rebuild_all)
    assert beside.call(standing) == before
    hub.assert_books_balance()
    assert beside.call(events) == ["month.detached", "month.attached"]


def test_what_is_altered_is_found_and_stays_away(beside: Beside, tmp_path: Path) -> None:
    """P22: one byte of the file; what stands in the database in place of the rows."""
    file = tmp_path / "month.zip"
    rows = beside.call(rows_of_month)
    assert beside.call(detach, file) == []
    whole = file.read_bytes()
    for at in (40, len(whole) // 2, len(whole) - 1):
        altered = bytearray(whole)
        altered[at] ^= 1
        file.write_bytes(altered)
        with pytest.raises(AssertionError, match="MonthFileBroken"):
            beside.call(attach, file)
        with pytest.raises(AssertionError, match=r"SystemExit|CommandError"):
            beside.call(manage, "month", "check", str(file))
    file.write_bytes(whole)
    assert "as they were written" in beside.call(manage, "month", "check", str(file))
    assert {count for count, _ in beside.call(rows_of_month).values()} == {0}
    beside.call(run, "UPDATE usage_monthfile SET bytes = bytes + 1")
    (found,) = beside.call(problems)
    assert "not what was signed" in found
    beside.call(run, "UPDATE usage_monthfile SET bytes = bytes - 1")
    beside.call(attach, file)
    assert beside.call(rows_of_month) == rows


@pytest.mark.parametrize(
    "step",
    [
        pytest.param("write_month_file", marks=pytest.mark.extended),
        pytest.param("check_month_file", marks=pytest.mark.extended),
        "_exclusively",
    ],
)
def test_who_is_killed_while_a_month_leaves_has_lost_nothing(
    site: Site, tmp_path: Path, step: str
) -> None:
    """The next try writes the file anew; or the month is opened again."""
    hub, beside = site
    file = tmp_path / "month.zip"
    rows = beside.call(rows_of_month)
    killed(hub, step, detach, file)
    assert beside.call(rows_of_month) == rows
    assert "cut off" in beside.call(manage, "month", "list")
    if step == "_exclusively":
        assert "open again" in beside.call(manage, "month", "reopen", f"{month():%Y-%m}")
        assert "cut off" not in beside.call(manage, "month", "list")
        assert "nothing to undo" in beside.call(manage, "month", "reopen", f"{month():%Y-%m}")
    assert beside.call(detach, file) == []
    assert beside.call(problems) == []
    beside.call(attach, file)
    assert beside.call(rows_of_month) == rows
    assert beside.call(problems) == []


def test_who_is_killed_while_a_month_comes_back_has_doubled_nothing(
    site: Site, tmp_path: Path
) -> None:
    hub, beside = site
    file = tmp_path / "month.zip"
    rows = beside.call(rows_of_month)
    assert beside.call(detach, file) == []
    killed(hub, "_exclusively", attach, file)
    assert {count for count, _ in beside.call(rows_of_month).values()} == {0}
    assert beside.call(problems) == []
    beside.call(attach, file)
    assert beside.call(rows_of_month) == rows
    with pytest.raises(AssertionError, match="it is in the database"):
        beside.call(attach, file)
    assert beside.call(problems) == []


def killed(hub: Hub, step: str, act: Any, file: Path) -> None:
    """Let a process of its own do it, and die there."""
    dying = Beside({**os.environ, "DATABASE_URL": hub.dsn})
    with closing(dying), pytest.raises(EOFError):
        dying.call(die_at, step, act, file)


def test_what_comes_late_is_refused(beside: Beside, tmp_path: Path) -> None:
    """A hold and an attempt with an error; a record of a request that was refused is left out. A
    price that is named in the file stays as it is (I11)."""
    file = tmp_path / "month.zip"
    # A version counts as charged by what was admitted since it was made.
    beside.call(
        run,
        "SET session_replication_role = replica;"
        "UPDATE billing_priceversion SET created_at = created_at - interval '300 days'"
        " WHERE source = 'test';SET session_replication_role = origin",
    )
    assert beside.call(detach, file) == []
    try:
        beside.call(come_late)
        assert {count for count, _ in beside.call(rows_of_month).values()} == {0}
    finally:
        beside.call(attach, file)


def come_late() -> None:
    from django.db import DatabaseError, connection, transaction

    from accounts.models import Key
    from billing.models import PriceVersion
    from tests.invoicing import mid_month
    from tests.usage.rows import admit, id_at

    key = Key.objects.get(user__isnull=False)
    with pytest.raises(DatabaseError, match="kept in a file"), transaction.atomic():
        admit(key, mid_month(3))
    with connection.cursor() as cursor:
        # As the relay writes it: nothing is asked back.
        cursor.execute(
            "INSERT INTO usage_usagerecord "
            "SELECT (jsonb_populate_record(r, jsonb_build_object('id', %s::text))).* "
            "FROM usage_usagerecord r LIMIT 1", [id_at(mid_month(3))],
        )  # fmt: skip
        assert cursor.rowcount == 0
    with pytest.raises(DatabaseError, match="was charged"), transaction.atomic():
        PriceVersion.objects.filter(price__model="gpt-5").update(rates={})


@pytest.mark.parametrize(
    ("edit", "undo", "reason"),
    [
        (
            "UPDATE billing_invoice SET until_at = until_at - interval '20 days'",
            "UPDATE billing_invoice SET until_at = until_at + interval '20 days'",
            "are not closed: acme.",
        ),
        (
            "UPDATE billing_bookswalk SET to_at = to_at - interval '200 days' WHERE name = 'new'",
            "UPDATE billing_bookswalk SET to_at = to_at + interval '200 days' WHERE name = 'new'",
            "has not been checked",
        ),
        (
            "UPDATE usage_rollupwatermark SET xid = 3",
            "UPDATE usage_rollupwatermark SET xid = pg_current_xact_id()::text::bigint",
            "rollups are not complete",
        ),
    ],
)
def test_a_month_that_is_not_done_stays(
    beside: Beside, tmp_path: Path, edit: str, undo: str, reason: str
) -> None:
    guards_off = "SET session_replication_role = replica;"
    beside.call(run, f"{guards_off}{edit};SET session_replication_role = origin")
    try:
        (said,) = beside.call(detach, tmp_path / "month.zip")
    finally:
        beside.call(run, f"{guards_off}{undo};SET session_replication_role = origin")
    assert reason in said
    assert list(tmp_path.iterdir()) == []


def test_no_other_file_is_written_over(beside: Beside, tmp_path: Path) -> None:
    file = tmp_path / "month.zip"
    file.write_text("somebody's")
    (said,) = beside.call(detach, file)
    assert "is there already" in said
    assert file.read_text() == "somebody's"
    assert "cut off" not in beside.call(manage, "month", "list")
