"""The explanation of one request: its attempts, its hold and charge, and how the charge was
calculated.

The receipt is computed from the stored meters and the price version of the record. Its lines are
exact, below the nano if a rate is. The lines, the one rounding and the uncharged amount add up to
the charge (I10, I13).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.http import Http404

from accounts.access import access, actors
from accounts.access.actors import Actor
from accounts.models import Key
from billing.credits import promo
from billing.credits.promo_rules import Payers
from billing.currency.money import format_multiplier, format_scaled, format_usd, round_half_even
from billing.prices.cached_answers import CachedCharge, cached_charge_of
from billing.prices.meters import MeterUnknown, Scale, find_meter, format_rate
from billing.prices.own_key_fee import OwnKeyFee
from billing.prices.pricing import PPM, CostLines, PriceInvalid, PriceVersion, price, stored_parts
from lib.ids import id_text, ids_near, parse_id
from usage.filters.visibility import run, visible
from usage.months.detached import refuse_detached
from usage.records.counted_meters import ordered_meters, read_json
from usage.records.outcomes import UNCHARGED
from usage.requests.client_addresses import address_of
from usage.requests.log import RequestRow
from usage.requests.refusals import display_kind, is_by_budget, is_rejected

# Quantity x nano per million x two multipliers in parts per million, in USD: 10^9 x 10^6 x 10^12.
_EXACT_DIGITS: Final = 27
_EXACT_PER_NANO: Final = 10**18
RECEIPT_FORMAT: Final = "weir-receipt-1"
# How many units a written rate is for.
_UNITS_PER: Final[Mapping[Scale, int]] = {"per_million": 10**6, "per_one": 1, "per_billion": 10**9}


@dataclass(frozen=True)
class PostingDisplay:
    """A ledger posting for this attempt. `paid_nano` is what the customer pays by it; it is
    negative for a refund."""

    id: UUID
    kind: str
    at: dt.datetime
    paid_nano: int


@dataclass(frozen=True)
class PriceDisplay:
    """The price version at the admission of a request; `rates` in the stored form."""

    version_id: int
    model: str
    valid_from: dt.datetime
    valid_to: dt.datetime | None
    source: str
    rates: Mapping[str, object]
    multiplier_ppm: int = PPM


@dataclass(frozen=True)
class AttemptDisplay:
    """One attempt. `start_ms` and `end_ms` count from the first attempt's admission. For operators
    only: `skipped`, the channels that were passed over, each with the reason; why this channel was
    chosen; and the last characters of the provider's key.

    A request that was refused before any attempt has one entry with the request's `id` and `n` 0.
    """

    id: UUID
    n: int
    channel_id: UUID | None
    channel_name: str
    upstream_model: str
    status: int | None
    kind: str | None
    message: str
    final: bool
    start_ms: int
    end_ms: int | None
    ttft_ms: int | None
    hold_nano: int
    hold_state: str | None
    charge_nano: int
    basis: str
    postings: tuple[PostingDisplay, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    why: str = ""
    channel_key: str = ""
    model: str = ""
    asked_model: str = ""

    @property
    def display_kind(self) -> str:
        """The kind that pages show."""
        return display_kind(self.kind, by_budget=is_by_budget(self.kind, self.message))

    @property
    def rejected(self) -> bool:
        return is_rejected(self.status, self.kind)


@dataclass(frozen=True)
class ReceiptLine:
    """One meter. Its exact amount is a decimal of USD, without rounding. `condition_ppm` is the
    multiplier of the matching `conditions`. `model` is the model that produced the usage, "" for
    the requested one."""

    meter: str
    quantity: int
    rate_nano_per_million: int
    amount: str
    condition_ppm: int = PPM
    conditions: Mapping[str, str] = field(default_factory=dict)
    model: str = ""


@dataclass(frozen=True)
class Receipt:
    """Lines + `rounding` - `uncharged` - `own` + `fee` = charge. All except the charge are exact
    decimals of USD. `own` is what the organisation pays its provider itself, and `fee` what its key
    costs here; "" for the installation's keys.

    `problem` says why the meters have no price; there are no lines then.
    """

    lines: tuple[ReceiptLine, ...]
    rounding: str
    above_hold: str
    waived: str
    computed_nano: int | None
    charge_nano: int
    problem: str = ""
    own: str = ""
    fee: str = ""
    # How the charge follows from that of another request, whose stored answer was served.
    cached: CachedCharge | None = None


class Recomputed(NamedTuple):
    """The charge computed from the stored meters and the dated price, and the booked charge."""

    charge_nano: int
    computed_nano: int | None
    problem: str

    @property
    def equal(self) -> bool:
        return self.computed_nano == self.charge_nano

    @property
    def difference_nano(self) -> int:
        return (self.computed_nano or 0) - self.charge_nano


@dataclass(frozen=True)
class RequestDetail:
    """Everything that is stored about one request."""

    row: RequestRow
    ended_at: dt.datetime | None
    message: str
    raw_usage: object
    attempts: tuple[AttemptDisplay, ...]
    price: PriceDisplay | None
    receipt: Receipt | None
    # The client's address; "" if it is not stored.
    address: str = ""
    # Who paid the charge; None while it runs, and until that is counted.
    payers: Payers | None = None
    # How much more (below 0: less) the organisation pays its provider itself than at first, because
    # of late usage.
    own_change_nano: int = 0

    @property
    def requested_model_if_replaced(self) -> str | None:
        """The name in the request, if another model gave the final answer; else None."""
        return next((attempt.asked_model for attempt in self.attempts if attempt.final), "") or None

    @property
    def corrections(self) -> list[PostingDisplay]:
        """The changes of the request's charge by late usage and reviews since it ended (I7)."""
        postings = [posting for attempt in self.attempts for posting in attempt.postings]
        return [posting for posting in postings if posting.kind == "correct" and posting.paid_nano]

    @property
    def paid_nano(self) -> int:
        """The amount that the customer pays for the request, according to the ledger."""
        return self.row.charge_nano + sum(posting.paid_nano for posting in self.corrections)


