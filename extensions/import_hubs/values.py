"""Parse values of another hub's rows, which are numbers from a driver and texts from a dump. Each
function parses one kind and raises ValueUnreadable for anything else."""

import datetime as dt
import json
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Final

Row = Mapping[str, object]

_TRUE: Final = frozenset({"t", "true", "1"})
_FALSE: Final = frozenset({"", "f", "false", "0"})
_NOTHING: Final = frozenset({"", "0", "0.0", "f", "false", "{}", "[]", "null", '""', "-1"})
_ARRAY_PART: Final = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^,"{}]+))\s*(,|$)', re.DOTALL)


class ValueUnreadable(ValueError):
    """A value of the wrong kind. The text names the kind but not the value, which may be a
    secret."""


def text(value: object) -> str:
    """Parse a text; null is "". The padding of a fixed-width column is kept."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise ValueUnreadable("expected UTF-8 text") from error
    return str(value)


def integer(value: object) -> int:
    """Parse a whole number; null is 0."""
    number = fraction(value)
    if number.denominator != 1:
        raise ValueUnreadable("expected a whole number")
    return int(number)


def fraction(value: object) -> Fraction:
    """Parse a number exactly; null is 0. A float has the value of its shortest form."""
    if isinstance(value, int | Decimal):
        written = str(int(value)) if isinstance(value, bool) else str(value)
    else:
        written = repr(value) if isinstance(value, float) else text(value).strip()
    if written == "":
        return Fraction(0)
    try:
        number = Decimal(written)
    except InvalidOperation as error:
        raise ValueUnreadable("expected a number") from error
    if not number.is_finite() or abs(number.adjusted()) > 40:
        raise ValueUnreadable("expected a number that fits 64 bits")
    return Fraction(number)


def boolean(value: object) -> bool:
    """Parse a boolean; null is False."""
    written = text(value).strip().lower() if not isinstance(value, bool) else str(value).lower()
    if written in _TRUE or written in _FALSE:
        return written in _TRUE
    raise ValueUnreadable("expected true or false")


def document(value: object) -> Any:
    """Parse JSON, with numbers as Decimal. Null and an empty text are None."""
    if value is None or isinstance(value, dict | list):
        return value
    written = text(value).strip()
    if not written:
        return None
    try:
        return json.loads(written, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ValueUnreadable("expected JSON") from error


def mapping(value: object) -> dict[str, Any]:
    """Parse a JSON object; null is empty."""
    read = document(value)
    if read is None or isinstance(read, dict):
        return read or {}
    raise ValueUnreadable("expected a JSON object")


def texts(value: object) -> tuple[str, ...]:
    """Parse an array of texts, as a list from a driver or as Postgres writes it: `{a,"b c"}`."""
    if value is None:
        return ()
    if isinstance(value, list | tuple):
        return tuple(map(text, value))
    written = text(value).strip()
    if not (written.startswith("{") and written.endswith("}")):
        raise ValueUnreadable("expected an array")
    inner, at, parts = written[1:-1], 0, []
    while at < len(inner):
        match = _ARRAY_PART.match(inner, at)
        if match is None:
            raise ValueUnreadable("expected an array")
        quoted, plain, _ = match.groups()
        parts.append(plain.strip() if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        at = match.end()
    return tuple(parts)


def instant(value: object) -> dt.datetime | None:
    """Parse a time: seconds since 1970, or ISO 8601, which is UTC without a zone. Null is None."""
    if value is None or text(value).strip() == "":
        return None
    if isinstance(value, dt.datetime):
        return value if value.tzinfo else value.replace(tzinfo=dt.UTC)
    written = text(value).strip()
    try:
        if re.fullmatch(r"-?[0-9]{1,11}", written):
            return dt.datetime.fromtimestamp(int(written), dt.UTC)
        read = dt.datetime.fromisoformat(written)
    except (ValueError, OverflowError, OSError) as error:
        raise ValueUnreadable("expected a time") from error
    return read if read.tzinfo else read.replace(tzinfo=dt.UTC)


def is_nothing(value: object) -> bool:
    """Return whether a value is empty: null, an empty text, zero, false, or a JSON value that
    contains only these."""
    if value is None or value == [] or value == {}:
        return True
    if isinstance(value, list | dict):
        return all(map(is_nothing, value.values() if isinstance(value, dict) else value))
    written = text(value).strip().lower()
    if written in _NOTHING:
        return True
    if written.startswith(("{", "[")):
        try:
            return is_nothing(document(written))
        except ValueUnreadable:
            return False
    return False


def unstorable(row: Row) -> str:
    """Return the first column whose text our database cannot store, or ""."""
    for column, value in row.items():
        if isinstance(value, str) and ("\x00" in value or _lone_surrogate(value)):
            return column
    return ""


def _lone_surrogate(written: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in written)


def _no_number(_: str) -> None:
    raise ValueError("not a number")
