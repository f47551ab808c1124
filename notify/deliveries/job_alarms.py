"""Emails about the background jobs. Any live process sends them, because sending emails is itself
one of these jobs."""

from typing import Final

from notify.deliveries.deliveries import lease_due, spread_facts
from notify.deliveries.sending import send

_KINDS: Final = ("jobs.stopped", "jobs.resumed")
_BATCH: Final = 50


def send_alarms() -> None:
    """Send the due emails about background jobs, as the worker would."""
    spread_facts(_BATCH, _KINDS)
    for delivery_id in lease_due(_BATCH, _KINDS):
        send(delivery_id)
