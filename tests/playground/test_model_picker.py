"""The list that a model is picked from, among hundreds (W10)."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.visitor import findings_in_both_themes, too_wide
from tests.playground.conftest import Stage, Watched, watch

pytestmark = pytest.mark.browser

COUNT = 500
RATES = {"in_text": 250_000_000, "out_text": 2_000_000_000}
# How long a press of a key takes until the rows that match are laid out, in ms, ten times.
_TYPING = """async () => {
  const field = document.querySelector('#model-q'), took = [];
  const texts = ['b', 'bi', 'big', 'big-4', 'big-42', 'big-4', 'tools', '4 big', '', 'g-499'];
  for (const text of texts) {
    const began = performance.now();
    field.value = text;
    field.dispatchEvent(new Event('input', {bubbles: true}));
    document.querySelector('#models-found').getBoundingClientRect();
    await new Promise(requestAnimationFrame);
    took.push(performance.now() - began);
  }
  return took;
}"""


@pytest.fixture(scope="module")
def many(stage: Stage) -> Iterator[str]:
    """Five hundred models beside those that other tests made; one of them."""
    hub = stage.hub
    with hub.forgetful():
        channel = hub.channel("big-000", stage.echo.url, stage.echo.key, upstream_model="echo-7-0")
        hub.connection.execute(
            "INSERT INTO gateway_route (channel_id, model, upstream_model) "
            "SELECT %s, 'big-' || to_char(n, 'FM000'), 'echo-7-0' FROM generate_series(1, %s) n",
            [channel, COUNT - 1],
        )
        hub.connection.execute(
            "WITH p AS (INSERT INTO billing_price (model, kind, channel, service_tier, hours) "
            "SELECT 'big-' || to_char(n, 'FM000'), 'charge', '', '', '' "
            "FROM generate_series(0, %s) n RETURNING id) "
            "INSERT INTO billing_priceversion (price_id, valid_from, rates, source) "
            "SELECT id, now() - interval '1 day', %s, 'test' FROM p",
            [COUNT - 1, json.dumps({"meters": RATES})],
        )
        hub.know("big-499")
        yield "big-499"


@pytest.fixture
def bob(chromium: Browser, stage: Stage) -> Iterator[Watched]:
    watched = watch(chromium, stage, viewport={"width": 1280, "height": 900})
    yield watched
    watched.context.close()


def open_picker(page: Page) -> None:
    page.locator("[data-pick-for=chat-model]").click()
    expect(page.locator("#models-found [data-name='big-007']")).to_be_attached()


def names(page: Page) -> list[str]:
    shown: list[str] = page.locator("#models-found [role=option]:not([hidden])").evaluate_all(
        "all => all.map(one => one.dataset.name)"
    )
    return shown


# Before there are hundreds: one row is as the other, and axe looks at each.
@pytest.mark.parametrize("path", ["?m={0}", "/compare?m={0}&m={1}", "/settings"])
def test_the_list_is_accessible_and_fits_a_telephone(
    chromium: Browser, stage: Stage, path: str
) -> None:
    models = [stage.echo_model(), stage.fake_model()]
    for width in (1280, 360):
        watched = watch(
            chromium, stage, viewport={"width": width, "height": 800}, reduced_motion="reduce"
        )
        page = watched.context.new_page()
        page.goto(stage.playground + path.format(*models))
        page.locator("[data-pick-for]").first.click()
        expect(page.locator(f"#models-found [data-name='{models[1]}']").first).to_be_attached()
        assert too_wide(page) == ""
        assert findings_in_both_themes(page) == []
        watched.context.close()


def test_five_hundred_models_are_searched_as_one_types(
    stage: Stage, many: str, bob: Watched
) -> None:
    page = bob.context.new_page()
    page.goto(f"{stage.playground}?m=big-007")
    open_picker(page)
    page.evaluate(_TYPING)
    assert names(page) == ["big-499"]
    expect(page.locator("#menu-models [role=status]")).to_have_text("1 model")
    page.fill("#model-q", "49 BIG")
    assert len(names(page)) == 15  # 49, 149, 249, 349, 449, and 490 to 499
    page.fill("#model-q", "no such model")
    expect(page.locator(".models-none")).to_be_visible()
    page.fill("#model-q", "big-499")
    row = page.locator("[role=option]:not([hidden])")
    expect(row).to_contain_text("$0.25 / 1M in · $2.00 / 1M out")
    bob.assert_calm()


def test_a_model_is_picked_by_keys_alone_and_the_focus_comes_back(
    stage: Stage, many: str, bob: Watched
) -> None:
    page = bob.context.new_page()
    page.goto(f"{stage.playground}?m=big-007")
    page.locator("#chat-text").press("Alt+m")
    field = page.get_by_role("combobox", name="Search models")
    expect(field).to_be_focused()
    expect(page.locator("[aria-selected=true]")).to_have_attribute("data-name", "big-007")
    page.keyboard.press("ArrowDown")
    expect(page.locator("[aria-selected=true]")).to_have_attribute("data-name", "big-008")
    page.keyboard.type("big-12")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator("#chat-model")).to_have_value("big-120")
    expect(page.locator("[data-pick-for=chat-model]")).to_have_accessible_name("Model big-120")
    expect(page.locator("#chat-text")).to_be_focused()
    page.locator("[data-pick-for=chat-model]").focus()
    page.keyboard.press("ArrowDown")
    expect(field).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("[data-pick-for=chat-model]")).to_be_focused()
    bob.assert_calm()


def test_favourites_and_what_was_used_last_stand_first(
    stage: Stage, many: str, bob: Watched
) -> None:
    page = bob.context.new_page()
    page.goto(f"{stage.playground}?m=big-007")
    page.fill("#chat-text", "hello")
    page.keyboard.press("Enter")
    page.wait_for_selector(".msg[data-role=assistant][data-state=done]")
    page.goto(stage.playground)
    expect(page.locator("#chat-model")).to_have_value("big-007")
    open_picker(page)
    assert names(page)[0] == "big-007"
    page.fill("#model-q", "big-300")
    page.get_by_role("button", name="Favourite").click()
    expect(page.get_by_role("button", name="Favourite")).to_have_attribute("aria-pressed", "true")
    page.fill("#model-q", "")
    assert names(page)[:2] == ["big-300", "big-007"]
    page.fill("#model-q", "big-301")
    page.get_by_role("button", name="Default for new chats").click()
    expect(page.locator("[data-default]")).to_have_attribute("data-name", "big-301")
    page.goto(stage.playground)
    expect(page.locator("#chat-model")).to_have_value("big-301")
    open_picker(page)
    star = page.locator("[data-name='big-300'] [data-star]")
    star.click()
    expect(page.locator("[data-favourite]")).to_have_count(0)
    page.locator("[data-name='big-301']").scroll_into_view_if_needed()
    page.fill("#model-q", "big-301")
    page.get_by_role("button", name="Default for new chats").click()
    expect(page.locator("[data-default]")).to_have_count(0)
    bob.assert_calm()


def test_an_answer_is_written_again_by_another_model(stage: Stage, many: str, bob: Watched) -> None:
    page = bob.context.new_page()
    page.goto(f"{stage.playground}?m=big-007")
    page.fill("#chat-text", "hello")
    page.keyboard.press("Enter")
    page.wait_for_selector(".msg[data-role=assistant][data-state=done]")
    page.get_by_role("button", name="Regenerate").click()
    page.get_by_role("button", name="With another model…").click()
    page.locator("[role=option][data-name='big-123']").click()
    expect(page.locator(".msg[data-role=assistant] h2").last).to_contain_text("big-123")
    bob.assert_calm()


def test_without_script_it_is_a_select(chromium: Browser, stage: Stage, many: str) -> None:
    watched = watch(chromium, stage, java_script_enabled=False)
    page: Any = watched.context.new_page()
    page.goto(f"{stage.playground}?m=big-007")
    expect(page.locator("[data-pick-for]").first).to_be_hidden()
    page.get_by_label("Model", exact=True).select_option("big-021")
    page.fill("#chat-text", "hello")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".msg[data-role=assistant] h2").first).to_contain_text("big-021")
    watched.context.close()
