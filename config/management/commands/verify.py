"""`manage.py verify`: check that the books are right, and that the background jobs keep them so.
Each problem is identified by the id of its row."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from accounts.secrets.key_ring import seal_key
from billing.seals.seals import broken_seals, find_unsealed
from config.jobs.runs import job_states
from config.system.secret_check import compare_secrets
from usage.books.charge_check import wrong_charges
from usage.books.findings import words_of
from usage.books.invariants import INVARIANTS
from usage.books.walk import broken_in_all
from usage.month_files.signatures import find_altered
from usage.sinks.sinks import differences, used_copies

_SHOWN_MAX = 5


class Command(BaseCommand):
    help = (
        "Check every invariant of the ledger, and that every background job runs. The exit code is "
        "1 if something is wrong."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--tamper-check",
            action="store_true",
            help="also look for edited rows of the ledger and the audit trail",
        )

    def handle(self, *args: Any, tamper_check: bool, **options: Any) -> None:
        if tamper_check:
            # Compare the secrets first: with another secret no seal matches, which must not look
            # like edited rows.
            compare_secrets()
        wrong: dict[str, list[str]] = {}
        with connection.cursor() as cursor:
            findings = broken_in_all()
            for name, rows in findings.broken.items():
                wrong[name] = [words_of(row) for row in rows]
            if findings.unfinished:
                raise CommandError(f"Not everything could be checked: {findings.unfinished[0]}")
            wrong["I10 cost recomputes"] = [f"{id} {problem}" for id, problem in wrong_charges()]
            seals = broken_seals(cursor, seal_key()) if tamper_check else find_unsealed(cursor)
            wrong["P22"] = [f"{seal.kind}, seal {seal.seal_id}: {seal.problem}" for seal in seals]
            if tamper_check:
                wrong["P22"] += find_altered(seal_key())
        for sink in used_copies():
            wrong[sink.title] = differences(sink)
        wrong["background job"] = [
            f"{state.job.title} ({state.job.task}): {state.problem}"
            for state in job_states()
            if state.late
        ]
        for name, lines in wrong.items():
            for line in lines[:_SHOWN_MAX]:
                self.stdout.write(f"{name}: {line}")
            if len(lines) > _SHOWN_MAX:
                self.stdout.write(f"{name}: and {len(lines) - _SHOWN_MAX} more")
        count = sum(map(len, wrong.values()))
        if count:
            self.stdout.write(f"{count} {'row is' if count == 1 else 'rows are'} wrong.")
            sys.exit(1)
        sealed = ", nothing was tampered with" if tamper_check else ""
        self.stdout.write(f"{len(INVARIANTS) + 1} invariants hold{sealed}.")
