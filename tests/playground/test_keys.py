"""Shortcuts (W10): as they are shipped, as a person lays them, and the sheet that tells them."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.playground.conftest import Stage, Watched, watch

pytestmark = pytest.mark.browser


@pytest.fixture
def bob(chromium: Browser, stage: Stage) -> Iterator[Watched]:
    watched = watch(chromium, stage, viewport={"width": 1280, "height": 900})
    yield watched
    watched.context.close()
    stage.hub.connection.execute("DELETE FROM playground_preference")


def test_keys_act_as_they_are_laid_and_stand_in_the_sheet(stage: Stage, bob: Watched) -> None:
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
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.locator("#chat-q")).to_be_focused()
    page.keyboard.type("gu/?")  # signs again
    expect(page.locator("#chat-q")).to_have_value("gu/?")
    page.goto(f"{stage.hub.url}/o/acme/usage")
    for letter, path in (("r", "requests"), ("k", "keys"), ("p", "playground"), ("m", "models")):
        page.keyboard.press("g")
        page.keyboard.press(letter)
        page.wait_for_url(f"**/{path}")
        page.locator("main").focus()
    page.goto(stage.playground)
    page.locator("[data-log]").focus()
    page.keyboard.press("?")
    page.get_by_role("link", name="Lay them otherwise").click()
    page.select_option("#key-tools", "W")
    page.uncheck("[name=letter_keys]")
    page.select_option("#key-sends", "ctrl")
    page.locator("form[action$=keys] [type=submit]").click()
    page.goto(stage.playground)
    page.keyboard.press("Alt+t")
    expect(panel).to_be_hidden()
    page.keyboard.press("Alt+w")
    expect(panel).to_be_visible()
    page.fill("#chat-text", "one")
    page.keyboard.press("Enter")
    page.keyboard.type("two")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".msg[data-role=user] .prose")).to_have_text("one\ntwo")
    page.locator("[data-log]").focus()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.locator("#chat-q")).not_to_be_focused()
    bob.assert_calm()
