"""The content log on its pages: an owner switches it on, also on a telephone and by keyboard."""

from playwright.sync_api import ViewportSize, expect

from tests.browser.installation import Installation
from tests.browser.visitor import Visitor, too_wide

TELEPHONE: ViewportSize = {"width": 360, "height": 740}


def test_owner_switches_the_log_on_by_keyboard_on_a_phone(
    site: Installation, owner: Visitor
) -> None:
    page = owner.page
    page.set_viewport_size(TELEPHONE)
    page.goto(f"{site.organisation}/content-log")
    page.get_by_role("link", name="Add rule").first.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Applies to", exact=True).select_option("model")
    dialog.get_by_role("combobox", name="Model").fill("gpt-*")
    page.keyboard.press("Enter")
    assert too_wide(page) == ""
    dialog.get_by_label("Share of requests (%)").fill("20")
    page.keyboard.press("Enter")
    row = page.get_by_role("row").filter(has_text="gpt-*")
    expect(row).to_contain_text("7 days")
    assert too_wide(page) == ""
    page.set_viewport_size({"width": 1280, "height": 800})
    row.get_by_role("link", name="gpt-*").click()
    expect(dialog).to_contain_text("stays until its own time ends")
    page.keyboard.press("Escape")
    page.goto(f"{site.organisation}/keys")
    page.locator("tbody a").first.click()
    expect(page.get_by_text("Prompts and answers are not kept.").first).to_be_visible()
