"""A request in the responses or the interactions dialect, and the conversation that it continues.

    previous_response_id     looked up in our own store for the key that created the object.
    previous_interaction_id  Another key's objects are missing, because all keys share the
    item_reference           provider's account

    at the channel that stored it    the unchanged bytes: the provider knows the id; a response that
                                     ran in the background has another id there, which is put in
    at any other channel             the conversation is placed before the input, and each item in
                                     the place of its reference, so that it works at other channels
                                     and in other dialects

The answer is stored with its conversation unless the client or the organisation forbids it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, Protocol

import msgspec
from msgspec.structs import replace as replace_members

from dialects.chat.chat import Dialect
from dialects.chat.kept import KeptItem, KeptResponse, Referred, decode_kept, read_item
from dialects.codec import Codec, Target
from dialects.errors.errors import RequestFault
from dialects.errors.masking import quote_value
from dialects.interactions import state as interactions
from dialects.interactions.request.read import ChatFacts as InteractionFacts
from dialects.json.body import Body
from dialects.responses import state as responses
from dialects.responses.request.read import ChatFacts as ResponseFacts
from dialects.streams.background import id_of
from relay.context.context import RequestContext
from relay.requests.sessions import Session, opening_session
from relay.states.background_forms import BACKGROUND_KINDS
from relay.states.state_store import State, StateKind

ContinuedFacts = ResponseFacts | InteractionFacts


class _States(Protocol):
    """How a dialect stores a conversation and continues it: the module `state` of the dialect."""

    def keep(
        self,
        body: Body,
        response: bytes,
        earlier: KeptResponse | None,
        channel: str,
        referred: Referred,
        session: tuple[str, str] | None,
    ) -> tuple[str, bytes] | None: ...
    def input_items(self, body: Body, referred: Referred) -> list[msgspec.Raw]: ...
    def keep_items(self, response: bytes, channel: str) -> Iterator[tuple[str, bytes]]: ...
    def continue_body(
        self, body: Body, items: Sequence[msgspec.Raw], referred: Referred
    ) -> bytes: ...
    def make_portable(self, items: Sequence[msgspec.Raw]) -> list[msgspec.Raw]: ...
    def make_references_portable(self, referred: Referred) -> Referred: ...


class _Form(NamedTuple):
    """A dialect that stores conversations: how it does, the kind of its states, and the member that
    names what a request continues."""

    states: _States
    kind: StateKind
    previous: str


_FORMS: Final[Mapping[Dialect, _Form]] = {
    "responses": _Form(responses, "response", responses.PREVIOUS),
    "interactions": _Form(interactions, "interaction", interactions.PREVIOUS),
}
# Members that only the provider itself can interpret.
_ELSEWHERE: Final = ("prompt", "conversation", "cached_content")
_NO_TARGET: Final = Target()
_NOT_KEPT: Final = (
    "{previous} does not name a stored {kind}: {kind}s are stored for {hours} hours, "
    "and not with store: false; send the whole conversation in `input`"
)
_NOTHING_KEPT: Final = (
    "{previous} cannot be used: no {kind}s are stored for this key (its organisation's "
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
    """A request and the conversation that it continues."""

    __slots__ = (
        "_codec",
        "_earlier",
        "_keeps",
        "_kind",
        "_opens",
        "_own_facts",
        "_previous",
        "_referred",
        "_response_id",
        "_sent",
        "_states",
        "facts",
        "previous_id",
        "session",
    )

    def __init__(
        self,
        codec: Codec[Any],
        own_facts: ContinuedFacts,
        earlier: KeptResponse | None,
        referred: Mapping[str, KeptItem],
        *,
        keeps: bool,
        opens: tuple[str, str],
        response_id: str = "",
    ) -> None:
        self._codec = codec
        form = _FORMS[codec.name]
        self._states, self._kind, self._previous = form
        # The id of an answer that runs in the background, "" for another.
        self._response_id = response_id
        # Computed from the body as received.
        self._own_facts = own_facts
        # The response that it continues, and the items that it refers to.
        self._earlier = earlier
        self._referred = referred
        # Whether later requests may continue the answer.
        self._keeps = keeps
        # The session of its answer, if it names none and continues nothing.
        self._opens = opens
        self.previous_id = own_facts.previous_response_id
        # What is sent in place of the request as received, None if that is.
        self._sent: ContinuedFacts | None = None
        # The session of the request itself, which requests that continue its answer inherit.
        self.session: Session | None = None
        # Computed from everything that the model will read.
        self.facts: ContinuedFacts = own_facts
        if earlier is not None or referred:
            before = [] if earlier is None else earlier.conversation
            unseen = 0 if earlier is None else earlier.unseen_tokens
            whole = self._with(before, referred)
            self.facts = replace(
                whole,
                text_bytes=whole.text_bytes + unseen,
                # Reasoning is not stored here; the provider may read it again through the
                # references.
                unseen_input=bool(referred),
            )

    @property
    def earlier_session(self) -> tuple[str, str] | None:
        """The id and the name of the session of the response that is continued; if none is, of the
        session that later requests may continue."""
        if self._earlier is None:
            return self._opens if self._keeps else None
        return self._earlier.session

    def input_items(self) -> list[msgspec.Raw]:
        """Return the items that the model of a response reads, as they are stored with it."""
        before = [] if self._earlier is None else self._earlier.conversation
        return [*before, *self._states.input_items(self._own_facts.body, self._referred)]

    def facts_for(self, channel_id: str) -> ContinuedFacts:
        """Return the facts for a channel of the same dialect."""
        if self._sent is not None:
            return self._sent
        earlier, referred = self._earlier, self._referred
        made_at = {kept.channel for kept in (earlier, *referred.values()) if kept is not None}
        if made_at <= {channel_id}:
            if earlier is None or not earlier.provider_id:
                return self._own_facts
            known = msgspec.json.encode(earlier.provider_id)
            return self.read(self._own_facts.body.splice({self._previous: known}))
        before = [] if earlier is None else self._states.make_portable(earlier.conversation)
        return self._with(before, self._states.make_references_portable(referred))

    def facts_alone(self) -> ContinuedFacts | None:
        """Return the facts for a channel that knows nothing about the conversation and stores
        nothing; None if only its provider has the content of the input.
        """
        own = self._own_facts
        if self._sent is not None:
            return self.read(self._sent.body.splice({"store": b"false"}))
        if own.compact or any(own.body.value(name) is not None for name in _ELSEWHERE):
            return None
        before = [] if self._earlier is None else self._earlier.conversation
        whole = self._with(
            self._states.make_portable(before),
            self._states.make_references_portable(self._referred),
        )
        return self.read(whole.body.splice({"store": b"false"}))

    def portable_facts(self) -> ContinuedFacts:
        """Return the facts of the request with its whole conversation, which any channel reads."""
        before = [] if self._earlier is None else self._earlier.conversation
        return self._with(
            self._states.make_portable(before),
            self._states.make_references_portable(self._referred),
        )

    def send(self, facts: ContinuedFacts) -> None:
        """Send these facts to every channel, none of which is asked for what it stored. The
        conversation is stored as the client has it."""
        self._sent = self.facts = facts

    def states(self, response: bytes, stored_at: str) -> Sequence[State]:
        """Return the states to store for the answer; `stored_at` is the channel that has it too, or
        ""."""
        if not self._keeps:
            return ()
        session = None if self.session is None else (str(self.session.id), self.session.name)
        provider_id = ""
        if self._response_id:
            provider_id = id_of(response)
            previous = self._own_facts.body.value(self._previous)
            form = BACKGROUND_KINDS[self._codec.name].form
            response = form.name_response(response, self._response_id, previous)
        kept = self._states.keep(
            self._own_facts.body, response, self._earlier, stored_at, self._referred, session
        )
        if kept is None:
            return ()
        name, content = kept
        if stored_at and provider_id not in ("", name):
            stored = replace_members(decode_kept(content), provider_id=provider_id)
            content = msgspec.json.encode(stored)
        items = [State("item", *item) for item in self._states.keep_items(response, stored_at)]
        return [State(self._kind, name, content), *items]

    def _with(self, items: Sequence[msgspec.Raw], referred: Referred) -> ContinuedFacts:
        return self.read(self._states.continue_body(self._own_facts.body, items, referred))

    def read(self, raw: bytes) -> ContinuedFacts:
        """Return the facts of a body in the request's dialect. Raises RequestFault."""
        facts: ContinuedFacts = self._codec.read(raw, _NO_TARGET)
        return facts


