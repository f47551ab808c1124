"""What a subscription plan costs and includes in a month, and in a part of one.

A period is a calendar month of the subscription's zone; the month is paid at its beginning. Parts
of a month are whole days: the day on which something begins counts to what begins. A part is the
difference of two sums from the first of the month on, each rounded down to the nano. So the parts
of a month come to the whole amount, however it is cut.
"""

import datetime as dt
from typing import Final, NamedTuple

from billing.rules.invoice import month_after

GRACE: Final = dt.timedelta(days=7)
"""How long a renewal that the balance does not cover is tried again before the subscription ends.
Nothing is included meanwhile."""


class Terms(NamedTuple):
    """What a month of a plan costs, and how much usage it includes; both 0 or more."""

    price_nano: int
    included_nano: int


class Change(NamedTuple):
    """What a change of plan does: `charge_nano` is paid (below 0: given back), `grant_nano` is
    included in addition, `taken_nano` is included no more. One of the last two is 0."""

    charge_nano: int
    grant_nano: int
    taken_nano: int


def first_of_month(day: dt.date) -> dt.date:
    return day.replace(day=1)


def days_of_month(day: dt.date) -> int:
    """How many days the month of a day has in the calendar."""
    first = first_of_month(day)
    return (month_after(first) - first).days


def days_left(day: dt.date) -> int:
    """How many days its month has from a day on, that day among them."""
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
    return Terms(share(terms.price_nano, day, until), share(terms.included_nano, day, until))


def change_plan(old: Terms, new: Terms, day: dt.date, unused_nano: int) -> Change:
    """The change from one plan to another on a day, for the days from that one on.

    What the new plan costs and includes more is paid and included more. Where it includes less,
    that is taken of what is unused; what of it was used already is taken off what is given back:
    nobody uses up a plan and has its price back. Nothing is ever charged for costing less.
    """
    before, after = rest_of_month(old, day), rest_of_month(new, day)
    price_nano = after.price_nano - before.price_nano
    more_nano = after.included_nano - before.included_nano
    if more_nano >= 0:
        return Change(price_nano, more_nano, 0)
    taken_nano = min(-more_nano, max(unused_nano, 0))
    if price_nano >= 0:
        return Change(price_nano, 0, taken_nano)
    used_nano = -more_nano - taken_nano
    return Change(min(price_nano + used_nano, 0), 0, taken_nano)
