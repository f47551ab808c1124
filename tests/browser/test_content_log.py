"""The content log on its pages: an owner switches it on, also on a telephone and by keyboard."""

import openai
import pytest
from playwright.sync_api import ViewportSize, expect

from tests.browser.installation import DEAD, Installation
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
    expect(page.get_by_text("Prompts and answers are not logged.").first).to_be_visible()


def test_rule_of_a_key_is_added_on_its_page(site: Installation, owner: Visitor) -> None:
    """What is chosen is not asked for any more, and the unit is the one that was entered."""
    page = owner.page
    page.goto(f"{site.organisation}/keys")
    page.locator("tbody a").first.click()
    address = page.url
    log = page.get_by_role("region", name="Content log")
    log.get_by_role("link", name="Add rule").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("The rule applies to this key alone.")).to_be_visible()
    assert too_wide(page) == ""
    dialog.get_by_label("Keep each text for").fill("24")
    dialog.get_by_label("Unit").select_option("hours")
    dialog.get_by_role("button", name="Add rule").click()
    expect(log).to_contain_text("Prompts and answers are kept for 24 hours.")
    assert page.url == address
    page.goto(f"{site.organisation}/content-log")
    row = page.get_by_role("row").filter(has_text="API key")
    expect(row).to_contain_text("24 hours")
    row.get_by_role("button", name="Actions for").click()
    page.locator(".menu:popover-open").get_by_role("link", name="Delete").click()
    dialog.get_by_role("button", name="Delete rule").click()
    expect(row).to_have_count(0)


def test_timeline_of_a_request_is_seen_without_scrolling(
    site: Installation, owner: Visitor
) -> None:
    page = owner.page
    asks = [{"role": "user", "content": "Is anybody there?"}]
    with site.client() as client:
        site.hub.wait(lambda: bool(client.models.list().data), "the models are not heard of")
        with pytest.raises(openai.APIStatusError) as failed:
            client.chat.completions.create(model=DEAD, messages=asks)  # type: ignore[arg-type]
    page.goto(f"{site.organisation}/requests/{failed.value.response.headers['x-request-id']}")
    timeline = page.get_by_role("group", name="Timeline")
    expect(timeline.get_by_role("columnheader", name="Duration")).to_be_visible()
    assert timeline.evaluate("(table) => table.scrollWidth - table.clientWidth") == 0
