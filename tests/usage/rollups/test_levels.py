"""I16, P16: hours and days are the sums of their quarters, and no figure tells which were read."""

import datetime as dt
from dataclasses import replace
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from accounts.models import Key
from lib import clock
from tests.support import cast
from tests.usage.rows import NOON, credit, happen, id_at, refuse
from usage.breakdowns.explorer import Times, explore
from usage.buckets.buckets import Span
from usage.filters.filters import EVERYTHING, Metric, Scope, UsageFilter, between
from usage.filters.groupings import GroupBy
from usage.filters.visibility import run
from usage.models import DayRollup, HourRollup, Rollup, RollupWatermark
from usage.overview.overview import overview
from usage.reports import reports
from usage.requests import log as request_log
from usage.requests.narrowing import narrow_rows
from usage.rollups import rollups
from usage.rollups.level_rules import start_of
from usage.rollups.levels import read_freshness
from usage.rollups.rollups import rebuild, roll_up

pytestmark = pytest.mark.django_db(transaction=True)

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
SHOWN: Final[tuple[tuple[GroupBy, Metric], ...]] = (
    ("model", "cost"), ("key", "tokens"), ("user", "errors"),
)  # fmt: skip
# All of it is over: long enough ago for any day to be summed.
LONG_AGO = NOON - 60 * DAY


@pytest.fixture
def people(transactional_db: None) -> cast.Cast:
    return cast.assemble()


def use(key: Key) -> None:
    """Requests of several days, hours and meters, some without any."""
    for n in range(12):
        at = LONG_AGO + n * dt.timedelta(hours=7, minutes=19)
        meters = {"in_text": n, "out_text": 2 * n, **({"in_audio": 3} if n % 3 else {})}
        happen(key, at, charge_nano=n, meters=meters, model=f"model-{n % 2}")
    happen(key, LONG_AGO, meters={"images[1024,hd]": 2, "in_cache_read": 0}, charge_nano=9)
    happen(key, LONG_AGO, meters={}, charge_nano=0, status=502)
    refuse(key, LONG_AGO + DAY)


def summed_up() -> None:
    """As the job does it, again and again: a day in each run at most."""
    for _ in range((clock.now() - LONG_AGO).days + 10):
        roll_up()
        mark = RollupWatermark.objects.get().levels_to
        if mark is not None and mark > clock.now() - 3 * HOUR:
            return
    raise AssertionError("the mark does not move")


def dump() -> list[Any]:
    with connection.cursor() as cursor:
        rows: list[Any] = []
        for table in ("usage_rollup", "usage_hourrollup", "usage_dayrollup"):
            cursor.execute(f"SELECT r::text FROM {table} r ORDER BY 1")
            rows += cursor.fetchall()
    return rows


def expected(level: Any) -> dict[Any, list[Any]]:
    """The sums of the quarters, said another way: row by row."""
    sums: dict[Any, list[Any]] = {}
    for row in Rollup.objects.all():
        at = (start_of(row.bucket_at, level), row.key_id, row.user_id, row.model, row.channel_id)
        summed = sums.setdefault(at, [0, 0, 0, {}])
        summed[0] += row.requests
        summed[1] += row.errors
        summed[2] += row.charge_nano
        for meter, units in row.meters.items():
            summed[3][meter] = summed[3].get(meter, 0) + units
    return sums


def stored(model: Any) -> dict[Any, list[Any]]:
    common = ("in_text", "in_cache_read", "out_text", "out_reasoning")
    return {
        (row.bucket_at, row.key_id, row.user_id, row.model, row.channel_id): [
            row.requests,
            row.errors,
            row.charge_nano,
            row.meters
            | {name: getattr(row, name) for name in common if getattr(row, name) is not None},
        ]
        for row in model.objects.all()
    }


def figures(people: cast.Cast, zone: str) -> Any:
    """What pages show of these days in a zone."""
    actor = cast.actor(people.alice, people.acme)
    asked: UsageFilter = between(
        LONG_AGO - DAY, LONG_AGO + 7 * DAY, ZoneInfo(zone), NOON, grain="day"
    )
    return (
        reports.usage_by_bucket(actor, asked),
        [reports.usage_by(actor, asked.span, by) for by in ("model", "key", "user", "channel")],
        reports.usage_totals(actor, Span(LONG_AGO, LONG_AGO + 5 * DAY)),
        reports.series(actor, asked),
        reports.choices(actor, asked.span),
        [
            overview(actor, replace(asked, group_by=by, metric=metric), read_freshness(), keys=3)
            for by, metric in SHOWN
        ],
    )


def test_hours_and_days_are_the_sums_of_their_quarters(people: cast.Cast) -> None:
    """By the job from nothing, as on an installation that had none; then with rows that come late;
    then rebuilt: the same bytes."""
    key, _ = cast.make_key(people.core, user=people.bob)
    credit(key)
    use(key)
    roll_up()
    # An installation of before: quarters alone.
    HourRollup.objects.all().delete()
    DayRollup.objects.all().delete()
    RollupWatermark.objects.update(levels_to=None)
    plain = [figures(people, zone) for zone in ("UTC", "Europe/Berlin", "Asia/Kolkata")]
    summed_up()
    assert stored(HourRollup) == expected("hour")
    assert stored(DayRollup) == expected("day")
    assert len(stored(DayRollup)) < len(stored(HourRollup)) <= Rollup.objects.count()
    assert [figures(people, zone) for zone in ("UTC", "Europe/Berlin", "Asia/Kolkata")] == plain
    happen(key, LONG_AGO + HOUR, charge_nano=77, meters={"in_text": 5, "pages": 1})
    roll_up()
    assert stored(HourRollup) == expected("hour")
    assert stored(DayRollup) == expected("day")
    before = dump()
    assert rebuild().rows == Rollup.objects.count()
    assert dump() == before


