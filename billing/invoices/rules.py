"""An invoice: a month in an organisation's time zone, its lines, its taxes, its total.

An invoice is made from the ledger's movements in its period. The database's clock when a charge was
posted decides its period. Usage that was admitted before the period and posted in it is late: it
has lines of its own that name its month. So have corrections of usage that was posted before.

The amount of a usage line is quantity x rate, rounded to the nano. Requests are charged one by one,
each rounded to the nano and never above its hold. Fees for an organisation's own keys, and answers
that were served from the cache, have no quantities: lines of their own add up their charges. For
each project or team, the difference between the charges and these lines is a line, the `remainder`.
The total is rounded once, half-even, to the minor unit of the currency; this difference is a line,
too. So the total is the sum of the lines (I19).
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from billing.currency.money import NANO_PER_USD, format_scaled, round_half_even

LineKind = Literal[
    "usage",
    "own_key",
    "cached",
    "remainder",
    "correction",
    "subscription",
    "credit",
    "included",
    "note",
    "tax",
    "rounding",
]

SETTLED_LINES: Final[tuple[LineKind, ...]] = ("usage", "own_key", "cached", "remainder")
"""The kinds whose sum is what requests were charged at their end."""
PPM: Final = 1_000_000
MINOR_NANO: Final = NANO_PER_USD // 100
_LINE_DENOMINATOR: Final = 10**12


@dataclass(frozen=True, slots=True)
class Line:
    """One line. What belongs to a project has its label as `project`, what belongs to none the name
    of its team as `team`.

    `rate_nano_per_million` is the list rate of `meter`, before the plan's `multiplier_ppm`.
    `rate_ppm` is the rate of a tax line. `origin` is the first day of the month of late usage and
    corrections, and None for the invoice's own month. `text` describes a tax, a note or a
    subscription line.
    """

    kind: LineKind
    amount_nano: int
    project: str = ""
    team: str = ""
    model: str = ""
    meter: str = ""
    rate_nano_per_million: int = 0
    multiplier_ppm: int = PPM
    quantity: int = 0
    origin: dt.date | None = None
    rate_ppm: int = 0
    text: str = ""


class Charge(NamedTuple):
    """What the requests of a project, or else of a team, were charged. `origin` as in a line."""

    project: str
    team: str
    origin: dt.date | None
    amount_nano: int


PAYMENT_DAYS: Final = 14
"""The days within which an invoice that the balance does not cover must be paid."""


class Tax(NamedTuple):
    """A tax on an invoice. With reverse charge the buyer owes the tax: nothing is charged, and the
    name says so."""

    name: str
    rate_ppm: int


class TaxRow(NamedTuple):
    """A row of the operator's tax table. `country` is "" for all countries without rows of their
    own."""

    name: str
    country: str
    rate_ppm: int
    valid_from: dt.date
    reverse_charge_text: str = ""


class Totals(NamedTuple):
    """net + tax + rounding = total, all in nano; the total is whole minor units."""

    net_nano: int
    tax_nano: int
    rounding_nano: int
    total_nano: int


def usage_amount(quantity: int, rate_nano_per_million: int, multiplier_ppm: int) -> int:
    """Return quantity x rate x multiplier in nano, rounded once."""
    return round_half_even(quantity * rate_nano_per_million * multiplier_ppm, _LINE_DENOMINATOR)


def usage_lines(
    lines: Iterable[Line], charges: Iterable[Charge], unpriced: Iterable[Line] = ()
) -> list[Line]:
    """Return the usage lines with their amounts in the order of an invoice. Equal lines are added
    up. The lines of `unpriced` charges, which have an amount and no quantity, follow them. The last
    lines are the parts of the charges that the other lines do not cover."""
    quantities: dict[Line, int] = {}
    for line in lines:
        head = _strip_quantity(line)
        quantities[head] = quantities.get(head, 0) + line.quantity
    usage = [_priced_line(head, quantity) for head, quantity in quantities.items() if quantity]
    amounts: Counter[Line] = Counter()
    for line in unpriced:
        amounts[replace(line, amount_nano=0)] += line.amount_nano
    whole = [replace(head, amount_nano=nano) for head, nano in amounts.items()]
    left: Counter[tuple[str, str, dt.date | None]] = Counter()
    for project, team, origin, nano in charges:
        left[project, team, origin] += nano
    for line in (*usage, *whole):
        left[line.project, line.team, line.origin] -= line.amount_nano
    remainders = [
        Line("remainder", nano, project, team, origin=origin)
        for (project, team, origin), nano in left.items()
        if nano
    ]
    return [
        *sorted(usage, key=_order),
        *sorted(whole, key=lambda line: (SETTLED_LINES.index(line.kind), *_order(line))),
        *sorted(remainders, key=_order),
    ]


def taxes_of(
    rows: Iterable[TaxRow], country: str, has_tax_id: bool, last_day: dt.date
) -> list[Tax]:
    """Return the taxes for a buyer in a country: for each name, the latest row that is valid on
    `last_day`. If the country has no rows, the rows for all other countries apply.

    A tax with a reverse-charge text is not charged to a buyer who has a tax ID.
    """
    valid = [row for row in rows if row.valid_from <= last_day]
    own = [row for row in valid if row.country and row.country == country]
    latest: dict[str, TaxRow] = {}
    for row in sorted(own or [row for row in valid if not row.country], key=lambda r: r.valid_from):
        latest[row.name] = row
    return [
        Tax(f"{row.name}: {row.reverse_charge_text}", 0)
        if row.reverse_charge_text and has_tax_id
        else Tax(row.name, row.rate_ppm)
        for row in sorted(latest.values(), key=lambda r: r.name)
    ]


def add_totals(lines: Sequence[Line], taxes: Sequence[Tax]) -> tuple[list[Line], Totals]:
    """Return all lines of an invoice with taxes and rounding at the end, and the totals."""
    net_nano = sum(line.amount_nano for line in lines)
    tax_lines = [
        Line(
            "tax",
            round_half_even(net_nano * tax.rate_ppm, PPM),
            rate_ppm=tax.rate_ppm,
            text=tax.name,
        )
        for tax in taxes
    ]
    tax_nano = sum(line.amount_nano for line in tax_lines)
    exact_nano = net_nano + tax_nano
    total_nano = round_half_even(exact_nano, MINOR_NANO) * MINOR_NANO
    rounding_nano = total_nano - exact_nano
    rounding = [Line("rounding", rounding_nano)] if rounding_nano else []
    return [*lines, *tax_lines, *rounding], Totals(net_nano, tax_nano, rounding_nano, total_nano)


def covered_nano(total_nano: int, owed_nano: int, due_nano: int) -> int:
    """Return the paid part of a document's total. The organisation owes `owed_nano` in all;
    `due_nano` of it belongs to other documents. What is left to pay is rounded up to the minor
    unit, because nobody can pay a smaller amount."""
    left_nano = -(max(owed_nano - due_nano, 0) // -MINOR_NANO) * MINOR_NANO
    return total_nano - min(left_nano, total_nano)


def paid_part_nano(left_nano: int, came_nano: int) -> int:
    """Return how much of an unpaid amount is paid by money that came in: all of it, or a part in
    whole minor units, so that the rest is an amount that somebody can pay."""
    if came_nano >= left_nano:
        return left_nano
    return max(came_nano // MINOR_NANO * MINOR_NANO, 0)


def percent_text(rate_ppm: int) -> str:
    """Return parts per million as a percentage ("19", "8.1")."""
    return format_scaled(rate_ppm, 4)


def format_document_number(series: str, year: int, count: int) -> str:
    """Return a document number such as ``INV-2026-0117``."""
    return f"{series}-{year}-{count:04d}"


def _strip_quantity(line: Line) -> Line:
    return Line(
        kind="usage",
        amount_nano=0,
        project=line.project,
        team=line.team,
        model=line.model,
        meter=line.meter,
        rate_nano_per_million=line.rate_nano_per_million,
        multiplier_ppm=line.multiplier_ppm,
        quantity=0,
        origin=line.origin,
    )


def _priced_line(head: Line, quantity: int) -> Line:
    amount_nano = usage_amount(quantity, head.rate_nano_per_million, head.multiplier_ppm)
    return Line(
        kind="usage",
        amount_nano=amount_nano,
        project=head.project,
        team=head.team,
        model=head.model,
        meter=head.meter,
        rate_nano_per_million=head.rate_nano_per_million,
        multiplier_ppm=head.multiplier_ppm,
        quantity=quantity,
        origin=head.origin,
    )


def _order(line: Line) -> tuple[object, ...]:
    return (
        line.origin or dt.date.max,
        line.project,
        line.team,
        line.model,
        line.meter,
        line.rate_nano_per_million,
        line.multiplier_ppm,
    )
