"""Backups: one file that turns an empty database into this installation again.

A backup is a zip archive of three uncompressed members, so that it can be written to a pipe and
read by other tools:

    database.dump    the dump in pg_dump's custom format, including the files that people attached
    manifest.json    the description of the dump, see `Manifest`
    SHA256SUMS       the digests of the two others

The dump is from one instant, which the manifest states. The installation's own secrets are not in
it, and its sealed values cannot be read without them. The embedded broker's queue is not in it
either, because it only wakes workers. The content log's data keys are not in it, so that no backup
brings back what an erased person asked.

    BackupError      no backup can be made, or the backup cannot be read
"""

import base64
import datetime as dt
import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

import msgspec
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder

from accounts.access.actors import SYSTEM
from accounts.audit import audit
from accounts.models import SecretCheck
from config.jobs.runs import record_run
from config.jobs.schedule import BACKUP_TASK
from config.models import JobRun
from config.system.secret_check import check_secrets
from content.models import DataKey
from dialects.json.not_json import NOT_JSON
from lib import clock
from lib.database import postgres_tools

FORMAT: Final = 1
DUMP, MANIFEST, SUMS = "database.dump", "manifest.json", "SHA256SUMS"
_BROKER_SCHEMA: Final = "pgmq"
_CHUNK_BYTES: Final = 1 << 20


class BackupError(Exception):
    """No backup can be made, or the backup cannot be read."""


class Manifest(msgspec.Struct, frozen=True):
    """The description of a dump. `postgres` is the major version of the dumping program.
    `migrations` are all applied migrations, as ``room.name``. `secret_check` identifies WEIR_KEK
    and WEIR_KEY_PEPPER, in base64, and `kek_ids` are the KEKs that sealed values may use."""

    format: int
    made_at: dt.datetime
    postgres: int
    migrations: list[str]
    secret_check: str
    kek_ids: list[str]


class Written(NamedTuple):
    """A finished backup: its manifest, its size in bytes, and the digest of its SHA256SUMS."""

    manifest: Manifest
    bytes: int
    sha256: str


# Making one -------------------------------------------------------------------------------------