def request_detail(actor: Actor, id: str) -> RequestDetail:
    """Return one request with all its attempts. Raises Http404, or RequestDetached, a kind of
    Http404, if it may be in the file of its month."""
    where, request_id = visible(actor, "requests.read"), parse_id(id)
    if request_id is None:
        raise Http404
    first_id, end_id = ids_near(request_id)
    parameters = {
        **where.parameters, "request": request_id, "first_id": first_id, "end_id": end_id,
    }  # fmt: skip
    rows = [_AttemptRow(*row) for row in run(_DETAIL.format(visible=where.text), parameters)]
    if not rows:
        refuse_detached(request_id)
        raise Http404
    # The final record has the outcome of the request; without one, the last attempt is still
    # running.
    last = next((row for row in rows if row.final), rows[-1])
    running = not any(row.final for row in rows)
    begun_at = rows[0].admitted_at
    attempts = tuple(_attempt(row, begun_at) for row in rows)
    request_row = RequestRow(
        id=last.id,
        request_id=request_id,
        admitted_at=begun_at,
        organisation=last.organisation,
        team=last.team,
        team_name=last.team_name,
        key_id=last.key_id,
        key_name=last.key_name,
        user=last.user,
        model=last.model,
        upstream_model=last.upstream_model,
        channel_id=last.channel_id,
        channel_name=last.channel_name,
        dialect=last.dialect,
        operation=last.operation,
        stream=last.stream,
        source=last.source,
        status=None if running else last.status,
        kind=last.kind,
        finish_reason=last.finish_reason or "",
        meters=ordered_meters(last.meters or {}),
        charge_nano=sum(attempt.charge_nano for attempt in attempts),
        hold_nano=last.hold_nano,
        basis=last.basis or "none",
        price_version_id=last.price_version_id,
        ttft_ms=last.ttft_ms,
        total_ms=last.total_ms,
        flags=last.flags or [],
        attempts=sum(1 for attempt in attempts if attempt.n),
        cost_nano=_cost_nano(rows),
        project=last.project,
        tags=read_json(last.tags) or (),
        customer=last.customer,
        app=last.client_app,
        session_id=last.session_id,
        end_user=last.end_user,
        prompt=last.prompt,
        prompt_version=last.prompt_version,
        upstream_request_id=last.upstream_request_id or "",
        dropped=last.dropped or (),
        saved_nano=last.saved_nano,
        own_nano=last.own_nano,
        by_budget=is_by_budget(last.kind, last.message or ""),
        pricing=read_json(last.pricing),
        own_fee=read_json(last.own_fee),
    )
    in_force = _price(last)
    return RequestDetail(
        row=request_row,
        ended_at=last.ended_at,
        message=last.message or "",
        raw_usage=read_json(last.raw_usage),
        attempts=attempts,
        price=in_force,
        receipt=None if running else receipt(request_row, in_force),
        address="" if running else _address(actor, last),
        payers=None if running else _payers(actor, attempts),
        own_change_nano=last.own_change_nano or 0,
    )


