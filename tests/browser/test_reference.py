"""The reference and the quick start in a real browser, by keyboard. Its pages are looked at with
all others, in test_pages.py."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.installation import MODEL, Installation
from tests.browser.visitor import Visitor, findings


# Of the reference to the model API and to the management API, those that say most first.
@pytest.mark.parametrize(
    "path",
    [
        "/docs/chat-completions",
        "/api/v1/docs/price-book",
        "/docs",
        "/docs/errors",
        "/api/v1/docs",
        "/api/v1/docs/operators",
        "/api/v1/docs/operator-billing",
        "/api/v1/docs/reconciliation",
        "/api/v1/docs/subscription-plans",
    ],
)
def test_first_visit_of_a_reference_page_is_light(visit: Visit, path: str) -> None:
    """What comes over the wire to who has been nowhere before: page, style, script, font, icons."""
    stranger = visit(viewport={"width": 1280, "height": 900})
    stranger.page.goto(path, wait_until="networkidle")
    sent = stranger.page.evaluate(
        """async () => {
          await document.fonts.ready;
          return ["navigation", "resource"]
            .flatMap((type) => performance.getEntriesByType(type))
            .reduce((sum, { transferSize }) => sum + transferSize, 0);
        }"""
    )
    assert 30_000 < sent < 100_000, sent


def test_copied_code_is_reached_from_the_docs_by_keyboard(visit: Visit, site: Installation) -> None:
    stranger = visit(viewport={"width": 1280, "height": 900})
    stranger.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = stranger.page
    page.goto("/docs")
    page.get_by_role("navigation", name="Reference").get_by_role("link", name="Messages").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Messages")
    languages = page.get_by_role("navigation", name="Language of the example")
    languages.get_by_role("link", name="Python").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#code")).to_contain_text("Anthropic(")
    page.locator("#example").get_by_role("button", name="Copy").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#example .copy")).to_have_attribute("data-done", "")
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert f'base_url="{site.url}"' in copied
    assert "sk-" not in copied


@pytest.mark.slow
def test_answers_request_is_shown_as_code(owner: Visitor, site: Installation) -> None:
    """W20: each form and language by keyboard, with the key left out."""
    page = owner.page
    page.goto(f"{site.organisation}/playground?m={MODEL}")
    page.get_by_label("Message", exact=True).fill("#tokens=3 code of this")
    page.keyboard.press("Enter")
    more = page.locator("[data-role=assistant] [popovertarget^=more-]").last
    more.focus()
    page.keyboard.press("Enter")
    page.locator(".menu:popover-open").get_by_role("link", name="Code").focus()
    page.keyboard.press("Enter")
    code = page.locator("#run-code")
    expect(code).to_contain_text("/v1/chat/completions")
    expect(code).to_contain_text("code of this")
    pane = page.locator("#code-pane")
    pane.get_by_role("link", name="Messages").focus()
    page.keyboard.press("Enter")
    expect(code).to_contain_text("/v1/messages")
    pane.get_by_role("link", name="Python").focus()
    page.keyboard.press("Enter")
    expect(code).to_contain_text("Anthropic(")
    expect(code).not_to_contain_text("sk-")
    assert findings(page) == []
