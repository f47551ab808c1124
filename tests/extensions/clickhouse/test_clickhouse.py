"""Usage in ClickHouse: the same figures as in Postgres, whatever happened to it meanwhile (P16)."""

import datetime as dt
import io
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from django.test import override_settings

import usage.overview.overview
from accounts.access.actors import SYSTEM, Actor
from accounts.models import Key
from accounts.organisations import teams
from config.system.metrics import metrics_text
from extensions.clickhouse import client, sending, server
from extensions.clickhouse import figures as clickhouse_figures
from extensions.clickhouse.backlog import backlog
from extensions.clickhouse.client import ClickHouse, ClickHouseError
from extensions.clickhouse.models import ClickHouseCursor
from extensions.clickhouse.sending import rebuild, send
from extensions.clickhouse.server import MARKS, RECORDS
from lib import clock
from lib.database.advisory_locks import AdvisoryLock
from lib.ids import new_id
from tests.fakes.clickhouse import PASSWORD, USER, clickhouse_server
from tests.support import cast, hostile
from tests.usage.rollups.test_rollups import another, write_elsewhere
from tests.usage.rows import CHANNEL, NOON, admit, credit, end, happen, refuse
from usage.breakdowns import explorer
from usage.breakdowns.durations import times_over
from usage.breakdowns.explorer import DAY, explore
from usage.buckets.buckets import Span, bucket_of
from usage.filters.filters import CHARTED, Scope, UsageFilter, between
from usage.filters.groupings import GROUPINGS
from usage.overview.overview import overview
from usage.reports import too_many_records
from usage.rollups.levels import LAG_MAX, read_freshness
from usage.rollups.rollups import roll_up
from usage.sinks import rounds, sinks

pytestmark = pytest.mark.django_db(transaction=True)

HOUR, DAYS = dt.timedelta(hours=1), dt.timedelta(days=1)
__all__ = ["another"]
AWAY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with clickhouse_server() as address:
        yield address
    for read_s in (client.ASK_S + 2, client.SEND_S):
        client.client(read_s).close()
    client.client.cache_clear()


@pytest.fixture
def there(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClickHouse]:
    """A database of its own, in which the installation keeps its usage."""
    monkeypatch.setattr(clickhouse_figures, "_paused_until", 0.0)
    name = f"of_{new_id().hex}"
    ClickHouse(url, "default", USER, PASSWORD).run(f"CREATE DATABASE {name}")
    with override_settings(
        CLICKHOUSE_URL=url,
        CLICKHOUSE_DATABASE=name,
        CLICKHOUSE_USER=USER,
        CLICKHOUSE_PASSWORD=PASSWORD,
    ):
        yield ClickHouse(url, name, USER, PASSWORD)


@pytest.fixture
def people(transactional_db: None) -> cast.Cast:
    return cast.assemble()


@pytest.fixture
def key(people: cast.Cast) -> Key:
    created, _ = cast.make_key(people.core, "web-prod", user=people.bob)
    credit(created)
    return created


def waiting() -> int:
    return backlog().waiting


def differences() -> list[str]:
    (sink,) = sinks.used_copies()
    return sinks.differences(sink)


def there_to() -> dt.datetime:
    """How far ClickHouse has all records."""
    (copy,) = read_freshness().copies
    return copy.span.end_at


def count(there: ClickHouse) -> int:
    """Rows, as who reads sees them."""
    result: int = there.rows(f"SELECT count() FROM {RECORDS} FINAL")[0][0]
    return result


def test_records_arrive_once_each(there: ClickHouse, key: Key) -> None:
    for n in range(3):
        happen(key, NOON + n * HOUR, charge_nano=n)
    assert send() == 3
    assert send() == 0
    running = admit(key, NOON)
    happen(key, NOON, charge_nano=7)
    assert send() == 1
    end(running)
    assert waiting() == 1
    assert send() == 1
    assert (count(there), waiting(), differences()) == (5, 0, [])


