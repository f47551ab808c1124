"""The lines of a provider's bill: the meaning of the columns, and the values of the cells.

A bill has rows of cells below a row of heads, from CSV or a workbook. A line refers to a request by
the id that was sent with it (`x-client-request-id`), or to a day and a model. It has an amount in
USD.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, NamedTuple
from uuid import UUID

from django.utils.translation import gettext

from billing.currency.money import NANO_PER_USD
from lib.ids import parse_id
from lib.refusal import Refused

Match = Literal["request", "day"]

BILL_BYTES_MAX: Final = 32 * 1024 * 1024
# More than any request costs. A larger amount has lost its decimal point.
_NANO_MAX: Final = 10**9 * NANO_PER_USD
_MODEL_MAX: Final = 200
# Commas that can only separate thousands. `1,234` could be a bit more than 1 as well.
_GROUPED: Final = re.compile(r"-?[1-9][0-9]{0,2}(?:(?:,[0-9]{3})+\.[0-9]+|(?:,[0-9]{3}){2,})")


class BillRefused(Refused):
    """The file is not a bill of this form; the text names row and column."""


class BillLine(NamedTuple):
    """`request_id` is set if lines are matched by request, else `day` and `model` are."""

    request_id: UUID | None
    day: dt.date | None
    model: str
    amount_nano: int


@dataclass(frozen=True, slots=True)
class Columns:
    """The heads of the columns. Those that `match` does not need may be empty."""

    match: Match
    request: str
    day: str
    model: str
    amount: str

    def needed(self) -> dict[str, str]:
        """Return the form field and the head of each needed column."""
        if self.match == "request":
            named = {"request_column": self.request}
        else:
            named = {"day_column": self.day, "model_column": self.model}
        return {**named, "amount_column": self.amount}


def bill_lines(rows: Iterable[Sequence[object]], columns: Columns) -> Iterator[BillLine]:
    """Yield the lines below the heads, without empty rows. Raises BillRefused."""
    numbered = enumerate(rows, 1)
    _, heads = next(numbered, (0, ()))
    places = _places(heads, columns)
    for n, row in numbered:
        if not any(_cell_text(cell) for cell in row):
            continue
        cells = {field: row[at] if at < len(row) else None for field, at in places.items()}
        yield _parse_line(n, cells, columns)


def _places(heads: Sequence[object], columns: Columns) -> dict[str, int]:
    head_names = [_cell_text(head).casefold() for head in heads]
    places = {}
    for field, head in columns.needed().items():
        if head.strip().casefold() not in head_names:
            text = gettext("The file has no column named %(name)s.") % {"name": head}
            raise BillRefused(field, text)
        places[field] = head_names.index(head.strip().casefold())
    return places


def _parse_line(n: int, cells: Mapping[str, object], columns: Columns) -> BillLine:
    amount_nano = _amount(cells["amount_column"])
    if amount_nano is None:
        raise _unreadable(n, columns.amount, cells["amount_column"])
    if columns.match == "request":
        request_id = _id(cells["request_column"])
        if request_id is None:
            raise _unreadable(n, columns.request, cells["request_column"])
        return BillLine(request_id, None, "", amount_nano)
    day, model = _day(cells["day_column"]), _cell_text(cells["model_column"])
    if day is None:
        raise _unreadable(n, columns.day, cells["day_column"])
    if not model or len(model) > _MODEL_MAX or "\0" in model:
        raise _unreadable(n, columns.model, cells["model_column"])
    return BillLine(None, day, model, amount_nano)


def _unreadable(n: int, column: str, cell: object) -> BillRefused:
    text = gettext("Row %(n)s, column %(column)s cannot be read: %(cell)s")
    excerpt = _cell_text(cell)[:60] or gettext("empty")
    return BillRefused("file", text % {"n": n, "column": column, "cell": excerpt})


def _cell_text(cell: object) -> str:
    return "" if cell is None else str(cell).strip()


def _amount(cell: object) -> int | None:
    """Parse an amount as nano USD, rounded half to even. Return None for anything else, also for a
    decimal comma."""
    text = _cell_text(cell).removeprefix("$")
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    try:
        nano = Decimal(text) * NANO_PER_USD
        whole = (
            int(nano.to_integral_value()) if nano.is_finite() and abs(nano) <= _NANO_MAX else None
        )
    except ArithmeticError:
        return None
    return whole


def _id(cell: object) -> UUID | None:
    text = _cell_text(cell)
    parsed_id = parse_id(text)
    if parsed_id is not None:
        return parsed_id
    try:
        return UUID(text)
    except ValueError:
        return None


def _day(cell: object) -> dt.date | None:
    if isinstance(cell, dt.datetime):
        return cell.date()
    if isinstance(cell, dt.date):
        return cell
    try:
        return dt.date.fromisoformat(_cell_text(cell)[:10])
    except ValueError:
        return None
