"""The log as it goes on, in a browser: what comes is there, once, wherever the page was."""

import re
from typing import Literal

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.installation import MODEL, Installation
from tests.browser.visitor import Visitor, findings, too_wide
from usage.log.live_log import ROWS_MAX

pytestmark = pytest.mark.browser

TELEPHONE: ViewportSize = {"width": 360, "height": 740}
# A browser hides no page that it draws for a test: it says so to the page.
_HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def ask(site: Installation, count: int = 1) -> None:
    with site.client() as client:
        site.hub.wait(lambda: bool(client.models.list().data), "the models are not heard of")
        for n in range(count):
            client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": f"{n} #tokens=5"}]
            )


def ask_and_wait(site: Installation) -> None:
    """What a request leaves is written behind its answer."""
    written = "SELECT 1 FROM usage_usagerecord WHERE final"
    earlier = len(site.hub.rows(written))
    ask(site)
    site.hub.wait(lambda: len(site.hub.rows(written)) > earlier, "the record is missing")


def addresses(page: Page) -> list[str | None]:
    links = page.locator("#rows tbody tr a").all()
    return [link.get_attribute("href") for link in links]


def test_requests_appear_on_the_page_as_they_end(site: Installation, owner: Visitor) -> None:
    """By the filter that holds; a hidden page waits, and has all of it when it is seen again."""
    page = owner.page
    ask_and_wait(site)
    page.goto(f"{site.organisation}/requests")
    before = addresses(page)
    live = page.get_by_role("button", name="Live")
    live.press("Enter")
    expect(live).to_have_attribute("aria-pressed", "true")
    locator = page.locator("[data-live-said]")
    expect(locator).to_have_text("New: 0")
    ask(site, 2)
    rows = page.locator("#rows tbody tr")
    expect(rows).to_have_count(len(before) + 2)
    expect(locator).to_have_text("New: 2", timeout=10_000)
    themes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for theme in themes:
        page.emulate_media(color_scheme=theme)
        assert findings(page, "color-contrast", "button-name", "aria-allowed-role") == []
    page.evaluate(_HIDE, True)
    ask(site)
    page.evaluate(_HIDE, False)
    expect(rows).to_have_count(len(before) + 3)
    page_text = addresses(page)
    assert len(set(page_text)) == len(page_text)
    assert page_text[3:] == before
    # Neither failed nor answered.
    rejected = rows.filter(has_text="Rejected").count()
    page.get_by_role("combobox", name="Status").select_option("error")
    expect(page).to_have_url(re.compile("status=error"))
    failed = rows.count()
    expect(live).to_have_attribute("aria-pressed", "true")
    ask(site)
    page.get_by_role("combobox", name="Status").select_option("ok")
    expect(rows).to_have_count(len(before) + 4 - failed - rejected)
    page.set_viewport_size(TELEPHONE)
    assert too_wide(page) == ""
    live.click()
    expect(live).to_have_attribute("aria-pressed", "false")
    expect(locator).to_be_empty()


def test_page_continues_when_its_process_is_replaced(site: Installation, owner: Visitor) -> None:
    page = owner.page
    ask_and_wait(site)
    page.goto(f"{site.organisation}/requests")
    rows = page.locator("#rows tbody tr")
    before = rows.count()
    page.get_by_role("button", name="Live").click()
    ask(site)
    expect(rows).to_have_count(before + 1)
    site.hub.stop()
    site.hub.start()
    ask(site, 2)
    expect(rows).to_have_count(before + 3, timeout=30_000)
    page_text = addresses(page)
    assert len(set(page_text)) == len(page_text)
    # The browser tells of the connection that was lost.
    owner.complaints[:] = [line for line in owner.complaints if "net::ERR_" not in line]


def test_page_says_how_many_requests_it_left_out(site: Installation, owner: Visitor) -> None:
    """After a pause there may be more than one message has; the list has them all."""
    page = owner.page
    ask_and_wait(site)
    page.goto(f"{site.organisation}/requests")
    live, rows = page.get_by_role("button", name="Live"), page.locator("#rows tbody tr")
    before = rows.count()
    live.click()
    expect(page.locator("[data-live-said]")).to_have_text("New: 0")
    page.evaluate(_HIDE, True)
    ended = "SELECT count(*) AS n FROM usage_usagerecord WHERE final"
    (earlier,) = site.hub.rows(ended)
    ask(site, ROWS_MAX + 3)
    site.hub.wait(
        lambda: site.hub.rows(ended)[0]["n"] == earlier["n"] + ROWS_MAX + 3,
        "records are missing",
    )
    page.evaluate(_HIDE, False)
    expect(rows).to_have_count(before + ROWS_MAX)
    missed = page.get_by_role("link", name="Not shown: 3")
    expect(missed).to_be_visible()
    assert findings(page, "color-contrast", "link-name") == []
    page.set_viewport_size(TELEPHONE)
    assert too_wide(page) == ""
    missed.click()
    expect(page.locator("[data-live-missed]")).to_be_hidden()
    expect(page.get_by_role("button", name="Live")).to_have_attribute("aria-pressed", "true")
    listed = addresses(page)
    ask(site)
    expect(rows).to_have_count(len(listed) + 1)
    assert addresses(page)[1:] == listed
