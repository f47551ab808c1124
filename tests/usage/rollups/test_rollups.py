"""I16, I17, P16: rollups are the records' sums, exactly, whatever the order of commits."""

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Key
from lib import clock
from lib.ids import first_id_at
from tests.runner import databases
from tests.support import cast
from tests.usage.rows import NOON, admit, credit, end, happen, id_at, refuse
from usage.buckets.buckets import bucket_of
from usage.models import DetachedMonth, Rollup, RollupWatermark, UsageRecord
from usage.rollups import rollups
from usage.rollups.levels import TABLES
from usage.rollups.rollups import rebuild, roll_up

pytestmark = pytest.mark.django_db(transaction=True)
DAY, QUARTER, MINUTE = dt.timedelta(days=1), dt.timedelta(minutes=15), dt.timedelta(minutes=1)


@pytest.fixture
def key(transactional_db: None) -> Key:
    people = cast.assemble()
    created, _ = cast.make_key(people.core, user=people.bob)
    credit(created)
    return created


@pytest.fixture
def another(key: Key) -> Iterator[psycopg.Connection[Any]]:
    """A second connection: another process that writes at the same time."""
    of_django = connection.settings_dict
    with psycopg.connect(
        host=of_django["HOST"],
        port=of_django["PORT"] or None,
        user=of_django["USER"] or None,
        password=of_django["PASSWORD"] or None,
        dbname=of_django["NAME"],
    ) as opened:
        yield opened


def dump() -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT r::text FROM usage_rollup r ORDER BY 1")
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def from_records() -> list[tuple[Any, ...]]:
    """The sums, said another way: record by record, in Python."""
    sums: dict[tuple[Any, ...], list[Any]] = {}
    for record in UsageRecord.objects.all():
        at = (
            record.organisation_id,
            bucket_of(record.admitted_at),
            record.team_id,
            record.key_id,
            record.user_id or 0,
            record.model,
            record.channel_id or UUID(int=0),
        )
        requests, errors, meters, charge = sums.get(at, [0, 0, {}, 0])
        for meter, units in record.meters.items():
            meters[meter] = meters.get(meter, 0) + units
        sums[at] = [
            requests + record.final,
            errors + (record.final and record.status >= 400 and record.status != 499),
            meters,
            charge + record.charge_nano,
        ]
    return sorted((*at, *summed) for at, summed in sums.items())


def stored() -> list[tuple[Any, ...]]:
    return sorted(
        Rollup.objects.values_list(
            "organisation_id",
            "bucket_at",
            "team_id",
            "key_id",
            "user_id",
            "model",
            "channel_id",
            "requests",
            "errors",
            "meters",
            "charge_nano",
        )
    )


def write_elsewhere(another: psycopg.Connection[Any], record_id: Any, key: Key) -> None:
    """The same record as one that is there, under another id, not yet committed."""
    at = UsageRecord.objects.get(id=record_id).admitted_at
    another.execute(
        """
        INSERT INTO usage_usagerecord (organisation_id, id, request_id, final, team_id, key_id,
            user_id, model, channel_id, channel_name, upstream_model, dialect, operation, stream,
            source, admitted_at, ended_at, status, message, finish_reason, meters, charge_nano,
            hold_nano, basis, total_ms, flags)
        SELECT organisation_id, %s, %s, final, team_id, key_id, user_id, model, channel_id,
            channel_name, upstream_model, dialect, operation, stream, source, admitted_at, ended_at,
            status, message, finish_reason, meters, charge_nano, hold_nano, basis, total_ms, flags
        FROM usage_usagerecord WHERE id = %s""",
        [new := id_at(at), new, record_id],
    )


def test_sums_match_the_records(key: Key) -> None:
    happen(key, charge_nano=5)
    happen(key, charge_nano=7, meters={"in_text": 1, "images[1024,hd]": 2})
    failed = admit(key, NOON)
    end(failed, 0, final=False, status=502, meters={})
    happen(key, charge_nano=0, request_id=failed.request_id, n=2, status=502, meters={})
    happen(key, NOON + dt.timedelta(minutes=15), user_id=None, charge_nano=11)
    refuse(key)
    rolled = roll_up()
    assert rolled is not None
    assert stored() == from_records()
    assert sum(row[7] for row in stored()) == 5
    assert sum(row[8] for row in stored()) == 2
    assert sum(row[10] for row in stored()) == 23


