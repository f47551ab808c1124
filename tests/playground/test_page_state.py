"""What the page itself keeps between one act and the next: drafts, settings, what was dismissed,
and how it comes back (W10)."""

import re
import secrets
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.hub import RATES
from tests.playground.conftest import Stage, Watched, watch
from tests.playground.test_desk import _MICROPHONE
from tests.playground.test_live import BLOCKS, DONE, ask, choose_model

pytestmark = pytest.mark.browser


@pytest.fixture
def bob(chromium: Browser, stage: Stage) -> Iterator[Watched]:
    watched = watch(chromium, stage, viewport={"width": 1440, "height": 900})
    yield watched
    watched.context.close()


def drafts(page: Page) -> list[str]:
    found: list[str] = page.evaluate(
        "Object.keys(localStorage).filter((key) => key.startsWith('draft:'))"
    )
    return found


def kept(page: Page, text: str) -> None:
    page.wait_for_function("text => Object.values(localStorage).includes(text)", arg=text)


def test_a_draft_is_of_one_organisation(chromium: Browser, stage: Stage) -> None:
    stage.echo_model()
    alice = watch(chromium, stage, "alice")
    page = alice.context.new_page()
    page.goto(stage.playground)
    page.locator("#chat-text").press_sequentially("of Acme alone")
    kept(page, "of Acme alone")
    page.goto(f"{stage.hub.url}/o/poor/playground")
    expect(page.locator("#chat-text")).to_have_value("")
    page.goto(stage.playground)
    expect(page.locator("#chat-text")).to_have_value("of Acme alone")
    alice.context.close()


def test_what_was_sent_is_no_draft_any_more(stage: Stage, bob: Watched) -> None:
    page = bob.context.new_page()
    page.goto(f"{stage.playground}?m={stage.echo_model()}")
    page.locator("#chat-text").press_sequentially("once")
    kept(page, "once")
    page.keyboard.press("Enter")
    page.wait_for_selector(DONE)
    assert drafts(page) == []
    page.goto(stage.playground)
    expect(page.locator("#chat-text")).to_have_value("")


def test_a_comparison_begins_with_the_chosen_model_whatever_its_name(
    stage: Stage, bob: Watched
) -> None:
    page, hub = bob.context.new_page(), stage.hub
    name = f"r&d/fast +1 {secrets.token_hex(3)}"
    hub.price(name, RATES)
    hub.channel(name, stage.echo.url, stage.echo.key, upstream_model="echo-7-0")
    hub.know(name)
    page.goto(stage.playground)
    choose_model(page, name)
    link = page.locator("[data-compare]")
    asked = parse_qs(urlsplit(link.get_attribute("href") or "").query)
    assert asked == {"m": [name]}
    link.click()
    expect(page.locator("#compare-model-0")).to_have_value(name)
    bob.assert_calm()


def test_examples_stand_beside_the_tools_that_are_there(stage: Stage, bob: Watched) -> None:
    page = bob.context.new_page()
    page.goto(f"{stage.playground}?m={stage.fake_model()}&panel=tools")
    pane = page.locator(".pane[data-pane=tools]")
    pane.get_by_role("button", name="Weather").click()
    expect(page.locator("#tools-check")).to_contain_text("1 tool, valid")
    pane.get_by_role("button", name="Search").click()
    expect(page.locator("#tools-check")).to_contain_text("2 tools, valid")
    bob.assert_calm()


def test_a_recording_follows_another(stage: Stage, bob: Watched) -> None:
    page = bob.context.new_page()
    page.add_init_script(_MICROPHONE)
    page.goto(f"{stage.playground}?m={stage.echo_model()}")
    strip, chips = page.locator("#recording"), page.locator("#chips .file-chip")
    button = page.get_by_role("button", name="Record audio")
    for number in (1, 2):
        button.click()
        expect(strip).to_be_visible()
        expect(button).to_have_attribute("aria-pressed", "true")
        button.click()
        expect(strip).to_be_hidden()
        expect(button).to_have_attribute("aria-pressed", "false")
        expect(chips).to_have_count(number)
    bob.assert_calm()


