"""How pages display amounts. Receipts and exports use the exact `format_usd`.

| Amount | Decimals |
| --- | --- |
| a total: a card, a balance, a sum | two |
| the charge of one request or one session | what four significant digits need |
| a price, or a limit such as a budget's | all it has |
| an amount beside its limit | two, or those of a charge if the limit has more than two |

Trailing zeros after the second decimal are dropped, so nothing is "$0.00" everywhere, and $3.00
stays $3.00 beside $0.0375. All charges of a column have the decimals that its rows need
(`charge_places`), with blanks of a digit's width in place of zeros, so that the decimal points line
up. An amount that would round to zero is "<$0.01".
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

Nano = int | Decimal

TOTAL_PLACES: Final = 2
PLACES_MAX: Final = 9
"""The most decimals of an amount: the smallest amount is one nano."""
_DIGIT_BLANK: Final = "\N{FIGURE SPACE}"
_MINUS: Final = "\N{MINUS SIGN}"
_USD_EXPONENT: Final = -9
# The largest charge of a column shows four digits and the smallest two, unless the largest charge
# would then show more than five.
_CHARGE_DIGITS: Final = 4
_SMALLEST_DIGITS: Final = 2
_CHARGE_DIGITS_MAX: Final = 5


def charge_places(charges: Iterable[Nano]) -> int:
    """Return the number of decimals for a column of charges, or for one charge."""
    sizes = [abs(Decimal(charge)) for charge in charges if charge]
    if not sizes:
        return TOTAL_PLACES
    largest, smallest = max(sizes), min(sizes)
    needed = max(_places(largest, _CHARGE_DIGITS), _places(smallest, _SMALLEST_DIGITS))
    return min(needed, max(TOTAL_PLACES, _last_place(largest, _CHARGE_DIGITS_MAX)))


def price_places(prices: Iterable[Nano]) -> int:
    """Return the number of decimals that show each of these prices in full, two at least."""
    return exact_places(f"{Decimal(price).scaleb(_USD_EXPONENT).normalize():f}" for price in prices)


def places_beside(limit_nano: Nano, nano: Nano) -> int:
    """Return the number of decimals for an amount that stands beside its limit."""
    return TOTAL_PLACES if price_places([limit_nano]) == TOTAL_PLACES else charge_places([nano])


def display(nano: Nano, places: int, symbol: str = "$") -> str:
    """Return an amount with at most `places` decimals: grouped, with a true minus before the
    symbol."""
    step = Decimal(1).scaleb(-places)
    usd = abs(Decimal(nano)).scaleb(_USD_EXPONENT).quantize(step, rounding=ROUND_HALF_EVEN)
    sign = _MINUS if nano < 0 else ""
    if nano and not usd:
        return f"{'>' if sign else '<'}{sign}{symbol}{step:f}"
    whole, _, fraction = f"{usd:,f}".partition(".")
    return f"{sign}{symbol}{whole}.{fraction.rstrip('0').ljust(TOTAL_PLACES, '0')}"


def display_in_column(nano: Nano, places: int, symbol: str = "$") -> str:
    """Return an amount for a column with `places` decimals."""
    text = display(nano, places, symbol)
    return text + _DIGIT_BLANK * (places - len(text.partition(".")[2]))


def is_exact(nano: Nano, places: int) -> bool:
    """Return whether `places` decimals show every digit of an amount."""
    scaled = Decimal(nano).scaleb(_USD_EXPONENT + places)
    return scaled == scaled.to_integral_value()


def exact_places(decimals: Iterable[str]) -> int:
    """Return the number of decimals that shows every amount of a column in full."""
    return max([TOTAL_PLACES, *(len(one.partition(".")[2]) for one in decimals)])


def pad(decimal: str, places: int = TOTAL_PLACES) -> str:
    """Pad an exact decimal with zeros to at least `places` decimals."""
    whole, _, fraction = decimal.partition(".")
    return f"{whole}.{fraction.ljust(places, '0')}"


def _places(nano: Nano, digits: int) -> int:
    """Return the number of decimals of a nonzero amount that is rounded to `digits` significant
    digits."""
    usd = abs(Decimal(nano)).scaleb(_USD_EXPONENT)
    last = max(TOTAL_PLACES, _last_place(nano, digits))
    exponent = usd.quantize(Decimal(1).scaleb(-last), rounding=ROUND_HALF_EVEN).normalize()
    return max(TOTAL_PLACES, -int(exponent.as_tuple().exponent))


def _last_place(nano: Nano, digits: int) -> int:
    """Return the decimal place of the last of `digits` significant digits; negative left of the
    point."""
    return digits - 1 - (Decimal(nano).adjusted() + _USD_EXPONENT)
