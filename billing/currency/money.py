"""Read and write USD as integer nano (10⁻⁹ USD). `display.py` formats amounts for pages.

Inside, money is an int64 of nano; outside it is a decimal string. A float is never accepted. A
charge is rounded once, half-even.
"""

import re
from typing import Final

NANO_PER_USD: Final = 1_000_000_000
INT64_MAX: Final = 2**63 - 1
INT64_MIN: Final = -(2**63)

_FRACTION_DIGITS: Final = 9
_MULTIPLIER_DIGITS: Final = 6
_MULTIPLIER_PPM_MAX: Final = 1_000_000_000
_PPM: Final = 1_000_000
_MARKUP_DIGITS: Final = 4
_DECIMAL: Final = re.compile(r"(-?)([0-9]{1,40})(?:\.([0-9]{1,40}))?")
# A comma may only separate thousands. "12,50" is refused: in some countries it means 12.50.
_GROUPED: Final = re.compile(r"-?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?")


class MoneyInvalid(ValueError):
    """The text is not an exact amount. `expected` describes the valid form."""

    def __init__(self, got: object, expected: str) -> None:
        super().__init__(f"{got!r} is not an amount: expected {expected}")
        self.got = got
        self.expected = expected


class MoneyTooLarge(MoneyInvalid):
    """The amount is larger than an account can hold."""


def round_half_even(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded to the nearest integer, ties to even. The denominator
    is above 0."""
    quotient, remainder = divmod(numerator, denominator)
    twice = remainder * 2
    if twice > denominator or (twice == denominator and quotient & 1):
        return quotient + 1
    return quotient


def parse_scaled(text: str, fraction_digits: int) -> int:
    """Return a decimal text times 10^fraction_digits, exactly, within int64.

    Raises MoneyInvalid unless the text is a plain decimal that the scale holds exactly and that
    fits int64. Exponents, grouping, a plus and spaces are refused.
    """
    if not isinstance(text, str):
        raise MoneyInvalid(text, 'a decimal string such as "12.50", not a number')
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise MoneyInvalid(text, 'a plain decimal such as "12.50"')
    sign, whole, fraction = match.group(1), match.group(2), (match.group(3) or "").rstrip("0")
    if len(fraction) > fraction_digits:
        raise MoneyInvalid(text, f"at most {fraction_digits} digits after the point")
    scaled = int(whole + fraction.ljust(fraction_digits, "0"))
    if sign:
        scaled = -scaled
    if not INT64_MIN <= scaled <= INT64_MAX:
        raise MoneyTooLarge(text, "an amount that fits 64 bits")
    return scaled


def format_scaled(scaled: int, fraction_digits: int) -> str:
    """Return scaled / 10^fraction_digits as an exact decimal: no trailing zeros, ASCII minus."""
    whole, fraction = divmod(abs(scaled), 10**fraction_digits)
    tail = str(fraction).rjust(fraction_digits, "0").rstrip("0")
    sign = "-" if scaled < 0 else ""
    return f"{sign}{whole}.{tail}" if tail else f"{sign}{whole}"


def parse_usd(text: str) -> int:
    """Return a decimal string of USD as nano, exactly ("0.0045898" is 4_589_800).

    Raises MoneyInvalid, which says what was expected, also for more than nine significant decimals.
    """
    return parse_scaled(text, _FRACTION_DIGITS)


def parse_typed_usd(text: str) -> int:
    """Return an amount that a person typed as nano. In addition to what `parse_usd` accepts, a
    dollar sign may come first and commas may separate thousands ("$1,250.50"). A comma anywhere
    else is refused, never skipped."""
    text = text.strip().removeprefix("$")
    return parse_usd(text.replace(",", "") if _GROUPED.fullmatch(text) else text)


def format_usd(nano: int) -> str:
    """Return nano as an exact decimal string of USD, for receipts, exports and the API.

    No rounding, no grouping, ASCII minus. Amounts have at least two decimals ("100.00",
    "0.0045898"). `parse_usd` gives the same nano back.
    """
    whole, fraction = divmod(abs(nano), NANO_PER_USD)
    tail = f"{fraction:09d}".rstrip("0").ljust(2, "0")
    return f"-{whole}.{tail}" if nano < 0 else f"{whole}.{tail}"


def parse_multiplier(text: str) -> int:
    """Return a plan's multiplier ("1.07") in parts per million. Raises MoneyInvalid."""
    ppm = parse_scaled(text, _MULTIPLIER_DIGITS)
    if not 0 <= ppm <= _MULTIPLIER_PPM_MAX:
        raise MoneyInvalid(text, 'a multiplier from 0 to 1000, such as "1.07"')
    return ppm


def format_multiplier(ppm: int) -> str:
    """Return parts per million as a multiplier; the inverse of `parse_multiplier`."""
    return format_scaled(ppm, _MULTIPLIER_DIGITS)


def parse_markup(text: str) -> int:
    """Return a markup in percent that a person typed ("7", "+7.5 %", "-10") as a multiplier in
    parts per million. Raises MoneyInvalid."""
    plain = text.strip().removesuffix("%").rstrip().replace("\N{MINUS SIGN}", "-").removeprefix("+")
    ppm = _PPM + parse_scaled(plain, _MARKUP_DIGITS)
    if not 0 <= ppm <= _MULTIPLIER_PPM_MAX:
        raise MoneyInvalid(text, "a percentage from -100 to 99900")
    return ppm


def format_markup(ppm: int) -> str:
    """Return the percent that a multiplier adds; the inverse of `parse_markup`."""
    return format_scaled(ppm - _PPM, _MARKUP_DIGITS)


def format_price(scaled: int, fraction_digits: int) -> str:
    """Return `format_scaled` with at least two decimals ("0.10", "0.075")."""
    whole, _, fraction = format_scaled(scaled, fraction_digits).partition(".")
    return f"{whole}.{fraction.ljust(2, '0')}"
