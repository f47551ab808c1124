"""Show where a request would go, without sending it. It is read, routed and screened as in
`run.py`, and its channels are ordered as in `next_attempts.py`."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dialects.errors.errors import RequestFault
from gateway.channel_order.channel_order import Candidate, Skipped, first_place_percent
from gateway.routing.model_rule_bounds import Cause
from relay.attempts.next_attempts import RoutedModel, RoutedModels, Translator
from relay.attempts.request_reader import RequestReader
from relay.attempts.rules import ATTEMPTS_MAX, AttemptsLeft, attempt_order
from relay.context.context import RequestContext
from relay.downstream.downstream import ErrorAnswer
from relay.downstream.error_answers import answer_to
from relay.health.channels_out import ChannelsOut
from relay.hold_sizes.bound import Bound
from relay.holds.preview import ReadAvailable
from relay.preparation.continuation import continue_request
from relay.preparation.file_fetching import leave_files
from relay.previews.expected_cost import expected_bound
from relay.prompts.prompts import PROMPTED, fill_prompt
from relay.routing.routing import RoutedRequest
from usage.requests.choices import SkipReason, Why


class PreviewedAttempt(NamedTuple):
    """An attempt that would be made if those before it failed. `share_percent` is how often its
    channel comes first among the available ones of equal rank; None if the order is not random."""

    model: str
    channel: str
    upstream_model: str
    why: Why
    share_percent: int | None


class SkippedChannel(NamedTuple):
    """A channel that would be skipped. `wait_s`: after how long it is used if there is no other; 0
    if it is not waited for."""

    channel: str
    reason: SkipReason
    wait_s: float


class RoutePreview(NamedTuple):
    """Where a request would go. `model` is the name in the catalogue, "" if not found; `refusal` is
    the client's error if no channel is used; `bound` is what the first attempt would hold, which
    `routed` says in full.
    `fallbacks` are the models that may answer instead, each for one of `causes`.
    """

    model: str
    attempts: Sequence[PreviewedAttempt] = ()
    skipped: Sequence[SkippedChannel] = ()
    refusal: ErrorAnswer | None = None
    bound: Bound | None = None
    fallbacks: Sequence[str] = ()
    causes: frozenset[Cause] = frozenset()
    routed: RoutedRequest | None = None


async def preview_route(
    context: RequestContext, raw: bytes, available_nano: ReadAvailable
) -> RoutePreview:
    """Return where the request with this body would go now; `available_nano` reads the available
    balance. Raises DatabaseFailed.
    """
    reader = RequestReader(context)
    try:
        return await _preview(context, reader, raw, available_nano)
    except ChannelsOut as out:
        skipped = _name_skipped(context, out.skipped)
        return RoutePreview(reader.model_name, skipped=skipped, refusal=answer_to(out))
    except RequestFault as fault:
        return RoutePreview(reader.model_name, refusal=answer_to(fault))


async def _preview(
    context: RequestContext, reader: RequestReader, raw: bytes, available_nano: ReadAvailable
) -> RoutePreview:
    if b'"prompt"' in raw and context.invocation.operation in PROMPTED:
        raw = await fill_prompt(context, raw)
    facts = reader.read_facts(raw)
    continued = context.invocation.codec.continuation_of(facts)
    continuation = None if continued is None else await continue_request(context, continued)
    if continuation is not None:
        facts = continuation.facts
    model = reader.find_model(facts.model)
    fallbacks = reader.find_fallbacks(facts, model)
    models = RoutedModels(context, facts, continuation, fallbacks, fetch_files=leave_files)
    order = _Order(context)
    answering: RoutedModel | None = models.first(model)
    while answering is not None and order.attempt_count < ATTEMPTS_MAX:
        others = models.on_error
        fitting = await order.add(answering, fallback=others)
        following = models.next(failed=order.attempt_count > 0) if others else None
        if following is None and others:
            # No channel of this model can be used, so the attempt reserved for it becomes
            # available.
            order.take_rest(answering, fitting)
        answering = following
    skipped = _name_skipped(context, [*models.skipped, *order.skipped])
    if order.first is None:
        refusal = None if order.fault is None else answer_to(order.fault)
        return RoutePreview(model.name, skipped=skipped, refusal=refusal)
    bound = await expected_bound(context, order.first, available_nano)
    ordered = {attempt.channel for attempt in order.attempts}
    skipped = [item for item in skipped if item.channel not in ordered]
    names = [other.name for other in fallbacks.models]
    return RoutePreview(
        model=model.name,
        attempts=order.attempts,
        skipped=skipped,
        refusal=None,
        bound=bound,
        fallbacks=names,
        causes=fallbacks.causes,
        routed=order.first,
    )


class _Order:
    """The attempts, model by model, as if each of them failed. `first` is the data of the first
    attempt; `fault` is why the last model has none."""

    def __init__(self, context: RequestContext) -> None:
        self._context = context
        self._before: list[PreviewedAttempt] = []
        self.attempts: list[PreviewedAttempt] = []
        self.skipped: list[Skipped] = []
        self.first: RoutedRequest | None = None
        self.fault: RequestFault | None = None

    @property
    def attempt_count(self) -> int:
        return len(self.attempts)

    async def add(self, answering: RoutedModel, *, fallback: bool) -> list[Candidate]:
        """Add the attempts for one model, except the one reserved for a fallback; return the
        model's channels. Raises RequestFault if the request is refused for this model."""
        fitting, unfit, fault = await _fit(self._context, answering.translator, answering.routed)
        self.skipped += [*answering.routed.skipped, *unfit]
        self.fault, self._before = fault, self.attempts
        if fitting:
            self.first = self.first or answering.routed
            left = AttemptsLeft(len(self._before), fallback)
            self.attempts = [*self._before, *_attempts(self._context, answering, fitting, left)]
        elif fault is not None and not self._before and fault.kind != "unsupported_capability":
            raise fault
        return fitting

    def take_rest(self, answering: RoutedModel, fitting: list[Candidate]) -> None:
        """Add the attempt for the last model that was reserved for a fallback."""
        left = AttemptsLeft(len(self._before))
        self.attempts = [*self._before, *_attempts(self._context, answering, fitting, left)]


