"""What a request would hold, told before it is sent."""

from collections.abc import Awaitable, Callable, Iterable

from relay.auth import Principal
from relay.hold_placing import NOTHING_TAKEN, Taken, budgets_of, taken_by
from relay.request_context import Bound, RequestContext
from relay.request_reader import RequestReader
from relay.routing import RoutedRequest, route

ReadAvailable = Callable[[Principal, Iterable[int], Taken], Awaitable[int]]


async def read_bound(context: RequestContext, raw: bytes, available_nano: ReadAvailable) -> Bound:
    """What the request of this body would hold, sent now; `available_nano` reads what there is to
    hold. Raises RequestFault as sending it would, but for the money, and DatabaseAway."""
    reader = RequestReader(context)
    facts = reader.read_facts(raw)
    routed = route(context, facts, reader.find_model(facts.model))
    return await bound_of(context, routed, available_nano)


async def bound_of(
    context: RequestContext, routed: RoutedRequest, available_nano: ReadAvailable
) -> Bound:
    """What a routed request would hold. Raises RequestFault `max_cost_exceeded`, DatabaseAway."""
    bound, principal, taken = _bound(routed), context.principal, NOTHING_TAKEN
    if routed.estimate is not None:
        taken = taken_by(principal, routed, routed.estimate.first(), {})
    budgets = budgets_of(context, principal, routed.model)
    return _within(bound, routed, await available_nano(principal, budgets, taken))


def _bound(routed: RoutedRequest) -> Bound:
    if routed.price is None or routed.estimate is None:
        return Bound(0, None, 0, 0, None, 0, True)
    estimate, size = routed.estimate, routed.estimate.first()
    return Bound(
        size.hold_nano,
        size.output_cap,
        estimate.input_tokens,
        estimate.cap if size.output_cap is None else size.output_cap,
        routed.price.id,
        0,
        True,
    )


def _within(bound: Bound, routed: RoutedRequest, available_nano: int) -> Bound:
    """The bound for who has no more than that: with a smaller cap where there is none."""
    bound = bound._replace(available_nano=available_nano)
    if routed.estimate is None or bound.hold_nano <= available_nano:
        return bound
    size = routed.estimate.within(available_nano)
    if size is None:
        return bound._replace(fits=False)
    cap = bound.output_tokens if size.output_cap is None else size.output_cap
    return bound._replace(hold_nano=size.hold_nano, output_cap=cap, output_tokens=cap)
