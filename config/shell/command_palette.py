"""Results of the command palette: pages, chats by title, prompts, models and keys by name, requests
by id, as far as the person's roles allow, in this order."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from django.http import Http404
from django.urls import reverse
from django.utils.translation import gettext, pgettext

from accounts.access.access import living_keys, scope_of
from accounts.access.actors import Actor, slug_of
from accounts.roles.rules import Action
from config.shell.navigation import all_links
from gateway.public_models.shown_models import models_for
from lib.ids import id_text, parse_id
from playground.chats.conversations import visible_conversations
from playground.prompts.prompts import search_prompts
from usage.requests.receipts import request_detail

WORDS_MAX: Final = 200
_SHOWN: Final = 6
_LAST: Final = 3


@dataclass(frozen=True)
class Hit:
    """One result. `note` adds detail."""

    icon: str
    name: str
    url: str
    note: str = ""


@dataclass(frozen=True)
class Group:
    """The hits of one kind."""

    name: str
    hits: list[Hit]


def search(actor: Actor, words: str) -> list[Group]:
    """The groups in which something was found. Without words: the last chats, and the pages."""
    words = words.strip()[:WORDS_MAX]
    pages = Group(pgettext("search", "Pages"), _pages(actor, words))
    chats = Group(gettext("Chats"), _chats(actor, words))
    if not words:
        return [group for group in (chats, pages) if group.hits]
    groups = [
        Group(gettext("Requests"), _requests(actor, words)),
        pages,
        chats,
        Group(gettext("Prompts"), _prompts(actor, words)),
        Group(gettext("Models"), _models(actor, words)),
        Group(gettext("API keys"), _keys(actor, words)),
    ]
    return [group for group in groups if group.hits]


def _pages(actor: Actor, words: str) -> list[Hit]:
    sought = words.casefold()
    pages = [
        Hit(link.icon, str(link.name), link.url, str(link.group) if link.group != link.name else "")
        for link in all_links(actor)
    ]
    hits = [page for page in pages if sought in f"{page.name} {page.note}".casefold()]
    return sorted(hits, key=lambda page: not page.name.casefold().startswith(sought))


def _may(actor: Actor, action: Action) -> bool:
    return actor.organisation is not None and scope_of(actor, action) is not None


def _chats(actor: Actor, words: str) -> list[Hit]:
    if not _may(actor, "playground.read"):
        return []
    chats = visible_conversations(actor).filter(title__icontains=words).order_by("-updated_at")
    slug = slug_of(actor)
    return [
        Hit(
            "message-square",
            chat.title,
            reverse("conversation", args=[slug, id_text(chat.id)]),
            chat.folder,
        )
        for chat in chats[: _SHOWN if words else _LAST]
    ]


def _prompts(actor: Actor, words: str) -> list[Hit]:
    if not _may(actor, "playground.read"):
        return []
    return [
        Hit("bookmark", prompt.name, reverse("prompt", args=[slug_of(actor), prompt.slug]))
        for prompt, _number in search_prompts(actor, words)[:_SHOWN]
    ]


def _models(actor: Actor, words: str) -> list[Hit]:
    sought = words.casefold()
    names = [model.name for model in models_for(actor) if sought in model.name.casefold()]
    return [Hit("box", name, reverse("model", args=[name])) for name in names[:_SHOWN]]


def _keys(actor: Actor, words: str) -> list[Hit]:
    if not _may(actor, "keys.read"):
        return []
    page = reverse("keys", args=[slug_of(actor)])
    return [
        Hit("key-round", key.name, f"{page}?{urlencode({'q': key.name})}", key.team.name)
        for key in living_keys(actor).filter(name__icontains=words)[:_SHOWN]
    ]


def _requests(actor: Actor, words: str) -> list[Hit]:
    if parse_id(words) is None or not _may(actor, "requests.read"):
        return []
    try:
        row = request_detail(actor, words).row
    except Http404:
        return []
    id = id_text(row.request_id)
    return [Hit("receipt", id, reverse("request", args=[slug_of(actor), id]), row.model)]
