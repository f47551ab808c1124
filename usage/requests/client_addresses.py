"""From which addresses requests came: kept only where an organisation asks for it, and no longer
than it says."""

from typing import Final
from uuid import UUID

from usage.reports.visibility import run


def address_of(organisation_id: UUID, record_id: UUID) -> str:
    """Where the request of this final record came from; "" where that is not kept."""
    rows = run(_ADDRESS, {"organisation": organisation_id, "record": record_id})
    return rows[0][0] if rows else ""


def drop_old() -> int:
    """Forget the addresses that are older than their organisation wants; how many. An organisation
    that wants none any more has none after the next run."""
    return int(run(_DROP_OLD, {})[0][0])


_ADDRESS: Final = """
    SELECT a.address FROM usage_clientaddress a
    JOIN accounts_organisation o ON o.id = a.organisation_id
    WHERE a.organisation_id = %(organisation)s AND a.record_id = %(record)s
      AND o.client_address_days > 0
      AND a.noted_at > now() - make_interval(days => o.client_address_days)"""
_DROP_OLD: Final = """
    WITH gone AS (
        DELETE FROM usage_clientaddress a USING accounts_organisation o
        WHERE a.organisation_id = o.id
          AND (o.client_address_days = 0
               OR a.noted_at <= now() - make_interval(days => o.client_address_days))
        RETURNING 1
    )
    SELECT count(*) FROM gone"""
