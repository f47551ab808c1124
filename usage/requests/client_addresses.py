"""Client addresses of requests: stored only for organisations that enable it, and only for as long
as they set."""

from typing import Final
from uuid import UUID

from usage.filters.visibility import run


def address_of(organisation_id: UUID, record_id: UUID) -> str:
    """Return the client address of the request with this final record, or "" if it is not
    stored."""
    rows = run(_ADDRESS, {"organisation": organisation_id, "record": record_id})
    return rows[0][0] if rows else ""


def drop_old() -> int:
    """Delete addresses that are older than their organisation's setting. Return how many. An
    organisation that turns them off has none after the next run."""
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
