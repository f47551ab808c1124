"""Code and Debug in a real browser: the request of the composer, as it is typed (W10)."""

import pytest
from playwright.sync_api import expect

from tests.playground.conftest import Stage, Watched
from tests.playground.runs.test_live import DONE

pytestmark = pytest.mark.browser


@pytest.mark.slow
@pytest.mark.parametrize("pane", ["code", pytest.param("debug", marks=pytest.mark.slow)])
def test_draft_request_is_shown_while_typing(stage: Stage, alice: Watched, pane: str) -> None:
    page = alice.page
    page.goto(f"{stage.playground}?m={stage.echo_model()}")
    page.fill("#chat-text", "first words")
    if pane == "code":
        page.locator("#chat-text").press("Alt+c")
    else:
        page.locator("[data-panel-toggle]").click()
        page.locator("[data-pane-tab=debug]").press("Enter")
    locator = page.locator(f".pane[data-pane={pane}]")
    expect(locator).to_contain_text("Nothing has been sent.")
    expect(locator).to_contain_text("first words")
    if pane == "code":
        locator.get_by_role("link", name="Python").click()
        expect(locator).to_contain_text("import")
    page.fill("#chat-text", "other words")
    expect(locator).to_contain_text("other words")
    expect(locator).not_to_contain_text("first words")
    if pane == "code":
        expect(locator).to_contain_text("import")  # the language stays
    page.locator("#chat-text").press("Enter")
    page.wait_for_selector(DONE)
    page.locator("[popovertarget^=more-]").last.click()
    page.locator(f".menu:popover-open [data-panel-open={pane}]").click()
    expect(locator).not_to_contain_text("Nothing has been sent.")
    expect(locator).to_contain_text("other words")
    page.fill("#chat-text", "third words")
    expect(page.locator("#bound")).to_contain_text("reserved")
    expect(locator).not_to_contain_text("third words")  # that of the answer stays
    alice.assert_calm()
