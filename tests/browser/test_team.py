"""A colleague is invited, accepts in a browser of their own, and is removed (W51, W02)."""

import re
from collections.abc import Callable

import openai
import pytest
from playwright.sync_api import Locator, Page, StorageState, expect

from tests.browser.conftest import Visit
from tests.browser.installation import ECHO, MODEL, Installation
from tests.browser.visitor import Visitor

INVITE_CLICKS_MAX = 6
REMOVE_CLICKS_MAX = 6


def counter() -> tuple[Callable[[Locator], None], list[Locator]]:
    """A click that is counted, and those that were made."""
    clicks: list[Locator] = []

    def click(target: Locator) -> None:
        target.click()
        clicks.append(target)

    return click, clicks


def sidebar(page: Page) -> Locator:
    return page.get_by_role("navigation", name="Main", exact=True)


@pytest.mark.slow
def test_colleague_is_invited_joins_and_is_removed(
    site: Installation, visit: Visit, owner: Visitor
) -> None:
    page, (click, clicks) = owner.page, counter()
    page.goto(f"{site.organisation}/")
    click(
        page.get_by_role("navigation", name="Main", exact=True).get_by_role("link", name="Members")
    )
    click(page.get_by_role("link", name="Invite", exact=True))
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Email addresses").fill("")
    dialog.get_by_label("Role").select_option("developer")
    click(dialog.get_by_role("button", name="Create invite link"))
    expect(dialog).to_contain_text("Invitation created")
    link = dialog.locator(".secret code").inner_text()
    click(dialog.get_by_role("button", name="Copy"))
    assert len(clicks) <= INVITE_CLICKS_MAX

    theirs = visit()
    theirs.page.goto(link)
    expect(theirs.page.get_by_role("heading", level=1)).to_contain_text("Join")
    theirs.page.get_by_role("link", name="Create an account").click()
    theirs.page.get_by_label("Email").fill("newcomer@example.org")
    theirs.page.get_by_label("Password").fill("correct horse battery")
    theirs.page.get_by_role("button", name="Create account").click()
    theirs.page.get_by_role("button", name="Accept invitation").click()
    theirs.page.wait_for_url(f"**{site.organisation}/**")

    click, clicks = counter()
    page.goto(f"{site.organisation}/")
    click(
        page.get_by_role("navigation", name="Main", exact=True).get_by_role("link", name="Members")
    )
    row = page.get_by_role("row").filter(has_text="newcomer@example.org")
    click(row.get_by_role("button", name="Actions for"))
    click(page.get_by_role("link", name="Remove", exact=True))
    click(dialog.get_by_role("button", name="Remove member"))
    expect(page.get_by_text("newcomer@example.org was removed.")).to_be_visible()
    expect(row).to_have_count(0)
    assert len(clicks) <= REMOVE_CLICKS_MAX
    answer = theirs.page.goto(f"{site.organisation}/")
    assert answer is not None
    assert answer.status == 404
    theirs.complaints.clear()


WALK_CLICKS_MAX = 30


