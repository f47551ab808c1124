"""Searching the content log on its page: by keyboard on a telephone, further, in Chinese, and files
(P12, P31)."""

import json

from playwright.sync_api import Browser, ViewportSize, expect

from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.members import members
from accounts.models import Key, Organisation, Role, User
from content.log.kept import Kept
from lib import clock
from lib.ids import new_id
from tests.browser.conftest import Visit, state_of
from tests.browser.installation import MODEL, Installation
from tests.browser.visitor import findings_in_both_themes, too_wide
from tests.content.log.entries import REQUEST, keep
from usage.models import UsageRecord

TELEPHONE: ViewportSize = {"width": 360, "height": 740}
READER, PASSWORD = "searcher@example.org", "correct horse battery"
HOSTILE = "‮<img src=x> 'needle' 👩‍👩‍👧 שלום"


def prepare() -> None:
    """In a process of the installation: somebody who reads contents, and 60 kept requests."""
    acme = Organisation.objects.get(slug="acme")
    reads = ["content.read", "models.read", "requests.read", "usage.read"]
    role = custom_roles.create_role(acme, "Searches contents", reads, actor=SYSTEM)
    members.set_member(acme, READER, Role.CUSTOM, custom_role=role, actor=SYSTEM)
    user = User.objects.get(email=READER)
    user.set_password(PASSWORD)
    user.save(update_fields=["password"])
    key = Key.objects.filter(organisation=acme).latest("id")
    record = UsageRecord(
        organisation=acme, team_id=key.team_id, key_id=key.id, model=MODEL, ended_at=clock.now()
    )
    for number in range(60):
        request = REQUEST | {"messages": [{"role": "user", "content": f"{number} {HOSTILE}"}]}
        record.request_id = new_id()
        keep(record, Kept(json.dumps(request).encode()))


def test_reader_searches_by_keyboard_and_looks_further(
    site: Installation, browser: Browser, visit: Visit
) -> None:
    site.beside.call(prepare)
    state = state_of(browser, site.url, "/login", {"login": READER, "password": PASSWORD})
    visitor = visit(storage_state=state, viewport=TELEPHONE)
    page = visitor.page
    page.goto(f"{site.organisation}/requests")
    page.get_by_role("link", name="Search contents").first.click()
    expect(page.get_by_role("heading", name="No text is opened until you search")).to_be_visible()
    page.get_by_label("Text", exact=True).fill("<IMG src=x>")
    page.keyboard.press("Tab")
    page.keyboard.type("A complaint")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="50 hits")).to_be_focused()
    expect(page.locator("mark").first).to_have_text("<img src=x>")
    expect(page.get_by_text("Looked at 50 requests, back to")).to_be_visible()
    assert too_wide(page) == ""
    page.get_by_role("button", name="Look further").press("Enter")
    expect(page.get_by_role("heading", name="10 hits")).to_be_focused()
    expect(page.get_by_role("heading", name="50 hits")).to_be_visible()
    expect(page.get_by_role("button", name="Look further")).to_have_count(0)
    page.set_viewport_size({"width": 1280, "height": 900})
    assert findings_in_both_themes(page) == []
    # A filter clears the hits, keeps what was typed, and applies to the next search.
    page.get_by_label("Status").select_option("error")
    expect(page.get_by_role("heading", name="No text is opened until you search")).to_be_visible()
    expect(page.get_by_label("Text", exact=True)).to_have_value("<IMG src=x>")
    assert "status=error" in page.url
    page.locator("#search-contents").get_by_role("button", name="Search").click()
    expect(page.get_by_role("heading", name="0 hits")).to_be_visible()
    page.get_by_text("Download as JSON Lines").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.path().read_text() == '{"next": null}\n'
    visitor.speak("zh-hans")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("搜索内容")
    expect(page.locator("#id_reason")).to_have_value("A complaint")
