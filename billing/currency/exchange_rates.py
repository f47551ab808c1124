"""The operators' table of exchange rates, for organisations that see amounts in a currency of their
own beside USD."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

from django.db import transaction
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.models import Organisation
from billing.currency import conversion
from billing.models import ExchangeRate
from lib import clock
from lib.refusal import Refused, check_text

SOURCE_MAX: Final = 120


class RateFields(NamedTuple):
    """A rate as entered: units of `currency` for one USD on `day`, according to `source`."""

    currency: str
    day: dt.date
    rate: str
    source: str = ""


def add_rates(actor: Actor, rate_fields: Iterable[RateFields]) -> list[ExchangeRate]:
    """Add rates, all or none. A new rate replaces an earlier one of the same day. Raises Refused,
    also for two rates of the same currency and day."""
    rates = [_read(one) for one in rate_fields]
    for (currency, day), count in Counter((rate.currency, rate.day) for rate in rates).items():
        if count > 1:
            text = gettext("There are several rates of %(currency)s for %(day)s. Add one of them.")
            raise Refused("day", text % {"currency": currency, "day": day.isoformat()})
    with transaction.atomic():
        added = ExchangeRate.objects.bulk_create(rates)
        for rate in added:
            audit.record(
                actor, None, "exchange_rate.added", rate, currency=rate.currency,
                day=rate.day.isoformat(), rate=rate_text(rate), source=rate.source,
            )  # fmt: skip
    return added


def rate_of(currency: str, day: dt.date) -> conversion.ExchangeRate | None:
    """Return the rate of a day, or else of the latest day before it with a rate; None if there is
    none."""
    rows = ExchangeRate.objects.filter(currency=currency, day__lte=day)
    row = rows.order_by("-day", "-id").values_list("currency", "day", "per_usd").first()
    return None if row is None else conversion.ExchangeRate(*row)


def display_rate(organisation: Organisation, day: dt.date) -> conversion.ExchangeRate | None:
    """Return the rate for displaying the organisation's amounts of a day in its display currency.
    None without a display currency (no query is made then), or without a rate."""
    currency = organisation.display_currency
    return rate_of(currency, day) if currency else None


def rate_text(rate: ExchangeRate | conversion.ExchangeRate) -> str:
    """Return the rate as a plain decimal without trailing zeros."""
    text = f"{rate.per_usd:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _read(fields: RateFields) -> ExchangeRate:
    currency = fields.currency.strip().upper()
    if not conversion.is_currency(currency):
        raise Refused("currency", gettext("Enter the three letters of a currency, such as EUR."))
    if fields.day > clock.now().date() + dt.timedelta(days=1):
        raise Refused("day", gettext("The day cannot be in the future."))
    try:
        rate = conversion.read_rate(fields.rate)
    except conversion.ExchangeRateInvalid as error:
        text = gettext("Enter how much one USD is worth, such as 0.92, with at most 10 decimals.")
        raise Refused("rate", text) from error
    source = check_text("source", fields.source, SOURCE_MAX)
    return ExchangeRate(currency=currency, day=fields.day, per_usd=rate, source=source)
