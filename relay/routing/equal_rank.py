"""The order of a model's channels of equal rank, by an operator's rule."""

from hashlib import blake2b
from typing import Final

import msgspec

from dialects.codec import Facts
from gateway.routing.tie_breaking import MEASURED, Ordering
from relay.requests.context import RequestContext

_TEXTS: Final = ("messages", "contents", "input")


def ordering_of(context: RequestContext, facts: Facts, model: str) -> Ordering | None:
    """Return how the channels of a model are ordered for a request; None for by weight."""
    pick = context.snapshot.rule_of(model).pick
    if pick == "weight":
        return None
    if pick in MEASURED:
        figures = context.parts.health.measures.figures(pick, context.snapshot, model)
        return Ordering(pick, figures)
    identity = _user(context, facts) if pick == "user" else _conversation(facts)
    if not identity:
        return None
    return Ordering(pick, key=context.principal.organisation_id.bytes + identity)


def _user(context: RequestContext, facts: Facts) -> bytes:
    """Return the user: the one that the client names, else the key's holder."""
    principal = context.principal
    named = facts.user or context.options.labels.customer
    return (named or str(principal.user_id or principal.key_id)).encode(errors="replace")


def _conversation(facts: Facts) -> bytes:
    """Return the common beginning of all requests of a conversation: the client's own cache key,
    else everything up to the first user message. Empty if there is none.
    """
    named = facts.body.value("prompt_cache_key")
    if named is not None and named.startswith(b'"'):
        return named
    raw = next(filter(None, map(facts.body.value, _TEXTS)), b"")
    if not raw.startswith(b"["):
        return raw
    try:
        items = _items.decode(raw)
    except msgspec.DecodeError:
        return b""
    beginning = blake2b(digest_size=32)
    for item in items:
        beginning.update(item)
        if _role(item) == "user":
            break
    return beginning.digest()


class _Item(msgspec.Struct):
    role: str | None = None


_items: Final = msgspec.json.Decoder(list[msgspec.Raw])
_item: Final = msgspec.json.Decoder(_Item)


def _role(item: msgspec.Raw) -> str | None:
    try:
        # Gemini's turns without a role are the user's.
        return _item.decode(item).role or "user"
    except msgspec.DecodeError:
        return None
