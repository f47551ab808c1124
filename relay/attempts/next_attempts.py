"""Choose the next channel. The candidates of a request follow in order, until the fault table says
stop or no candidate is left; then those of its fallback models: models that the client or the
operator names, if the request fails before any content. Each has its own candidates, price and
hold. The model that answers is charged."""

import dataclasses
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from itertools import takewhile
from math import inf
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from dialects.codec import Facts
from dialects.errors.errors import RequestFault
from gateway.breaker.channel_state import BAR_REASONS, Block
from gateway.breaker.faults import FAULTS
from gateway.channel_order.channel_order import Candidate, Skipped
from gateway.providers.suffixes import RequestedModel
from gateway.routing.model_rule_bounds import Cause
from relay.attempts.rules import (
    ATTEMPTS_MAX,
    LAST_START_SHARE,
    AttemptsLeft,
    may_fall_back,
    next_candidate,
)
from relay.context.context import RequestContext
from relay.downstream.limit_answers import ChannelFull
from relay.health.channels_out import ChannelsOut, none_ready
from relay.holds.place_hold import HoldPlacer
from relay.preparation.continuation import Continuation
from relay.preparation.file_fetching import fetch
from relay.preparation.prepared import PreparedRequest
from relay.preparation.translator import FetchFiles, RequestTranslator
from relay.routing.routing import RoutedRequest, route
from relay.upstream.failures import UpstreamFailed
from usage.requests.choices import Why

# Faults that would repeat at the same channel, and those that would repeat with the same key.
_CHANNEL_OUT: Final = frozenset({"route_off", "misconfigured"})
_KEY_OUT: Final = frozenset({"key_off", "cool"})
# A host that let a connection hang for its whole time would do so again (F4).
_HANGS: Final = "F4"


class Fallbacks(NamedTuple):
    """Fallback models in order, each used for one of `causes`. `why` is the reason to record for
    the first attempt with one."""

    models: Sequence[RequestedModel] = ()
    causes: frozenset[Cause] = frozenset()
    why: Why = "model_fallback"


NO_FALLBACKS: Final = Fallbacks()


class Translator(Protocol):
    """Returns a request in the form of each of its candidates: see `RequestTranslator`."""

    continuation: Continuation | None

    def prepare(self, candidate: Candidate) -> Awaitable[PreparedRequest]: ...


class RoutedModel(msgspec.Struct, frozen=True):
    """A model that may answer, with its channels and the data for the hold. `why` is the reason to
    use it: None for the requested model."""

    routed: RoutedRequest
    translator: Translator
    holds: HoldPlacer
    why: Why | None


class RoutedModels:
    """The models of one request. `fallbacks` are the models besides the requested one, `causes` the
    failures that they cover, `skipped` the channels that could not be used. False in a condition if
    no fallback is left."""

    __slots__ = (
        "_context",
        "_continuation",
        "_facts",
        "_fetch_files",
        "_left",
        "_requested",
        "_why",
        "causes",
        "skipped",
    )

    def __init__(
        self,
        context: RequestContext,
        facts: Facts,
        continuation: Continuation | None,
        fallbacks: Fallbacks,
        *,
        fetch_files: FetchFiles = fetch,
    ) -> None:
        self._context = context
        self._facts = facts
        self._continuation = continuation
        self._left = fallbacks.models
        self._why = fallbacks.why
        # The requested name, which the rows have if another model answers.
        self._requested = ""
        self.causes = fallbacks.causes
        self._fetch_files = fetch_files
        self.skipped: Sequence[Skipped] = ()

    def __bool__(self) -> bool:
        return bool(self._left)

    @property
    def on_error(self) -> bool:
        """Whether a fallback is left that covers unavailable channels and failures."""
        return bool(self._left) and "error" in self.causes

    def first(self, model: RequestedModel) -> RoutedModel:
        """Return the requested model, or the next one if none of its channels is available. Raises
        RequestFault, ChannelsOut.
        """
        facts = self._facts
        if model.alias:
            facts = _naming(facts, model)
        self._requested = model.alias or (model.name if self._left else "")
        try:
            return self._routed_model(facts, model, None)
        except ChannelsOut as out:
            self.skipped = (*self.skipped, *out.skipped)
            routed_model = self.next() if self.on_error else None
            if routed_model is None:
                raise
            return routed_model

    def next(self, *, failed: bool = False, why: Why | None = None) -> RoutedModel | None:
        """Return the next model that can be used. `failed`: attempts were made, so channels without
        retry budget are left out. `why` replaces the reason of the fallbacks."""
        while self._left:
            model, *self._left = self._left
            try:
                facts = _naming(self._facts, model)
                routed_model = self._routed_model(facts, model, why or self._why)
            except ChannelsOut as out:
                self.skipped = (*self.skipped, *out.skipped)
                continue
            except RequestFault:
                continue
            if failed:
                routed_model = self._unspent(routed_model)
            if routed_model.routed.candidates:
                return routed_model
        return None

    def _routed_model(self, facts: Facts, model: RequestedModel, why: Why | None) -> RoutedModel:
        context = self._context
        routed = route(context, facts, model)
        cap_max = routed.cap_max(context.parts.config.output_tokens_assumed)
        translator = RequestTranslator(
            context,
            facts,
            model,
            cap_max=cap_max,
            continuation=self._continuation,
            fetch_files=self._fetch_files,
        )
        alias = self._requested if why is not None else model.alias
        return RoutedModel(routed, translator, HoldPlacer(context, routed, alias), why)

    def _unspent(self, routed_model: RoutedModel) -> RoutedModel:
        routed, now = routed_model.routed, self._context.parts.health.now()
        channel_ids = {candidate.channel_id for candidate in routed.candidates}
        spent = routed.retry_budget.spent(channel_ids, now)
        if not spent:
            return routed_model
        left = [item for item in routed.candidates if item.channel_id not in spent]
        skipped = [*routed.skipped, *(Skipped(id, "retry_budget") for id in sorted(spent))]
        return msgspec.structs.replace(
            routed_model, routed=msgspec.structs.replace(routed, candidates=left, skipped=skipped)
        )


