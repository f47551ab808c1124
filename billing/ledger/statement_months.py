"""The statement of a month in the organisation's time zone (W43).

Monthly data is stored by days of UTC (`statement.py`). A month of another zone begins and ends up
to 14 hours apart: movements in between are added or subtracted.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal
from zoneinfo import ZoneInfo

from accounts.models import Organisation
from billing.ledger.movements import Movement, movement_of
from billing.ledger.statement import LISTED, USAGE, Line, statement
from billing.periods.months import month_span
from billing.periods.period_starts import Span

Group = Literal["topups", "returned", "credits", "usage", "subscriptions", "adjustments"]

GROUPS: Final[dict[str, Group]] = {
    "topup": "topups",
    "refund": "returned",
    "dispute": "returned",
    "reinstate": "returned",
    "opening": "credits",
    "redeem": "credits",
    "lapse": "credits",
    USAGE: "usage",
    "adjust": "adjustments",
    "reverse": "adjustments",
}
"""The group of each kind of line, in the order of a statement."""
SUBSCRIBED: Final[dict[str, Group]] = {
    "subscription": "subscriptions",
    "included": "subscriptions",
}
"""The group of a subscription's lines, by their word."""
WALLET: Final = ("customer:available", "customer:held", "customer:debt")
_CHARGED: Final = ("settle", "expire")
_UTC: Final = ZoneInfo("UTC")


@dataclass(frozen=True)
class MonthStatement:
    """The lines of a month, newest first. Opening + lines = closing, exactly (I19)."""

    month: dt.date
    zone: ZoneInfo
    span: Span
    opening_nano: int
    closing_nano: int
    lines: list[Line]

    def moved(self) -> dict[Group, int]:
        """Return the change of the balance by group. Every group is present; subscriptions only if
        there are any."""
        sums: dict[Group, int] = dict.fromkeys(GROUPS.values(), 0)
        for line in self.lines:
            group = SUBSCRIBED.get(line.word_kind) or GROUPS[line.kind]
            sums[group] = sums.get(group, 0) + line.amount_nano
        return sums


def month_statement(organisation: Organisation, month: dt.date, zone: ZoneInfo) -> MonthStatement:
    """Return the organisation's statement of the month that begins on that day in the zone."""
    span, kept = month_span(month, zone), month_span(month, _UTC)
    base = statement(organisation, month)
    lines = list(base.lines)
    opening_nano, closing_nano = base.opening_nano, base.closing_nano
    for edge, end in (
        (Span(span.start_at, kept.start_at), False),
        (Span(kept.end_at, span.end_at), True),
    ):
        if edge.start_at < edge.end_at:
            part = _part(organisation, edge)
            lines += part
            moved = sum(line.amount_nano for line in part)
        else:
            part = _part(organisation, Span(edge.end_at, edge.start_at))
            lines = _remove_lines(lines, part)
            moved = -sum(line.amount_nano for line in part)
        if end:
            closing_nano += moved
        else:
            opening_nano -= moved
    return MonthStatement(
        month, zone, span, opening_nano, closing_nano, _add_balances(lines, closing_nano)
    )


def wallet_nano(movement: Movement, kinds: Sequence[str] | None = None) -> int:
    """Return how much postings of these kinds, or of all kinds, changed the organisation's
    balance."""
    return sum(
        nano
        for kind, account, _, nano in movement
        if account in WALLET and (kinds is None or kind in kinds)
    )


def _part(organisation: Organisation, span: Span) -> list[Line]:
    """Return the lines of a span shorter than a day of UTC, with its usage as one line."""
    if span.start_at == span.end_at:
        return []
    day = span.start_at.astimezone(dt.UTC).date()
    listed = [
        line
        for line in statement(organisation, day.replace(day=1)).lines
        if line.kind != USAGE and span.start_at <= line.at < span.end_at
    ]
    movement = movement_of(organisation.id, span)
    used_nano = wallet_nano(movement) - wallet_nano(movement, LISTED)
    charges = sum(
        n for kind, account, n, _ in movement if kind in _CHARGED and account == "revenue"
    )
    at = span.end_at - dt.timedelta(microseconds=1)
    usage = [Line(at, USAGE, used_nano, 0, charges)] if charges or used_nano else []
    return [*listed, *usage]


def _remove_lines(lines: Sequence[Line], part: Sequence[Line]) -> list[Line]:
    """Return the lines without those of `part`, which lies in one of their days."""
    gone = {line.id for line in part if line.kind != USAGE}
    used = {line.at.date(): line for line in part if line.kind == USAGE}
    kept = []
    for line in lines:
        if line.kind != USAGE:
            if line.id not in gone:
                kept.append(line)
            continue
        less = used.get(line.at.date())
        if less is not None:
            line = replace(
                line, amount_nano=line.amount_nano - less.amount_nano, count=line.count - less.count
            )
        if line.count or line.amount_nano:
            kept.append(line)
    return kept


def _add_balances(lines: Sequence[Line], closing_nano: int) -> list[Line]:
    balanced, balance_nano = [], closing_nano
    for line in sorted(lines, key=lambda line: line.at, reverse=True):
        balanced.append(replace(line, balance_nano=balance_nano))
        balance_nano -= line.amount_nano
    return balanced
