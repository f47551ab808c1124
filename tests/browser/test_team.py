"""A colleague is invited, accepts in a browser of their own, and is removed (W51, W02)."""

from collections.abc import Callable

from playwright.sync_api import Locator, Page, StorageState, expect

from tests.browser.conftest import Visit
from tests.browser.installation import Installation

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


def test_a_colleague_is_invited_comes_and_is_removed(
    site: Installation, visit: Visit, signed_in: StorageState
) -> None:
    visitor = visit(storage_state=signed_in)
    page, (click, clicks) = visitor.page, counter()
    page.goto(f"{site.organisation}/")
    click(
        page.get_by_role("navigation", name="Main", exact=True).get_by_role("link", name="Members")
    )
    click(page.get_by_role("link", name="Invite", exact=True))
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Email addresses").fill("")
    dialog.get_by_label("Role").select_option("developer")
    click(dialog.get_by_role("button", name="Send invitation"))
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


def test_a_role_is_changed_with_the_keyboard_alone(
    site: Installation, visit: Visit, signed_in: StorageState
) -> None:
    visitor = visit(storage_state=signed_in)
    page = visitor.page
    page.goto(f"{site.organisation}/team/roles/new")
    page.get_by_role("textbox", name="Name", exact=True).focus()
    page.keyboard.type("By keyboard")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Role By keyboard created.")).to_be_visible()
