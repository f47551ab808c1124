"""The order of a model's channels of equal rank: by session, or by an operator's rule."""

from hashlib import blake2b
from typing import Final

import msgspec

from dialects.codec import Facts
from gateway.routing.tie_breaking import MEASURED, Ordering
from relay.requests.context import RequestContext

_TEXTS: Final = ("messages", "contents", "input")


def affinity_of(context: RequestContext, facts: Facts, model: str) -> bytes:
    """Return what related requests have in common, so that they use one channel and key, where the
    provider has cached it: the request's session; by an operator's rule, the user, or the
    conversation of requests without a session. Empty if there is none."""
    pick = context.snapshot.rule_of(model).pick
    if pick == "user":
        identity = _user(context, facts)
    elif context.session is not None:
        return context.session.id.bytes
    else:
        identity = _conversation(facts) if pick == "conversation" else b""
    return context.principal.organisation_id.bytes + identity if identity else b""


def ordering_of(context: RequestContext, model: str, affinity: bytes) -> Ordering | None:
    """Return how the channels of a model are ordered for a request; None to order them by
    weight."""
    pick = context.snapshot.rule_of(model).pick
    if pick in MEASURED:
        figures = context.parts.health.measures.figures(pick, context.snapshot, model)
        return Ordering(pick, figures)
    if not affinity:
        return None
    return Ordering("user" if pick == "user" else "conversation", key=affinity)


def _user(context: RequestContext, facts: Facts) -> bytes:
    """Return the user that the client names, else the key's holder."""
    principal = context.principal
    named = facts.user or context.options.labels.customer
    return (named or str(principal.user_id or principal.key_id)).encode(errors="replace")


def _conversation(facts: Facts) -> bytes:
    """Return what all requests of a conversation begin with: the client's own cache key, else
    everything up to the first user message. Empty if there is none."""
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
        # In Gemini's requests a turn without a role comes from the user.
        return _item.decode(item).role or "user"
    except msgspec.DecodeError:
        return None
