"""Update the database for this checkout, in one process to save interpreter starts.

    python -m stack.prepare EMAIL SECONDS FILE…

It may be started before the database, for which it waits up to SECONDS. Every step can be repeated,
because each start runs it. The installation is made equal to each FILE. After the line SERVABLE the
web process may start: it finds the first operator, and later steps only add data. The last line is
JSON, `{"sign_in": URL}`: a link that signs EMAIL in once.
"""

import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterable

import django
import psycopg
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import DEFAULT_DB_ALIAS, connection
from pgmq.install import get_embedded_install_sql, get_embedded_sql_version

from lib.vault import VaultError
from stack import template
from stack.origin import PACKAGED
from stack.up import SERVABLE


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
    """Create the tables and functions of the embedded broker, whose script cannot run twice."""
    version = get_embedded_sql_version()
    with psycopg.connect(dsn) as session:
        row = session.execute("SELECT to_regclass('pgmq.meta') IS NOT NULL").fetchone()
        if row == (False,):
            session.execute(get_embedded_install_sql().encode())
            session.execute(f"COMMENT ON SCHEMA pgmq IS '{version}'".encode())


def load_template(dsn: str) -> None:
    """Fill an empty database from the wheel's file, with the partitions of these months."""
    # Models can be imported only after Django's setup.
    from config.row_security import make_role
    from usage.months.partitions import ensure_partitions

    if template.FILE.exists():
        make_role(connection)  # the file grants it rights
        if template.load(dsn):
            ensure_partitions()


def update_tables() -> None:
    """Run `migrate`. If no migration is pending, run only its last step."""
    # Models can be imported only after Django's setup.
    from config.row_security import secure_tables
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
    from lib.database.code_migrations import newer_migrations

    if newer := newer_migrations():
        sys.exit(
            f"The database was written by a newer Weir: it has {len(newer)} changes that this "
            f"version does not know, such as {newer[0]}. Nothing was changed. Update Weir, or "
            "start fresh with another data folder."
        )


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


Steps = dict[str, Callable[[], object]]


def take(steps: Steps) -> None:
    for name, step in steps.items():
        started = time.monotonic()
        step()
        print(f"{name}: {time.monotonic() - started:.2f} s", flush=True)


def main(email: str, seconds: float, *files: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    dsn = os.environ["DATABASE_URL"]
    link = io.StringIO()
    first: Steps = {
        "static files": lambda: call_command("collectstatic", interactive=False, verbosity=0),
        "database": lambda: await_database(dsn, seconds),
        "template": lambda: load_template(dsn),
        "queues": lambda: load_queues(dsn),
        "version": refuse_newer,
        "tables": update_tables,
        "secrets": compare_secrets,
        "demo": lambda: apply_files(files),
    }
    if settings.BROKER_URL:
        del first["queues"]
    if PACKAGED:  # collected when the wheel was built
        del first["static files"]
    take(first)
    print(SERVABLE, flush=True)
    # The web process has priority for the processor.
    os.nice(10)
    take(
        {
            "catalogue": lambda: call_command("load_catalogue", verbosity=0),
            "sign-in link": lambda: call_command("sign_in_link", email, stdout=link),
        }
    )
    print(json.dumps({"sign_in": link.getvalue().strip()}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), *sys.argv[3:])
