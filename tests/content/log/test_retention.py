"""P31: what has been kept long enough is dropped, with its partition or object."""

import asyncio
import datetime as dt
from os import environ
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection

from content.log.objects import StoreAway, put_texts
from content.log.retention import drop_expired
from content.log.sealed import content_store
from lib import clock
from lib.ids import new_id

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


def put_object(drop_at: dt.datetime) -> str:
    """An object that is dropped then; its path in the store."""
    store, id = content_store(), new_id()
    assert store is not None
    asyncio.run(put_texts(store, drop_at, id, [b"sealed"]))
    return f"content/{drop_at:%Y-%m-%dT%H}/{id}"


def test_expired_objects_are_dropped_and_others_stay(tmp_path: Path, settings: Any) -> None:
    """Whether or not there are entries for them: a process may have ended in between."""
    folder = tmp_path / "store"
    settings.CONTENT_STORE = folder.as_uri()
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    old, now, later = (put_object(hour + dt.timedelta(hours=hours)) for hours in (-30, 0, 1))
    # What a process leaves that is killed while it writes a file. No listing has it.
    (folder / f"{old}#1").write_bytes(b"sealed")
    (folder / "content/own notes").mkdir()
    make_partition(hour)
    assert drop_expired() == 1
    left = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    assert left == {"content", "content/own notes", str(Path(later).parent), later}
    assert now not in left
    assert drop_expired() == 0


def test_store_that_is_away_keeps_no_partition_and_fails_the_job(
    tmp_path: Path, settings: Any
) -> None:
    folder = tmp_path / "store"
    settings.CONTENT_STORE = folder.as_uri()
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    expired = put_object(hour)
    make_partition(hour)
    folder.rename(tmp_path / "aside")
    folder.write_text("no folder")
    with pytest.raises(StoreAway):
        drop_expired()
    assert partitions() == 0
    folder.unlink()
    (tmp_path / "aside").rename(folder)
    drop_expired()
    assert not (folder / expired).exists()
