"""Update the database for this checkout before the web process serves, on Linux in a fork of it
(stack/processes/gate.py).

Every step can be repeated, because each start runs it. What only depends on the code and on
the environment is left out if the last start did it with the same: the database then has their mark
in its cache. To load the price list, nobody waits:

    python -m stack.database.prepare MARK

does that beside the web process, and stores the mark.
"""

import io
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import django
import psycopg
from django.conf import settings
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import DEFAULT_DB_ALIAS, connection

from config.jobs.queue_tables import create_queue_tables
from lib.vault import VaultError
from stack.database import template
from stack.origin import PACKAGED, ROOT

_MARK = "prepared"
_VARIABLE = re.compile(r"\benv:(\w+)")
# Folders of a clone that no start reads.
_UNREAD = {"__pycache__", "tests", "docs", "tools", "deploy", "build", "staticfiles"}


def await_database(dsn: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            psycopg.connect(dsn, connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                sys.exit(f"The database cannot be reached. Check DATABASE_URL: {error}")
            time.sleep(0.02)
        else:
            return


def load_queues(dsn: str) -> None:
    with psycopg.connect(dsn) as session:
        create_queue_tables(session.cursor())


def load_template(dsn: str) -> None:
    """Fill an empty database from the wheel's file, with the partitions of these months."""
    # Models can be imported only after Django's setup.
    from config.system.row_security import make_role
    from usage.records.partitions import ensure_partitions

    if template.FILE.exists():
        make_role(connection)  # the file grants it rights
        if template.load(dsn):
            ensure_partitions()


def update_tables() -> None:
    """Run `migrate`. If no migration is pending, run only its last step."""
    # Models can be imported only after Django's setup.
    from config.system.row_security import secure_tables
    from lib.database.code_migrations import is_applied

    try:
        if is_applied():
            secure_tables(using=DEFAULT_DB_ALIAS)
        else:
            call_command("migrate", interactive=False, verbosity=0)
    except CommandError as error:
        sys.exit(str(error))


def refuse_newer() -> None:
    """Exit if a newer version has changed the database, because this version must not write to
    it."""
    # Models can be imported only after Django's setup.
    from lib.database.code_migrations import newer_version

    if problem := newer_version():
        sys.exit(f"{problem} Update Weir, or start fresh with another data folder.")


def compare_secrets() -> None:
    # Models can be imported only after Django's setup.
    from config.system.secret_check import check_secrets

    try:
        check_secrets()
    except VaultError as error:
        sys.exit(str(error))


def apply_files(files: Iterable[str]) -> None:
    for file in files:
        call_command("apply", file, verbosity=0, stdout=io.StringIO())


def code_mark(files: Sequence[str]) -> str:
    """Return a text that changes with the code, with the installed packages, with the folder of the
    static files, and with `files` or a variable that one of these names."""
    texts = [Path(file).read_text() for file in files]
    named = sorted(set(_VARIABLE.findall(" ".join(texts))))
    digest = sha256(repr((settings.STATIC_ROOT, files, texts)).encode())
    digest.update(repr([(name, os.environ.get(name)) for name in named]).encode())
    for text in (*_files_of(str(ROOT)), *map(_packages_in, sys.path)):
        digest.update(text.encode())
    return digest.hexdigest()


def _files_of(folder: str) -> Iterator[str]:
    """Yield each file below `folder` with its size and the time of its last change."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith(".") or entry.name in _UNREAD:
                continue
            if entry.is_dir():
                yield from _files_of(entry.path)
            else:
                status = entry.stat()
                yield f"{entry.path} {status.st_size} {status.st_mtime_ns}\n"


def _packages_in(folder: str) -> str:
    """Return the names in a folder of installed packages; versions are part of them."""
    if not folder.endswith("-packages") or not os.path.isdir(folder):
        return ""
    return " ".join(sorted(os.listdir(folder)))


def is_prepared(mark: str, email: str) -> bool:
    """Return whether the last start completed all steps with the same code and environment, and the
    results still exist: the static files, and the person to sign in."""
    # Models can be imported only after Django's setup.
    from accounts.models import User

    collected = PACKAGED or (settings.STATIC_ROOT / "staticfiles.json").exists()
    return (
        collected
        and cache.get(_MARK) == mark
        and User.objects.filter(email__iexact=email, is_active=True).exists()
    )


Steps = dict[str, Callable[[], object]]


def take(steps: Steps) -> None:
    for name, step in steps.items():
        started = time.monotonic()
        step()
        print(f"{name}: {time.monotonic() - started:.2f} s", flush=True)


def prepare(email: str, seconds: float, files: Sequence[str]) -> None:
    """Make the database ready for the web process, and the installation equal to each file.

    Waits up to `seconds` for the database. The last line printed is JSON, `{"sign_in": URL, "mark":
    TEXT}`: a link that signs `email` in once, and what is given to `finish`, "" if nothing is left
    to do. Exits with a sentence if this code must not work on the database.
    """
    dsn = os.environ["DATABASE_URL"]
    link = io.StringIO()
    first: Steps = {
        "database": lambda: await_database(dsn, seconds),
        "template": lambda: load_template(dsn),
        "queues": lambda: load_queues(dsn),
        "version": refuse_newer,
        "tables": update_tables,
        "secrets": compare_secrets,
    }
    if settings.BROKER_URL:
        del first["queues"]
    changed: Steps = {
        "static files": lambda: call_command("collectstatic", interactive=False, verbosity=0),
        "demo": lambda: apply_files(files),
    }
    if PACKAGED:  # collected when the wheel was built
        del changed["static files"]
    take(first)
    mark = code_mark(files)
    if is_prepared(mark, email):
        mark = ""
    else:
        take(changed)
    take({"sign-in link": lambda: call_command("sign_in_link", email, stdout=link)})
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    print(json.dumps({"sign_in": link.getvalue().strip(), "mark": mark}), flush=True)


def write_description(folder: Path) -> None:
    # It loads every schema.
    from config.api.description import write

    write(folder)


def finish(mark: str) -> None:
    """Load the price list, describe the API, then store the mark: the preparation is complete."""
    take({"catalogue": lambda: call_command("load_catalogue", verbosity=0)})
    if not PACKAGED:  # made when the wheel was built
        take({"description of the API": lambda: write_description(settings.DATA_DIR / "run")})
    cache.set(_MARK, mark, timeout=None)


if __name__ == "__main__":
    # The web process has priority for the processor.
    os.nice(10)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from config.management.faults import faults_as_sentences

    with faults_as_sentences():
        django.setup()
        finish(sys.argv[1])
