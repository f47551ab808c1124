"""The channels that may answer a request, best first; the price that covers all these channels, and
the amount to hold."""

import random
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, Protocol, cast

import msgspec

from accounts.limits.data_policy import NO_POLICY, DataPolicy, combine_policies
from billing.prices.lookup import Price, asked_conditions, requested_tier
from dialects.chat.hosted_tools import HostedTools
from dialects.codec import Facts
from dialects.errors.errors import RequestFault
from dialects.json.body import Body
from dialects.json.not_json import NOT_JSON
from dialects.json.request_members import unpriced_members
from gateway.breaker.retry_budget import RetryBudget
from gateway.channel_order.channel_order import Candidate, Ordering, Skipped, plan
from gateway.channel_order.tie_breaking import MEASURED
from gateway.channels.overrides.condition_rules import Feature, ScreenedRequest
from gateway.own_keys.routes import OwnKeyRequired, plan_own
from gateway.providers.capabilities import Capabilities
from gateway.providers.models import capabilities_of, find_row
from gateway.providers.overrides import apply_overrides
from gateway.providers.provider import Provider
from gateway.providers.suffixes import RequestedModel
from relay.catalogue.snapshot import Channel
from relay.context.context import RequestContext
from relay.counting.estimates import estimate_tokens
from relay.health.channels_out import none_on, none_ready, none_suits
from relay.health.operator_alerts import Alert
from relay.hold_sizes.estimate import HoldEstimate, Step, UnaryHoldEstimate, Unpriced
from relay.hold_sizes.rules import THINKING_TOKENS, UNSEEN_TOKENS
from relay.hold_sizes.tool_loop import ToolLoop, loop_of
from relay.operations.unary import UnaryFacts
from relay.preparation.fitting_overrides import fit_overrides
from relay.routing.model_products import misdirected_fault, unpriced_fault, unpriced_members_fault
from usage.requests.choices import SkipReason

# The members of a body in which a conversation may be.
_TEXTS: Final = ("messages", "contents", "input")
_ALLOW_FALLBACK: Final = (
    "let the key fall back to the installation's channels (Provider keys), or use another model"
)
_NO_OWN_OPERATION: Final = (
    "your organisation uses model {model} with its own provider key only, and such keys serve no "
    f"realtime or Live sessions; {_ALLOW_FALLBACK}"
)
_NO_OWN_KEY: Final = (
    "your organisation uses model {model} with its own provider key only, and that key cannot be "
    f"used now: it is no longer offered, or its channel is turned off; {_ALLOW_FALLBACK}"
)


class RoutedRequest(msgspec.Struct, frozen=True):
    """A request with the channels that may answer it. `candidates` are available now, best first;
    `resting` are those that rest while others can serve; `planned` are all that serve the model, in
    the order of the routes; `skipped` are those of them that are passed over, with reasons. `price`
    and `estimate` are None for a free model. `retry_budget` limits the model's further attempts.
    `affinity` keeps related requests at one channel and key; empty if nothing does."""

    facts: Facts
    model: RequestedModel
    candidates: Sequence[Candidate]
    resting: Sequence[Candidate]
    planned: Sequence[Candidate]
    skipped: Sequence[Skipped]
    price: Price | None
    estimate: HoldEstimate | UnaryHoldEstimate | None
    retry_budget: RetryBudget
    affinity: bytes = b""

    def cap_max(self, assumed: int) -> int:
        """Return the output cap of a request without one; `assumed` for a free model."""
        return assumed if self.estimate is None else self.estimate.cap


def draw_seed() -> int:
    """Return the seed of the random order among equals, different for each request."""
    return random.getrandbits(64)


