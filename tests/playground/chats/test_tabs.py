"""Two pages of one chat, a page without a network, and the way to the composer by keys (W10)."""

import pytest
from playwright.sync_api import Page, expect

from tests.playground.conftest import Stage, Watched
from tests.playground.runs.test_live import ask

pytestmark = pytest.mark.browser

DONE = ".msg[data-role=assistant][data-state=done]"


def send(page: Page, text: str) -> None:
    page.fill("#chat-text", text)
    page.keyboard.press("Enter")


def test_a_turn_sent_in_one_tab_appears_in_the_other(stage: Stage, bob: Watched) -> None:
    first = bob.page
    ask(first, stage, stage.echo_model(), "the first question")
    first.wait_for_selector(DONE)
    second = bob.context.new_page()
    second.goto(first.url)
    second.fill("#chat-text", "half a thought")
    send(first, "the second question")
    expect(second.locator(DONE)).to_have_count(2)
    expect(second.locator(".msg[data-role=user]").last).to_contain_text("the second question")
    expect(second.locator("#chat-text")).to_have_value("half a thought")
    expect(second.locator("#composer")).not_to_have_attribute("data-running", "")
    send(second, "the third question")
    expect(first.locator(DONE)).to_have_count(3)
    bob.assert_calm()


def test_offline_message_is_kept_and_sent_on_demand(stage: Stage, bob: Watched) -> None:
    page = bob.page
    page.goto(f"{stage.playground}?m={stage.echo_model()}")
    page.wait_for_load_state("networkidle")
    bob.context.set_offline(True)
    send(page, "do not lose me")
    note = page.get_by_role("alert").filter(has_text="Your message was not sent")
    expect(note).to_contain_text("You are offline.")
    expect(page.locator("#chat-text")).to_have_value("do not lose me")
    assert page.locator(".msg").count() == 0
    bob.context.set_offline(False)
    expect(note).to_contain_text("You are back online.")
    note.get_by_role("button", name="Retry").click()
    page.wait_for_selector(DONE)
    expect(note).to_be_hidden()
    expect(page.locator("#chat-text")).to_have_value("")
    (row,) = stage.rows(
        "SELECT count(*) AS n FROM playground_message WHERE content = 'do not lose me' "
        "AND role = 'user'"
    )
    assert row["n"] == 1


@pytest.mark.slow
def test_the_composer_has_the_focus_and_is_near_by_tab(stage: Stage, bob: Watched) -> None:
    page = bob.page
    ask(page, stage, stage.echo_model(), "a chat")
    page.wait_for_selector(DONE)
    page.goto(stage.playground)
    expect(page.locator("#chat-text")).to_be_focused()
    with page.expect_navigation():
        page.locator(".chat-list [data-new-chat]").click()
    expect(page.locator("#chat-text")).to_be_focused()
    with page.expect_navigation():
        page.keyboard.press("Alt+n")
    expect(page.locator("#chat-text")).to_be_focused()
    page.locator(".chat-link").first.click()
    page.wait_for_selector(DONE)
    expect(page.locator("#chat-text")).to_be_focused()
    # Behind the skip link: it leads into the page, and a few stops on is the composer.
    page.evaluate("document.activeElement.blur(); document.querySelector('.skip').focus()")
    page.keyboard.press("Enter")
    stops = 0
    while page.evaluate("document.activeElement.id") != "chat-text":
        page.keyboard.press("Tab")
        stops += 1
        assert stops <= 5
    bob.assert_calm()


@pytest.mark.slow
def test_only_the_composer_takes_focus_on_load(stage: Stage, bob: Watched) -> None:
    """The browser tells, as a mere information, where a second one does."""
    messages: list[str] = []
    bob.context.on("console", lambda message: messages.append(message.text))
    page = bob.page
    for path in ("", "/compare", "/embeddings"):
        page.goto(f"{stage.playground}{path}")
        # Drawn twice: by then what has autofocus was tried.
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    assert messages == []
