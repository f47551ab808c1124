"""Where usage records are kept a second time, if the installation says so: its ClickHouse."""

from typing import Final

from django.conf import settings

from lib.network.clickhouse import ClickHouse

SCHEMA: Final = 2
"""Of the tables; another number means other tables, which are filled anew."""
RECORDS: Final = f"weir_usage_{SCHEMA}"
MARKS: Final = f"weir_usage_marks_{SCHEMA}"
FORMER_TABLES: Final = tuple(
    f"{table}_{n}" for n in range(1, SCHEMA) for table in ("weir_usage", "weir_usage_marks")
)


def server() -> ClickHouse | None:
    """The installation's; None where it has none."""
    if not settings.CLICKHOUSE_URL:
        return None
    return ClickHouse(
        settings.CLICKHOUSE_URL,
        settings.CLICKHOUSE_DATABASE,
        settings.CLICKHOUSE_USER,
        settings.CLICKHOUSE_PASSWORD or "",
    )