def route(
    context: RequestContext, facts: Facts, model: RequestedModel, *, whatever_rests: bool = False
) -> RoutedRequest:
    """Return the route of a request. Raises RequestFault, and ChannelsOut if no channel of the
    model is available now. With `whatever_rests` temporary reasons are ignored."""
    health, organisation_id = context.parts.health, context.principal.organisation_id
    affinity = affinity_of(context, facts, model.name)
    planned = _plan_candidates(context, facts, model.name, affinity)
    if context.snapshot.own_keys:
        planned = plan_own_keys(context, planned, model.name)
    if isinstance(facts, UnaryFacts) and facts.only_channel is not None:
        planned = _with_only_key(context, facts, planned)
    candidates, skipped = screen(context, facts, planned)
    price, estimate = _keep_priced(context, facts, model, candidates)
    if price is None and context.snapshot.unpriced_models == "alert":
        health.alerts.report(Alert("", "", "unpriced", model.name))
    ready = candidates if whatever_rests else health.ready(candidates, organisation_id)
    retry_budget = health.budget(model.name)
    if not planned and not whatever_rests:
        raise none_on(
            facts.model, context.snapshot.off_channels(model.name), context.snapshot.now()
        )
    if not ready and planned:
        skipped = [*skipped, *health.skipped(candidates, organisation_id)]
        channels = context.snapshot.channels
        own = all(channels[candidate.channel_id].own for candidate in candidates)
        blocks = health.blocks(candidates, organisation_id)
        raise none_ready(facts.model, blocks, skipped, own=own)
    resting: Sequence[Candidate] = ()
    if len(ready) < len(candidates):
        resting = [candidate for candidate in candidates if candidate not in ready]
        skipped = [*skipped, *health.skipped(resting, organisation_id)]
    return RoutedRequest(
        facts=facts,
        model=model,
        candidates=ready,
        resting=resting,
        planned=planned,
        skipped=skipped,
        price=price,
        estimate=estimate,
        retry_budget=retry_budget,
        affinity=affinity,
    )


def stay(
    context: RequestContext, facts: Facts, model: RequestedModel, channel_id: str
) -> RoutedRequest:
    """Return the route of the next request on an open connection, even if its channel is failing.
    Raises RequestFault if the channel no longer serves the model, ChannelsOut if it may not serve
    this request."""
    snapshot = context.snapshot
    planned = [
        candidate
        for candidate in plan(model.name, snapshot.routes_of(model.name), seed=0)
        if candidate.channel_id == channel_id
    ]
    if not planned:
        raise RequestFault("no_channel", None, "", model=facts.model)
    candidates, skipped = screen(context, facts, planned)
    price, estimate = _keep_priced(context, facts, model, candidates)
    retry_budget = context.parts.health.budget(model.name)
    return RoutedRequest(
        facts=facts,
        model=model,
        candidates=candidates,
        resting=(),
        planned=planned,
        skipped=skipped,
        price=price,
        estimate=estimate,
        retry_budget=retry_budget,
    )


def _plan_candidates(
    context: RequestContext, facts: Facts, model: str, affinity: bytes
) -> list[Candidate]:
    snapshot = context.snapshot
    only = snapshot.only_candidate(model)
    if isinstance(facts, UnaryFacts) and facts.only_channel is not None:
        return _only_candidates(context, facts, model)
    if only:
        return only
    ordering = ordering_of(context, model, affinity)
    return plan(model, snapshot.routes_of(model), seed=draw_seed(), ordering=ordering)


def plan_own_keys(context: RequestContext, planned: list[Candidate], model: str) -> list[Candidate]:
    """Return the plan of a request, including its organisation's own keys. Raises RequestFault if
    only own keys may serve it, and none can."""
    snapshot, principal = context.snapshot, context.principal
    if principal.organisation_id not in snapshot.own_keys or not planned:
        return planned
    try:
        return plan_own(
            planned,
            snapshot.own_keys,
            model=snapshot.served_name(model),
            operation=context.invocation.operation,
            organisation_id=principal.organisation_id,
            team_id=principal.team_id,
        )
    except OwnKeyRequired as required:
        what = _NO_OWN_OPERATION if required.operation else _NO_OWN_KEY
        raise RequestFault(
            "unsupported_capability", "model", what.format(model=model)
        ) from required


def _only_candidates(context: RequestContext, facts: UnaryFacts, model: str) -> list[Candidate]:
    """Return the only channel that has the request's object; none if it no longer serves the
    model."""
    snapshot = context.snapshot
    return [
        candidate
        for candidate in plan(model, snapshot.routes_of(model), seed=0)
        if snapshot.channels[candidate.channel_id].uuid == facts.only_channel
    ]


def _with_only_key(
    context: RequestContext, facts: UnaryFacts, planned: Sequence[Candidate]
) -> list[Candidate]:
    """Return the candidate with the key that has the request's object, which is the channel's or
    one of the organisation's own. Raises RequestFault if there is none."""
    channels = context.snapshot.channels
    candidates = []
    for candidate in planned:
        channel = channels[candidate.channel_id]
        has_key = (
            channel.own is None if facts.only_key is None else facts.only_key in channel.key_ids
        )
        if has_key:
            candidates.append(candidate)
    if not candidates:
        raise RequestFault("no_channel", None, "", model=facts.model)
    return candidates