def _address(actor: Actor, last: "_AttemptRow") -> str:
    """Return the client's address, for readers who may see that of the key."""
    address = address_of(actors.organisation_of(actor).id, last.id)
    key = Key.objects.filter(pk=last.key_id).first() if address else None
    return address if key and access.may_see_address(actor, key) else ""


def _payers(actor: Actor, attempts: Sequence[AttemptDisplay]) -> Payers | None:
    charges = {attempt.id: attempt.charge_nano for attempt in attempts}
    return promo.paid_by(actors.organisation_of(actor).id, charges)


def hide_channel_names(detail: RequestDetail) -> RequestDetail:
    """Return the details for readers who are not operators. Upstreams are named A, B, … in the
    order of their use."""
    letters: dict[UUID | None, str] = {}
    attempts = []
    for attempt in detail.attempts:
        if attempt.channel_id is not None:
            letters.setdefault(attempt.channel_id, chr(ord("A") + len(letters)))
        name = letters.get(attempt.channel_id, "")
        attempts.append(
            replace(attempt, channel_name=name, channel_id=None, skipped=(), why="", channel_key="")
        )
    row = replace(detail.row, channel_name="", channel_id=None, upstream_request_id="")
    return replace(detail, row=row, attempts=tuple(attempts))


def receipt(row: RequestRow, in_force: PriceDisplay | None) -> Receipt:
    """Return the receipt of an ended request, from its stored meters and its price version."""
    empty = Receipt((), "", "", "", 0, row.charge_nano)
    if (cached := cached_charge_of(row.pricing)) is not None:
        computed_nano = min(cached.nano, row.hold_nano)
        return replace(empty, computed_nano=computed_nano, cached=cached)
    if in_force is None or not row.meters:
        return empty
    try:
        version = PriceVersion.from_stored(in_force.rates).multiplied(in_force.multiplier_ppm)
        parts = stored_parts(row.pricing, row.meters, version)
    except (PriceInvalid, MeterUnknown) as error:
        return replace(empty, computed_nano=None, problem=str(error))
    lines: list[ReceiptLine] = []
    exact = 0
    for part in parts:
        cost = price(part.meters, part.version)
        if not isinstance(cost, CostLines):
            problem = f"{cost.reason}: {', '.join(cost.meters)}"
            return replace(empty, computed_nano=None, problem=problem)
        for line in cost.lines:
            amount = (
                line.quantity
                * line.rate_nano_per_million
                * line.multiplier_ppm
                * line.condition_ppm
            )
            exact += amount
            rate, conditions = line.rate_nano_per_million, part.conditions
            lines.append(
                ReceiptLine(
                    meter=line.meter,
                    quantity=line.quantity,
                    rate_nano_per_million=rate,
                    amount=_usd(amount),
                    condition_ppm=line.condition_ppm,
                    conditions=conditions,
                    model=part.model,
                )
            )
    total_nano = round_half_even(exact, _EXACT_PER_NANO)
    rounding = total_nano * _EXACT_PER_NANO - exact
    above = waived = own = fee = 0
    if row.basis in UNCHARGED:
        waived = total_nano
    elif row.own_nano is not None:
        own, fee = total_nano, _fee_nano(row)
    else:
        above = max(total_nano - row.hold_nano, 0)
    return Receipt(
        lines=tuple(lines),
        rounding=_usd(rounding) if rounding else "",
        above_hold=_usd(above * _EXACT_PER_NANO) if above else "",
        waived=_usd(waived * _EXACT_PER_NANO) if waived else "",
        computed_nano=total_nano - above - waived - own + fee,
        charge_nano=row.charge_nano,
        own=_usd(own * _EXACT_PER_NANO) if own else "",
        fee=_usd(fee * _EXACT_PER_NANO) if fee else "",
    )