TEXTS = (*(text[:60] for text in hostile.STORABLE), "search", "c-1", "")
METERS: tuple[dict[str, int], ...] = (
    {"in_text": 1000, "out_text": 100},
    {"in_text": 7, "in_cache_read": 0, "images[1024,hd]": 2},
    {"in_audio": 9, "out_reasoning": 4, "out_text": 1, "pages": 0},
    {},
)
ZONES = ("UTC", "Asia/Kolkata", "Australia/Lord_Howe", "America/New_York")
# The clocks of New York were set back on the 1st, those of Lord Howe forward on October 4th.
TIMES = (dt.datetime(2026, 11, 2, tzinfo=dt.UTC), dt.datetime(2026, 10, 5, tzinfo=dt.UTC), NOON)
NOW = NOON + HOUR


def many(people: cast.Cast, key: Key, rng: random.Random, requests: int) -> list[Key]:
    """Requests of every kind; the keys that made them, the last one another organisation's."""
    other = teams.create_team(people.acme, "Second", actor=SYSTEM)
    core = people.stranger.teams.get()
    owners = [
        key,
        cast.make_key(other, "other", user=people.alice)[0],
        cast.make_key(people.core, "nobody")[0],
        cast.make_key(core, "foreign", user=people.charlie)[0],
    ]
    credit(owners[3])
    for _ in range(requests):
        owner = rng.choice(owners)
        at = rng.choice(TIMES) - dt.timedelta(microseconds=rng.randrange(2 * 86_400 * 10**6))
        fields: dict[str, Any] = {
            "project": rng.choice(TEXTS),
            "customer": rng.choice(TEXTS),
            "tags": rng.choice((None, rng.sample(TEXTS, rng.randrange(3)))),
            "client_app": rng.choice(TEXTS),
            "model": rng.choice((*TEXTS[:9], "gpt-5")),
        }
        if rng.random() < 0.1:
            refuse(owner, at, status=429, kind="rate_limited", **fields)
            continue
        happen(
            owner,
            at,
            rng.randrange(1, 10**9),
            status=rng.choice((200, 200, 200, 429, 499)),
            channel_id=rng.choice((CHANNEL, UUID(int=8))),
            channel_name=rng.choice(("east", "west")),
            meters=rng.choice(METERS),
            ttft_ms=rng.choice((None, rng.randrange(1, 900))),
            total_ms=rng.randrange(1000),
            saved_nano=rng.choice((0, rng.randrange(-9, 10**6), rng.randrange(10**6))),
            own_nano=(None, 0, 10**8 + at.microsecond)[at.microsecond % 3],
            **fields,
        )
    return owners


def a_filter(rng: random.Random, owners: list[Key]) -> UsageFilter:
    """Any time, zone and rows."""
    texts = rng.sample(TEXTS, 3)
    fields: dict[str, Any] = {
        "models": ("gpt-5", *texts),
        "keys": tuple(key.id for key in rng.sample(owners, 2)),
        "users": ("bob@example.org", "nobody@example.org"),
        "teams": ("second",),
        "channels": (CHANNEL,),
        "projects": tuple(texts),
        "customers": (texts[0],),
        "tags": tuple(texts),
        "apps": tuple(texts),
        "without": tuple(rng.sample(("user", "project", "tag", "channel", "app"), 2)),
        "status": rng.choice(("ok", "error", "stopped")),
        "min_cost_nano": 10**8,
    }
    names = rng.sample(list(fields), rng.choice((0, 0, 1, 1, 2)))
    start_at = bucket_of(rng.choice(TIMES) - rng.randrange(1, 60) * HOUR)
    end_at = start_at + rng.choice((6 * HOUR, 3 * DAYS, 40 * DAYS, 400 * DAYS))
    zone = ZoneInfo(rng.choice(ZONES))
    created = between(start_at, end_at, zone, NOW)
    return replace(
        created,
        scope=Scope(**{name: fields[name] for name in names}),
        group_by=rng.choice(CHARTED),
        metric=rng.choice(("cost", "requests", "tokens", "errors")),
    )


