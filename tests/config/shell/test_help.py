"""The `?` beside a page's title leads to the section of the manual that explains it."""

import html
import re

import pytest
from django.urls import get_resolver, reverse

from config.shell.help import HELP, help_url
from config.shell.pages import all_pages
from reference.manual.pages import html_of, manual, section_url
from tests.support import cast
from tests.support.cast import Cast

# The documentation itself.
EXPLAINED = {"docs", "manual"}
_MARK = re.compile(r'<a\s+class="help-link"\s+href="([^"]+)"\s+aria-label="([^"]+)"')


def help_marks(text: str) -> list[tuple[str, str]]:
    """The address and the label of each `?` of a page."""
    return [(html.unescape(address), label) for address, label in _MARK.findall(text)]


@pytest.mark.parametrize("section", sorted(set(HELP.values())))
def test_help_leads_to_an_existing_section(section: str) -> None:
    path, _, anchor = section_url(section).partition("#")
    [page] = [page for page in manual().pages.values() if page.url == path]
    assert not anchor or f'id="{anchor}"' in html_of(page)


def test_every_page_of_the_menu_has_its_help() -> None:
    known = {name for name in get_resolver().reverse_dict if isinstance(name, str)}
    assert HELP.keys() == {page.address for page in all_pages()} - EXPLAINED
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
def test_the_mark_is_labelled_in_the_language_of_the_page(
    people: Cast, language: str, label: str
) -> None:
    """That each page of the menu has its own is asked in `tests/house/test_answers.py`."""
    reader = cast.signed_in(people.alice)
    reader.cookies["language"] = language
    text = reader.get(reverse("keys", args=[people.acme.slug])).content.decode()
    assert help_marks(text) == [(section_url(HELP["keys"]), label)]


@pytest.mark.django_db
def test_subpage_has_the_help_of_its_menu_page(people: Cast) -> None:
    alice = cast.actor(people.alice, people.acme)
    found = help_url(alice, "invoice", f"/o/{people.acme.slug}/billing/invoices/x")
    assert found == section_url(HELP["invoices"])
    assert help_url(alice, "none", "/nowhere") == ""
