"""The log lines that processes dropped because they could not be written (P34)."""

import logging
import threading

from django.db import DatabaseError, connection

from config.server.log_handler import find_log_handler
from gateway.health.sql import add_to_total

log = logging.getLogger(__name__)

_counting = threading.Lock()
_counted_lines = 0


def count_dropped_lines() -> None:
    """Add the lines that this process dropped since the last call to the installation's total."""
    global _counted_lines
    # Tasks of a worker may end at the same time; only one counts. Within a transaction nothing is
    # counted.
    if connection.in_atomic_block or not _counting.acquire(blocking=False):
        return
    try:
        handler = find_log_handler()
        dropped = handler.writer.dropped if handler else 0
        if dropped > _counted_lines:
            with connection.cursor() as cursor:
                cursor.execute(*add_to_total("dropped_lines", dropped - _counted_lines))
            _counted_lines = dropped
    except DatabaseError as error:
        log.warning("cannot count %d dropped log lines now: %s", dropped - _counted_lines, error)
    finally:
        _counting.release()
