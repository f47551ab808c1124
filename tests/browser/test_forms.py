"""Forms say what they change, and ask before it is lost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Dialog, FilePayload, Page, expect

from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser


@contextmanager
def answered(page: Page, answer: Callable[[Dialog], None]) -> Iterator[None]:
    """The browser's questions are answered so."""
    page.on("dialog", answer)
    try:
        yield
    finally:
        page.remove_listener("dialog", answer)


def test_long_form_names_its_changes_and_warns_before_leaving(owner: Visitor) -> None:
    page, questions = owner.page, []

    def leave(question: Dialog) -> None:
        questions.append(question.type)
        question.accept()

    with answered(page, leave):
        page.goto("/admin/models/rules/new")
        named = page.locator("[data-changed]")
        model = page.get_by_label("Model", exact=True)
        model.press_sequentially("x-1")
        expect(named).to_have_text("1 change: Model")
        page.get_by_label("The provider blocks the content").uncheck()
        expect(named).to_have_text("2 changes: Model, Use them when")
        model.fill("")
        expect(named).to_have_text("1 change: Use them when")
        part = page.get_by_role("navigation", name="On this page").get_by_text("Shadow traffic")
        part.click()
        expect(part).to_have_attribute("aria-current", "location")
        expect(page.get_by_role("button", name="Create rule")).to_be_in_viewport()
        page.goto("/admin/models/rules")
        assert questions == ["beforeunload"]
        page.goto("/admin/models/rules/new")
        page.goto("/admin/models/rules")
        assert questions == ["beforeunload"]


def test_filled_dialog_stays_until_discarded(owner: Visitor) -> None:
    page, answers = owner.page, [False, True]

    def answer(question: Dialog) -> None:
        assert question.message == "Discard your changes?"
        if answers.pop(0):
            question.accept()
        else:
            question.dismiss()

    with answered(page, answer):
        page.goto("/admin/models/rules")
        opener = page.get_by_role("link", name="New alias")
        opener.click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name="Close").click()
        expect(dialog).to_be_hidden()
        opener.click()
        dialog.get_by_label("Alias", exact=True).press_sequentially("half")
        page.keyboard.press("Escape")
        expect(dialog.get_by_label("Alias", exact=True)).to_have_value("half")
        dialog.get_by_role("button", name="Close").click()
        expect(dialog).to_be_hidden()
        assert answers == []


def test_a_key_is_disabled_from_its_row_and_enabled_by_undo(owner: Visitor) -> None:
    page = owner.page
    page.goto("/o/acme/keys")
    row = page.locator("tbody tr").first
    row.get_by_role("button", name="Actions for").click()
    page.locator(".menu:popover-open").get_by_role("button", name="Disable").click()
    expect(row).to_contain_text("Disabled")
    page.get_by_role("button", name="Undo").click()
    expect(row).to_contain_text("Active")


@pytest.mark.parametrize(
    ("language", "empty", "shown"),
    [
        ("en", "Choose a date", "9 Sep 2026, 13:01"),
        ("zh-hans", "选择日期", "2026年9月9日 13:01"),
    ],
)
def test_a_date_is_shown_in_the_language_of_the_page(
    owner: Visitor, language: str, empty: str, shown: str
) -> None:
    page = owner.page
    page.context.add_cookies([{"name": "language", "value": language, "url": owner.url}])
    page.goto("/admin/announcements/new")
    field = page.locator("[name=starts_at]")
    face = page.locator(".date-face").filter(has=field)
    expect(face).to_have_attribute("data-shown", empty)
    field.fill("2026-09-09T13:01")
    expect(face).to_have_attribute("data-shown", shown)
    # While somebody types in it, the browser shows its parts.
    seen = "field => getComputedStyle(field).color"
    assert field.evaluate(seen) != "rgba(0, 0, 0, 0)"
    field.blur()
    assert field.evaluate(seen) == "rgba(0, 0, 0, 0)"
    field.fill("")
    expect(face).to_have_attribute("data-shown", empty)


def test_a_file_field_names_its_file(owner: Visitor) -> None:
    page = owner.page
    page.goto("/admin/reconcile/new")
    face = page.locator(".file-field")
    expect(face).to_contain_text("No file chosen")
    file: FilePayload = {"name": "november.csv", "mimeType": "text/csv", "buffer": b"day,amount\n"}
    with page.expect_file_chooser() as chooser:
        face.get_by_text("Choose file").click(force=True)
    chooser.value.set_files(file)
    expect(face).to_contain_text("november.csv")