def _keep_priced(
    context: RequestContext, facts: Facts, model: RequestedModel, candidates: Sequence[Candidate]
) -> tuple[Price | None, HoldEstimate | UnaryHoldEstimate | None]:
    """Return the common price and the estimate of the hold; None for a free model. Raises
    RequestFault if the model makes another kind of product, or if no price covers the request or
    its parts."""
    price = _price(context, facts, model.name, candidates)
    operation = context.invocation.operation
    channels, providers, known = context.snapshot.channels, list[Provider](), None
    for candidate in candidates:
        providers.append(channels[candidate.channel_id].provider)
        known = known or find_row(candidate.upstream_model)
    known = known or find_row(model.name)
    makers = (provider.name for provider in providers)
    misdirected = misdirected_fault(model, operation, known, price, makers)
    if misdirected is not None:
        raise misdirected
    public_url = context.parts.config.public_url
    if price is not None and price.listed:
        dialect, unary = context.invocation.codec.name, context.invocation.unary
        # A translation carries no hosted tools of the client's dialect (`client_names.omit_tool`).
        as_it_came = (unary is not None and unary.has_tools) or any(
            dialect in provider.dialects for provider in providers
        )
        if as_it_came and (unpriced := unpriced_members(dialect, facts.body)):
            raise unpriced_members_fault(model, unpriced, public_url)
    try:
        if price is not None:
            return price, _estimate(context, facts, model.name, price, candidates)
        if context.snapshot.unpriced_models != "reject":
            return None, None
    except Unpriced:
        pass
    raise unpriced_fault(model, operation, known, price, public_url)


def _price(
    context: RequestContext, facts: Facts, model: str, candidates: Sequence[Candidate]
) -> Price | None:
    """Return the price that covers the request at every candidate."""
    snapshot, principal = context.snapshot, context.principal
    multiplier_ppm = snapshot.multiplier_for(model, principal.price_plan_id, principal.multipliers)
    price = snapshot.price_of(model, multiplier_ppm)
    if price is None:
        return None
    # The tier in the body decides, and the other conditions that the request asks for.
    tier = requested_tier(facts.body)
    if price.regions:
        channels = snapshot.channels
        price = price.within(
            channels[candidate.channel_id].priced_in(candidate.upstream_model)
            for candidate in candidates
        )
    if tier or price.others or price.regions:
        price = price.for_request(tier)
    return price.asking(asked_conditions(facts.body))


def _estimate(
    context: RequestContext,
    facts: Facts,
    name: str,
    price: Price,
    candidates: Sequence[Candidate],
) -> HoldEstimate | UnaryHoldEstimate:
    max_cost_nano = facts.max_cost_nano
    limit = context.options.max_cost_nano
    if limit is not None:
        max_cost_nano = limit if max_cost_nano is None else min(limit, max_cost_nano)
    if isinstance(facts, UnaryFacts):
        return UnaryHoldEstimate(facts, price, max_cost_nano=max_cost_nano)
    assumed, codec = context.parts.config.output_tokens_assumed, context.invocation.codec
    unseen, channels = codec.unseen_input(facts), []
    tools = codec.hosted_tools(facts)
    # The maximum output, if it is known for every model that may answer; a model whose channels are
    # all off is estimated too, to tell a caller first that it could not pay.
    unseen_tokens = thinking_tokens = added_bytes = 0
    assumed_cap = 0 if candidates else assumed
    tokens_max = context.principal.tpm
    if context.snapshot.limited:
        tokens_max = _tokens_max(context, candidates)
    for candidate in candidates:
        channel = context.snapshot.channels[candidate.channel_id]
        model = capabilities_of(candidate.upstream_model, channel.provider, facts.model)
        if candidate.overrides:
            model = apply_overrides(model, candidate.overrides)
        assumed_cap = max(assumed_cap, model.output_max or assumed)
        if "cap_without_thinking" in model.flags:
            thinking_tokens = max(thinking_tokens, model.output_max or THINKING_TOKENS)
        if unseen:
            unseen_tokens = max(unseen_tokens, _unseen_tokens(model))
        if channel.overrides is not None:
            overrides = fit_overrides(context, channel.overrides, name)
            added_bytes = max(added_bytes, overrides.added_bytes)
        channels.append(channel)
    return HoldEstimate(
        facts,
        price,
        channels,
        assumed_cap=assumed_cap,
        max_cost_nano=max_cost_nano,
        tokens_max=tokens_max,
        unseen_tokens=unseen_tokens,
        thinking_tokens=thinking_tokens,
        searches=sum(tool.searches for tool in tools) if tools else 0,
        tool_loop=_tool_loop(context, facts, candidates, tools) if tools else None,
        added_bytes=added_bytes,
        steps=_steps(context, facts, price, assumed_cap),
    )


