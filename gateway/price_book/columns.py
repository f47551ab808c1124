"""The columns that every list of prices has for rates, and their cells."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing.prices.meters import FALLBACKS
from billing.prices.words import RateDisplay
from lib.numbers.formatting import group_digits
from lib.tables.keyset import Path
from lib.tables.table import Column

_MAIN: Final = {"input": "in_text", "cached_input": "in_cache_read", "output": "out_text"}
_UNIT: Final = _("per 1M")
_HINT: Final = _("USD per 1 million tokens")


def price_cells(rates: Iterable[RateDisplay]) -> dict[str, Any]:
    """Return a row's cells for these columns. `first` is the price of a model without token prices.
    A meter without a rate shows the rate of its fallback."""
    rates = list(rates)
    main = {name: _main_rate(rates, meter) for name, meter in _MAIN.items()}
    priced = any(main.values())
    return {
        **{name: rate and nano_of(rate) for name, rate in main.items()},
        "rates": rates,
        "first": rates[0].text if rates and not priced else "",
    }


def linked_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of one page with their cells and the address of each model."""
    return [{**row, "href": _model_href(row["model"])} for row in add_cells(rows)]


def add_cells(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of one page with their cells."""
    return [{**row, **_cells_of(row)} for row in rows]


def _cells_of(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the cells of a row's `entry` in a price book, if it has one. They are computed on
    access, because a list may have thousands of rows and a page shows few of them."""
    return row["entry"].cells if row["entry"] else price_cells(())


def _cell(name: str) -> Path:
    return lambda row: _cells_of(row)[name]


def _model_href(name: str) -> str:
    """Return the address of a model. A name with a line break, which `apply` accepts, has none."""
    return "" if "\n" in name else reverse("model", args=[name])


def nano_of(rate: RateDisplay) -> Decimal:
    """Return a rate per million units in nano, exactly."""
    return Decimal(rate.rate * rate.multiplier_ppm).scaleb(-6)


def _other_rates(row: Mapping[str, Any]) -> str:
    """Return the rates of a row without a column as text, including tiers."""
    rates: list[RateDisplay] = row["rates"]
    main = {rate.meter for meter in _MAIN.values() if (rate := _main_rate(rates, meter))}
    return " · ".join(_rate_text(rate) for rate in rates if rate.mode or rate.meter not in main)


def _main_rate(rates: Iterable[RateDisplay], meter: str) -> RateDisplay | None:
    plain_rates = {rate.meter: rate for rate in rates if not rate.mode}
    return plain_rates.get(meter) or plain_rates.get(FALLBACKS.get(meter, ""))


def _rate_text(rate: RateDisplay) -> str:
    if not rate.mode:
        return f"{rate.name} {rate.text}"
    above = gettext("above %(n)s") % {"n": group_digits(rate.input_over or 0)}
    marginal = gettext("(only tokens above)") if rate.mode == "marginal" else ""
    return " ".join(filter(None, (rate.name, above, marginal, rate.text)))


PRICE_COLUMNS: Final = (
    Column("input", _("Input"), "price", sort=_cell("input"), card="money", unit=_UNIT, hint=_HINT),
    Column(
        "cached_input",
        _("Cached input"),
        "price",
        sort=_cell("cached_input"),
        priority=2,
        unit=_UNIT,
        hint=_HINT,
    ),
    Column(
        "output", _("Output"), "price", sort=_cell("output"), priority=2, unit=_UNIT, hint=_HINT
    ),
    Column("others", _("Other prices"), value=_other_rates, priority=4),
)
