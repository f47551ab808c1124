"""What the script of the shell does on every page: dialogs that close, ticks of a whole list."""

import pytest
from playwright.sync_api import expect

from tests.browser.installation import Installation
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("how", ["Escape", "Close"])
def test_a_secret_leaves_the_page_with_its_dialog(
    site: Installation, owner: Visitor, how: str
) -> None:
    """W50: it is shown once, however its dialog is closed."""
    page, dialog = owner.page, owner.page.locator("#dialog")
    page.goto(f"{site.organisation}/keys")
    page.get_by_role("link", name="Create key").click()
    dialog.get_by_label("Name").fill(f"closed-by-{how}")
    dialog.get_by_role("button", name="Create key").click()
    secret = dialog.locator("#secret").inner_text()
    assert secret.startswith("sk-weir-")
    if how == "Escape":
        page.keyboard.press("Escape")
    else:
        dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()
    expect(dialog.locator("*")).to_have_count(0)
    assert secret not in page.content()


@pytest.mark.extended
def test_a_whole_list_is_ticked_and_not_ticked_again(site: Installation, owner: Visitor) -> None:
    page = owner.page
    page.goto(f"{site.organisation}/keys?state=all")
    rows, bar = page.locator("#rows tbody [name=id]"), page.locator(".bulk")
    every = page.get_by_role("checkbox", name="Select all on this page")
    ticked = page.locator("#rows tbody [name=id]:checked")
    count = rows.count()
    assert count
    every.check()
    expect(ticked).to_have_count(count)
    expect(bar).to_be_visible()
    every.uncheck()
    expect(ticked).to_have_count(0)
    expect(bar).to_be_hidden()


@pytest.mark.extended
def test_the_page_that_is_open_is_in_sight_in_a_long_navigation(owner: Visitor) -> None:
    page = owner.page
    page.set_viewport_size({"width": 1280, "height": 600})
    page.goto("/admin/health")
    expect(page.locator("#nav [aria-current]")).to_be_in_viewport(ratio=1)
    expect(page.locator("h1")).to_be_in_viewport()