def _tool_loop(
    context: RequestContext, facts: Facts, candidates: Sequence[Candidate], tools: HostedTools
) -> ToolLoop:
    """Return the largest loop of the request's hosted tools at any candidate."""
    hosts = []
    for candidate in candidates:
        provider = context.snapshot.channels[candidate.channel_id].provider
        model = capabilities_of(candidate.upstream_model, provider, facts.model)
        if candidate.overrides:
            model = apply_overrides(model, candidate.overrides)
        hosts.append((provider.hosted_tools, model.context_max))
    return loop_of(tools, hosts)


def _steps(context: RequestContext, facts: Facts, price: Price, output_max: int) -> Sequence[Step]:
    """Return the steps that may be billed in addition to the answer, at the prices of the models
    that may do them. A model without a price is put under review."""
    wanted = context.invocation.codec.other_steps(facts)
    if wanted is None:
        return ()
    # The request's multiplier applies, whichever model does a part of it.
    snapshot, multiplier_ppm = context.snapshot, price.version.multiplier_ppm
    asked = price.asked
    steps = []
    if wanted.compacts:
        # The whole is read once to be summarised, and then the summary and the rest.
        steps.append(Step(price.bound, output_tokens=output_max))
        steps.append(Step(price.bound, output_tokens=0, summary_tokens=output_max))
    names = wanted.fallbacks
    if wanted.any_fallback:
        names += snapshot.dearest_like(facts.model)
    for name in names:
        other = snapshot.price_of(name, multiplier_ppm)
        if other is not None:
            steps.append(Step(other.asking(asked).bound, model=name))
    for advisor in wanted.advisors:
        other = snapshot.price_of(advisor.model, multiplier_ppm)
        if other is not None:
            output = output_max if advisor.output_cap is None else advisor.output_cap
            bound = other.asking(asked).bound
            steps.append(Step(bound, advisor.uses, output, model=advisor.model))
    return steps


def _tokens_max(context: RequestContext, candidates: Sequence[Candidate]) -> int | None:
    """Return the tokens-per-minute limit that a request must fit: its client's, or the largest of
    the channels' if each channel has one."""
    limits = [context.snapshot.channels[candidate.channel_id].limits for candidate in candidates]
    of_client = context.principal.tpm
    of_channels = [item.tpm for item in limits if item is not None and item.tpm is not None]
    if len(of_channels) < len(limits):
        return of_client
    widest = max(of_channels, default=None)
    return min((n for n in (of_client, widest) if n is not None), default=None)


def _unseen_tokens(model: Capabilities) -> int:
    """Return an upper bound of the input that is outside the body: the model's context size."""
    return model.context_max or UNSEEN_TOKENS


_NO_TOOLS: Final = frozenset({None, b"[]", b"null"})


# The channels that may serve a request at all, by data policy, payment and the operators'
# conditions. Temporary reasons are in `channel_health.py`.


class ScreenedFacts(Protocol):
    """The facts that screening requires."""

    @property
    def body(self) -> Body: ...
    @property
    def model(self) -> str: ...
    @property
    def text_bytes(self) -> int: ...
    @property
    def media(self) -> Mapping[Any, int]: ...


def screen(
    context: RequestContext, facts: ScreenedFacts, planned: list[Candidate]
) -> tuple[list[Candidate], Sequence[Skipped]]:
    """Return the channels that may serve the request, and why the others may not. Raises
    ChannelsOut if none may.
    """
    policy = policy_of(context)
    if policy is NO_POLICY and not context.snapshot.selective:
        return planned, ()
    screening = _Screening(context, facts, policy)
    left: list[Candidate] = []
    skipped: list[Skipped] = []
    for candidate in planned:
        channel = context.snapshot.channels[candidate.channel_id]
        reason = screening.why_not(channel)
        if reason is None:
            left.append(candidate)
        else:
            skipped.append(Skipped(candidate.channel_id, reason))
    if skipped and not left:
        raise none_suits(facts.model, policy, skipped)
    return left, skipped


