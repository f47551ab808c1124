"""The notification of the relay: its snapshot of keys, channels, prices and settings is out of
date."""

from django.db import connection

CHANNEL = "weir_epoch"
"""What is notified; so the relay names it, too."""


def bump_epoch() -> None:
    """Count one change, in the caller's transaction; relays hear of it at the commit.

    The row is the truth (every relay polls it each second), the notification only makes it quick.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_epoch (id, n) VALUES (1, 1) "
            "ON CONFLICT (id) DO UPDATE SET n = accounts_epoch.n + 1"
        )
        cursor.execute(f"NOTIFY {CHANNEL}")
