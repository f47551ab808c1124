"""The end of an attempt: what a later request needs of its answer is stored, and it is settled
exactly once, whatever ended it."""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from billing.ledger.hold_rules import state_for
from billing.limits.charge_rule import ChargeRule, RuleInForce
from billing.prices.pricing import PriceVersion, saved_by_cache
from billing.subscriptions.included_units import paid_by_units
from dialects.chat.events import Event
from dialects.chat.reasoning_seals import REMEMBERED, collect_reasoning
from gateway.breaker.faults import FAULTS
from lib.id_types import CostVersionId, PriceVersionId
from lib.ids import id_text
from relay.answers.abandoned import DrainLimit, absorb_cost, drain_limit, rule_of
from relay.context.context import RequestContext
from relay.context.recorded_errors import kept_message
from relay.credentials.keys import Principal
from relay.downstream.downstream import ErrorAnswer
from relay.downstream.error_answers import CLIENT_CLOSED
from relay.health.channel_health import HealthProbe
from relay.holds.admitted_attempt import AdmittedAttempt
from relay.ledger.settlement import Settlement
from relay.metering.usage_meter import Bill, UsageMeter, meters_text, tokens_of
from relay.requests.outcome import Outcome
from relay.states.state_store import State, may_keep
from relay.upstream.failures import UpstreamFailed
from relay.upstream.large_events import Gathering
from usage.records.outcomes import UNCHARGED
from usage.records.sql import DROPPED_LENGTH, Ending

log = logging.getLogger(__name__)

# Answers that a provider gave, and may have counted, although there is no content in them.
_COUNTED_FAULTS: Final = frozenset({"F23", "F24"})
_NOTHING_YET: Final = Bill({}, 0, "none", (), None)
# Bases of bills without a charge.
_UNCHARGED: Final = frozenset({"none", "absorbed", "free"})


