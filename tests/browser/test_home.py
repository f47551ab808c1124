"""Home, from the first key to the dashboard, by keyboard."""

from decimal import Decimal

import pytest
from playwright.sync_api import Page, Route, expect

from accounts.access.actors import SYSTEM
from billing.credits import codes
from tests.browser.installation import MODEL, Installation
from tests.browser.test_main_job import works
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser


def loaded(page: Page) -> None:
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


@pytest.mark.slow
def test_the_first_request_ticks_its_steps_without_a_reload(
    site: Installation, owner: Visitor
) -> None:
    """W03, W21: the key is made there, stands in the code, and its answer arrives by itself."""
    page = owner.page
    page.goto(f"{site.organisation}/start")
    page.get_by_label("Key name").focus()
    page.keyboard.type("from-start")
    page.keyboard.press("Enter")
    text = page.locator("#secret").inner_text()
    expect(page.locator("#code-curl")).to_contain_text(text)
    page.locator("[value=curl]").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#code-python")).to_contain_text(f'api_key="{text}"')
    site.hub.wait(lambda: works(site, text), "the key is not heard of")
    site.client(text).chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "#tokens=3 first"}]
    )
    place = page.locator("#first-request")
    expect(place).to_contain_text("Received")
    place.get_by_role("link", name="Open Home").click()
    loaded(page)
    expect(page.locator("#home-summary")).to_contain_text("Spend")


def a_code() -> str:
    """In a process of the installation: make a code worth $5."""
    batch = codes.create_batch(SYSTEM, "Balance", 5 * 10**9, 1)
    (code,) = codes.download_codes(SYSTEM, batch)
    return code


def dollars(text: str) -> Decimal:
    return Decimal(text.strip().rpartition("$")[2].replace(",", ""))


def test_the_balance_in_the_header_follows_what_the_page_changes(
    site: Installation, owner: Visitor
) -> None:
    page, chip = owner.page, owner.page.locator("#balance")
    page.goto(f"{site.organisation}/billing/redeem")
    before = dollars(chip.inner_text())
    page.get_by_label("Code").fill(site.beside.call(a_code))
    page.get_by_role("button", name="Redeem").click()
    expect(page.get_by_text("$5.00 was added.")).to_be_visible()
    expect(chip).to_contain_text(f"{before + 5:,}")
    page.goto(f"{site.organisation}/playground?m={MODEL}")
    page.get_by_label("Message", exact=True).fill("Tell me about rivers.")
    with page.expect_response("**/billing/_f/balance") as answered:
        page.get_by_role("button", name="Send").click()
    assert answered.value.ok


def test_balance_follows_an_answer_that_ended_unnoticed(site: Installation, owner: Visitor) -> None:
    page = owner.page
    page.goto(f"{site.organisation}/playground?m={MODEL}")
    page.get_by_label("Message", exact=True).fill("#tokens=3 Tell me about lakes.")

    def answer_when_ended(route: Route) -> None:
        site.hub.wait(lambda: 'data-state="answering"' not in route.fetch().text(), "it goes on")
        route.fulfill(response=route.fetch())

    page.route("**/playground/runs", answer_when_ended)
    with page.expect_response("**/billing/_f/balance") as answered:
        page.get_by_role("button", name="Send").click()
    assert answered.value.ok
    expect(page.locator(".msg[data-role=assistant]")).to_have_count(1)
