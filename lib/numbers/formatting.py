"""Format numbers for pages: exact integer arithmetic, no locale, no clock. Money is formatted in
billing, beside the prices."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

MINUS = "\N{MINUS SIGN}"
MISSING = "\N{EN DASH}"
# Over a shorter time, tokens per second measure how the answer was packed, not its speed.
SPEED_FROM_MS = 100


def group_digits(number: int) -> str:
    """Format a count in full: ``1204331`` -> ``1,204,331``, with a true minus sign."""
    return f"{number:,}".replace("-", MINUS)


Units = tuple[tuple[int, str], ...]
THOUSANDS: Final[Units] = ((10**3, "K"), (10**6, "M"), (10**9, "B"), (10**12, "T"))
MYRIADS: Final[Units] = ((10**4, "万"), (10**8, "亿"), (10**12, "万亿"))
"""The units of short numbers in English and in Chinese, the smallest first."""


def units_of(language: str | None) -> Units:
    """Return the units in which a language shortens numbers."""
    return MYRIADS if (language or "").startswith("zh") else THOUSANDS


def compact(number: int, units: Units = THOUSANDS) -> str:
    """Format a count for a card with three significant digits, or with four before 万 and 亿.

    ``1920000000`` -> ``1.92 B``, ``19.2 亿``. Counts below 10,000 are exact, so that they can
    be compared with their rows.
    """
    size = abs(number)
    if size < 10_000:
        return group_digits(number)
    sign = MINUS if number < 0 else ""
    for (unit, word), larger in zip(units, (*units[1:], None), strict=True):
        text = _three_digits(Decimal(size) / unit)
        # 999,950 would read "1000 K", so the next unit is used.
        if larger is None or Decimal(text) * unit < larger[0]:
            return f"{sign}{text} {word}"
    raise AssertionError("the last unit always returns")


def _three_digits(value: Decimal) -> str:
    places = 2 if value < 10 else 1 if value < 100 else 0
    text = str(value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN))
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration(milliseconds: int) -> tuple[tuple[str, str], ...]:
    """Return a duration as (figure, unit) pairs with the units ``ms``, ``s``, ``min``. Below 1 s
    whole milliseconds; below 60 s seconds with two decimals; else minutes and seconds, without the
    seconds of a whole minute.
    """
    if milliseconds < 1000:
        return ((str(milliseconds), "ms"),)
    seconds = (Decimal(milliseconds) / 1000).quantize(Decimal("0.01"), rounding=ROUND_HALF_EVEN)
    if seconds < 60:
        return ((str(seconds), "s"),)
    minutes, rest = divmod((milliseconds + 500) // 1000, 60)
    whole = ((str(minutes), "min"),)
    return (*whole, (str(rest), "s")) if rest else whole


def percent(part: int, whole: int) -> str:
    """Format a share with one decimal: ``0.4%``; never rounded to 0% or 100%."""
    if whole == 0:
        return MISSING
    share = (Decimal(part) * 100 / whole).quantize(Decimal("0.1"), rounding=ROUND_HALF_EVEN)
    if part and not share:
        return "<0.1%"
    if part != whole and share == 100:
        return ">99.9%"
    return f"{share}%" if share not in (0, 100) else f"{int(share)}%"


def change(now: int, before: int) -> tuple[str, str]:
    """Return how a figure changed since the compared period, as (direction, text). The direction is
    ``up``, ``down``, ``same``, ``new`` (from zero) or ``none`` (both zero)."""
    if before == 0:
        return ("none", MISSING) if now == 0 else ("new", "")
    if now == before:
        return ("same", "0%")
    return ("up" if now > before else "down", percent(abs(now - before), abs(before)))


def data_size(octets: int) -> str:
    """Format bytes in decimal units: ``4200000`` -> ``4.2 MB``."""
    if octets < 1000:
        return f"{octets} B"
    value = Decimal(octets)
    units = iter(("kB", "MB", "GB", "TB"))
    unit = ""
    while value >= 1000 and (larger := next(units, "")):
        value, unit = value / 1000, larger
    return f"{value.quantize(Decimal('0.1'), rounding=ROUND_HALF_EVEN)} {unit}".replace(".0 ", " ")


def cut_id(text: str) -> str:
    """Shorten a long id in the middle, for tables: ``01JCX…4H7Q``."""
    return text if len(text) <= 12 else f"{text[:5]}\N{HORIZONTAL ELLIPSIS}{text[-4:]}"


def spark_points(values: list[int]) -> str:
    """Return the ``points`` of an SVG polyline for a sparkline of 80 by 24 units, oldest first."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    span = (high - low) or 1
    # A margin of one unit above and below keeps the line's ends inside the box.
    return " ".join(
        f"{_tenth(index * 80, len(values) - 1)},{_tenth((high - value) * 22 + span, span)}"
        for index, value in enumerate(values)
    )


def _tenth(numerator: int, denominator: int) -> str:
    return str((Decimal(numerator) / denominator).quantize(Decimal("0.1")))
