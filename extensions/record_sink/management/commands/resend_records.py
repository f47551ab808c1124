"""`manage.py resend_records`: send everything to the record sink again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from extensions.record_sink import contents, sending
from usage.sinks.usage_sink import SinkError


class Command(BaseCommand):
    help = "Send everything to the record sink again, in batches with new ids."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            sent, texts = sending.send_all_again(), contents.send_all_again()
        except SinkError as error:
            raise CommandError(f"Record sink: {error}.") from error
        self.stdout.write(f"{sent} records sent.")
        if contents.is_used():
            self.stdout.write(f"{texts} entries of the content log sent.")
