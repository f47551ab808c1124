"""The pages that can be reached from everywhere: the shell shows most, the palette finds all."""

from dataclasses import dataclass
from functools import partial
from typing import Final

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.access.access import scope_of
from accounts.access.actors import Actor, slug_of
from accounts.roles.rules import Action

Name = str | Promise


@dataclass(frozen=True)
class NavigationPage:
    """`address` is the page's URL name, `action` the permission that it requires, `own` whether
    each organisation has its own, and `go` the letter of its shortcut after G. Pages at the
    addresses `beside` count as this one, and so do those at `common`, which are the same for
    everybody. People who may do `unless` have a better page."""

    address: str
    icon: str
    name: Name
    action: Action | None = None
    own: bool = True
    go: str = ""
    beside: tuple[str, ...] = ()
    common: tuple[str, ...] = ()
    unless: Action | None = None


@dataclass(frozen=True)
class Link:
    """A page that the actor may open; `current` is the one that is open, `tab` one that a telephone
    has in its bar."""

    page: NavigationPage
    url: str
    current: bool = False
    tab: bool = False


_Sections = tuple[tuple[Name, tuple[NavigationPage, ...]], ...]
_Common = partial(NavigationPage, own=False)
_MODELS: Final = _Common("models", "layers", _("Models"), go="M")
_STATUS: Final = _Common("status", "circle-check", _("Status"))
_DOCS: Final = _Common("docs", "book-open", _("API reference"))

_ORGANISATION: Final[_Sections] = (
    ("", (
        NavigationPage("home", "house", _("Home")),
        NavigationPage("playground", "message-square", _("Playground"), "playground.read", go="P",
             beside=("prompts",)),
    )),
    (_("Build"), (
        _MODELS,
        NavigationPage("organisation_prices", "receipt", _("Prices"), common=("pricing",)),
        NavigationPage("keys", "key-round", _("API keys"), "keys.read", go="K",
             beside=("service_accounts",)),
        NavigationPage("webhooks", "send", _("Webhooks"), "webhooks.read"),
        _DOCS,
    )),
    (_("Monitor"), (
        NavigationPage("usage", "chart-column", _("Usage"), "usage.read", go="U"),
        NavigationPage("requests", "list", _("Requests"), "requests.read", go="R"),
        _STATUS,
    )),
    (_("Manage"), (
        NavigationPage("members", "user-round", _("Members"), "members.read"),
        NavigationPage("teams", "users", _("Teams"), "teams.read"),
        NavigationPage("budgets", "shield", _("Budgets"), "budgets.read", beside=("limits",)),
        NavigationPage("billing", "wallet", _("Billing"), "balance.read", go="B"),
        NavigationPage(
            "redeem", "ticket", _("Redeem a code"), "codes.redeem", unless="balance.read"
        ),
        NavigationPage("settings", "wrench", _("Settings"), "organisation.write"),
        NavigationPage("audit", "history", _("Audit log"), "audit.read"),
    )),
)  # fmt: skip
_NO_ORGANISATION: Final[_Sections] = (
    ("", (_MODELS, _Common("pricing", "receipt", _("Prices")), _DOCS)),
)
_OPERATE: Final[_Sections] = ((_("Operator"), (
    _Common("channels", "cable", _("Channels"), "channels.read"),
    _Common("models_admin", "box", _("Models and routes"), "channels.read",
         beside=("route_preview", "model_rules", "shadow_traffic", "catalogue")),
    _Common("prices", "receipt", _("Price book"), "channels.read", beside=("price_plans",)),
    _Common("organisations", "building-2", _("Organisations"), "organisations.read"),
    _Common("people", "users", _("People"), "organisations.read", beside=("sign_up_settings",)),
    _Common("payments", "credit-card", _("Payments"), "credits.read"),
    _Common("documents", "receipt", _("Invoices"), "credits.read",
         beside=("seller", "exchange_rates", "bills", "margin")),
    _Common("subscription_plans", "layers", _("Subscription plans"), "credits.read"),
    _Common("credits", "pencil", _("Corrections"), "credits.read"),
    _Common("codes", "ticket", _("Codes"), "codes.read"),
    _Common("reviews", "search", _("Reviews"), "credits.read"),
    _Common("all_audit", "history", _("Audit log"), "audit.read"),
    _Common("operator_alerts", "send", _("Operator alerts"), "channels.read"),
    _Common("announcements", "send", _("Announcements"), "channels.read"),
    _Common("installation_settings", "wrench", _("Settings"), "channels.write"),
    _Common("health", "zap", _("System health"), "channels.read",
         beside=("findings",)),
)),)  # fmt: skip

