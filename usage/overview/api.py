"""The management API of usage and requests. Pages show the same rows and sums."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Literal
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ninja import Query
from ninja.errors import HttpError
from pydantic import Field

from accounts.access.access import AccessDenied
from accounts.access.actors import Actor
from accounts.access.operations import Router
from accounts.limits.end_users import VERIFIED_FLAG
from billing.currency.money import format_usd
from lib.api import pagination
from lib.api.openapi import Schema, also_answers
from lib.files.csv_file import CSV_TYPE, stream
from lib.ids import id_text
from lib.tables.pages import iterate_in_locale
from usage.breakdowns.explorer import DAY, Cell, Quantiles, Times, explore
from usage.exports.focus import focus_csv, focus_lacks
from usage.filters import filters
from usage.filters.filters import Status, UsageFilter
from usage.filters.groupings import GROUPINGS, read_groupings
from usage.filters.queries import FocusQuery, Id, PeriodQuery, period_of, scope_of, usage_filter_of
from usage.months.detached import detached_within, file_suffix, names_of
from usage.reports.missing_months import missing_months
from usage.reports.reports import Totals
from usage.requests import log as request_log
from usage.requests import receipts
from usage.requests.choices import SkipReason, Why
from usage.requests.log import RequestRow
from usage.requests.receipts import AttemptDisplay
from usage.requests.words import speed_text
from usage.rollups.histograms import SHARE_NAMES
from usage.rollups.levels import read_freshness

router = Router(tags=["Usage"])
Meters = dict[str, int]
PAID: Final = (
    "USD, exact, that your organisation paid its providers itself, at the models' prices and "
    "beside the charge; null: nothing."
)
_SAVED: Final = (
    "What cached input saved: its tokens at the difference between the prices of plain and cached "
    "input, each request rounded to 1 nano-dollar. null: some of it is from before it was counted."
)
_AXES: Final = (*(name for name in GROUPINGS if name != "channel"), DAY, "channel")
_ITEMS_MAX: Final = 10_000


class UsageQuery(FocusQuery):
    group_by: str = Field(
        "model",
        max_length=200,
        description="One or two, separated by a comma, such as `team,model`: `model`, `key`, "
        "`user`, `team`, `project`, `customer`, `end_user`, `tag`, `app`, `status`, `day`; for "
        "operators also `channel`.",
    )


class QuantilesOut(Schema):
    p50: int
    p95: int
    p99: int


class TimesOut(Schema):
    """Durations of answered requests, in milliseconds, within 2 %."""

    ttft_ms: QuantilesOut | None = Field(description="To the first content. null: none was timed.")
    total_ms: QuantilesOut | None
    tokens_per_second: str | None = Field(
        description="Output tokens per second between the first and the last one."
    )


class UsageItem(Schema):
    group: str = Field(
        description="Model name, ID of the key or channel, email address, slug of the team, label, "
        "application, status (`ok`, `error`, `rejected`, `stopped`) or date; empty if there is "
        "none."
    )
    subgroup: str | None = Field(None, description="The same of the second grouping.")
    requests: int
    errors: int = Field(
        description="Failed requests: status 400 or above, except 499 (the client disconnected) "
        "and requests that a guard rejected."
    )
    meters: Meters
    charge: str = Field(description="USD, exact.")
    saved_by_cache: str | None = Field(description=_SAVED)
    paid_to_provider: str | None = Field(description=PAID)
    times: TimesOut | None = Field(
        description="null: some of it was summed before durations were kept."
    )


class UsageTotal(Schema):
    requests: int
    errors: int
    meters: Meters
    charge: str
    saved_by_cache: str | None = Field(description=_SAVED)
    paid_to_provider: str | None = Field(description=PAID)


class UsageOut(Schema):
    from_: dt.datetime = Field(alias="from")
    to: dt.datetime = Field(description="Not included.")
    complete_to: dt.datetime | None = Field(
        description="All requests that started before this time are included."
    )
    group_by: str
    items: list[UsageItem] = Field(
        description="A request with several tags is in the groups of all of them. At most 10,000, "
        "those with the highest charges."
    )
    more: bool = Field(description="There are more groups than `items` has.")
    total: UsageTotal = Field(description="Each request once, also those of groups left out.")
    detached_months: list[str] = Field(
        description="Months, such as 2026-09, that are not included: labels, applications and "
        "statuses are read from single requests, and an operator detached these into a file."
    )


class RequestOut(Schema):
    id: str = Field(description="Same as the header `x-request-id`.")
    created_at: dt.datetime
    organisation: str
    team: str | None
    key: str
    user: str | None = Field(description="Email address.")
    model: str = Field(description="The model requested.")
    channel: str | None = Field(description="For operators.")
    dialect: str
    stream: bool
    status: int | None = Field(description="null while it runs.")
    kind: str | None = Field(description="The type of error.")
    finish_reason: str | None
    meters: Meters
    charge: str = Field(
        description="USD, exact, when it ended. Later corrections are in its receipt."
    )
    basis: str = Field(
        description="How the charge was determined: `measured`, `drained`, `estimated`, "
        "`absorbed`, `free` or `none`; `held`: the charge is not known yet, and "
        "the hold is kept."
    )
    saved_by_cache: str | None = Field(description=_SAVED)
    paid_to_provider: str | None = Field(
        description="USD that your organisation pays its provider itself, at the model's price; "
        "null: the installation's key was used."
    )
    price_version: int | None
    ttft_ms: int | None = Field(description="Milliseconds to the first content.")
    total_ms: int | None
    attempts: int
    cost: str | None = Field(
        description="For operators: the provider's cost in USD; null if unknown."
    )
    project: str | None = Field(description="Its label, or its key's project.")
    tags: list[str] = Field(description="Its labels and the tags of its key.")
    customer: str | None = Field(description="Its label.")
    end_user: str | None = Field(
        description="The end user that a header names, if Weir accepts it, else the `user` that "
        "the body names."
    )
    end_user_verified: bool = Field(description="Whether an accepted header names the end user.")
    prompt: str | None = Field(description="The slug of the saved prompt that it used.")
    prompt_version: int | None
    app: str | None = Field(
        description="The application, by `x-title`, `http-referer` or `user-agent`."
    )
    session: str | None = Field(description="ID of the session that it was part of.")
    dropped_params: list[str] = Field(description="Parameters that the provider was not sent.")
    upstream_request_id: str | None = Field(
        description="For operators: the provider's ID of the request."
    )


class SkippedOut(Schema):
    channel: str
    reason: SkipReason


class AttemptOut(Schema):
    n: int
    model: str = Field(description="The model it was for, by its name here.")
    channel: str
    upstream_model: str
    why: Why | None = Field(description="Why this channel; null in old requests.")
    channel_key: str | None = Field(description="The last characters of the provider key.")
    skipped: list[SkippedOut] = Field(description="Channels of the model that were passed over.")
    status: int | None = Field(description="null while it runs.")
    kind: str | None = Field(description="The type of error.")


class RequestDetailOut(RequestOut):
    asked_model: str | None = Field(
        description="The requested model, if `model` responded in its place."
    )
    client_address: str | None = Field(
        description="The IP address that it came from, if your organisation has it kept."
    )
    route: list[AttemptOut] | None = Field(description="For operators: its attempts, in order.")


class RateOut(Schema):
    usd: str
    per: int = Field(description="Units that the rate is for: 1000000 or 1.")


Rates = dict[str, RateOut]


class ReceiptTierOut(Schema):
    input_over: int = Field(description="Applies strictly above this many input tokens.")
    mode: Literal["whole", "marginal"]
    rates: Rates


class MultipliedConditionOut(Schema):
    kind: str
    value: str
    multiplier: str = Field(description="Of all rates of language-model tokens.")


class RatedConditionOut(Schema):
    """Conditions under which other rates apply. They replace the price's rates, and their tiers
    replace its tiers."""

    kind: str
    value: str
    rates: Rates
    tiers: list[ReceiptTierOut]


class ReceiptPriceOut(Schema):
    version: int
    model: str
    valid_from: dt.datetime
    valid_to: dt.datetime | None
    multiplier: str = Field(description="Of the plan or subscription; it is not in the rates.")
    rates: Rates
    tiers: list[ReceiptTierOut]
    conditions: list[MultipliedConditionOut | RatedConditionOut] = Field(
        description="What the price has for conditions; `parts` names those that held."
    )


class PartPriceOut(Schema):
    """The price of another model that created a part of the answer."""

    multiplier: str = Field(description="Of the plan; it is not in the rates.")
    token_multiplier: str = Field(description="Of conditions, for language-model tokens.")
    rates: Rates
    tiers: list[ReceiptTierOut]


class ReceiptPartOut(Schema):
    model: str = Field(description="The model that made this part.")
    conditions: dict[str, str] = Field(description="Under which it is priced.")
    meters: Meters
    price: PartPriceOut | None = Field(description="null: the price of the receipt.")


class ReceiptLineOut(Schema):
    meter: str
    quantity: int
    rate: str
    per: int
    amount: str = Field(
        description="quantity x rate / per x multiplier of the plan and of conditions, not rounded."
    )
    model: str | None = Field(None, description="Set where another model made it.")
    conditions: dict[str, str] = Field(
        default_factory=dict, description="Under which it is priced."
    )
    multiplier: str | None = Field(None, description="Of conditions; null: none.")


class CorrectionOut(Schema):
    posting: str = Field(description="ID of the ledger posting.")
    at: dt.datetime
    amount: str = Field(description="Negative: refunded.")


class CachedChargeOut(Schema):
    """How the charge for a stored answer follows from that of the request that it answered."""

    request: str = Field(description="The id of that request.")
    charge: str = Field(description="Its charge when it ended.")
    price_percent: int = Field(description="The share that is charged.")


class OwnKeyFeeOut(Schema):
    """The fee for a request with an own provider key, in USD."""

    per_request: str
    per_million_tokens: str


class PayersOut(Schema):
    """Who paid the charge. Exact decimals in USD whose sum is the charge."""

    included: str = Field(description="By the usage that the subscription plan includes.")
    promo: str = Field(description="By promotional credit.")
    balance: str


class ReceiptOut(Schema):
    format: Literal["weir-receipt-1"]
    request: str
    created_at: dt.datetime
    model: str
    basis: str
    meters: Meters
    held: str
    parts: list[ReceiptPartOut] | None = Field(
        description="What is priced apart; null: the meters are priced as one."
    )
    unknown: list[str] = Field(
        description="Usage whose price is not known, by which the request is under review."
    )
    accepted: list[str] = Field(
        description="Unknown usage that an operator counts as free; nothing is charged for it."
    )
    price: ReceiptPriceOut | None = Field(description="null: there was nothing to charge for.")
    lines: list[ReceiptLineOut]
    rounding: str = Field(
        description=("Rounds the sum of the lines once, half-even, to 1 nano-dollar.")
    )
    above_hold: str = Field(description="Above the reserved amount; not charged.")
    waived: str = Field(description="Not charged because of the basis.")
    own_key: OwnKeyFeeOut | None = Field(
        description="The fee for your own provider key, by which the request is charged; null: the "
        "installation's key was used."
    )
    own: str = Field(description="Paid to your provider, with your own key; not charged here.")
    fee: str = Field(description="The fee for your own key, at most what was reserved.")
    cached: CachedChargeOut | None = Field(
        description="The request whose stored answer was served, and the share of its charge; "
        "null: a model answered."
    )
    charge: str = Field(
        description="The lines and the rounding, minus what was not charged, plus the fee; of a "
        "stored answer, its share of `cached.charge`."
    )
    paid_by: PayersOut | None = Field(
        description="null: not counted yet, which happens every minute."
    )
    corrections: list[CorrectionOut] = Field(
        description="Changes to the charge after the request had ended."
    )
    paid: str = Field(description="The charge, including corrections.")
    problem: str = Field(description="Why there is no price for the meters; empty otherwise.")


class RequestList(Schema):
    items: list[RequestOut]
    next: str | None
    detached_months: list[str] = Field(
        description="Months of the period, such as 2026-09, whose requests are not listed: an "
        "operator detached them into a file."
    )


class RequestQuery(PeriodQuery):
    status: Status | None = Field(
        None,
        description="`error`: failed, as `errors` of usage counts. `review`: the provider's count "
        "was implausible or unpriced, and it is not settled yet. `masked`: a guard masked "
        "something in the request or in the answer. `rejected`: a guard rejected the request or "
        "the answer.",
    )
    session: Id | None = Field(None, description="ID of a session.")


@router.get("/usage", response=UsageOut, by_alias=True, summary="Aggregate usage")
def show_usage(actor: Actor, query: Query[UsageQuery]) -> dict[str, Any]:
    """Requests, quantities and charges of a period by group, highest charge first (days in order).

    A model key sees its own usage, a developer their own. Labels, applications and statuses are
    read from single requests: 400 if the period has more than 500,000.
    """
    usage_filter = usage_filter_of(query)
    by = read_groupings(query.group_by, _AXES)
    if "channel" in by and not actor.operator:
        raise AccessDenied("Only operators can group by channel.")
    at = read_freshness()
    explored = explore(actor, usage_filter, by, at, limit=_ITEMS_MAX, timed=True)
    items = [
        {
            **dict(zip(("group", "subgroup"), _values(usage_filter, by, cell), strict=False)),
            **_totals(cell.totals),
            "times": _times(cell.times),
        }
        for cell in explored.cells
    ]
    if DAY in by:
        days = "group" if by[0] == DAY else "subgroup"
        items.sort(key=lambda item: str(item[days]))
    return {
        "from": usage_filter.start_at,
        "to": usage_filter.end_at,
        "complete_to": at.complete_until(usage_filter.spans),
        "group_by": ",".join(by),
        "items": items,
        "more": explored.more,
        "total": _totals(explored.total),
        "detached_months": names_of(
            missing_months(usage_filter, [axis for axis in by if axis != DAY], at)
        ),
    }


def _values(usage_filter: UsageFilter, by: Sequence[str], cell: Cell) -> list[str]:
    return [
        _day(usage_filter, group.value) if axis == DAY else _group_id(axis, group.value)
        for axis, group in zip(by, cell.groups, strict=True)
    ]


def _day(usage_filter: UsageFilter, number: str) -> str:
    start_at = usage_filter.spans[int(number) - 1].start_at
    return start_at.astimezone(usage_filter.zone).date().isoformat()


@router.get(
    "/usage/focus",
    response={200: str},
    summary="Export costs as FOCUS",
    openapi_extra={"responses": {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}},
)
def export_focus(request: HttpRequest, actor: Actor, query: Query[FocusQuery]) -> HttpResponseBase:
    """Daily costs by key and model as CSV, in the columns of the FinOps Open Cost and Usage
    Specification 1.2. Days are of UTC; the default is the last 30. If the file lacks months that an
    operator detached, its name says so."""
    usage_filter = usage_filter_of(query)
    pieces = focus_csv(actor, usage_filter)
    suffix = file_suffix(names_of(focus_lacks(usage_filter)))
    return stream(request, f"focus{suffix}.csv", CSV_TYPE, iterate_in_locale(pieces))


@router.get("/requests", response=RequestList, summary="List requests")
def list_requests(actor: Actor, query: Query[RequestQuery]) -> dict[str, Any]:
    """Completed requests, newest first. A model key sees its own, a developer their own."""
    period = period_of(query)
    page = request_log.request_page(
        actor,
        period,
        replace(
            scope_of(query),
            status=query.status,
            session_id=filters.read_id(query.session) if query.session else None,
        ),
        limit=query.limit,
        older_than=pagination.after_id(query.cursor),
    )
    return {
        "items": [_serialize_request(actor, row) for row in page.rows],
        "next": id_text(page.older) if page.older else None,
        "detached_months": names_of(detached_within(period)),
    }


@router.get("/requests/{id}", response=RequestDetailOut, summary="Show a request")
def show_request(actor: Actor, id: str) -> dict[str, Any]:
    """One request you have access to; 404 with the code `month_detached` where its month is in a
    file. Its `status` is null until it is settled, a moment after
    the answer."""
    detail = receipts.request_detail(actor, id)
    route = [_attempt(attempt) for attempt in detail.attempts if attempt.n]
    return {
        **_serialize_request(actor, detail.row),
        "asked_model": detail.requested_model_if_replaced,
        "client_address": detail.address or None,
        "route": route if actor.operator else None,
    }


@router.get(
    "/requests/{id}/receipt",
    response=ReceiptOut,
    summary="Show a request's receipt",
    openapi_extra=also_answers(409),
)
def show_receipt(actor: Actor, id: str) -> dict[str, Any]:
    """The charge of a request and how it was calculated. The script
    `/static/recompute_receipt.py` recomputes it. 409 until the request is
    settled."""
    receipt = receipts.document(receipts.request_detail(actor, id))
    if receipt is None:
        raise HttpError(
            409, "The request is still running or has just ended. Request its receipt again."
        )
    return receipt


def _group_id(by: str, value: str) -> str:
    return id_text(UUID(value)) if value and by in ("key", "channel") else value


def _totals(totals: Totals) -> dict[str, Any]:
    return {
        "requests": totals.requests,
        "errors": totals.errors,
        "meters": totals.meters,
        "charge": format_usd(totals.charge_nano),
        "saved_by_cache": _usd(totals.saved_nano),
        "paid_to_provider": _usd(totals.own_nano),
    }


def _usd(nano: int | None) -> str | None:
    return None if nano is None else format_usd(nano)


def _times(times: Times | None) -> dict[str, Any] | None:
    if times is None:
        return None
    return {
        "ttft_ms": _quantiles(times.ttft),
        "total_ms": _quantiles(times.total),
        "tokens_per_second": None if times.rate_tenths is None else speed_text(times.rate_tenths),
    }


def _quantiles(quantiles: Quantiles | None) -> dict[str, int] | None:
    return quantiles and dict(zip(SHARE_NAMES, quantiles, strict=True))


def _serialize_request(actor: Actor, row: RequestRow) -> dict[str, Any]:
    return {
        "id": id_text(row.request_id),
        "created_at": row.admitted_at,
        "organisation": row.organisation,
        "team": row.team,
        "key": id_text(row.key_id),
        "user": row.user,
        "model": row.model,
        "channel": (row.channel_name or None) if actor.operator else None,
        "dialect": row.dialect,
        "stream": row.stream,
        "status": row.status,
        "kind": row.kind,
        "finish_reason": row.finish_reason or None,
        "meters": row.meters,
        "charge": format_usd(row.charge_nano),
        "basis": row.basis,
        "saved_by_cache": _usd(row.saved_nano),
        "paid_to_provider": _usd(row.own_nano),
        "price_version": row.price_version_id,
        "ttft_ms": row.ttft_ms,
        "total_ms": row.total_ms,
        "attempts": row.attempts,
        "cost": _usd(row.cost_nano) if actor.operator else None,
        "project": row.project or None,
        "tags": list(row.tags),
        "customer": row.customer or None,
        "end_user": row.end_user or None,
        "end_user_verified": VERIFIED_FLAG in row.flags,
        "prompt": row.prompt,
        "prompt_version": row.prompt_version,
        "app": row.app or None,
        "session": row.session_id and id_text(row.session_id),
        "dropped_params": list(row.dropped),
        "upstream_request_id": (row.upstream_request_id or None) if actor.operator else None,
    }


def _attempt(attempt: AttemptDisplay) -> dict[str, Any]:
    return {
        "n": attempt.n,
        "model": attempt.model,
        "channel": attempt.channel_name,
        "upstream_model": attempt.upstream_model,
        "why": attempt.why or None,
        "channel_key": attempt.channel_key or None,
        "skipped": [{"channel": name, "reason": why} for name, why in attempt.skipped],
        "status": attempt.status,
        "kind": attempt.kind,
    }