def _naming(facts: Facts, model: RequestedModel) -> Facts:
    """Return the facts with this model's name, because the answer names the model that answered."""
    is_struct = isinstance(facts, msgspec.Struct)
    change: Any = msgspec.structs.replace if is_struct else dataclasses.replace
    named: Facts = change(facts, model=model.name)
    return named


class NextAttempt(msgspec.Struct, frozen=True):
    """The next attempt, and why it is made. `fresh` requires an unused connection (F32); `avoid` is
    the position of the key at fault, -1 for none."""

    candidate: Candidate
    prepared: PreparedRequest
    why: Why
    skipped: Sequence[Skipped] = ()
    fresh: bool = False
    avoid: int = -1


class Failed(msgspec.Struct, frozen=True):
    """An attempt that failed before content, with the key of its channel."""

    candidate: Candidate
    key: int
    failure: UpstreamFailed


class _Full(msgspec.Struct, frozen=True):
    """A candidate that was passed over because its channel had reached a limit."""

    candidate: Candidate
    block: Block


class NextAttempts:
    """Chooses the attempts of one request. `answering` is the model of the next attempt. `failed`
    are the attempts that failed before content, in order; the caller appends to it."""

    __slots__ = (
        "_candidates",
        "_context",
        "_failed_before",
        "_full",
        "_models",
        "_resting",
        "_unfit",
        "answering",
        "failed",
    )

    def __init__(self, context: RequestContext, first: RoutedModel, models: RoutedModels) -> None:
        self.failed: list[Failed] = []
        self._context = context
        self._models = models
        self._full: Sequence[_Full] = ()
        self._take(first, list(first.routed.candidates))

    async def first(self) -> NextAttempt:
        """Return the best candidate for the model, or else for a fallback. Raises RequestFault,
        ChannelsOut.
        """
        while True:
            try:
                return await self._best()
            except ChannelsOut:
                if not self._take_other_model():
                    raise
            except RequestFault as fault:
                if fault.kind != "unsupported_capability" or not self._take_other_model():
                    raise

    async def following(self) -> NextAttempt | None:
        """Return the attempt to make after a failed one, or None. Raises DatabaseFailed."""
        while (following := await self._another()) is None:
            others = self._models.on_error
            if not self._change_to_fallback():
                # If no other model can be used, the attempt reserved for it becomes available.
                return await self._another() if others and not self._models else None
            try:
                return await self._best()
            except (RequestFault, ChannelsOut):
                continue
        return following

    async def instead_of(self, candidate: Candidate, full: ChannelFull) -> NextAttempt | None:
        """Return the attempt to make instead of one at a channel that has reached a limit; None if
        earlier failures are the answer. Raises RequestFault, ChannelsOut, DatabaseFailed."""
        context = self._context
        wait_s = inf if full.wait_ms is None else full.wait_ms / 1000
        self._full = (*self._full, _Full(candidate, Block(full.reason, wait_s)))
        if full.reason == "requests":
            channel = context.snapshot.channels[candidate.channel_id]
            context.parts.health.bar(channel, full.reason, wait_s)
        if self._failed_here:
            return await self.following()
        self._take_out(candidate)
        if not self._candidates and not self._take_other_model():
            if self.failed:
                return None
            raise none_ready(self._model_name, await self._blocking_limits())
        try:
            return await self.first()
        except (RequestFault, ChannelsOut):
            if self.failed:
                return None
            raise

    async def within_budget(self) -> NextAttempt | None:
        """Return an attempt with the next fallback model, because a budget refused this one. None
        if the operators' rule names no model for that case, or if attempts were made already."""
        while not self.failed and "budget" in self._models.causes:
            if not self._take_next_model(why="budget_rule"):
                break
            with suppress(RequestFault, ChannelsOut):
                return await self._best()
        return None

    # ---- for one model

    @property
    def _model_name(self) -> str:
        return self.answering.routed.facts.model

    @property
    def _failed_here(self) -> list[Failed]:
        """The attempts that failed for this model."""
        return self.failed[self._failed_before :]

    def _take(self, model: RoutedModel, candidates: list[Candidate]) -> None:
        self.answering = model
        # The channels that may serve this request, as far as known.
        self._candidates = candidates
        self._resting = model.routed.resting
        # The channels that cannot serve this request.
        self._unfit: Sequence[Skipped] = ()
        # The number of attempts made for other models.
        self._failed_before = len(self.failed)
        model.routed.retry_budget.request(self._context.parts.health.now())

    async def _best(self) -> NextAttempt:
        """Return the best candidate for this request, and remove those before it. Raises
        RequestFault if none fits, ChannelsOut if all that fit have reached limits."""
        while True:
            candidate = self._candidates[0]
            try:
                prepared = await self.answering.translator.prepare(candidate)
                why = self.answering.why or candidate.why
                return NextAttempt(candidate, prepared, why, self._skipped(candidate))
            except RequestFault:
                self._unfit = (*self._unfit, Skipped(candidate.channel_id, "unsupported"))
                self._take_out(candidate)
                if self._candidates:
                    continue
                if blocks := await self._blocking_limits():
                    raise none_ready(self._model_name, blocks) from None
                raise

    def _take_out(self, candidate: Candidate) -> None:
        """Remove a candidate that cannot serve the request. Resting channels are used when no
        healthy one is left.
        """
        self._candidates.remove(candidate)
        if not self._candidates and self._resting:
            organisation_id = self._context.principal.organisation_id
            resting = list(self._resting)
            self._candidates = self._context.parts.health.ready(resting, organisation_id)
            self._resting = ()

    async def _another(self) -> NextAttempt | None:
        """Return another attempt for this model, or None."""
        if not self._failed_here:
            return None
        last = self._failed_here[-1]
        while (again := self._next_candidate()) is not None:
            candidate, why = again
            try:
                prepared = await self.answering.translator.prepare(candidate)
            except RequestFault:
                self._candidates.remove(candidate)
                self._unfit = (*self._unfit, Skipped(candidate.channel_id, "unsupported"))
            else:
                # A key at fault is not used again if its channel has another.
                avoid = last.key if why == "retry" else -1
                skipped = self._skipped(candidate)
                return NextAttempt(candidate, prepared, why, skipped, why == "resend", avoid)
        return None

    def _next_candidate(self) -> tuple[Candidate, Why] | None:
        """Return the candidate that the fault table permits next, and why; None if the last failure
        is the answer.
        """
        here = self._failed_here
        last, tried = here[-1], [failed.candidate for failed in here]
        row = FAULTS[last.failure.fault]
        times = sum(failed.failure.fault == last.failure.fault for failed in here)
        attempts = AttemptsLeft(self._failed_before, fallback=self._models.on_error)
        if row.next == "never" or not self._in_time():
            return None
        if row.next == "if_free" and (times > 1 or not self._is_free(last.candidate)):
            return None
        closed = self._channels_without_retries(self._candidates) | self._full_ids
        if row.next == "resend" and times == 1 and len(tried) < attempts.most:
            return None if last.candidate.channel_id in closed else (last.candidate, "resend")
        closed |= {*self._unavailable_channels(last), *attempts.shut(last.candidate)}
        candidate = next_candidate(
            self._candidates, tried, closed=closed, attempts_max=attempts.most
        )
        if candidate is None:
            return None
        return candidate, "retry" if candidate == last.candidate else "failover"

    def _is_free(self, candidate: Candidate) -> bool:
        """Return whether a request may be sent again although its channel may have answered it: a
        provider that takes no key bills nobody."""
        return not self._context.snapshot.channels[candidate.channel_id].key_endings

    def _in_time(self) -> bool:
        """Return whether the client still waits and another attempt could finish in time."""
        context, channel_id = self._context, self.failed[-1].candidate.channel_id
        model = self.answering.routed.model.name
        timeouts = context.snapshot.channels[channel_id].timeouts_of(model)
        last_start_s = timeouts.total * LAST_START_SHARE
        return not context.downstream.client_gone and context.time() - context.began <= last_start_s

    # ---- another model

    def _change_to_fallback(self) -> bool:
        """Change to the next fallback model after failures. Return False if no model may be
        used."""
        failure = self.failed[-1].failure
        return (
            len(self.failed) < ATTEMPTS_MAX
            and may_fall_back(failure.fault, failure.kind, self._models.causes)
            and self._in_time()
            and self._take_next_model()
        )

    def _take_other_model(self) -> bool:
        """Change to a fallback model because no channel of the current model can be used."""
        return self._models.on_error and self._take_next_model()

    def _take_next_model(self, why: Why | None = None) -> bool:
        full = self._full_ids
        while (model := self._models.next(failed=bool(self.failed), why=why)) is not None:
            candidates = [item for item in model.routed.candidates if item.channel_id not in full]
            if candidates:
                self._take(model, candidates)
                return True
        return False

    # ---- unavailable channels

    @property
    def _full_ids(self) -> set[str]:
        return {item.candidate.channel_id for item in self._full}

    def _channels_without_retries(self, candidates: Sequence[Candidate]) -> set[str]:
        """Return the ids of the channels that accept no further retry now."""
        channel_ids = {candidate.channel_id for candidate in candidates}
        now = self._context.parts.health.now()
        return self.answering.routed.retry_budget.spent(channel_ids, now)

    def _unavailable_channels(self, last: Failed) -> set[str]:
        """Return the ids of the channels that are unavailable, in general or to this request."""
        health, organisation_id = (
            self._context.parts.health,
            self._context.principal.organisation_id,
        )
        out = health.out(self._candidates, organisation_id) | {
            failed.candidate.channel_id
            for failed in self._failed_here
            if failed.failure.fault == _HANGS or FAULTS[failed.failure.fault].health in _CHANNEL_OUT
        }
        if (
            FAULTS[last.failure.fault].health in _KEY_OUT
            and not health.has_other_key(last.candidate, organisation_id, last.key)
            and not health.take_retry(last.candidate, last.key)
        ):
            out.add(last.candidate.channel_id)
        return out

    def _skipped(self, chosen: Candidate) -> Sequence[Skipped]:
        """Return the channels that were passed over in the order of the routes, each with the
        reason.
        """
        if not (self._full or self._unfit or self.failed or self.answering.routed.skipped):
            return ()
        known = [
            Skipped(item.candidate.channel_id, item.block.reason, item.block.wait_s)
            for item in self._full
        ]
        known += [*self.answering.routed.skipped, *self._unfit]
        if self.failed:
            tried = {failed.candidate.channel_id for failed in self._failed_here}
            rest = [item for item in self._candidates if item.channel_id not in tried]
            organisation_id = self._context.principal.organisation_id
            known += self._context.parts.health.skipped(rest, organisation_id)
            known += [
                Skipped(channel_id, "retry_budget")
                for channel_id in self._channels_without_retries(rest)
            ]
        if not known:
            return ()
        # The first known reason of each.
        reasons = {item.channel_id: item for item in reversed(known)}
        before = takewhile(lambda item: item != chosen, self.answering.routed.planned)
        return [reasons[item.channel_id] for item in before if item.channel_id in reasons]

    async def _blocking_limits(self) -> list[Block]:
        """Return the limits that keep back channels which could otherwise serve the request."""
        blocks = [item.block for item in self._full]
        organisation_id = self._context.principal.organisation_id
        for candidate in self.answering.routed.resting:
            block = self._context.parts.health.why_not(candidate, organisation_id)
            if block is not None and block.reason in BAR_REASONS:
                with suppress(RequestFault):
                    await self.answering.translator.prepare(candidate)
                    blocks.append(block)
        return blocks
