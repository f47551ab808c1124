"""ClickHouse as a sink of usage."""

from typing import Final

from lib.network.clickhouse import ClickHouseError
from usage.reports.clickhouse_figures import read
from usage.rollups.clickhouse_backlog import backlog
from usage.rollups.clickhouse_server import forget_person, server
from usage.rollups.clickhouse_sink import complete, different_days
from usage.sinks.usage_sink import DifferentDay, SinkError, UsageSink


def _different_days() -> list[DifferentDay]:
    try:
        return different_days()
    except ClickHouseError as error:
        raise SinkError(str(error)) from error


SINK: Final = UsageSink(
    name="clickhouse",
    title="ClickHouse",
    is_used=lambda: server() is not None,
    backlog=backlog,
    complete=complete,
    different_days=_different_days,
    forget_person=forget_person,
    read=read,
)
