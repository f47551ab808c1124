"""The course of one request.

    read -> route -> bound -> admit -> send -> first content (commit point) -> relay -> settle

    relay/attempts/request_reader.py          its body, and the model that it names
    relay/routing/routing.py          the channels that may answer, the price, and the hold
    next_attempts.py                  the next channel after a failed attempt, and the other models
                                      that may answer in its place
    attempt.py                        one attempt

Attempts follow each other until one answers, the fault table says stop, or no channel is left.
Another attempt is only possible before the commit point (P7).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol
from uuid import UUID

from content.guards.masks import Masks
from dialects.codec import Facts
from dialects.errors.errors import RequestFault
from dialects.json.body import Body, check_nested_names
from gateway.channel_order.channel_order import plan
from gateway.channel_order.tie_breaking import order_keys
from gateway.providers.suffixes import RequestedModel
from lib.ids import id_text
from relay.answers.attempt_end import final_end
from relay.attempts.attempt import Attempt
from relay.attempts.count_endpoint import COUNTERS, count_tokens
from relay.attempts.guard_models import ask_model
from relay.attempts.next_attempts import Failed, NextAttempt, NextAttempts, RoutedModels
from relay.attempts.request_reader import RequestReader
from relay.attempts.rules import backoff_s_max
from relay.attempts.shadow_traffic import MainAnswer
from relay.catalogue.snapshot import Channel
from relay.context.context import RequestContext
from relay.context.records import record_refusal, uncharged_outcome
from relay.credentials.revocation import EndReason
from relay.downstream.downstream import ErrorAnswer
from relay.downstream.error_answers import (
    CLIENT_CLOSED,
    OVERLOADED,
    STOPPING,
    answer_to,
    answer_to_failures,
)
from relay.downstream.limit_answers import BY_BUDGET, ChannelFull, UsedUp
from relay.errors import DatabaseFailed
from relay.guarding.asking import Caller
from relay.guarding.guarding import Guarding
from relay.guarding.operations import check_operation
from relay.guarding.rule_set import rules_of
from relay.health.channel_health import HealthProbe
from relay.health.channels_out import ChannelsOut
from relay.holds.admitted_attempt import AdmittedAttempt, Chosen, PlacedHold
from relay.holds.preview import check_means
from relay.ledger.settlement import Settlement
from relay.operations.unary import UnaryFacts
from relay.preparation.continuation import Continuation, continue_request
from relay.prompts.prompts import PROMPTED, fill_prompt
from relay.requests.outcome import Outcome
from relay.requests.session_prefix import prefix_session
from relay.requests.sessions import OWN_HEADER, read_session_members
from relay.routing.routing import plan_own_keys, screen
from relay.upstream.failures import UpstreamFailed
from usage.sessions.sources import CAP_HEADER, FIRST_RESPONSE


class OneAttempt(Protocol):
    """The attempt at one channel: see `Attempt`."""

    @property
    def key(self) -> int: ...
    @property
    def channel(self) -> Channel: ...
    @property
    def answer_text(self) -> str: ...
    def cost_of(self, outcome: Outcome) -> int | None: ...
    def leave(self) -> None: ...
    def revoke(self, reason: EndReason = "revoked") -> None: ...
    def execute(self, *, fresh: bool) -> Awaitable[Outcome]: ...
    def failed(self, failure: UpstreamFailed, *, final: bool) -> Settlement: ...


NewAttempt = Callable[[RequestContext, AdmittedAttempt, HealthProbe], OneAttempt]
_ShadowFacts = Callable[[], Facts | None]


class Run:
    """Answers one request. Every attempt is settled exactly once, on every path. `new_attempt`
    creates the attempt at one channel.
    """

    __slots__ = (
        "_attempt",
        "_context",
        "_masks",
        "_new_attempt",
        "_next",
        "_reader",
        "_revoked",
        "_settles_at_once",
    )

    def __init__(
        self,
        context: RequestContext,
        new_attempt: NewAttempt = Attempt,
        masks: Masks | None = None,
    ) -> None:
        """`masks` are those of the request that this one is a part of, None for its own."""
        self._context = context
        self._masks = masks
        self._new_attempt = new_attempt
        self._reader = RequestReader(context)
        # The routed request, once it is known.
        self._next: NextAttempts
        # The current attempt, or the last one.
        self._attempt: OneAttempt | None = None
        # The key or the session has ended: the next attempt is stopped when it begins.
        self._revoked: EndReason | None = None
        # Whether others may need what the last attempt holds.
        self._settles_at_once = False

    def leave(self) -> None:
        """Record that the client left. Nothing more is written to it."""
        context = self._context
        if context.downstream.client_gone:
            return
        context.downstream.client_gone = True
        if self._attempt is not None:
            self._attempt.leave()
        else:
            context.deadline.interrupt("left")

    @property
    def session_id(self) -> UUID | None:
        """The id of the request's session, once it is known."""
        session = self._context.session
        return None if session is None else session.id

    @property
    def model_name(self) -> str:
        """The model's name in the catalogue, "" for an unknown one."""
        return self._reader.model_name

    @property
    def failures(self) -> tuple[str, ...]:
        """The errors of the attempts that failed before content, in order."""
        failed = self._next.failed if hasattr(self, "_next") else []
        return tuple(one.failure.message for one in failed)

    @property
    def masked(self) -> Mapping[str, str]:
        """The texts that guards masked in the request, by placeholder."""
        guarding = self._context.guarding
        return {} if guarding is None else guarding.masks.originals

    def revoke(self, reason: EndReason = "revoked") -> None:
        """Handle a key or a session that has ended: stop the current answer, and admit no further
        attempt.
        """
        self._revoked = reason
        if self._attempt is not None:
            self._attempt.revoke(reason)

    def answer(self, raw: bytes) -> Awaitable[Outcome]:
        """Answer the request with this body. No input of a client makes it raise."""
        return self._answer(partial(self._route, raw))

    async def _answer(self, route: Callable[[], Awaitable[_ShadowFacts | None]]) -> Outcome:
        """Answer the request that `route` finds the channels for. It returns what a shadow of the
        request asks, None if it has none, and raises RequestFault, ChannelsOut, DatabaseFailed."""
        context = self._context
        try:
            shadow_facts = await route()
            outcome = await self._make_attempts()
            if shadow_facts is not None:
                self._follow(shadow_facts, outcome)
            return outcome
        except (RequestFault, ChannelsOut) as error:
            return await self._refuse(error)
        except DatabaseFailed as error:
            answer = answer_to(error)
            await context.downstream.refuse(answer)
            return uncharged_outcome(context, answer)
        finally:
            context.deadline.stop()
            context.downstream.stop_keep_alive()

    async def answer_routed(self, route: Callable[[RequestReader], NextAttempts]) -> Outcome:
        """Answer a request without a model, whose channel `route` finds. `route` raises
        RequestFault and ChannelsOut; no input of a client makes this method raise."""

        async def take_route() -> None:
            self._next = route(self._reader)

        return await self._answer(take_route)

    async def count_tokens(self, raw: bytes) -> None:
        """Answer with the number of tokens of the request with this body."""
        context, invocation = self._context, self._context.invocation
        counter = COUNTERS[invocation.codec.name]
        try:
            facts = counter.read(raw, invocation.target)
            check_nested_names(raw)
            if context.principal.guard_rules:
                self._find_model(facts.model)
                checked = await self._check(self._new_guarding(facts.model), facts.body)
                if checked is not facts.body.raw:
                    facts = counter.read(checked, invocation.target)
            model = self._find_model(facts.model).name
            routes = context.snapshot.routes_of(model)
            candidates = plan(model, routes, seed=random.getrandbits(64))
            try:
                candidates = plan_own_keys(context, candidates, model)
                candidates, _ = screen(context, facts, candidates)
            except ChannelsOut:
                # No channel may be used, so the tokens are counted here.
                candidates = []
            await count_tokens(context, counter, facts, model, candidates)
        except RequestFault as fault:
            await context.downstream.refuse(answer_to(fault))
        finally:
            context.deadline.stop()

    def _find_session(self, facts: Facts, continuation: Continuation | None) -> None:
        """Record the session that the body names, unless the headers name one; for a request that
        names none, that of its beginning, if an operator allows it. Raises RequestFault if the
        request limits its session but is in none."""
        context = self._context
        if context.session is None:
            earlier = None if continuation is None else continuation.earlier_session
            key_id = context.principal.key_id
            context.session = read_session_members(key_id, facts.body, earlier)
        if context.snapshot.prefix_sessions and self._names_no_session(continuation):
            principal, pepper = context.principal, context.parts.config.pepper
            by_prefix = prefix_session(
                pepper, principal.organisation_id, principal.key_id, facts.body
            )
            context.session = by_prefix or context.session
        if continuation is not None:
            continuation.session = context.session
        if context.session is None and context.options.session_cap_nano is not None:
            what = f"{CAP_HEADER} limits a session, and the request names none. Add {OWN_HEADER}"
            raise RequestFault("missing_parameter", OWN_HEADER, what)

    def _names_no_session(self, continuation: Continuation | None) -> bool:
        """Return whether nothing in a chat request of the API says which session it belongs to."""
        context = self._context
        if context.source != "api" or context.invocation.unary is not None:
            return False
        if context.session is None:
            return True
        opens = context.session.source == FIRST_RESPONSE
        return opens and (continuation is None or continuation.previous_id is None)

    # ---- routing

    async def _route(self, raw: bytes) -> _ShadowFacts | None:
        """Read a body, and find the channels that may answer it. Raises RequestFault, ChannelsOut,
        DatabaseAway."""
        context = self._context
        if b'"prompt"' in raw and context.invocation.operation in PROMPTED:
            raw = await fill_prompt(context, raw)
        facts = self._reader.read_facts(raw)
        continued = context.invocation.codec.continuation_of(facts)
        continuation = None if continued is None else await continue_request(context, continued)
        self._find_session(facts, continuation)
        model: RequestedModel | None = None
        if context.principal.guard_rules:
            # Guards are told of a model that exists and that the key may use.
            model = self._find_model(facts.model)
            facts = await self._guard(facts, continuation)
        await self._find_channels(facts, continuation, model)
        if not context.snapshot.shadowed:
            return None
        return partial(_shadow_facts, facts, continuation)

    async def _guard(self, facts: Facts, continuation: Continuation | None) -> Facts:
        """Return the facts of the body that guards let through. Raises RequestFault."""
        context = self._context
        guarding = context.guarding = self._new_guarding(facts.model)
        invocation = context.invocation
        check_operation(guarding, invocation.operation, facts, is_chat=invocation.unary is None)
        if continuation is None:
            checked = await self._check(guarding, facts.body)
            return facts if checked is facts.body.raw else self._reader.read_facts(checked)
        portable = continuation.portable_facts()
        checked = await self._check(guarding, portable.body)
        unchanged = checked is portable.body.raw
        continuation.send(portable if unchanged else continuation.read(checked))
        return facts

    def _new_guarding(self, model: str) -> Guarding:
        context, principal = self._context, self._context.principal
        rules = rules_of(principal)
        if not rules.calling:
            return Guarding(rules, masks=self._masks)
        caller = Caller(
            id_text(context.request_id),
            model,
            id_text(principal.key_id),
            id_text(principal.team_id),
        )
        requests: list[str] = []
        ask = partial(
            context.parts.guard_calls.ask, caller, partial(ask_model, context, Run, requests)
        )
        return Guarding(rules, ask, requests, self._masks)

    async def _check(self, guarding: Guarding, body: Body) -> bytes:
        """Return the body that guards let through. Raises RequestFault."""
        try:
            return await guarding.checked_request(body)
        except asyncio.CancelledError:
            self._reraise_unless_left()
            raise RequestFault("client_closed", None, "") from None

    async def _find_channels(
        self, facts: Facts, continuation: Continuation | None, model: RequestedModel | None = None
    ) -> None:
        """Find the channels of a model, None to find the model first. Raises RequestFault,
        ChannelsOut, DatabaseAway."""
        context = self._context
        if continuation is not None:
            facts = continuation.facts
        if model is None:
            model = self._find_model(facts.model)
        fallbacks = self._reader.find_fallbacks(facts, model)
        models = RoutedModels(context, facts, continuation, fallbacks)
        try:
            first = models.first(model)
        except ChannelsOut:
            # Errors that the caller must fix take precedence over temporary ones.
            await check_means(context, facts, model)
            raise
        self._next = NextAttempts(context, first, models)

    def _find_model(self, name: str) -> RequestedModel:
        """Return the requested model. Raises RequestFault."""
        context, model = self._context, self._reader.find_model(name)
        if context.snapshot.entries:
            context.downstream.notices = context.snapshot.notices_of(model.alias or model.name)
        return model

    async def _refuse(self, error: RequestFault | ChannelsOut) -> Outcome:
        answer, reader = answer_to(error), self._reader
        window_id = error.window_id if isinstance(error, UsedUp) else None
        outcome = record_refusal(
            self._context, answer, reader.model_name, stream=reader.stream, window_id=window_id
        )
        if not self._context.downstream.client_gone:
            await self._context.downstream.refuse(answer)
        return outcome

    # ---- Attempts

    async def _make_attempts(self) -> Outcome:
        """Make attempts until one answers. Raises RequestFault, ChannelsOut, DatabaseFailed."""
        try:
            following = await self._next.first()
        except asyncio.CancelledError:
            self._reraise_unless_left()
            return self._record(CLIENT_CLOSED)
        replaces: Settlement | None = None
        used_up: UsedUp | None = None
        while True:
            try:
                attempt = await self._admit(following, replaces)
            except ChannelFull as full:
                # The hold that it was to replace is resolved.
                replaces = None
                try:
                    another = await self._instead_of(following, full)
                except asyncio.CancelledError:
                    self._reraise_unless_left()
                    return self._record(CLIENT_CLOSED, after_attempts=bool(self._next.failed))
                if another is None:
                    return await self._give_up_unadmitted()
                following = another
                continue
            except UsedUp as fault:
                used_up = used_up or fault
                try:
                    cheaper = await self._within_budget(fault)
                except asyncio.CancelledError:
                    self._reraise_unless_left()
                    return self._record(CLIENT_CLOSED)
                if cheaper is not None:
                    following = cheaper
                    continue
                # A client that did not name the fallback model gets the error of its own model.
                if following.why != "fallback_rule" or not self._next.failed:
                    raise used_up from None
                return await self._give_up_unadmitted()
            except asyncio.CancelledError:
                # The client may leave while its hold is being placed; admission then writes the
                # record.
                self._reraise_unless_left()
                return uncharged_outcome(self._context, CLIENT_CLOSED)
            self._attempt = attempt
            if self._revoked is not None:
                attempt.revoke(self._revoked)
            try:
                return await attempt.execute(fresh=following.fresh)
            except UpstreamFailed as failure:
                # The traceback refers to this frame: without this, the attempt and its answer would
                # stay in memory until the next garbage collection.
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

    # ---- one attempt

    async def _admit(self, following: NextAttempt, replaces: Settlement | None) -> OneAttempt:
        """Place the hold of an attempt; `replaces` is the end of the one before it. Raises
        RequestFault if the wallet or the key refuses, ChannelFull if the channel does.
        """
        context, number = self._context, len(self._next.failed) + 1
        routed = self._next.answering.routed
        channel = context.snapshot.channels[following.candidate.channel_id]
        probe = context.parts.health.begin(
            following.candidate,
            channel,
            context.principal.organisation_id,
            routed.retry_budget if number > 1 else None,
            avoid=following.avoid,
            only=self._only_key(following) if isinstance(routed.facts, UnaryFacts) else -1,
            order=order_keys(channel.key_ids, routed.affinity) if routed.affinity else (),
        )
        attempt: OneAttempt | None = None
        try:
            chosen = Chosen(following.candidate, following.why, probe.key, following.skipped)
            hold = await self._next.answering.holds.place(chosen, number, replaces)
            self._settles_at_once = hold.settles_at_once
            admitted = self._admitted(following, number, hold)
            attempt = self._new_attempt(context, admitted, probe)
        except DatabaseFailed:
            if replaces is not None:
                # It is unknown whether the replaced attempt was resolved, and by which transaction.
                self._settle(replaces, OVERLOADED)
                self._record(OVERLOADED, after_attempts=True)
            raise
        finally:
            if attempt is None:
                # A caller who cannot pay must not reserve a channel's probe.
                probe.close()
        return attempt

    def _only_key(self, following: NextAttempt) -> int:
        """Return the position of the only key that can use the object of the request; -1 for any
        key."""
        facts = self._next.answering.routed.facts
        if not isinstance(facts, UnaryFacts) or facts.only_key is None:
            return -1
        channel = self._context.snapshot.channels[following.candidate.channel_id]
        return channel.key_ids.index(facts.only_key)

    def _admitted(self, following: NextAttempt, number: int, hold: PlacedHold) -> AdmittedAttempt:
        routed, candidate = self._next.answering.routed, following.candidate
        channel = self._context.snapshot.channels[candidate.channel_id]
        return AdmittedAttempt(
            number=number,
            facts=routed.facts,
            channel=channel,
            upstream_model=candidate.upstream_model,
            prepared=following.prepared,
            continuation=self._next.answering.translator.continuation,
            cut_above=None
            if routed.estimate is None
            else routed.estimate.cut_above(hold.size.output_cap),
            hold=hold,
            timeouts=channel.timeouts_of(routed.model.name),
        )

    # ---- the next attempt

    async def _after(self, attempt: OneAttempt) -> NextAttempt | None:
        """Return the attempt to make after a failed one, or None."""
        try:
            return await self._next.following()
        except DatabaseFailed:
            self._settle(attempt.failed(self._next.failed[-1].failure, final=True), OVERLOADED)
            raise

    async def _instead_of(self, following: NextAttempt, full: ChannelFull) -> NextAttempt | None:
        """Return the attempt to make instead of one at a channel that has reached a limit."""
        try:
            return await self._next.instead_of(following.candidate, full)
        except DatabaseFailed:
            if self._next.failed:
                self._record(OVERLOADED, after_attempts=True)
            raise

    async def _within_budget(self, fault: UsedUp) -> NextAttempt | None:
        """Return the attempt to make instead of one that a budget refused, and add a notice to the
        answer's headers."""
        cheaper = await self._next.within_budget() if fault.of_budget else None
        downstream = self._context.downstream
        if cheaper is not None and BY_BUDGET not in downstream.notices:
            downstream.notices = (*downstream.notices, BY_BUDGET)
        return cheaper

    async def _back_off(self) -> None:
        """Wait before the same channel is used again."""
        await asyncio.sleep(random.uniform(0, backoff_s_max(len(self._next.failed))))

    # ---- Ends without an answer

    async def _end_cancelled(self, attempt: OneAttempt) -> Outcome:
        """End a request that was cancelled: its client has left, its time is over, or the process
        stops and its holds would otherwise wait for the sweeper. Call this in `except
        CancelledError`."""
        context = self._context
        if context.deadline.caught() is not None:
            return await self._give_up(attempt)
        self._settle(attempt.failed(self._next.failed[-1].failure, final=True), STOPPING)
        if not context.downstream.client_gone:
            await context.downstream.refuse(STOPPING)
        return uncharged_outcome(context, STOPPING)

    async def _give_up_unadmitted(self) -> Outcome:
        """Answer with the last failure, because the next attempt was not admitted."""
        error = answer_to_failures([failed.failure for failed in self._next.failed])
        outcome = self._record(error, after_attempts=True)
        if not self._context.downstream.client_gone:
            await self._context.downstream.refuse(error)
        return outcome

    async def _give_up(self, attempt: OneAttempt) -> Outcome:
        """Answer with the last failure, or with an earlier one that the API contract prefers."""
        failures = [failed.failure for failed in self._next.failed]
        ended = attempt.failed(failures[-1], final=True)
        if self._context.downstream.client_gone:
            self._settle(ended, CLIENT_CLOSED)
            return uncharged_outcome(self._context, CLIENT_CLOSED)
        error = answer_to_failures(failures)
        self._settle(ended, error)
        await self._context.downstream.refuse(error)
        return uncharged_outcome(self._context, error, basis=ended.ending.basis)

    def _reraise_unless_left(self) -> None:
        """Re-raise a cancellation unless the client has left. Call this in `except
        CancelledError`."""
        if self._context.deadline.caught() is None:
            raise

    def _settle(self, ended: Settlement, error: ErrorAnswer) -> None:
        """Settle the last attempt as the end of its request."""
        ledger = self._context.parts.ledger
        ledger.settle(
            final_end(ended, error, self._context.principal), at_once=self._settles_at_once
        )

    def _record(self, error: ErrorAnswer, *, after_attempts: bool = False) -> Outcome:
        routed = self._next.answering.routed
        return record_refusal(
            self._context,
            error,
            routed.model.name,
            stream=routed.facts.stream,
            after_attempts=after_attempts,
        )

    # ---- shadow traffic

    def _follow(self, facts_of: _ShadowFacts, outcome: Outcome) -> None:
        """Send the request to its model's shadow as well, after a success or a failure."""
        context = self._context
        if context.downstream.client_gone or not (outcome.status == 200 or outcome.status >= 500):
            return
        model_name = self._next.answering.routed.model.name
        context.parts.shadows.follow(
            context, facts_of, model_name, partial(self._main_answer, outcome)
        )

    def _main_answer(self, outcome: Outcome) -> MainAnswer | None:
        """Return the answer that the client received from the requested model; None if another
        model answered, or none did."""
        attempt, answering = self._attempt, self._next.answering
        if answering.why is not None or (attempt is not None and attempt.channel.own is not None):
            # A request with an organisation's own key is sent to no other channel.
            return None
        if attempt is not None:
            return MainAnswer(
                outcome, answering.routed.model, attempt.channel, attempt.cost_of(outcome),
                attempt.answer_text,
            )  # fmt: skip
        if not self._next.failed:
            return None
        channel = self._context.snapshot.channels[self._next.failed[-1].candidate.channel_id]
        if channel.own is not None:
            return None
        return MainAnswer(outcome, answering.routed.model, channel, None, "")


def _shadow_facts(facts: Facts, continuation: Continuation | None) -> Facts | None:
    """Return the facts of the request for other channels; None if no other channel can serve it."""
    return facts if continuation is None else continuation.facts_alone()
