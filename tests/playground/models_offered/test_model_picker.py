"""The list that a model is picked from, among hundreds (W10)."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.visitor import findings_in_both_themes, too_wide
from tests.playground.conftest import Stage, Watched, watch
from tests.playground.echo import EchoUpstream
from tests.support.hub import Hub

pytestmark = pytest.mark.browser

FEW, MANY = 30, 500
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


@contextmanager
def models(hub: Hub, numbers: range, at: EchoUpstream) -> Iterator[None]:
    """Models named by these numbers, beside those that are there; the hub knows them."""
    with hub.forgetful():
        first = f"big-{numbers[0]:03}"
        channel = hub.channel(first, at.url, at.key, upstream_model="echo-7-0")
        hub.connection.execute(
            "INSERT INTO gateway_route (channel_id, model, upstream_model) "
            "SELECT %s, 'big-' || to_char(n, 'FM000'), 'echo-7-0' "
            "FROM generate_series(%s::int, %s) n",
            [channel, numbers[1], numbers[-1]],
        )
        hub.connection.execute(
            "WITH p AS (INSERT INTO billing_price (model, kind, channel, service_tier, hours) "
            "SELECT 'big-' || to_char(n, 'FM000'), 'charge', '', '', '' "
            "FROM generate_series(%s::int, %s) n RETURNING id) "
            "INSERT INTO billing_priceversion (price_id, valid_from, rates, source) "
            "SELECT id, now() - interval '1 day', %s, 'test' FROM p",
            [numbers[0], numbers[-1], json.dumps({"meters": RATES})],
        )
        hub.know(f"big-{numbers[-1]:03}")
        yield


@pytest.fixture(scope="module")
def few(stage: Stage) -> Iterator[None]:
    with models(stage.hub, range(FEW), stage.echo):
        yield


@pytest.fixture
def many(stage: Stage, few: None) -> Iterator[None]:
    """For one test: the more there are, the longer each page takes."""
    with models(stage.hub, range(FEW, MANY), stage.echo):
        yield


def open_picker(page: Page) -> None:
    page.locator("[data-pick-for=chat-model]").click()
    expect(page.locator("#models-found [data-name='big-007']")).to_be_attached()


def names(page: Page) -> list[str]:
    page_text: list[str] = page.locator("#models-found [role=option]:not([hidden])").evaluate_all(
        "all => all.map(one => one.dataset.name)"
    )
    return page_text


# Before there are hundreds: one row is as the other, and axe looks at each.
@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("path", ["?m={0}", "/compare?m={0}&m={1}", "/settings"])
def test_list_is_accessible_and_fits_a_phone(
    chromium: Browser, stage: Stage, path: str, width: int
) -> None:
    models = [stage.echo_model(), stage.fake_model()]
    watched = watch(chromium, stage, viewport={"width": width, "height": 800})
    page = watched.context.new_page()
    page.goto(stage.playground + path.format(*models))
    page.locator("[data-pick-for]").first.click()
    expect(page.locator(f"#models-found [data-name='{models[1]}']").first).to_be_attached()
    assert too_wide(page) == ""
    assert findings_in_both_themes(page) == []
    watched.context.close()


@pytest.mark.slow
def test_five_hundred_models_are_searched_while_typing(
    stage: Stage, many: None, bob: Watched
) -> None:
    page = bob.page
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


def test_model_is_picked_by_keyboard_and_focus_returns(
    stage: Stage, few: None, bob: Watched
) -> None:
    page = bob.page
    page.goto(f"{stage.playground}?m=big-007")
    page.locator("#chat-text").press("Alt+m")
    field = page.get_by_role("combobox", name="Search models")
    expect(field).to_be_focused()
    expect(page.locator("[aria-selected=true]")).to_have_attribute("data-name", "big-007")
    page.keyboard.press("ArrowDown")
    expect(page.locator("[aria-selected=true]")).to_have_attribute("data-name", "big-008")
    page.keyboard.type("big-01")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator("#chat-model")).to_have_value("big-010")
    expect(page.locator("[data-pick-for=chat-model]")).to_have_accessible_name("Model big-010")
    expect(page.locator("#chat-text")).to_be_focused()
    page.locator("[data-pick-for=chat-model]").focus()
    page.keyboard.press("ArrowDown")
    expect(field).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("[data-pick-for=chat-model]")).to_be_focused()
    bob.assert_calm()


@pytest.mark.slow
def test_favourites_and_the_last_used_come_first(stage: Stage, few: None, bob: Watched) -> None:
    page = bob.page
    page.goto(f"{stage.playground}?m=big-007")
    page.fill("#chat-text", "hello")
    page.keyboard.press("Enter")
    page.wait_for_selector(".msg[data-role=assistant][data-state=done]")
    page.goto(stage.playground)
    expect(page.locator("#chat-model")).to_have_value("big-007")
    open_picker(page)
    assert names(page)[0] == "big-007"
    page.fill("#model-q", "big-020")
    page.get_by_role("button", name="Favourite").click()
    expect(page.get_by_role("button", name="Favourite")).to_have_attribute("aria-pressed", "true")
    page.fill("#model-q", "")
    assert names(page)[:2] == ["big-020", "big-007"]
    page.fill("#model-q", "big-021")
    page.get_by_role("button", name="Default for new chats").click()
    expect(page.locator("[data-default]")).to_have_attribute("data-name", "big-021")
    page.goto(stage.playground)
    expect(page.locator("#chat-model")).to_have_value("big-021")
    open_picker(page)
    star = page.locator("[data-name='big-020'] [data-star]")
    star.click()
    expect(page.locator("[data-favourite]")).to_have_count(0)
    page.locator("[data-name='big-021']").scroll_into_view_if_needed()
    page.fill("#model-q", "big-021")
    page.get_by_role("button", name="Default for new chats").click()
    expect(page.locator("[data-default]")).to_have_count(0)
    bob.assert_calm()


@pytest.mark.slow
def test_another_model_rewrites_an_answer(stage: Stage, few: None, bob: Watched) -> None:
    page = bob.page
    page.goto(f"{stage.playground}?m=big-007")
    page.fill("#chat-text", "hello")
    page.keyboard.press("Enter")
    page.wait_for_selector(".msg[data-role=assistant][data-state=done]")
    page.get_by_role("button", name="Regenerate").click()
    page.get_by_role("button", name="With another model…").click()
    page.locator("[role=option][data-name='big-023']").click()
    expect(page.locator(".msg[data-role=assistant] h2").last).to_contain_text("big-023")
    bob.assert_calm()
