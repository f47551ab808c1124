"""Whether Home has any usage to show, and a person's first API call."""

import datetime as dt
from typing import Final
from uuid import UUID

from django.db.models import Min

from accounts.access import access
from accounts.access.actors import Actor, organisation_of
from accounts.models import Key, KeyKind
from lib import clock
from usage.buckets.buckets import bucket_of
from usage.filters.visibility import Period, Where, run, sees_requests, visible
from usage.requests.log import RequestRow, request_page
from usage.rollups.levels import since, summed

# The sums lag by less than this, and a search of the records of this time is fast.
_LATEST: Final = dt.timedelta(hours=1)
_ROWS: Final = 50


def sees_traffic(actor: Actor) -> bool:
    """Return whether any answered request that the actor may see exists, with any key or from our
    own pages. Sums lag by seconds, so the latest records are searched too."""
    if access.scope_of(actor, "usage.read") is None:
        return has_called(actor)
    where = visible(actor, "usage.read")
    rows = summed(where, [since(bucket_of(organisation_of(actor).created_at))])
    if run(_SUMMED.format(rows=rows.text), rows.parameters):
        return True
    if not sees_requests(actor):
        return False
    page = request_page(actor, Period(start_at=clock.now() - _LATEST), limit=_ROWS)
    return any(not row.unanswered for row in page.rows)


def has_called(actor: Actor) -> bool:
    """Return whether any request of the person with their own key was ever answered. The
    installation's own tests, other people's requests and those of our pages do not count."""
    ids = _own_key_ids(actor)
    if not ids:
        return False
    begun_at = Key.objects.filter(id__in=ids).aggregate(at=Min("created_at"))["at"]
    where = Where(
        "r.organisation_id = %(organisation)s AND r.key_id = ANY (%(keys)s)",
        {"organisation": organisation_of(actor).id, "keys": ids},
    )
    # A key has no sums from before its creation.
    rows = summed(where, [since(bucket_of(begun_at))])
    if run(_SUMMED.format(rows=rows.text), rows.parameters):
        return True
    latest = latest_call(actor)
    return latest is not None and not latest.running and not latest.unanswered


def latest_call(actor: Actor, begun_at: dt.datetime | None = None) -> RequestRow | None:
    """Return the person's newest request with their own key in the last hour, or since `begun_at`;
    an answered one is preferred."""
    ids = set(_own_key_ids(actor))
    if not ids or not sees_requests(actor):
        return None
    start_at = clock.now() - _LATEST
    period = Period(start_at=max(start_at, begun_at) if begun_at else start_at)
    page = request_page(actor, period, limit=_ROWS, running=True)
    rows = [row for row in (*page.running, *page.rows) if row.key_id in ids]
    return min(rows, key=lambda row: row.running or row.unanswered, default=None)


def last_used_model(actor: Actor) -> str | None:
    """Return the model that last answered the person, on our pages or elsewhere, or None."""
    if actor.user is None:
        return None
    where = Where(
        "r.organisation_id = %(organisation)s AND r.user_id = %(user)s",
        {"organisation": organisation_of(actor).id, "user": actor.user.id},
    )
    rows = summed(where, [since(bucket_of(actor.user.created_at))])
    rows_found = run(_LAST_MODEL.format(where=where.text, rows=rows.text), rows.parameters)
    return rows_found[0][0] if rows_found else None


def _own_key_ids(actor: Actor) -> list[UUID]:
    if actor.user is None:
        return []
    keys = Key.objects.filter(
        organisation=organisation_of(actor), user=actor.user, kind=KeyKind.RELAY
    )
    return list(keys.values_list("id", flat=True))


_SUMMED: Final = "SELECT 1 FROM {rows} r WHERE r.requests > r.errors LIMIT 1"
# The last sum gives the day or hour, and its quarters give the rest.
_LAST_MODEL: Final = """
    SELECT r.model FROM usage_rollup r
    WHERE {where} AND r.requests > r.errors AND r.bucket_at >= (
        SELECT max(r.bucket_at) FROM {rows} r WHERE r.requests > r.errors)
    ORDER BY r.bucket_at DESC LIMIT 1"""
