"""Costs in the columns of FOCUS, the FinOps Open Cost and Usage Specification, version 1.2; of 1.3,
those that it renamed.

A row is what a day of UTC charged for one key and one model. The charges are those of the requests'
ends: corrections after them, taxes and discounts are on invoices. There is no list price beside the
price that holds for the organisation, so that all four costs are the same.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from accounts.actors import Actor, organisation_of
from accounts.models import Organisation
from billing import billing_details
from lib.csv_file import csv_text
from lib.ids import id_text
from lib.tables.exports import usd
from usage.explorer import Cell, explore
from usage.filters import UTC_ZONE, UsageFilter, between, narrowed
from usage.levels import Standing, standing
from usage.reports import TOKEN_METERS
from usage.rules.buckets import Span
from usage.rules.levels import WIDTHS, start_of
from usage.used_rows import used_rows

COLUMNS: Final = (
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingAccountType",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "EffectiveCost",
    "HostProviderName",
    "InvoiceIssuerName",
    "ListCost",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "ServiceProviderName",
    "ServiceSubcategory",
    "SkuId",
    "SubAccountId",
    "SubAccountName",
    "SubAccountType",
    "Tags",
    "x_Errors",
    "x_Requests",
)
_NAMED_ISSUER: Final = (
    "HostProviderName",
    "InvoiceIssuerName",
    "ProviderName",
    "PublisherName",
    "ServiceProviderName",
)
_GROUPS: Final = ("team", "key", "model")
_CELLS_MAX: Final = 1_000_000


def days_of(usage_filter: UsageFilter) -> UsageFilter:
    """The days of UTC that touch the time of a filter, for its rows."""
    start_at, end_at = start_of(usage_filter.start_at, "day"), start_of(usage_filter.end_at, "day")
    if end_at < usage_filter.end_at:
        end_at += WIDTHS["day"]
    return narrowed(
        between(start_at, end_at, UTC_ZONE, usage_filter.now, grain="day"), usage_filter.scope
    )


def focus_csv(actor: Actor, usage_filter: UsageFilter) -> Iterator[bytes]:
    """The file, a day at a time. Raises TooManyRecords at once, as `explore` does."""
    days, at = days_of(usage_filter), standing()
    used_rows(actor, days.scope, days.spans, _GROUPS, at)
    return _written(actor, days, at)


def _written(actor: Actor, days: UsageFilter, at: Standing) -> Iterator[bytes]:
    organisation = organisation_of(actor)
    # As invoices name it.
    issuer = billing_details.seller().legal_name or "Weir"
    yield csv_text([COLUMNS]).encode()
    for span in days.spans:
        day = replace(days, spans=(span,))
        cells = explore(actor, day, _GROUPS, at, limit=_CELLS_MAX).cells
        rows = (_row(organisation, issuer, span, cell) for cell in cells)
        yield csv_text([row[name] for name in COLUMNS] for row in rows).encode()


def _row(organisation: Organisation, issuer: str, day: Span, cell: Cell) -> dict[str, Any]:
    team, key, model = cell.groups
    cost, tokens = usd(cell.totals.charge_nano), _tokens(cell)
    # What is priced by the image, page or second has no tokens.
    quantity, unit = (tokens, "Tokens") if tokens else (cell.totals.requests, "Requests")
    month = day.start_at.replace(day=1)
    return {
        **dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), cost),
        "BillingAccountId": id_text(organisation.id),
        "BillingAccountName": organisation.name,
        "BillingAccountType": "Organisation",
        "BillingCurrency": organisation.currency,
        "BillingPeriodEnd": _instant((month + dt.timedelta(days=32)).replace(day=1)),
        "BillingPeriodStart": _instant(month),
        "ChargeCategory": "Usage",
        "ChargeClass": "",
        "ChargeDescription": f"{model.label} by {key.label or 'a deleted key'}",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": _instant(day.end_at),
        "ChargePeriodStart": _instant(day.start_at),
        **dict.fromkeys(("ConsumedQuantity", "PricingQuantity"), quantity),
        **dict.fromkeys(("ConsumedUnit", "PricingUnit"), unit),
        **dict.fromkeys(_NAMED_ISSUER, issuer),
        "PricingCategory": "Standard",
        "ResourceId": _key_id(key.value),
        "ResourceName": key.label,
        "ResourceType": "API key",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": model.label,
        "ServiceSubcategory": "Generative AI",
        "SkuId": model.value,
        "SubAccountId": team.value,
        "SubAccountName": team.label,
        "SubAccountType": "Team",
        "Tags": "{}",
        "x_Errors": cell.totals.errors,
        "x_Requests": cell.totals.requests,
    }


def _tokens(cell: Cell) -> int:
    return sum(cell.totals.meters.get(name, 0) for name in TOKEN_METERS)


def _key_id(text: str) -> str:
    return id_text(UUID(text)) if text else ""


def _instant(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
