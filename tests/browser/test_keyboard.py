"""Ten things that people do each day, without a mouse: what has the focus is seen at every stop."""

import re

import pytest
from playwright.sync_api import Browser, Locator, StorageState, ViewportSize, expect

from accounts.access.actors import SYSTEM
from accounts.models import User
from accounts.organisations import organisations
from tests.browser.conftest import Visit, state_of
from tests.browser.grown import Grown, grown
from tests.browser.installation import ECHO, MODEL, Installation
from tests.browser.typist import Typist

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SLUG = "keyboard"
WINDOW: ViewportSize = {"width": 1280, "height": 720}


def furnish() -> None:
    """In a process of the installation: the owner operates it, and owns a second organisation."""
    owner = User.objects.get(email=f"{SLUG}@example.org")
    User.objects.filter(id=owner.id).update(operator=True)
    organisations.create_organisation("Elsewhere", owner=owner, actor=SYSTEM)


@pytest.fixture(scope="module")
def recent(site: Installation) -> Grown:
    created = grown(site, SLUG)
    site.beside.call(furnish)
    return created


@pytest.fixture(scope="module")
def inside(site: Installation, browser: Browser, recent: Grown) -> StorageState:
    return state_of(browser, site.url, recent.link)


@pytest.fixture
def someone(visit: Visit, inside: StorageState) -> Typist:
    return Typist(visit(storage_state=inside, viewport=WINDOW).page)


def main_button(someone: Typist, name: str) -> Locator:
    return someone.page.get_by_role("main").get_by_role("button", name=name, exact=True)


def main_link(someone: Typist, name: str) -> Locator:
    return someone.page.get_by_role("main").get_by_role("link", name=name, exact=True).first


def test_a_key_is_created_and_its_secret_copied(someone: Typist, recent: Grown) -> None:
    page = someone.page
    someone.begin("create a key", f"{recent.home}keys")
    dialog = page.get_by_role("dialog")
    someone.enter(main_link(someone, "Create key"))
    expect(dialog.get_by_label("Name")).to_be_focused()
    someone.type("by-keyboard")
    someone.fill(dialog.get_by_label("Budget (USD)"), "12")
    someone.enter(dialog.get_by_role("button", name="Create key"))
    expect(dialog).to_contain_text("Copy this key now.")
    someone.go_to(dialog.get_by_role("button", name="Copy").first)
    someone.press("Escape")
    expect(dialog).to_be_hidden()
    expect(main_link(someone, "Create key")).to_be_focused()
    expect(page.get_by_role("row").filter(has_text="by-keyboard")).to_contain_text("$12")


def test_a_colleague_is_invited(someone: Typist, recent: Grown) -> None:
    page = someone.page
    someone.begin("invite", recent.home)
    someone.find("invite")
    expect(page.get_by_label("Email addresses")).to_be_focused()
    someone.type("mate@keyboard.example")
    someone.enter(page.get_by_role("button", name="Create invite link"))
    someone.go_to(page.locator(".secret").get_by_role("button", name="Copy"))


def test_a_budget_is_set(someone: Typist, recent: Grown) -> None:
    page = someone.page
    someone.begin("set a budget", f"{recent.home}budgets")
    dialog = page.get_by_role("dialog")
    someone.enter(main_link(someone, "Create budget"))
    scope = dialog.get_by_label("Applies to", exact=True)
    someone.go_to(scope)
    someone.type("End customer")
    expect(scope).to_have_value("customer")
    someone.fill(dialog.get_by_label("Name"), "keyboard-1")
    someone.fill(dialog.get_by_label("Amount (USD)"), "25")
    someone.press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("row").filter(has_text="keyboard-1")).to_contain_text("$25")


def test_requests_are_filtered_and_a_receipt_is_opened(someone: Typist, recent: Grown) -> None:
    page = someone.page
    someone.begin("filter requests", f"{recent.home}requests")
    span = page.get_by_role("combobox", name="Time range")
    someone.go_to(span)
    someone.type("Yes")
    expect(page).to_have_url(re.compile("range=yesterday"))
    # The list was swapped; whoever filters goes on from there.
    expect(span).to_be_focused()
    cost = page.get_by_role("columnheader", name="Cost")
    someone.enter(cost.get_by_role("link"))
    expect(cost).to_have_attribute("aria-sort", "descending")
    expect(cost.get_by_role("link")).to_be_focused()
    someone.enter(page.locator("#rows tbody tr").first.get_by_role("link").first)
    expect(page).to_have_url(re.compile(recent.dearest))
    expect(page.locator("main")).to_contain_text("$3.00")
    someone.go_to(page.get_by_role("group", name="Receipt"))


def test_two_models_are_compared(someone: Typist) -> None:
    page = someone.page
    someone.begin("compare models", "/models")
    for model in (MODEL, ECHO):
        box = page.get_by_role("row").filter(has_text=model).get_by_role("checkbox")
        someone.go_to(box)
        someone.press("Space")
        expect(box).to_be_checked()
    someone.enter(page.get_by_role("button", name="Compare in playground"))
    page.wait_for_url("**/compare?*")
    someone.fill(page.get_by_label("Message", exact=True), "Which one? #tokens=4")
    someone.press("Enter")
    expect(page.locator("[data-role=assistant][data-state=done]")).to_have_count(2)


def test_a_code_is_redeemed(someone: Typist, recent: Grown) -> None:
    page = someone.page
    someone.begin("redeem a code", recent.home)
    someone.find("redeem")
    someone.fill(page.get_by_label("Code"), recent.code)
    someone.press("Enter")
    expect(page.get_by_text("$5.00 was added.")).to_be_visible()


def test_a_channel_is_added(site: Installation, someone: Typist) -> None:
    page = someone.page
    someone.begin("add a channel", "/admin/channels")
    someone.enter(main_link(someone, "Add channel"))
    page.wait_for_url("**/admin/channels/new")
    provider = page.get_by_label("Provider")
    expect(provider).to_be_focused()
    someone.type("OpenAI-compatible")
    expect(provider).to_have_value("openai_compatible")
    expect(page.get_by_label("Base URL")).to_have_value("")
    someone.fill(page.get_by_label("Base URL"), site.fake.url)
    someone.press("Tab")
    someone.type("sk-fake")
    someone.press("Enter")
    expect(page.locator("#found tbody tr")).to_have_count(3)
    someone.enter(main_button(someone, "Run test"))
    expect(page.locator("#try .panel-head")).to_contain_text("Passed")
    someone.enter(main_button(someone, "Add channel"))
    page.wait_for_url(re.compile(r"/admin/channels/[0-9A-Z]{26}$"))


def test_a_key_is_disabled(someone: Typist, recent: Grown) -> None:
    page = someone.page
    someone.begin("disable a key", f"{recent.home}keys")
    someone.enter(page.get_by_role("button", name="Actions for thrifty", exact=True))
    menu = page.locator(".menu:popover-open")
    expect(menu).to_be_visible()
    someone.enter(menu.get_by_role("button", name="Disable"))
    expect(page.get_by_role("row").filter(has_text="thrifty")).to_contain_text("Disabled")


def test_the_organisation_and_the_installation_are_switched(someone: Typist, recent: Grown) -> None:
    page = someone.page
    someone.begin("switch", recent.home)
    someone.enter(page.get_by_role("button", name="Keyboard"))
    someone.enter(page.locator(".menu:popover-open").get_by_role("link", name="Elsewhere"))
    page.wait_for_url("**/o/elsewhere/**")
    someone.enter(page.locator(".head").get_by_role("link", name="Installation"))
    page.wait_for_url("**/admin/**")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
