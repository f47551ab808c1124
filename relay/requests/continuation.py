"""A request of the responses dialect, and the conversation that it goes on from.

    previous_response_id    looked up in our own store, for the key that made it: what is foreign
    item_reference          is missing, for all keys share the provider's account
    the channel that has it the bytes as they came: there it is named by its id
    every other way         its conversation stands in front of the input, and an item in the place
                            of its reference, so that neither another channel nor another dialect
                            loses it

The answer is kept with its conversation unless the client or the organisation forbids it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import msgspec

from dialects.codec import Codec, Target
from dialects.errors.errors import RequestFault, quote_value
from dialects.responses import state
from dialects.responses.request.read import ChatFacts
from dialects.responses.state import KeptItem, KeptResponse
from relay.answers.state_store import State
from relay.requests.context import RequestContext

_PREVIOUS: Final = "previous_response_id"
# What only the provider knows that it was made at.
_ELSEWHERE: Final = ("prompt", "conversation")
_NO_TARGET: Final = Target()
_NOT_KEPT: Final = (
    "previous_response_id does not name a stored response: responses are stored for {hours} hours, "
    "and not with store: false; send the whole conversation in `input`"
)
_NOTHING_KEPT: Final = (
    "previous_response_id cannot be used: no responses are stored for this key (its organisation's "
    "retention is 0, or the key stores no content); send the whole conversation in `input`"
)
_NO_ITEM: Final = (
    "item_reference {name} does not name a stored item: items of responses are stored for "
    "{hours} hours, and not with store: false; send the item itself in `input`"
)
_NO_ITEMS: Final = (
    "item_reference cannot be used: this organisation stores no responses (its retention is 0); "
    "send the item itself in `input`"
)


class Continuation:
    """A request and what it goes on from."""

    __slots__ = ("_codec", "_earlier", "_keeps", "_own_facts", "_referred", "facts", "previous_id")

    def __init__(
        self,
        codec: Codec[ChatFacts],
        own_facts: ChatFacts,
        earlier: KeptResponse | None,
        referred: Mapping[str, KeptItem],
        *,
        keeps: bool,
    ) -> None:
        self._codec = codec
        # Of the body as it came.
        self._own_facts = own_facts
        # The response that it goes on from, and the items that it names.
        self._earlier = earlier
        self._referred = referred
        # Whether its own answer may be gone on from.
        self._keeps = keeps
        self.previous_id = own_facts.previous_response_id
        # Of all that the model will read.
        self.facts = own_facts
        if earlier is not None or referred:
            before = [] if earlier is None else earlier.conversation
            unseen = 0 if earlier is None else earlier.unseen_tokens
            whole = self._with(before, referred)
            self.facts = replace(
                whole,
                text_bytes=whole.text_bytes + unseen,
                # What was thought stands nowhere, and may be read again where it is named.
                unseen_input=bool(referred),
            )

    def facts_for(self, channel_id: str) -> ChatFacts:
        """What a channel of the same dialect is asked."""
        earlier, referred = self._earlier, self._referred
        made_at = {kept.channel for kept in (earlier, *referred.values()) if kept is not None}
        if made_at <= {channel_id}:
            return self._own_facts
        before = [] if earlier is None else state.make_portable(earlier.conversation)
        return self._with(before, state.make_references_portable(referred))

    def facts_alone(self) -> ChatFacts | None:
        """What asks the same of a channel that knows nothing of it, and leaves nothing there; None
        where only its provider has what stands in for the input."""
        own = self._own_facts
        if own.compact or any(own.body.value(name) is not None for name in _ELSEWHERE):
            return None
        before = [] if self._earlier is None else self._earlier.conversation
        whole = self._with(
            state.make_portable(before), state.make_references_portable(self._referred)
        )
        return self._codec.read(whole.body.splice({"store": b"false"}), _NO_TARGET)

    def states(self, response: bytes, stored_at: str) -> Sequence[State]:
        """What is to be kept of its answer; `stored_at` is the channel that has it too, or ""."""
        if not self._keeps:
            return ()
        kept = state.keep(self._own_facts.body, response, self._earlier, stored_at, self._referred)
        if kept is None:
            return ()
        items = [State("item", *item) for item in state.keep_items(response, stored_at)]
        return [State("response", *kept), *items]

    def _with(self, items: Sequence[msgspec.Raw], referred: state.Referred) -> ChatFacts:
        whole = state.continue_body(self._own_facts.body, items, referred)
        return self._codec.read(whole, _NO_TARGET)


async def continue_request(context: RequestContext, facts: ChatFacts) -> Continuation:
    """What a request goes on from. Raises RequestFault, DatabaseFailed."""
    principal, states = context.principal, context.parts.states
    if facts.background:
        raise RequestFault(
            "unsupported_capability",
            "background",
            "background is not supported: request a stream, and send an Idempotency-Key to be able "
            "to resume it",
        )
    codec: Codec[ChatFacts] = context.invocation.codec
    hours = principal.retention_hours
    keeps = facts.store and hours > 0 and context.invocation.operation == "responses"
    earlier: KeptResponse | None = None
    if facts.previous_response_id is not None:
        name = facts.previous_response_id
        kept = await states.find(principal, "response", [name]) if hours else {}
        if name not in kept:
            what = _NOT_KEPT.format(hours=hours) if hours else _NOTHING_KEPT
            raise RequestFault("unsupported_capability", _PREVIOUS, what)
        earlier = state.decode_kept(kept[name])
    referred = await _read_referred(context, facts.references) if facts.references else {}
    return Continuation(codec, facts, earlier, referred, keeps=keeps)


async def _read_referred(context: RequestContext, names: Sequence[str]) -> dict[str, KeptItem]:
    """The items that a request names. Raises RequestFault, DatabaseFailed."""
    hours = context.principal.retention_hours
    if not hours:
        raise RequestFault("unsupported_capability", "input", _NO_ITEMS)
    kept = await context.parts.states.find(context.principal, "item", names)
    for name in names:
        if name not in kept:
            what = _NO_ITEM.format(name=quote_value(name), hours=hours)
            raise RequestFault("unsupported_capability", "input", what)
    return {name: state.read_item(content) for name, content in kept.items()}
