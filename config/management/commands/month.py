"""`manage.py month`: months of requests in files (docs/operate/scale.md, "Months in files")."""

import argparse
import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.access.actors import SYSTEM
from accounts.secrets.key_ring import seal_key
from config.system.secret_check import compare_secrets
from usage.month_files.file import MonthFileBroken
from usage.months import detaching
from usage.months.detaching import MonthRefused


class Command(BaseCommand):
    help = (
        "Take the requests of a month that is closed out of the database into a file, and bring "
        "them back. Balances, statements, invoices and usage figures stay."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="the months, and which of them are in a file")
        detach = actions.add_parser("detach", help="write a month into a file and take it out")
        detach.add_argument("month", type=_month, help="such as 2026-03")
        detach.add_argument("--to", required=True, type=Path, metavar="FILE", help="a new file")
        check = actions.add_parser("check", help="whether a file is what was written")
        check.add_argument("file", type=Path)
        attach = actions.add_parser("attach", help="bring a month back from its file")
        attach.add_argument("file", type=Path)
        reopen = actions.add_parser("reopen", help="undo a detaching that was cut off")
        reopen.add_argument("month", type=_month, help="such as 2026-03")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        # Compare the secrets first: with another secret no file matches, which must not look like
        # altered files.
        compare_secrets()
        actions: dict[str, Callable[..., Iterator[str]]] = {
            "list": _list, "detach": _detach, "check": _check, "attach": _attach, "reopen": _reopen,
        }  # fmt: skip
        try:
            for line in actions[action](**options):
                self.stdout.write(line)
        except (MonthRefused, MonthFileBroken) as refused:
            raise CommandError(str(refused)) from refused
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}.") from error


def _list(**_: Any) -> Iterator[str]:
    for month, writable, detached in detaching.month_states():
        state = "in the database"
        if detached is not None:
            file = detached.file
            state = (
                f"in {file.name}: {_rows_text(file.rows)}, {file.bytes} bytes, "
                f"SHA-256 {bytes(file.digest).hex()}"
            )
        elif not writable:
            state = "in the database; detaching was cut off: detach it again, or reopen it"
        yield f"{month:%Y-%m}: {state}"


def _detach(month: dt.date, to: Path, **_: Any) -> Iterator[str]:
    detached = detaching.detach(SYSTEM, month, to.absolute(), seal_key())
    yield (
        f"{detached}: {_rows_text(detached.file.rows)} are in {to} now, and not in the database. "
        "Keep the file as long as your backups: none of them has these rows."
    )


def _check(file: Path, **_: Any) -> Iterator[str]:
    manifest, away = detaching.check_file(file, seal_key())
    where = "are in this file alone" if away else "are in the database too"
    yield f"{manifest.month:%Y-%m}: {_rows_text(manifest.rows)}, as they were written, {where}."


def _attach(file: Path, **_: Any) -> Iterator[str]:
    detached = detaching.attach(SYSTEM, file, seal_key())
    yield f"{detached}: {_rows_text(detached.file.rows)} are in the database again."


def _reopen(month: dt.date, **_: Any) -> Iterator[str]:
    done = detaching.reopen(month)
    yield f"{month:%Y-%m}: {'open again' if done else 'nothing to undo'}."


def _rows_text(rows: dict[str, int]) -> str:
    return f"{sum(rows.values())} rows"


def _month(text: str) -> dt.date:
    try:
        return dt.datetime.strptime(text, "%Y-%m").replace(tzinfo=dt.UTC).date()
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is no month such as 2026-03") from error
