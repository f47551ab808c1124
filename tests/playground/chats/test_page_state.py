"""What the page itself keeps between one act and the next: drafts, settings, what was dismissed,
and how it comes back (W10)."""

import re
import secrets
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.playground.conftest import Stage, Watched, watch
from tests.playground.echo import HOLD
from tests.playground.runs.test_live import BLOCKS, DONE, ask, choose_model
from tests.support.hub import RATES

pytestmark = pytest.mark.browser


def drafts(page: Page) -> list[str]:
    result: list[str] = page.evaluate(
        "Object.keys(localStorage).filter((key) => key.startsWith('draft:'))"
    )
    return result


def send(page: Page, text: str) -> None:
    page.fill("#chat-text", text)
    page.keyboard.press("Enter")


def kept(page: Page, text: str) -> None:
    page.wait_for_function("text => Object.values(localStorage).includes(text)", arg=text)


@pytest.mark.slow
def test_a_draft_is_of_one_organisation_until_it_is_sent(stage: Stage, alice: Watched) -> None:
    model, page = stage.echo_model(), alice.page
    page.goto(f"{stage.playground}?m={model}")
    page.locator("#chat-text").press_sequentially("of Acme alone")
    kept(page, "of Acme alone")
    page.goto(f"{stage.hub.url}/o/poor/playground")
    expect(page.locator("#chat-text")).to_have_value("")
    page.goto(f"{stage.playground}?m={model}")
    expect(page.locator("#chat-text")).to_have_value("of Acme alone")
    page.locator("#chat-text").press("Enter")
    page.wait_for_selector(DONE)
    assert drafts(page) == []
    page.goto(stage.playground)
    expect(page.locator("#chat-text")).to_have_value("")


def test_a_draft_is_of_one_person_until_they_sign_out(stage: Stage, alice: Watched) -> None:
    """Who uses the same browser next reads nothing of it, even if the session just ended."""
    model, page = stage.echo_model(), alice.page

    def become(who: str) -> None:
        (cookie,) = stage.cookies(who)
        page.context.add_cookies(
            [{"name": cookie["name"], "value": cookie["value"], "url": cookie["url"]}]
        )

    page.goto(f"{stage.playground}?m={model}")
    page.locator("#chat-text").press_sequentially("for nobody else")
    kept(page, "for nobody else")
    become("bob")
    page.goto(f"{stage.playground}?m={model}")
    expect(page.locator("#chat-text")).to_have_value("")
    become("alice")
    page.goto(f"{stage.playground}?m={model}")
    expect(page.locator("#chat-text")).to_have_value("for nobody else")
    # Answered here, so that the session of the other tests goes on.
    page.route("**/logout", lambda route: route.fulfill(status=204))
    page.evaluate("document.querySelector('#sign-out').requestSubmit()")
    page.wait_for_function("!Object.keys(localStorage).some((key) => key.startsWith('draft:'))")


def test_sent_draft_and_deleted_chat_are_gone_after_a_reload(stage: Stage, alice: Watched) -> None:
    """Who sends a draft finds an empty composer again, and who deletes the open chat leaves it."""
    model, page = stage.echo_model(), alice.page
    page.goto(f"{stage.playground}?m={model}")
    page.locator("#chat-text").press_sequentially("once")
    kept(page, "once")
    page.locator("#chat-text").press("Enter")
    page.wait_for_selector(DONE)
    chat = page.url
    assert drafts(page) == []
    page.reload()
    expect(page.locator("#chat-text")).to_have_value("")
    page.get_by_role("link", name="Actions for once").click()
    page.locator("#dialog form[action$='/delete'] button").click()
    page.wait_for_url(re.compile(r"/playground(\?.*)?$"))
    assert page.url != chat
    page.reload()
    assert page.locator(f".chat-link[href='{urlsplit(chat).path}']").count() == 0
    alice.assert_calm()


@pytest.mark.slow
def test_comparison_starts_with_the_chosen_model(stage: Stage, bob: Watched) -> None:
    page, hub = bob.page, stage.hub
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


@pytest.mark.slow
def test_examples_use_the_available_tools(stage: Stage, bob: Watched) -> None:
    page = bob.page
    page.goto(f"{stage.playground}?m={stage.fake_model()}&panel=tools")
    pane = page.locator(".pane[data-pane=tools]")
    pane.get_by_role("button", name="Weather").click()
    expect(page.locator("#tools-check")).to_contain_text("1 tool, valid")
    pane.get_by_role("button", name="Search").click()
    expect(page.locator("#tools-check")).to_contain_text("2 tools, valid")
    bob.assert_calm()


@pytest.mark.parametrize("fault", ["no connection", pytest.param("503", marks=pytest.mark.slow)])
def test_failed_first_stream_request_is_repeated(stage: Stage, bob: Watched, fault: str) -> None:
    page = bob.page

    def fail(route: Route) -> None:
        if fault == "503":
            route.fulfill(status=503, content_type="text/plain", body="starting")
        else:
            route.abort("connectionfailed")

    page.route(re.compile("/events"), fail)
    ask(page, stage, stage.echo_model(40, 0), f"a question{HOLD} of two")
    expect(page.locator("#link-state")).to_contain_text("Connection lost")
    page.unroute_all()
    expect(page.locator(BLOCKS)).to_have_text("a question")
    stage.echo.release()
    page.wait_for_selector(DONE)
    expect(page.locator(BLOCKS)).to_have_text("a question of two")
    expect(page.locator("#link-state")).not_to_contain_text("Connection lost")


@pytest.mark.slow
def test_revisited_tab_refreshes_and_an_idle_one_shows_what_it_follows(
    chromium: Browser, stage: Stage, bob: Watched
) -> None:
    """For turns from another browser, of which no tab can tell it."""
    first = bob.page
    ask(first, stage, stage.echo_model(), "one question")
    first.wait_for_selector(DONE)
    elsewhere = watch(chromium, stage)
    other = elsewhere.page
    other.goto(first.url)
    send(other, "two questions")
    expect(other.locator(DONE)).to_have_count(2)
    assert first.locator(DONE).count() == 1
    first.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(first.locator(DONE)).to_have_count(2)
    send(first, "three questions")
    expect(first.locator(DONE)).to_have_count(3)
    assert other.locator(DONE).count() == 2
    send(other, "four questions")
    expect(other.locator(DONE)).to_have_count(4)
    expect(other.locator(".msg[data-role=user] .prose")).to_have_text(
        ["one question", "two questions", "three questions", "four questions"]
    )
    expect(other.locator("#chat-text")).to_have_value("")
    elsewhere.assert_calm()
    elsewhere.context.close()
    bob.assert_calm()


@pytest.mark.slow
def test_screen_reader_choice_is_remembered(stage: Stage, bob: Watched) -> None:
    page = bob.page
    for choice in ("Each sentence", "Nothing"):
        page.goto(f"{stage.playground}/settings")
        page.get_by_label("While an answer is written").select_option(choice)
        page.reload()
        chosen = page.locator("#set-speech option:checked")
        expect(chosen).to_contain_text(choice)


@pytest.mark.slow
def test_arrow_keys_move_between_messages(stage: Stage, bob: Watched) -> None:
    """Alt and an arrow: from the last one up, and down again."""
    page = bob.page
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
