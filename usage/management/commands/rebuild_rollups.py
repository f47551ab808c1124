"""`manage.py rebuild_rollups`: sum all usage again from its records."""

from typing import Any

from django.core.management.base import BaseCommand

from usage.rollups import rebuild


class Command(BaseCommand):
    help = "Replace all rollups from the usage records; gives the same bytes at any time."

    def handle(self, *args: Any, **options: Any) -> None:
        rolled = rebuild()
        self.stdout.write(f"{rolled.buckets} buckets rebuilt, {rolled.rows} rows written.")