def _fee_nano(row: RequestRow) -> int:
    """Return the fee for a request with its organisation's own key, at most the held amount."""
    fee = OwnKeyFee() if row.own_fee is None else OwnKeyFee.from_stored(row.own_fee)
    return min(fee.nano_of(row.meters), row.hold_nano)


def recompute(detail: RequestDetail) -> Recomputed:
    """Return the charge, computed again as at the end of the request (I10)."""
    document = detail.receipt or receipt(detail.row, detail.price)
    return Recomputed(detail.row.charge_nano, document.computed_nano, document.problem)


def document(detail: RequestDetail) -> dict[str, Any] | None:
    """Return the receipt as JSON for static/recompute_receipt.py, which computes it again. None
    while the request runs.

    Amounts and rates are exact decimals of USD. The price is the stated one, without the plan's
    multiplier and without derived rates.
    """
    stored_receipt, row = detail.receipt, detail.row
    if stored_receipt is None:
        return None
    return {
        "format": RECEIPT_FORMAT,
        "request": id_text(row.request_id),
        "created_at": row.admitted_at,
        "model": row.model,
        "basis": row.basis,
        "meters": row.meters,
        "held": format_usd(row.hold_nano),
        "parts": _part_documents(row, detail.price),
        "unknown": list((row.pricing or {}).get("unknown", ())),
        "accepted": list((row.pricing or {}).get("accepted", ())),
        "price": None if detail.price is None or not row.meters else _price_document(detail.price),
        "lines": [
            {
                "meter": line.meter,
                "quantity": line.quantity,
                **_format_rate(line.meter, line.rate_nano_per_million, "rate"),
                **_line_document(line),
                "amount": line.amount,
            }
            for line in stored_receipt.lines
        ],
        "rounding": stored_receipt.rounding or "0",
        "above_hold": stored_receipt.above_hold or "0",
        "waived": stored_receipt.waived or "0",
        "own_key": _own_key_document(row),
        "own": stored_receipt.own or "0",
        "fee": stored_receipt.fee or "0",
        "cached": _cached_document(stored_receipt.cached),
        "charge": format_usd(stored_receipt.charge_nano),
        "paid_by": None
        if detail.payers is None
        else {
            "included": format_usd(detail.payers.included_nano),
            "promo": format_usd(detail.payers.promo_nano),
            "balance": format_usd(detail.payers.balance_nano),
        },
        "corrections": [
            {
                "posting": id_text(posting.id),
                "at": posting.at,
                "amount": format_usd(posting.paid_nano),
            }
            for posting in detail.corrections
        ],
        "paid": format_usd(detail.paid_nano),
        "own_correction": format_usd(detail.own_change_nano),
        "problem": stored_receipt.problem,
    }


def _cached_document(cached: CachedCharge | None) -> dict[str, Any] | None:
    """The request whose stored answer was served, and the share of its charge; None for others."""
    if cached is None:
        return None
    return {
        "request": cached.request,
        "charge": format_usd(cached.charge_nano),
        "price_percent": cached.price_percent,
    }


