"""One sidebar with the menu and the chats (W10): it folds by mouse and keys, and nothing jumps."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.visitor import findings_in_both_themes, too_wide
from tests.playground.conftest import Stage, Watched, watch
from tests.playground.runs.test_live import DONE, ask

pytestmark = pytest.mark.browser

# By how much what had been painted moved while the page loaded.
_SHIFTS = """() => new Promise((done) => {
  let sum = 0;
  new PerformanceObserver((list) => { for (const one of list.getEntries()) sum += one.value; })
    .observe({ type: "layout-shift", buffered: true });
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(sum))));
})"""

# An entry is 1.75rem high. A name that is cut, or that only screen readers read, exceeds its box.
_ENTRY_PX = 28
_IS_WHOLE = "(one) => one.clientWidth > 1 && one.scrollWidth <= one.clientWidth"


def width_of(page: Page, selector: str) -> float:
    width: float = page.locator(selector).evaluate("(one) => one.getBoundingClientRect().width")
    return width


@pytest.mark.slow
def test_the_sidebar_folds_to_the_icons_of_the_menu_and_stays_so(
    stage: Stage, bob: Watched
) -> None:
    page = bob.page
    ask(page, stage, stage.echo_model(), "A chat in the list")
    page.wait_for_selector(DONE)
    chats, button = page.locator("#chat-list"), page.get_by_role("button", name="Sidebar")
    assert width_of(page, ".side") == 272
    assert width_of(page, ".chat-main") == 1280 - 272
    expect(page.get_by_role("link", name="API keys")).to_have_attribute("title", "API keys")
    expect(button).to_have_attribute("aria-expanded", "true")
    button.click()
    expect(chats).to_be_hidden()
    expect(button).to_be_focused()
    expect(button).to_have_attribute("aria-expanded", "false")
    assert width_of(page, ".side") == 56
    expect(page.get_by_role("link", name="API keys")).to_be_in_viewport()
    page.reload()
    expect(page.locator(".msg")).to_have_count(2)
    assert page.evaluate(_SHIFTS) < 0.001
    expect(chats).to_be_hidden()
    assert width_of(page, ".side") == 56
    page.locator("[data-panel-toggle]").click()
    expect(page.locator("#panel")).to_be_visible()
    assert width_of(page, ".chat-main") + width_of(page, "#panel") == 1280 - 56
    page.goto(f"{stage.hub.url}/o/acme/keys")
    assert width_of(page, ".side") == 232  # without chats the menu folds on its own
    bob.assert_calm()


@pytest.mark.parametrize(("language", "usage"), [("en", "Usage"), ("zh-hans", "用量")])
def test_the_menu_above_the_chats_shows_the_name_of_each_entry(
    stage: Stage, bob: Watched, language: str, usage: str
) -> None:
    page = bob.page
    bob.context.add_cookies([{"name": "language", "value": language, "url": stage.hub.url}])
    page.goto(stage.playground)
    expect(page.locator("#chat-list")).to_be_visible()
    entries = page.locator("#nav").get_by_role("link")
    expect(entries.get_by_text(usage, exact=True)).to_be_visible()
    for entry in entries.all():
        name = entry.locator("> span").first
        expect(name).to_have_text(re.compile(r"\S"))
        expect(name).to_be_in_viewport(ratio=1)
        assert name.evaluate(_IS_WHOLE), name.inner_text()
        assert entry.evaluate("(one) => one.clientHeight") >= _ENTRY_PX
        entry.click(trial=True)
    bob.assert_calm()


def test_keys_move_between_chats_search_and_menu(stage: Stage, bob: Watched) -> None:
    page = bob.page
    page.goto(stage.playground)
    page.locator("[data-log]").focus()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Search chats")).to_be_focused()
    page.locator("[data-log]").focus()
    page.keyboard.press("g")
    page.keyboard.press("k")
    page.wait_for_url("**/o/acme/keys")
    bob.assert_calm()


def test_the_sidebar_folds_by_keys(stage: Stage, bob: Watched) -> None:
    page = bob.page
    ask(page, stage, stage.echo_model(), "first words")
    page.wait_for_selector(DONE)
    chats, box = page.locator("#chat-list"), page.locator("#chat-text")
    box.press("Alt+l")
    expect(chats).to_be_hidden()
    expect(box).to_be_focused()
    box.press("[")  # in a text it is a sign
    expect(box).to_have_value("[")
    page.locator("[data-log]").focus()
    page.keyboard.press("[")
    assert width_of(page, ".side") == 272
    page.keyboard.press("[")
    assert width_of(page, ".side") == 56
    page.keyboard.press("F2")  # a name is changed in its place of the list
    expect(chats).to_be_visible()
    expect(page.locator("[data-name] [name=title]")).to_be_focused()
    page.keyboard.press("Escape")
    page.locator("[data-log]").focus()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_contain_text("Show or hide the sidebar")
    bob.assert_calm()


@pytest.mark.slow
def test_phone_has_no_folding(stage: Stage, chromium: Browser) -> None:
    """What was folded away on a wide window is no matter where the lists are drawers."""
    size = {"width": 360, "height": 740}
    watched = watch(chromium, stage, "bob", viewport=size)
    watched.context.add_cookies([{"name": "language", "value": "zh-hans", "url": stage.hub.url}])
    page = watched.context.new_page()
    page.goto(stage.playground)
    page.evaluate("localStorage.setItem('folded', 'side chats')")
    page.reload()
    expect(page.locator(".tabbar")).to_be_visible()
    expect(page.locator("[data-fold]:visible")).to_have_count(0)
    assert too_wide(page) == ""
    page.locator("#chat-text").press("Alt+l")
    expect(page.locator("#chats")).to_be_visible()
    assert findings_in_both_themes(page) == []
    watched.assert_calm()
    watched.context.close()


def test_list_keeps_its_search_while_a_chat_is_sent_and_changed(stage: Stage, bob: Watched) -> None:
    page = bob.page
    side = page.locator("#chat-list .chat-nav")
    row = side.locator(".chat-row", has_text="A chat about rivers")
    in_drawer = page.locator("#chats .chat-row", has_text="A chat about rivers")

    def press(name: str) -> None:
        row.hover()
        row.get_by_role("link", name="Actions").click()
        page.get_by_role("button", name=name).click()

    ask(page, stage, stage.echo_model(), "A chat about rivers")
    page.wait_for_selector(DONE)
    expect(row).to_have_count(1)
    page.fill("#chat-q", "mountains")
    expect(side).to_contain_text("No chat contains “mountains”.")
    page.fill("#chat-text", "and another question")
    page.keyboard.press("Enter")
    expect(page.locator(DONE)).to_have_count(2)
    expect(in_drawer).to_have_count(1)
    expect(side).to_contain_text("No chat contains “mountains”.")
    page.fill("#chat-q", "")
    expect(row).to_have_count(1)
    press("Archive")
    expect(row).to_have_count(0)
    page.check("#chat-list [name=archived]")
    expect(row).to_have_count(1)
    press("Unarchive")
    expect(row).to_have_count(0)
    expect(page.locator("#chat-list [name=archived]")).to_be_checked()
    expect(in_drawer).to_have_count(1)
    bob.assert_calm()