class AttemptEnd:
    """Settles one attempt. Only the first end counts."""

    __slots__ = (
        "_abandoned",
        "_admitted",
        "_context",
        "_drain_limit",
        "_usage_meter",
        "outcome",
        "status",
        "ttft_ms",
        "unheard",
        "upstream_request_id",
    )

    def __init__(
        self, context: RequestContext, admitted: AdmittedAttempt, usage_meter: UsageMeter
    ) -> None:
        self._context = context
        self._admitted = admitted
        self._usage_meter = usage_meter
        # Milliseconds until the first content; None until then.
        self.ttft_ms: int | None = None
        # The upstream's id of the request; "" until it is known.
        self.upstream_request_id = ""
        # The error with which the request ended. None before the end, and after a failure before
        # content, because another attempt may follow.
        self.outcome: Outcome | None = None
        # The status of an answer without an error.
        self.status = 200
        # How the request ended for its client, while the answer is drained for its usage.
        self.unheard = CLIENT_CLOSED
        # The charge rule of an abandoned attempt; None while the client waits.
        self._abandoned: RuleInForce | None = None
        self._drain_limit: DrainLimit | None = None

    @property
    def measured(self) -> str:
        """The basis of a bill that uses the upstream's count."""
        return "drained" if self._context.downstream.client_gone else "measured"

    def bill_so_far(self) -> Bill:
        """Return the bill of what has arrived so far."""
        return self._usage_meter.bill_stream(self.measured)

    def abandon(self) -> ChargeRule:
        """Mark the answer as abandoned, and return the rule that applies."""
        if self._abandoned is None:
            self._abandoned = rule_of(self._context, self._admitted)
        return self._abandoned.rule

    def limit_drain(self, cost_nano: int) -> None:
        """Limit what draining may cost beyond what has arrived."""
        if self._admitted.hold.own is not None:
            # The installation pays nothing of it.
            return
        price, left = self._usage_meter.prices.price, self.bill_so_far()
        version = None if price is None else price.version
        self._drain_limit = drain_limit(left, version, cost_nano, self._usage_meter.text_bytes)

    def is_drained_out(self, text_bytes: int) -> bool:
        """Return whether a drained answer with this much text has reached its cost limit."""
        return self._drain_limit is not None and text_bytes > self._drain_limit.text_bytes_max

    def settle(self, error: ErrorAnswer | None, bill: Bill, fault: str = "") -> Outcome:
        """Queue the settlement of the attempt, and return before it is written. `error` is None for
        a success, `fault` is a row of the fault table.
        """
        if self.outcome is not None:
            return self.outcome
        context, hold, channel = self._context, self._admitted.hold, self._admitted.channel
        if error is not None or context.downstream.client_gone:
            if hold.own is None:
                # Whatever the rule spares the customer, its own provider charges.
                bill = self._by_rule(bill, whole=error is None)
            error = error or self.unheard
        outcome = self.outcome = self._outcome(error, bill)
        loss_nano = bill.excess_nano
        if bill.basis == "absorbed" and not bill.meters and hold.own is None:
            loss_nano = self._usage_meter.unknown_nano()
        ending = self._ending(outcome, bill, fault)
        limited = hold.principal.limited or channel.limits is not None
        included_nano, units = self._paid_by_units(bill) if hold.units else (0, ())
        settlement = Settlement(
            organisation_id=hold.principal.organisation_id,
            attempt_id=hold.attempt_id,
            state=state_for(bill.basis),
            ending=ending,
            tokens=tokens_of(bill.cut_from or bill.meters) if limited else 0,
            loss_nano=loss_nano,
            limited_channel_id=None if channel.limits is None else channel.uuid,
            included_nano=included_nano,
            units=units,
        )
        if self._admitted.facts.stream:
            # A mark must not replace the settlement, however slowly the client reads the end.
            context.parts.ledger.marks.unwatch(self._usage_meter)
        context.parts.ledger.settle(settlement, at_once=hold.settles_at_once)
        if bill.flags and "quarantine" in bill.flags:
            log.error(
                "the count of channel %s cannot be right (%s): request %s is under review",
                self._admitted.channel.name, ", ".join(bill.flags), id_text(context.request_id),
                extra={"request_id": id_text(context.request_id)},
            )  # fmt: skip
        return outcome

    def replaced(self) -> Settlement:
        """Return the end of an attempt that never began, because the next admission replaces its
        hold and writes this end. The request itself continues."""
        outcome = self.outcome = self._outcome(None, _NOTHING_YET)
        hold, channel = self._admitted.hold, self._admitted.channel
        ending: Ending = self._ending(outcome, _NOTHING_YET, "hold_replaced")
        return Settlement(
            organisation_id=hold.principal.organisation_id,
            attempt_id=hold.attempt_id,
            state=state_for(ending.basis),
            ending=msgspec.structs.replace(ending, final=False),
            limited_channel_id=None if channel.limits is None else channel.uuid,
            included_nano=0,
        )

    def _paid_by_units(self, bill: Bill) -> tuple[int, tuple[int, ...]]:
        """Return how much of the charge included units pay, in nano, and how many units of each
        meter that uses."""
        held, price = self._admitted.hold.units, self._usage_meter.prices.price
        if price is None or not bill.charge_nano:
            return 0, ()
        # Included units pay only for the requested model; other models' parts are charged.
        own = [(part.meters, part.version) for part in bill.parts if not part.model]
        paid = paid_by_units(own if bill.parts else [(bill.meters, price.version)], held)
        return min(paid.nano, bill.charge_nano), paid.of_each(held)

    def entrust(self) -> Outcome:
        """Leave the settlement of an accepted media task to the end of the task."""
        self.outcome = self._outcome(None, _NOTHING_YET)
        self._context.parts.ledger.entrust(self._admitted.hold.attempt_id)
        return self.outcome

    def failed(self, failure: UpstreamFailed, *, final: bool) -> Settlement:
        """Return the end of an attempt that failed before content. The customer pays nothing; what
        the provider counted all the same is owed to it (I15)."""
        absorbed = FAULTS[failure.fault].money not in ("none", "exact")
        hold, channel = self._admitted.hold, self._admitted.channel
        loss_nano = 0
        owed = None
        if hold.own is None:
            owed = self._usage_meter.owed() if failure.fault in _COUNTED_FAULTS else None
            if owed is not None:
                loss_nano = owed.charge_nano + owed.excess_nano
            elif absorbed:
                loss_nano = self._usage_meter.unknown_nano()
        ending = Ending(
            final=final,
            status=failure.status,
            kind=failure.kind,
            message=kept_message(hold.principal, failure.kind, failure.message),
            meters="{}" if owed is None else meters_text(owed.meters),
            raw_usage=None if owed is None else owed.raw_usage,
            basis="absorbed" if (absorbed or owed) and hold.own is None else "none",
            cost_nano=(None if owed is None else self._usage_meter.cost_nano(owed))
            if hold.own is None
            else 0,
            own_nano=None if hold.own is None else 0,
            total_ms=self._context.elapsed_ms(),
            flags=(failure.fault, *self._context.options.flags),
            upstream_request_id=failure.request_id or self.upstream_request_id,
            dropped=dropped_text(self._admitted.prepared.dropped),
            address=self._context.options.address,
        )
        return Settlement(
            organisation_id=hold.principal.organisation_id,
            attempt_id=hold.attempt_id,
            state=state_for(ending.basis),
            ending=ending,
            loss_nano=loss_nano,
            limited_channel_id=None if channel.limits is None else channel.uuid,
        )

    def _by_rule(self, bill: Bill, *, whole: bool) -> Bill:
        """Return the bill of an answer that was abandoned, failed, or was drained to its end."""
        if bill.basis in _UNCHARGED:
            return bill
        if self._drain_limit is not None:
            price = self._usage_meter.prices.price
            bill = self._drain_limit.applied(bill, None if price is None else price.version)
        # An answer that lacks only its usage is not limited.
        whole = whole or self._usage_meter.complete
        rule, level = self._abandoned or rule_of(self._context, self._admitted)
        if rule.kind == "absorb" and not whole:
            bill = absorb_cost(bill)
        elif self._abandoned is None or (rule.kind != "drain" and whole):
            return bill
        if level == "channel":
            return bill
        return msgspec.structs.replace(bill, flags=(*bill.flags, f"{rule.kind}_by_{level}"))

    def _outcome(self, error: ErrorAnswer | None, bill: Bill) -> Outcome:
        context = self._context
        return Outcome(
            request_id=context.request_id,
            status=self.status if error is None else error.status,
            kind=None if error is None else error.kind,
            message="" if error is None else error.message,
            finish_reason=self._usage_meter.finish_reason,
            meters=bill.meters,
            charge_nano=bill.charge_nano,
            basis=bill.basis,
            hold_nano=self._admitted.hold.wallet_nano,
            own_nano=bill.own_nano or 0,
            ttft_ms=self.ttft_ms,
            total_ms=context.elapsed_ms(),
        )

    def _ending(self, outcome: Outcome, bill: Bill, fault: str) -> Ending:
        price, cost = self._usage_meter.prices.price, self._usage_meter.prices.cost
        own = self._admitted.hold.own is not None
        flags = (*bill.flags, fault) if fault else bill.flags
        if self._context.options.flags:
            flags = (*flags, *self._context.options.flags)
        if self._context.guarding is not None:
            flags = (*flags, *self._context.guarding.flags)
        return Ending(
            final=True,
            status=outcome.status,
            kind=outcome.kind,
            message=outcome.message
            and kept_message(self._admitted.hold.principal, outcome.kind, outcome.message),
            finish_reason=outcome.finish_reason,
            meters=meters_text(bill.meters),
            charge_nano=bill.charge_nano,
            basis=bill.basis,
            ttft_ms=outcome.ttft_ms,
            total_ms=outcome.total_ms,
            raw_usage=bill.raw_usage,
            flags=flags,
            cost_nano=0 if own else self._usage_meter.cost_nano(bill),
            price_version_id=None if price is None else PriceVersionId(price.id),
            cost_version_id=None if cost is None else CostVersionId(cost.id),
            upstream_request_id=self.upstream_request_id,
            dropped=dropped_text(self._admitted.prepared.dropped),
            address=self._context.options.address,
            saved_nano=0
            if own
            else bill.saved_nano
            if bill.parts
            else saved_of(bill.meters, None if price is None else price.version, bill.basis),
            pricing=bill.pricing_text(self._admitted.channel.provider.name),
            own_nano=(bill.own_nano or 0) if own else None,
        )


