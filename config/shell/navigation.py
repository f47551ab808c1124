"""The pages of the shell: the menu shows the entries of one side, an open page shows the tabs of
its entry, and the palette finds all of them.

The shell has two sides: the actor's organisation and, for operators, the installation.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal, NamedTuple

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.access.access import scope_of
from accounts.access.actors import Actor, slug_of
from accounts.roles.rules import Action
from lib.extensions.installed import extend
from playground.media.task_services import MEDIA_SERVICES

Name = str | Promise
SideName = Literal["organisation", "installation"]


@dataclass(frozen=True)
class NavigationPage:
    """One page of the shell.

    `address` is its URL name, `action` the required permission, and `own` is true for pages that
    each organisation has. Pages at the addresses `beside` count as this page. With `beyond_own`,
    the permission must reach beyond the person's own objects. With `counted`, the tab shows the
    number of waiting items if the open page provides it.
    """

    address: str
    name: Name
    action: Action | None = None
    own: bool = True
    beside: tuple[str, ...] = ()
    beyond_own: bool = False
    counted: bool = False


@dataclass(frozen=True)
class Entry:
    """An entry of the menu. It opens the first of its pages that the actor may open; its pages are
    the tabs. `go` is the letter that opens the entry after G."""

    icon: str
    name: Name
    pages: tuple[NavigationPage, ...]
    go: str = ""


@dataclass(frozen=True)
class Link:
    """A page that the actor may open. `group` is the name of its entry, `current` marks the open
    page, and `on_tab_bar` a page in a phone's bar."""

    name: Name
    url: str
    address: str
    icon: str = ""
    group: Name = ""
    go: str = ""
    current: bool = False
    counted: bool = False
    on_tab_bar: bool = False


class Menu(NamedTuple):
    """The shell around a page: the (heading, entries) of the page's side, the tabs of the open
    entry, and the sides that an operator can switch between."""

    side: SideName
    sections: list[tuple[Name, list[Link]]]
    tabs: list[Link]
    sides: list[Link]


_Sections = tuple[tuple[Name, tuple[Entry, ...]], ...]
_Common = partial(NavigationPage, own=False)


def _entry(icon: str, page: NavigationPage, go: str = "") -> Entry:
    return Entry(icon, page.name, (page,), go)


_HOME: Final = NavigationPage("home", _("Home"))
_PLAYGROUND: Final = _entry(
    "message-square",
    NavigationPage(
        "playground",
        _("Playground"),
        "playground.read",
        beside=("prompts", "compare", "history", "playground_preferences"),
    ),
    "P",
)
_CATALOGUE: Final = _Common("models", _("Models"))
_LIST_PRICES: Final = _Common("pricing", pgettext_lazy("tab", "List prices"))
_STATUS: Final = _Common("status", _("Status"))
_OVERVIEW: Final = _Common("installation", _("Overview"), "channels.read")
_CHANNELS: Final = _Common("channels", _("Channels"), "channels.read")
_DOCS: Final = Entry("book-open", _("API reference"), (
    _Common("docs", _("API reference")),
    _Common("manual", _("Manual")),
))  # fmt: skip

