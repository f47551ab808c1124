"""The record sink gets what the content log keeps, at least once, and nothing else (P31)."""

import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from django.test import override_settings

from accounts.access.actors import SYSTEM
from accounts.models import Key
from config.system.metrics import metrics_text
from content.data_keys.data_keys import destroy_data_keys
from content.log.final_states import FinalState, keep_final_states
from content.log.retention import drop_expired
from content.models import DataKey, Entry
from content.rules import log_rules
from extensions.record_sink import contents, receiver
from extensions.record_sink.contents import backlog, send
from extensions.record_sink.models import ContentSinkCursor
from extensions.record_sink.sending import forget_person
from lib import clock
from lib.ids import id_text
from tests.content.log.entries import put_in_store
from tests.content.log.test_retention import no_partitions
from tests.extensions.record_sink.sinks import credit, objects_in
from tests.extensions.record_sink.texts import held, say, texts_at, texts_in
from tests.fakes.record_receiver import SECRET, Fake
from tests.fakes.record_receiver import receiver as fake_receiver
from tests.support import cast
from tests.usage.rollups.test_rollups import another
from usage.models import UsageRecord
from usage.sinks.usage_sink import SinkError

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["another", "no_partitions"]

HOUR = dt.timedelta(hours=1)


@pytest.fixture(autouse=True)
def _stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept for an hour is in one partition, whenever the test runs."""
    at = clock.now()
    monkeypatch.setattr(clock, "now", lambda: at)


@pytest.fixture
def people(transactional_db: None) -> cast.Cast:
    return cast.assemble()


@pytest.fixture
def key(people: cast.Cast) -> Key:
    created, _ = cast.make_key(people.core, "web-prod", user=people.bob)
    credit(created)
    return created


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with override_settings(RECORD_SINK_URL=f"file://{tmp_path}/sink", RECORD_SINK_CONTENT=True):
        yield tmp_path / "sink"


@pytest.fixture
def fake() -> Iterator[Fake]:
    with (
        fake_receiver() as started,
        override_settings(
            RECORD_SINK_URL=started.url, RECORD_SINK_SECRET=SECRET, RECORD_SINK_CONTENT=True
        ),
    ):
        yield started


def pass_time(monkeypatch: pytest.MonkeyPatch, time: dt.timedelta) -> None:
    later = clock.now() + time
    monkeypatch.setattr(clock, "now", lambda: later)


def test_sink_has_what_the_content_log_holds(folder: Path, people: cast.Cast, key: Key) -> None:
    entries = [say(key, f"<text> {n} 好") for n in range(3)]
    assert backlog() == (3, None, "", 0)
    assert (send(), send()) == (3, 0)
    texts = texts_in(folder)
    assert texts == held(people)
    assert set(texts) == {id_text(entry.request_id) for entry in entries}
    (path,) = objects_in(folder)
    assert path.startswith(f"contents/{entries[0].created_at:%Y-%m-%d}/000000000001-")
    # A reader finds the record of a text, and the text of a record.
    records = UsageRecord.objects.values_list("request_id", flat=True)
    assert set(texts) == {id_text(request_id) for request_id in records}


@pytest.mark.parametrize("over", [{"RECORD_SINK_CONTENT": False}, {"RECORD_SINK_URL": ""}])
def test_no_text_is_sent_unless_the_operator_wants_it(
    folder: Path, key: Key, over: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    say(key, "needle")
    with override_settings(**over):
        assert send() == 0
        pass_time(monkeypatch, 30 * HOUR)
        assert drop_expired() == 1
    assert not folder.exists()
    assert not ContentSinkCursor.objects.exists()


def test_late_transaction_is_sent(
    folder: Path, people: cast.Cast, key: Key, another: psycopg.Connection[Any]
) -> None:
    """Whatever the order of commits: it began before what was sent, and has the smallest id."""
    late = say(key, "late")
    move(another, late)
    say(key, "early")
    assert send() == 1
    another.commit()
    assert send() == 1
    assert len(texts_in(folder)) == 2
    assert texts_in(folder) == held(people)


def move(another: psycopg.Connection[Any], entry: Entry) -> None:
    """Write an entry in an open transaction of another process instead."""
    columns = [str(field.column) for field in Entry._meta.concrete_fields]
    row = [getattr(entry, field.attname) for field in Entry._meta.concrete_fields]
    Entry.objects.filter(request_id=entry.request_id).delete()
    places = ", ".join(["%s"] * len(row))
    another.execute(
        f"INSERT INTO content_entry ({', '.join(columns)}) VALUES ({places})",
        row,
    )


def test_entries_of_before_the_update_are_sent(folder: Path, people: cast.Cast, key: Key) -> None:
    """They have the number that the migration gives them."""
    for n in range(3):
        say(key, f"old {n}")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE content_entry SET xid = '1'")
    assert send() == 3
    say(key, "new")
    assert send() == 1
    assert texts_in(folder) == held(people)


def test_restored_postgres_sends_all_again(folder: Path, people: cast.Cast, key: Key) -> None:
    """Into a server with fewer transactions, so that entries seem to come from the future."""
    say(key, "text")
    send()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE content_entry SET xid = '99999999999'")
    ContentSinkCursor.objects.update(snapshot="99999999999:99999999999:")
    assert send() == 1
    say(key, "later")
    assert send() == 1
    assert len(objects_in(folder)) == 3
    assert texts_in(folder) == held(people)


def test_erased_person_is_not_sent(folder: Path, people: cast.Cast, key: Key) -> None:
    """Nor missed: it is what they asked for."""
    say(key, "needle")
    own, _ = cast.make_key(people.core, "other", user=people.alice)
    say(own, "kept")
    destroy_data_keys(people.bob, people.acme)
    assert send() == 1
    assert "needle" not in str(objects_in(folder))
    assert backlog()[:1] + backlog()[2:] == (0, "", 0)


def test_erasure_waits_for_texts_that_are_being_sent(
    fake: Fake, people: cast.Cast, key: Key
) -> None:
    """The notice is the last thing that the sink gets of a person: nobody sends meanwhile."""
    say(key, "text")
    sent: list[int] = []

    def during(handler: Any, stored: bool) -> bool:
        sent.append(send())
        connection.close()
        return False

    fake.misbehave = [during]
    forget_person(7, [], "erased-7@erased.invalid", [people.acme.id])
    assert sent[0] == 0
    assert send() == 1


def test_expired_text_is_not_sent_and_counted_once(
    folder: Path, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(key, "needle", hours=1)
    say(key, "kept", hours=30)
    pass_time(monkeypatch, HOUR + dt.timedelta(minutes=1))
    assert send() == 1
    assert "needle" not in str(objects_in(folder))
    assert backlog().expired == 1
    pass_time(monkeypatch, 2 * HOUR)
    assert drop_expired() == 1
    assert (send(), backlog().expired) == (0, 1)


@pytest.mark.parametrize("first", [False, True])
def test_texts_that_are_dropped_before_they_are_sent_are_counted(
    fake: Fake, people: cast.Cast, key: Key, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    """In the first fill and later, in the middle of a round. What was sent is not counted, nor what
    nobody can read."""
    monkeypatch.setattr(receiver._HttpReceiver, "records_max", 1)
    if not first:
        say(key, "before", hours=1)
        send()
    for n in range(5):
        say(key, f"text {n}", hours=1)
    other, _ = cast.make_key(people.core, "other", user=people.alice)
    say(other, "erased", hours=1)
    destroy_data_keys(people.alice, people.acme)
    fake.misbehave = [204, 204, 503]
    with pytest.raises(SinkError):
        send()
    assert backlog().error == "it answered 503"
    pass_time(monkeypatch, 3 * HOUR)
    assert drop_expired() == 1
    assert backlog().expired == 3
    late = say(key, "afterwards")
    # The first fill has what was written meanwhile, and so has the round after it.
    assert send() == (2 if first else 1)
    assert backlog()[:1] + backlog()[2:] == (0, "", 3)
    assert id_text(late.request_id) in texts_at(fake)
    assert len(texts_at(fake)) == (3 if first else 4)


def test_partition_that_was_sent_is_dropped_without_a_count(
    folder: Path, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(key, "text", hours=1)
    send()
    pass_time(monkeypatch, 3 * HOUR)
    assert (drop_expired(), backlog().expired) == (1, 0)


def test_end_of_a_media_task_is_sent_later(folder: Path, people: cast.Cast, key: Key) -> None:
    log_rules.add_rule(SYSTEM, people.acme, scope="organisation")
    entry = say(key, "a film")
    assert send() == 1
    end = FinalState(entry.organisation_id, entry.request_id, {"status": "succeeded"})
    keep_final_states([end])
    assert send() == 1
    (text,) = texts_in(folder).values()
    assert "succeeded" in text["final"]
    assert texts_in(folder) == held(people)


def test_batches_are_bounded_by_size(
    fake: Fake, people: cast.Cast, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One text that is larger than a batch may be is sent alone."""
    sizes = [say(key, "x" * n).content_bytes for n in (10, 10, 2_000, 10)]
    monkeypatch.setattr(receiver._HttpReceiver, "content_bytes_max", sum(sizes[:2]))
    assert send() == 4
    assert [len(lines) for lines in fake.batches.values()] == [2, 1, 1]
    assert texts_at(fake) == held(people)


