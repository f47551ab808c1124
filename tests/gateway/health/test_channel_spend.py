"""What channels cost by day and month: each settled record once, counted with the traffic or not
yet."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from accounts.access.actors import SYSTEM
from accounts.models import Key
from gateway.channels.channels import create_channel
from gateway.health.sql import Spend, read_spend
from gateway.health.traffic import count_new_records
from gateway.models import Channel, ChannelSpend
from tests.runner import databases
from tests.support.cast import Cast, make_key
from tests.usage.rows import credit, happen

pytestmark = pytest.mark.django_db

BEGUN = "SELECT pg_current_xact_id()::text::bigint"


@pytest.fixture
def key(people: Cast) -> Key:
    key, _ = make_key(people.core)
    credit(key)
    return key


@pytest.fixture
def channel() -> Channel:
    return create_channel(SYSTEM, "main", {"provider": "openai", "keys": ["sk-of-spend"]})


def spend_of(*channels: Channel) -> list[Spend]:
    text, parameters = read_spend([channel.id for channel in channels])
    with connection.cursor() as cursor:
        cursor.execute(text, parameters)
        rows = {row[0]: Spend(*row) for row in cursor}
    return [rows[channel.id] for channel in channels]


def database_now() -> dt.datetime:
    """The same at each call of a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        now: dt.datetime = cursor.fetchone()[0]
        return now.astimezone(dt.UTC)


def test_days_and_months_use_the_installations_zone(key: Key, channel: Channel) -> None:
    """What has no cost price costs what is charged, as in the books."""
    now = database_now()
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    happen(key, now, 100, channel_id=channel.id, ended_at=now, cost_nano=40)
    happen(key, now, 7, channel_id=channel.id, ended_at=today)
    happen(key, first, 5, channel_id=channel.id, ended_at=first)
    happen(key, now, 900, channel_id=channel.id, ended_at=first - dt.timedelta(microseconds=1))
    happen(key, now, 3_000, ended_at=now)
    (spend,) = spend_of(channel)
    assert spend.day_nano == 47 + (5 if first == today else 0)
    assert spend.month_nano == 52
    assert spend.day_left_s == pytest.approx((today + dt.timedelta(days=1) - now).total_seconds())
    assert spend.day_left_s <= spend.month_left_s <= 31 * 86_400


@pytest.mark.django_db(transaction=True)
def test_each_record_counts_once_whenever_the_traffic_is_counted(
    key: Key, channel: Channel
) -> None:
    # Whatever the date is, later days are none of an earlier month.
    later = database_now() + dt.timedelta(days=40)
    happen(key, later, 0, channel_id=channel.id, ended_at=later, cost_nano=40)
    assert spend_of(channel)[0].month_nano == 40
    count_new_records()
    assert spend_of(channel)[0].month_nano == 40
    happen(key, later, 0, channel_id=channel.id, ended_at=later, cost_nano=2)
    assert spend_of(channel)[0].month_nano == 42
    count_new_records()
    count_new_records()
    assert spend_of(channel)[0].month_nano == 42


@pytest.mark.django_db(transaction=True)
def test_only_own_database_transactions_are_awaited(key: Key, channel: Channel) -> None:
    """What it wrote counts once it is there; one of another database holds nothing up."""
    now = database_now()
    with databases.admin() as elsewhere, elsewhere.transaction():
        (theirs,) = elsewhere.execute(BEGUN).fetchone() or (0,)
        happen(key, now, 0, channel_id=channel.id, ended_at=now, cost_nano=1)
        assert int(str(theirs)) > 0
        databases.run_until(count_new_records, lambda: counted_to() > int(str(theirs)))
        with ThreadPoolExecutor(1) as pool, transaction.atomic():
            ours = number_of(BEGUN)
            happen(key, now, 0, channel_id=channel.id, ended_at=now, cost_nano=20)
            databases.run_until(
                lambda: pool.submit(counted_by_another).result(), lambda: counted_to() == ours
            )
    happen(key, now, 0, channel_id=channel.id, ended_at=now, cost_nano=300)
    databases.run_until(count_new_records, lambda: counted_to() > ours)
    assert ChannelSpend.objects.get(channel_id=channel.id).cost_nano == 321


def counted_by_another() -> None:
    try:
        count_new_records()
    finally:
        connection.close()


def counted_to() -> int:
    """The oldest transaction that the last run waits for."""
    oldest = "pg_snapshot_xmin(snapshot::pg_snapshot)::text::bigint"
    return number_of(f"SELECT {oldest} FROM gateway_trafficcursor")


def number_of(query: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return int(cursor.fetchone()[0])


def test_a_channel_without_requests_has_cost_nothing(channel: Channel) -> None:
    (spend,) = spend_of(channel)
    assert (spend.day_nano, spend.month_nano) == (0, 0)
