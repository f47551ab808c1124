"""Backup, destruction, restore: what was committed is there again, and what was open is closed.

One hub with traffic is backed up by the command while it answers, and its database is dropped; the
restored one is looked at and served from.
"""

import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from os import environ
from pathlib import Path
from typing import IO, Any, NamedTuple, cast
from uuid import UUID

import msgspec
import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg.conninfo import make_conninfo

from accounts.models import AuditEvent
from billing.seals import seals
from config.models import JobRun
from config.system import backups
from config.system import restore as restoring
from config.system.backups import BackupError
from config.system.secret_check import check_secrets
from lib.database import postgres_tools
from lib.id_types import AttemptId, OrganisationId
from lib.ids import new_id, parse_id
from lib.vault import WrongSecret
from relay.ledger.settlement import Settlement
from relay.ledger.spool import Spool
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask, text_of
from tests.relay.clients import Client
from tests.relay.content_log.test_content_log import add_rule, kept
from tests.runner.databases import own_database
from tests.support.hub import ROOT, SOON, Hub, Tenant
from usage.records.sql import Ending
from usage.rollups import rollups

SPOOL_BYTES = 64 * 1024


def manage(dsn: str, *command: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a command of an installation, which may be one that nobody has started."""
    return subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env={**environ, "DATABASE_URL": dsn},
        capture_output=True,
        check=False,
    )


class Restored(NamedTuple):
    """A hub on a restored database, and what is known of the one before."""

    hub: Hub
    tenant: Tenant
    model: str
    file: Path
    words: str
    last: str
    after: str
    attempt: Any
    balance: dict[str, int]
    kept: UUID


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restored]:
    file = tmp_path_factory.mktemp("backups") / "weir.zip"
    with FakeUpstream(name="a") as fake:
        yield from destroyed_and_restored(fake, file)


def destroyed_and_restored(fake: FakeUpstream, file: Path) -> Iterator[Restored]:
    with own_database("hub") as dsn:
        hub = Hub(dsn, application=SOON)
        try:
            hub.settings()
            hub.start()
            result = backed_up(hub, fake, file)
        finally:
            hub.kill()
            hub.close()
    # The database is gone.
    with own_database("restored", of="template0") as dsn:
        done = manage(dsn, "restore", str(file))
        assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
        again = Hub(dsn, application=SOON)
        try:
            yield result._replace(hub=again, words=done.stdout.decode())
        finally:
            again.close()


def backed_up(hub: Hub, fake: FakeUpstream, file: Path) -> Restored:
    """Traffic of a hub, its backup, and more traffic."""
    tenant, model = hub.tenant(), hub.model(fake)
    add_rule(hub, tenant)
    sign_in(hub, hub.person(tenant))
    answers = [hub.post(tenant, ask(model, f"number {n}")) for n in range(5)]
    assert {answer.status for answer in answers} == {200}
    last = answers[-1].headers["x-request-id"]
    hub.record(last)
    hub.settled(tenant)
    balance = hub.balance(tenant)
    entry, content = kept(hub, tenant, answers[-1])
    assert b"number 4" in content.request
    client = Client(hub, tenant, ask(model, "#tokens=9 #hold=3", stream=True))
    with closing(client.socket):
        client.socket.sendall(client.request)
        client.read_until(b'"content":" ')
        (attempt,) = hub.rows("SELECT id, process_id FROM billing_hold WHERE state = 'open'")
        done = manage(hub.dsn, "backup", str(file))
        assert done.returncode == 0, done.stderr.decode()
        fake.release()
    after = hub.post(tenant, ask(model, "too late")).headers["x-request-id"]
    hub.record(after)
    return Restored(
        hub, tenant, model, file, "", last, after, attempt, balance, entry["request_id"]
    )


def sign_in(hub: Hub, user_id: int) -> None:
    hub.connection.execute(
        "INSERT INTO django_session (session_key, session_data, expire_date) "
        "VALUES ('signed-in', '', now() + interval '1 day')"
    )
    hub.connection.execute(
        "INSERT INTO usersessions_usersession (user_id, created_at, ip, last_seen_at, "
        "session_key, user_agent, data) "
        "VALUES (%s, now(), '127.0.0.1', now(), 'signed-in', '', '{}')",
        [user_id],
    )


def test_restored_books_balance_and_everyone_signs_in_again(restored: Restored) -> None:
    hub = restored.hub
    assert "1 requests that were in flight are ended, 1 sign-ins are ended" in restored.words
    assert "invariants hold, nothing was tampered with" in restored.words
    assert hub.rows("SELECT 1 FROM django_session") == []
    assert hub.rows("SELECT 1 FROM usersessions_usersession") == []
    (event,) = hub.rows("SELECT detail FROM accounts_auditevent WHERE action = 'backup.restored'")
    assert event["detail"]["of"]


def test_backup_contains_charges_up_to_it_and_nothing_later(restored: Restored) -> None:
    hub, tenant = restored.hub, restored.tenant
    final = hub.record(restored.last)
    assert (final["status"], final["basis"]) == (200, "measured")
    with pytest.raises(AssertionError, match="has no final record"):
        hub.wait(lambda: bool(hub.rows(*of_request(restored.after))), "has no final record", 0)
    # What was in flight is charged by its last mark, and holds nothing any more (I6).
    (cut,) = hub.rows("SELECT * FROM usage_usagerecord WHERE id = %s", restored.attempt["id"])
    assert "crash_cut" in cut["flags"]
    balance = hub.balance(tenant)
    assert balance["customer:held"] == 0
    spent = restored.balance["customer:available"] - balance["customer:available"]
    assert spent == cut["charge_nano"]
    assert restored.balance["revenue"] + spent == balance["revenue"]


def test_restored_content_log_has_no_key_that_opens_it(restored: Restored) -> None:
    """P31, P36: a backup does not bring back the texts of a person who was erased after it."""
    hub = restored.hub
    (entry,) = hub.rows("SELECT * FROM content_entry WHERE request_id = %s", restored.kept)
    assert entry["sealed"]
    assert hub.rows("SELECT 1 FROM content_datakey WHERE id = %s", entry["data_key_id"]) == []


def of_request(request_id: str) -> tuple[str, Any]:
    return "SELECT 1 FROM usage_usagerecord WHERE request_id = %s", parse_id(request_id)


def test_keys_work_and_spooled_settlements_are_booked_once(restored: Restored) -> None:
    """I7: the machine was not lost, and with it neither were the settlements that waited on its
    disk: of an attempt that the backup has open, and of one that it does not know."""
    hub, tenant = restored.hub, restored.tenant
    ending = Ending(final=True, status=200, meters='{"in_text":3,"out_text":9}', basis="measured")
    spool = Spool(hub.spool, new_id(), SPOOL_BYTES)
    spool.open()
    known, unknown = restored.attempt["id"], new_id()
    spool.append(
        [
            Settlement(
                organisation_id=OrganisationId(tenant.organisation_id),
                attempt_id=AttemptId(id),
                state="settled",
                ending=ending,
                tokens=30,
            )
            for id in (known, unknown)
        ]
    )
    spool.close()
    hub.start()
    answer = hub.post(tenant, ask(restored.model, "hello again"))
    assert (answer.status, text_of(answer) != "") == (200, True)
    assert hub.record(answer.headers["x-request-id"])["basis"] == "measured"
    hub.settled(tenant)
    hub.assert_books_balance()
    # The content log goes on with a new data key.
    _, content = kept(hub, tenant, answer)
    assert b"hello again" in content.request
    assert hub.rows("SELECT 1 FROM usage_usagerecord WHERE id = %s", unknown) == []


def test_backup_is_one_private_file_other_tools_can_check(restored: Restored) -> None:
    file = restored.file
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert file.stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(file) as archive:
        lines = archive.read("SHA256SUMS").decode().splitlines()
        sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
        for name in ("database.dump", "manifest.json"):
            assert hashlib.sha256(archive.read(name)).hexdigest() == sums[name]
        assert archive.read("database.dump")[:5] == b"PGDMP"
        manifest = archive.read("manifest.json").decode()
    assert environ["WEIR_KEK"] not in manifest
    assert environ["WEIR_KEY_PEPPER"] not in manifest


def test_a_damaged_backup_is_refused_before_anything_is_written(
    restored: Restored, tmp_path: Path
) -> None:
    """Cut off or changed at any of many places: what it says is what it said, or it is none."""
    whole = restored.file.read_bytes()
    manifest = backups.read_manifest(restored.file)
    other = tmp_path / "weir.zip"
    places = [*range(0, len(whole), len(whole) // 60), len(whole) - 1]
    refused = 0
    for at in places:
        for raw in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]):
            other.write_bytes(raw)
            try:
                assert backups.read_manifest(other) == manifest
            except BackupError:
                refused += 1
    assert refused >= 2 * len(places) - 3


@pytest.mark.django_db
def test_only_an_empty_database_is_restored_into() -> None:
    with pytest.raises(BackupError, match=r"is not empty: it has \d+ tables, such as"):
        restoring.check_empty()


def test_backup_of_a_newer_version_is_rejected(restored: Restored) -> None:
    manifest = backups.read_manifest(restored.file)
    restoring.check_version(manifest)
    newer = [*manifest.migrations, "usage.9999_of_tomorrow"]
    with pytest.raises(BackupError, match=r"newer version.*usage\.9999_of_tomorrow"):
        restoring.check_version(msgspec.structs.replace(manifest, migrations=newer))
    with pytest.raises(BackupError, match="format 2"):
        backups._decode_manifest(msgspec.json.encode(msgspec.structs.replace(manifest, format=2)))


@pytest.mark.parametrize("raw", [b"{}", b"[]", b"{", b'{"format": "\xff"}', b'{"format": 1}'])
def test_damaged_manifest_is_refused_in_one_sentence(raw: bytes) -> None:
    with pytest.raises(backups.BackupError, match=r"^manifest\.json cannot be read: "):
        backups._decode_manifest(raw)


def test_other_secrets_are_refused(restored: Restored, settings: Any) -> None:
    manifest = backups.read_manifest(restored.file)
    restoring.check_secrets_of(manifest)
    settings.WEIR_KEY_PEPPER = "another"
    with pytest.raises(WrongSecret, match="WEIR_KEY_PEPPER is not the one"):
        restoring.check_secrets_of(manifest)


class Pipe:
    """What standard output is: it goes one way."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.chunks.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass


@pytest.mark.django_db(transaction=True)
def test_a_backup_goes_through_a_pipe_in_small_pieces(tmp_path: Path) -> None:
    """Whatever it holds: its files are read and written a piece at a time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE large AS SELECT string_agg(gen_random_uuid()::text, '') AS text "
            "FROM generate_series(1, 200) part, generate_series(1, 500) number GROUP BY number"
        )
    try:
        pipe = Pipe()
        written = backups.back_up_to(cast("IO[bytes]", pipe))
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE large")
    assert written.bytes == sum(map(len, pipe.chunks)) > 2 * max(map(len, pipe.chunks))
    file = tmp_path / "weir.zip"
    file.write_bytes(b"".join(pipe.chunks))
    assert backups.read_manifest(file) == written.manifest
    run = JobRun.objects.get(task="config.backups.back_up")
    assert run.good_at is not None
    (event,) = AuditEvent.objects.filter(action="backup.made")
    assert event.detail["sha256"] == written.sha256


@pytest.mark.django_db(transaction=True)
def test_backup_blocks_no_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may run for hours: meanwhile rows are sealed, and figures are complete to now (P22)."""
    # Without the second that is left to transactions which are only about to begin.
    sealed_until = seals._HORIZON.replace("interval '1 second'", "interval '0 second'")
    results: list[Any] = []

    def look(name: str, major: int, login: object) -> None:
        with psycopg.connect(
            environ["DATABASE_URL"], dbname=connection.settings_dict["NAME"]
        ) as other:
            for query in (sealed_until, rollups.SETTLED_AT, "SELECT now()"):
                results.append(other.execute(query).fetchone())
        raise postgres_tools.ToolError("seen")

    monkeypatch.setattr(postgres_tools, "find_tool", look)
    with pytest.raises(BackupError, match="seen"):
        backups.back_up_to(cast("IO[bytes]", Pipe()))
    (sealed, now), (settled,), (its_now,) = results
    assert sealed == now == settled == its_now


@pytest.mark.django_db(transaction=True)
def test_a_backup_that_fails_leaves_no_file_and_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str, major: int, login: object) -> None:
        raise postgres_tools.ToolError(f"{name} {major} or newer is needed")

    monkeypatch.setattr(postgres_tools, "find_tool", fail)
    with pytest.raises(CommandError, match="or newer is needed"):
        call_command("backup", str(tmp_path / "weir.zip"))
    assert list(tmp_path.iterdir()) == []
    run = JobRun.objects.get(task="config.backups.back_up")
    assert (run.error, run.good_at) == ("BackupError", None)
    (tmp_path / "kept").write_text("x")
    with pytest.raises(CommandError, match="is there already"):
        call_command("backup", str(tmp_path / "kept"))


