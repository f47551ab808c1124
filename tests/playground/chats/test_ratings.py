"""Thumbs under an answer, in a real browser: by keyboard, in both themes, on a phone, and kept with
the request."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.visitor import findings_in_both_themes, too_wide
from tests.playground.conftest import Desks, Stage, Watched
from tests.playground.runs.test_live import ask, wait_text

pytestmark = pytest.mark.browser


@pytest.fixture
def bob(desks: Desks) -> Iterator[Watched]:
    with desks.lent("bob", width=360) as watched:
        yield watched


def stored(stage: Stage, request_id: str) -> list[tuple[int | None, str]]:
    rows = stage.rows("SELECT * FROM usage_feedback WHERE request_id::text = %s", request_id)
    return [(row["score"], row["comment"]) for row in rows]


def test_an_answer_is_rated_by_keyboard(stage: Stage, bob: Watched) -> None:
    page = bob.page
    ask(page, stage, stage.echo_model(7, 0), "Rate this")
    wait_text(page, "Rate this")
    good, bad = (page.get_by_role("button", name=f"{word} answer") for word in ("Good", "Bad"))
    expect(good).to_have_attribute("aria-pressed", "false")
    (row,) = stage.rows(
        "SELECT request_id::text AS id FROM playground_run ORDER BY id DESC LIMIT 1"
    )
    id = row["id"]
    good.focus()
    page.keyboard.press("Enter")
    expect(good).to_have_attribute("aria-pressed", "true")
    expect(good).to_be_focused()
    assert stored(stage, id) == [(100, "")]
    page.keyboard.press("Tab")
    expect(bad).to_be_focused()
    page.keyboard.press("Space")
    expect(bad).to_have_attribute("aria-pressed", "true")
    expect(good).to_have_attribute("aria-pressed", "false")
    assert stored(stage, id) == [(0, "")]
    page.get_by_role("link", name="Comment on the answer").press("Enter")
    page.get_by_role("dialog").get_by_label("Comment").fill("Too <b>long</b>.\nAnd wrong.")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(bad).to_have_attribute("aria-pressed", "true")  # the page is read again
    assert stored(stage, id) == [(0, "Too <b>long</b>.\nAnd wrong.")]
    assert too_wide(page) == ""
    assert findings_in_both_themes(page) == []
    bad.click()
    expect(bad).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_role("link", name="Comment on the answer")).to_have_count(0)
    assert stored(stage, id) == []
    bob.assert_calm()
