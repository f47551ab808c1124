"""Whether a guard rejected a request, and why one was refused for money, read from the message that
its client got."""

import re
from typing import Final

from usage.records.outcomes import CLIENT_STOPPED

BUDGET_REACHED: Final = "budget_reached"
BALANCE_TOO_LOW: Final = "balance_too_low"
"""The kinds that pages show for a refusal for money. The API and the books have one kind for both,
and say in the message which it was."""
GUARD_REFUSED: Final = "guard_refused"
"""The kind of a request that a guard rejected."""
_KIND: Final = "insufficient_balance"
_BY_BUDGET: Final = "^Insufficient Balance: (a|client.s own|[a-z_]+) budget "
IS_BY_BUDGET: Final = f"coalesce(r.kind = '{_KIND}' AND r.message ~ '{_BY_BUDGET}', false)"
"""Whether a budget refused the request of the record `r`: an expression in SQL."""
DISPLAY_KIND: Final = (
    f"CASE WHEN {IS_BY_BUDGET} THEN '{BUDGET_REACHED}' "
    f"WHEN r.kind = '{_KIND}' THEN '{BALANCE_TOO_LOW}' ELSE r.kind END"
)
"""The kind that pages show for the record `r`, as `display_kind`."""


def is_by_budget(kind: str | None, message: str) -> bool:
    """Return whether a budget refused the request with this message."""
    return kind == _KIND and re.match(_BY_BUDGET, message) is not None


def display_kind(kind: str | None, *, by_budget: bool) -> str:
    """Return the kind that pages show: that of the books, or for one about money what lacked."""
    if kind != _KIND:
        return kind or ""
    return BUDGET_REACHED if by_budget else BALANCE_TOO_LOW


def is_unanswered(status: int | None) -> bool:
    """Return whether the status is that of a failed or rejected request; a running request has
    none."""
    return status is not None and status >= 400 and status != CLIENT_STOPPED


def is_rejected(status: int | None, kind: str | None) -> bool:
    """Return whether a guard rejected the request."""
    return is_unanswered(status) and kind == GUARD_REFUSED
