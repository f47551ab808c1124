"""The most expensive groups of a span, and all others as one more."""

from django.utils.translation import gettext

from accounts.access.actors import Actor
from usage.buckets.buckets import Span
from usage.filters.groupings import GroupBy
from usage.reports.reports import Group, Totals, usage_by, usage_totals


def largest_groups(actor: Actor, span: Span, by: GroupBy, limit: int) -> list[Group]:
    """Return the sums by model, key, person or channel without meters, the most expensive first.
    Those beyond the limit are one last group without an id, so that the groups add up to the
    whole."""
    groups = usage_by(actor, span, by, limit=limit + 1, metered=False)
    if len(groups) <= limit:
        return groups
    whole, largest = usage_totals(actor, span, metered=False), groups[:limit]
    rest = Totals(
        whole.requests - sum(group.totals.requests for group in largest),
        whole.errors - sum(group.totals.errors for group in largest),
        whole.charge_nano - sum(group.totals.charge_nano for group in largest),
    )
    return [*largest, Group("", gettext("Others"), rest)]