def figures(actor: Actor, asked: UsageFilter, by: list[str]) -> Any:
    at = read_freshness()
    return (
        explore(actor, asked, by, at, timed=True),
        overview(actor, asked, at, keys=3),
        times_over(actor, asked, at),
    )


def in_postgres(actor: Actor, asked: UsageFilter, by: list[str]) -> Any:
    with override_settings(CLICKHOUSE_URL=""):
        return figures(actor, asked, by)


def nobody_else_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked from now on, Postgres does not answer."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("Postgres was asked")

    for module in (explorer, usage.overview.overview):
        monkeypatch.setattr(module, "used_rows", refuse)


def same_figures(people: cast.Cast, owners: list[Key], rng: random.Random, questions: int) -> None:
    actors = [
        cast.actor(people.dora, people.acme),
        cast.actor(people.alice, people.acme),
        cast.actor(people.bob, people.acme),
        cast.actor(people.charlie, people.stranger),
    ]
    asked = []
    for _ in range(questions):
        actor, created = rng.choice(actors), a_filter(rng, owners)
        by = rng.sample([*GROUPINGS, DAY], rng.choice((0, 1, 2)))
        asked.append((actor, created, by, in_postgres(actor, created, by)))
    with pytest.MonkeyPatch.context() as patch:
        nobody_else_tells(patch)
        for actor, created, by, expected in asked:
            assert figures(actor, created, by) == expected, (created, by)
    assert sum(len(expected[0].cells) for *_, expected in asked) > questions


def test_figures_match_postgres(there: ClickHouse, people: cast.Cast, key: Key) -> None:
    """Of any rows in any zone by any groupings, for an operator, an owner, a developer and another
    organisation's owner: what ClickHouse tells is what Postgres tells."""
    rng = random.Random(20)
    owners = many(people, key, rng, 60)
    roll_up()
    assert send() == 60
    same_figures(people, owners, rng, 10)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 5))]
)
def test_figures_match_postgres_for_more_queries(
    there: ClickHouse, people: cast.Cast, key: Key, seed: int
) -> None:
    rng = random.Random(seed)
    owners = many(people, key, rng, 200)
    roll_up()
    assert send() == 200
    same_figures(people, owners, rng, 40)


