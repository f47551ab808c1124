"""The price and the included usage of a subscription plan for a month, or a part of one.

A period is a calendar month in the subscription's zone; the month is paid at its beginning. Parts
of a month are whole days. A day on which the plan changes counts to the new plan. A part is the
difference of two sums from the first of the month on, each rounded down to the nano. So the parts
of a month add up to the whole amount, however it is divided.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from billing.periods.months import month_after
from billing.subscriptions.included_units import UnitKind, UnitTerm, kept_back

GRACE: Final = dt.timedelta(days=7)
"""How long an unpaid renewal is tried again before the subscription ends. Nothing is included in
this time."""


class Terms(NamedTuple):
    """The price and the included usage of a plan's month; all 0 or more."""

    price_nano: int
    included_nano: int
    units: tuple[UnitTerm, ...] = ()


class Change(NamedTuple):
    """The effect of a change of plan. `charge_nano` is charged (below 0: refunded), `grant_nano` is
    added to the included usage, `taken_nano` is taken back. One of the last two is 0. `units` are
    added (below 0: removed), by kind of term."""

    charge_nano: int
    grant_nano: int
    taken_nano: int
    units: tuple[tuple[UnitKind, int], ...] = ()


def first_of_month(day: dt.date) -> dt.date:
    return day.replace(day=1)


def days_of_month(day: dt.date) -> int:
    """Return how many days the month of a day has in the calendar."""
    first = first_of_month(day)
    return (month_after(first) - first).days


def days_left(day: dt.date) -> int:
    """Return the number of days from a day to the end of its month, that day included."""
    return days_of_month(day) - day.day + 1


def share(amount_nano: int, first: dt.date, until: dt.date) -> int:
    """Return the part of a month's amount from the day `first` up to, not including, `until`.
    `until` is in the same month or the first of the next."""
    month = first_of_month(first)
    days = days_of_month(first)
    return amount_nano * (until - month).days // days - amount_nano * (first - month).days // days


def rest_of_month(terms: Terms, day: dt.date) -> Terms:
    """Return the price and the included usage from a day to the end of its month."""
    until = month_after(first_of_month(day))
    return Terms(
        share(terms.price_nano, day, until),
        share(terms.included_nano, day, until),
        tuple(term._replace(units=share(term.units, day, until)) for term in terms.units),
    )


def begin(terms: Terms, day: dt.date) -> Change:
    """Return the change for a new subscription that begins on a day."""
    part = rest_of_month(terms, day)
    return Change(part.price_nano, part.included_nano, 0, _extra_units((), part.units))


def change_plan(
    old: Terms, new: Terms, day: dt.date, unused_nano: int, unused_units: Mapping[UnitKind, int]
) -> Change:
    """Return the change from one plan to another, for the rest of the month from `day` on.

    A higher price is charged, and more included usage is granted. If the new plan includes less,
    the difference is taken from the unused part; what is used already reduces the refund, so that
    nobody uses up a plan and gets its price back. A cheaper plan never costs a charge. Units reduce
    the refund by their used share.
    """
    before, after = rest_of_month(old, day), rest_of_month(new, day)
    wanted = _extra_units(before.units, after.units)
    unused = {kind: max(unused_units.get(kind, 0), 0) for kind, _ in wanted}
    units = tuple((kind, max(more, -unused[kind])) for kind, more in wanted)
    price_nano = kept_back(
        after.price_nano - before.price_nano,
        ((-more, unused[kind]) for kind, more in wanted if more < 0),
    )
    more_nano = after.included_nano - before.included_nano
    if more_nano >= 0:
        return Change(price_nano, more_nano, 0, units)
    taken_nano = min(-more_nano, max(unused_nano, 0))
    if price_nano >= 0:
        return Change(price_nano, 0, taken_nano, units)
    used_nano = -more_nano - taken_nano
    return Change(min(price_nano + used_nano, 0), 0, taken_nano, units)


def _extra_units(
    before: Iterable[UnitTerm], after: Iterable[UnitTerm]
) -> tuple[tuple[UnitKind, int], ...]:
    """Return the additional units of each kind (below 0: fewer), the new plan's kinds first."""
    more = {term.kind: term.units for term in after}
    for term in before:
        more[term.kind] = more.get(term.kind, 0) - term.units
    return tuple(more.items())
