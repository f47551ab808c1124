"""The attempts of one request, one after the other: until one answers, the fault table says stop,
or no channel is left. Fail-over happens before the commit point only (P7)."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

from relay.answers.unary import UnaryFacts
from relay.attempts.admitted_attempt import AdmittedAttempt, Chosen, PlacedHold
from relay.attempts.attempt import Attempt
from relay.attempts.attempt_end import final_end
from relay.attempts.next_attempts import Failed, NextAttempt, NextAttempts
from relay.attempts.rules import backoff_s_max
from relay.attempts.settlement import Resolved
from relay.attempts.shadow_traffic import MainAnswer
from relay.front.downstream import ErrorAnswer
from relay.front.error_answers import CLIENT_CLOSED, OVERLOADED, STOPPING, answer_to_failures
from relay.health.channel_health import HealthProbe
from relay.ledger.database import DatabaseAway, DatabaseRefused
from relay.limits.limit_answers import ChannelFull, UsedUp
from relay.requests.context import Outcome, RequestContext
from relay.routing.routed_models import RoutedModel, RoutedModels
from relay.routing.snapshot import Channel
from relay.upstream.upstream import UpstreamFailed


class OneAttempt(Protocol):
    """What answers at one channel: see `Attempt`."""

    @property
    def key(self) -> int: ...
    @property
    def channel(self) -> Channel: ...
    @property
    def said(self) -> str: ...
    def cost_of(self, outcome: Outcome) -> int | None: ...
    def leave(self) -> None: ...
    def revoke(self) -> None: ...
    def execute(self, *, fresh: bool) -> Awaitable[Outcome]: ...
    def failed(self, failure: UpstreamFailed, *, final: bool) -> Resolved: ...


NewAttempt = Callable[[RequestContext, AdmittedAttempt, HealthProbe], OneAttempt]


class FailOver:
    """Answers one request that was routed: by its model, then by those that may answer in its
    place. `new_attempt` makes what answers at one channel."""

    __slots__ = ("_attempt", "_context", "_new_attempt", "_next", "_revoked", "_settles_at_once")

    def __init__(
        self,
        context: RequestContext,
        first: RoutedModel,
        models: RoutedModels,
        *,
        revoked: bool,
        new_attempt: NewAttempt = Attempt,
    ) -> None:
        self._context = context
        self._new_attempt = new_attempt
        self._next = NextAttempts(context, first, models)
        # The one that runs.
        self._attempt: OneAttempt | None = None
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
            following = await self._next.first()
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
                    another = await self._instead_of(following, full)
                except asyncio.CancelledError:
                    self._check_left()
                    return self._record(CLIENT_CLOSED, after_attempts=bool(self._next.failed))
                if another is None:
                    return await self._give_up_unadmitted()
                following = another
                continue
            except UsedUp:
                # Who has not named the dearer model is told what became of their own.
                if following.why != "fallback_rule" or not self._next.failed:
                    raise
                return await self._give_up_unadmitted()
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
                self._next.failed.append(Failed(following.candidate, attempt.key, failure))
            self._attempt = None
            try:
                again = await self._after(attempt)
                if again is not None and again.why == "retry":
                    await self._back_off()
            except asyncio.CancelledError:
                return await self._end_cancelled(attempt)
            if again is None:
                return await self._give_up(attempt)
            replaces = attempt.failed(self._next.failed[-1].failure, final=False)
            following = again

    @property
    def model_name(self) -> str:
        """The model that answers."""
        return self._next.answering.routed.model.name

    def main_answer(self, outcome: Outcome) -> MainAnswer | None:
        """What the client has got of the model that it asked for; None where another one answered,
        or none was asked."""
        attempt, answering = self._attempt, self._next.answering
        if answering.why is not None:
            return None
        if attempt is not None:
            return MainAnswer(
                outcome, answering.routed.model, attempt.channel, attempt.cost_of(outcome),
                attempt.said,
            )  # fmt: skip
        if not self._next.failed:
            return None
        channel = self._context.snapshot.channels[self._next.failed[-1].candidate.channel_id]
        return MainAnswer(outcome, answering.routed.model, channel, None, "")

    # ---- one attempt

    async def _admit(self, following: NextAttempt, replaces: Resolved | None) -> OneAttempt:
        """Place the hold of an attempt; `replaces` is the end of the one before it. Raises
        RequestFault when the wallet or the key says no, ChannelFull when the channel does."""
        context, number = self._context, len(self._next.failed) + 1
        routed = self._next.answering.routed
        channel = context.snapshot.channels[following.candidate.channel_id]
        probe = context.parts.health.begin(
            following.candidate,
            channel,
            context.principal.organisation_id,
            routed.retry_budget if number > 1 else None,
            avoid=following.avoid,
            only=self._only_key(following),
        )
        attempt: OneAttempt | None = None
        try:
            chosen = Chosen(following.candidate, following.why, probe.key, following.skipped)
            hold = await self._next.answering.holds.place(chosen, number, replaces)
            self._settles_at_once = hold.settles_at_once
            admitted = self._admitted(following, number, hold)
            attempt = self._new_attempt(context, admitted, probe)
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

    def _only_key(self, following: NextAttempt) -> int:
        """The place of the key that what the request is about belongs to; -1 for any."""
        facts = self._next.answering.routed.facts
        if not isinstance(facts, UnaryFacts) or facts.only_key is None:
            return -1
        channel = self._context.snapshot.channels[following.candidate.channel_id]
        return channel.key_ids.index(facts.only_key)

    def _admitted(self, following: NextAttempt, number: int, hold: PlacedHold) -> AdmittedAttempt:
        routed, candidate = self._next.answering.routed, following.candidate
        channel = self._context.snapshot.channels[candidate.channel_id]
        return AdmittedAttempt(
            number,
            routed.facts,
            channel,
            candidate.upstream_model,
            following.prepared,
            self._next.answering.translator.continuation,
            None if routed.estimate is None else routed.estimate.cut_above(hold.size.output_cap),
            hold,
            channel.timeouts_of(routed.model.name),
        )

    # ---- who is next

    async def _after(self, attempt: OneAttempt) -> NextAttempt | None:
        """Who is asked behind an attempt that failed; None where none shall be."""
        try:
            return await self._next.following()
        except (DatabaseAway, DatabaseRefused):
            self._settle(attempt.failed(self._next.failed[-1].failure, final=True), OVERLOADED)
            raise

    async def _instead_of(self, following: NextAttempt, full: ChannelFull) -> NextAttempt | None:
        """Who is asked in place of a channel that is at a limit of its own."""
        try:
            return await self._next.instead_of(following.candidate, full)
        except (DatabaseAway, DatabaseRefused):
            if self._next.failed:
                self._record(OVERLOADED, after_attempts=True)
            raise

    async def _back_off(self) -> None:
        """Before the same channel is asked again."""
        await asyncio.sleep(random.uniform(0, backoff_s_max(len(self._next.failed))))

    # ---- its ends, where no attempt answers

    async def _end_cancelled(self, attempt: OneAttempt) -> Outcome:
        """Call it in `except CancelledError`: nobody waits for another attempt, its time is over,
        or this process stops, whose holds would wait for the sweeper."""
        context = self._context
        if context.deadline.caught() is not None:
            return await self._give_up(attempt)
        self._settle(attempt.failed(self._next.failed[-1].failure, final=True), STOPPING)
        if not context.downstream.client_gone:
            await context.downstream.refuse(STOPPING)
        return context.uncharged_outcome(STOPPING)

    async def _give_up_unadmitted(self) -> Outcome:
        """Answer with the last failure where the attempt behind it was not admitted."""
        error = answer_to_failures([failed.failure for failed in self._next.failed])
        outcome = self._record(error, after_attempts=True)
        if not self._context.downstream.client_gone:
            await self._context.downstream.refuse(error)
        return outcome

    async def _give_up(self, attempt: OneAttempt) -> Outcome:
        """Answer with the last failure, or the one that the contract prefers to it."""
        failures = [failed.failure for failed in self._next.failed]
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
        ledger.settle(
            final_end(ended, error, self._context.principal), at_once=self._settles_at_once
        )

    def _record(self, error: ErrorAnswer, *, after_attempts: bool = False) -> Outcome:
        routed = self._next.answering.routed
        return self._context.record_refusal(
            error, routed.model.name, stream=routed.facts.stream, after_attempts=after_attempts
        )
