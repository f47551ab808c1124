"""Narrow a long time range to the days that can contain a filter's requests.

A filter that matches few requests, or none, would otherwise read all records of its range. The sums
know the days with such requests, so only these days are read, and what is not summed yet.
"""

from typing import Any, Final

from accounts.access.actors import Actor
from lib.ids import ID_SLACK, first_id_at
from usage.buckets.buckets import Span
from usage.filters.filters import Scope
from usage.filters.visibility import Period, Where, run, where_of
from usage.requests.refusals import GUARD_REFUSED
from usage.rollups.level_rules import WIDTHS
from usage.rollups.levels import ALWAYS, read_freshness, summed

# The condition on a sum that contains a request with that status. Requests that were stopped, or
# rejected by a guard, are not counted separately.
_SUMMED_AS: Final = {"ok": "r.requests > r.errors", "error": "r.errors > 0"}
_ANY: Final = "r.requests > 0"
_EVERYBODYS: Final = "r.organisation_id = %(organisation)s"


def finds_unanswered(scope: Scope) -> bool:
    """Return whether a filter selects failed or rejected requests alone."""
    return scope.status in ("error", "rejected") or bool(scope.causes) or scope.guards == "rejected"


def narrow_rows(actor: Actor, scope: Scope, period: Period | Span) -> Where:
    """Return the condition on records `r` from `where_of`, with a condition on their ids if that
    excludes many."""
    where = where_of(actor, "requests.read", scope, period)
    on_sums = _narrow_sums(actor, scope)
    if on_sums is None:
        return where
    start_at = period.start_at or ALWAYS.start_at
    end_at = period.end_at or ALWAYS.end_at
    at = read_freshness()
    if at.complete_to is None:
        return where
    sums = summed(on_sums, [Span(start_at, end_at)], at)
    first_at, last_at = run(_FOUND.format(sums=sums.text), sums.parameters)[0]
    texts = ["r.id >= %(unsummed)s"]
    parameters = {"unsummed": first_id_at(at.complete_to - ID_SLACK)}
    if first_at is not None:
        texts.append("r.id >= %(first_found)s AND r.id < %(last_found)s")
        parameters["first_found"] = first_id_at(first_at - ID_SLACK)
        parameters["last_found"] = first_id_at(last_at + WIDTHS["day"] + ID_SLACK)
    return Where(f"{where.text} AND ({' OR '.join(texts)})", {**where.parameters, **parameters})


def _narrow_sums(actor: Actor, scope: Scope) -> Where | None:
    """Return a condition on sums `r` that may contain such a request, or None if most sums would
    match."""
    if scope.request_id or scope.session_id:
        return None  # an index of its own finds it
    text, where_parameters = where_of(
        actor, "requests.read", scope.summed_part, Period(), of="sums"
    )
    parameters: dict[str, Any] = dict(where_parameters)
    failed = scope.causes and GUARD_REFUSED not in scope.causes
    wanted = _SUMMED_AS.get("error" if failed else scope.status or "", _ANY)
    if scope.min_cost_nano:
        wanted += " AND r.charge_nano >= %(min_cost)s"
        parameters["min_cost"] = scope.min_cost_nano
    if text == _EVERYBODYS and wanted == _ANY:
        return None
    return Where(f"{text} AND {wanted}", parameters)


_FOUND: Final = "SELECT min(r.bucket_at), max(r.bucket_at) FROM {sums} r"
