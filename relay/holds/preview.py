"""What a request would hold, computed without sending it."""

from collections.abc import Awaitable, Callable, Iterable

from billing.currency.money import format_usd
from dialects.codec import Facts
from dialects.errors.errors import RequestFault
from gateway.providers.suffixes import RequestedModel
from relay.context.context import RequestContext
from relay.credentials.keys import Principal
from relay.downstream.limit_answers import UsedUp
from relay.hold_sizes.bound import Bound
from relay.holds.admitted_attempt import OwnKeyHold
from relay.holds.place_hold import NOTHING_TAKEN, Taken, budgets_of, own_hold_of, take_units
from relay.routing.routing import RoutedRequest, route

ReadAvailable = Callable[[Principal, Iterable[int], Taken], Awaitable[int]]


async def bound_of(
    context: RequestContext, routed: RoutedRequest, available_nano: ReadAvailable
) -> Bound:
    """Return what a routed request would hold. Raises RequestFault `max_cost_exceeded`,
    DatabaseAway."""
    bound, principal, taken = _bound(routed), context.principal, NOTHING_TAKEN
    own = _own_hold(context, routed)
    if own is not None:
        in_wallet_nano = await available_nano(principal, (), taken)
        return bound._replace(
            hold_nano=own.fee_nano,
            available_nano=in_wallet_nano,
            fits=own.fee_nano <= in_wallet_nano,
        )
    if routed.estimate is not None:
        taken = take_units(principal, routed, routed.estimate.first(), {})
        bound = bound._replace(units_nano=taken.nano)
    budgets = budgets_of(context, principal, routed.model)
    return _fit_balance(bound, routed, await available_nano(principal, budgets, taken))


async def check_means(context: RequestContext, facts: Facts, model: RequestedModel) -> None:
    """Check that at least one channel would not refuse the request for lack of money, because
    otherwise waiting for a channel does not help. Raises RequestFault, ChannelsOut,
    DatabaseAway."""
    routed = route(context, facts, model, whatever_rests=True)
    estimate, principal = routed.estimate, context.principal
    if estimate is None:
        return
    read = context.parts.available_nano
    bound = await bound_of(context, routed, read)
    if bound.fits:
        return
    if _own_hold(context, routed) is not None:
        url = context.parts.config.public_url
        raise UsedUp(None, bound.hold_nano, bound.available_nano, url)
    taken = take_units(principal, routed, estimate.first(), {})
    in_wallet_nano = await read(principal, (), taken)
    if not _fit_balance(_bound(routed), routed, in_wallet_nano).fits:
        url = context.parts.config.public_url
        raise UsedUp(None, estimate.least_nano, in_wallet_nano, url)
    needed, available = format_usd(estimate.least_nano), format_usd(bound.available_nano)
    what = f"a budget has too little left: {available} USD; this request may cost {needed} USD"
    raise RequestFault("insufficient_balance", None, what)


def _own_hold(context: RequestContext, routed: RoutedRequest) -> OwnKeyHold | None:
    """Return what the first attempt holds, if it uses its organisation's own key."""
    if routed.estimate is None or not routed.candidates:
        return None
    channel = context.snapshot.channels[routed.candidates[0].channel_id]
    return own_hold_of(channel, routed, routed.estimate.first())


def _bound(routed: RoutedRequest) -> Bound:
    if routed.price is None or routed.estimate is None:
        return Bound(
            hold_nano=0,
            output_cap=None,
            input_tokens=0,
            output_tokens=0,
            price_version_id=None,
            available_nano=0,
            fits=True,
        )
    estimate, size = routed.estimate, routed.estimate.first()
    return Bound(
        hold_nano=size.hold_nano,
        output_cap=size.output_cap,
        input_tokens=estimate.input_tokens,
        output_tokens=estimate.cap if size.output_cap is None else size.output_cap,
        price_version_id=routed.price.id,
        available_nano=0,
        fits=True,
    )


def _fit_balance(bound: Bound, routed: RoutedRequest, available_nano: int) -> Bound:
    """Return the bound with a smaller cap if the available balance requires it and the request has
    no cap."""
    bound = bound._replace(available_nano=available_nano)
    if routed.estimate is None or bound.hold_nano <= available_nano:
        return bound
    size = routed.estimate.within(available_nano)
    if size is None:
        return bound._replace(fits=False)
    cap = bound.output_tokens if size.output_cap is None else size.output_cap
    return bound._replace(hold_nano=size.hold_nano, output_cap=cap, output_tokens=cap)
