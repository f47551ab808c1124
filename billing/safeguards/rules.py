"""The valid values of safeguards, and which of two values is stricter."""

import datetime as dt
from typing import Final

DEFAULTS: Final = {"credit_limit": 100 * 10**9, "audit_retention": 0}
DAYS_MAX: Final = 36_500
LIMIT_NANO_MAX: Final = 10**9 * 10**9
TOGETHER: Final = dt.timedelta(hours=24)
"""The time in which the credits of one operator count together for the limit."""


def is_relaxed(name: str, before: int, after: int) -> bool:
    """Return whether the second value protects less than the first."""
    if name == "credit_limit":
        return after > before
    # 0 days means that events are kept for ever.
    return after != 0 and (before == 0 or after < before)


def is_valid(name: str, value: int) -> bool:
    """Return whether a safeguard can have this value."""
    return 0 <= value <= (LIMIT_NANO_MAX if name == "credit_limit" else DAYS_MAX)
