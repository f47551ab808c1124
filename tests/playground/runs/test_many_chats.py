"""Many chats that are answered in one browser, which opens six connections to a host at once."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.playground.conftest import Stage, Watched
from tests.playground.runs.test_live import BLOCKS, DONE, ask
from tests.playground.runs.test_stop import plain

pytestmark = pytest.mark.browser

# With a stream each they would have all connections.
CHATS = 6
STREAMS = 3
_OPEN = "() => !!document.querySelector('[hx-sse\\\\:connect]')?._htmx?.sse?.reader"
_LENGTH = (
    "document.querySelector('.msg[data-role=assistant] [data-part=blocks]').textContent.length"
)
_BRIEF = "() => window.streams.brief"
# When the key was pressed, when the answer stood still, in milliseconds since 1970.
_PRESS = """() => addEventListener("keydown", ({ key, timeStamp }) => {
  if (key === "Escape") window.pressed = performance.timeOrigin + timeStamp;
}, { once: true, capture: true })"""
FOREVER = "hi #tokens=4000 #delay_ms=300 #usage=cumulative"


def begin(stage: Stage, bob: Watched) -> list[Page]:
    pages = []
    for _ in range(CHATS):
        page = bob.context.new_page()
        page.set_default_timeout(30_000)
        ask(page, stage, stage.fake_model(), FOREVER)
        expect(page.locator(BLOCKS)).to_have_text(re.compile(r"\S+"))
        pages.append(page)
    return pages


# A busy machine proves that it stops; how soon is measured where nothing else runs.
@pytest.mark.parametrize(
    "within_s", [pytest.param(30, id="stops"), pytest.param(1, id="in 1 s", marks=pytest.mark.slow)]
)
def test_a_chat_without_a_stream_misses_nothing_and_stops(
    stage: Stage, bob: Watched, within_s: int
) -> None:
    """It looks again and again, and has a stream again once it is used or others have ended. Stop
    waits for no stream of other chats."""
    pages = begin(stage, bob)
    first, stopping, last, *others = pages
    for page in (first, stopping, last):
        page.wait_for_function(_BRIEF)
    assert sum(not page.evaluate(_BRIEF) for page in pages) == STREAMS
    before = first.evaluate(f"() => {_LENGTH}")
    first.wait_for_function(f"() => {_LENGTH} > {before}")
    assert first.evaluate(_BRIEF)
    first.mouse.click(600, 300)
    first.wait_for_function(_OPEN)
    assert not first.evaluate(_BRIEF)
    others[0].wait_for_function(_BRIEF)
    assert stopping.evaluate(_BRIEF)
    stop(stage, stopping, within_s)
    assert last.evaluate(_BRIEF)
    for page in others:
        page.close()
    last.wait_for_function(_OPEN)
    for page in (first, last):
        page.keyboard.press("Escape")
        page.wait_for_selector(DONE)
        ids = page.evaluate(
            "() => [...document.querySelectorAll('[data-b]')].map((one) => one.dataset.b)"
        )
        assert len(ids) == len(set(ids))


def stop(stage: Stage, page: Page, within_s: int) -> None:
    """Press Escape: the answer stands still at once, and the server has heard of it soon."""
    page.evaluate(_PRESS)
    page.keyboard.press("Escape")
    shown = page.locator(BLOCKS).text_content()
    page.wait_for_selector(".msg[data-state=stopped]")
    assert plain(page.locator(BLOCKS).text_content() or "") == plain(shown or "")
    pressed = page.evaluate("() => window.pressed")
    (row,) = stage.rows(
        "SELECT extract(epoch FROM stop_at) * 1000 AS at FROM playground_run "
        "WHERE stop_at IS NOT NULL ORDER BY stop_at DESC LIMIT 1"
    )
    assert float(row["at"]) - pressed < within_s * 1000