def _own_key_document(row: RequestRow) -> dict[str, str] | None:
    """The fee by which a request with its organisation's own key is charged; None for others."""
    if row.own_nano is None:
        return None
    fee = OwnKeyFee() if row.own_fee is None else OwnKeyFee.from_stored(row.own_fee)
    return {
        "per_request": format_usd(fee.request_nano),
        "per_million_tokens": format_usd(fee.million_nano),
    }


def _price_document(price: PriceDisplay) -> dict[str, Any]:
    stored: Mapping[str, Any] = price.rates
    return {
        "version": price.version_id,
        "model": price.model,
        "valid_from": price.valid_from,
        "valid_to": price.valid_to,
        "multiplier": format_multiplier(price.multiplier_ppm),
        "rates": _rate_documents(stored["meters"]),
        "tiers": _tier_documents(stored),
        "conditions": [
            {
                "kind": one["kind"],
                "value": one["value"],
                "multiplier": format_multiplier(one["multiplier_ppm"]),
            }
            if "multiplier_ppm" in one
            else {
                "kind": one["kind"],
                "value": one["value"],
                "rates": _rate_documents(one["meters"]),
                "tiers": _tier_documents(one),
            }
            for one in stored.get("conditions") or ()
        ],
    }


def _part_documents(row: RequestRow, price: PriceDisplay | None) -> list[dict[str, Any]] | None:
    """Return the separately priced parts, or None if the meters are priced as a whole. A part of
    another model has its own price."""
    rows = (row.pricing or {}).get("parts")
    if not rows or price is None:
        return None
    return [
        {
            "model": part.get("model", row.model),
            "conditions": part.get("conditions", {}),
            "meters": part["meters"],
            "price": None
            if "rates" not in part
            else {
                "multiplier": format_multiplier(price.multiplier_ppm),
                "token_multiplier": format_multiplier(part.get("token_ppm", PPM)),
                "rates": _rate_documents(part["rates"]["meters"]),
                "tiers": _tier_documents(part["rates"]),
            },
        }
        for part in rows
    ]


def _line_document(line: ReceiptLine) -> dict[str, Any]:
    """Return the fields of a line that only parts and conditions have."""
    fields: dict[str, Any] = {}
    if line.model:
        fields["model"] = line.model
    if line.conditions:
        fields["conditions"] = dict(line.conditions)
    if line.condition_ppm != PPM:
        fields["multiplier"] = format_multiplier(line.condition_ppm)
    return fields


def _tier_documents(stored: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "input_over": tier["input_over"],
            "mode": tier.get("mode", "whole"),
            "rates": _rate_documents(tier["meters"]),
        }
        for tier in stored.get("tiers") or ()
    ]


def _rate_documents(meters: Mapping[str, int]) -> dict[str, Any]:
    return {meter: _format_rate(meter, rate, "usd") for meter, rate in meters.items()}


def _format_rate(meter: str, rate_nano_per_million: int, name: str) -> dict[str, Any]:
    per = _UNITS_PER[find_meter(meter).scale]
    return {name: format_rate(meter, rate_nano_per_million), "per": per}


class _AttemptRow(NamedTuple):
    id: UUID
    n: int
    admitted_at: dt.datetime
    organisation: str
    team: str | None
    team_name: str | None
    key_id: UUID
    key_name: str | None
    user: str | None
    model: str
    upstream_model: str
    channel_id: UUID | None
    channel_name: str
    dialect: str
    operation: str
    stream: bool
    source: str
    final: bool | None
    ended_at: dt.datetime | None
    status: int | None
    kind: str | None
    message: str | None
    finish_reason: str | None
    meters: Any
    charge_nano: int | None
    hold_nano: int
    basis: str | None
    price_version_id: int | None
    ttft_ms: int | None
    total_ms: int | None
    raw_usage: Any
    flags: list[str] | None
    hold_state: str | None
    postings: Any
    price_model: str | None
    valid_from: dt.datetime | None
    valid_to: dt.datetime | None
    source_of_price: str | None
    rates: Any
    multiplier_ppm: int
    cost_nano: int | None
    skipped: Any
    why: str
    channel_key: str
    asked_model: str
    project: str
    tags: Any
    customer: str
    client_app: str
    session_id: UUID | None
    end_user: str
    prompt: str | None
    prompt_version: int | None
    upstream_request_id: str | None
    dropped: list[str] | None
    saved_nano: int | None
    pricing: Any
    own_nano: int | None
    own_fee: Any
    own_change_nano: int | None


