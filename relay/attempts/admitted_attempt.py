"""An attempt as it was admitted: what is sent where, under which hold. Nothing of it changes."""

from collections.abc import Mapping, Sequence

import msgspec

from dialects.codec import Facts
from gateway.channels.timeouts import Timeouts
from gateway.prices.lookup import Price
from gateway.routing.channel_order import Candidate, Skipped
from lib.id_types import AttemptId, UpstreamModelName
from relay.credentials.keys import Principal
from relay.front.downstream import Head
from relay.front.limit_answers import Headroom
from relay.holds.estimate import Size
from relay.requests.context import RequestContext
from relay.requests.continuation import Continuation
from relay.requests.prepared import PreparedRequest
from relay.routing.snapshot import Channel
from usage.requests.choices import Why


class Chosen(msgspec.Struct, frozen=True):
    """Whom an attempt asks and why, by which of its channel's keys, and who is passed over."""

    candidate: Candidate
    why: Why
    key: int
    skipped: Sequence[Skipped]


class PlacedHold(msgspec.Struct, frozen=True):
    """The hold of an attempt. `principal` is as the admission knew it, `headroom` what is left of
    its key's limits; `settles_at_once`: what is held may be missed by others. `price` is the one
    that it is charged by and `cost` what the provider is owed by, None where there is none. `units`
    are the included ones that it took, of each meter in the order of the hold."""

    attempt_id: AttemptId
    size: Size
    principal: Principal
    headroom: Mapping[str, Headroom]
    settles_at_once: bool
    price: Price | None
    cost: Price | None
    units: Mapping[str, int]


class AdmittedAttempt(msgspec.Struct, frozen=True):
    """What an attempt works with beside the context of its request. `number` counts the attempts of
    a request from 1; an answer with more tokens than `cut_above` is cut (F18)."""

    number: int
    facts: Facts
    channel: Channel
    upstream_model: UpstreamModelName
    prepared: PreparedRequest
    continuation: Continuation | None
    cut_above: int | None
    hold: PlacedHold
    timeouts: Timeouts

    @property
    def first_content_s(self) -> float:
        """How long the upstream may take until its first content (F11)."""
        prepared = self.prepared
        exchange = prepared.exchange
        whole = not prepared.stream and (exchange is None or exchange.slow)
        return self.timeouts.until_content(thinks=prepared.traits.thinks, whole=whole)

    def head(self, context: RequestContext, cost_nano: int | None) -> Head:
        """What stands before its answer."""
        hold, invocation = self.hold, context.invocation
        head = Head(
            invocation.codec.content_type(invocation.target, stream=self.facts.stream),
            hold.size.hold_nano,
            self.prepared.lowered or hold.size.output_cap,
            cost_nano,
            self.prepared.dropped,
            hold.headroom,
            notices=context.downstream.notices,
        )
        if hold.principal.operator:
            return msgspec.structs.replace(head, channel=self.channel.name, attempts=self.number)
        return head