async def _fit(
    context: RequestContext, translator: Translator, routed: RoutedRequest
) -> tuple[list[Candidate], list[Skipped], RequestFault | None]:
    """Return the channels that can serve this request, those that cannot, and the error if none
    can."""
    health, organisation_id = context.parts.health, context.principal.organisation_id
    unfit: list[Skipped] = []
    fault: RequestFault | None = None
    for candidates in (routed.candidates, routed.resting):
        if candidates is routed.resting:
            # No healthy channel can serve this request.
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
    context: RequestContext,
    answering: RoutedModel,
    fitting: Sequence[Candidate],
    left: AttemptsLeft,
) -> list[PreviewedAttempt]:
    routed, channels, now = answering.routed, context.snapshot.channels, context.parts.health.now()
    model = routed.model.name
    spent = routed.retry_budget.spent({item.channel_id for item in fitting}, now)
    routes, drawn = context.snapshot.routes_of(model), [item.channel_id for item in fitting]
    if context.snapshot.rule_of(model).pick != "weight":
        drawn = []
    shares = first_place_percent(model, routes, drawn)
    attempts: list[PreviewedAttempt] = []
    before: Candidate | None = None
    for candidate in attempt_order(fitting, left, closed=spent):
        why = answering.why or candidate.why
        if before is not None:
            why = "retry" if candidate == before else "failover"
        name, share = channels[candidate.channel_id].name, shares.get(candidate.channel_id)
        attempts.append(PreviewedAttempt(model, name, candidate.upstream_model, why, share))
        before = candidate
    return attempts


def _name_skipped(context: RequestContext, skipped: Iterable[Skipped]) -> list[SkippedChannel]:
    """Return the first known reason of each channel."""
    channels = context.snapshot.channels
    named: dict[str, SkippedChannel] = {}
    for channel_id, reason, wait_s in skipped:
        name = channels[channel_id].name
        named.setdefault(name, SkippedChannel(name, reason, wait_s))
    return list(named.values())
