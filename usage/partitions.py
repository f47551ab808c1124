"""Monthly partitions of the attempts and usage records, cut on the time inside their ids.

A default partition takes what has none, so that no row is ever refused; months are made ahead of
their time because a month whose rows already lie in the default partition cannot be cut any more.
"""

import datetime as dt

from django.db import connection
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from lib import clock
from lib.ids import first_id_at

PARTITIONED = ("usage_attempt", "usage_usagerecord")
_AHEAD = 3


def ensure_partitions() -> list[str]:
    """Make the partitions of this month and the next three that are missing; their names."""
    made: list[str] = []
    month = clock.now().date().replace(day=1)
    with connection.cursor() as cursor:
        for _ in range(_AHEAD + 1):
            following = (month + dt.timedelta(days=32)).replace(day=1)
            for table in PARTITIONED:
                name = f"{table}_{month:%Y_%m}"
                cursor.execute("SELECT to_regclass(%s)", [name])
                if cursor.fetchone() == (None,):
                    cursor.execute(
                        f"CREATE TABLE {name} PARTITION OF {table} "
                        f"FOR VALUES FROM ('{_edge(month)}') TO ('{_edge(following)}')"
                    )
                    # The triggers of rows come from the table; this one does not.
                    cursor.execute(
                        f"CREATE TRIGGER never_emptied BEFORE TRUNCATE ON {name} "
                        "FOR EACH STATEMENT EXECUTE FUNCTION weir_written_once()"
                    )
                    made.append(name)
            month = following
    return made


def ensure_at_migration(apps: object, schema_editor: BaseDatabaseSchemaEditor) -> None:
    ensure_partitions()


def _edge(month: dt.date) -> str:
    return str(first_id_at(dt.datetime(month.year, month.month, 1, tzinfo=dt.UTC)))