@pytest.mark.django_db(transaction=True)
def test_backup_that_a_person_stops_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(name: str, major: int, login: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(postgres_tools, "find_tool", stop)
    with pytest.raises(KeyboardInterrupt):
        call_command("backup", str(tmp_path / "weir.zip"))
    assert list(tmp_path.iterdir()) == []
    run = JobRun.objects.get(task="config.backups.back_up")
    assert (run.error, run.good_at) == ("KeyboardInterrupt", None)


@pytest.mark.slow
def test_memory_stays_small_at_any_size(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Half a gigabyte that no program makes smaller, there and back."""
    file = tmp_path / "weir.zip"
    with own_database("large") as dsn, psycopg.connect(dsn) as one:
        small_bytes = rss_max_of(dsn, "backup", str(tmp_path / "small.zip"))
        one.execute(
            "CREATE TABLE large AS SELECT (SELECT string_agg(sha256((n::text || part)::bytea), '') "
            "FROM generate_series(1, 2000) part WHERE n = n) AS octets "
            "FROM generate_series(1, 8000) n"
        )
        one.commit()
        back_up_bytes = rss_max_of(dsn, "backup", str(file))
        counted = one.execute("SELECT sum(length(octets)) FROM large").fetchone()
    assert file.stat().st_size > 500_000_000
    with own_database("again", of="template0") as dsn:
        restore_bytes = rss_max_of(dsn, "restore", str(file))
        with psycopg.connect(dsn) as one:
            assert one.execute("SELECT sum(length(octets)) FROM large").fetchone() == counted
    record_property("rss_max_bytes", [small_bytes, back_up_bytes, restore_bytes])
    assert max(back_up_bytes, restore_bytes) < 250_000_000
    assert back_up_bytes < small_bytes + 30_000_000


_MEASURE = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


def rss_max_of(dsn: str, *command: str) -> int:
    """The most memory that a command had at once, with the programs that it started. A small
    process starts it: what a program is started from counts as memory that it had."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, sys.executable, "manage.py", *command],
        cwd=ROOT,
        env={**environ, "DATABASE_URL": dsn},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(done.stdout.splitlines()[-1]) * 1024


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("target", ["-", "weir.zip"])
def test_backup_success_is_no_error_in_the_log(tmp_path: Path, target: str) -> None:
    """In a log of JSON lines, what is written to standard error is an error."""
    check_secrets()
    environment = {
        **environ,
        "DATABASE_URL": make_conninfo(
            environ["DATABASE_URL"], dbname=connection.settings_dict["NAME"]
        ),
        "LOG_FORMAT": "json",
    }
    file = target if target == "-" else str(tmp_path / target)
    command = [sys.executable, "manage.py", "backup", file]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    lines = [json.loads(line) for line in done.stderr.decode().splitlines()]
    assert [line["level"] for line in lines] == ["INFO"]
    assert " bytes, as of " in lines[0]["message"]
    assert done.stdout[:2] == (b"PK" if target == "-" else b"")
