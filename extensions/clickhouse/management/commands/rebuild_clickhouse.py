"""`manage.py rebuild_clickhouse`: send all usage records to ClickHouse again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from extensions.clickhouse.client import ClickHouseError
from extensions.clickhouse.sending import rebuild


class Command(BaseCommand):
    help = (
        "Empty ClickHouse's tables and send all usage records again. Pages read Postgres meanwhile."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            sent = rebuild()
        except ClickHouseError as error:
            raise CommandError(f"ClickHouse: {error}.") from error
        self.stdout.write(f"{sent} records sent.")
