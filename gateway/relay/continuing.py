"""A request of the responses dialect, and the conversation that it goes on from.

    previous_response_id    looked up in our own store, for the team that made it: what is foreign
                            is missing, for all teams share the provider's account
    the channel that has it the bytes as they came: there it is named by its id
    every other way         its conversation stands in front of the input, so that neither another
                            channel nor another dialect loses it

The answer is kept with its conversation unless the client or the organisation forbids it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import msgspec

from gateway.codecs.errors import RequestFault
from gateway.codecs.responses import state
from gateway.codecs.responses.request import ChatFacts
from gateway.codecs.responses.state import KeptResponse
from gateway.relay.call import Call
from gateway.relay.dialects import Codec, Target
from gateway.relay.keeping import State

_PREVIOUS: Final = "previous_response_id"
_NO_TARGET: Final = Target()
_NOT_KEPT: Final = (
    "previous_response_id names no response that is kept here: responses are kept for {hours} "
    "hours, and not with store false; send the whole conversation in `input`"
)
_NOTHING_KEPT: Final = (
    "previous_response_id cannot be used: this organisation keeps no responses (its retention is "
    "0); send the whole conversation in `input`"
)


class Turn:
    """One such request. `facts` are those of all that the model will read."""

    __slots__ = ("_asked", "_codec", "_earlier", "_keeps", "facts", "previous_id")

    def __init__(
        self,
        codec: Codec[ChatFacts],
        asked: ChatFacts,
        earlier: KeptResponse | None,
        *,
        keeps: bool,
    ) -> None:
        self._codec = codec
        self._asked = asked
        self._earlier = earlier
        self._keeps = keeps
        self.previous_id = asked.previous_response_id
        self.facts = asked
        if earlier is not None:
            whole = self._with(earlier.conversation)
            self.facts = replace(whole, text_bytes=whole.text_bytes + earlier.unseen_tokens)

    def facts_for(self, channel_id: str) -> ChatFacts:
        """What a channel of the same dialect is asked."""
        earlier = self._earlier
        if earlier is None or earlier.channel == channel_id:
            return self._asked
        return self._with(state.portable(earlier.conversation))

    def states(self, response: bytes, stored_at: str) -> Sequence[State]:
        """What is to be kept of its answer; `stored_at` is the channel that has it too, or ""."""
        kept = (
            state.keep(self._asked.body, response, self._earlier, stored_at)
            if self._keeps
            else None
        )
        return () if kept is None else [State("response", *kept)]

    def _with(self, items: Sequence[msgspec.Raw]) -> ChatFacts:
        whole = state.continue_body(self._asked.body, items)
        return self._codec.read(whole, _NO_TARGET)


async def begin_turn(call: Call, facts: ChatFacts) -> Turn:
    """The turn of a request. Raises RequestFault, DatabaseAway, DatabaseRefused."""
    principal, keeper = call.principal, call.parts.keeper
    if facts.background:
        raise RequestFault(
            "unsupported_capability",
            "background",
            "background cannot be used here: ask for a stream, and give an Idempotency-Key to be "
            "able to come back to it",
        )
    codec: Codec[ChatFacts] = call.asked.codec
    hours = principal.retention_hours
    keeps = facts.store and hours > 0 and call.asked.operation == "responses"
    if facts.previous_response_id is None:
        return Turn(codec, facts, None, keeps=keeps)
    name = facts.previous_response_id
    found = await keeper.find(principal, "response", [name]) if hours else {}
    if name not in found:
        what = _NOT_KEPT.format(hours=hours) if hours else _NOTHING_KEPT
        raise RequestFault("unsupported_capability", _PREVIOUS, what)
    return Turn(codec, facts, state.read_kept(found[name]), keeps=keeps)