async def continue_request(context: RequestContext, facts: ContinuedFacts) -> Continuation:
    """Return a request together with the conversation that it continues. Raises RequestFault,
    DatabaseFailed."""
    principal, states = context.principal, context.parts.states
    if facts.background:
        raise RequestFault(
            "unsupported_capability",
            "background",
            "background is not supported: request a stream, and send an Idempotency-Key to be able "
            "to resume it",
        )
    codec: Codec[Any] = context.invocation.codec
    form, hours = _FORMS[codec.name], principal.retention_hours
    keeps = facts.store and hours > 0 and context.invocation.operation == codec.name
    earlier: KeptResponse | None = None
    if facts.previous_response_id is not None:
        name = facts.previous_response_id
        kept = await states.find(principal, form.kind, [name]) if hours else {}
        if name not in kept:
            what = (_NOT_KEPT if hours else _NOTHING_KEPT).format(
                previous=form.previous, kind=form.kind, hours=hours
            )
            raise RequestFault("unsupported_capability", form.previous, what)
        earlier = decode_kept(kept[name])
    referred = await _read_referred(context, facts.references) if facts.references else {}
    opens = opening_session(principal.key_id, context.request_id)
    return Continuation(
        codec,
        facts,
        earlier,
        referred,
        keeps=keeps,
        opens=opens,
        response_id=context.response_id,
    )


async def _read_referred(context: RequestContext, names: Sequence[str]) -> dict[str, KeptItem]:
    """Return the items that a request refers to. Raises RequestFault, DatabaseFailed."""
    hours = context.principal.retention_hours
    if not hours:
        raise RequestFault("unsupported_capability", "input", _NO_ITEMS)
    kept = await context.parts.states.find(context.principal, "item", names)
    for name in names:
        if name not in kept:
            what = _NO_ITEM.format(name=quote_value(name), hours=hours)
            raise RequestFault("unsupported_capability", "input", what)
    return {name: read_item(content) for name, content in kept.items()}
