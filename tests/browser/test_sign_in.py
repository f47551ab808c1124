"""Signing in with a second factor, walked: an app, recovery codes, a passkey (W02, W60)."""

import datetime as dt
import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from accounts.access.actors import SYSTEM
from accounts.members import members
from accounts.models import Organisation, Role, SignInLink
from accounts.sign_in import sign_in as signin
from lib import clock
from tests.accounts.factors import App
from tests.browser.conftest import Visit
from tests.browser.installation import Installation
from tests.browser.visitor import Visitor, findings, too_wide

PASSWORD = "correct horse battery"


def make(email: str) -> str:
    """Beside the hub: a developer with a password; a sign-in link of theirs that is over."""
    organisation = Organisation.objects.get(slug="acme")
    user = members.set_member(organisation, email, Role.DEVELOPER, actor=SYSTEM).user
    user.set_password(PASSWORD)
    user.save()
    link = signin.make_sign_in_link(user)
    SignInLink.objects.filter(user=user).update(expires_at=clock.now() - dt.timedelta(seconds=1))
    return link


@pytest.fixture
def visitor(site: Installation, visit: Visit) -> Visitor:
    # Browsers give passkeys to names, and to none of addresses such as 127.0.0.1.
    visitor = visit(viewport={"width": 360, "height": 800})
    visitor.url = site.url.replace("127.0.0.1", "localhost")
    return visitor


def sign_in(visitor: Visitor, email: str) -> Page:
    """Type address and password, by the keyboard alone."""
    page = visitor.page
    page.goto(f"{visitor.url}/login")
    page.get_by_label("Email").press_sequentially(email)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    return page


def sign_out(visitor: Visitor) -> None:
    visitor.page.goto(f"{visitor.url}/logout")
    visitor.page.locator("main").get_by_role("button", name="Sign out").click()
    visitor.page.wait_for_url("**/login")


def type_code(page: Page, code: str) -> None:
    page.get_by_label(re.compile("code", re.IGNORECASE)).fill(code)
    page.keyboard.press("Enter")


def looks_right(page: Page) -> None:
    assert findings(page) == []
    assert too_wide(page) == ""


@pytest.mark.slow
def test_app_and_recovery_codes_work(site: Installation, visitor: Visitor) -> None:
    over = site.beside.call(make, "pat@example.org")
    page = visitor.page
    page.goto(visitor.url + over)
    expect(page.get_by_role("heading")).to_have_text("This link is no longer valid")
    # Chromium itself complains of the 410.
    assert "410" in visitor.complaints.pop()

    sign_in(visitor, "pat@example.org")
    page.wait_for_url("**/o/acme/")
    page.goto(f"{visitor.url}/account/security")
    looks_right(page)
    page.get_by_role("link", name="Add app").click()
    expect(page.get_by_alt_text("QR code with the setup key")).to_be_visible()
    looks_right(page)
    app = App(page.locator("#secret").inner_text())
    type_code(page, "000000")
    expect(page.get_by_text("This code is not correct.")).to_be_visible()
    assert App(page.locator("#secret").inner_text()) == app
    first = app.code(at_s=clock.now().timestamp())
    type_code(page, first)
    page.wait_for_url("**/recovery-codes")
    looks_right(page)
    recovery = page.locator("#recovery-codes").inner_text().split()
    assert len(recovery) == 10

    sign_out(visitor)
    sign_in(visitor, "pat@example.org")
    page.wait_for_url("**/login/2fa")
    looks_right(page)
    type_code(page, "000000")
    expect(page.get_by_text("This code is not correct.")).to_be_visible()
    type_code(page, first)
    expect(page.get_by_text("This code was already used.")).to_be_visible()
    type_code(page, recovery[0])
    page.wait_for_url("**/o/acme/")

    sign_out(visitor)
    sign_in(visitor, "pat@example.org")
    type_code(page, recovery[0])
    expect(page.get_by_text("This recovery code was already used.")).to_be_visible()
    type_code(page, app.code(1, at_s=clock.now().timestamp()))
    page.wait_for_url("**/o/acme/")
    page.goto(f"{visitor.url}/account/sign-ins")
    expect(page.get_by_text("This session")).to_be_visible()
    looks_right(page)


def virtual_authenticator(page: Page) -> tuple[Any, dict[str, str]]:
    """A telephone that has a passkey's place and a fingerprint, in Chromium."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    response = devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return devtools, {"authenticatorId": response["authenticatorId"]}


@pytest.mark.slow
def test_passkey_works(site: Installation, visitor: Visitor) -> None:
    site.beside.call(make, "quinn@example.org")
    page = sign_in(visitor, "quinn@example.org")
    page.wait_for_url("**/o/acme/")
    devtools, which = virtual_authenticator(page)
    page.goto(f"{visitor.url}/account/security/passkeys/add")
    looks_right(page)
    page.get_by_label("Name").fill("Telephone")
    page.get_by_role("button", name="Add passkey").click()
    page.wait_for_url("**/recovery-codes")
    page.goto(f"{visitor.url}/account/security")
    expect(page.get_by_role("row", name=re.compile("Telephone"))).to_be_visible()
    looks_right(page)

    # By itself, with neither password nor code.
    sign_out(visitor)
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/o/acme/")

    # As the second factor behind a password.
    sign_out(visitor)
    sign_in(visitor, "quinn@example.org")
    page.wait_for_url("**/login/2fa")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/o/acme/")

    # Not by a finger that is not the owner's.
    sign_out(visitor)
    devtools.send("WebAuthn.setUserVerified", {**which, "isUserVerified": False})
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_text("The passkey was not used. Try again.")).to_be_visible()
    devtools.send("WebAuthn.setUserVerified", {**which, "isUserVerified": True})

    # Not by one that was removed, which the telephone still has.
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/o/acme/")
    page.goto(f"{visitor.url}/account/security")
    page.get_by_role("link", name="Remove").click()
    page.get_by_role("button", name="Remove passkey").click()
    page.wait_for_url("**/account/security")
    sign_out(visitor)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_text("This passkey was not accepted.")).to_be_visible()
    looks_right(page)