def back_up(target: Path) -> Written:
    """Write a backup to a new file, readable only by its owner. A failure to write it leaves no
    file. Raises BackupError."""
    if target.exists():
        raise BackupError(f"{target} is there already. Name another file.")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:

            def finish() -> None:
                file.flush()
                os.fsync(file.fileno())
                part.rename(target)

            return back_up_to(file, finish)
    except OSError as error:
        raise BackupError(f"{target} cannot be written: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)


def back_up_to(out: IO[bytes], finish: Callable[[], object] = lambda: None) -> Written:
    """Write a backup to a file or a pipe, and record that it was made once `finish` returns: some
    disks report only then that they are full. Raises BackupError, and VaultError or
    ConfigurationError if this process lacks the installation's secrets."""
    _check_in_use()
    with record_run(BACKUP_TASK):
        counted = _Counted(out)
        try:
            manifest, digest = _write(cast("IO[bytes]", counted))
        except postgres_tools.ToolError as error:
            raise BackupError(str(error)) from error
        finish()
    JobRun.objects.filter(task=BACKUP_TASK).update(bytes=counted.bytes)
    _audit(written := Written(manifest, counted.bytes, digest))
    return written


def _write(out: IO[bytes]) -> tuple[Manifest, str]:
    with _share_snapshot() as instant, zipfile.ZipFile(out, "w") as archive:
        tool = postgres_tools.find_tool("pg_dump", instant.server, instant.login)
        manifest = _manifest(instant.at, tool.major)
        with postgres_tools.dump_stream(
            tool,
            instant.login,
            instant.snapshot,
            without_schemas=[_BROKER_SCHEMA],
            without_rows_of=[DataKey._meta.db_table],
        ) as dump:
            sums = {DUMP: _add(archive, DUMP, dump.read)}
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
        archive.writestr(MANIFEST, text)
        sums[MANIFEST] = hashlib.sha256(text).hexdigest()
        lines = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
        archive.writestr(SUMS, lines)
    return manifest, hashlib.sha256(lines.encode()).hexdigest()


def _check_in_use() -> None:
    if not MigrationRecorder(connection).applied_migrations():
        raise BackupError("The database is empty: there is nothing to back up.")
    check_secrets()


class _Instant(NamedTuple):
    """A snapshot that other connections can share: its name, and the login and major version of the
    server."""

    at: dt.datetime
    snapshot: str
    server: int
    login: postgres_tools.Login


@contextmanager
def _share_snapshot() -> Iterator[_Instant]:
    """Share a snapshot of the current instant for the length of the block."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        cursor.execute(f"SET LOCAL application_name = '{postgres_tools.BACKUP_NAME}'")
        cursor.execute("SELECT now(), pg_export_snapshot()")
        at, snapshot = cursor.fetchone()
        server = cursor.connection.info.server_version // 10_000
        yield _Instant(at, snapshot, server, postgres_tools.login_of(cursor.connection))


def _manifest(made_at: dt.datetime, postgres: int) -> Manifest:
    applied = MigrationRecorder(connection).applied_migrations()
    kept = SecretCheck.objects.get()
    return Manifest(
        format=FORMAT,
        made_at=made_at,
        postgres=postgres,
        migrations=sorted(f"{app}.{name}" for app, name in applied),
        secret_check=base64.b64encode(bytes(kept.sealed)).decode(),
        kek_ids=list(kept.kek_ids),
    )


def _add(archive: zipfile.ZipFile, name: str, read: Callable[[int], bytes]) -> str:
    """Add a member of unknown length to the archive. Return its digest."""
    digest = hashlib.sha256()
    with archive.open(name, "w", force_zip64=True) as member:
        while chunk := read(_CHUNK_BYTES):
            digest.update(chunk)
            member.write(chunk)
    return digest.hexdigest()


def _audit(written: Written) -> None:
    run = JobRun.objects.get(task=BACKUP_TASK)
    made_at = clock.rfc3339(written.manifest.made_at)
    audit.record(
        SYSTEM, None, "backup.made", run, of=made_at, bytes=written.bytes, sha256=written.sha256
    )


class _Counted:
    """A write-only file that counts its bytes and cannot seek."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self.bytes = 0

    def write(self, data: bytes) -> int:
        self._out.write(data)
        self.bytes += len(data)
        return len(data)

    def flush(self) -> None:
        self._out.flush()


# Reading one ------------------------------------------------------------------------------------


def read_manifest(path: Path) -> Manifest:
    """Verify a whole backup and return its manifest. Raises BackupError."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_sums(archive)
            return _decode_manifest(archive.read(MANIFEST))
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror}.") from error
    except (zipfile.BadZipFile, KeyError, NotImplementedError, EOFError) as error:
        raise BackupError(f"{path} is no whole backup: {error}. Take another copy.") from error


def copy_dump(path: Path, out: IO[bytes]) -> None:
    """Write the dump of a backup to a stream."""
    with zipfile.ZipFile(path) as archive, archive.open(DUMP) as dump:
        shutil.copyfileobj(dump, out, _CHUNK_BYTES)


def _check_sums(archive: zipfile.ZipFile) -> None:
    lines = archive.read(SUMS).decode(errors="replace").splitlines()
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in (DUMP, MANIFEST):
        if _digest_of(archive, name) != sums.get(name):
            raise BackupError(f"{name} is not what was backed up. Take another copy.")


def _digest_of(archive: zipfile.ZipFile, name: str) -> str:
    with archive.open(name) as member:
        return hashlib.file_digest(member, "sha256").hexdigest()  # type: ignore[arg-type]


def _decode_manifest(raw: bytes) -> Manifest:
    try:
        number = msgspec.json.decode(raw, type=dict)["format"]
        if number == FORMAT:
            return msgspec.json.decode(raw, type=Manifest)
    except (KeyError, *NOT_JSON) as error:
        raise BackupError(f"{MANIFEST} cannot be read: {error}.") from error
    raise BackupError(
        f"The backup has format {number}; this version reads {FORMAT}. "
        "Restore it with the version that made it, or a newer one."
    )
