"""The record sink: every usage record arrives at least once, whatever the sink answers."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.test import override_settings

from accounts.models import Key, User
from config.system.metrics import metrics_text
from extensions.record_sink import receiver, stream
from extensions.record_sink.models import RecordSinkCursor
from extensions.record_sink.sending import backlog, forget_person, send
from lib.ids import id_text
from playground.erasure.erasure_requests import request_erasure
from playground.erasure.erasure_steps import erase_people
from tests.extensions.record_sink.sinks import (
    assert_equal_to_the_ledger,
    credit,
    objects_in,
    records_in,
)
from tests.fakes.record_receiver import SECRET, Fake
from tests.fakes.record_receiver import receiver as fake_receiver
from tests.support import cast
from tests.usage.rollups.test_rollups import another, write_elsewhere
from tests.usage.rows import METERS, NOON, admit, end, happen, refuse
from usage.sinks.usage_sink import SinkError

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["another"]


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
    with override_settings(RECORD_SINK_URL=f"file://{tmp_path}/sink"):
        yield tmp_path / "sink"


@pytest.fixture
def fake() -> Iterator[Fake]:
    with (
        fake_receiver() as started,
        override_settings(RECORD_SINK_URL=started.url, RECORD_SINK_SECRET=SECRET),
    ):
        yield started


def test_records_arrive_in_a_folder(folder: Path, key: Key) -> None:
    records = [happen(key, charge_nano=n, project="search", tags=["a"]) for n in range(3)]
    records.append(refuse(key, status=429, kind="rate_limited"))
    assert backlog().waiting == 4
    assert (send(), send()) == (4, 0)
    assert (backlog().waiting, backlog().error) == (0, "")
    (path,) = objects_in(folder)
    assert path.startswith("records/2026-11-18/000000000001-")
    arrived = records_in(folder)
    assert_equal_to_the_ledger(arrived)
    one = arrived[id_text(records[1].id)]
    assert one["type"] == "usage_record"
    assert one["request_id"] == id_text(records[1].request_id)
    assert one["user_id"] == key.user_id
    assert (one["charge_nano"], one["meters"], one["tags"]) == (1, METERS, ["a"])
    assert one["admitted_at"] == "2026-11-18T12:00:00+00:00"
    assert not {"message", "raw_usage"} & one.keys()


def test_later_endings_are_sent(folder: Path, key: Key) -> None:
    running = admit(key, NOON)
    happen(key)
    assert send() == 1
    end(running, charge_nano=7)
    assert send() == 1
    assert_equal_to_the_ledger(records_in(folder))
    assert len(objects_in(folder)) == 2


def test_late_transaction_is_sent(folder: Path, key: Key, another: psycopg.Connection[Any]) -> None:
    """Whatever the order of commits."""
    record = happen(key)
    assert send() == 1
    write_elsewhere(another, record.id, key)
    happen(key)
    assert send() == 1
    another.commit()
    assert send() == 1
    assert len(records_in(folder)) == 3


def test_http_receiver_gets_signed_batches(
    fake: Fake, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver._HttpReceiver, "records_max", 2)
    for n in range(5):
        happen(key, charge_nano=n)
    assert send() == 5
    assert [len(lines) for lines in fake.batches.values()] == [2, 2, 1]
    assert_equal_to_the_ledger(fake.records())


@pytest.mark.parametrize("status", [500, 503, 400, 413, 401, 302, 410])
def test_batch_is_sent_again_after_an_error_status(fake: Fake, key: Key, status: int) -> None:
    """With the same id and the same bytes, although more has happened meanwhile."""
    happen(key)
    send()
    happen(key, charge_nano=5)
    fake.misbehave = [status]
    with pytest.raises(SinkError, match=f"it answered {status}"):
        send()
    assert (backlog().waiting, backlog().error) == (1, f"it answered {status}")
    happen(key, charge_nano=6)
    assert send() == 2
    assert fake.requests[1] == fake.requests[2]
    assert_equal_to_the_ledger(fake.records())
    assert backlog().error == ""


def test_hanging_receiver_is_given_up(
    fake: Fake, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "_READ_S", 0.3)
    happen(key)
    fake.misbehave = [lambda handler, stored: fake.done.wait()]
    with pytest.raises(SinkError, match="it cannot be reached"):
        send()
    assert backlog().waiting == 1


def test_endless_answer_is_given_up(fake: Fake, key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that drips is never slow enough for a time between two bytes."""
    monkeypatch.setattr(stream, "_RUN_S", 0.2)
    monkeypatch.setattr(stream, "DELIVER_S", 0.3)

    def drip(handler: Any, stored: bool) -> bool:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
        with suppress(OSError):
            while not fake.done.wait(0.02):
                handler.wfile.write(b"a")
        return True

    happen(key)
    fake.misbehave = [drip]
    with pytest.raises(SinkError, match="it cannot be reached"):
        send()
    assert backlog().waiting == 1


def test_cut_acknowledgement_is_none(fake: Fake, key: Key) -> None:
    """A status line alone is not yet an answer: the batch is sent again, and kept once."""

    def cut(handler: Any, stored: bool) -> bool:
        if stored:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nok")
        return stored

    happen(key)
    send()
    happen(key)
    fake.misbehave = [cut]
    with pytest.raises(SinkError, match="it cannot be reached"):
        send()
    assert send() == 1
    assert fake.requests[1] == fake.requests[2]
    assert [len(lines) for lines in fake.batches.values()] == [1, 1]


def test_unreachable_folder_loses_nothing(tmp_path: Path, key: Key) -> None:
    happen(key)
    (tmp_path / "sink").write_text("no folder")
    with override_settings(RECORD_SINK_URL=f"file://{tmp_path}/sink"):
        with pytest.raises(SinkError, match="it cannot be written"):
            send()
        (tmp_path / "sink").unlink()
        assert send() == 1
    assert_equal_to_the_ledger(records_in(tmp_path / "sink"))


