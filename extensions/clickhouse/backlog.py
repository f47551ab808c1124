"""Usage records that wait for ClickHouse (`sending.py` sends them)."""

from typing import Any, Final

from extensions.clickhouse.models import ClickHouseCursor
from usage.filters.visibility import run
from usage.sinks.usage_sink import WAITING_MAX, Backlog


def backlog() -> Backlog:
    """Return the state of the sink."""
    cursor = ClickHouseCursor.objects.first()
    if cursor is None:
        return Backlog(_count("true", {}), None, "")
    if not cursor.snapshot:
        return Backlog(_count(*after_start(cursor)), None, cursor.error)
    return Backlog(_count(NEW, {"before": cursor.snapshot}), cursor.complete_to, cursor.error)


def after_start(cursor: ClickHouseCursor) -> tuple[str, dict[str, Any]]:
    """Return the condition on records that were not sent yet, during the first fill."""
    if cursor.after_id is None:
        return "true", {}
    after = {"organisation": cursor.after_organisation, "id": cursor.after_id}
    return "(r.organisation_id, r.id) > (%(organisation)s, %(id)s)", after


def _count(where: str, parameters: dict[str, Any]) -> int:
    text = _COUNT.format(where=where, most=WAITING_MAX)
    return int(run(text, parameters)[0][0])


NEW: Final = """r.xid >= pg_snapshot_xmin(%(before)s::pg_snapshot)
        AND NOT pg_visible_in_snapshot(r.xid, %(before)s::pg_snapshot)"""
_COUNT: Final = """
    SELECT count(*) FROM (SELECT FROM usage_usagerecord r WHERE {where} LIMIT {most}) counted"""
