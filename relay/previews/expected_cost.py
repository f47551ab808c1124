"""What a request will probably cost, beside what it may cost at most: its own text, counted, with
an answer of usual length and one use of each hosted tool. Nothing is decided by it.

Every preview uses `expected_bound`: `POST /v1/estimate`, the route preview, and the playground's
pages, so all of them show the same two amounts.
"""

from collections.abc import Mapping
from typing import Final

from billing.prices.pricing import total_of
from relay.attempts.request_reader import RequestReader
from relay.catalogue.snapshot import Channel
from relay.context.context import RequestContext
from relay.counting.estimates import estimate_tokens
from relay.counting.tokenizer import count_request
from relay.counting.vocabularies import Family, family_of
from relay.hold_sizes.bound import Bound
from relay.hold_sizes.estimate import add_request_meter
from relay.hold_sizes.tool_loop import usual_result_tokens
from relay.holds.preview import ReadAvailable, bound_of
from relay.operations.unary import UnaryFacts
from relay.routing.routing import RoutedRequest, route

# The mean of all answers (openrouter.ai, "State of AI", 2025-12).
ANSWER_TOKENS: Final = 400


async def read_bound(context: RequestContext, raw: bytes, available_nano: ReadAvailable) -> Bound:
    """Return what the request with this body would hold now, and its expected charge;
    `available_nano` reads the available balance. Raises RequestFault like sending it, except for
    lack of money, and DatabaseAway.
    """
    reader = RequestReader(context)
    facts = reader.read_facts(raw)
    routed = route(context, facts, reader.find_model(facts.model))
    return await expected_bound(context, routed, available_nano)


async def expected_bound(
    context: RequestContext, routed: RoutedRequest, available_nano: ReadAvailable
) -> Bound:
    """Return what a routed request would hold, and its expected charge. Raises RequestFault
    `max_cost_exceeded`, DatabaseAway."""
    bound = await bound_of(context, routed, available_nano)
    return bound._replace(expected_nano=expected_nano(context, routed, bound))


def expected_nano(context: RequestContext, routed: RoutedRequest, bound: Bound) -> int | None:
    """Return the expected charge of a routed request, in nano-USD: at most its hold, as every
    charge. None if its price has no rate for it, or if nothing tells how long its answer will
    be."""
    price, estimate = routed.price, routed.estimate
    if price is None or estimate is None:
        return 0
    candidate = routed.candidates[0]
    channel = context.snapshot.channels[candidate.channel_id]
    family = family_of(candidate.upstream_model, channel.provider.chat_template)
    if isinstance(routed.facts, UnaryFacts):
        units, rates = routed.facts.units, price.version.rates
        unit = next((unit for unit in units if unit.bound(rates) is not None), units[0])
        meters = unit.own_count(rates, family)
        if not meters or (_has_output(unit.bound(rates) or {}) and not _has_output(meters)):
            return None
    else:
        meters = _meters_of_chat(context, routed, channel, family, bound.output_tokens)
    if channel.own is not None:
        return min(channel.own.fee.nano_of(meters), bound.hold_nano)
    nano = total_of(add_request_meter(meters, price.version), price.version)
    return min(nano, bound.hold_nano) if isinstance(nano, int) else None


def _has_output(meters: Mapping[str, int]) -> bool:
    return any(count and name.startswith("out_") for name, count in meters.items())


def _meters_of_chat(
    context: RequestContext,
    routed: RoutedRequest,
    channel: Channel,
    family: Family,
    output_tokens: int,
) -> Mapping[str, int]:
    facts = routed.facts
    if routed.price is None:
        return {}
    asked = count_request(facts.body.raw, family) or estimate_tokens(facts.text_bytes)
    answer = min(output_tokens, ANSWER_TOKENS) * facts.choices
    meters = {"in_text": asked, "out_text": answer}
    tools = context.invocation.codec.hosted_tools(facts)
    if tools:
        result_tokens = usual_result_tokens(tools, channel.provider.hosted_tools)
        meters["in_text"] += asked + result_tokens
        searches = [name for name in routed.price.version.rates if name.startswith("searches")]
        if searches and any(tool.searches for tool in tools):
            meters[searches[0]] = 1
    return meters
