"""A batch's codes as a file, for the page and the management API."""

from django.http import HttpResponse

from accounts.access import actors
from billing.credits import codes
from billing.currency.money import format_usd
from billing.models import CodeBatch
from lib.files.csv_file import csv_file
from lib.ids import id_text


def codes_file(batch: CodeBatch, actor: actors.Actor) -> HttpResponse:
    """Return the CSV download of a batch's codes. It is given only once and must not be cached."""
    texts = codes.download_codes(actor, batch)
    until = batch.expires_at.isoformat() if batch.expires_at else ""
    rows = ((text, format_usd(batch.value_nano), batch.currency, until) for text in texts)
    head = ("code", "value", "currency", "expires_at")
    response = csv_file(f"codes-{id_text(batch.id)}.csv", (head, *rows))
    response["Cache-Control"] = "private, no-store"
    return response
