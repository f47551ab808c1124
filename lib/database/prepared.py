"""Statements that are run often and planned once per connection.

Django plans each statement again. On tables with many partitions, planning takes twenty times as
long as a query that finds nothing. The connection must set `prepare_threshold`
(config/settings.py).
"""

from typing import Any

import psycopg
from django.db import connection


def first_row(statement: str) -> tuple[Any, ...]:
    """Return the first row of a statement without parameters, on Django's connection."""
    connection.ensure_connection()
    # Use Django's wrappers, which confine the connection to a tenant and raise Django's exceptions.
    cursor: Any = _Prepared(connection.connection)
    with connection.make_cursor(cursor) as confined:
        confined.execute(statement)
        row: tuple[Any, ...] = confined.fetchone()
        return row


class _Prepared(psycopg.Cursor[Any]):
    def execute(self, query: Any, params: Any = None, **_: Any) -> Any:
        return super().execute(query, params, prepare=True)
