"""Who pays, in a real browser: chosen by keys, said before Send, and held to its budgets."""

import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from lib.ids import id_text
from tests.browser.visitor import findings_in_both_themes, too_wide
from tests.playground.conftest import Desks, Stage, Watched, watch
from tests.playground.runs.test_live import DONE
from tests.support.hub import Tenant

pytestmark = pytest.mark.browser


@pytest.fixture
def alice(desks: Desks, stage: Stage) -> Iterator[Watched]:
    with desks.lent("alice") as watched:
        yield watched
    stage.hub.connection.execute("DELETE FROM playground_paymentpreference")


@pytest.fixture
def tenant(stage: Stage) -> Iterator[Tenant]:
    """A key of the organisation that is nobody's own."""
    (team,) = stage.rows("SELECT id FROM accounts_team WHERE organisation_id = %s",
                         stage.organisation)  # fmt: skip
    tenant = stage.hub.key(Tenant(stage.organisation, team["id"], uuid.uuid4(), ""))
    yield tenant
    stage.hub.connection.execute("UPDATE billing_budget SET enabled = false")
    stage.hub.connection.execute(
        "UPDATE accounts_key SET revoked_at = now() WHERE id = %s", [tenant.key_id]
    )
    stage.hub.bump()


def choose_key(page: Page, name: str) -> None:
    """Open the menu and choose, without a mouse."""
    page.locator("[popovertarget=menu-payer]").press("Enter")
    page.get_by_role("combobox", name="Key and team").focus()
    page.select_option("#pay-key", label=name)
    page.keyboard.press("Escape")
    expect(page.locator("[popovertarget=menu-payer]")).to_be_focused()


def test_payer_is_shown_and_chosen_before_sending(
    stage: Stage, alice: Watched, tenant: Tenant
) -> None:
    page, name = alice.page, id_text(tenant.key_id)
    page.goto(f"{stage.playground}?m={stage.echo_model()}")
    line = page.locator("[popovertarget=menu-payer]")
    expect(line).to_have_text("Paid by Playground key (team core)")
    choose_key(page, f"{name} (team core)")
    expect(line).to_have_text(f"Paid by {name} (team core)")
    page.fill("#chat-text", "who pays?")
    page.keyboard.press("Enter")
    page.wait_for_selector(DONE)
    page.reload()
    expect(line).to_have_text(f"Paid by {name} (team core)")
    paid = (
        "SELECT u.key_id, u.user_id FROM usage_usagerecord u JOIN playground_run r "
        "ON r.request_id = u.request_id WHERE r.id = "
        "(SELECT id FROM playground_run ORDER BY id DESC LIMIT 1)"
    )
    stage.hub.wait(lambda: bool(stage.rows(paid)), "the record is missing")
    (record,) = stage.rows(paid)
    assert record["key_id"] == tenant.key_id
    assert record["user_id"] is not None
    line.press("Enter")
    page.get_by_role("button", name="Use for new chats").click()
    expect(page.locator(".toast").last).to_contain_text("New chats will be paid for this way.")
    page.goto(stage.playground)
    expect(line).to_have_text(f"Paid by {name} (team core)")
    alice.assert_calm()


@pytest.mark.slow
def test_chosen_payers_budget_applies_and_the_estimate_follows(
    stage: Stage, alice: Watched, tenant: Tenant
) -> None:
    page, name = alice.page, id_text(tenant.key_id)
    stage.hub.budget(tenant, "0.000000001")
    stage.hub.budget(tenant, "0.000000001", "project", "search")
    page.goto(f"{stage.playground}?m={stage.echo_model()}")
    send = page.locator("[data-send]")
    page.fill("#chat-text", "within the budget?")
    expect(page.locator("#bound")).to_contain_text("reserved")
    expect(send).to_be_enabled()
    choose_key(page, f"{name} (team core)")
    expect(page.locator("#bound [data-blocked]")).to_be_visible()
    expect(send).to_be_disabled()
    choose_key(page, "Playground key (team core)")
    expect(send).to_be_enabled()
    page.locator("[popovertarget=menu-payer]").press("Enter")
    page.get_by_role("combobox", name="Project").fill("search")
    page.keyboard.press("Escape")
    expect(page.locator("[popovertarget=menu-payer]")).to_have_text(
        "Paid by Playground key (team core) · search"
    )
    expect(send).to_be_disabled()
    alice.assert_calm()


@pytest.mark.slow
@pytest.mark.parametrize("scope", ["team", pytest.param("user", marks=pytest.mark.slow)])
def test_team_or_personal_budget_rejects_the_turn_and_links_more(
    stage: Stage, alice: Watched, tenant: Tenant, scope: str
) -> None:
    """W54: made after the estimate was shown, so that only the admission itself can refuse."""
    (person,) = stage.rows("SELECT id FROM accounts_user WHERE email = 'alice@example.org'")
    page = alice.page
    page.goto(f"{stage.playground}?m={stage.echo_model()}")
    page.fill("#chat-text", "within the budget?")
    expect(page.locator("#bound")).to_contain_text("reserved")
    expect(page.locator("[data-send]")).to_be_enabled()
    subject = person["id"] if scope == "user" else None
    budget = stage.hub.budget(tenant, "0.000000001", scope, subject)
    page.locator("#chat-text").press("Enter")
    refused = page.locator(".msg[data-state=refused]")
    expect(refused).to_contain_text("had too little left for this message")
    expect(refused).to_contain_text("You were not charged.")
    refused.get_by_role("link", name="Request more").click()
    page.wait_for_url(f"**/budgets/{budget}")
    alice.assert_calm()


@pytest.mark.slow
def test_phone_shows_who_pays(stage: Stage, chromium: Browser, tenant: Tenant) -> None:
    size = {"width": 360, "height": 740}
    watched = watch(chromium, stage, "alice", viewport=size)
    watched.context.add_cookies([{"name": "language", "value": "zh-hans", "url": stage.hub.url}])
    page = watched.context.new_page()
    page.goto(f"{stage.playground}?m={stage.echo_model()}")
    line = page.locator("[popovertarget=menu-payer]")
    expect(line).to_have_text("付费方 操练场密钥（团队 core）")
    assert too_wide(page) == ""
    line.click()
    expect(page.locator("#menu-payer")).to_be_visible()
    assert too_wide(page) == ""
    assert findings_in_both_themes(page) == []
    watched.assert_calm()
    watched.context.close()
