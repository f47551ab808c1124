"""The price book with the prices that an organisation pays (W45)."""

import datetime as dt
from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.access.actors import Actor, organisation_of
from accounts.guards.guards import organisation_page
from accounts.preferences.table_preferences import read_table
from gateway.price_book import price_book
from gateway.price_book.calculator import calculated_context
from gateway.price_book.columns import PRICE_COLUMNS, linked_rows
from gateway.price_book.price_book import BookEntry
from lib import clock
from lib.files.csv_file import csv_file
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Column, Filter, Table

OWN_PRICES: Final = Table(
    "own-prices",
    _("Prices"),
    (
        Column("model", _("Model"), sort=True, card="title"),
        Column("condition", _("Applies to"), sort=True, priority=3, card="second"),
        *PRICE_COLUMNS,
        Column("since", _("Since"), "time", sort=True, priority=2, card="last"),
        Column("until", _("Until"), "time", sort=True, chosen=False),
    ),
    default_sort="model",
    filters=(Filter("q", _("Model"), "search"), Filter("asof", _("As of"), "date")),
    href="href",
)


@organisation_page("models.read")
@require_safe
def organisation_prices(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    organisation = organisation_of(actor)
    state = read_table(OWN_PRICES, request, actor)
    as_of = _noon_of(state.value("asof"))
    now = clock.now()
    book = price_book.price_book(actor, now)
    book_at = price_book.price_book(actor, as_of) if as_of else book
    query = state.value("q").lower()
    entries = [entry for entry in book_at.entries if query in entry.model.lower()]
    csv_url = reverse("organisation_prices_csv", args=[organisation.slug])
    context = {
        "book": book,
        "upcoming": book.upcoming[:20],
        "as_of": as_of,
        "asof": state.value("asof"),
        "models": [entry.model for entry in book.entries[:1]],
        "csv_href": f"{csv_url}?{urlencode({'asof': state.value('asof')} if as_of else {})}",
        **calculated_context(request, book_at),
    }
    templates = (
        "gateway/prices/organisation_prices.html",
        "gateway/prices/_organisation_prices.html",
    )
    source = ListSource([_price_row(entry) for entry in entries])
    return answer_table(request, state, source, templates, context, linked_rows)


@organisation_page("models.read")
@require_safe
def organisation_prices_csv(request: HttpRequest, actor: Actor) -> HttpResponse:
    at = _noon_of(request.GET.get("asof", "")) or clock.now()
    book = price_book.price_book(actor, at)
    return csv_file(f"prices-{at:%Y-%m-%d}.csv", price_book.table_of(book))


def _price_row(entry: BookEntry) -> dict[str, Any]:
    since = entry.price.valid_from
    return {
        "id": entry.id,
        "model": entry.model,
        "condition": entry.condition,
        "since": since if since.year > 1970 else None,
        "until": entry.price.valid_to,
        "entry": entry,
    }


def _noon_of(day: str) -> dt.datetime | None:
    """Return the time at which the price book of a day is read, in UTC, or None for an invalid
    day."""
    try:
        return dt.datetime.combine(dt.date.fromisoformat(day), dt.time(12), tzinfo=dt.UTC)
    except ValueError:
        return None
