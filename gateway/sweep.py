"""Attempts whose process died: their holds are released and their requests get an end."""

from django.db import transaction

from billing.holds import expire_due_holds
from usage.records import write_crash_cut

_BATCH = 500


def sweep() -> int:
    """Resolve every hold past its time; how many. Safe to run from several processes at once."""
    swept = 0
    while True:
        with transaction.atomic():
            expired = expire_due_holds(_BATCH)
            write_crash_cut((hold.organisation_id, hold.attempt_id) for hold in expired)
        swept += len(expired)
        if len(expired) < _BATCH:
            return swept
