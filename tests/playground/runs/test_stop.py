"""Stop: from the keypress on, an answer shows no more, whatever is still on its way."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.playground.conftest import Stage, Watched
from tests.playground.runs.test_live import BLOCKS, ask

pytestmark = pytest.mark.browser

# What an answer shows in the frame after the keypress, and whether it shows anything else later.
_WATCH = """() => {
  const blocks = document.querySelector(".msg[data-role=assistant] [data-part=blocks]");
  const text = () => document.getElementById(blocks.id).textContent;
  addEventListener("keydown", ({ key }) => {
    if (key !== "Escape") return;
    requestAnimationFrame(() => requestAnimationFrame(() => {
      window.shown = text();
      window.later = [];
      const look = () => { if (text() !== window.shown) window.later.push(text()); };
      const all = { childList: true, subtree: true, characterData: true };
      new MutationObserver(look).observe(document.body, all);
    }));
  });
}"""
QUICK = "hi #tokens=2000 #delay_ms=4 #usage=cumulative #lang=mixed"
LONG = "() => document.querySelector('.msg [data-part=blocks]').textContent.length > 300"


def stop(page: Page) -> None:
    page.wait_for_function(f"{LONG.replace('.msg ', '.msg[data-role=assistant] ')}")
    page.evaluate(_WATCH)
    page.keyboard.press("Escape")


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def test_text_freezes_when_escape_is_pressed(stage: Stage, bob: Watched) -> None:
    """The answer is what was shown, here and after a reload, and goes on to nobody."""
    page = bob.page
    ask(page, stage, stage.fake_model(), QUICK)
    stop(page)
    page.wait_for_selector(".msg[data-state=stopped]")
    shown, later = page.evaluate("() => [window.shown, window.later]")
    assert {plain(text) for text in later} <= {plain(shown)}
    assert plain(page.locator(BLOCKS).text_content() or "") == plain(shown)
    expect(page.locator(".msg footer").last).to_contain_text("Stopped by you")
    (row,) = stage.rows(
        "SELECT m.content, u.charge_nano, (u.meters->>'out_text')::int AS tokens, r.request_id "
        "FROM playground_run r JOIN playground_message m ON m.id = r.assistant_message_id "
        "JOIN usage_usagerecord u ON u.request_id = r.request_id AND u.final "
        "ORDER BY r.id DESC LIMIT 1"
    )
    assert plain(row["content"]) == plain(shown)
    assert row["tokens"] < 2000
    page.reload()
    assert plain(page.locator(BLOCKS).text_content() or "") == plain(shown)
    bob.assert_calm()


def test_ended_answer_keeps_its_rest(stage: Stage, bob: Watched) -> None:
    """What was written and charged before Stop arrived is shown on demand only."""
    page = bob.page
    held: list[Route] = []
    page.route(re.compile("/stop$"), lambda route: held.append(route))
    ask(page, stage, stage.fake_model(), QUICK)
    stop(page)
    page.wait_for_selector(".msg[data-state=done]", timeout=60_000)
    shown = page.evaluate("() => window.shown")
    assert plain(page.locator(BLOCKS).text_content() or "") == plain(shown)
    rest = page.locator("[data-rest]")
    expect(rest).to_contain_text("the whole answer was charged")
    held.pop().continue_()
    page.unroute_all(behavior="ignoreErrors")
    rest.get_by_role("link").click()
    expect(page.locator("[data-rest]")).to_have_count(0)
    assert len(page.locator(BLOCKS).text_content() or "") > 2 * len(shown)
    bob.assert_calm()
