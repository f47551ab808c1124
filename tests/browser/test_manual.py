"""The manual in a real browser: read, searched and left for the console, with the keyboard."""

import re

import pytest
from playwright.sync_api import ViewportSize, expect

from reference.manual.pages import manual, section_url
from tests.browser.conftest import Visit
from tests.browser.installation import Installation
from tests.browser.looks import DESK, PHONE, Theme
from tests.browser.visitor import Visitor, findings, too_wide


def widest_pages() -> list[str]:
    """The first page, and those with the widest table, the most code and the most headings."""
    pages = manual().in_order
    most = {
        max(pages, key=lambda page: max(map(len, page.source.splitlines()))).url,
        max(pages, key=lambda page: page.source.count("```")).url,
        max(pages, key=lambda page: len(page.sections)).url,
    }
    return ["/manual", *sorted(most), "/manual/search?q=backup"]


@pytest.mark.parametrize(("theme", "window"), [("light", PHONE), ("dark", DESK)])
def test_manual_is_accessible(visit: Visit, theme: Theme, window: ViewportSize) -> None:
    """Axe finds nothing in either theme, and no page is wider than its window."""
    page = visit(color_scheme=theme, viewport=window).page
    for path in widest_pages():
        page.goto(path)
        assert too_wide(page) == "", path
        assert findings(page) == [], path


def test_a_section_is_found_and_opened_by_keyboard(visit: Visit) -> None:
    page = visit(viewport=DESK).page
    page.goto("/manual")
    page.get_by_role("searchbox", name="Search the manual").focus()
    page.keyboard.type("safeguards")
    page.keyboard.press("Enter")
    page.get_by_role("link", name=re.compile("› Safeguards$")).first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Safeguards", exact=True)).to_be_in_viewport()
    assert page.url.endswith(section_url("secure#safeguards"))


def test_help_leads_from_a_page_to_its_section(owner: Visitor, site: Installation) -> None:
    page = owner.page
    page.goto(f"{site.organisation}/sessions")
    page.get_by_role("link", name="Help with this page").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Sessions", exact=True)).to_be_in_viewport()
    assert page.url.endswith(section_url("usage#sessions"))
