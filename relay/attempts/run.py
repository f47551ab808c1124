"""The story of one request.

read -> route -> bound -> admit -> send -> first content (commit point) -> relay -> settle

relay/requests/reader.py   its body, and the model that it names
routing.py          who may answer it, at which price, and what must be held
routed_models.py    which other models may answer in its place
fail_over.py        its attempts, until one answers
"""

import random
from collections.abc import Callable
from functools import partial

from dialects.codec import Facts
from dialects.errors.errors import RequestFault
from dialects.json.body import check_nested_names
from gateway.providers.suffixes import RequestedModel
from gateway.routing.channel_order import plan
from relay.attempts.attempt import Attempt
from relay.attempts.fail_over import FailOver, NewAttempt
from relay.counting.count_endpoint import COUNTERS, count_tokens
from relay.front.error_answers import answer_to
from relay.health.channels_out import ChannelsOut
from relay.holds.preview import check_means
from relay.ledger.database import DatabaseAway, DatabaseRefused
from relay.limits.limit_answers import UsedUp
from relay.requests.context import Outcome, RequestContext
from relay.requests.continuation import Continuation, continue_request
from relay.requests.reader import RequestReader
from relay.routing.routed_models import RoutedModels
from relay.routing.screening import screen


class Run:
    """Answers one request. Every attempt ends in exactly one settlement, on every path.
    `new_attempt` makes what answers at one channel."""

    __slots__ = ("_context", "_fail_over", "_new_attempt", "_reader", "_revoked")

    def __init__(self, context: RequestContext, new_attempt: NewAttempt = Attempt) -> None:
        self._context = context
        self._new_attempt = new_attempt
        self._reader = RequestReader(context)
        # Its attempts, once it is known who may answer it.
        self._fail_over: FailOver | None = None
        self._revoked = False

    def leave(self) -> None:
        """The client has gone: nothing more is written to it."""
        context = self._context
        if context.downstream.client_gone:
            return
        context.downstream.client_gone = True
        if self._fail_over is not None:
            self._fail_over.leave()
        else:
            context.deadline.interrupt("left")

    def revoke(self) -> None:
        """The key has ended: what is being answered ends, and the next attempt is not admitted."""
        self._revoked = True
        if self._fail_over is not None:
            self._fail_over.revoke()

    async def answer(self, raw: bytes) -> Outcome:
        """Answer the request with this body. Raises nothing that a client could cause."""
        context = self._context
        try:
            facts = self._reader.read_facts(raw)
            stated = context.invocation.codec.continuation_of(facts)
            continuation = None if stated is None else await continue_request(context, stated)
            fail_over = self._fail_over = await self._route(facts, continuation)
            outcome = await fail_over.make_attempts()
            if context.snapshot.shadowed:
                facts_of = partial(_asked_of_shadow, facts, continuation)
                self._follow(fail_over, facts_of, outcome)
            return outcome
        except (RequestFault, ChannelsOut) as error:
            return await self._refuse(error)
        except (DatabaseAway, DatabaseRefused) as error:
            answer = answer_to(error)
            await context.downstream.refuse(answer)
            return context.uncharged_outcome(answer)
        finally:
            context.deadline.stop()
            context.downstream.stop_keep_alive()

    async def count_tokens(self, raw: bytes) -> None:
        """Answer how many tokens the request of this body would have."""
        context, invocation = self._context, self._context.invocation
        counter = COUNTERS[invocation.codec.name]
        try:
            facts = counter.read(raw, invocation.target)
            check_nested_names(raw)
            model = self._find_model(facts.model).name
            routes = context.snapshot.routes_of(model)
            candidates = plan(model, routes, seed=random.getrandbits(64))
            try:
                candidates, _ = screen(context, facts, candidates)
            except ChannelsOut:
                # Nobody may be asked: it is counted here.
                candidates = []
            await count_tokens(context, counter, facts, candidates)
        except RequestFault as fault:
            await context.downstream.refuse(answer_to(fault))
        finally:
            context.deadline.stop()

    async def _route(self, facts: Facts, continuation: Continuation | None) -> FailOver:
        """Raises RequestFault, ChannelsOut, DatabaseAway."""
        context = self._context
        if continuation is not None:
            facts = continuation.facts
        model = self._find_model(facts.model)
        fallbacks = self._reader.find_fallbacks(facts, model)
        models = RoutedModels(context, facts, continuation, fallbacks)
        try:
            first = models.first(model)
        except ChannelsOut:
            # What only the caller can end is told before what passes by itself.
            await check_means(context, facts, model)
            raise
        return FailOver(
            context,
            first,
            models,
            revoked=self._revoked,
            new_attempt=self._new_attempt,
        )

    def _find_model(self, name: str) -> RequestedModel:
        """Raises RequestFault."""
        context, model = self._context, self._reader.find_model(name)
        if context.snapshot.entries:
            context.downstream.notices = context.snapshot.notices_of(model.alias or model.name)
        return model

    def _follow(
        self, fail_over: FailOver, facts_of: Callable[[], Facts | None], outcome: Outcome
    ) -> None:
        """Let the shadow of its model have the request too, if it was answered, or failed."""
        context = self._context
        if context.downstream.client_gone or not (outcome.status == 200 or outcome.status >= 500):
            return
        main = partial(fail_over.main_answer, outcome)
        context.parts.shadows.follow(context, facts_of, fail_over.model_name, main)

    async def _refuse(self, error: RequestFault | ChannelsOut) -> Outcome:
        answer, reader = answer_to(error), self._reader
        window_id = error.window_id if isinstance(error, UsedUp) else None
        outcome = self._context.record_refusal(
            answer, reader.model_name, stream=reader.stream, window_id=window_id
        )
        await self._context.downstream.refuse(answer)
        return outcome


def _asked_of_shadow(facts: Facts, continuation: Continuation | None) -> Facts | None:
    """A request as another channel than its own is asked it; None where none can be."""
    return facts if continuation is None else continuation.facts_alone()
