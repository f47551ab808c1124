"""Notifies relays that their snapshot of keys, channels, prices and settings is out of date."""

from django.db import connection

CHANNEL = "weir_epoch"
"""The name of the notification channel; the relay uses the same name."""


def bump_epoch() -> None:
    """Count one change, in the caller's transaction. Relays are notified at the commit.

    The row is authoritative: every relay polls it each second. The notification only makes it
    faster.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_epoch (id, n) VALUES (1, 1) "
            "ON CONFLICT (id) DO UPDATE SET n = accounts_epoch.n + 1"
        )
        cursor.execute(f"NOTIFY {CHANNEL}")