def _cost_nano(rows: Sequence[_AttemptRow]) -> int | None:
    """Return our cost of all attempts, as far as known; None if nothing is known."""
    known = [row.cost_nano for row in rows if row.cost_nano is not None]
    return sum(known) if known else None


def _attempt(row: _AttemptRow, begun_at: dt.datetime) -> AttemptDisplay:
    postings: Sequence[Mapping[str, Any]] = read_json(row.postings) or []
    return AttemptDisplay(
        id=row.id,
        n=row.n,
        channel_id=row.channel_id,
        channel_name=row.channel_name,
        upstream_model=row.upstream_model,
        status=row.status,
        kind=row.kind,
        message=row.message or "",
        final=bool(row.final),
        start_ms=(row.admitted_at - begun_at) // dt.timedelta(milliseconds=1),
        end_ms=row.total_ms,
        ttft_ms=row.ttft_ms,
        hold_nano=row.hold_nano,
        hold_state=row.hold_state,
        charge_nano=row.charge_nano or 0,
        basis=row.basis or "none",
        postings=tuple(
            PostingDisplay(
                UUID(posting["id"]),
                posting["kind"],
                dt.datetime.fromisoformat(posting["at"]),
                posting["paid"],
            )
            for posting in postings
        ),
        skipped=tuple((item["channel"], item["reason"]) for item in read_json(row.skipped) or ()),
        why=row.why,
        channel_key=row.channel_key,
        model=row.model,
        asked_model=row.asked_model,
    )


def _price(row: _AttemptRow) -> PriceDisplay | None:
    if row.price_version_id is None or row.valid_from is None:
        return None
    return PriceDisplay(
        version_id=row.price_version_id,
        model=row.price_model or "",
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        source=row.source_of_price or "",
        rates=read_json(row.rates),
        multiplier_ppm=row.multiplier_ppm,
    )


def _usd(exact: int) -> str:
    return format_scaled(exact, _EXACT_DIGITS)