def test_recovery_after_an_outage(
    there: ClickHouse, people: cast.Cast, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile Postgres answers, with what came since; then everything is there, in batches."""
    monkeypatch.setattr(sending, "BATCH", 3)
    actor = cast.actor(people.alice, people.acme)
    asked = between(NOON - DAYS, NOON + DAYS, ZoneInfo("UTC"), NOW)
    happen(key, charge_nano=1)
    roll_up()
    send()
    with override_settings(CLICKHOUSE_URL=AWAY):
        for n in range(7):
            happen(key, charge_nano=10, model=f"model-{n}")
            if n == 2:
                with pytest.raises(ClickHouseError):
                    send()
        roll_up()
        assert explore(actor, asked, ["model"]).total.charge_nano == 71
        result = backlog()
    assert (result.waiting, result.error) == (
        7,
        "it cannot be reached: [Errno 111] Connection refused",
    )
    expected = in_postgres(actor, asked, ["model"])
    monkeypatch.setattr(clickhouse_figures, "_paused_until", 0.0)
    assert send() == 7
    nobody_else_tells(monkeypatch)
    assert figures(actor, asked, ["model"]) == expected
    assert (backlog(), differences()) == (
        result._replace(waiting=0, error="", complete_to=there_to()),
        [],
    )


def test_missing_data_is_read_from_postgres(there: ClickHouse, people: cast.Cast, key: Key) -> None:
    """A report says up to when it is complete, and holds at least that, wherever it is read."""
    actor = cast.actor(people.alice, people.acme)
    now = clock.now()
    asked = between(now - HOUR, now + HOUR, ZoneInfo("UTC"), now)
    happen(key, now, charge_nano=1)
    roll_up()
    assert read_freshness().complete_until(asked.spans) == read_freshness().complete_to
    send()
    happen(key, clock.now(), charge_nano=2)
    roll_up()
    lags = read_freshness()
    assert lags.complete_to is not None
    assert lags.complete_until(asked.spans) == there_to() < lags.complete_to
    assert explore(actor, asked, [], lags).total.charge_nano == 1
    ClickHouseCursor.objects.update(complete_to=lags.complete_to - 2 * LAG_MAX)
    late = read_freshness()
    assert late.complete_until(asked.spans) == late.complete_to
    assert explore(actor, asked, [], late).total.charge_nano == 3


def test_repeated_batch_counts_once(
    there: ClickHouse, people: cast.Cast, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody dies before a batch, before its mark, and before it is noted here."""
    for n in range(5):
        happen(key, NOON + n * HOUR, charge_nano=n)
    send()
    before = ClickHouseCursor.objects.values().get()
    happen(key, charge_nano=10)
    for place, name in ((ClickHouse, "insert"), (sending, "_mark")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, _die)
            with pytest.raises(_Died):
                send()
    assert send() == 1
    ClickHouseCursor.objects.update(**before)
    assert send() == 1
    assert there.rows(f"SELECT count() FROM {RECORDS}")[0][0] > 6
    assert (count(there), differences()) == (6, [])
    alice = cast.actor(people.alice, people.acme)
    asked = clickhouse_figures._reader(there, alice, Scope())
    spans = [Span(NOON - DAYS, NOON + DAYS)]
    (whole,) = asked.cells(spans, [], 1)
    (model,) = asked.cells(spans, ["model"], 9, timed=True)
    (largest,) = asked.largest(spans, "model", "requests", 9)
    parts = asked.parts(spans, "model", "requests", [largest.id])
    assert [one.requests for one in (whole, model)] == [6, 6]
    assert (largest.value, sum(part.value for part in parts)) == (6, 6)


class _Died(Exception):
    pass


def _die(*_: Any) -> None:
    raise _Died


def lose_all(there: ClickHouse) -> None:
    for table in (RECORDS, MARKS):
        there.run(f"DROP TABLE {table}")


def lose_some(there: ClickHouse) -> None:
    """As one that was restored from a backup of before."""
    for table in (RECORDS, MARKS):
        there.run(f"TRUNCATE TABLE {table}")
    fill = ClickHouseCursor.objects.get().fill
    there.insert(MARKS, ("fill", "batch"), f'["{fill}", 0]'.encode())


def restore_here(there: ClickHouse) -> None:
    """As Postgres that was restored from a backup of before."""
    there.run(f"INSERT INTO {MARKS} SELECT fill, batch + 5 FROM {MARKS}")


def move_to_a_younger_server(there: ClickHouse) -> None:
    ClickHouseCursor.objects.update(snapshot="99999999999:99999999999:")


def change_the_schema(there: ClickHouse) -> None:
    ClickHouseCursor.objects.update(schema=0)


@pytest.mark.parametrize(
    "breaks",
    [
        lose_some,
        restore_here,
        lose_all,
        move_to_a_younger_server,
        change_the_schema,
    ],
)
def test_lost_data_is_refilled(
    there: ClickHouse,
    people: cast.Cast,
    key: Key,
    breaks: Callable[[ClickHouse], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody reads what is not whole: Postgres answers until it is."""
    actor = cast.actor(people.alice, people.acme)
    asked = between(NOON - DAYS, NOON + DAYS, ZoneInfo("UTC"), NOW)
    for n in range(3):
        happen(key, NOON + n * HOUR, charge_nano=1)
    roll_up()
    send()
    breaks(there)
    assert explore(actor, asked, []).total.charge_nano == 3
    fill = ClickHouseCursor.objects.get().fill
    monkeypatch.setattr(clickhouse_figures, "_paused_until", 0.0)
    assert send() == 3
    assert ClickHouseCursor.objects.get().fill != fill
    assert (count(there), differences()) == (3, [])
    nobody_else_tells(monkeypatch)
    assert explore(actor, asked, []).total.charge_nano == 3


def test_late_transaction_is_sent(
    there: ClickHouse, key: Key, another: psycopg.Connection[Any]
) -> None:
    """Whatever the order of commits, while it is filled and afterwards."""
    record = happen(key, charge_nano=1)
    write_elsewhere(another, record.id, key)
    assert send() == 1
    happen(key, charge_nano=2)
    assert send() == 1
    another.commit()
    assert send() == 1
    write_elsewhere(another, record.id, key)
    happen(key, charge_nano=4)
    assert send() == 1
    another.commit()
    assert send() == 1
    assert (count(there), differences()) == (5, [])


def test_detached_months_are_read_from_the_rollups(
    there: ClickHouse, people: cast.Cast, key: Key
) -> None:
    """The rollups know them, and no record does: from then on ClickHouse is not asked for them."""
    actor = cast.actor(people.alice, people.acme)
    gone = happen(key, NOON - 60 * DAYS, charge_nano=5)
    happen(key, NOON - 10 * DAYS, charge_nano=1)
    roll_up()
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("DELETE FROM usage_usagerecord WHERE id = %s", [gone.id])
        cursor.execute("SET session_replication_role = origin")
    rebuild()
    utc = ZoneInfo("UTC")
    whole = between(NOON - 61 * DAYS, NOON, utc, NOW)
    recent = between(NOON - 5 * DAYS, NOON, utc, NOW)
    assert read_freshness().copy_of(whole.spans) is None
    assert read_freshness().copy_of(recent.spans) is not None
    assert explore(actor, whole, ["model"]).total.charge_nano == 6


def test_differences_are_reported(there: ClickHouse, key: Key) -> None:
    happen(key, charge_nano=1)
    assert differences() == ["it is not filled yet"]
    send()
    there.run(f"ALTER TABLE {RECORDS} UPDATE charge_nano = 2 WHERE 1 SETTINGS mutations_sync = 2")
    (result,) = differences()
    assert result.startswith("2026-11-18: [1, 1, 2000, 200,")
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("verify", stdout=out)
    assert f"ClickHouse: {result}" in out.getvalue()
    call_command("rebuild_clickhouse", stdout=out)
    assert "1 records sent." in out.getvalue()
    assert differences() == []


def test_operators_see_the_state(there: ClickHouse, people: cast.Cast, key: Key) -> None:
    happen(key)
    dora = cast.signed_in(people.dora)
    system = dora.get("/api/v1/system").json()
    assert (system["clickhouse_waiting"], system["clickhouse_complete_to"]) == (1, None)
    assert "Filling" in dora.get("/admin/health").content.decode()
    send()
    system = dora.get("/api/v1/system").json()
    assert (system["clickhouse_waiting"], system["clickhouse_error"]) == (0, "")
    assert system["clickhouse_complete_to"] is not None
    with override_settings(CLICKHOUSE_PASSWORD="wrong"):
        happen(key)
        with pytest.raises(ClickHouseError):
            send()
    assert "Failed: it answered 403, error 516" in dora.get("/admin/health").content.decode()
    assert b'weir_queue_length{queue="clickhouse"} 1.0' in metrics_text()


def test_queries_write_nothing_and_show_no_secrets(there: ClickHouse) -> None:
    with pytest.raises(ClickHouseError) as refused:
        there.rows("CREATE TABLE more (n Int8) ENGINE = Memory")
    assert refused.value.code == 164
    assert PASSWORD not in f"{there!r} {refused.value}"


def test_texts_are_parameters(there: ClickHouse) -> None:
    """Whatever stands in them, alone and in a list."""
    asked = "SELECT {one:String}, {more:Array(String)}"
    for text in (*hostile.STORABLE, hostile.LONG, ""):
        assert there.rows(asked, {"one": text, "more": [text, "x"]}) == [[text, [text, "x"]]]


def test_pages_and_api_use_clickhouse(
    there: ClickHouse, people: cast.Cast, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With row-level security, as whoever is signed in; and by labels however many there are."""
    monkeypatch.setattr(too_many_records, "RECORDS_MAX", 0)
    at = clock.now()
    happen(key, at, charge_nano=5_000_000_000, hold_nano=10**10, project="search")
    roll_up()
    alice = cast.signed_in(people.alice)
    explore_url = "/o/acme/usage/explore?group_by=project"
    assert "choose a shorter period" in alice.get(explore_url).content.decode()
    send()
    nobody_else_tells(monkeypatch)
    assert "search" in alice.get(explore_url).content.decode()
    assert "choose a shorter period" not in alice.get(explore_url).content.decode()
    assert "$5.00" in alice.get("/o/acme/usage?group_by=project").content.decode()


def test_erased_person_is_in_no_record(there: ClickHouse, key: Key, people: cast.Cast) -> None:
    """P36: what clients called them, and labels that are their address; figures stay."""
    foreign, _ = cast.make_key(people.stranger.teams.get(), "foreign", user=people.charlie)
    credit(foreign)
    words = {"customer": "Bob@example.org", "project": "launch", "end_user": "bobs-laptop"}
    happen(key, NOON, charge_nano=5, **words)
    happen(foreign, NOON, charge_nano=5, **words)
    assert send() == 2
    organisations = [people.acme.id]
    server.forget_person(
        people.bob.pk, ["bob@example.org", "it's\\me@x"], "erased-1@erased.invalid", organisations
    )
    rows = there.rows(
        "SELECT toString(organisation_id), customer, project, end_user, charge_nano "
        f"FROM {RECORDS} FINAL ORDER BY customer"
    )
    assert rows == [
        [str(people.stranger.id), "Bob@example.org", "launch", "bobs-laptop", 5],
        [str(people.acme.id), "erased-1@erased.invalid", "launch", "", 5],
    ]


def test_a_person_is_erased_before_or_after_a_batch(
    there: ClickHouse,
    key: Key,
    people: cast.Cast,
    another: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """P36: texts that were read before the erasure are not inserted after it. A refill of hours
    delays it by one batch only."""
    steps = list[tuple[str, bool]]()
    another.autocommit = True

    def watch(owner: Any, name: str) -> None:
        work = getattr(owner, name)

        def watched(*args: Any) -> Any:
            ((free,),) = another.execute(
                f"SELECT pg_try_advisory_lock({AdvisoryLock.CLICKHOUSE_BATCH})"
            ).fetchall()
            if free:
                another.execute(f"SELECT pg_advisory_unlock({AdvisoryLock.CLICKHOUSE_BATCH})")
            steps.append((name, not free))
            return work(*args)

        monkeypatch.setattr(owner, name, watched)

    assert send() == 0
    happen(key, NOON, end_user="bobs-laptop")
    for owner, name in (
        (sending, "_intact"),
        (rounds, "read_batch"),
        (ClickHouse, "insert"),
        (ClickHouse, "run"),
    ):
        watch(owner, name)
    assert send() == 1
    server.forget_person(people.bob.pk, [], "erased-1@erased.invalid", [people.acme.id])
    assert steps == [
        ("_intact", False),
        ("read_batch", True),
        ("insert", True),
        ("insert", True),
        ("run", True),
    ]
    assert there.rows(f"SELECT end_user FROM {RECORDS} FINAL") == [[""]]
