"""First run and sign-up, walked: the first operator opens it, a person signs up, confirms the
address and names an organisation (W01, W02, W76)."""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.mfa.models import Authenticator
from playwright.sync_api import Browser, Page, StorageState, expect

from accounts.access.actors import SYSTEM
from accounts.models import User
from accounts.sign_up import sign_up
from accounts.sign_up.first_run import make_set_up_link
from billing.trials import trials
from tests.browser.visitor import Visitor, act_on, findings, too_wide
from tests.notify.mail_server import mail_server
from tests.runner.databases import own_database
from tests.support.beside import Beside
from tests.support.hub import SOON, Hub

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery"


def letter_to(email: str) -> str:
    """Beside the hub: what stands in the letter that asks to confirm the address."""
    return str(EmailConfirmationHMAC(EmailAddress.objects.get(email=email)).key)


def secure(email: str) -> None:
    """Beside the hub: a person who has an authenticator app."""
    user = User.objects.create(email=email, name="Gil")
    Authenticator.objects.create(user=user, type="totp", data={})


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """One that sends letters."""
    with ExitStack() as until:
        dsn = until.enter_context(own_database("hub_sign_up"))
        post = until.enter_context(mail_server())
        mail = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(post.port)}
        hub = Hub(dsn, environment=mail, application=SOON)
        until.callback(hub.close)
        hub.start()
        yield hub


@pytest.fixture(scope="module")
def beside(hub: Hub) -> Iterator[Beside]:
    beside = Beside({**os.environ, **hub.environment, "DATABASE_URL": hub.dsn})
    yield beside
    beside.close()


@pytest.fixture(scope="module")
def operator(hub: Hub, beside: Beside, browser: Browser) -> StorageState:
    """The state of a browser in which the first operator has set the installation up (W01)."""
    visitor = Visitor(browser, hub.url, viewport={"width": 360, "height": 740})
    page = visitor.page
    page.goto("/")
    page.wait_for_url("**/setup")
    looks_right(page)
    page.goto(beside.call(make_set_up_link))
    looks_right(page)
    # By the keyboard alone.
    expect(page.locator("input:focus")).to_have_count(1)
    for text in ("dora@example.org", "Dora", PASSWORD):
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    looks_right(page)
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/setup")
    looks_right(page)
    expect(page.locator("input:focus")).to_have_count(1)
    page.keyboard.type("Acme")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Add channel")).to_be_focused()
    looks_right(page)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Create a key")).to_be_focused()
    visitor.speak("zh-hans")
    page.reload()
    looks_right(page)
    visitor.speak("en")
    state = visitor.context.storage_state()
    visitor.context.close()
    assert visitor.complaints == []
    return state


@pytest.fixture
def visitors(
    hub: Hub, browser: Browser, operator: StorageState
) -> Iterator[tuple[Visitor, Visitor]]:
    """An operator at a desk, and somebody with a telephone, in Chinese at times."""
    wide = {"width": 1280, "height": 900}
    desk = Visitor(browser, hub.url, storage_state=operator, viewport=wide)
    telephone = Visitor(browser, hub.url, viewport={"width": 360, "height": 740})
    yield desk, telephone
    for visitor in (desk, telephone):
        visitor.context.close()
        assert visitor.complaints == []


def looks_right(page: Page) -> None:
    assert findings(page) == []
    assert too_wide(page) == ""


@pytest.mark.slow
def test_sign_up_is_opened_and_completed(beside: Beside, visitors: tuple[Visitor, Visitor]) -> None:
    desk, telephone = visitors
    page = telephone.page
    page.goto("/signup")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign-up is closed")
    looks_right(page)

    desk.page.goto("/admin/people")
    desk.page.get_by_role("link", name="Sign-up").click()
    desk.page.get_by_label("Who can sign up").select_option("open")
    desk.page.get_by_role("button", name="Save").click()
    expect(desk.page.get_by_text("Settings saved.")).to_be_visible()
    looks_right(desk.page)
    desk.page.set_viewport_size({"width": 360, "height": 740})
    assert too_wide(desk.page) == ""

    # By the keyboard alone.
    page.goto("/login")
    page.get_by_role("link", name="Create an account").click()
    page.get_by_label("Email").press_sequentially("eve@example.org")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    looks_right(page)
    # The browser is checked meanwhile (captcha.js); a form that is sent earlier waits for that.
    page.keyboard.press("Enter")
    page.wait_for_url("**/confirm")
    looks_right(page)
    page.goto(f"/confirm/{beside.call(letter_to, 'eve@example.org')}")
    page.get_by_role("button", name="Confirm email address").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Name your organisation")
    looks_right(page)
    telephone.speak("zh-hans")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("为组织命名")
    assert too_wide(page) == ""
    telephone.speak("en")
    page.reload()
    expect(page.locator("input:focus")).to_have_count(1)
    page.keyboard.type("Eve Ltd")
    page.keyboard.press("Enter")
    page.wait_for_url("**/o/eve-ltd/")


def open_sign_up() -> None:
    """Beside the hub: anyone signs up, and a new organisation gets trial credit."""
    sign_up.save_sign_up(SYSTEM, mode="open")
    trials.save_trial_setting(SYSTEM, amount="5")


def test_keyboard_sign_up_is_checked_on_the_way(
    beside: Beside, visitors: tuple[Visitor, Visitor]
) -> None:
    _, telephone = visitors
    page = telephone.page
    beside.call(open_sign_up)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/signup")
    expect(page.get_by_text("of trial credit, which expires after 30 days.")).to_be_visible()
    checked = page.locator("[data-captcha] [role=status]")
    expect(checked).to_have_text("Your browser was checked.")
    looks_right(page)
    telephone.speak("zh-hans")
    page.reload()
    expect(checked).to_have_text("已检查你的浏览器。")
    looks_right(page)
    telephone.speak("en")
    # Enter before the check has ended: the form is sent once it has.
    page.goto("/signup")
    page.get_by_label("Email").press_sequentially("kit@example.org")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/confirm")
    # What was spent is told, and the page that tells it checks again.
    page.goto("/signup")
    page.get_by_label("Email").fill("lea@example.org")
    page.get_by_label("Password").fill("short")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This password is too short")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/confirm")


@pytest.mark.slow
def test_a_second_factor_is_reset_in_the_list_of_people(
    beside: Beside, visitors: tuple[Visitor, Visitor]
) -> None:
    desk, _ = visitors
    beside.call(secure, "gil@example.org")
    desk.page.goto("/admin/people?q=gil")
    row = desk.page.get_by_role("row", name=re.compile("gil@example.org"))
    expect(row).to_contain_text("On")
    act_on(desk.page, "gil@example.org", "Reset two-factor authentication")
    dialog = desk.page.get_by_role("dialog")
    expect(dialog).to_contain_text("Make sure that the request really comes from them.")
    looks_right(desk.page)
    dialog.get_by_role("button", name="Reset").click()
    expect(
        desk.page.get_by_text("Two-factor authentication of gil@example.org was reset.")
    ).to_be_visible()
    expect(row).to_contain_text("Off")