def test_a_run_without_news_changes_nothing(key: Key) -> None:
    happen(key)
    roll_up()
    before = dump()
    # A transaction that ends while its database is looked up has the last buckets summed once more
    # (how many is its affair); replaced, they are the same bytes.
    assert roll_up() is not None
    assert dump() == before


def test_dropped_and_rebuilt_sums_are_the_same(key: Key) -> None:
    for minute in range(0, 50, 7):
        happen(key, NOON + dt.timedelta(minutes=minute), charge_nano=minute)
        roll_up()
    before = dump()
    Rollup.objects.all().delete()
    assert rebuild().rows == len(before)
    assert dump() == before
    call_command("rebuild_rollups", verbosity=0)
    assert dump() == before


@pytest.mark.parametrize("again", [roll_up, rebuild])
def test_nothing_replaces_the_sums_of_a_detached_month(
    key: Key, again: Callable[[], object]
) -> None:
    """Most of its records are in a file: those that come late, or were left, are not its sums."""
    from_at, to_at = NOON.replace(day=1, hour=0), NOON.replace(hour=0) + DAY
    outside = (from_at - QUARTER, to_at)
    times = (*outside, from_at, NOON, to_at - QUARTER)
    for at in times:
        happen(key, at, charge_nano=5)
    rebuild()
    before = of_levels()
    DetachedMonth.objects.create(
        month=from_at.date(), first_id=first_id_at(from_at), end_id=first_id_at(to_at),
        from_at=from_at, to_at=to_at, price_version_ids=[],
    )  # fmt: skip
    for at in times:
        happen(key, at, charge_nano=7)
    again()
    summed_again = {bucket for bucket, nano in of_levels().items() if before[bucket] != nano}
    assert summed_again == {bucket for bucket in before if not from_at <= bucket[1] < to_at}
    assert {at for level, at in summed_again if level == "quarter"} == set(outside)


def of_levels() -> dict[tuple[str, dt.datetime], int]:
    """What each bucket of each level comes to."""
    with connection.cursor() as cursor:
        results: dict[tuple[str, dt.datetime], int] = {}
        for level, table in TABLES.items():
            cursor.execute(f"SELECT bucket_at, sum(charge_nano)::bigint FROM {table} GROUP BY 1")
            results |= {(level, at): nano for at, nano in cursor.fetchall()}
    return results


def test_rebuild_under_writes_gives_the_same(key: Key, another: psycopg.Connection[Any]) -> None:
    """Dropped and rebuilt, and brought up to date, while another process commits: in the end the
    same bytes as from the records at rest."""
    record = happen(key, charge_nano=3)
    stop = threading.Event()
    written: list[UUID] = []

    def write() -> None:
        while not stop.is_set():
            write_elsewhere(another, record.id, key)
            another.commit()
            written.append(record.id)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while writer.is_alive() and len(written) < 50:
            rebuild()
            assert roll_up() is not None
    finally:
        stop.set()
        writer.join()
    assert len(written) >= 50
    roll_up()
    before = dump()
    assert stored() == from_records()
    assert sum(row[7] for row in stored()) == 1 + len(written)
    rebuild()
    assert dump() == before


def test_a_late_commit_is_not_missed(key: Key, another: psycopg.Connection[Any]) -> None:
    first = happen(key, charge_nano=1)
    # An earlier transaction, still open while later ones are committed and summed.
    write_elsewhere(another, first.id, key)
    happen(key, charge_nano=2)
    roll_up()
    assert sum(row[10] for row in stored()) == 3
    another.commit()
    roll_up()
    assert sum(row[10] for row in stored()) == 4
    assert stored() == from_records()


