"""P31: what has been kept long enough is dropped, with its partition."""

import datetime as dt
from os import environ

import psycopg
import pytest
from django.db import connection

from content.log.retention import drop_expired
from lib import clock

pytestmark = pytest.mark.django_db(transaction=True)


def make_partition(drop_at: dt.datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT content_make_partition(%s)", [drop_at])


def partitions() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_inherits WHERE inhparent = 'content_entry'::regclass"
        )
        ((number,),) = cursor.fetchall()
    return int(number)


@pytest.fixture(autouse=True)
def no_partitions(db: None) -> None:
    """Those that other tests committed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits "
            "WHERE inhparent = 'content_entry'::regclass"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP TABLE {name}")


def test_expired_partitions_are_dropped_and_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    for hours in (-25, 0, 1):
        make_partition(hour + dt.timedelta(hours=hours))
        make_partition(hour + dt.timedelta(hours=hours))
    assert partitions() == 3
    assert drop_expired() == 2
    assert partitions() == 1
    monkeypatch.setattr(clock, "now", lambda: hour + dt.timedelta(hours=1))
    assert drop_expired() == 1
    assert partitions() == 0


def test_partition_that_another_transaction_uses_is_dropped_later() -> None:
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    make_partition(hour)
    name = connection.settings_dict["NAME"]
    with psycopg.connect(environ["DATABASE_URL"], dbname=name) as other:
        other.execute("SELECT count(*) FROM content_entry")
        assert drop_expired() == 0
        assert partitions() == 1
    assert drop_expired() == 1
    assert partitions() == 0
