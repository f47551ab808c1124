"""Code and Debug in a real browser: the request of the composer, as it is typed (W10)."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.visitor import findings_in_both_themes, too_wide
from tests.playground.conftest import Stage, Watched, watch
from tests.playground.test_live import DONE

pytestmark = pytest.mark.browser


@pytest.fixture
def alice(chromium: Browser, stage: Stage) -> Iterator[Watched]:
    size = {"width": 1280, "height": 900}
    watched = watch(chromium, stage, "alice", viewport=size)
    yield watched
    watched.context.close()


@pytest.mark.parametrize("pane", ["code", "debug"])
def test_the_request_of_a_draft_is_shown_as_it_is_typed(
    stage: Stage, alice: Watched, pane: str
) -> None:
    page = alice.context.new_page()
    page.goto(f"{stage.playground}?m={stage.echo_model()}")
    page.fill("#chat-text", "first words")
    if pane == "code":
        page.locator("#chat-text").press("Alt+c")
    else:
        page.locator("[data-panel-toggle]").click()
        page.locator("[data-pane-tab=debug]").press("Enter")
    shown = page.locator(f".pane[data-pane={pane}]")
    expect(shown).to_contain_text("Nothing has been sent.")
    expect(shown).to_contain_text("first words")
    if pane == "code":
        shown.get_by_role("link", name="Python").click()
        expect(shown).to_contain_text("import")
    page.fill("#chat-text", "other words")
    expect(shown).to_contain_text("other words")
    expect(shown).not_to_contain_text("first words")
    if pane == "code":
        expect(shown).to_contain_text("import")  # the language stays
    assert findings_in_both_themes(page) == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert too_wide(page) == ""
    page.set_viewport_size({"width": 1280, "height": 900})
    page.locator("#chat-text").press("Enter")
    page.wait_for_selector(DONE)
    page.locator("[popovertarget^=more-]").last.click()
    page.locator(f".menu:popover-open [data-panel-open={pane}]").click()
    expect(shown).not_to_contain_text("Nothing has been sent.")
    expect(shown).to_contain_text("other words")
    page.fill("#chat-text", "third words")
    expect(page.locator("#bound")).to_contain_text("held")
    expect(shown).not_to_contain_text("third words")  # that of the answer stays
    alice.assert_calm()
