"""`manage.py verify`: whether the books are right; what is not is named by the id of its row."""

import sys
from itertools import islice
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import connection

from accounts.sealing import kek
from billing.seals import broken_seals, seal_key
from usage.books_check import wrong_charges
from usage.invariants import INVARIANTS, broken_invariants

_SHOWN_MAX = 100


class Command(BaseCommand):
    help = "Check every invariant of the books; exit code 1 when one does not hold."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--tamper-check",
            action="store_true",
            help="look for edits of what is written once: the ledger and the trail",
        )

    def handle(self, *args: Any, tamper_check: bool, **options: Any) -> None:
        wrong: list[str] = []
        with connection.cursor() as cursor:
            for name, rows in broken_invariants(cursor, _SHOWN_MAX).items():
                wrong += [f"{name}: {_row(row)}" for row in rows]
            charges = islice(wrong_charges(), _SHOWN_MAX)
            wrong += [f"I10 cost recomputes: {id} {problem}" for id, problem in charges]
            if tamper_check:
                for seal in broken_seals(cursor, seal_key(kek())):
                    wrong.append(f"P22 {seal.kind}, seal {seal.seal_id}: {seal.problem}")
        for line in wrong:
            self.stdout.write(line)
        if wrong:
            self.stdout.write(f"{len(wrong)} rows are wrong.")
            sys.exit(1)
        sealed = ", nothing was tampered with" if tamper_check else ""
        self.stdout.write(f"{len(INVARIANTS) + 1} invariants hold{sealed}.")


def _row(row: Any) -> str:
    return " ".join(map(str, row))
