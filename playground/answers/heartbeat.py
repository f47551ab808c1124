"""The heartbeat of a run: how often its process renews it, and after how long without one it is
lost."""

from typing import Final
from uuid import UUID

from django.db import connection

HEARTBEAT_S: Final = 2.0
STALE_S: Final = 10
"""A run without a heartbeat for this long has lost its process."""


def record_heartbeat(run_id: UUID) -> None:
    """Record that the run's task is alive."""
    with connection.cursor() as cursor:
        cursor.execute(_BEAT, {"run": run_id})


_BEAT = """
    UPDATE playground_run SET heartbeat_at = clock_timestamp()
    WHERE id = %(run)s AND ended_at IS NULL"""