_DETAIL: Final = """
    WITH attempt AS (
        SELECT r.* FROM usage_attempt r WHERE {visible} AND r.request_id = %(request)s
          AND r.id >= %(first_id)s AND r.id < %(end_id)s
    ),
    record AS (
        SELECT r.* FROM usage_usagerecord r WHERE {visible} AND r.request_id = %(request)s
          AND r.id >= %(first_id)s AND r.id < %(end_id)s
    ),
    -- A record without an attempt is a refusal, an attempt without a record still runs.
    whole AS (
        SELECT id, coalesce(a.n, (id <> u.request_id)::int) AS n,
               coalesce(a.admitted_at, u.admitted_at) AS admitted_at,
               coalesce(a.organisation_id, u.organisation_id) AS organisation_id,
               coalesce(a.team_id, u.team_id) AS team_id,
               coalesce(a.key_id, u.key_id) AS key_id, coalesce(a.user_id, u.user_id) AS user_id,
               coalesce(a.model, u.model) AS model,
               coalesce(a.upstream_model, u.upstream_model) AS upstream_model,
               coalesce(a.channel_id, u.channel_id) AS channel_id,
               coalesce(a.channel_name, u.channel_name) AS channel_name,
               coalesce(a.dialect, u.dialect) AS dialect,
               coalesce(a.operation, u.operation) AS operation,
               coalesce(a.stream, u.stream) AS stream, coalesce(a.source, u.source) AS source,
               u.final, u.ended_at, u.status, u.kind, u.message, u.finish_reason, u.meters,
               u.charge_nano, coalesce(a.hold_nano, u.hold_nano) AS hold_nano, u.basis,
               coalesce(u.price_version_id, a.price_version_id) AS price_version_id,
               u.ttft_ms, u.total_ms, u.raw_usage, u.flags,
               coalesce(u.multiplier_ppm, a.multiplier_ppm) AS multiplier_ppm, u.cost_nano,
               a.skipped, coalesce(a.why, '') AS why, coalesce(a.channel_key, '') AS channel_key,
               coalesce(a.asked_model, '') AS asked_model,
               coalesce(u.project, a.project) AS project, coalesce(u.tags, a.tags) AS tags,
               coalesce(u.customer, a.customer) AS customer,
               coalesce(u.client_app, a.client_app) AS client_app,
               coalesce(u.session_id, a.session_id) AS session_id,
               coalesce(u.end_user, a.end_user) AS end_user,
               coalesce(u.prompt, a.prompt) AS prompt,
               coalesce(u.prompt_version, a.prompt_version) AS prompt_version,
               u.upstream_request_id, u.dropped,
               u.saved_nano, u.pricing, u.own_nano, a.own_fee
        FROM attempt a FULL JOIN record u USING (id)
    )
    SELECT w.id, w.n, w.admitted_at, o.slug, t.slug, t.name, w.key_id, k.name, p.email,
           w.model, w.upstream_model, w.channel_id, w.channel_name, w.dialect, w.operation,
           w.stream, w.source, w.final, w.ended_at, w.status, w.kind, w.message, w.finish_reason,
           w.meters,
           w.charge_nano, w.hold_nano, w.basis, w.price_version_id, w.ttft_ms, w.total_ms,
           w.raw_usage, w.flags, hold.state,
           (
               SELECT jsonb_agg(jsonb_build_object(
                   'id', p.id, 'kind', p.kind, 'at', p.created_at, 'paid', (
                       SELECT coalesce(sum(e.amount_nano), 0) FROM billing_ledgerentry e
                       JOIN billing_account a ON a.id = e.account_id AND a.kind = 'revenue'
                       WHERE e.posting_id = p.id)) ORDER BY p.id)
               FROM billing_posting p
               WHERE p.attempt_id = w.id OR p.idempotency_id IN (
                   'hold:' || w.id, 'settle:' || w.id, 'void:' || w.id, 'expire:' || w.id,
                   'adjust:' || w.id || ':late', 'adjust:' || w.id || ':look_up',
                   'adjust:' || w.id || ':review')
           ),
           priced.model, version.valid_from, version.valid_to, version.source, version.rates,
           w.multiplier_ppm, w.cost_nano, w.skipped, w.why, w.channel_key, w.asked_model,
           w.project, w.tags, w.customer, w.client_app, w.session_id, w.end_user,
           w.prompt, w.prompt_version,
           w.upstream_request_id, w.dropped, w.saved_nano, w.pricing, w.own_nano, w.own_fee,
           (
               SELECT sum(late.own_change_nano)::bigint FROM usage_latetruth late
               WHERE late.organisation_id = w.organisation_id AND late.attempt_id = w.id
                 AND late.posted_at IS NOT NULL
           )
    FROM whole w
    JOIN accounts_organisation o ON o.id = w.organisation_id
    LEFT JOIN accounts_team t ON t.id = w.team_id
    LEFT JOIN accounts_key k ON k.id = w.key_id
    LEFT JOIN accounts_user p ON p.id = w.user_id
    LEFT JOIN billing_hold hold ON hold.id = w.id
    LEFT JOIN billing_priceversion version ON version.id = w.price_version_id
    LEFT JOIN billing_price priced ON priced.id = version.price_id
    ORDER BY w.admitted_at, w.n"""
