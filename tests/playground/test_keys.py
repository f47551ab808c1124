"""Shortcuts (W10): as they are shipped, as a person lays them, and the sheet that tells them."""

import pytest
from playwright.sync_api import Browser, expect

from tests.playground.conftest import Stage, watch

pytestmark = pytest.mark.browser


def test_keys_act_as_they_are_laid_and_stand_in_the_sheet(stage: Stage, chromium: Browser) -> None:
    bob = watch(chromium, stage)
    page = bob.context.new_page()
    stage.echo_model()
    page.goto(stage.playground)
    panel = page.locator(".pane[data-pane=tools]")
    page.keyboard.press("Alt+t")
    expect(panel).to_be_visible()
    page.keyboard.press("Alt+t")
    expect(panel).to_be_hidden()
    page.locator("#chat-text").press("?")  # in a text it is a sign
    expect(page.locator("#keys")).to_be_hidden()
    page.locator("[data-log]").focus()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.get_by_role("link", name="Lay them otherwise").click()
    page.select_option("#key-tools", "W")
    page.uncheck("[name=letter_keys]")
    page.locator("form[action$=keys] [type=submit]").click()
    page.goto(stage.playground)
    page.keyboard.press("Alt+t")
    expect(panel).to_be_hidden()
    page.keyboard.press("Alt+w")
    expect(panel).to_be_visible()
    page.locator("[data-log]").focus()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_hidden()
    bob.assert_calm()
    bob.context.close()