_FURTHER: Final = (
    NavigationPage("compare", "columns-2", _("Compare"), "playground.use"),
    NavigationPage("history", "history", _("All chats"), "playground.read"),
    NavigationPage("prompts", "bookmark", _("Prompts"), "playground.read"),
    NavigationPage("embeddings", "layers", pgettext_lazy("page", "Embeddings"), "playground.read"),
    NavigationPage("images", "image", _("Images"), "playground.read"),
    NavigationPage("speech", "message-square", _("Speech"), "playground.read"),
    NavigationPage("transcription", "mic", _("Transcription"), "playground.read"),
    NavigationPage("video", "play", _("Video"), "playground.read"),
    NavigationPage("music", "music", _("Music"), "playground.read"),
    NavigationPage("midjourney", "layers", _("Midjourney"), "playground.read"),
    NavigationPage("realtime", "zap", _("Realtime"), "playground.read"),
    NavigationPage("gallery", "folder", _("Gallery"), "playground.read"),
    NavigationPage("limits", "shield", _("Limits"), "budgets.write"),
    NavigationPage("playground_preferences", "sliders-horizontal", _("Playground settings"),
         "playground.use"),
)  # fmt: skip
_PASSWORD: Final = _Common("account_change_password", "lock", _("Change password"))

# Use the first one available; later ones are for people without an organisation.
_TABS: Final = (
    "home", "playground", "usage", "keys", "requests",
    "channels", "prices", "payments", "models", "pricing", "docs",
)  # fmt: skip
_TABS_MAX: Final = 4


def navigation(actor: Actor | None, path: str) -> list[tuple[Name, list[Link]]]:
    """The links of the shell around the page at `path`, by heading."""
    sections = [
        (name, [page for page in pages if _may_open(actor, page) and not _may(actor, page.unless)])
        for name, pages in _sections(actor)
    ]
    shown = {page.address for _, pages in sections for page in pages}
    tabs = [address for address in _TABS if address in shown][:_TABS_MAX]
    return [
        (name, [_link(actor, page, path, tab=page.address in tabs) for page in pages])
        for name, pages in sections
        if pages
    ]


def all_links(actor: Actor) -> list[Link]:
    """Links to all pages of the shell that the actor may open, and to those for which it has no
    room."""
    pages = [page for _, section in _sections(actor) for page in section]
    pages += _FURTHER if actor.organisation is not None else ()
    return [_link(actor, page) for page in (*pages, _PASSWORD) if _may_open(actor, page)]


def _sections(actor: Actor | None) -> _Sections:
    if actor is None:
        return _NO_ORGANISATION
    sections = _ORGANISATION if actor.organisation is not None else _NO_ORGANISATION
    return sections + _OPERATE if actor.operator else sections


def _may_open(actor: Actor | None, page: NavigationPage) -> bool:
    return page.action is None or _may(actor, page.action)


def _may(actor: Actor | None, action: Action | None) -> bool:
    return actor is not None and action is not None and scope_of(actor, action) is not None


def _link(actor: Actor | None, page: NavigationPage, path: str = "", *, tab: bool = False) -> Link:
    place = [slug_of(actor)] if page.own and actor is not None else []
    urls = [reverse(address, args=place) for address in (page.address, *page.beside)]
    urls += [reverse(address) for address in page.common]
    current = any(path == url or path.startswith(f"{url}/") for url in urls)
    return Link(page, urls[0], current, tab)
