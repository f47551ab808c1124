"""The models console by keyboard: what is stated of a model, and a list that is compared (W72)."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.browser.installation import MODEL, Installation
from tests.browser.visitor import Visitor, findings_in_both_themes, too_wide

pytestmark = pytest.mark.browser


def test_a_model_is_deprecated_by_keyboard(site: Installation, owner: Visitor) -> None:
    page = owner.page
    page.goto("/admin/models")
    page.get_by_role("link", name=MODEL, exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(MODEL)
    page.get_by_label("Context").focus()
    page.keyboard.type("9000")
    page.get_by_label("Deprecated from").fill("2026-01-02T03:04")
    page.get_by_label("Replacement").focus()
    page.keyboard.type("another-model")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(page.get_by_role("definition").filter(has_text="Deprecated")).to_be_visible()
    assert findings_in_both_themes(page) == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert too_wide(page) == ""
    # The answers of the relay say so within a second.
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello #tokens=1"}]}
    client = site.client()

    def is_deprecated() -> bool:
        answer = client.chat.completions.with_raw_response.create(**body)  # type: ignore[call-overload]
        return str(answer.headers.get("deprecation")) == "@1767323040"

    site.hub.wait(is_deprecated, "the relay does not hear of it")
    page.get_by_label("Deprecated from").fill("")
    page.get_by_label("Replacement").fill("")
    page.get_by_label("Context").fill("")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_text("Saved.")).to_be_visible()


def test_a_list_is_compared_by_keyboard(site: Installation, owner: Visitor) -> None:
    page = owner.page
    page.goto("/admin/models")
    page.get_by_role("link", name="Catalogue update").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Compare with a list").focus()
    page.keyboard.press("Enter")
    text = json.dumps({MODEL: {"mode": "chat", "max_input_tokens": 7777, "supports_flying": True}})
    page.get_by_label("File").set_input_files(
        {"name": "list.json", "mimeType": "application/json", "buffer": text.encode()}
    )
    page.get_by_role("button", name="Compare").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text(re.compile("1 change is proposed"))).to_be_visible()
    row = page.get_by_role("row").filter(has_text="7,777")
    expect(row).to_contain_text("Context")
    expect(page.get_by_text("1 unknown field")).to_be_visible()
    assert findings_in_both_themes(page) == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert too_wide(page) == ""
    page.set_viewport_size({"width": 1280, "height": 800})
    row.get_by_role("checkbox").focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_text("1 proposal dismissed.")).to_be_visible()
    expect(page.get_by_text("No open proposals")).to_be_visible()
