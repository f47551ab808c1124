"""Embeddings (W15): a person's lines through the real relay, with real books."""

import re

import pytest
from playwright.sync_api import Browser, expect

from lib.ids import id_text
from tests.browser.visitor import findings
from tests.playground.conftest import Stage, Watched, watch

pytestmark = pytest.mark.browser

LINES = ["The river rose.", "Water levels went up.", "The river rose."]


def embedding_model(stage: Stage) -> str:
    return stage.hub.model(stage.fake, rates={"in_text": 1_000_000})


def test_lines_become_vectors_with_their_cosines_charge_and_receipt(
    stage: Stage, bob: Watched
) -> None:
    model = embedding_model(stage)
    page = bob.page
    page.goto(f"{stage.playground}/embeddings?m={model}")
    page.fill("#embed-text", "\n\n".join(LINES))
    expect(page.locator("#embed-bound")).to_contain_text(
        re.compile(r"≤ \$0\.\d+ reserved\s+·\s+expected \$0\.\d+")
    )
    page.get_by_role("button", name="Embed").click()
    expect(page.locator("#vectors-title")).to_have_text("3 vectors")
    cells = page.locator(".heat tbody tr").nth(0).locator("td")
    assert cells.all_inner_texts()[0] == "1.000"
    assert cells.all_inner_texts()[2] == "1.000"  # the same line once more
    assert cells.all_inner_texts()[1] != "1.000"
    written = "SELECT * FROM usage_usagerecord WHERE model = %s AND final"
    stage.hub.wait(lambda: bool(stage.rows(written, model)), "the record is missing")
    (record,) = stage.rows(written, model)
    assert (record["operation"], record["source"], record["basis"]) == (
        "embeddings", "playground", "measured")  # fmt: skip
    assert record["charge_nano"] == record["meters"]["in_text"]
    figures = page.locator(".panel-head .end").first.inner_text()
    assert f"{record['meters']['in_text']} tokens" in figures
    receipt = page.get_by_role("link", name="Receipt")
    assert receipt.get_attribute("href") == f"/o/acme/requests/{id_text(record['request_id'])}"
    page.locator("summary", has_text="Code").click()
    assert "client.embeddings.create" in page.inner_text("#embed-python")
    assert "Water levels went up." in page.inner_text("#embed-curl")
    assert findings(page) == []
    receipt.click()
    expect(page.locator("h1")).to_be_visible()
    bob.assert_calm()


@pytest.mark.slow
def test_dimensions_are_the_users_choice(stage: Stage, bob: Watched) -> None:
    page = bob.page
    page.goto(f"{stage.playground}/embeddings?m={embedding_model(stage)}")
    page.fill("#embed-dimensions", "12")
    page.fill("#embed-text", "One line")
    page.get_by_role("button", name="Embed").click()
    expect(page.locator("#embedded tbody td").first).to_have_text("12")
    assert page.locator(".heat").count() == 0
    page.fill("#embed-dimensions", "many")
    page.get_by_role("button", name="Embed").click()
    expect(page.locator("#embedded [role=alert]")).to_contain_text("a whole number above 0")
    assert page.input_value("#embed-text") == "One line"


@pytest.mark.slow
def test_rejection_says_why_and_costs_nothing(stage: Stage, chromium: Browser) -> None:
    alice = watch(chromium, stage, "alice")
    page = alice.page
    model = embedding_model(stage)
    page.goto(f"{stage.hub.url}/o/poor/playground/embeddings?m={model}")
    page.fill("#embed-text", "x" * 5_000)
    expect(page.locator("#embed-bound")).to_contain_text("The balance is too low")
    page.get_by_role("button", name="Embed").click()
    expect(page.locator("#embedded [role=alert]")).to_contain_text("You were not charged.")
    alice.context.close()


@pytest.mark.slow
def test_embedding_model_is_not_offered_for_chats(stage: Stage, bob: Watched) -> None:
    model, chat = embedding_model(stage), stage.fake_model()
    page = bob.page
    page.goto(stage.playground)
    assert page.locator(f"#chat-model option[value='{model}']").count() == 0
    page.goto(f"{stage.playground}/embeddings")
    assert page.locator(f"#embed-model option[value='{model}']").count() == 1
    assert page.locator(f"#embed-model option[value='{chat}']").count() == 0
