"""A reader of the content log on its pages: one request and one session, also on a telephone."""

from collections.abc import Mapping
from typing import cast

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect

from tests.browser.conftest import Visit, state_of
from tests.browser.installation import Installation
from tests.browser.kept import keep_a_session
from tests.browser.test_content_log import TELEPHONE
from tests.browser.visitor import findings_in_both_themes, too_wide


@pytest.fixture(scope="module")
def paths(site: Installation) -> Mapping[str, str]:
    return cast("Mapping[str, str]", site.beside.call(keep_a_session))


@pytest.fixture(scope="module")
def reader(site: Installation, browser: Browser, paths: Mapping[str, str]) -> StorageState:
    """The state of a browser in which the reader is signed in."""
    return state_of(browser, site.url, paths["link"])


def _say_why(page: Page) -> None:
    page.get_by_label("Reason").fill("A complaint of the miller")
    page.get_by_role("button", name="Show conversation").click()


def test_reader_reads_a_session_and_opens_a_request_in_the_playground(
    visit: Visit, reader: StorageState, paths: Mapping[str, str]
) -> None:
    page = visit(storage_state=reader).page
    page.goto(paths["session"])
    page.get_by_role("link", name="Conversation").click()
    _say_why(page)
    steps = page.locator(".story-step")
    expect(steps).to_have_count(4)
    expect(page.get_by_text("The lower gate leaks")).to_have_count(1)
    expect(steps.nth(1)).to_contain_text("The upstream is away.")
    expect(steps.nth(2)).to_contain_text("The same request as step 2, sent again")
    expect(steps.nth(2).locator("td").first).to_have_text("22–02")
    expect(steps.nth(3)).to_contain_text("a branch from step 1 begins")
    assert findings_in_both_themes(page) == []
    page.set_viewport_size(TELEPHONE)
    assert too_wide(page) == ""
    steps.nth(2).get_by_role("link", name="Open request").click()
    _say_why(page)
    expect(page.get_by_role("heading", name="Receipt")).to_be_visible()
    assert too_wide(page) == ""
    page.set_viewport_size({"width": 1440, "height": 900})
    assert findings_in_both_themes(page) == []
    page.locator("summary").filter(has=page.locator("code", has_text="measure")).first.click()
    expect(page.locator("pre").filter(has_text='"hours": 8').first).to_be_visible()
    page.get_by_role("button", name="Open in playground").click()
    page.wait_for_url("**/playground/c/*")
    expect(page.locator(".msg")).to_have_count(3)


def test_reader_copies_a_request_as_a_command(
    site: Installation, visit: Visit, reader: StorageState, paths: Mapping[str, str]
) -> None:
    allowed = ["clipboard-read", "clipboard-write"]
    page = visit(storage_state=reader, permissions=allowed).page
    page.goto(f"{paths['request']}/conversation")
    _say_why(page)
    page.get_by_role("button", name="Copy as curl").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"curl {site.url}/v1/chat/completions")
    assert "$WEIR_API_KEY" in copied
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON Lines").click()
    assert download.value.suggested_filename.endswith(".jsonl")
