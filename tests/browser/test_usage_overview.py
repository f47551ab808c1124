"""W30: its tabs, one screen each; what happened is marked on every chart."""

import re

import pytest
from playwright.sync_api import Page, StorageState, ViewportSize, expect

from tests.browser.conftest import Visit
from tests.browser.grown import SLUG
from tests.browser.visitor import findings_in_both_themes, too_wide

pytestmark = pytest.mark.browser

WINDOW: ViewportSize = {"width": 1280, "height": 900}
PICTURE = "(node) => node.querySelector('canvas').toDataURL()"


@pytest.fixture
def page(visit: Visit, inside_grown: StorageState) -> Page:
    return visit(storage_state=inside_grown, viewport=WINDOW).page


def test_times_and_notes_on_the_overview(page: Page) -> None:
    """A note is written by keys alone, stands in the list, and is drawn and said where it lies."""
    page.goto(f"/o/{SLUG}/usage?tab=times&range=7d")
    times = page.locator("#times")
    expect(times.locator(".stat")).to_have_count(4)
    chart = times.locator(".chart")
    expect(chart.locator("canvas")).to_be_visible()
    expect(times.locator(".legend button")).to_have_text(["p50", "p95", "p99"])
    before = chart.evaluate(PICTURE)
    page.get_by_role("link", name="Add note").focus()
    page.keyboard.press("Enter")
    text = page.get_by_label("Text")
    text.fill("Campaign begins")
    text.press("Enter")
    expect(page).to_have_url(re.compile("/usage$"))
    marks = page.locator("#marks li")
    page.goto(f"/o/{SLUG}/usage?tab=times&range=7d")
    expect(marks).to_have_count(1)
    expect(marks).to_contain_text("Campaign begins")
    expect(chart.locator("canvas")).to_be_visible()
    assert chart.evaluate(PICTURE) != before
    chart.focus()
    page.keyboard.press("End")
    expect(page.locator("#live")).to_contain_text("Campaign begins")
    expect(times.locator(".chart-tip")).to_contain_text("Campaign begins")
    chart.blur()
    times.get_by_role("link", name="Tokens/s").click()
    expect(times.locator("h2")).to_have_text("Tokens per second")
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    assert findings_in_both_themes(page) == []
    page.set_viewport_size({"width": 360, "height": 800})
    assert too_wide(page) == ""
    marks.get_by_role("button", name=re.compile("Delete")).press("Enter")
    expect(page.locator("#marks")).to_be_visible()
    expect(marks).to_have_count(0)


def test_the_overview_is_one_screen_and_a_tab_keeps_the_filters(
    visit: Visit, inside_grown: StorageState
) -> None:
    page = visit(storage_state=inside_grown, viewport={"width": 1440, "height": 900}).page
    page.goto(f"/o/{SLUG}/usage?range=7d")
    expect(page.locator(".chart canvas")).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollHeight") == 900
    page.get_by_role("link", name="Keys and meters").click()
    expect(page).to_have_url(re.compile(r"range=7d&tab=keys"))
    top = page.get_by_role("group", name="Top keys")
    expect(top.locator("tbody tr")).to_have_count(2)
    for width in (1440, 768, 390):
        page.set_viewport_size({"width": width, "height": 900})
        bar = top.locator(".bar").first
        assert bar.evaluate("(node) => node.getBoundingClientRect().width") >= 80, width
    page.get_by_role("button", name="Filters", exact=True).click()
    page.get_by_role("combobox", name="Time range").select_option("30d")
    expect(page).to_have_url(re.compile(r"usage\?tab=keys$"))
    expect(top).to_be_visible()
