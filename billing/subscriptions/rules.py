"""What a subscription plan costs and includes in a month, and in a part of one.

A period is a calendar month of the subscription's zone; the month is paid at its beginning. Parts
of a month are whole days: the day on which something begins counts to what begins. A part is the
difference of two sums from the first of the month on, each rounded down to the nano. So the parts
of a month come to the whole amount, however it is cut.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from billing.invoices.rules import month_after
from billing.subscriptions.included_units import UnitKind, UnitTerm, kept_back

GRACE: Final = dt.timedelta(days=7)
"""How long a renewal that the balance does not cover is tried again before the subscription ends.
Nothing is included meanwhile."""


class Terms(NamedTuple):
    """What a month of a plan costs, and how much usage it includes; all 0 or more."""

    price_nano: int
    included_nano: int
    units: tuple[UnitTerm, ...] = ()


class Change(NamedTuple):
    """What a change of plan does: `charge_nano` is paid (below 0: given back), `grant_nano` is
    included in addition, `taken_nano` is included no more. One of the last two is 0. `units` are
    included in addition (below 0: no more), of each kind of term."""

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
    """Return how many days its month has from a day on, that day among them."""
    return days_of_month(day) - day.day + 1


def share(amount_nano: int, first: dt.date, until: dt.date) -> int:
    """The part of a month's amount from the day `first` up to, not including, `until`, which is in
    the same month or the first of the next."""
    month = first_of_month(first)
    days = days_of_month(first)
    return amount_nano * (until - month).days // days - amount_nano * (first - month).days // days


def rest_of_month(terms: Terms, day: dt.date) -> Terms:
    """What is paid and included from a day of a month to its end."""
    until = month_after(first_of_month(day))
    return Terms(
        share(terms.price_nano, day, until),
        share(terms.included_nano, day, until),
        tuple(term._replace(units=share(term.units, day, until)) for term in terms.units),
    )


def begin(terms: Terms, day: dt.date) -> Change:
    """The plan from a day of a month on, where there was none."""
    part = rest_of_month(terms, day)
    return Change(part.price_nano, part.included_nano, 0, _extra_units((), part.units))


def change_plan(
    old: Terms, new: Terms, day: dt.date, unused_nano: int, unused_units: Mapping[UnitKind, int]
) -> Change:
    """The change from one plan to another on a day, for the days from that one on.

    What the new plan costs and includes more is paid and included more. Where it includes less,
    that is taken of what is unused; what of it was used already is taken off what is given back:
    nobody uses up a plan and has its price back. Nothing is ever charged for costing less.
    Of units it is the same, by the part of them that was used.
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
    """Return how many units more of each kind, the new plan's first; below 0: less."""
    more = {term.kind: term.units for term in after}
    for term in before:
        more[term.kind] = more.get(term.kind, 0) - term.units
    return tuple(more.items())
