"""What a request will probably cost, beside what it may cost at most: its own text, counted, with
an answer of usual length and one use of each hosted tool. Nothing is decided by it."""

from collections.abc import Mapping
from typing import Final

from billing.prices.pricing import total_of
from relay.answers.unary import UnaryFacts
from relay.counting.tokenizer import count_request
from relay.counting.vocabularies import Family, family_of
from relay.holds.estimate import add_request_meter
from relay.holds.rules import estimate_tokens
from relay.holds.tool_loop import usual_result_tokens
from relay.requests.context import RequestContext
from relay.routing.routing import RoutedRequest
from relay.routing.snapshot import Channel

# The mean of all answers (openrouter.ai, "State of AI", 2025-12).
ANSWER_TOKENS: Final = 400


def expected_nano(context: RequestContext, routed: RoutedRequest) -> int | None:
    """Return the expected charge of a routed request, in nano-USD; None if its price has no rate
    for it."""
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
    else:
        meters = _meters_of_chat(context, routed, channel, family)
    nano = total_of(add_request_meter(meters, price.version), price.version)
    return nano if isinstance(nano, int) else None


def _meters_of_chat(
    context: RequestContext, routed: RoutedRequest, channel: Channel, family: Family
) -> Mapping[str, int]:
    facts, estimate = routed.facts, routed.estimate
    if estimate is None or routed.price is None:
        return {}
    asked = count_request(facts.body.raw, family) or estimate_tokens(facts.text_bytes)
    answer = min(estimate.cap, ANSWER_TOKENS) * facts.choices
    meters = {"in_text": asked, "out_text": answer}
    tools = context.invocation.codec.hosted_tools(facts)
    if tools:
        result_tokens = usual_result_tokens(tools, channel.provider.hosted_tools)
        meters["in_text"] += asked + result_tokens
        searches = [name for name in routed.price.version.rates if name.startswith("searches")]
        if searches and any(tool.searches for tool in tools):
            meters[searches[0]] = 1
    return meters
