"""What a request would hold, in full: each meter with its most, its rate and its amount. Nothing is
sent, held or charged, and it is routed and bound as the request itself would be."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from billing.currency.money import format_usd, round_half_even
from billing.prices.meters import format_rate
from billing.prices.pricing import PPM, CostLine, CostLines, price_bound
from relay.context.context import RequestContext
from relay.endpoints.several_prompts import Prompts
from relay.front.request import Request
from relay.hold_sizes.bound import Bound
from relay.hold_sizes.estimate import PricedBound
from relay.holds.admitted_attempt import OwnKeyHold
from relay.holds.place_hold import own_hold_of
from relay.previews.route_preview import RoutePreview, preview_route
from relay.routing.routing import RoutedRequest


async def answer_estimate(request: Request, context: RequestContext, raw: bytes) -> None:
    """Answer what the request with this body would hold. Raises RequestFault, DatabaseFailed."""
    several = context.invocation.operation == "completions"
    previews = []
    for body in Prompts(context).bodies(raw) if several else [raw]:
        preview = await preview_route(context, body, request.life.available_nano)
        if preview.refusal is not None:
            await request.sink.refuse(preview.refusal)
            return
        previews.append(preview)
    await request.respond(_answer_of(context, previews))


def _answer_of(context: RequestContext, previews: list[RoutePreview]) -> dict[str, Any]:
    bounds = [preview.bound for preview in previews if preview.bound is not None]
    routed = [preview.routed for preview in previews if preview.routed is not None]
    held_nano = sum(bound.hold_nano for bound in bounds)
    available_nano = min((bound.available_nano for bound in bounds), default=0)
    known = [bound.expected_nano for bound in bounds if bound.expected_nano is not None]
    return {
        "object": "estimate",
        "operation": context.invocation.operation,
        "model": previews[0].model,
        "currency": "USD",
        "reserved": format_usd(held_nano),
        "expected": format_usd(sum(known)) if len(known) == len(bounds) else None,
        "available": format_usd(available_nano),
        "fits": all(bound.fits for bound in bounds) and _fit_together(bounds),
        "output_cap": bounds[0].output_cap,
        "meters": [
            line
            for one, bound in zip(routed, bounds, strict=True)
            for line in _lines(context, one, bound.output_cap)
        ],
    }


def _fit_together(bounds: Sequence[Bound]) -> bool:
    """Return whether the wallet and the budgets cover what included units do not pay."""
    paid_nano = sum(bound.hold_nano - bound.units_nano for bound in bounds)
    left_nano = min((bound.available_nano - bound.units_nano for bound in bounds), default=0)
    return len(bounds) < 2 or paid_nano <= left_nano


def _lines(context: RequestContext, routed: RoutedRequest, cap: int | None) -> list[dict[str, Any]]:
    """Return why that much is held: a line for each meter. None for a free model."""
    if routed.estimate is None:
        return []
    own = _own_hold(context, routed)
    if own is not None:
        return [{"meter": "own_key_fee", "amount": format_usd(own.fee_nano)}]
    return [line for part in routed.estimate.parts(cap) for line in _lines_of(part)]


def _own_hold(context: RequestContext, routed: RoutedRequest) -> OwnKeyHold | None:
    if routed.estimate is None or not routed.candidates:
        return None
    channel = context.snapshot.channels[routed.candidates[0].channel_id]
    return own_hold_of(channel, routed, routed.estimate.first())


def _lines_of(part: PricedBound) -> Iterable[dict[str, Any]]:
    priced = price_bound(part.quantities, part.version)
    for line in priced.lines if isinstance(priced, CostLines) else ():
        yield _write_line(line) | ({"model": part.model} if part.model else {})


def _write_line(line: CostLine) -> dict[str, Any]:
    rate = Fraction(line.rate_nano_per_million * line.multiplier_ppm * line.condition_ppm, PPM**2)
    amount = line.amount_nano
    return {
        "meter": line.meter,
        "quantity": line.quantity,
        "rate": format_rate(line.meter, round_half_even(rate.numerator, rate.denominator)),
        "amount": format_usd(round_half_even(amount.numerator, amount.denominator)),
    }