def saved_of(meters: Mapping[str, int], version: PriceVersion | None, basis: str) -> int:
    """Return how much these meters cost less because of cached input, in nano; 0 for a basis that
    is not charged."""
    if version is None or basis in UNCHARGED:
        return 0
    return saved_by_cache(meters, version)


def dropped_text(names: Sequence[str]) -> str | None:
    """Return the omitted parameters as text for a record, or None without any. The text is limited
    in length, because a body may have any number of names."""
    return ",".join(names)[:DROPPED_LENGTH] if names else None


def final_end(settlement: Settlement, error: ErrorAnswer, principal: Principal) -> Settlement:
    """Return the end of the last attempt, marked as the end of its request."""
    ending: Ending = msgspec.structs.replace(
        settlement.ending,
        final=True,
        status=error.status,
        kind=error.kind,
        message=kept_message(principal, error.kind, error.message),
    )
    return msgspec.structs.replace(settlement, ending=ending)


class AnswerState:
    """The state of one answer: the stored response, and the seals of the answer's tool calls."""

    __slots__ = ("_admitted", "_context", "_events", "_remembers")

    def __init__(
        self, context: RequestContext, admitted: AdmittedAttempt, *, remembers: bool
    ) -> None:
        self._context = context
        self._admitted = admitted
        # Whether events are collected, and the collected events.
        self._remembers = remembers
        self._events: list[Event] = []

    def note(self, events: Sequence[Event]) -> None:
        """Collect the parts of the answer that a later request may refer to."""
        if self._remembers:
            for event in events:
                if isinstance(event, REMEMBERED):
                    self._events.append(event)

    async def keep(self, response: bytes | None) -> None:
        """Store the state. Call this before the client can send a request that continues the
        answer."""
        context, admitted, prepared = self._context, self._admitted, self._admitted.prepared
        if context.response_id and context.downstream.client_gone:
            # It ran in the background, and was cancelled or deleted: it is not continued.
            return
        states: list[State] = []
        if admitted.continuation is not None and response is not None:
            stored_at = admitted.channel.id if prepared.request is None else ""
            states += admitted.continuation.states(response, stored_at)
        if self._events:
            seals = collect_reasoning(self._events, texts=prepared.traits.thoughts)
            states += [State("seal", id_, content) for id_, content in seals.items()]
        if states:
            await context.parts.states.put(admitted.hold.principal, states)


def state_of(context: RequestContext, admitted: AdmittedAttempt) -> AnswerState | None:
    """Return the collector for the state of an attempt's answer; None if nothing of it is
    stored."""
    traits = admitted.prepared.traits
    remembers = (traits.seals or traits.thoughts) and may_keep(
        admitted.hold.principal, admitted.facts.body
    )
    if not remembers and admitted.continuation is None:
        return None
    return AnswerState(context, admitted, remembers=remembers)


class AttemptParts(msgspec.Struct, frozen=True):
    """The parts of one attempt. `gathering` is the memory of an incomplete event of its answer;
    `state` collects what is stored of the answer, None if nothing is.
    """

    context: RequestContext
    admitted: AdmittedAttempt
    usage_meter: UsageMeter
    probe: HealthProbe
    end: AttemptEnd
    gathering: Gathering
    state: AnswerState | None
