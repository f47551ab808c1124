"""ClickHouse as a sink of usage."""

from typing import Final

from extensions.clickhouse.backlog import backlog
from extensions.clickhouse.figures import read
from extensions.clickhouse.models import ClickHouseCursor
from extensions.clickhouse.sending import complete, different_days
from extensions.clickhouse.server import forget_person, server
from usage.sinks.usage_sink import UsageCopy

SINK: Final = UsageCopy(
    name="clickhouse",
    title="ClickHouse",
    is_used=lambda: server() is not None,
    was_used=ClickHouseCursor.has_sent,
    backlog=backlog,
    complete=complete,
    different_days=different_days,
    forget_person=forget_person,
    read=read,
)
