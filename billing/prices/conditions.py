"""The key of a price, and its conditions besides dates: the service tier of a request, the hour of
the day, and the region in which the provider serves it. All are decided at admission (I11), and the
record refers to the price version that was charged, so a recomputation decides nothing again."""

import re
from typing import Final, NamedTuple

from dialects.usage.price_conditions import KINDS, TIER, condition_word

SECONDS_PER_DAY: Final = 86_400

_HOURS: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")
_PLAIN_TIERS: Final = KINDS[TIER].plain
_TIER: Final = re.compile(r"[a-z0-9_-]{1,40}")


class ConditionInvalid(ValueError):
    """The condition cannot be read; the text says what was expected."""


class PriceKey(NamedTuple):
    """The key of a price. `channel` is a channel's name, not for charges ("" = any). An empty
    `service_tier` is the plain tier; empty `hours` are the whole day; an empty `region` is any that
    has no price of its own."""

    model: str
    kind: str = "charge"
    channel: str = ""
    service_tier: str = ""
    hours: str = ""
    region: str = ""

    @property
    def unconditional(self) -> bool:
        """Return whether the price has no service tier, no hours and no region."""
        return not self.service_tier and not self.hours and not self.region

    def __str__(self) -> str:
        return " ".join(part for part in self if part and part != "charge")


class Hours(NamedTuple):
    """A span of every day in UTC, in seconds from midnight. The end is exclusive and may be on the
    next day. A span with equal ends is invalid."""

    start_s: int
    end_s: int

    def hold_at(self, second_of_day: int) -> bool:
        """Return whether the span holds at a second of the day (0 to 86,399, UTC)."""
        if self.start_s < self.end_s:
            return self.start_s <= second_of_day < self.end_s
        return second_of_day >= self.start_s or second_of_day < self.end_s

    def overlap(self, other: "Hours") -> bool:
        """Return whether two spans have an instant in common."""
        return self.hold_at(other.start_s) or other.hold_at(self.start_s)


def read_hours(text: str) -> Hours | None:
    """Return `16:30-00:30` as a span of the day in UTC; None for "", the whole day.

    Raises ConditionInvalid.
    """
    if not text:
        return None
    match = _HOURS.fullmatch(text)
    if match is None:
        raise ConditionInvalid(f'expected hours in UTC such as "16:30-00:30", got {text!r}')
    first, first_minute, last, last_minute = map(int, match.groups())
    hours = Hours(first * 3600 + first_minute * 60, last * 3600 + last_minute * 60)
    if hours.start_s == hours.end_s:
        raise ConditionInvalid("hours that begin where they end: leave them out for the whole day")
    return hours


def tier_name(word: str | None) -> str:
    """Return the service tier that a request or an answer names; "" for the plain tier and for a
    text that cannot be a tier's name."""
    name = condition_word(word or "")
    return "" if name in _PLAIN_TIERS or not _TIER.fullmatch(name) else name
