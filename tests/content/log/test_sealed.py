"""P31: texts in the object store are read as those in Postgres; a store that is away says so."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from accounts.models import AuditEvent
from content.access import visible_entries
from content.log import log
from content.log.sealed import TextsAway
from content.log.session_log import read_session_log
from content.models import DataKey, Entry
from lib.ids import id_text, new_id
from lib.refusal import Refused
from tests.content.log.entries import put_in_store
from tests.content.log.test_log import hits_of, kept, lines_of, reader
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    settings.CONTENT_STORE = folder.as_uri()
    return folder


def take_away(folder: Path, settings: Any) -> None:
    """The store does not answer."""
    folder.rename(folder.with_name("aside"))
    folder.write_text("no folder")


def take_setting(folder: Path, settings: Any) -> None:
    """No store is configured any more."""
    settings.CONTENT_STORE = ""


def unmount(folder: Path, settings: Any) -> None:
    """The folder is there, without what was in it."""
    folder.rename(folder.with_name("aside"))
    folder.mkdir()


def test_texts_in_rows_and_in_objects_are_read_together(people: Cast, folder: Path) -> None:
    """The setting was changed in between, and changed back."""
    bob, session = reader(people), new_id()
    entries = kept(people.core, *(f"needle {number}" for number in range(6)), session_id=session)
    put_in_store(entries[1], entries[2])
    put_in_store(entries[4])
    newest_first = [entry.request_id for entry in reversed(entries)]

    result = log.search(bob, visible_entries(bob), "needle", "why")
    assert [entry.request_id for entry in hits_of(result)] == newest_first
    *lines, end = lines_of(log.download(bob, visible_entries(bob), "why"))
    assert [line["request_id"] for line in lines] == [id_text(id) for id in newest_first]
    assert end == {"next": None}
    read = read_session_log(bob, session, "why")
    assert (len(read.entries), read.unreadable) == (6, 0)
    for number, entry in enumerate(entries):
        _, content = log.read_entry(bob, entry.request_id, "why")
        assert json.loads(content.request)["messages"][0]["content"] == f"needle {number}"


def test_what_no_data_key_opens_is_not_read_from_an_object(people: Cast, folder: Path) -> None:
    """P36: copies of the store are as unreadable as copies of the database."""
    bob = reader(people)
    (entry,) = kept(people.core, "needle")
    put_in_store(entry)
    DataKey.objects.all().delete()
    with pytest.raises(Refused, match="can no longer be read"):
        log.read_entry(bob, entry.request_id, "why")
    assert log.search(bob, visible_entries(bob), "needle", "why").hits == []


@pytest.mark.parametrize("away", [take_away, take_setting, unmount])
def test_reader_learns_that_the_store_is_away(
    people: Cast, folder: Path, settings: Any, away: Callable[[Path, Any], None]
) -> None:
    bob, session = reader(people), new_id()
    (entry,) = kept(people.core, "needle", session_id=session)
    put_in_store(entry)
    away(folder, settings)
    says = "in an object store that does not answer now"
    with pytest.raises(TextsAway, match=says):
        log.read_entry(bob, entry.request_id, "why")
    with pytest.raises(TextsAway, match=says):
        log.search(bob, visible_entries(bob), "needle", "why")
    with pytest.raises(TextsAway, match=says):
        read_session_log(bob, session, "why")
    assert not AuditEvent.objects.filter(action__startswith="content.").exists()
    (line,) = lines_of(log.download(bob, visible_entries(bob), "why"))
    assert says in line["error"]


def test_text_in_postgres_is_read_while_the_store_is_away(
    people: Cast, folder: Path, settings: Any
) -> None:
    bob = reader(people)
    (entry,) = kept(people.core, "needle")
    take_away(folder, settings)
    assert b"needle" in log.read_entry(bob, entry.request_id, "why")[1].request


def test_lost_object_loses_its_own_texts_alone(people: Cast, folder: Path) -> None:
    bob = reader(people)
    lost, still = kept(people.core, "needle one", "needle two")
    id = put_in_store(lost)
    put_in_store(still)
    (path,) = folder.rglob(str(id))
    path.unlink()
    assert [
        entry.request_id
        for entry in hits_of(log.search(bob, visible_entries(bob), "needle", "why"))
    ] == [still.request_id]
    with pytest.raises(Refused, match="missing from the object store"):
        log.read_entry(bob, lost.request_id, "why")


@pytest.mark.parametrize(
    "over",
    [
        {"sealed": None},
        {"object_id": new_id()},
        {"object_id": new_id(), "object_offset": 0, "object_bytes": 1},
        {"sealed": None, "object_id": new_id(), "object_offset": 0},
    ],
    ids=["nowhere", "half", "both", "no length"],
)
def test_text_is_in_one_place(people: Cast, over: dict[str, Any]) -> None:
    (entry,) = kept(people.core, "Hello")
    with pytest.raises(IntegrityError, match="entry_in_one_place"), transaction.atomic():
        Entry.objects.filter(request_id=entry.request_id).update(**over)
