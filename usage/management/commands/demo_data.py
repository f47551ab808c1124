"""`manage.py demo_data --rows N`: fill an empty installation with requests, for measurements."""

import argparse
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from usage.management.demo_data import DAYS, NotEmpty, fill


class Command(BaseCommand):
    help = (
        "Fill an installation that has no requests with made-up ones, of several organisations, "
        "keys and models, with balanced books. They cannot be removed again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--rows", type=_positive, required=True, help="how many requests")
        parser.add_argument("--days", type=_positive, default=DAYS, help="over how many days")

    def handle(self, *args: Any, rows: int, days: int, **options: Any) -> None:
        begun = time.monotonic()
        try:
            filled = fill(rows, days=days)
        except NotEmpty:
            text = "This installation has requests already. Use one that has none."
            raise CommandError(text) from None
        self.stdout.write(
            f"{filled.requests} requests from {filled.start_at:%Y-%m-%d} to "
            f"{filled.end_at:%Y-%m-%d} in {time.monotonic() - begun:.0f} s."
        )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 1")
    return int(text)
