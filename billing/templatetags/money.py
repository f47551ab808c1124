"""Template filters for money: nano USD in, the words of the page out."""

import datetime as dt
from decimal import Decimal
from typing import Any

from babel.numbers import format_currency
from django import template
from django.utils.formats import date_format
from django.utils.translation import get_language, gettext, to_locale

from billing.currency.conversion import ExchangeRate, convert_nano
from billing.currency.exchange_rates import display_rate, rate_text
from billing.currency.money import (
    display_card,
    display_places,
    display_price,
    display_request,
    display_row,
    display_total,
    format_usd,
)
from billing.wallets.words import money_symbol
from lib import clock
from lib.numbers.formatting import MISSING, group_digits

register = template.Library()
register.simple_tag(money_symbol)


@register.filter
def money_total(nano: int | None) -> str:
    """A total: grouped, two decimals; a dash when it is not known."""
    return MISSING if nano is None else display_total(nano, money_symbol())


@register.filter
def figure(value: int, metric: str) -> str:
    """A figure of a chart: money where the metric is cost, else a grouped count."""
    return money_total(value) if metric == "cost" else group_digits(value)


@register.filter
def money_signed(nano: int) -> str:
    """A movement: a total with its sign, plus as well."""
    text = display_total(nano, money_symbol())
    return f"+{text}" if nano > 0 else text


@register.filter
def money_exact(nano: int) -> str:
    """Every digit, for a title beside a rounded figure."""
    return f"{format_usd(nano)} USD"


@register.filter
def money_card(nano: int | None) -> str:
    """A total on a card: from 100,000 on without decimals."""
    return MISSING if nano is None else display_card(nano, money_symbol())


@register.filter
def money_places(nano: int, places: int) -> str:
    """An amount with so many decimals, as the others beside it have."""
    return display_places(nano, places, money_symbol())


@register.filter
def money_request(nano: int | None) -> str:
    """The charge of one request: four significant digits, never rounded to zero."""
    return MISSING if nano is None else display_request(nano, money_symbol())


@register.filter
def money_row(nano: int) -> str:
    """An amount among those of a column: four decimals each, so that they stand in line."""
    return display_row(nano, money_symbol())


@register.filter
def money_price(nano: int | Decimal) -> str:
    """A price, exact: two decimals at least (``$0.10``, ``$0.075``)."""
    return display_price(nano, money_symbol())


@register.simple_tag(takes_context=True)
def also_in(context: template.Context, nano: int | None, day: dt.date | None = None) -> str:
    """An amount of a day (none = of now) in the currency that the organisation sees beside USD,
    with the rate and its day; nothing where it has none, or no rate of that day."""
    organisation = context["actor"].organisation
    if nano is None or organisation is None:
        return ""
    on = day or clock.now().date()
    # A list of amounts asks for their rate once.
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