class Walker:
    """Somebody at a mouse: a click is a click, a choice in a list is two; typing is none."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks: dict[str, int] = {}
        self._task = ""

    def begin(self, task: str) -> None:
        self._task = task
        self.clicks[task] = 0

    def click(self, target: Locator) -> None:
        target.click()
        self.clicks[self._task] += 1

    def choose(self, target: Locator, label: str) -> None:
        target.select_option(label=label)
        self.clicks[self._task] += 2

    def open(self, name: str) -> None:
        self.click(sidebar(self.page).get_by_role("link", name=name, exact=True))

    def type(self, target: Locator, text: str) -> None:
        if not target.evaluate("(node) => node === document.activeElement"):
            self.click(target)
        self.page.keyboard.type(text)


@pytest.mark.slow
def test_team_is_managed_in_thirty_clicks(
    site: Installation, visit: Visit, signed_in: StorageState
) -> None:
    """Invite a colleague to a team, give the team $50 a month, hand out a key with a model list,
    see what that colleague spent, remove the colleague."""
    page = visit(storage_state=signed_in).page
    page.goto(f"{site.organisation}/teams/new")
    page.get_by_label("Name").fill("Walkers")
    page.get_by_role("button", name="Create team").click()
    page.goto(f"{site.organisation}/")
    walker, dialog = Walker(page), page.get_by_role("dialog")
    email = "walker@example.org"

    walker.begin("invite a colleague to a team")
    walker.open("Members")
    walker.click(page.get_by_role("link", name="Invite", exact=True))
    walker.type(dialog.get_by_label("Email addresses"), email)
    walker.click(dialog.get_by_label("Walkers"))
    walker.click(dialog.get_by_role("button", name="Create invite link"))
    link = dialog.locator(".secret code").inner_text()
    walker.click(dialog.get_by_role("button", name="Copy"))
    come(visit(), link, email)

    walker.begin("give the team $50 a month")
    page.goto(f"{site.organisation}/")
    walker.open("Teams")
    walker.click(page.get_by_role("link", name="Walkers", exact=True))
    walker.click(page.get_by_role("link", name="Set budget"))
    walker.type(dialog.get_by_label("Amount (USD)"), "50")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Budget created.")).to_be_visible()

    walker.begin("hand out a key with a model list")
    walker.open("API keys")
    walker.click(page.get_by_role("link", name="Create key"))
    walker.type(dialog.get_by_label("Name"), "walkers-key")
    walker.choose(dialog.get_by_label("Owner"), email)
    walker.choose(dialog.get_by_label("Team"), "Walkers")
    walker.type(dialog.get_by_label("Models"), MODEL)
    walker.click(dialog.get_by_role("button", name="Create key"))
    expect(page.get_by_text("Copy this key now.")).to_be_visible()
    secret = page.locator("#secret").inner_text()
    walker.click(dialog.get_by_role("button", name="Copy").first)
    call(site, secret, MODEL)
    with pytest.raises(openai.APIStatusError) as refused:
        call(site, secret, ECHO)
    assert refused.value.status_code == 403
    summed = """SELECT 1 FROM usage_rollup r JOIN accounts_user u ON u.id = r.user_id
        WHERE u.email = %s AND r.charge_nano > 0"""
    site.hub.wait(lambda: bool(site.hub.rows(summed, email)), "the request is not summed up")

    walker.begin("see what that colleague spent")
    page.goto(f"{site.organisation}/")
    walker.open("Members")
    walker.click(page.get_by_role("link", name=email))
    spent = page.locator(".stat", has_text="Spend this month")
    expect(spent).to_contain_text(re.compile(r"\$0\.0*[1-9]"))

    walker.begin("remove the colleague")
    walker.click(page.get_by_role("link", name="Remove", exact=True))
    walker.click(dialog.get_by_role("button", name="Remove member"))
    expect(page.get_by_text(f"{email} was removed.")).to_be_visible()
    with pytest.raises(openai.AuthenticationError):
        call(site, secret, MODEL)
    assert sum(walker.clicks.values()) <= WALK_CLICKS_MAX, walker.clicks
    print(sum(walker.clicks.values()), walker.clicks)  # noqa: T201


def call(site: Installation, secret: str, model: str) -> None:
    with site.client(secret) as client:
        client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "#tokens=20"}]
        )


def come(visitor: Visitor, link: str, email: str) -> None:
    """Whoever has the link of an invitation accepts it."""
    page = visitor.page
    page.goto(link)
    page.get_by_role("link", name="Create an account").click()
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Create account").click()
    page.get_by_role("button", name="Accept invitation").click()
    page.wait_for_url("**/o/acme/**")


def test_role_is_changed_by_keyboard(site: Installation, owner: Visitor) -> None:
    page = owner.page
    page.goto(f"{site.organisation}/team/roles/new")
    page.get_by_role("textbox", name="Name", exact=True).focus()
    page.keyboard.type("By keyboard")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Role By keyboard created.")).to_be_visible()
