"""Pages by keyset: a page continues after a row, not after a number of rows, so that rows which
arrive in the meantime never appear twice.

A list is ordered by some paths and, last, by one that is unique. A boundary is a row's values on
those paths; the page after it has the rows that come strictly later. Rows without a value come last
in either direction. The rules are pure, except for the three forms of a condition: a comparison of
Python values, Django's `Q`, and SQL.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from django.core import signing
from django.db.models import F, Model, Q
from django.db.models.expressions import OrderBy
from django.utils.functional import Promise

Values = tuple[Any, ...]
Path = str | Callable[[Any], Any]

_TAGS: Final[dict[str, tuple[type, Callable[[Any], str], Callable[[str], Any]]]] = {
    "t": (dt.datetime, dt.datetime.isoformat, dt.datetime.fromisoformat),
    "d": (dt.date, dt.date.isoformat, dt.date.fromisoformat),
    "u": (uuid.UUID, str, uuid.UUID),
    "n": (Decimal, str, Decimal),
}


class BadCursor(ValueError):
    """The cursor was not issued by this list in this order."""


@dataclass(frozen=True)
class Order:
    """A path to sort by: attributes and keys separated by `__`, or a function of the row."""

    path: Path
    descending: bool = False


def value_at(row: Any, path: Path) -> Any:
    """Return the value of a row at a path. Return None when a part of it is None or missing from a
    mapping."""
    if not isinstance(path, str):
        return path(row)
    for part in path.replace(".", "__").split("__"):
        row = row.get(part) if isinstance(row, dict) else getattr(row, part)
        if row is None:
            return None
    return row


def reader_at(path: Path) -> Callable[[Any], Any]:
    """Return `value_at` of one path, for many rows."""
    if not isinstance(path, str) or "." in path or "__" in path:
        return lambda row: value_at(row, path)
    return lambda row: row.get(path) if isinstance(row, dict) else getattr(row, path)


def boundary_of(row: Any, orders: Sequence[Order]) -> Values:
    """Return a row's values on the sort paths; a page can continue after them."""
    return tuple(_sort_value(row, order.path) for order in orders)


def _sort_value(row: Any, path: Path) -> Any:
    value = value_at(row, path)
    # A word in the reader's language, such as a status.
    return str(value) if isinstance(value, Promise) else value


def encode_cursor(values: Values, context: str) -> str:
    """Return a boundary as a text for an address. It is signed together with its list and order, so
    that a cursor of another list or order is refused instead of being compared with values of
    another kind.
    """
    return _signer(context).sign_object([_tag_value(value) for value in values], compress=False)


def decode_cursor(text: str, context: str) -> Values:
    """The inverse of `encode_cursor`. Raises BadCursor."""
    try:
        return tuple(_untag_value(value) for value in _signer(context).unsign_object(text))
    except (signing.BadSignature, ValueError) as error:
        raise BadCursor from error


def _signer(context: str) -> signing.Signer:
    return signing.Signer(salt=f"cursor:{context}")


def _tag_value(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    for tag, (kind, write, _) in _TAGS.items():
        if isinstance(value, kind):
            return {tag: write(value)}
    raise TypeError(f"no list is sorted by a {type(value).__name__}")


def _untag_value(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((tag, text),) = value.items()
    return _TAGS[tag][2](text)


def compare(left: Values, right: Values, orders: Sequence[Order]) -> int:
    """Compare rows: below 0 if `left` comes before `right`, 0 if they are equal."""
    for one, other, order in zip(left, right, orders, strict=True):
        if one == other:
            continue
        if one is None or other is None:
            return 1 if one is None else -1
        smaller = _fold_value(one) < _fold_value(other)
        return -1 if smaller != order.descending else 1
    return 0


def sort_key(order: Order) -> Callable[[Any], Any]:
    """Return the sort key of rows for one path, `reverse` for descending order. It orders as
    `compare` does."""

    def key(row: Any) -> Any:
        value = _sort_value(row, order.path)
        # Rows without a value come last in either direction.
        return (value is not None) == order.descending, value is not None and _fold_value(value)

    return key


def _fold_value(value: Any) -> Any:
    # "alpha" and "Alpha" sort together; texts that differ only in case still have an order.
    return (value.casefold(), value) if isinstance(value, str) else value


def condition(
    model: type[Model], orders: Sequence[Order], values: Values, *, backwards: bool = False
) -> Q:
    """Return the condition for the rows strictly after a boundary, or strictly before it."""
    rest = Q()
    for order, value in reversed(list(zip(orders, values, strict=True))):
        path = _name(order)
        beyond = _beyond_query(
            path, value, order.descending != backwards, backwards, _null(model, path)
        )
        same = Q(**{f"{path}__isnull": True}) if value is None else Q(**{path: value})
        rest = beyond | (same & rest) if rest else beyond
    first = _name(orders[0])
    if values[0] is not None and not _null(model, first):
        # The index is used for this part; the rest of the condition filters the result.
        sign = "lte" if orders[0].descending != backwards else "gte"
        rest &= Q(**{f"{first}__{sign}": values[0]})
    return rest


def _beyond_query(path: str, value: Any, smaller: bool, backwards: bool, null: bool) -> Q:
    if value is None:
        return Q(**{f"{path}__isnull": False}) if backwards else Q(pk__in=())
    query = Q(**{f"{path}__{'lt' if smaller else 'gt'}": value})
    return query | Q(**{f"{path}__isnull": True}) if null and not backwards else query


def ordering(
    model: type[Model], orders: Sequence[Order], *, backwards: bool = False
) -> list[OrderBy]:
    """Return the ordering of a query that matches `condition`."""
    return [
        OrderBy(
            F(_name(order)),
            descending=order.descending != backwards,
            # Add the clause only if necessary, because an index without it would not be used.
            nulls_first=(backwards or None) if _null(model, _name(order)) else None,
            nulls_last=(not backwards or None) if _null(model, _name(order)) else None,
        )
        for order in orders
    ]


def condition_text(
    orders: Sequence[Order], values: Values, *, backwards: bool = False
) -> tuple[str, dict[str, Any]]:
    """Return `condition` as SQL over columns that are never null, and its parameters."""
    text = "false"
    for n, order in reversed(list(enumerate(orders))):
        sign = "<" if order.descending != backwards else ">"
        name, edge = _name(order), f"%(edge_{n})s"
        text = f"({name} {sign} {edge} OR ({name} = {edge} AND {text}))"
    return text, {f"edge_{n}": value for n, value in enumerate(values)}


def ordering_text(orders: Sequence[Order], *, backwards: bool = False) -> str:
    """Return `ordering` as SQL that matches `condition_text`."""
    return ", ".join(
        f"{_name(order)} {'DESC' if order.descending != backwards else 'ASC'}" for order in orders
    )


def _name(order: Order) -> str:
    if not isinstance(order.path, str):
        raise TypeError("a query is sorted by its columns, not by a function")
    return order.path


def _null(model: type[Model], path: str) -> bool:
    """Return whether the path may be null; always true for a path through other objects, or a
    computed one.
    """
    if path == "pk":
        return False
    names = {field.name: field for field in model._meta.concrete_fields}
    return bool(names[path].null) if path in names else True
