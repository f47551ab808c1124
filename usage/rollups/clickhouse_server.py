"""The optional ClickHouse in which the installation keeps a second copy of the usage records."""

from typing import Final

from django.conf import settings

from lib.network.clickhouse import ClickHouse

SCHEMA: Final = 3
"""The version of the tables. Another version means other tables, which are filled from the
start."""
RECORDS: Final = f"weir_usage_{SCHEMA}"
MARKS: Final = f"weir_usage_marks_{SCHEMA}"
FORMER_TABLES: Final = tuple(
    f"{table}_{n}" for n in range(1, SCHEMA) for table in ("weir_usage", "weir_usage_marks")
)


def server() -> ClickHouse | None:
    """Return the installation's ClickHouse, or None."""
    if not settings.CLICKHOUSE_URL:
        return None
    return ClickHouse(
        settings.CLICKHOUSE_URL,
        settings.CLICKHOUSE_DATABASE,
        settings.CLICKHOUSE_USER,
        settings.CLICKHOUSE_PASSWORD or "",
    )
