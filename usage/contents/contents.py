"""Which entries of the content log a filter of requests selects."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from django.db.models import Q, QuerySet

from accounts.access.actors import Actor, organisation_of
from content.access import visible_entries
from content.models import Entry
from lib import clock
from usage.buckets.buckets import Span
from usage.filters import filters
from usage.filters.filters import EVERYTHING, Dropped, Scope, UsageFilter
from usage.filters.visibility import Period, picks_of_scope
from usage.records.outcomes import CLIENT_STOPPED

_FILTERS: Final = ("range", "from", "to", "tz", "model", "key", "user", "team", "session")
"""The parameters of the log of requests that entries of the content log have columns for."""
_STATUSES: Final[Mapping[str, Q]] = {
    "ok": Q(status__lt=400),
    "error": Q(status__gte=400) & ~Q(status=CLIENT_STOPPED),
    "stopped": Q(status=CLIENT_STOPPED),
}
STATUSES: Final = tuple(_STATUSES)


def read_filter(query: Iterable[tuple[str, Sequence[str]]]) -> UsageFilter:
    """Parse an address's query (`QueryDict.lists()`). What only the log of requests can filter by
    is dropped."""
    known, dropped = dict[str, Sequence[str]](), list[Dropped]()
    for name, texts in query:
        if name in _FILTERS or (name == "status" and set(texts) <= {"", *STATUSES}):
            known[name] = texts
        else:
            dropped += [Dropped(name, text) for text in texts if text]
    usage_filter = filters.from_query(known, clock.now(), channels=False, log=True)
    return replace(usage_filter, dropped=(*usage_filter.dropped, *dropped))


def entries_of(actor: Actor, period: Period | Span, scope: Scope) -> QuerySet[Entry]:
    """Return the entries that the actor may read and the filter selects, newest first. Raises
    AccessDenied."""
    entries = _entries_within(actor, period)
    for pick in picks_of_scope(organisation_of(actor).id, scope, records=False):
        if pick.values:
            entries = entries.filter(**{f"{pick.column}__in": list(pick.values)})
    if scope.session_id is not None:
        entries = entries.filter(session_id=scope.session_id)
    return entries.filter(_STATUSES.get(scope.status or "", Q()))


def entries_among(actor: Actor, period: Period | Span, scope: Scope) -> QuerySet[Entry] | None:
    """Return the entries that a filter selects from; None if it selects all of the period. Raises
    AccessDenied."""
    return None if scope == EVERYTHING else _entries_within(actor, period)


def _entries_within(actor: Actor, period: Period | Span) -> QuerySet[Entry]:
    entries = visible_entries(actor)
    if period.start_at is not None:
        # No entry is dropped before it is made: older partitions are not opened.
        entries = entries.filter(created_at__gte=period.start_at, drop_at__gt=period.start_at)
    if period.end_at is not None:
        entries = entries.filter(created_at__lt=period.end_at)
    return entries
