"""`manage.py rebuild_rollups`: rebuild all rollups from the usage records."""

from typing import Any

from django.core.management.base import BaseCommand

from usage.rollups.rollups import rebuild


class Command(BaseCommand):
    help = "Recompute all rollups from the usage records. The result is always the same."

    def handle(self, *args: Any, **options: Any) -> None:
        rolled = rebuild()
        self.stdout.write(f"{rolled.buckets} buckets rebuilt, {rolled.rows} rows written.")
