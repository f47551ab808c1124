"""The attempts of one request, one after the other: until one answers, the fault table says stop,
or no channel is left. Fail-over happens before the commit point only (P7)."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from itertools import takewhile
from math import inf
from typing import Final

import msgspec

from dialects.errors import RequestFault
from gateway.rules.channel_standing import Block
from gateway.rules.fail_over import ATTEMPTS_MAX, LAST_START_SHARE, backoff_s_max, next_candidate
from gateway.rules.faults import FAULTS
from gateway.rules.routing import Candidate, Skipped
from relay.admitted_attempt import AdmittedAttempt, Chosen, PlacedHold
from relay.attempt import Attempt
from relay.attempt_end import final_end
from relay.channel_health import none_left
from relay.database import DatabaseAway, DatabaseRefused
from relay.downstream import ErrorAnswer
from relay.error_answers import (
    CLIENT_CLOSED,
    OVERLOADED,
    STOPPING,
    ChannelsOut,
    answer_to_failures,
)
from relay.hold_placing import HoldPlacer
from relay.limit_answers import ChannelFull
from relay.prepared_request import PreparedRequest
from relay.request_context import Outcome, RequestContext
from relay.request_translator import RequestTranslator
from relay.routing import RoutedRequest
from relay.settlement import Resolved
from relay.upstream import UpstreamFailed
from usage.rules.choices import Why

# Faults that the same channel would only repeat, and those that only the same key would.
_CHANNEL_OUT: Final = frozenset({"route_off", "misconfigured"})
_KEY_OUT: Final = frozenset({"key_off", "cool"})


class _Next(msgspec.Struct, frozen=True):
    """What the next attempt is, and why it goes there and not elsewhere: `fresh` on a connection
    that was never used (F32), not by the key `avoid`, which was at fault (-1: by any)."""

    candidate: Candidate
    prepared: PreparedRequest
    why: Why
    skipped: Sequence[Skipped] = ()
    fresh: bool = False
    avoid: int = -1


class _Full(msgspec.Struct, frozen=True):
    """A candidate whose channel had a limit of its own reached when its hold was to be placed."""

    candidate: Candidate
    block: Block


class _Failed(msgspec.Struct, frozen=True):
    """An attempt that failed before content, by which key of its channel."""

    candidate: Candidate
    key: int
    failure: UpstreamFailed


class FailOver:
    """Answers one request that was routed. Raises RequestFault `max_cost_exceeded` when it is made
    for one whose least hold is above what its client would pay."""

    __slots__ = (
        "_attempt",
        "_candidates",
        "_context",
        "_failed",
        "_full",
        "_holds",
        "_resting",
        "_revoked",
        "_routed",
        "_settles_at_once",
        "_translator",
        "_unfit",
    )

    def __init__(
        self,
        context: RequestContext,
        routed: RoutedRequest,
        translator: RequestTranslator,
        *,
        revoked: bool,
    ) -> None:
        self._context = context
        self._routed = routed
        self._translator = translator
        self._holds = HoldPlacer(context, routed)
        # Who can be asked for this request, as far as is known.
        self._candidates = list(routed.candidates)
        self._resting = list(routed.resting)
        self._full: list[_Full] = []
        # Those that cannot serve this request.
        self._unfit: list[Skipped] = []
        # Before content, in their order.
        self._failed: list[_Failed] = []
        # The one that runs.
        self._attempt: Attempt | None = None
        # The key has ended: the next attempt is stopped when it begins.
        self._revoked = revoked
        # Whether others may miss what the last one holds.
        self._settles_at_once = False

    def leave(self) -> None:
        """The client has gone."""
        if self._attempt is not None:
            self._attempt.leave()
        else:
            self._context.deadline.interrupt("left")

    def revoke(self) -> None:
        """The key has ended: what is being answered ends, and the next attempt is not admitted."""
        self._revoked = True
        if self._attempt is not None:
            self._attempt.revoke()

    async def make_attempts(self) -> Outcome:
        """Answer it, by as many as it takes. Raises RequestFault, ChannelsOut, DatabaseAway,
        DatabaseRefused."""
        try:
            following = await self._first()
        except asyncio.CancelledError:
            self._check_left()
            return self._record(CLIENT_CLOSED)
        replaces: Resolved | None = None
        while True:
            try:
                attempt = await self._admit(following, replaces)
            except ChannelFull as full:
                # What it was to replace is resolved.
                replaces = None
                try:
                    another = await self._instead_of(following.candidate, full)
                except asyncio.CancelledError:
                    self._check_left()
                    return self._record(CLIENT_CLOSED, after_attempts=bool(self._failed))
                if another is None:
                    return await self._give_up_unadmitted()
                following = another
                continue
            except asyncio.CancelledError:
                # Whether or not the hold is being placed: admission writes the record.
                self._check_left()
                return self._context.uncharged_outcome(CLIENT_CLOSED)
            self._attempt = attempt
            if self._context.downstream.on_admission is not None:
                self._context.downstream.on_admission()
            if self._revoked:
                attempt.revoke()
            try:
                return await attempt.execute(fresh=following.fresh)
            except UpstreamFailed as failure:
                # Its traceback leads back here: the attempt, and what was read of its answer, would
                # stay until the next collection of garbage.
                failure.__traceback__ = failure.__context__ = None
                self._failed.append(_Failed(following.candidate, attempt.key, failure))
            self._attempt = None
            try:
                again = await self._after(attempt)
                if again is not None and again.candidate == following.candidate and not again.fresh:
                    await self._back_off()
            except asyncio.CancelledError:
                return await self._end_cancelled(attempt)
            if again is None:
                return await self._give_up(attempt)
            replaces = attempt.failed(self._failed[-1].failure, final=False)
            following = again

    # ---- one attempt

    async def _admit(self, following: _Next, replaces: Resolved | None) -> Attempt:
        """Place the hold of an attempt; `replaces` is the end of the one before it. Raises
        RequestFault when the wallet or the key says no, ChannelFull when the channel does."""
        context, number = self._context, len(self._failed) + 1
        probe = context.parts.health.begin(
            following.candidate,
            context.snapshot.channels[following.candidate.channel_id],
            context.principal.organisation_id,
            self._routed.retry_budget if number > 1 else None,
            avoid=following.avoid,
        )
        attempt: Attempt | None = None
        try:
            chosen = Chosen(following.candidate, following.why, probe.key, following.skipped)
            hold = await self._holds.place(chosen, number, replaces)
            self._settles_at_once = hold.settles_at_once
            attempt = Attempt(context, self._admitted(following, number, hold), probe)
        except (DatabaseAway, DatabaseRefused):
            if replaces is not None:
                # Whether that attempt was resolved, and by which of our questions, is unknown.
                self._settle(replaces, OVERLOADED)
                self._record(OVERLOADED, after_attempts=True)
            raise
        finally:
            if attempt is None:
                # Who cannot pay keeps nobody from asking.
                probe.close()
        return attempt

    def _admitted(self, following: _Next, number: int, hold: PlacedHold) -> AdmittedAttempt:
        routed, candidate = self._routed, following.candidate
        return AdmittedAttempt(
            number,
            routed.facts,
            self._context.snapshot.channels[candidate.channel_id],
            candidate.upstream_model,
            following.prepared,
            self._translator.continuation,
            routed.price,
            None if routed.estimate is None else routed.estimate.output_bytes_max,
            hold,
        )

    # ---- who is next

    async def _first(self) -> _Next:
        """The best candidate that can be asked for this; those before it are taken out.

        Raises RequestFault when none can.
        """
        while True:
            candidate = self._candidates[0]
            try:
                prepared = await self._translator.prepare(candidate)
                return _Next(candidate, prepared, candidate.why, self._skipped(candidate))
            except RequestFault:
                self._unfit.append(Skipped(candidate.channel_id, "unsupported"))
                self._take_out(candidate)
                if not self._candidates:
                    raise

    def _take_out(self, candidate: Candidate) -> None:
        """This one cannot serve the request; those that rest are asked where nothing that is well
        can."""
        self._candidates.remove(candidate)
        if not self._candidates and self._resting:
            organisation_id = self._context.principal.organisation_id
            self._candidates = self._context.parts.health.ready(self._resting, organisation_id)
            self._resting = []

    async def _instead_of(self, candidate: Candidate, full: ChannelFull) -> _Next | None:
        """Who is asked in place of a channel that is at a limit of its own; None where the failures
        before it are the answer. Raises RequestFault, ChannelsOut, DatabaseAway, DatabaseRefused.
        """
        context = self._context
        wait_s = inf if full.wait_ms is None else full.wait_ms / 1000
        self._full.append(_Full(candidate, Block(full.reason, wait_s)))
        if full.reason == "requests":
            channel = context.snapshot.channels[candidate.channel_id]
            context.parts.health.bar(channel, full.reason, wait_s)
        if self._failed:
            try:
                return await self._following()
            except (DatabaseAway, DatabaseRefused):
                self._record(OVERLOADED, after_attempts=True)
                raise
        self._take_out(candidate)
        if not self._candidates:
            raise ChannelsOut(none_left(list(self._blocks()), self._routed.facts.model))
        return await self._first()

    def _blocks(self) -> Iterator[Block]:
        """What keeps the channels of the model out, as far as it is known."""
        yield from (item.block for item in self._full)
        organisation_id = self._context.principal.organisation_id
        for candidate in self._routed.resting:
            block = self._context.parts.health.why_not(candidate, organisation_id)
            if block is not None:
                yield block

    def _skipped(self, chosen: Candidate) -> Sequence[Skipped]:
        """The channels before this one in the order of the routes that are passed over, and why."""
        known = [
            Skipped(item.candidate.channel_id, item.block.reason, item.block.wait_s)
            for item in self._full
        ]
        known += [*self._routed.skipped, *self._unfit]
        if self._failed:
            tried = {failed.candidate.channel_id for failed in self._failed}
            rest = [item for item in self._candidates if item.channel_id not in tried]
            organisation_id = self._context.principal.organisation_id
            known += self._context.parts.health.skipped(rest, organisation_id)
            known += [Skipped(channel_id, "retry_budget") for channel_id in self._spent(rest)]
        if not known:
            return ()
        # The first reason that is known of each.
        reasons = {item.channel_id: item for item in reversed(known)}
        before = takewhile(lambda item: item != chosen, self._routed.planned)
        return [reasons[item.channel_id] for item in before if item.channel_id in reasons]

    async def _after(self, attempt: Attempt) -> _Next | None:
        """The same behind an attempt that failed; None where none shall follow."""
        try:
            return await self._following()
        except (DatabaseAway, DatabaseRefused):
            self._settle(attempt.failed(self._failed[-1].failure, final=True), OVERLOADED)
            raise

    async def _following(self) -> _Next | None:
        last = self._failed[-1]
        while (again := self._next_candidate()) is not None:
            candidate, why = again
            try:
                prepared = await self._translator.prepare(candidate)
            except RequestFault:
                self._candidates.remove(candidate)
                self._unfit.append(Skipped(candidate.channel_id, "unsupported"))
            else:
                # A key at fault is not used again, if its channel has another.
                avoid = last.key if why == "retry" else -1
                skipped = self._skipped(candidate)
                return _Next(candidate, prepared, why, skipped, why == "resend", avoid)
        return None

    def _spent(self, candidates: Sequence[Candidate]) -> set[str]:
        """The channels that take no further attempt now."""
        channel_ids = {candidate.channel_id for candidate in candidates}
        return self._routed.retry_budget.spent(channel_ids, self._context.parts.health.now())

    def _next_candidate(self) -> tuple[Candidate, Why] | None:
        """Whom the fault table lets be asked next, and why; None where the last failure is the
        answer."""
        last, made = self._failed[-1], [failed.candidate for failed in self._failed]
        row = FAULTS[last.failure.fault]
        times = sum(failed.failure.fault == last.failure.fault for failed in self._failed)
        if row.next == "never" or (row.next == "once" and times > 1) or not self._in_time():
            return None
        closed = self._spent(self._candidates) | {item.candidate.channel_id for item in self._full}
        if row.next == "resend" and times == 1 and len(made) < ATTEMPTS_MAX:
            return None if last.candidate.channel_id in closed else (last.candidate, "resend")
        candidate = next_candidate(self._candidates, made, closed=closed | self._out(last))
        if candidate is None:
            return None
        return candidate, "retry" if candidate == last.candidate else "failover"

    def _in_time(self) -> bool:
        """Whether anybody waits for another attempt, and it could end in time."""
        context, channel_id = self._context, self._failed[-1].candidate.channel_id
        last_start_s = context.snapshot.channels[channel_id].timeouts.total * LAST_START_SHARE
        return not context.downstream.client_gone and context.time() - context.began <= last_start_s

    def _out(self, last: _Failed) -> set[str]:
        """The channels that are out, for everybody or for this request."""
        health, organisation_id = (
            self._context.parts.health,
            self._context.principal.organisation_id,
        )
        out = health.out(self._candidates, organisation_id) | {
            failed.candidate.channel_id
            for failed in self._failed
            if FAULTS[failed.failure.fault].health in _CHANNEL_OUT
        }
        if FAULTS[last.failure.fault].health in _KEY_OUT and not health.has_other_key(
            last.candidate, organisation_id, last.key
        ):
            out.add(last.candidate.channel_id)
        return out

    async def _back_off(self) -> None:
        """Before the same channel is asked again."""
        await asyncio.sleep(random.uniform(0, backoff_s_max(len(self._failed))))

    # ---- its ends, where no attempt answers

    async def _end_cancelled(self, attempt: Attempt) -> Outcome:
        """Call it in `except CancelledError`: nobody waits for another attempt, its time is over,
        or this process stops, whose holds would wait for the sweeper."""
        context = self._context
        if context.deadline.caught() is not None:
            return await self._give_up(attempt)
        self._settle(attempt.failed(self._failed[-1].failure, final=True), STOPPING)
        if not context.downstream.client_gone:
            await context.downstream.refuse(STOPPING)
        return context.uncharged_outcome(STOPPING)

    async def _give_up_unadmitted(self) -> Outcome:
        """Answer with the last failure where the attempt behind it was not admitted."""
        error = answer_to_failures([failed.failure for failed in self._failed])
        outcome = self._record(error, after_attempts=True)
        if not self._context.downstream.client_gone:
            await self._context.downstream.refuse(error)
        return outcome

    async def _give_up(self, attempt: Attempt) -> Outcome:
        """Answer with the last failure, or the one that the contract prefers to it."""
        failures = [failed.failure for failed in self._failed]
        ended = attempt.failed(failures[-1], final=True)
        if self._context.downstream.client_gone:
            self._settle(ended, CLIENT_CLOSED)
            return self._context.uncharged_outcome(CLIENT_CLOSED)
        error = answer_to_failures(failures)
        self._settle(ended, error)
        await self._context.downstream.refuse(error)
        return self._context.uncharged_outcome(error, basis=ended.ending.basis)

    def _check_left(self) -> None:
        """Call it in `except CancelledError`: raises it again where it was not our client that has
        left."""
        if self._context.deadline.caught() is None:
            raise

    def _settle(self, ended: Resolved, error: ErrorAnswer) -> None:
        """Write the end of the last attempt as the end of its request."""
        ledger = self._context.parts.ledger
        ledger.settle(final_end(ended, error), at_once=self._settles_at_once)

    def _record(self, error: ErrorAnswer, *, after_attempts: bool = False) -> Outcome:
        routed = self._routed
        return self._context.record_refusal(
            error, routed.model.name, stream=routed.facts.stream, after_attempts=after_attempts
        )
