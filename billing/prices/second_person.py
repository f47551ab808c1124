"""Which changes of prices need a second person: cuts by more than half."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from billing.prices.rate_changes import rate_changes

TOGETHER: Final = dt.timedelta(hours=24)
"""Cuts within it count as one."""


def fell_by_more_than_half(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> bool:
    """Return whether any rate falls to less than half of its value, or ends. Such a price cut needs
    two persons. A first price is not a cut."""
    if before is None:
        return False
    return any(
        change.before and 2 * (change.after or 0) < change.before
        for change in rate_changes(before, after)
    )