def test_store_that_keeps_less_is_noticed(
    folder: Path, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reports success, and has another size."""
    import obstore

    happen(key)
    with monkeypatch.context() as patch:
        patch.setattr(obstore, "head", lambda *_: {"size": 3})
        with pytest.raises(SinkError, match="it has 3 of"):
            send()
    assert send() == 1
    assert_equal_to_the_ledger(records_in(folder))


def test_another_address_gets_all(folder: Path, fake: Fake, key: Key) -> None:
    happen(key)
    assert send() == 1
    with override_settings(RECORD_SINK_URL=f"file://{folder}"):
        assert send() == 1
        assert send() == 0
    assert send() == 1
    assert_equal_to_the_ledger(records_in(folder))


def test_command_sends_all_again(fake: Fake, key: Key, capsys: pytest.CaptureFixture[str]) -> None:
    """For a receiver that acknowledged and lost it. The batches have new ids."""
    for _ in range(3):
        happen(key)
    send()
    fake.batches.clear()
    call_command("resend_records")
    assert "3 records sent." in capsys.readouterr().out
    assert_equal_to_the_ledger(fake.records())
    assert fake.requests[0][0] != fake.requests[1][0]


def test_restored_postgres_sends_all_again(folder: Path, key: Key) -> None:
    """Into a server with fewer transactions."""
    happen(key)
    send()
    RecordSinkCursor.objects.update(snapshot="99999999999:99999999999:")
    assert send() == 1
    assert len(objects_in(folder)) == 2


def test_operators_see_the_state(fake: Fake, people: cast.Cast, key: Key) -> None:
    happen(key)
    dora = cast.signed_in(people.dora)
    assert "Record sink" in dora.get("/admin/health").content.decode()
    send()
    happen(key)
    fake.misbehave = [500]
    with pytest.raises(SinkError):
        send()
    assert "Failed: it answered 500" in dora.get("/admin/health").content.decode()
    (sink,) = dora.get("/api/v1/system").json()["usage_sinks"]
    assert sink.pop("complete_to") is not None
    assert sink == {"name": "record_sink", "waiting": 1, "error": "it answered 500"}
    assert b'weir_queue_length{queue="record_sink"} 1.0' in metrics_text()


def test_erasure_is_sent(fake: Fake, people: cast.Cast) -> None:
    """P36: without the address. The same erasure has the same id."""
    for _ in range(2):
        forget_person(7, ["Bob@example.org"], "erased-7@erased.invalid", [people.acme.id])
    (lines,) = fake.batches.values()
    assert lines == [
        {
            "type": "person_erased",
            "user_id": 7,
            "organisation_ids": [id_text(people.acme.id)],
            "pseudonym": "erased-7@erased.invalid",
            "address_sha256": [hashlib.sha256(b"bob@example.org").hexdigest()],
        }
    ]
    assert len({id for id, _ in fake.requests}) == 1
    assert "example.org" not in json.dumps(lines)
    fake.misbehave = [500]
    with pytest.raises(SinkError):
        forget_person(7, [], "erased-7@erased.invalid", [people.acme.id])


def test_erasure_names_a_sink_that_was_used_and_is_off(folder: Path, key: Key) -> None:
    """P36: nobody else tells the receiver, so the operator has to know."""
    bob = key.user
    assert bob is not None
    dora = cast.signed_in(User.objects.get(email="dora@example.org"))
    api = f"/api/v1/people/{bob.pk}/erasure"
    with override_settings(RECORD_SINK_URL=""):
        assert dora.get(api).json()["copies"]["sinks"] == []
    happen(key)
    send()
    assert dora.get(api).json()["copies"]["sinks"] == []
    with override_settings(RECORD_SINK_URL=""):
        assert dora.get(api).json()["copies"]["sinks"] == ["Record sink"]
        page = dora.get(f"/admin/people/{bob.pk}/erase").content.decode()
        assert "Enable it before the erasure" in page
        request_erasure(cast.actor(User.objects.get(email="dora@example.org")), bob, reason="left")
        assert erase_people() == 1
    # It stays so, even if the sink is on again.
    state = dora.get(api).json()
    assert (state["state"], state["copies"]["sinks"]) == ("done", ["Record sink"])
    page = dora.get(f"/admin/people/{bob.pk}/erasure").content.decode()
    assert f"user number {bob.pk}" in " ".join(page.split())
    assert not any("person_erased" in path.read_text() for path in folder.rglob("*.ndjson"))


def test_second_erasure_of_a_person_has_an_id_of_its_own(fake: Fake, people: cast.Cast) -> None:
    """P36: they came back, and were erased again. Receivers ignore ids that they know."""
    for pseudonym in ("erased-1@erased.invalid", "erased-2@erased.invalid"):
        forget_person(7, [], pseudonym, [people.acme.id])
    assert [line["pseudonym"] for (line,) in fake.batches.values()] == [
        "erased-1@erased.invalid",
        "erased-2@erased.invalid",
    ]


def test_unsigned_batches_are_never_sent(fake: Fake, key: Key) -> None:
    """Only processes that send get the secret."""
    happen(key)
    with (
        override_settings(RECORD_SINK_SECRET=""),
        pytest.raises(SinkError, match="RECORD_SINK_SECRET is not set"),
    ):
        send()
    assert backlog().error == "RECORD_SINK_SECRET is not set"
    assert fake.requests == []


def test_nothing_is_sent_without_an_address(key: Key) -> None:
    happen(key)
    assert send() == 0
    forget_person(7, [], "erased-7@erased.invalid", [])
    assert not RecordSinkCursor.objects.exists()
