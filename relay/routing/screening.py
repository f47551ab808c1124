"""Which channels of a model may serve a request at all: by the data policy that it is under, by
what its organisation pays with, by the conditions that operators set. Who is out only for now is
`channel_health.py`."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Protocol, cast

from accounts.organisations.data_policy import NO_POLICY, DataPolicy, joined
from dialects.json.body import Body
from gateway.overrides.condition_rules import Feature, ScreenedRequest
from gateway.routing.channel_order import Candidate, Skipped
from relay.health.channels_out import none_suits
from relay.holds.rules import estimate_tokens
from relay.requests.context import RequestContext
from relay.routing.snapshot import Channel
from usage.requests.choices import SkipReason

_NO_TOOLS: Final = frozenset({None, b"[]", b"null"})


class ScreenedFacts(Protocol):
    """What must be known of a request."""

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
    """Those that may, and why the others may not. Raises ChannelsOut where none may."""
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
    """What holds for the data of a request: all that its organisation, its key and it itself ask
    for."""
    own, requested = context.principal.data_policy, context.options.data_policy
    return own if requested is NO_POLICY else joined((own, requested))


class _Screening:
    """One request, with what is asked of it read at most once."""

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
            # What it says above a hold nobody has paid (I13).
            return "prepaid"
        if channel.conditions is None:
            return None
        if self._screened is None:
            self._screened = _screened(self._context, self._facts)
        return channel.conditions.why_not(self._screened)


def has_tools(facts: ScreenedFacts) -> bool:
    """Whether a request lets the model call tools."""
    return facts.body.value("tools") not in _NO_TOOLS


def _screened(context: RequestContext, facts: ScreenedFacts) -> ScreenedRequest:
    principal, labels = context.principal, context.options.labels
    return ScreenedRequest(
        principal.plan_id,
        (principal.team_id, principal.organisation_id),
        labels.project or principal.project,
        (*principal.tags, *labels.tags),
        labels.customer,
        estimate_tokens(facts.text_bytes),
        _features(facts),
    )


def _features(facts: ScreenedFacts) -> Collection[Feature]:
    found = {kind for kind, parts in facts.media.items() if parts}
    if has_tools(facts):
        found.add("tools")
    # Who only counts tokens streams nothing.
    if getattr(facts, "stream", False):
        found.add("stream")
    return cast(Collection[Feature], found)
