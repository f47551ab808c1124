"""Pages without the entries of the menu, which cost as much as all else: for walks over many pages
that look at what is in the middle. What the menu has is asked in `tests/config/shell`."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from accounts.access.actors import Actor
from config.shell import context_processors, navigation, views
from config.shell.navigation import Menu
from config.shell.pages import NavigationPage


@contextmanager
def bare_pages() -> Iterator[None]:
    """Pages with the tabs of their entry alone, and error pages without any menu."""
    urls, known = navigation._urls, dict[object, list[str]]()
    # As it is there now: others may look at it too.
    menu: Any = vars(context_processors)["menu"]

    def tabs(actor: Actor | None, path: str) -> Menu:
        shown: Menu = menu(actor, path)
        return shown._replace(sections=[], sides=[])

    def known_urls(actor: Actor | None, page: NavigationPage) -> list[str]:
        place = actor.organisation.slug if page.own and actor and actor.organisation else ""
        if (place, page) not in known:
            known[place, page] = urls(actor, page)
        return known[place, page]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context_processors, "menu", tabs)
        patch.setattr(navigation, "_urls", known_urls)
        patch.setattr(views, "guards", SimpleNamespace(visitor=lambda request: None))
        yield
