"""The menu's word is the page's: each entry, its tabs, and the way back from a page below."""

import html
import re
from collections.abc import Iterator
from typing import Final

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.translation import override

from accounts.models import Role
from config.shell.pages import INSTALLATION, ORGANISATION, Entry, NavigationPage
from tests.support import cast
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db

# What has a heading of its own, and why.
_OWN: Final = {
    "home": "named after the organisation",
    "manual": "named after a page of the manual, which is in English",
    "images": "one of several kinds, between which the page itself chooses",
}
# What no built-in role opens.
_CLOSED: Final = {"content_search"}


def _pages() -> Iterator[tuple[Entry, NavigationPage]]:
    for section in (*ORGANISATION, *INSTALLATION):
        for entry in section[1]:
            for page in entry.pages:
                if page.address not in _CLOSED:
                    yield entry, page


def _text(markup: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", markup))).strip()


def _part(page: str, pattern: str) -> str:
    found = re.search(pattern, page, re.S)
    assert found, pattern
    return _text(found[1])


@pytest.fixture
def reader(people: Cast) -> Client:
    """An operator who owns an organisation sees every entry."""
    people.alice.operator = True
    people.alice.set_password("correct horse battery")
    people.alice.save()
    assert people.acme.memberships.get(user=people.alice).role == Role.OWNER
    return cast.signed_in(people.alice)


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_page_has_the_menus_word_as_its_title(
    people: Cast, reader: Client, language: str
) -> None:
    """An entry opens a page with its word as the heading; a tab has its own in the title."""
    reader.cookies["language"] = language
    faults = {}
    for entry, page in _pages():
        path = reverse(page.address, args=[people.acme.slug] if page.own else [])
        shown = reader.get(path, follow=True).content.decode()
        heading = _part(shown, r"<h1[^>]*>(.*?)</h1>")
        title = _part(shown, r"<title>(.*?) · Weir</title>")
        current = _part(shown, r'<a[^>]*aria-current="(?:page|true)"[^>]*>(.*?)</a>')
        with override(language):
            words = str(entry.name), str(page.name)
        headings = words[:1] if page is entry.pages[0] else words
        if page.address not in _OWN and heading not in headings:
            faults[page.address] = f"{words}, but its heading is {heading}"
        elif (page.address not in _OWN and title not in words) or words[0] not in current:
            faults[page.address] = f"{words}, but {title} is open at {current}"
    assert faults == {}
