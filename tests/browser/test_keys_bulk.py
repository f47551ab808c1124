"""A change of several keys: from the keyboard, on a telephone, in the dark and in Chinese."""

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.installation import Installation, mint_keys
from tests.browser.visitor import Visitor, act_on, findings, findings_in_both_themes, too_wide

pytestmark = pytest.mark.browser

TELEPHONE: ViewportSize = {"width": 360, "height": 740}


def tick_all(page: Page) -> None:
    page.locator("[data-tick-all]").focus()
    page.keyboard.press("Space")


@pytest.mark.slow
def test_limits_are_previewed_and_applied_by_keyboard(site: Installation, owner: Visitor) -> None:
    page = owner.page
    site.beside.call(mint_keys, "several-a", "several-b")
    page.goto(f"{site.organisation}/keys?q=several-")
    expect(page.locator(".bulk")).to_be_hidden()
    tick_all(page)
    expect(page.locator(".bulk-n")).to_have_attribute("data-n", "2")
    page.locator(".bulk").get_by_role("button", name="Set limits").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Set limits of keys")).to_be_visible()
    expect(page.get_by_role("button", name="Apply")).to_have_count(0)
    page.get_by_label("Requests per minute").first.fill("60")
    page.keyboard.press("Enter")
    expect(page.get_by_text("2 keys change", exact=True)).to_be_visible()
    expect(page.locator("ins", has_text="60 requests/min")).to_have_count(2)
    assert findings(page) == []
    page.get_by_role("button", name="Apply to 2 keys").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("2 keys changed.")).to_be_visible()
    act_on(page, "several-a", "Edit")
    expect(page.get_by_role("dialog").get_by_label("Name")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Actions for several-a")).to_be_focused()


def test_ticked_key_is_disabled(site: Installation, owner: Visitor) -> None:
    page = owner.page
    site.beside.call(mint_keys, "pause-a", "pause-b")
    page.goto(f"{site.organisation}/keys?q=pause-")
    page.get_by_label("Select pause-a").check()
    page.locator(".bulk").get_by_role("button", name="Disable").click()
    page.get_by_role("button", name="Apply to 1 key").click()
    expect(page.get_by_text("1 key changed.")).to_be_visible()
    expect(page.get_by_role("row", name="pause-a")).to_contain_text("Disabled")
    expect(page.get_by_role("row", name="pause-b")).not_to_contain_text("Disabled")


@pytest.mark.slow
def test_limits_are_set_on_a_telephone_in_chinese(site: Installation, owner: Visitor) -> None:
    page = owner.page
    site.beside.call(mint_keys, "telephone-a", "telephone-b")
    owner.speak("zh-hans")
    page.set_viewport_size(TELEPHONE)
    page.goto(f"{site.organisation}/keys?q=telephone-")
    tick_all(page)
    assert too_wide(page) == ""
    page.locator(".bulk").get_by_role("button", name="设置限制").click()
    page.locator("[name=rpm]").fill("60")
    page.get_by_role("button", name="预览更改").click()
    expect(page.get_by_text("2 个密钥将更改")).to_be_visible()
    assert too_wide(page) == ""
    assert findings_in_both_themes(page) == []
    page.get_by_role("button", name="应用到 2 个密钥").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("已更改 2 个密钥。")).to_be_visible()
    owner.speak("en")


@pytest.mark.slow
def test_keys_are_revoked_by_typing_their_number(site: Installation, owner: Visitor) -> None:
    page = owner.page
    site.beside.call(mint_keys, "gone-a", "gone-b")
    page.goto(f"{site.organisation}/keys?q=gone-")
    tick_all(page)
    page.locator(".bulk").get_by_role("button", name="Revoke").click()
    revoke = page.get_by_role("button", name="Revoke 2 keys")
    expect(revoke).to_be_disabled()
    assert findings_in_both_themes(page) == []
    page.get_by_label("Type 2 to confirm").fill("2")
    revoke.click()
    expect(page.get_by_text("2 keys changed.")).to_be_visible()
    expect(page.get_by_text("Nothing matches these filters")).to_be_visible()