_SERVICES: Final = {service.page: service.title for service in MEDIA_SERVICES.values()}
_ORGANISATION: Final[_Sections] = (
    ("", (
        _entry("house", _HOME, "H"),
        _PLAYGROUND,
        Entry("image", _("Images, sound, video"), (
            NavigationPage("images", _("Images, sound, video"), "playground.read",
                 beside=("speech", "transcription", "video", *_SERVICES, "realtime",
                         "embeddings", "gallery")),
        )),
    )),
    (_("Build"), (
        Entry("layers", _("Models"), (
            _CATALOGUE,
            NavigationPage("organisation_prices", _("Your prices"), "models.read"),
            _LIST_PRICES,
            _STATUS,
        ), "M"),
        Entry("key-round", _("API keys"), (
            NavigationPage("keys", _("Keys"), "keys.read"),
            NavigationPage("connect", _("Connect an agent"), "keys.write_own"),
            NavigationPage("service_accounts", _("Service accounts"), "keys.write"),
            NavigationPage("provider_keys", _("Provider keys"), "keys.write"),
        ), "K"),
        _DOCS,
    )),
    (_("Monitor"), (
        _entry(
            "chart-column",
            NavigationPage("usage", _("Usage"), "usage.read", beside=("exports", "sessions")),
            "U",
        ),
        _entry("list", NavigationPage("requests", _("Requests"), "requests.read"), "R"),
    )),
    (_("Manage"), (
        Entry("users", _("Members"), (
            NavigationPage("members", _("Members"), "members.read"),
            NavigationPage("invitations", _("Invitations"), "members.read", beyond_own=True),
            NavigationPage("roles", _("Roles"), "members.read", beyond_own=True),
        )),
        _entry("layers", NavigationPage("teams", _("Teams"), "teams.read")),
        Entry("shield", _("Budgets"), (
            NavigationPage("budgets", _("Budgets"), "budgets.read"),
            NavigationPage("raises", _("Increase requests"), "budgets.ask", counted=True),
            NavigationPage("limits", _("Limits"), "budgets.write"),
        )),
        Entry("wallet", _("Billing"), (
            NavigationPage("billing", _("Overview"), "balance.read"),
            NavigationPage("invoices", _("Invoices"), "balance.read"),
            NavigationPage("statements", _("Statements"), "balance.read"),
            NavigationPage("subscription", pgettext_lazy("subscription", "Plan"), "balance.read"),
            NavigationPage("top_ups", _("Top-ups"), "topups.read"),
            NavigationPage("redeem", _("Redeem"), "codes.redeem"),
            NavigationPage("wallet", _("Alerts"), "wallet.write"),
        ), "B"),
        Entry("wrench", _("Settings"), (
            NavigationPage("settings", _("General"), "organisation.write"),
            NavigationPage("single_sign_on", _("Single sign-on"), "sign_in.write"),
            NavigationPage("webhooks", _("Webhooks"), "webhooks.read"),
            NavigationPage("audit", _("Audit log"), "audit.read"),
        )),
    )),
)  # fmt: skip
_NO_ORGANISATION: Final[_Sections] = (
    ("", (
        _entry("layers", _CATALOGUE, "M"),
        _entry("receipt", _LIST_PRICES),
        _entry("circle-check", _STATUS),
        _DOCS,
    )),
)  # fmt: skip
_INSTALLATION: Final[_Sections] = (
    ("", (
        _entry("house", _OVERVIEW, "H"),
        _entry("inbox", _Common("approvals", _("Waiting for you"), "credits.read")),
        _entry("cable", _CHANNELS, "C"),
        Entry("box", _("Model catalogue"), (
            _Common("models_admin", _("Models and routes"), "channels.read"),
            _Common("model_rules", _("Rules and fallbacks"), "channels.read"),
            _Common("route_preview", _("Route preview"), "channels.read"),
            _Common("shadow_traffic", _("Shadow traffic"), "channels.read"),
            _Common("catalogue", _("Catalogue update"), "prices.write", counted=True),
        ), "M"),
        Entry("receipt", _("Price book"), (
            _Common("prices", _("Price book"), "models.read"),
            _Common("price_proposals", _("Drafts and proposals"), "models.read", counted=True),
            _Common("price_plans", _("Price plans"), "models.read"),
        ), "P"),
    )),
    (_("Customers"), (
        Entry("building-2", _("Organisations"), (
            _Common("organisations", _("Organisations"), "organisations.read"),
            _Common("subscription_plans", _("Subscription plans"), "credits.read"),
        ), "O"),
        Entry("users", _("People"), (
            _Common("people", _("People"), "organisations.read"),
            _Common("sign_up_settings", _("Sign-up"), "organisations.write"),
            _Common("trial_credit", _("Trial credit"), "credits.write"),
        )),
        Entry("credit-card", _("Payments"), (
            _Common("payments", _("Payments"), "credits.read"),
            _Common("credits", _("Corrections"), "credits.read"),
            _Common("codes", _("Redemption codes"), "codes.read"),
            _Common("reviews", _("Reviews"), "credits.read"),
        ), "B"),
        Entry("book-open", _("Accounting"), (
            _Common("documents", _("Invoices"), "credits.read"),
            _Common("margin", _("Margin"), "credits.read"),
            _Common("bills", _("Reconciliation"), "credits.read"),
            _Common("exchange_rates", _("Exchange rates"), "credits.write"),
            _Common("seller", _("Seller and taxes"), "credits.write"),
        )),
    )),
    (_("Monitor"), (
        Entry("send", _("Alerts"), (
            _Common("operator_alerts", _("Operator alerts"), "channels.read"),
            _Common("announcements", _("Announcements"), "channels.read"),
        )),
        _entry("history", _Common("all_audit", _("Audit log"), "audit.read")),
        Entry("zap", _("System"), (
            _Common("health", _("System health"), "channels.read"),
            _Common("findings", _("Ledger findings"), "channels.read"),
            _Common("installation_settings", _("Settings"), "channels.write"),
            _Common("mail_server", _("Mail server"), "channels.write"),
            _Common("backups", _("Backups"), "channels.write"),
            _Common("safeguards", _("Safeguards"), "credits.write"),
        ), "S"),
    )),
)  # fmt: skip

