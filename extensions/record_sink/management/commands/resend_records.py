"""`manage.py resend_records`: send all usage records to the record sink again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from extensions.record_sink.sending import send_all_again
from usage.sinks.usage_sink import SinkError


class Command(BaseCommand):
    help = "Send all usage records to the record sink again, in batches with new ids."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            sent = send_all_again()
        except SinkError as error:
            raise CommandError(f"Record sink: {error}.") from error
        self.stdout.write(f"{sent} records sent.")
