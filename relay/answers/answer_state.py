"""The stored state of an answer, so that later requests can continue from it."""

from collections.abc import Sequence

from dialects.chat.events import Event
from dialects.chat.reasoning_seals import REMEMBERED, collect_reasoning
from relay.answers.state_store import State, may_keep
from relay.attempts.admitted_attempt import AdmittedAttempt
from relay.requests.context import RequestContext


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
            self._events += [event for event in events if isinstance(event, REMEMBERED)]

    async def keep(self, response: bytes | None) -> None:
        """Store the state. Call this before the client can send a request that continues the
        answer."""
        context, admitted, prepared = self._context, self._admitted, self._admitted.prepared
        if context.response_id and context.downstream.client_gone:
            # It ran in the background, and was cancelled or deleted: it is not continued.
            return
        context.await_client()
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
