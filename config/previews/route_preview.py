"""Preview where a request with a key would go, for operators. The relay of this process answers;
disabled channels, which the relay does not know, are added."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
from asgiref.sync import async_to_sync
from django.db.models import Q, Value
from django.db.models.functions import Concat
from django.http import HttpRequest
from django.utils.translation import gettext

from accounts.access.access import any_key, any_keys
from accounts.access.actors import Actor
from accounts.models import Key, KeyKind
from billing.prices.name_patterns import matches
from dialects.errors.errors import RequestFault
from gateway.access import visible_channels
from gateway.models import Channel
from lib.refusal import Refused
from relay.credentials.keys import Principal
from relay.downstream.error_answers import answer_to
from relay.errors import DatabaseFailed
from relay.previews.route_preview import RoutePreview, SkippedChannel

PATHS: Final = (
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/moderations",
    "/v1/rerank",
    "/v1/images/generations",
    "/v1/audio/speech",
)
_SHOWN: Final = 20
# What a body has besides its model, for a text of the client's.
_BODIES: Final[Mapping[str, Callable[[str], dict[str, Any]]]] = {
    "/v1/chat/completions": lambda text: {"messages": [{"role": "user", "content": text}]},
    "/v1/responses": lambda text: {"input": text},
    "/v1/messages": lambda text: {
        "max_tokens": 1024,
        "messages": [{"role": "user", "content": text}],
    },
    "/v1/completions": lambda text: {"prompt": text},
    "/v1/embeddings": lambda text: {"input": text},
    "/v1/moderations": lambda text: {"input": text},
    "/v1/rerank": lambda text: {"query": text, "documents": [text]},
    "/v1/images/generations": lambda text: {"prompt": text},
    "/v1/audio/speech": lambda text: {"input": text, "voice": "alloy"},
}


Headers = Sequence[tuple[bytes, bytes]]


class PreviewRefused(Refused):
    """No preview is possible. The message says why."""


class PreviewingRelay(Protocol):
    """The part of the relay that a preview needs (`relay.pages.in_process.InProcessRelay`)."""

    async def principal_of_key(self, key_id: UUID, user_id: int | None = None) -> Principal:
        """Return the principal of a key without knowing its text."""

    async def preview_route(
        self, principal: Principal, path: str, body: bytes, headers: Headers = ()
    ) -> RoutePreview:
        """Return where a request with this body and these headers would go now."""


def body_of(path: str, model: str, message: str) -> bytes:
    """Return the smallest body of a request to one of PATHS with this message."""
    return msgspec.json.encode({"model": model, **_BODIES[path](message)})


def search_keys(actor: Actor, words: str) -> list[Key]:
    """Return the newest model keys for which each word matches the key, its organisation, its team,
    or the visible ends of its secret."""
    keys = any_keys(actor).filter(kind=KeyKind.RELAY, revoked_at=None)
    keys = keys.annotate(ends=Concat("prefix", Value("…"), "last4"))
    for word in words.replace("...", "…").split():
        keys = keys.filter(
            Q(name__icontains=word)
            | Q(ends__icontains=word)
            | Q(team__name__icontains=word)
            | Q(organisation__name__icontains=word)
            | Q(organisation__slug__icontains=word)
        )
    return list(keys.select_related("organisation", "team")[:_SHOWN])


def preview_route(
    request: HttpRequest,
    actor: Actor,
    key_id: str,
    path: str,
    body: bytes,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> RoutePreview:
    """Preview where a request with this key and body would go. Nothing is sent or reserved. Of
    `headers`, only HEADERS count. Raises Http404 for an unknown key, and PreviewRefused if the
    relay cannot answer."""
    key = any_key(actor, key_id)
    relay: PreviewingRelay | None = relay_of(request)
    if relay is None:
        raise PreviewRefused("body", gettext("This process has no relay."))
    try:
        sent = [(name.encode(), value.encode()) for name, value in headers.items() if value]
        preview = async_to_sync(_preview_request)(relay, key.id, path, body, sent)
    except DatabaseFailed as error:
        raise PreviewRefused("body", gettext("The database is not responding.")) from error
    if not preview.model:
        return preview
    named = {item.channel for item in preview.attempts}
    named |= {item.channel for item in preview.skipped}
    off = [item for item in _turned_off(actor, preview.model) if item.channel not in named]
    return preview._replace(skipped=[*preview.skipped, *off])


def relay_of(request: HttpRequest) -> Any:
    """Return the running relay of this process, or None, as in a command."""
    scope: dict[str, Any] = getattr(request, "scope", {})
    return scope.get("weir.relay")


async def _preview_request(
    relay: PreviewingRelay, key_id: UUID, path: str, body: bytes, headers: Headers
) -> RoutePreview:
    try:
        principal = await relay.principal_of_key(key_id)
        return await relay.preview_route(principal, path, body, headers)
    except RequestFault as fault:
        return RoutePreview("", refusal=answer_to(fault))


def _turned_off(actor: Actor, model: str) -> Iterator[SkippedChannel]:
    for channel in visible_channels(actor):
        if _is_off(channel) and any(matches(row.model, model) for row in channel.routes.all()):
            yield SkippedChannel(channel.name, "disabled", 0.0)


def _is_off(channel: Channel) -> bool:
    keys = channel.keys.all()
    return not channel.enabled or (bool(keys) and all(key.disabled_at for key in keys))
