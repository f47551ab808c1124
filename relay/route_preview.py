"""Where a request would go, told without sending it: read, routed and fitted as `run.py` does it,
and put in the order in which `fail_over.py` asks."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

from dialects.chat import Base64
from dialects.errors import RequestFault
from gateway.rules.fail_over import attempt_order
from gateway.rules.routing import Candidate, Skipped, first_place_percent
from lib.egress import EgressPolicy
from relay.auth import Principal
from relay.continuation import continue_request
from relay.downstream import ErrorAnswer
from relay.error_answers import ChannelsOut, answer_to
from relay.hold_placing import budgets_of
from relay.hold_preview import bound_within
from relay.request_context import Bound, RequestContext
from relay.request_reader import RequestReader
from relay.request_translator import RequestTranslator
from relay.routing import RoutedRequest, route
from usage.rules.choices import SkipReason, Why

_ReadAvailable = Callable[[Principal, Iterable[int]], Awaitable[int]]


class PreviewedAttempt(NamedTuple):
    """An attempt that would be made if those before it failed. `share_percent`: how often its
    channel comes first among those of equal rank that can be asked, None where that is not
    drawn."""

    channel: str
    upstream_model: str
    why: Why
    share_percent: int | None


class SkippedChannel(NamedTuple):
    """A channel that would be passed over. `wait_s`: until it is asked if there is nothing else, 0
    where it is not waited for."""

    channel: str
    reason: SkipReason
    wait_s: float


class RoutePreview(NamedTuple):
    """Where a request would go. `model` is the name in the catalogue, "" where it is not found;
    `refusal` is what the client would be answered where nothing is asked at all; `bound` is what
    the first attempt would hold."""

    model: str
    attempts: Sequence[PreviewedAttempt] = ()
    skipped: Sequence[SkippedChannel] = ()
    refusal: ErrorAnswer | None = None
    bound: Bound | None = None


async def preview_route(
    context: RequestContext, raw: bytes, available_nano: _ReadAvailable
) -> RoutePreview:
    """Where the request of this body would go, sent now; `available_nano` reads what there is to
    hold. Raises DatabaseAway, DatabaseRefused."""
    reader = RequestReader(context)
    try:
        return await _preview(context, reader, raw, available_nano)
    except ChannelsOut as out:
        skipped = _named(context, out.skipped)
        return RoutePreview(reader.model_name, skipped=skipped, refusal=answer_to(out))
    except RequestFault as fault:
        return RoutePreview(reader.model_name, refusal=answer_to(fault))


async def _preview(
    context: RequestContext, reader: RequestReader, raw: bytes, available_nano: _ReadAvailable
) -> RoutePreview:
    facts = reader.read_facts(raw)
    stated = context.invocation.codec.continuation_of(facts)
    continuation = None if stated is None else await continue_request(context, stated)
    if continuation is not None:
        facts = continuation.facts
    model = reader.find_model(facts.model)
    routed = route(context, facts, model)
    translator = RequestTranslator(
        context,
        facts,
        model,
        cap_max=routed.cap_max(context.parts.config.output_tokens_assumed),
        continuation=continuation,
        fetch_files=_leave_files,
    )
    fitting, unfit, fault = await _fit(context, translator, routed)
    skipped = _named(context, [*routed.skipped, *unfit])
    if fault is not None:
        return RoutePreview(model.name, skipped=skipped, refusal=answer_to(fault))
    budgets = budgets_of(context, context.principal, model)
    bound = bound_within(routed, await available_nano(context.principal, budgets))
    attempts = _attempts(context, routed, fitting)
    asked = {attempt.channel for attempt in attempts}
    skipped = [item for item in skipped if item.channel not in asked]
    return RoutePreview(model.name, attempts, skipped, bound=bound)


async def _leave_files(urls: Sequence[str], policy: EgressPolicy) -> dict[str, Base64]:
    """Nothing is asked of anybody: a file is taken to be there."""
    return {url: Base64("", "") for url in urls}


async def _fit(
    context: RequestContext, translator: RequestTranslator, routed: RoutedRequest
) -> tuple[list[Candidate], list[Skipped], RequestFault | None]:
    """Those that can serve this request, those that cannot, and why none can."""
    health, organisation_id = context.parts.health, context.principal.organisation_id
    unfit: list[Skipped] = []
    fault: RequestFault | None = None
    for candidates in (routed.candidates, routed.resting):
        if candidates is routed.resting:
            # Nothing that is well can serve this one.
            candidates = health.ready(list(candidates), organisation_id)
        fitting = []
        for candidate in candidates:
            try:
                await translator.prepare(candidate)
                fitting.append(candidate)
            except RequestFault as refused:
                fault = refused
                unfit.append(Skipped(candidate.channel_id, "unsupported"))
        if fitting:
            return fitting, unfit, None
    return [], unfit, fault


def _attempts(
    context: RequestContext, routed: RoutedRequest, fitting: Sequence[Candidate]
) -> list[PreviewedAttempt]:
    channels, now = context.snapshot.channels, context.parts.health.now()
    spent = routed.retry_budget.spent({item.channel_id for item in fitting}, now)
    routes = context.snapshot.routes_of(routed.model.name)
    shares = first_place_percent(routed.model.name, routes, [item.channel_id for item in fitting])
    attempts: list[PreviewedAttempt] = []
    before: Candidate | None = None
    for candidate in attempt_order(fitting, closed=spent):
        why: Why = candidate.why
        if before is not None:
            why = "retry" if candidate == before else "failover"
        name, share = channels[candidate.channel_id].name, shares.get(candidate.channel_id)
        attempts.append(PreviewedAttempt(name, candidate.upstream_model, why, share))
        before = candidate
    return attempts


def _named(context: RequestContext, skipped: Iterable[Skipped]) -> list[SkippedChannel]:
    """The first reason that is known of each channel."""
    channels = context.snapshot.channels
    named: dict[str, SkippedChannel] = {}
    for channel_id, reason, wait_s in skipped:
        name = channels[channel_id].name
        named.setdefault(name, SkippedChannel(name, reason, wait_s))
    return list(named.values())
