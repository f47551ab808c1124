"""What a request would hold, told before it is sent."""

from collections.abc import Awaitable, Callable, Iterable

from relay.auth import Principal
from relay.hold_placing import budgets_of
from relay.request_context import Bound, RequestContext
from relay.request_reader import RequestReader
from relay.routing import RoutedRequest, route

_ReadAvailable = Callable[[Principal, Iterable[int]], Awaitable[int]]


async def read_bound(context: RequestContext, raw: bytes, available_nano: _ReadAvailable) -> Bound:
    """What the request of this body would hold, sent now; `available_nano` reads what there is to
    hold. Raises RequestFault as sending it would, but for the money, and DatabaseAway."""
    reader, principal = RequestReader(context), context.principal
    facts = reader.read_facts(raw)
    model = reader.find_model(facts.model)
    routed = route(context, facts, model)
    budgets = budgets_of(context, principal, model)
    return bound_within(routed, await available_nano(principal, budgets))


def bound_within(routed: RoutedRequest, available_nano: int) -> Bound:
    """What a routed request would hold of that much. Raises RequestFault `max_cost_exceeded`."""
    return _within(_bound(routed), routed, available_nano)


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
