"""The calculator of the price pages: the exact cost of input, cached and output tokens."""

from typing import Any, Final

from django.http import HttpRequest

from billing.prices.meter_words import meter_name
from gateway.price_book.price_book import PriceBook, calculate

_METERS: Final = ("in_text", "in_cache_read", "out_text")


def calculated_context(request: HttpRequest, book: PriceBook) -> dict[str, Any]:
    """Build the context of `gateway/price_book/_calculator.html` from the page's query."""
    model = request.GET.get("m", "").strip()
    counts = {name: _count(request.GET.get(name, "")) for name in _METERS}
    return {
        "calc_model": model,
        "calc": counts,
        "calculated": calculate(book, model, counts) if model else None,
        "calc_names": {name: meter_name(name) for name in _METERS},
    }


def _count(text: str) -> int:
    text = text.strip().replace(",", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else 0