@pytest.mark.parametrize(
    ("sizes", "fitting"),
    [([], 0), ([9], 1), ([99], 1), ([5, 5], 2), ([5, 6], 1), ([4, 3, 3, 1], 3), ([11, 1], 1)],
)
def test_batch_takes_what_fits_and_at_least_one(sizes: list[int], fitting: int) -> None:
    places: Any = [SimpleNamespace(bytes=size) for size in sizes]
    assert contents._fitting(places, 10) == fitting


def test_file_of_a_batch_has_what_fits(
    folder: Path, people: cast.Cast, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit is sent next, and nothing is passed over."""
    sizes = [say(key, text).content_bytes for text in ("one", "two", "six")]
    monkeypatch.setattr(receiver._ObjectReceiver, "content_bytes_max", sum(sizes[:2]))
    assert send() == 3
    assert [len(lines) for _, lines in sorted(objects_in(folder).items())] == [2, 1]
    assert texts_in(folder) == held(people)


def test_batch_is_sent_again_after_an_error_status(fake: Fake, people: cast.Cast, key: Key) -> None:
    """With the same id and the same bytes, although more has happened meanwhile."""
    say(key, "one")
    send()
    say(key, "two")
    fake.misbehave = [500]
    with pytest.raises(SinkError, match="it answered 500"):
        send()
    say(key, "three")
    assert send() == 2
    assert fake.requests[1] == fake.requests[2]
    assert texts_at(fake) == held(people)


def test_texts_in_an_object_store_are_sent(
    folder: Path, people: cast.Cast, key: Key, tmp_path: Path
) -> None:
    """While that store is away, nothing is passed over."""
    store = tmp_path / "store"
    with override_settings(CONTENT_STORE=store.as_uri()):
        put_in_store(say(key, "one"), say(key, "two"))
        store.rename(tmp_path / "aside")
        store.write_text("no folder")
        with pytest.raises(SinkError, match="object store of the content log"):
            send()
        store.unlink()
        (tmp_path / "aside").rename(store)
        assert send() == 2
        assert texts_in(folder) == held(people)


def test_process_with_another_secret_passes_nothing_over(
    folder: Path, people: cast.Cast, key: Key
) -> None:
    say(key, "text")
    data_key = DataKey.objects.get()
    DataKey.objects.update(sealed=os.urandom(60))
    with pytest.raises(SinkError, match="does not open here"):
        send()
    DataKey.objects.update(sealed=data_key.sealed)
    assert send() == 1
    assert texts_in(folder) == held(people)


def test_lost_text_is_logged_and_passed_over(
    folder: Path, key: Key, caplog: pytest.LogCaptureFixture
) -> None:
    lost = say(key, "lost")
    say(key, "kept")
    Entry.objects.filter(request_id=lost.request_id).update(sealed=b"damaged")
    assert send() == 1
    assert f"request {id_text(lost.request_id)} is not sent" in caplog.text


def test_command_sends_all_again(
    fake: Fake, people: cast.Cast, key: Key, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in range(3):
        say(key, f"text {n}")
    send()
    fake.batches.clear()
    call_command("resend_records")
    assert "3 entries of the content log sent." in capsys.readouterr().out
    assert texts_at(fake) == held(people)


def test_operators_see_the_state(
    fake: Fake, people: cast.Cast, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(key, "one", hours=1)
    dora = cast.signed_in(people.dora)
    assert "Record sink: content log" in dora.get("/admin/health").content.decode()
    send()
    say(key, "two", hours=1)
    fake.misbehave = [500]
    with pytest.raises(SinkError):
        send()
    assert "Failed: it answered 500" in dora.get("/admin/health").content.decode()
    (sink,) = dora.get("/api/v1/system").json()["content_sinks"]
    assert sink.pop("complete_to") is not None
    state = {"name": "content_sink", "waiting": 1, "error": "it answered 500", "expired": 0}
    assert sink == state
    assert b'weir_queue_length{queue="content_sink"} 1.0' in metrics_text()
    ContentSinkCursor.objects.update(expired=2)
    page = dora.get("/admin/health").content.decode()
    assert "1 record waiting, 2 expired before they were sent" in page
    assert b'weir_content_sink_expired_total{queue="content_sink"} 2.0' in metrics_text()


def test_owner_sees_that_texts_leave(people: cast.Cast) -> None:
    words = "sent to a store or service of the operator"
    browser = cast.signed_in(people.alice)
    for url, content in (("", False), ("", True), ("file:///srv", False), ("file:///srv", True)):
        with override_settings(RECORD_SINK_URL=url, RECORD_SINK_CONTENT=content):
            page = browser.get("/o/acme/content-log").content.decode()
            assert (words in page) == bool(url and content)