_APART: Final = (
    Entry("message-square", _("Playground"), (
        NavigationPage("compare", _("Compare"), "playground.use"),
        NavigationPage("history", _("All chats"), "playground.read"),
        NavigationPage("prompts", _("Prompts"), "playground.read"),
        NavigationPage("embeddings", pgettext_lazy("page", "Embeddings"), "playground.read"),
        NavigationPage("speech", _("Speech"), "playground.read"),
        NavigationPage("transcription", _("Transcription"), "playground.read"),
        NavigationPage("video", _("Video"), "playground.read"),
        *(NavigationPage(page, title, "playground.read") for page, title in _SERVICES.items()),
        NavigationPage("realtime", _("Realtime"), "playground.read"),
        NavigationPage("gallery", _("Gallery"), "playground.read"),
        NavigationPage("playground_preferences", _("Playground settings"), "playground.use"),
    )),
    Entry("chart-column", _("Usage"), (
        NavigationPage("explore", _("Explore"), "usage.read"),
        NavigationPage("sessions", _("Sessions"), "requests.read"),
        NavigationPage("exports", _("Exports"), "requests.read"),
    )),
    Entry("wallet", _("Billing"), (
        NavigationPage("holds", _("Reserved now"), "balance.read"),
        NavigationPage("billing_details", _("Billing details"), "wallet.write"),
    )),
    Entry("lock", _("Account"), (
        _Common("mfa_index", _("Account and security")),
        _Common("account_change_password", _("Change password")),
        _Common("usersessions_list", _("Sign-ins")),
        _Common("own_data", _("Your data")),
    )),
    Entry("plus", _("Actions"), (
        NavigationPage("start", _("Make your first request"), "models.read"),
        NavigationPage("key_create", _("Create key"), "keys.write_own"),
        NavigationPage("invite", _("Invite a member"), "members.write"),
        NavigationPage("team_create", _("Create team"), "teams.write"),
        NavigationPage("budget_create", _("Create budget"), "budgets.write"),
        NavigationPage("top_up_new", _("Top up"), "topups.write"),
        NavigationPage("role_create", _("Create role"), "roles.write"),
        _Common("channel_new", _("Add channel"), "channels.write"),
        _Common("price_new", _("Set a price"), "prices.write"),
        _Common("organisation_create", _("Add organisation"), "organisations.write"),
        _Common("bill_new", _("Reconcile a provider bill"), "credits.write"),
        _Common("view_as", _("View as another person"), "view_as.begin"),
    )),
)  # fmt: skip

# The tabs of extensions, by (the URL name of an entry's first page, their own).
_ADDED: Final[dict[tuple[str, str], NavigationPage]] = {}
extend(
    _ADDED,
    "pages",
    NavigationPage,
    lambda tabs: {(first, page.address): page for first, pages in tabs.items() for page in pages},
)

# A phone's bar has the first of these that exist. The later ones are for people without an
# organisation.
_TAB_BAR: Final = (
    "home", "playground", "usage", "keys", "requests",
    "installation", "channels", "organisations", "payments", "health", "models", "pricing", "docs",
)  # fmt: skip
_TAB_BAR_MAX: Final = 4
_INSTALLATION_PATH: Final = "/admin/"


