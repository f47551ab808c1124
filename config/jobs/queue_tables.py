"""The tables of the queue in Postgres, which is used if there is no other broker."""

from typing import Any, Protocol

from django.conf import settings
from django.db import connections, transaction


class _Cursor(Protocol):
    def execute(self, query: Any, /) -> Any: ...
    def fetchone(self) -> Any: ...


def create_queue_tables(cursor: _Cursor) -> None:
    """Create the tables and functions of the queue, whose script cannot run twice."""
    # Imported here, because every process imports this file, and pgmq is large.
    from pgmq.install import get_embedded_install_sql, get_embedded_sql_version

    cursor.execute("SELECT to_regclass('pgmq.meta') IS NOT NULL")
    if cursor.fetchone() == (False,):
        cursor.execute(get_embedded_install_sql())
        cursor.execute(f"COMMENT ON SCHEMA pgmq IS '{get_embedded_sql_version()}'")


def create_if_used(using: str, **_: Any) -> None:
    """Create the queue before the migrations, because workers start once these are applied. A
    restored database lacks it, too: no backup contains it."""
    if not settings.BROKER_URL:
        with transaction.atomic(using=using), connections[using].cursor() as cursor:
            create_queue_tables(cursor)
