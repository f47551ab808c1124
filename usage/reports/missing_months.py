"""The detached months that a report lacks."""

from collections.abc import Collection

from usage.filters.filters import UsageFilter
from usage.models import DetachedMonth
from usage.months.detached import detached_within
from usage.reports.used_rows import are_summed
from usage.rollups.levels import Freshness


def missing_months(
    usage_filter: UsageFilter, groups: Collection[str], at: Freshness
) -> list[DetachedMonth]:
    """Return the detached months that a report lacks. None if it reads sums or a sink."""
    if are_summed(usage_filter.scope, groups) or at.copy_of(usage_filter.spans):
        return []
    return detached_within(usage_filter.span)
