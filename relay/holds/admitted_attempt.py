"""An admitted attempt: what is sent to which channel, under which hold. It is immutable."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from billing.prices.lookup import Price
from billing.prices.own_key_fee import OwnKeyFee
from dialects.codec import Facts
from gateway.channel_order.channel_order import Candidate, Skipped
from gateway.channels.timeouts import Timeouts
from lib.id_types import AttemptId, UpstreamModelName
from relay.catalogue.snapshot import Channel
from relay.context.context import RequestContext
from relay.credentials.keys import Principal
from relay.downstream.downstream import Head
from relay.downstream.limit_answers import Headroom
from relay.hold_sizes.estimate import Size
from relay.preparation.continuation import Continuation
from relay.preparation.prepared import PreparedRequest
from usage.requests.choices import Why


class Chosen(msgspec.Struct, frozen=True):
    """The channel and key of an attempt, why they were chosen, and which channels were passed
    over.
    """

    candidate: Candidate
    why: Why
    key: int
    skipped: Sequence[Skipped]


class OwnKeyHold(NamedTuple):
    """The hold of an attempt with its organisation's own key: the fee, and the amount that is held
    for it. The organisation pays its provider the price itself, so the price is held in budgets
    only."""

    fee: OwnKeyFee
    fee_nano: int


class PlacedHold(msgspec.Struct, frozen=True):
    """The hold of an attempt. `principal` is the caller at admission; `headroom` is what its key's
    limits have left. `settles_at_once`: settle without delay, because others may need the held
    amount. `price` is the customer's price and `cost` the provider's, None if unknown. `units` are
    the included units that the attempt uses, by meter, in the order of the hold. `wallet_nano` is
    how much of the customer's money is held. `own` is None for the installation's keys."""

    attempt_id: AttemptId
    size: Size
    principal: Principal
    headroom: Mapping[str, Headroom]
    settles_at_once: bool
    price: Price | None
    cost: Price | None
    units: Mapping[str, int]
    wallet_nano: int
    own: OwnKeyHold | None = None


class AdmittedAttempt(msgspec.Struct, frozen=True):
    """The data of one attempt besides its request's context. `number` counts the attempts of a
    request from 1. An answer with more than `cut_above` tokens is cut (F18)."""

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
        """Return how long the upstream may take until its first content (F11)."""
        prepared = self.prepared
        exchange = prepared.exchange
        whole = not prepared.stream and (exchange is None or exchange.slow)
        return self.timeouts.until_content(thinks=prepared.traits.thinks, whole=whole)

    def head(self, context: RequestContext, cost_nano: int | None) -> Head:
        """Return the head of the attempt's answer."""
        hold, invocation, lowered = self.hold, context.invocation, self.prepared.lowered
        head = Head(
            invocation.codec.content_type(invocation.target, stream=self.facts.stream),
            hold.wallet_nano,
            hold.size.output_cap if lowered is None else lowered,
            cost_nano,
            self.prepared.dropped,
            hold.headroom,
            notices=context.downstream.notices,
        )
        if hold.principal.operator:
            return msgspec.structs.replace(head, channel=self.channel.name, attempts=self.number)
        return head
