"""Costs in the columns of FOCUS, the FinOps Open Cost and Usage Specification, version 1.2, with
the renamed columns of 1.3.

A row is the charge of one key and one model on one UTC day. Charges are those at the end of
requests; later corrections, taxes and discounts are on invoices. There is no list price beside the
organisation's price, so all four costs are equal.

What the organisation paid its providers itself, with keys of its own, is on their invoices, and in
their files of this kind. So it is in none of the costs, but in a column of its own, with the prefix
that the specification has for these.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from accounts.access.actors import Actor, organisation_of
from accounts.models import Organisation
from billing.invoices import billing_details
from lib.ids import id_text
from lib.tables.exports import FORMATS, Batches, usd
from lib.tables.table import Column
from usage.breakdowns.explorer import Cell, explore
from usage.buckets.buckets import Span
from usage.filters.filters import UTC_ZONE, Scope, UsageFilter, between, narrow_filter
from usage.filters.visibility import NIL, run
from usage.models import DetachedMonth
from usage.months.detached import detached_within
from usage.records.counted_meters import TOKEN_METERS
from usage.reports.used_rows import are_summed, used_rows
from usage.rollups.level_rules import WIDTHS, start_of
from usage.rollups.levels import Freshness, read_freshness

_NAMES: Final = (
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
    "x_PaidToProviders",
    "x_Requests",
)
COLUMNS: Final = tuple(Column(name, name) for name in _NAMES)
_NAMED_ISSUER: Final = (
    "HostProviderName",
    "InvoiceIssuerName",
    "ProviderName",
    "PublisherName",
    "ServiceProviderName",
)
_GROUPS: Final = ("team", "key", "model")
_KEYS_AT_ONCE: Final = 200
_CELLS_MAX: Final = 1_000_000
"""More teams and models than the keys of one batch usually have."""


def days_of(usage_filter: UsageFilter) -> UsageFilter:
    """Return the filter extended to all UTC days that it touches."""
    start_at, end_at = start_of(usage_filter.start_at, "day"), start_of(usage_filter.end_at, "day")
    if end_at < usage_filter.end_at:
        end_at += WIDTHS["day"]
    return narrow_filter(
        between(start_at, end_at, UTC_ZONE, usage_filter.now, grain="day"), usage_filter.scope
    )


def focus_lacks(usage_filter: UsageFilter) -> list[DetachedMonth]:
    """Return the detached months that the file lacks. It reads the keys of each day from the
    records, also where a sink has a copy of them."""
    days = days_of(usage_filter)
    return [] if are_summed(days.scope, _GROUPS) else detached_within(days.span)


def focus_csv(actor: Actor, usage_filter: UsageFilter) -> Iterator[bytes]:
    """Stream the file to a waiting reader. Raises TooManyRecords before the first byte, as
    `explore` does."""
    days, at = days_of(usage_filter), read_freshness()
    used_rows(actor, days.scope, days.spans, _GROUPS, at)
    return FORMATS["csv"].write(COLUMNS, _batches(actor, days, at))


def focus_batches(actor: Actor, usage_filter: UsageFilter) -> Batches:
    """Return the rows, however many records must be read for them."""
    return _batches(actor, days_of(usage_filter), read_freshness())


def _batches(actor: Actor, days: UsageFilter, at: Freshness) -> Batches:
    """Yield the rows of several keys of one day at a time, so that memory does not grow with the
    days or the keys."""
    organisation = organisation_of(actor)
    # The name that invoices use.
    issuer = billing_details.seller().legal_name or "Weir"
    for span in days.spans:
        for keys in _keys_of(actor, days.scope, span, at):
            some = replace(days, spans=(span,), scope=replace(days.scope, keys=keys))
            cells = explore(actor, some, _GROUPS, at, limit=_CELLS_MAX, bounded=False).cells
            rows = [_charge_row(organisation, issuer, span, cell) for cell in cells]
            if rows:
                yield [[row[column.name] for row in rows] for column in COLUMNS]


def _keys_of(actor: Actor, scope: Scope, span: Span, at: Freshness) -> Iterator[tuple[UUID, ...]]:
    """Yield the ids of the keys used in `span`, in batches."""
    rows = used_rows(actor, scope, [span], _GROUPS, at, bounded=False)
    text = f"""
        SELECT DISTINCT r.key_id FROM {rows.text} r WHERE r.key_id > %(after)s
        ORDER BY 1 LIMIT {_KEYS_AT_ONCE}"""  # noqa: S608 - only this file's own names are put in
    after = NIL
    while rows_read := run(text, {**rows.parameters, "after": after}):
        yield tuple(key for (key,) in rows_read)
        if len(rows_read) < _KEYS_AT_ONCE:
            return
        after = rows_read[-1][0]


def _charge_row(organisation: Organisation, issuer: str, day: Span, cell: Cell) -> dict[str, Any]:
    team, key, model = cell.groups
    cost, tokens = usd(cell.totals.charge_nano), _tokens(cell)
    # A price by the image, page or second has no tokens.
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
        "x_PaidToProviders": usd(cell.totals.own_nano or 0),
        "x_Requests": cell.totals.requests,
    }


def _tokens(cell: Cell) -> int:
    return sum(cell.totals.meters.get(name, 0) for name in TOKEN_METERS)


def _key_id(text: str) -> str:
    return id_text(UUID(text)) if text else ""


def _instant(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
