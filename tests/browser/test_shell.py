"""What the script of the shell does on every page: dialogs that close, ticks of a whole list."""

import base64
from typing import Final, Literal

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


# The colours at the right edge of the window, and left of the gutter of its scroll bar.
_EDGE: Final = """async (data) => {
  const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  canvas.drawImage(bitmap, 0, 0);
  return [3, 22].map((from) => [...canvas.getImageData(width - from, height - 40, 1, 1).data]);
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_dialog_dims_the_page_to_its_edge(
    site: Installation, owner: Visitor, theme: Literal["light", "dark"]
) -> None:
    page = owner.page
    page.emulate_media(color_scheme=theme)
    page.goto(f"{site.organisation}/budgets")
    page.get_by_role("link", name="Create budget").first.click()
    expect(page.locator("#dialog")).to_be_visible()
    shot = base64.b64encode(page.screenshot(animations="disabled")).decode()
    edge, inside = page.evaluate(_EDGE, shot)
    assert max(abs(a - b) for a, b in zip(edge, inside, strict=True)) <= 1


def test_missing_page_offers_the_search(site: Installation, owner: Visitor) -> None:
    """Its request's id is for who reports it."""
    page = owner.page
    page.goto(f"{site.organisation}/none")
    expect(page.get_by_text("Request", exact=False).locator("code")).to_be_hidden()
    page.get_by_role("button", name="Search pages, keys, models…").click()
    expect(page.locator("#palette")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_text("Details").click()
    expect(page.locator("main code")).to_be_visible()
    assert all("404" in line for line in owner.complaints)
    owner.complaints.clear()


def test_fully_ticked_list_can_be_unticked(site: Installation, owner: Visitor) -> None:
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


def test_current_page_is_visible_in_a_long_navigation(owner: Visitor) -> None:
    page = owner.page
    page.set_viewport_size({"width": 1280, "height": 600})
    page.goto("/admin/health")
    expect(page.locator("#nav [aria-current]")).to_be_in_viewport(ratio=1)
    expect(page.locator("h1")).to_be_in_viewport()
