"""The list of chats keeps what was searched for, and both lists follow (W10)."""

import pytest
from playwright.sync_api import expect

from tests.playground.conftest import Stage, Watched
from tests.playground.runs.test_live import DONE, ask

pytestmark = pytest.mark.browser


def test_list_keeps_its_search_while_a_chat_is_sent_and_changed(stage: Stage, bob: Watched) -> None:
    page = bob.page
    side, drawer = page.locator("#chat-list .chat-nav"), page.locator("#chats .chat-nav")
    ask(page, stage, stage.echo_model(), "A chat about rivers")
    page.wait_for_selector(DONE)
    expect(side.locator(".chat-link")).to_have_count(1)
    page.fill("#chat-q", "mountains")
    expect(side).to_contain_text("No chat contains “mountains”.")
    page.fill("#chat-text", "and another question")
    page.keyboard.press("Enter")
    expect(page.locator(DONE)).to_have_count(2)
    expect(drawer.locator(".chat-link")).to_have_count(1)
    expect(side).to_contain_text("No chat contains “mountains”.")
    page.fill("#chat-q", "")
    page.check("#chat-list [name=archived]")
    expect(side).to_contain_text("Nothing is archived.")
    page.uncheck("#chat-list [name=archived]")
    side.locator(".chat-row").hover()
    side.get_by_role("link", name="Actions").click()
    page.get_by_role("button", name="Archive").click()
    expect(side.locator(".chat-link")).to_have_count(0)
    page.check("#chat-list [name=archived]")
    expect(side.locator(".chat-link")).to_have_count(1)
    side.locator(".chat-row").hover()
    side.get_by_role("link", name="Actions").click()
    page.get_by_role("button", name="Unarchive").click()
    expect(side).to_contain_text("Nothing is archived.")
    expect(drawer.locator(".chat-link")).to_have_count(1)
    bob.assert_calm()
