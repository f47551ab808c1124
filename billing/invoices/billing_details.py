"""The parties on invoices (the seller, and each organisation as a buyer), and the tax rates."""

import datetime as dt
import re
from typing import Final
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.models import Organisation
from billing.currency.money import MoneyInvalid, parse_scaled
from billing.invoices.rules import percent_text
from billing.models import BuyerDetail, SellerDetail, TaxRate
from lib.forms.country_and_zone_fields import zones
from lib.refusal import Refused, check_text

_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_LENGTHS: Final = {"legal_name": 200, "address": 500, "tax_id": 40}
_PERCENT_DIGITS: Final = 4


class DetailRefused(Refused):
    """A billing detail is invalid."""


def seller() -> SellerDetail:
    """Return the installation's billing details; empty until an operator enters them."""
    return SellerDetail.objects.filter(id=1).first() or SellerDetail(id=1)


def bank_account() -> str:
    """Return the account that customers transfer money to, in lines; empty if it is not set."""
    return "\n".join(line.strip() for line in settings.BANK_ACCOUNT.split("|")).strip()


def buyer_of(organisation: Organisation) -> BuyerDetail:
    """Return an organisation's billing details; empty until the organisation enters them."""
    details = BuyerDetail.objects.filter(organisation=organisation).first()
    return details or BuyerDetail(organisation=organisation)


def zone_of(organisation: Organisation) -> ZoneInfo:
    """Return the time zone of the organisation's months."""
    return ZoneInfo(buyer_of(organisation).zone)


def set_seller(actor: Actor, **fields: str) -> SellerDetail:
    """Change the installation's details: `legal_name`, `address`, `country`, `tax_id`. Raises
    DetailRefused."""
    with transaction.atomic():
        detail = seller()
        before = detail.document()
        _state(detail, fields)
        after = detail.document()
        if before != after:
            detail.save()
            audit.record(actor, None, "seller.changed", detail, before=before, after=after)
    return detail


def set_buyer(actor: Actor, organisation: Organisation, zone: str, **fields: str) -> BuyerDetail:
    """Change an organisation's details. Documents that are closed later show the new details.
    Raises DetailRefused."""
    if zone not in zones():
        raise DetailRefused("zone", gettext("This time zone does not exist."))
    with transaction.atomic():
        detail = buyer_of(organisation)
        before = {**detail.document(), "zone": detail.zone}
        _state(detail, fields)
        detail.zone = zone
        after = {**detail.document(), "zone": zone}
        if before != after:
            detail.save()
            audit.record(
                actor, organisation, "billing_details.changed", detail, before=before, after=after
            )
    return detail


def add_tax_rate(
    actor: Actor,
    name: str,
    country: str,
    percent: str,
    valid_from: dt.date,
    reverse_charge_text: str = "",
) -> TaxRate:
    """Add a tax rate that applies in a country ("" for all others) from a day on. Raises
    DetailRefused."""
    name = check_text("name", name, 60)
    if not name:
        raise DetailRefused("name", gettext("Enter a name."))
    try:
        rate_ppm = parse_scaled(percent.strip(), _PERCENT_DIGITS)
    except MoneyInvalid as error:
        raise DetailRefused("percent", gettext("Enter a percentage such as 19 or 8.1.")) from error
    if not 0 <= rate_ppm <= 1_000_000:
        raise DetailRefused("percent", gettext("Enter a percentage from 0 to 100."))
    try:
        with transaction.atomic():
            rate = TaxRate.objects.create(
                name=name,
                country=_country(country),
                rate_ppm=rate_ppm,
                valid_from=valid_from,
                reverse_charge_text=check_text("reverse_charge_text", reverse_charge_text, 500),
            )
            audit.record(
                actor, None, "tax_rate.added", rate, name=name, country=rate.country,
                percent=percent_text(rate_ppm), valid_from=valid_from.isoformat(),
            )  # fmt: skip
    except IntegrityError as error:
        same = TaxRate.objects.get(name=name, country=_country(country), valid_from=valid_from)
        text = gettext("This tax already has a rate from that day on: %(id)s, %(percent)s%%.")
        named = text % {"id": same.id, "percent": percent_text(same.rate_ppm)}
        raise DetailRefused("valid_from", named, already_exists=True) from error
    return rate


def _state(detail: SellerDetail | BuyerDetail, fields: dict[str, str]) -> None:
    for field, length in _LENGTHS.items():
        setattr(detail, field, check_text(field, fields.get(field, ""), length))
    detail.country = _country(fields.get("country", ""))


def _country(text: str) -> str:
    text = text.strip().upper()
    if text and not _COUNTRY.fullmatch(text):
        raise DetailRefused("country", gettext("Enter the two letters of a country, such as DE."))
    return text