def test_foreign_databases_transaction_delays_nothing(
    key: Key, another: psycopg.Connection[Any]
) -> None:
    """Of those that are open on the server, only one that may write here is waited for."""
    begun = "SELECT pg_current_xact_id()::text::bigint"
    with databases.admin() as elsewhere, elsewhere.transaction():
        (theirs,) = one_row(elsewhere.execute(begun))
        happen(key)
        databases.run_until(roll_up, lambda: RollupWatermark.objects.get().xid > theirs)
        (ours,) = one_row(another.execute(begun))
        happen(key)
        databases.run_until(roll_up, lambda: RollupWatermark.objects.get().xid == ours)
    another.rollback()
    databases.run_until(roll_up, lambda: RollupWatermark.objects.get().xid > ours)
    assert stored() == from_records()


def one_row(cursor: psycopg.Cursor[Any]) -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row is not None
    return tuple(row)


def test_only_one_process_sums_at_a_time(key: Key, another: psycopg.Connection[Any]) -> None:
    happen(key)
    another.execute("LOCK TABLE usage_rollupwatermark IN EXCLUSIVE MODE")
    assert roll_up() is None
    assert dump() == []
    another.rollback()
    assert roll_up() is not None


def test_a_rebuild_waits_for_its_turn(key: Key, another: psycopg.Connection[Any]) -> None:
    happen(key)
    another.execute("LOCK TABLE usage_rollupwatermark IN EXCLUSIVE MODE")
    timer = threading.Timer(0.2, another.rollback)
    timer.start()
    assert rebuild().rows == 1
    timer.join()


def test_restored_dump_is_summed_again(key: Key) -> None:
    happen(key)
    roll_up()
    before = dump()
    RollupWatermark.objects.update(xid=2**60)
    Rollup.objects.all().delete()
    roll_up()
    assert dump() == before
    assert RollupWatermark.objects.get().xid < 2**60


def test_complete_up_to_the_oldest_open_hold(key: Key) -> None:
    roll_up()
    begun = RollupWatermark.objects.get().complete_to
    assert begun is not None
    at = begun + dt.timedelta(milliseconds=1)
    attempt = admit(key, at)
    roll_up()
    assert RollupWatermark.objects.get().complete_to == at
    end(attempt)
    roll_up()
    complete_to = RollupWatermark.objects.get().complete_to
    assert complete_to is not None
    assert complete_to > at


@pytest.mark.parametrize(
    ("status", "errors"), [(200, 0), (399, 0), (400, 1), (402, 1), (499, 0), (500, 1)]
)
def test_stopping_ones_own_request_is_no_error(key: Key, status: int, errors: int) -> None:
    happen(key, NOON, status=status)
    happen(key, NOON, 0, status=503, final=False)
    roll_up()
    assert list(Rollup.objects.values_list("requests", "errors")) == [(1, errors)]


def test_complete_up_to_the_oldest_of_several_open_holds(key: Key) -> None:
    for n in (2, 0, 1):
        admit(key, NOON + n * dt.timedelta(hours=1))
    roll_up()
    assert RollupWatermark.objects.get().complete_to == NOON


def test_complete_up_to_the_oldest_open_transaction(
    key: Key, another: psycopg.Connection[Any]
) -> None:
    row = another.execute("SELECT now()").fetchone()
    assert row is not None
    happen(key)
    roll_up()
    assert RollupWatermark.objects.get().complete_to == row[0]
    another.rollback()


def test_complete_range_stays_complete(key: Key) -> None:
    roll_up()
    before = RollupWatermark.objects.get().complete_to
    # A hold from before: it cannot come in life, for it would have been open then.
    admit(key, NOON)
    roll_up()
    assert RollupWatermark.objects.get().complete_to == before


def test_it_rests_in_proportion_to_its_work(key: Key) -> None:
    roll_up()
    rest_until = RollupWatermark.objects.get().rest_until
    assert rest_until is not None
    RollupWatermark.objects.update(rest_until=rest_until + dt.timedelta(hours=1))
    happen(key)
    assert roll_up(rest=True) is None
    RollupWatermark.objects.update(rest_until=rest_until - dt.timedelta(hours=1))
    assert roll_up(rest=True) is not None
    assert stored() == from_records()


