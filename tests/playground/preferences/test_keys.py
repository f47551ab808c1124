"""Shortcuts (W10): as they are shipped, as a person lays them, and the sheet that tells them."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.visitor import findings, too_wide
from tests.playground.conftest import Desks, Stage, Watched
from tests.playground.runs.test_live import DONE, ask

pytestmark = pytest.mark.browser


@pytest.fixture
def bob(desks: Desks, stage: Stage) -> Iterator[Watched]:
    with desks.lent("bob") as watched:
        yield watched
    stage.hub.connection.execute(
        "UPDATE playground_preference "
        "SET keys = DEFAULT, letter_keys = DEFAULT, enter_sends = DEFAULT"
    )


def test_keys_act_as_assigned_and_appear_in_the_sheet(stage: Stage, bob: Watched) -> None:
    page = bob.page
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
    for letter, path in (("r", "requests"), ("p", "playground")):
        page.keyboard.press("g")
        page.keyboard.press(letter)
        page.wait_for_url(f"**/{path}")
        page.locator("main").focus()
    page.goto(stage.playground)
    page.locator("[data-log]").focus()
    page.keyboard.press("?")
    page.get_by_role("link", name="Customise").click()
    page.select_option("#key-tools", "W")
    page.uncheck("[name=letter_keys]")
    page.select_option("#key-sends", "ctrl")
    with page.expect_navigation():
        page.locator("#preferences-form [type=submit]").click()
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


@pytest.mark.slow
def test_f2_renames_a_chat_in_its_place(stage: Stage, bob: Watched) -> None:
    """W10: Enter keeps, Esc leaves."""
    page = bob.page
    ask(page, stage, stage.echo_model(), "first words")
    page.wait_for_selector(DONE)
    field, row = (
        page.locator("[data-name] [name=title]"),
        page.locator(".chat-list .chat-row").first,
    )
    page.locator("#chat-text").press("F2")
    expect(field).to_be_focused()
    page.keyboard.type("Half a name")
    page.keyboard.press("Escape")
    expect(field).to_have_count(0)
    expect(row.locator(".chat-link")).to_be_focused()
    expect(row).to_contain_text("first words")
    page.keyboard.press("F2")
    expect(field).to_have_value("first words")
    page.keyboard.type("A name of mine")
    page.keyboard.press("Enter")
    expect(page.locator("#chat-title")).to_have_text("A name of mine")
    expect(row.locator(".chat-link")).to_be_focused()
    row.locator(".chat-more").click()
    page.get_by_role("button", name="Rename").click()
    expect(field).to_be_focused()
    page.goto(f"{stage.hub.url}/o/acme/playground/settings")
    page.select_option("#key-rename", "X")
    with page.expect_navigation():
        page.locator("#preferences-form [type=submit]").click()
    page.goto(stage.playground)
    page.keyboard.press("F2")
    row.locator(".chat-link").focus()
    page.keyboard.press("Alt+x")
    expect(field).to_be_focused()
    bob.assert_calm()


@pytest.mark.slow
def test_list_refresh_keeps_the_typed_name(stage: Stage, bob_apart: Watched) -> None:
    page = bob_apart.page
    ask(page, stage, stage.fake_model(), "hi #tokens=400 #hold=3")  # on its way for ever
    looked: list[str] = []
    page.on(
        "request", lambda request: looked.append(request.url) if "_f/chats" in request.url else None
    )
    page.clock.install()
    page.goto(stage.playground)
    page.locator(".chat-list .chat-link").first.focus()
    page.keyboard.press("F2")
    field = page.locator("[data-name] [name=title]")
    expect(field).to_be_focused()
    page.keyboard.type("Typed")
    page.clock.run_for(10_000)
    expect(field).to_have_value("Typed")
    assert looked == []
    page.keyboard.press("Escape")
    with page.expect_response("**/_f/chats?**"):
        page.clock.run_for(4_000)
    page.locator(".chat-list .chat-row form button").first.click()
    bob_apart.assert_calm()


@pytest.mark.slow
def test_palette_goes_anywhere_by_keyboard(stage: Stage, bob: Watched) -> None:
    page = bob.page
    ask(page, stage, stage.echo_model(), "Kestrels over the weir")
    page.wait_for_selector(DONE)
    chat, palette = page.url, page.locator("#palette")
    page.locator("#chat-text").press("Control+k")  # in a text field too
    expect(palette).to_be_visible()
    expect(page.locator("#palette-q")).to_be_focused()
    expect(palette.get_by_role("option").first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(palette).to_be_hidden()
    expect(page.locator("#chat-text")).to_be_focused()
    page.keyboard.press("Control+k")
    page.keyboard.type("budg")
    expect(palette.get_by_role("option").first).to_have_text("Budgets")
    assert findings(page) == []
    page.keyboard.press("Enter")
    page.wait_for_url("**/budgets")
    page.get_by_role("button", name="Search").click()
    page.keyboard.type("kestrels")
    expect(palette.get_by_role("option")).to_have_text(["Kestrels over the weir"])
    page.keyboard.press("Enter")
    page.wait_for_url(chat)
    page.keyboard.press("Control+k")
    page.keyboard.type("dark")
    with page.expect_response("**/appearance"):
        page.keyboard.press("Enter")  # before the list has come
    expect(palette).to_be_hidden()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.keyboard.press("Control+k")
    page.locator("#palette-q").fill("")
    options = palette.get_by_role("option")
    expect(options.nth(0)).to_have_text("Kestrels over the weir")  # the last one chosen
    expect(options.nth(1)).to_contain_text("Budgets")
    expect(options.nth(3)).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(options.last).to_have_attribute("aria-selected", "true")
    last = options.last.get_attribute("id")
    assert page.locator("#palette-q").get_attribute("aria-activedescendant") == last
    page.keyboard.press("Control+k")
    expect(palette).to_be_hidden()
    page.set_viewport_size({"width": 360, "height": 740})
    page.get_by_role("button", name="Search", exact=True).click()
    expect(palette).to_be_in_viewport(ratio=1)
    assert too_wide(page) == ""
    bob.assert_calm()
