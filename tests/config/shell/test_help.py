"""The `?` beside a page's title leads to the section of the manual that explains it."""

import html
import re
from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import get_resolver, reverse

from config.shell.help import HELP, help_url
from config.shell.navigation import _APART, _INSTALLATION, _NO_ORGANISATION, _ORGANISATION
from reference.manual.pages import html_of, manual, section_url
from tests.support import cast
from tests.support.cast import Cast

# The documentation itself.
_EXPLAINED = {"docs", "manual"}
_MARK = re.compile(r'<a\s+class="help-link"\s+href="([^"]+)"\s+aria-label="([^"]+)"')


def _addresses() -> Iterator[str]:
    for section in (*_ORGANISATION, *_INSTALLATION, *_NO_ORGANISATION):
        for entry in section[1]:
            yield from (page.address for page in entry.pages)
    for entry in _APART:
        yield from (page.address for page in entry.pages)


@pytest.mark.parametrize("section", sorted(set(HELP.values())))
def test_help_leads_to_an_existing_section(section: str) -> None:
    path, _, anchor = section_url(section).partition("#")
    [page] = [page for page in manual().pages.values() if page.url == path]
    assert not anchor or f'id="{anchor}"' in html_of(page)


def test_every_page_of_the_menu_has_its_help() -> None:
    known = {name for name in get_resolver().reverse_dict if isinstance(name, str)}
    assert HELP.keys() == set(_addresses()) - _EXPLAINED
    assert HELP.keys() <= known


def test_files_of_the_manual_have_different_names() -> None:
    """Help names a file without its folder."""
    stems = [name.rpartition("/")[2] for name in manual().pages]
    named = {section.partition("#")[0] for section in HELP.values()}
    assert [stem for stem in named if stems.count(stem) != 1] == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("language", "label"), [("en", "Help with this page"), ("zh-hans", "本页帮助")]
)
def test_each_page_of_the_menu_shows_its_help(people: Cast, language: str, label: str) -> None:
    people.alice.operator = True
    people.alice.set_password("correct horse battery")
    people.alice.save()
    reader: Client = cast.signed_in(people.alice)
    reader.cookies["language"] = language
    shown = {}
    for section in (*_ORGANISATION, *_INSTALLATION):
        for page in (page for entry in section[1] for page in entry.pages):
            path = reverse(page.address, args=[people.acme.slug] if page.own else [])
            text = reader.get(path, follow=True).content.decode()
            shown[page.address] = [(html.unescape(a), b) for a, b in _MARK.findall(text)]
    assert shown.pop("docs") == shown.pop("manual") == []
    assert shown == {name: [(section_url(HELP[name]), label)] for name in shown}


@pytest.mark.django_db
def test_subpage_has_the_help_of_its_menu_page(people: Cast) -> None:
    alice = cast.actor(people.alice, people.acme)
    found = help_url(alice, "invoice", f"/o/{people.acme.slug}/billing/invoices/x")
    assert found == section_url(HELP["invoices"])
    assert help_url(alice, "none", "/nowhere") == ""