def test_what_is_undone_is_offered_no_more(stage: Stage, bob: Watched) -> None:
    page = bob.context.new_page()
    ask(page, stage, stage.echo_model(40, 0), "a question")
    page.wait_for_selector(DONE)
    page.locator("[data-role=user]").hover()
    page.locator("[data-role=user]").get_by_role("button", name="Delete").click()
    expect(page.locator(BLOCKS)).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(BLOCKS)).to_have_text("a question")
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)
    bob.assert_calm()


def test_a_connection_that_is_back_is_said_to_be_while_the_answer_goes_on(
    stage: Stage, bob: Watched
) -> None:
    page = bob.context.new_page()
    page.clock.install()
    ask(page, stage, stage.fake_model(), "hi #tokens=400 #hold=20")
    expect(page.locator(BLOCKS)).to_contain_text(re.compile(r"\w"))
    bob.context.set_offline(True)
    # Where the browser has ended the stream by itself already, there is no reader any more.
    page.evaluate("document.querySelector('[hx-sse\\\\:connect]')._htmx.sse?.reader?.cancel()")
    state = page.locator("#link-state")
    expect(state).to_contain_text("Connection lost")
    bob.context.set_offline(False)
    page.clock.run_for(30_000)
    expect(state).not_to_contain_text("Connection lost")
    expect(page.locator("#composer")).to_have_attribute("data-running", "")
    page.keyboard.press("Escape")
    page.wait_for_selector(".msg[data-state=stopped]")


@pytest.mark.parametrize("fault", ["no connection", "503"])
def test_a_stream_whose_first_request_fails_is_asked_for_again(
    stage: Stage, bob: Watched, fault: str
) -> None:
    page = bob.context.new_page()

    def fail(route: Route) -> None:
        if fault == "503":
            route.fulfill(status=503, content_type="text/plain", body="starting")
        else:
            route.abort("connectionfailed")

    page.route(re.compile("/events"), fail)
    ask(page, stage, stage.echo_model(40, 0), "a question")
    expect(page.locator("#link-state")).to_contain_text("Connection lost")
    page.unroute_all()
    page.wait_for_selector(DONE)
    expect(page.locator(BLOCKS)).to_have_text("a question")
    expect(page.locator("#link-state")).not_to_contain_text("Connection lost")


def test_a_tab_that_is_looked_at_again_looks_again(
    chromium: Browser, stage: Stage, bob: Watched
) -> None:
    """For turns from another browser, of which no tab can tell it."""
    first = bob.context.new_page()
    ask(first, stage, stage.echo_model(), "one question")
    first.wait_for_selector(DONE)
    elsewhere = watch(chromium, stage)
    other = elsewhere.context.new_page()
    other.goto(first.url)
    other.fill("#chat-text", "two questions")
    other.keyboard.press("Enter")
    expect(other.locator(DONE)).to_have_count(2)
    assert first.locator(DONE).count() == 1
    first.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(first.locator(DONE)).to_have_count(2)
    elsewhere.context.close()
    bob.assert_calm()


def test_what_a_screen_reader_hears_stays_chosen(stage: Stage, bob: Watched) -> None:
    page = bob.context.new_page()
    for choice in ("Each sentence", "Nothing"):
        page.goto(f"{stage.playground}/settings")
        page.get_by_label("While an answer is written").select_option(choice)
        page.reload()
        chosen = page.locator("#set-speech option:checked")
        expect(chosen).to_contain_text(choice)


def test_messages_are_walked_by_arrows(stage: Stage, bob: Watched) -> None:
    """Alt and an arrow: from the last one up, and down again."""
    page = bob.context.new_page()
    ask(page, stage, stage.echo_model(40, 0), "one")
    page.wait_for_selector(DONE)
    page.fill("#chat-text", "two")
    page.keyboard.press("Enter")
    expect(page.locator(DONE)).to_have_count(2)
    messages = page.locator(".log .msg")
    expect(messages).to_have_count(4)
    for key, place in (("Up", 3), ("Up", 2), ("Up", 1), ("Down", 2), ("Down", 3), ("Down", 3)):
        page.keyboard.press(f"Alt+Arrow{key}")
        expect(messages.nth(place)).to_be_focused()
    bob.assert_calm()
