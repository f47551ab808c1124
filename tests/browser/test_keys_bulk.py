"""A change of several keys: from the keyboard, on a telephone, in the dark and in Chinese."""

import pytest
from playwright.sync_api import Page, StorageState, ViewportSize, expect

from tests.browser.conftest import Visit
from tests.browser.installation import Installation
from tests.browser.visitor import Visitor, findings_in_both_themes, too_wide

pytestmark = pytest.mark.browser

TELEPHONE: ViewportSize = {"width": 360, "height": 740}


@pytest.fixture
def still(visit: Visit, signed_in: StorageState) -> Visitor:
    """The owner, to whom nothing moves."""
    window: ViewportSize = {"width": 1280, "height": 900}
    return visit(storage_state=signed_in, viewport=window, reduced_motion="reduce")


def make_key(page: Page, site: Installation, name: str) -> None:
    page.goto(f"{site.organisation}/keys/new")
    page.locator("main form [name=name]").fill(name)
    page.locator("main form").get_by_role("button", name="Create key").click()
    expect(page.get_by_text("Copy this key now.")).to_be_visible()


def tick_all(page: Page, site: Installation, query: str) -> None:
    page.goto(f"{site.organisation}/keys?q={query}")
    page.locator("[data-tick-all]").focus()
    page.keyboard.press("Space")


def test_limits_are_previewed_and_applied_by_keyboard(site: Installation, still: Visitor) -> None:
    page = still.page
    for name in ("several-a", "several-b"):
        make_key(page, site, name)
    tick_all(page, site, "several-")
    expect(page.locator(".bulk-n")).to_have_attribute("data-n", "2")
    page.locator(".bulk").get_by_role("button", name="Set limits").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Set limits of keys")).to_be_visible()
    expect(page.get_by_role("button", name="Apply")).to_have_count(0)
    assert findings_in_both_themes(page) == []
    page.get_by_label("Requests per minute").first.fill("60")
    page.keyboard.press("Enter")
    expect(page.get_by_text("2 keys change", exact=True)).to_be_visible()
    expect(page.locator("ins", has_text="60 requests/min")).to_have_count(2)
    assert findings_in_both_themes(page) == []
    still.speak("zh-hans")
    page.set_viewport_size(TELEPHONE)
    tick_all(page, site, "several-")
    assert too_wide(page) == ""
    page.locator(".bulk").get_by_role("button", name="设置限额").click()
    page.locator("[name=rpm]").fill("60")
    page.get_by_role("button", name="预览更改").click()
    expect(page.get_by_text("2 个密钥将更改")).to_be_visible()
    assert too_wide(page) == ""
    assert findings_in_both_themes(page) == []
    page.get_by_role("button", name="应用到 2 个密钥").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("已更改 2 个密钥。")).to_be_visible()
    still.speak("en")


def test_keys_are_revoked_by_typing_their_number(site: Installation, still: Visitor) -> None:
    page = still.page
    for name in ("gone-a", "gone-b"):
        make_key(page, site, name)
    tick_all(page, site, "gone-")
    page.locator(".bulk").get_by_role("button", name="Revoke").click()
    revoke = page.get_by_role("button", name="Revoke 2 keys")
    expect(revoke).to_be_disabled()
    assert findings_in_both_themes(page) == []
    page.get_by_label("Type 2 to confirm").fill("2")
    revoke.click()
    expect(page.get_by_text("2 keys changed.")).to_be_visible()
    expect(page.get_by_text("Nothing matches these filters")).to_be_visible()
