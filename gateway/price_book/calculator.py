"""The calculator of the price pages: the exact cost of input, cached and output tokens."""

from typing import Any, Final, NamedTuple

from django.http import HttpRequest

from billing.prices.meter_words import meter_name
from gateway.price_book.price_book import PriceBook, calculate
from lib.numbers.typed_counts import parse_typed_count

_METERS: Final = ("in_text", "in_cache_read", "out_text")
_DIGITS_MAX: Final = 12


class CountField(NamedTuple):
    """A field for a number of tokens: its meter, the meter's name, and what it shows. `tokens`
    is None if no number can be read."""

    meter: str
    title: str
    text: str
    tokens: int | None


def calculated_context(request: HttpRequest, book: PriceBook) -> dict[str, Any]:
    """Build the context of `gateway/price_book/_calculator.html` from the page's query."""
    model = request.GET.get("m", "").strip()
    typed = {name: request.GET.get(name, "").strip() for name in _METERS}
    counts = {name: parse_typed_count(text or "0", _DIGITS_MAX) for name, text in typed.items()}
    known = {name: count for name, count in counts.items() if count is not None}
    wrong = len(known) < len(counts)
    return {
        "calc_model": model,
        "calc_wrong": wrong,
        "calculated": calculate(book, model, known) if model and not wrong else None,
        "calc_fields": [
            CountField(name, meter_name(name), typed[name] if count is None else str(count), count)
            for name, count in counts.items()
        ],
    }
