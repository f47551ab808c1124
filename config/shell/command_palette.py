"""Results of the command palette: pages, actions, settings by their labels, and objects by name or
id, as far as the person's roles allow.

The three best results come first; the others follow by kind. Without words, the palette shows
recent choices, the last chats, and all pages.

The palette also gets all pages, actions and settings with the words that find them
(`known_targets`), so that static/js/palette.js finds these at once, before objects come from here.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.db.models import Model, Q, QuerySet, UUIDField
from django.db.models.functions import Length
from django.http import Http404
from django.urls import reverse
from django.utils import translation
from django.utils.translation import get_language_info, gettext, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from accounts.access.access import (
    all_organisations,
    all_people,
    living_keys,
    scope_of,
    visible_teams,
)
from accounts.access.actors import Actor, slug_of
from accounts.mail_server.views import MailServerForm
from accounts.members.access import named_members
from accounts.models import Key
from accounts.organisations.forms import OrganisationForm
from accounts.roles.rules import Action
from accounts.sign_up.views import SignUpSettingForm
from billing.access import visible_invoices
from billing.invoices.forms import BuyerForm, PartyForm
from config.shell.navigation import Link, all_links
from config.shell.palette_actions import ACTIONS
from config.shell.palette_ranking import is_made_of, rank, split_words
from content.prompts.prompts import search_prompts
from gateway.access import visible_channels
from gateway.listed_models.shown_models import models_for
from gateway.settings.views import InstallationSettingsForm
from lib.ids import id_text, parse_id
from playground.conversations.conversations import visible_conversations
from usage.requests.receipts import request_detail

Row = TypeVar("Row", bound=Model)

WORDS_MAX: Final = 200
RECENT_MAX: Final = 5
_SHOWN: Final = 6
_BEST: Final = 3
_LAST: Final = 3
# Words for an action or a kind of object; they are not a part of its name.
_BESIDE_NAMES: Final = pgettext_lazy(
    "search words", "disable enable revoke rotate edit open show delete remove view find go "
                         "key keys team member person user model channel organisation organization "
                         "invoice chat request")  # fmt: skip
_FORMS: Final[dict[str, type[forms.Form]]] = {
    "settings": OrganisationForm,
    "billing_details": BuyerForm,
    "installation_settings": InstallationSettingsForm,
    "mail_server": MailServerForm,
    "sign_up_settings": SignUpSettingForm,
    "seller": PartyForm,
}
"""Forms whose fields can be found by their labels, by the URL name of their page."""


@dataclass(frozen=True)
class Hit:
    """One result. `note` adds detail. A hit without a `url` presses the account menu's button that
    the selector `press` finds."""

    icon: str
    name: str
    url: str
    note: str = ""
    press: str = ""


@dataclass(frozen=True)
class Group:
    """The hits of one kind."""

    name: str
    hits: list[Hit]


class Chosen(NamedTuple):
    """A page or object that the person chose before, as the browser remembers it."""

    url: str
    name: str


class _Ranked(NamedTuple):
    rank: int
    group: str
    hit: Hit


def search(actor: Actor, words: str, recent: Sequence[Chosen] = ()) -> list[Group]:
    """Return the groups that have hits. Of equally good hits, those in `recent` come first."""
    words = words.strip()[:WORDS_MAX]
    if not words:
        groups = [
            Group(gettext("Recent"), list(_recent(actor, recent[:RECENT_MAX]))),
            Group(gettext("Chats"), _chats(actor, "")),
            Group(pgettext("search", "Pages"), [_page(link) for link in all_links(actor)]),
        ]
        return [group for group in groups if group.hits]
    before = {chosen.url for chosen in recent}
    ranked = [*_static(actor, words), *_things(actor, words)]
    ranked.sort(key=lambda one: (one.rank, one.hit.url not in before))
    best, others = ranked[:_BEST], ranked[_BEST:]
    hits: dict[str, list[Hit]] = {}
    for one in others:
        hits.setdefault(one.group, []).append(one.hit)
    groups = [Group(gettext("Best matches"), [one.hit for one in best])]
    groups += [Group(name, matches[:_SHOWN]) for name, matches in hits.items()]
    return [group for group in groups if group.hits]


def _recent(actor: Actor, recent: Iterable[Chosen]) -> Iterable[Hit]:
    """Yield the recent choices that the person may still open, with their present names."""
    pages = {link.url: _page(link) for link in all_links(actor)}
    for url, name in recent:
        if url in pages:
            yield pages[url]
        else:
            things = (one.hit for one in _things(actor, name))
            yield from islice((hit for hit in things if hit.url == url), 1)


def _page(link: Link) -> Hit:
    note = str(link.group) if link.group != link.name else ""
    return Hit(link.icon, str(link.name), link.url, note)


class Target(NamedTuple):
    """A page, action or setting, and the texts that find it: for each language the name first."""

    group: str
    hit: Hit
    texts: Sequence[Sequence[str]]


def known_targets(actor: Actor) -> list[Target]:
    """Return all pages, actions and settings that the actor may open. Each is found in every
    language, whichever the page has."""
    links = all_links(actor)
    lazy_targets: list[tuple[str, Hit, tuple[Any, ...]]] = [
        (pgettext("search", "Pages"), _page(link), (link.name, link.group, link.words))
        for link in links
    ]  # fmt: skip
    by_address = {link.address: link for link in links}
    lazy_targets += [
        (gettext("Actions"),
         Hit(link.icon, str(action.name), f"{link.url}{action.query}", str(link.name)),
         (action.name, action.words))
        for action in ACTIONS
        if (link := by_address.get(action.address))
    ]  # fmt: skip
    lazy_targets += [
        (gettext("Settings"),
         Hit(link.icon, str(field.label), f"{link.url}#id_{name}", str(link.name)),
         (field.label, link.name))
        for link in links
        for name, field in getattr(_FORMS.get(link.address), "base_fields", {}).items()
        if field.label
    ]  # fmt: skip
    if actor.user is not None:
        lazy_targets += [
            (gettext("Settings"), hit, (hit.name, others)) for hit, others in _switches()
        ]
    texts: list[list[list[str]]] = [[] for _ in lazy_targets]
    own = translation.get_language() or "en"
    for code in (own, *(code for code, _name in settings.LANGUAGES if code != own)):
        with translation.override(code):
            for row, (_group, _hit, lazy) in zip(texts, lazy_targets, strict=True):
                row.append([str(text) for text in lazy])
    return [
        Target(group, hit, row)
        for (group, hit, _lazy), row in zip(lazy_targets, texts, strict=True)
    ]


def _static(actor: Actor, words: str) -> Iterable[_Ranked]:
    """Yield the matching pages, actions and settings, in any language."""
    for target in known_targets(actor):
        _own, *others = target.texts
        every = [text for texts in target.texts for text in texts]
        ranks = [rank(words, target.hit.name, every)]
        ranks += [rank(words, texts[0], texts) for texts in others]
        if any(one is not None for one in ranks):
            yield _Ranked(min(one for one in ranks if one is not None), target.group, target.hit)


def _switches() -> Iterable[tuple[Hit, Any]]:
    yield (
        Hit("moon", gettext("Dark theme"), "", press="#appearance [value=dark]"),
        pgettext_lazy("search words", "dark mode night appearance colour color"),
    )
    yield (
        Hit("sun", gettext("Light theme"), "", press="#appearance [value=light]"),
        pgettext_lazy("search words", "light mode day appearance colour color"),
    )
    for code, _name in settings.LANGUAGES:
        name = get_language_info(code)["name_local"]
        yield (
            Hit("languages", name, "", press=f"#language [value={code}]"),
            pgettext_lazy("search words", "switch language english chinese"),
        )
    yield (
        Hit("log-out", gettext("Sign out"), "", press="#sign-out button"),
        pgettext_lazy("search words", "log out logout exit leave"),
    )


def _things(actor: Actor, words: str) -> Iterable[_Ranked]:
    """Yield the objects whose name or id matches the words, also without words such as "edit" or
    "key"."""
    beside: list[str] = []
    for code, _name in settings.LANGUAGES:
        with translation.override(code):
            beside += str(_BESIDE_NAMES).split()
    left = [
        part
        for part in split_words(words)
        if part not in beside and (part.isascii() or not is_made_of(part, beside))
    ]
    sought = {words, " ".join(left)} - {""}
    seen: set[str] = set()
    if not left and _asks_for_a_key(words) and _may(actor, "keys.read"):
        # Something is to be done to a key, and these are the keys.
        for hit in _key_hits(actor, living_keys(actor).order_by("name")[:_SHOWN]):
            seen.add(hit.url)
            yield _Ranked(4, gettext("API keys"), hit)
    for name in sorted(sought, key=len, reverse=True):
        for group, find in _KINDS:
            for hit in find(actor, name):
                if hit.url not in seen:
                    seen.add(hit.url)
                    fits = rank(name, hit.name)
                    yield _Ranked(4 if fits is None else fits, str(group), hit)


def _asks_for_a_key(words: str) -> bool:
    """Return whether the words name keys and something else, such as "disable key"."""
    parts = split_words(words)
    return (len(parts) > 1 and bool({"key", "keys"} & set(parts))) or (
        "密钥" in words and words != "密钥"
    )


def _may(actor: Actor, action: Action) -> bool:
    return actor.organisation is not None and scope_of(actor, action) is not None


def _operates(actor: Actor, action: Action) -> bool:
    return actor.operator and scope_of(actor, action) is not None


def _matching_rows(rows: QuerySet[Row], words: str, *fields: str) -> QuerySet[Row]:
    """Return the rows whose fields contain all words, or whose id is the words; the shortest
    first."""
    parts, fits = split_words(words), Q()
    if not parts:
        return rows.none()
    for part in parts:
        fits &= Q(*[(f"{field}__icontains", part) for field in fields], _connector=Q.OR)
    id = parse_id(words)
    if id is not None and isinstance(rows.model._meta.pk, UUIDField):
        fits |= Q(id=id)
    return rows.filter(fits).order_by(Length(fields[0]), "id")[:_SHOWN]


def _requests(actor: Actor, words: str) -> list[Hit]:
    if parse_id(words) is None or not _may(actor, "requests.read"):
        return []
    try:
        row = request_detail(actor, words).row
    except Http404:
        return []
    id = id_text(row.request_id)
    return [Hit("receipt", id, reverse("request", args=[slug_of(actor), id]), row.model)]


def _models(actor: Actor, words: str) -> list[Hit]:
    ranked = [(rank(words, model.name), model.name) for model in models_for(actor)]
    names = sorted((fits, name) for fits, name in ranked if fits is not None)
    return [Hit("box", name, reverse("model", args=[name])) for _fits, name in names[:_SHOWN]]


def _keys(actor: Actor, words: str) -> list[Hit]:
    if not _may(actor, "keys.read"):
        return []
    return _key_hits(actor, _matching_rows(living_keys(actor), words, "name"))


def _key_hits(actor: Actor, keys: Iterable[Key]) -> list[Hit]:
    return [
        Hit(
            "key-round",
            key.name,
            reverse("key", args=[slug_of(actor), id_text(key.id)]),
            key.team.name,
        )
        for key in keys
    ]


def _teams(actor: Actor, words: str) -> list[Hit]:
    if not _may(actor, "teams.read"):
        return []
    return [
        Hit("users", team.name, reverse("team", args=[slug_of(actor), team.slug]), gettext("Team"))
        for team in _matching_rows(visible_teams(actor), words, "name", "slug")
    ]


def _members(actor: Actor, words: str) -> list[Hit]:
    if not _may(actor, "members.read"):
        return []
    return [
        Hit(
            "users",
            member.user.name or member.user.email,
            reverse("member", args=[slug_of(actor), member.id]),
            member.user.email if member.user.name else "",
        )
        for member in _matching_rows(named_members(actor), words, "user__name", "user__email")
    ]


def _chats(actor: Actor, words: str) -> list[Hit]:
    if not _may(actor, "playground.read"):
        return []
    return [
        Hit(
            "message-square",
            chat.title,
            reverse("conversation", args=[slug_of(actor), id_text(chat.id)]),
            chat.folder,
        )
        for chat in (
            _matching_rows(visible_conversations(actor), words, "title")
            if words
            else visible_conversations(actor).order_by("-updated_at")[:_LAST]
        )
    ]


def _prompts(actor: Actor, words: str) -> list[Hit]:
    if not _may(actor, "playground.read"):
        return []
    return [
        Hit("bookmark", prompt.name, reverse("prompt", args=[slug_of(actor), prompt.slug]))
        for prompt, _number in search_prompts(actor, words)[:_SHOWN]
    ]


def _invoices(actor: Actor, words: str) -> list[Hit]:
    if not _may(actor, "balance.read"):
        return []
    return [
        Hit("receipt", number, reverse("invoice", args=[slug_of(actor), number]))
        for number in visible_invoices(actor)
        .filter(number__icontains=words)
        .values_list("number", flat=True)[:_SHOWN]
        if number is not None
    ]


def _channels(actor: Actor, words: str) -> list[Hit]:
    if not _operates(actor, "channels.read"):
        return []
    return [
        Hit("cable", channel.name, reverse("channel", args=[id_text(channel.id)]), channel.provider)
        for channel in _matching_rows(visible_channels(actor).prefetch_related(None), words, "name")
    ]


def _organisations(actor: Actor, words: str) -> list[Hit]:
    if not _operates(actor, "organisations.read"):
        return []
    page = reverse("organisations")
    return [
        Hit("building-2", one.name, f"{page}?{urlencode({'q': one.name})}", one.slug)
        for one in _matching_rows(all_organisations(actor), words, "name", "slug")
    ]


def _people(actor: Actor, words: str) -> list[Hit]:
    if not _operates(actor, "organisations.read"):
        return []
    page = reverse("people")
    return [
        Hit("users", one.name or one.email, f"{page}?{urlencode({'q': one.email})}", one.email)
        for one in _matching_rows(all_people(actor), words, "name", "email")
    ]


_KINDS: Final[tuple[tuple[Any, Callable[[Actor, str], list[Hit]]], ...]] = (
    (_("Requests"), _requests),
    (_("Models"), _models),
    (_("API keys"), _keys),
    (_("Teams"), _teams),
    (_("Members"), _members),
    (_("Chats"), _chats),
    (_("Prompts"), _prompts),
    (_("Invoices"), _invoices),
    (_("Channels"), _channels),
    (_("Organisations"), _organisations),
    (_("People"), _people),
)
