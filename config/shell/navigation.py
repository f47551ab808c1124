"""The menu shows the entries of one side, an open page shows the tabs of its entry, and the palette
finds all pages (`config/shell/pages.py`).

The shell has two sides: the actor's organisation and, for operators, the installation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.access.access import scope_of
from accounts.access.actors import Actor, slug_of
from config.shell.pages import (
    APART,
    CATALOGUE,
    HOME,
    INSTALLATION,
    NO_ORGANISATION,
    ORGANISATION,
    OVERVIEW,
    Entry,
    Name,
    NavigationPage,
    Sections,
    pages_of,
)

SideName = Literal["organisation", "installation"]


@dataclass(frozen=True)
class Link:
    """A page that the actor may open. `group` is the name of its entry, `words` are the page's,
    `current` marks the open page, and `on_tab_bar` a page in a phone's bar."""

    name: Name
    url: str
    address: str
    icon: str = ""
    group: Name = ""
    words: Name = ""
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
        (heading, entry, [page for page in pages_of(entry) if _may_open(actor, page)])
        for heading, section in _sections(actor, side)
        for entry in section
    ]
    entries = [(heading, entry, pages) for heading, entry, pages in entries if pages]
    urls = {page: _urls(actor, page) for _, _, pages in entries for page in pages}
    open_page = _open_page(path, urls)
    addresses = {pages[0].address for _, _, pages in entries}
    bar = [address for address in _TAB_BAR if address in addresses][:_TAB_BAR_MAX]
    sections: dict[Name, list[Link]] = {}
    tabs: list[Link] = []
    for heading, entry, pages in entries:
        links = [_link(page, entry, urls[page], current=page is open_page) for page in pages]
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
    pages = [page for _heading, section in sides for entry in section for page in pages_of(entry)]
    page = _open_page(path, {page: _urls(actor, page) for page in pages})
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
        for page in pages_of(entry)
    ]
    pages += [
        (page, entry)
        for entry in APART
        for page in entry.pages
        if actor.organisation is not None or not page.own
    ]
    return [
        _link(page, entry, _urls(actor, page)) for page, entry in pages if _may_open(actor, page)
    ]


def first_url(actor: Actor) -> str:
    """Return the URL of the first page of the organisation that the actor may open: Home, unless
    the role does not include it. Home also says why nothing can be opened."""
    pages = [
        page for _heading, section in ORGANISATION for entry in section for page in pages_of(entry)
    ]
    openable = (page for page in pages if page.action is not None and _may_open(actor, page))
    return _urls(actor, next(openable, HOME))[0]


def _sections(actor: Actor | None, side: SideName) -> Sections:
    if side == "installation":
        return INSTALLATION if actor is not None and actor.operator else ()
    return NO_ORGANISATION if actor is None or actor.organisation is None else ORGANISATION


def _side_links(actor: Actor | None, side: SideName) -> list[Link]:
    home = HOME if actor is not None and actor.organisation is not None else CATALOGUE
    pages: dict[SideName, NavigationPage] = {"organisation": home, "installation": OVERVIEW}
    entries: dict[SideName, Entry] = {
        "organisation": Entry("building-2", _("Organisation"), (home,)),
        "installation": Entry("cable", _("Installation"), (OVERVIEW,), "I"),
    }
    return [
        replace(
            _link(pages[name], entry, _urls(actor, pages[name]), current=name == side),
            name=entry.name,
            go=entry.go,
        )
        for name, entry in entries.items()
    ]


def _may_open(actor: Actor | None, page: NavigationPage) -> bool:
    if page.action is None:
        return True
    scope = None if actor is None else scope_of(actor, page.action)
    if actor is None or scope is None or (page.beyond_own and scope == "own"):
        return False
    return page.also is None or scope_of(actor, page.also) is not None


def _open_page(path: str, urls: Mapping[NavigationPage, Sequence[str]]) -> NavigationPage | None:
    """Return the page with the longest address that is `path` or above it, or None."""
    lengths = {
        page: max((len(url) for url in its if path == url or path.startswith(f"{url}/")), default=0)
        for page, its in urls.items()
    }
    longest = max(lengths, key=lengths.__getitem__, default=None)
    return longest if longest is not None and lengths[longest] else None


def _urls(actor: Actor | None, page: NavigationPage) -> list[str]:
    place = [slug_of(actor)] if page.own and actor is not None else []
    return [reverse(address, args=place) for address in (page.address, *page.beside)]


def _link(
    page: NavigationPage, entry: Entry, urls: Sequence[str], *, current: bool = False
) -> Link:
    return Link(
        page.name,
        urls[0],
        page.address,
        entry.icon,
        entry.name,
        page.words,
        current=current,
        counted=page.counted,
    )
