"""Template filters that format nano USD for pages."""

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from babel.numbers import format_currency
from django import template
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.translation import get_language, gettext, to_locale

from billing.currency.conversion import ExchangeRate, convert_nano
from billing.currency.display import (
    TOTAL_PLACES,
    Nano,
    charge_places,
    display,
    display_in_column,
    is_exact,
    places_beside,
    price_places,
)
from billing.currency.exchange_rates import display_rate, rate_text
from billing.currency.money import format_price
from billing.currency.words import money_symbol, total_text
from lib import clock
from lib.numbers.formatting import MISSING, group_digits
from lib.tables.keyset import value_at

register = template.Library()
register.simple_tag(money_symbol)


@register.filter
def money_total(nano: int | None) -> str:
    """Return a total, to the cent; a dash if it is unknown."""
    return _titled(nano, TOTAL_PLACES)


@register.filter
def money_signed(nano: int) -> str:
    """Return the total of a movement with its sign, also a plus."""
    return _titled(nano, TOTAL_PLACES, "+" if nano > 0 else "")


@register.filter
def money_request(nano: Nano | None, places: int | None = None) -> str:
    """Return the charge of one request or session; `places` are the decimals of its column."""
    return _titled(nano, charge_places([nano or 0])) if places is None else _cell(nano, places)


@register.simple_tag
def charge_decimals(rows: Iterable[Any], path: str) -> int:
    """Return the decimals of a column of charges. `path` is the path of the charge in a row."""
    return charge_places([value_at(row, path) or 0 for row in rows])


@register.filter
def money_price(nano: Nano | None, places: int | None = None) -> str:
    """Return a price; `places` are the decimals of its column."""
    return _titled(nano, price_places([nano or 0])) if places is None else _cell(nano, places)


@register.filter
def money_limit(nano: int | None) -> str:
    """Return a limit, such as a budget's, in full."""
    return _titled(nano, price_places([nano or 0]))


@register.filter
def money_beside(nano: int, limit_nano: int) -> str:
    """Return an amount that stands beside its limit."""
    return _titled(nano, places_beside(limit_nano, nano))


@register.filter
def money_exact(nano: Nano) -> str:
    """Return every digit of an amount. A price with a plan's multiplier has six more digits than
    nano."""
    return f"{format_price(int(Decimal(nano).scaleb(6)), 15)} USD"


@register.filter
def figure(value: int, metric: str) -> str:
    """Return a chart's figure, next to its exact value: money if the metric is cost, else a grouped
    count."""
    return total_text(value) if metric == "cost" else group_digits(value)


def _titled(nano: Nano | None, places: int, sign: str = "") -> str:
    """Return an amount. If the decimals do not show every digit, the title has all digits."""
    if nano is None:
        return MISSING
    return _with_title(nano, places, sign + display(nano, places, money_symbol()))


def _cell(nano: Nano | None, places: int) -> str:
    if nano is None:
        return MISSING
    return _with_title(nano, places, display_in_column(nano, places, money_symbol()))


def _with_title(nano: Nano, places: int, text: str) -> str:
    if is_exact(nano, places):
        return text
    return format_html('<span title="{}">{}</span>', money_exact(nano), text)


@register.simple_tag(takes_context=True)
def also_in(context: template.Context, nano: int | None, day: dt.date | None = None) -> str:
    """Return an amount in the organisation's display currency, with the rate and its day. `day`
    None means today. Returns "" without a display currency or without a rate."""
    organisation = context["actor"].organisation
    if nano is None or organisation is None:
        return ""
    on = day or clock.now().date()
    # A page with many amounts reads their rate once.
    rates: Any = context.render_context
    key = ("exchange rate", organisation.id, on)
    if key not in rates:
        rates[key] = display_rate(organisation, on)
    rate: ExchangeRate | None = rates[key]
    if rate is None:
        return ""
    locale = to_locale(get_language() or "en")
    return gettext("≈ %(amount)s at %(rate)s, %(day)s") % {
        "amount": format_currency(convert_nano(nano, rate), rate.currency, locale=locale),
        "rate": rate_text(rate),
        "day": date_format(rate.day, "DATE_FORMAT"),
    }