def policy_of(context: RequestContext) -> DataPolicy:
    """Return the data policy of a request, which combines the rules of its organisation, its key
    and the request itself."""
    own, requested = context.principal.data_policy, context.options.data_policy
    return own if requested is NO_POLICY else combine_policies((own, requested))


class _Screening:
    """Checks which channels may serve one request. Each property of the request is computed at most
    once."""

    def __init__(self, context: RequestContext, facts: ScreenedFacts, policy: DataPolicy) -> None:
        self._context = context
        self._facts = facts
        self._policy = policy
        self._screened: ScreenedRequest | None = None

    def why_not(self, channel: Channel) -> SkipReason | None:
        reason = self._policy.why_not(zero_retention=channel.zero_retention, region=channel.region)
        if reason is not None:
            return reason
        if channel.uncapped and not self._context.principal.postpaid:
            # The installation pays for output above a hold (I13).
            return "prepaid"
        if channel.conditions is None:
            return None
        if self._screened is None:
            self._screened = _build_screened(self._context, self._facts)
        return channel.conditions.why_not(self._screened)


def has_tools(facts: ScreenedFacts) -> bool:
    """Return whether a request lets the model call tools."""
    return facts.body.value("tools") not in _NO_TOOLS


def _build_screened(context: RequestContext, facts: ScreenedFacts) -> ScreenedRequest:
    principal, labels = context.principal, context.options.labels
    return ScreenedRequest(
        price_plan_id=principal.price_plan_id,
        holders=(principal.team_id, principal.organisation_id),
        project=labels.project or principal.project,
        tags=(*principal.tags, *labels.tags),
        customer=labels.customer,
        prompt_tokens=estimate_tokens(facts.text_bytes),
        features=_features(facts),
    )


def _features(facts: ScreenedFacts) -> Collection[Feature]:
    kinds = {kind for kind, parts in facts.media.items() if parts}
    if has_tools(facts):
        kinds.add("tools")
    # Counting tokens streams nothing.
    if getattr(facts, "stream", False):
        kinds.add("stream")
    return cast(Collection[Feature], kinds)


# The order of a model's channels of equal rank: by session, or by an operator's rule.


def affinity_of(context: RequestContext, facts: Facts, model: str) -> bytes:
    """Return what related requests have in common, so that they use one channel and key, where the
    provider has cached it: the request's session; by an operator's rule, the user, or the
    conversation of requests without a session. Empty if there is none."""
    pick = context.snapshot.rule_of(model).pick
    if pick == "user":
        identity = _user(context, facts)
    elif context.session is not None:
        return context.session.id.bytes
    else:
        identity = _conversation(facts) if pick == "conversation" else b""
    return context.principal.organisation_id.bytes + identity if identity else b""


def ordering_of(context: RequestContext, model: str, affinity: bytes) -> Ordering | None:
    """Return how the channels of a model are ordered for a request; None to order them by
    weight."""
    pick = context.snapshot.rule_of(model).pick
    if pick in MEASURED:
        figures = context.parts.health.measures.figures(pick, context.snapshot, model)
        return Ordering(pick, figures)
    if not affinity:
        return None
    return Ordering("user" if pick == "user" else "conversation", key=affinity)


def _user(context: RequestContext, facts: Facts) -> bytes:
    """Return the user that the client names, else the key's holder."""
    principal = context.principal
    named = facts.user or context.options.labels.customer
    return (named or str(principal.user_id or principal.key_id)).encode(errors="replace")


def _conversation(facts: Facts) -> bytes:
    """Return what all requests of a conversation begin with: the client's own cache key, else
    everything up to the first user message. Empty if there is none."""
    named = facts.body.value("prompt_cache_key")
    if named is not None and named.startswith(b'"'):
        return named
    raw = next(filter(None, map(facts.body.value, _TEXTS)), b"")
    if not raw.startswith(b"["):
        return raw
    try:
        items = _items.decode(raw)
    except NOT_JSON:
        return b""
    beginning = blake2b(digest_size=32)
    for item in items:
        beginning.update(item)
        if _role(item) == "user":
            break
    return beginning.digest()


class _Item(msgspec.Struct):
    role: str | None = None


_items: Final = msgspec.json.Decoder(list[msgspec.Raw])
_item: Final = msgspec.json.Decoder(_Item)


def _role(item: msgspec.Raw) -> str | None:
    try:
        # In Gemini's requests a turn without a role comes from the user.
        return _item.decode(item).role or "user"
    except NOT_JSON:
        return None
