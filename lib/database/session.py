"""The settings of every connection to Postgres, wherever Postgres runs and whatever its
configuration is."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from django.db import DatabaseError, connection
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from lib.env import ConfigurationError

# Statements are short, and compiling one takes longer than running it. Postgres compiles whatever
# its estimate says is expensive, and look-ups that forbid sequential scans are estimated so.
_OPTIONS: Final = "-c jit=off"


def with_session_settings(dsn: str) -> str:
    """Return a connection string whose sessions have our settings. Those that it names itself take
    precedence. Raises ConfigurationError if it is no connection string."""
    try:
        own = conninfo_to_dict(dsn).get("options")
    except ProgrammingError as error:
        raise ConfigurationError(
            "DATABASE_URL is no connection string of Postgres, such as"
            " postgresql://user:password@host:5432/database."
        ) from error
    return make_conninfo(dsn, options=f"{_OPTIONS} {own}" if own else _OPTIONS)


@contextmanager
def only_look_ups() -> Iterator[None]:
    """Run statements on Django's connection that read few rows of large tables by an index, in
    transactions of their own. The planner decides differently where a table has no statistics, as
    after a restore, or older ones than its rows."""
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
    try:
        yield
    finally:
        # A failed transaction has taken it back.
        with suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute("RESET enable_seqscan")