def test_a_late_commit_into_a_closed_minute_is_not_missed(
    key: Key, another: psycopg.Connection[Any]
) -> None:
    """Its minute was summed, and others after it."""
    at = clock.now() - 10 * MINUTE
    write_elsewhere(another, happen(key, at, charge_nano=1).id, key)
    for n in range(1, 4):
        happen(key, at + n * MINUTE, charge_nano=2)
        roll_up()
    assert sum(row[10] for row in stored()) == 7
    another.commit()
    roll_up()
    assert sum(row[10] for row in stored()) == 8
    assert stored() == from_records()


def test_a_run_reads_the_minutes_with_new_records(key: Key) -> None:
    """Not all that a quarter has: it is summed from its minutes."""
    roll_up()
    at = bucket_of(clock.now()) - QUARTER
    first = happen(key, at)
    copy(first, 14 * MINUTE, 5_000)
    roll_up()
    last = happen(key, at + 14 * MINUTE)
    copy(last, MINUTE / 2, 20)
    # The database may have counted the rows when there was one: it would read them by any index.
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE usage_usagerecord")
    # The first reading of a connection looks up more.
    roll_up()
    copy(last, MINUTE / 2, 10)
    before = records_read()
    roll_up()
    # To find the new ones, and to sum the records of their minute.
    assert records_read() - before <= 2 * (1 + 20 + 10)
    assert stored() == from_records()
    assert sum(row[7] for row in stored()) == 1 + 5_000 + 1 + 20 + 10


def copy(record: UsageRecord, spread: dt.timedelta, count: int) -> None:
    """Records like that one, spread evenly over a time that begins with it."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO usage_usagerecord (organisation_id, id, request_id, final, team_id, key_id,
                user_id, model, channel_id, channel_name, upstream_model, dialect, operation,
                stream, source, admitted_at, ended_at, status, message, finish_reason, meters,
                charge_nano, hold_nano, basis, total_ms, flags)
            SELECT organisation_id, fresh, fresh, final, team_id, key_id, user_id, model,
                channel_id, channel_name, upstream_model, dialect, operation, stream, source,
                admitted_at + n * %(apart)s * interval '1 second', ended_at, status, message,
                finish_reason, meters, charge_nano, hold_nano, basis, total_ms, flags
            FROM usage_usagerecord, generate_series(0, %(count)s - 1) AS n, LATERAL (
                SELECT (left(id::text, 18) || right(gen_random_uuid()::text, 18) || left('', n))
                    ::uuid AS fresh) made
            WHERE id = %(id)s""",
            {"apart": (spread / count).total_seconds(), "count": count, "id": record.id},
        )


def records_read() -> int:
    """How many rows of usage records the statements of this database have read."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint"
            " FROM pg_stat_user_tables WHERE relname LIKE 'usage_usagerecord%'"
        )
        return int(cursor.fetchone()[0])


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 4 * 3600),  # seconds ago
        st.sampled_from(["gpt-5", "claude"]),
        st.integers(0, 10**12),  # nano
        st.dictionaries(
            st.sampled_from(["in_text", "out_text", "in_cache_read", "images[1024,hd]"]),
            st.integers(0, 10**9),
            max_size=3,
        ),
        st.sampled_from([200, 402, 502]),
        # Summed after this one, when there are minutes for so long.
        st.none() | st.sampled_from([dt.timedelta(minutes=n) for n in (0, 20, 60, 300)]),
    ),
    min_size=1,
    max_size=12,
)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(events=EVENTS)
def test_any_records_in_any_order(
    key: Key, another: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch, events: list[Any]
) -> None:
    now = clock.now()
    for seconds, model, charge_nano, meters, status, kept in events:
        record = happen(
            key,
            now - dt.timedelta(seconds=seconds),
            charge_nano,
            hold_nano=charge_nano,
            model=model,
            meters=meters,
            status=status,
        )
        if charge_nano % 3 == 0:
            another.commit()
            write_elsewhere(another, record.id, key)
        if kept is not None:
            monkeypatch.setattr(rollups, "MINUTES_KEPT", kept)
            roll_up()
    another.commit()
    roll_up()
    assert stored() == from_records()
    before = dump()
    Rollup.objects.all().delete()
    rebuild()
    assert dump() == before
