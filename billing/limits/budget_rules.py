"""Budgets: the window of an instant, and the requests that a budget applies to.

A period begins where the wall clock of the budget's zone shows its anchor:

    hour    minute of the hour, 0 to 59
    day     hour of the day, 0 to 23
    week    day of the week, 0 Monday to 6 Sunday
    month   day of the month, 1 to 31; the last day of a shorter month
    total   no anchor (0): one window for all time
    session no anchor (0): one window for each session, and no time

The windows of a budget tile time (I17, P17). If the clock jumps over the anchor, the window begins
at the jump. If the clock shows the anchor twice, the window begins the first time, and the repeated
time belongs to it. A period that a zone skipped altogether has no window.
"""

import datetime as dt
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Final, Literal
from zoneinfo import ZoneInfo, available_timezones

from billing.periods.period_starts import Span, first_instant_at

Scope = Literal[
    "organisation", "team", "user", "key", "model", "project", "tag", "customer", "end_user"
]
Period = Literal["hour", "day", "week", "month", "total", "session"]

PERIODS: Final[tuple[Period, ...]] = ("hour", "day", "week", "month", "total", "session")
WITHOUT_END: Final[tuple[Period, ...]] = ("total", "session")
"""Periods without an end: the spent amount is never reset."""
SESSION_SCOPES: Final[tuple[Scope, ...]] = ("organisation", "team", "user", "key")
"""The scopes that a budget per session can have."""
# Labels of a request or its key that a budget can limit.
LABEL_SCOPES: Final[tuple[Scope, ...]] = ("project", "tag", "customer")
END_USERS_MAX: Final = 1_000
"""The most end users of a budget who have an amount of their own."""
FOREVER: Final = Span(
    dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 1, 1, tzinfo=dt.UTC)
)
# The limit of a window whose budget does not block: far above any amount, and safe to add up.
UNBOUNDED_NANO: Final = 2**62
BUDGET_MAX_NANO: Final = 10**18
"""The most of a budget, and of an increase: both plus the spent amount fit 64 bits."""
ALERT_PERCENTS: Final = (50, 80, 100)
"""The default percentages of a budget at which alerts are sent."""
ALERTS_MAX: Final = 10
"""The maximum number of alert percentages of one budget."""
OF_SUBSCRIPTION: Final = "subscription"
"""The subject of the organisation's budget that enforces its subscription's limit."""
SUBJECT_LENGTH: Final = 200

_ANCHORS: Final[dict[Period, range]] = {
    "hour": range(60),
    "day": range(24),
    "week": range(7),
    "month": range(1, 32),
    "total": range(1),
    "session": range(1),
}
_HOUR: Final = dt.timedelta(hours=1)
_DAY: Final = dt.timedelta(days=1)
_WEEK: Final = dt.timedelta(weeks=1)


class BudgetInvalid(ValueError):
    """The budget is invalid. `field` is the input to correct; the text says what was expected."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def default_anchor(period: Period) -> int:
    """Return the default start of a period: the full hour, midnight, Monday, the first of the
    month."""
    return _ANCHORS[period][0]


def anchors_of(period: Period) -> range:
    """Return the possible starts of a period."""
    return _ANCHORS[period]


@cache
def _zones() -> frozenset[str]:
    """Return the names of all zones: `available_timezones` reads them from the disk each time."""
    return frozenset(available_timezones())


def check_budget(period: Period, anchor: int, timezone: str) -> None:
    """Raise BudgetInvalid unless the anchor and the time zone are valid."""
    allowed = _ANCHORS[period]
    if anchor not in allowed:
        what = f"expected a whole number from {allowed[0]} to {allowed[-1]} for a {period}"
        raise BudgetInvalid("anchor", what)
    if timezone not in _zones():
        raise BudgetInvalid("timezone", "expected the name of a time zone such as Europe/Berlin")


def check_session_budget(scope: str, action: str) -> None:
    """Raise BudgetInvalid unless a budget per session can have this scope and action."""
    if scope not in SESSION_SCOPES:
        what = f"expected one of {', '.join(SESSION_SCOPES)} for the period session"
        raise BudgetInvalid("scope", what)
    if action != "block":
        raise BudgetInvalid("action", "expected block for the period session")


def check_end_user_budget(period: Period) -> None:
    """Raise BudgetInvalid unless a budget of each end user can have this period: names, which are
    personal data, leave it some time after its end."""
    if period in WITHOUT_END:
        ending = ", ".join(one for one in PERIODS if one not in WITHOUT_END)
        raise BudgetInvalid("period", f"expected one of {ending} for the scope end_user")


def used_share(used_nano: int, limit_nano: int) -> Fraction:
    """Return the used share of a limit. A limit of 0 is full."""
    return Fraction(used_nano, limit_nano) if limit_nano else Fraction(1)


def window(period: Period, anchor: int, timezone: str, at: dt.datetime) -> Span:
    """Return the window of an aware instant. For a session, it is all time."""
    if period in WITHOUT_END:
        return FOREVER
    zone = ZoneInfo(timezone)
    starts = sorted(
        {first_instant_at(label, zone) for label in _labels(period, anchor, at.astimezone(zone))}
    )
    later = next(n for n, start in enumerate(starts) if start > at)
    return Span(starts[later - 1], starts[later])


def _labels(period: Period, anchor: int, local: dt.datetime) -> Iterator[dt.datetime]:
    """Yield the local times at which periods begin, from well before a time to well after it. When
    clocks are set back, by three hours at most until now, hours are repeated."""
    wall = local.replace(tzinfo=None, minute=0, second=0, microsecond=0)
    midnight = wall.replace(hour=0)
    for n in range(-2, 6):
        if period == "hour":
            yield (wall + n * _HOUR).replace(minute=anchor)
        elif period == "day":
            yield (midnight + n * _DAY).replace(hour=anchor)
        elif period == "week":
            yield midnight + (anchor - midnight.weekday()) * _DAY + n * _WEEK
        else:
            yield _month_day(midnight.year * 12 + midnight.month - 1 + n, anchor)


def _month_day(months: int, day: int) -> dt.datetime:
    year, month = divmod(months, 12)
    following, next_month = divmod(months + 1, 12)
    last = (dt.datetime(following, next_month + 1, 1) - _DAY).day  # noqa: DTZ001 - a wall's date
    return dt.datetime(year, month + 1, min(day, last))  # noqa: DTZ001
