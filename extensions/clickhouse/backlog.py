"""Usage records that wait for ClickHouse (`sending.py` sends them)."""

from extensions.clickhouse.models import ClickHouseCursor
from usage.sinks.rounds import backlog_of
from usage.sinks.usage_sink import Backlog


def backlog() -> Backlog:
    """Return the state of the sink."""
    return backlog_of(ClickHouseCursor.objects.first())