def test_the_year_before_may_lie_partly_in_a_range(people: cast.Cast) -> None:
    """Of more than a year, and counts once in each of both."""
    key, _ = cast.make_key(people.core, user=people.bob)
    credit(key)
    for days, charge_nano in ((30, 3), (380, 5), (700, 7)):
        happen(key, NOON - days * DAY, charge_nano=charge_nano)
    roll_up()
    actor = cast.actor(people.alice, people.acme)
    asked = between(NOON - 600 * DAY, NOON, ZoneInfo("UTC"), NOON, grain="month")
    seen = overview(actor, replace(asked, compare="year"), read_freshness(), keys=3)
    assert (sum(bucket.charge_nano for bucket in seen.buckets), seen.series.total) == (8, 8)
    assert (seen.before.charge_nano, seen.before.requests) == (12, 2)
    ((group, before),) = seen.keys
    assert (group.totals.charge_nano, before.charge_nano) == (8, 12)


def test_running_day_is_read_from_its_quarters(people: cast.Cast) -> None:
    key, _ = cast.make_key(people.core, user=people.bob)
    credit(key)
    now = clock.now()
    happen(key, now, charge_nano=5)
    roll_up()
    assert not HourRollup.objects.exists()
    assert not DayRollup.objects.exists()
    actor = cast.actor(people.alice, people.acme)
    assert reports.usage_totals(actor, Span(start_of(now, "day"), now + DAY)).charge_nano == 5


def test_filter_reads_records_only_where_the_sums_match(people: cast.Cast) -> None:
    """Of rows that are summed; whatever is newer is looked at."""
    key, _ = cast.make_key(people.core, user=people.bob)
    credit(key)
    use(key)
    summed_up()
    actor = cast.actor(people.alice, people.acme)
    time = Span(LONG_AGO - DAY, clock.now() + DAY)

    def looked_at(scope: Scope) -> int:
        where = narrow_rows(actor, scope, time)
        # Of the condition on the ids alone, what is left of all rows.
        text = where.text.rpartition(" AND (")[2]
        if text == where.text:
            return len(run("SELECT 1 FROM usage_usagerecord", {}))
        return len(run(f"SELECT 1 FROM usage_usagerecord r WHERE ({text}", where.parameters))

    everything = looked_at(EVERYTHING)
    assert everything == 15
    assert looked_at(Scope(channels=(key.id,))) == 0
    assert looked_at(Scope(min_cost_nano=10**12)) == 0
    assert looked_at(Scope(models=("model-1",))) > 0
    assert 0 < looked_at(Scope(status="error")) < everything
    latest = happen(key, clock.now(), channel_id=key.id, charge_nano=1)
    assert looked_at(Scope(channels=(key.id,))) == 1
    page = request_log.request_page(actor, time, Scope(channels=(key.id,)), limit=5)
    assert [row.id for row in page.rows] == [latest.id]
    assert request_log.newest_request_at(actor, Scope(channels=(id_at(NOON),))) is None


@pytest.mark.parametrize("by", ["model", "key", "user", "channel"])
def test_page_shows_every_report(people: cast.Cast, by: Any) -> None:
    """From one reading of the sums what is read one by one elsewhere."""
    key, _ = cast.make_key(people.core, user=people.bob)
    credit(key)
    use(key)
    summed_up()
    actor = cast.actor(people.alice, people.acme)
    days = LONG_AGO + 2 * DAY, LONG_AGO + 4 * DAY
    page_text = between(*days, ZoneInfo("Asia/Kolkata"), NOON, grain="day")
    for metric in ("cost", "tokens", "requests", "errors"):
        asked = replace(page_text, group_by=by, metric=metric)
        seen = overview(actor, asked, read_freshness(), keys=5)
        assert seen.series == reports.series(actor, asked)
        assert seen.buckets == reports.usage_by_bucket(actor, asked)
        assert seen.before == reports.usage_totals(actor, asked.previous)
        assert seen.before.requests
        before = {
            g.id: g.totals for g in reports.usage_by(actor, asked.previous, "key", metered=False)
        }
        assert seen.keys == [
            (g, before[g.id]) for g in reports.usage_by(actor, asked.span, "key", metered=False)
        ]


def test_sums_from_before_times_have_none(
    people: cast.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is rebuilt; no level makes up what is missing below it."""
    key, _ = cast.make_key(people.core, user=people.bob)
    credit(key)
    for n in range(3):
        happen(key, LONG_AGO + n * HOUR, ttft_ms=10, total_ms=20)
    asked = between(LONG_AGO - DAY, LONG_AGO + DAY, ZoneInfo("UTC"), NOON, grain="day")
    actor = cast.actor(people.alice, people.acme)

    def times() -> Times | None:
        (cell,) = explore(actor, asked, ["model"], read_freshness(), timed=True).cells
        assert cell.totals.requests == 3
        return cell.times

    roll_up()
    whole = times()
    assert whole is not None
    assert (whole.total, whole.ttft) == ((20, 20, 20), (10, 10, 10))
    Rollup.objects.filter(bucket_at=LONG_AGO).update(total_histogram=None, ttft_histogram=None)
    HourRollup.objects.all().delete()
    DayRollup.objects.all().delete()
    RollupWatermark.objects.update(levels_to=None)
    assert times() is None
    with monkeypatch.context() as alone:
        # Nothing new is written. Beside open transactions of other tests it would be read again.
        alone.setattr(rollups, "_FIND_DIRTY", "SELECT WHERE %(xid)s IS NULL")
        summed_up()
    assert DayRollup.objects.exists()
    assert times() is None
    rebuild()
    assert times() == whole