def menu(actor: Actor | None, path: str) -> Menu:
    """Return the shell around the page at `path`."""
    operates = actor is not None and actor.operator
    side: SideName = "organisation"
    if operates and path.startswith(_INSTALLATION_PATH):
        side = "installation"
    entries = [
        (heading, entry, [page for page in _pages(entry) if _may_open(actor, page)])
        for heading, section in _sections(actor, side)
        for entry in section
    ]
    entries = [(heading, entry, pages) for heading, entry, pages in entries if pages]
    open_page = _open_page(actor, path, [page for _, _, pages in entries for page in pages])
    addresses = {pages[0].address for _, _, pages in entries}
    bar = [address for address in _TAB_BAR if address in addresses][:_TAB_BAR_MAX]
    sections: dict[Name, list[Link]] = {}
    tabs: list[Link] = []
    for heading, entry, pages in entries:
        links = [_link(actor, page, entry, current=page is open_page) for page in pages]
        if len(links) > 1 and any(link.url == path for link in links):
            tabs = links
        entry_link = replace(
            links[0],
            name=entry.name,
            go=entry.go,
            current=open_page in pages,
            on_tab_bar=links[0].address in bar,
        )
        sections.setdefault(heading, []).append(entry_link)
    return Menu(side, list(sections.items()), tabs, _side_links(actor, side) if operates else [])


def open_address(actor: Actor | None, path: str) -> str:
    """Return the URL name of the menu's page that the page at `path` belongs to; "" for none."""
    sides = (*_sections(actor, "organisation"), *_sections(actor, "installation"))
    pages = [page for _heading, section in sides for entry in section for page in _pages(entry)]
    page = _open_page(actor, path, pages)
    return page.address if page is not None else ""


def all_links(actor: Actor) -> list[Link]:
    """Return links to all pages of both sides that the actor may open, including pages without an
    entry and pages that create something."""
    sides: tuple[SideName, ...] = ("organisation", "installation")
    pages = [
        (page, entry)
        for side in sides
        for _heading, section in _sections(actor, side)
        for entry in section
        for page in _pages(entry)
    ]
    pages += [
        (page, entry)
        for entry in _APART
        for page in entry.pages
        if actor.organisation is not None or not page.own
    ]
    return [_link(actor, page, entry) for page, entry in pages if _may_open(actor, page)]


def _sections(actor: Actor | None, side: SideName) -> _Sections:
    if side == "installation":
        return _INSTALLATION if actor is not None and actor.operator else ()
    return _NO_ORGANISATION if actor is None or actor.organisation is None else _ORGANISATION


def _pages(entry: Entry) -> list[NavigationPage]:
    first = entry.pages[0].address
    return [*entry.pages, *(page for (at, _), page in _ADDED.items() if at == first)]


def _side_links(actor: Actor | None, side: SideName) -> list[Link]:
    home = _HOME if actor is not None and actor.organisation is not None else _CATALOGUE
    pages: dict[SideName, NavigationPage] = {"organisation": home, "installation": _OVERVIEW}
    entries: dict[SideName, Entry] = {
        "organisation": Entry("building-2", _("Organisation"), (home,)),
        "installation": Entry("cable", _("Installation"), (_OVERVIEW,), "I"),
    }
    return [
        replace(
            _link(actor, pages[name], entry, current=name == side), name=entry.name, go=entry.go
        )
        for name, entry in entries.items()
    ]


def _may_open(actor: Actor | None, page: NavigationPage) -> bool:
    if page.action is None:
        return True
    scope = None if actor is None else scope_of(actor, page.action)
    return scope is not None and not (page.beyond_own and scope == "own")


def _open_page(
    actor: Actor | None, path: str, pages: Iterable[NavigationPage]
) -> NavigationPage | None:
    """Return the page with the longest address that is `path` or above it, or None."""
    lengths = {
        page: max(
            (len(url) for url in _urls(actor, page) if path == url or path.startswith(f"{url}/")),
            default=0,
        )
        for page in pages
    }
    longest = max(lengths, key=lengths.__getitem__, default=None)
    return longest if longest is not None and lengths[longest] else None


def _urls(actor: Actor | None, page: NavigationPage) -> list[str]:
    place = [slug_of(actor)] if page.own and actor is not None else []
    return [reverse(address, args=place) for address in (page.address, *page.beside)]


def _link(
    actor: Actor | None, page: NavigationPage, entry: Entry, *, current: bool = False
) -> Link:
    return Link(
        page.name,
        _urls(actor, page)[0],
        page.address,
        entry.icon,
        entry.name,
        current=current,
        counted=page.counted,
    )
