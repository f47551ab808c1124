"""Whether a person has called a model by the API, with a key of their own."""

import datetime as dt
from typing import Final
from uuid import UUID

from accounts.actors import Actor, organisation_of
from accounts.models import Key, KeyKind
from lib import clock
from usage.reports import RequestRow, request_page
from usage.visibility import Period, run, sees_requests

# The sums are behind by less than that, and records are quick to look through for so long.
_LATEST: Final = dt.timedelta(hours=1)
_ROWS: Final = 50


def has_called(actor: Actor) -> bool:
    """Whether a request of the person by a key of their own was answered, ever.

    What the installation tried for itself, what others sent and what came from our own pages does
    not count.
    """
    ids = _own_key_ids(actor)
    if not ids:
        return False
    parameters = {"organisation": organisation_of(actor).id, "keys": ids}
    if run(_SUMMED, parameters):
        return True
    latest = latest_call(actor)
    return latest is not None and not latest.running and not latest.failed


def latest_call(actor: Actor) -> RequestRow | None:
    """The person's newest request of the last hour by such a key, an answered one first."""
    ids = set(_own_key_ids(actor))
    if not ids or not sees_requests(actor):
        return None
    period = Period(start_at=clock.now() - _LATEST)
    page = request_page(actor, period, limit=_ROWS, running=True)
    rows = [row for row in (*page.running, *page.rows) if row.key_id in ids]
    return min(rows, key=lambda row: row.running or row.failed, default=None)


def last_used_model(actor: Actor) -> str | None:
    """The model that last answered the person, on our pages or elsewhere."""
    if actor.user is None:
        return None
    parameters = {"organisation": organisation_of(actor).id, "user": actor.user.id}
    rows = run(_LAST_MODEL, {**parameters, "since": actor.user.created_at})
    return rows[0][0] if rows else None


def _own_key_ids(actor: Actor) -> list[UUID]:
    if actor.user is None:
        return []
    keys = Key.objects.filter(
        organisation=organisation_of(actor), user=actor.user, kind=KeyKind.RELAY
    )
    return list(keys.values_list("id", flat=True))


# From the newest on: who calls often is found at once, and no key has more buckets than its life.
_SUMMED: Final = """
    SELECT 1 FROM usage_rollup r
    WHERE r.organisation_id = %(organisation)s AND r.key_id = ANY (%(keys)s)
      AND r.requests > r.errors
      AND r.bucket_at >= (SELECT min(k.created_at) FROM accounts_key k WHERE k.id = ANY (%(keys)s))
          - interval '15 minutes'
    ORDER BY r.bucket_at DESC LIMIT 1"""
_LAST_MODEL: Final = """
    SELECT r.model FROM usage_rollup r
    WHERE r.organisation_id = %(organisation)s AND r.user_id = %(user)s
      AND r.requests > r.errors AND r.bucket_at >= %(since)s::timestamptz - interval '15 minutes'
    ORDER BY r.bucket_at DESC LIMIT 1"""
