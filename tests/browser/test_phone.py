"""What only a phone shows: a chat with room, the menu as a sheet, selects for fingers."""

import base64
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, StorageState, expect

from tests.browser.conftest import Visit

pytestmark = pytest.mark.browser

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
# How far the middle of what is drawn there is from the middle of the picture, in pixels.
_OFF_CENTRE = """async ([data, from, to]) => {
  const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height).getContext("2d");
  canvas.drawImage(bitmap, 0, 0);
  const { data: signs } = canvas.getImageData(0, 0, width, height);
  const light = (x, y) => [0, 1, 2].reduce((sum, n) => sum + signs[4 * (y * width + x) + n], 0);
  const rows = [];
  for (let y = 3; y < height - 3; y += 1)
    for (let x = width + from; x < width + to; x += 1)
      if (Math.abs(light(x, y) - light(5, y)) > 150) { rows.push(y); break; }
  return Math.abs((rows[0] + rows.at(-1) + 1) / 2 - height / 2);
}"""


def open_on_phone(visit: Visit, state: StorageState, path: str, **options: Any) -> Page:
    page: Page = visit(storage_state=state, **PHONE, **options).page
    page.goto(path)
    return page


def height_of(one: Locator) -> float:
    box = one.bounding_box()
    assert box
    return box["height"]


def test_chat_keeps_half_the_screen_while_typing(visit: Visit, signed_in: StorageState) -> None:
    page = open_on_phone(visit, signed_in, "/o/acme/playground")
    page.fill("#chat-text", "one\ntwo\nthree")
    expect(page.locator("#bound")).to_contain_text("reserved")
    assert height_of(page.locator("[data-log]")) >= 844 / 2
    page.fill("#chat-text", "one")
    page.set_viewport_size({"width": 390, "height": 504})  # the keyboard is open
    expect(page.locator(".tabbar")).to_be_hidden()
    assert height_of(page.locator("[data-log]")) >= 504 / 2


def test_more_is_a_sheet_of_groups(visit: Visit, signed_in: StorageState) -> None:
    page = open_on_phone(visit, signed_in, "/o/acme/keys")
    page.get_by_role("button", name="More").last.click()
    sheet = page.locator("#menu-more")
    expect(sheet).to_be_visible()
    expect(sheet.locator(".menu-label")).to_have_text(["Build", "Monitor", "Manage"])
    box = sheet.bounding_box()
    assert box
    assert (box["x"], box["width"], box["y"] + box["height"]) == (0, 390, 844)
    assert height_of(sheet.get_by_role("link", name="Billing")) >= 44
    sheet.get_by_role("link", name="Images, sound, video").click()
    page.wait_for_url("**/playground/images")


@pytest.mark.parametrize(
    "path",
    [
        "/o/acme/playground/settings",
        "/o/acme/playground/compare",
        "/o/acme/playground/gallery",
        "/o/acme/keys/new",
        "/o/acme/budgets/new",
        "/admin/channels/new",
    ],
)
def test_selects_center_their_text_and_arrow(
    visit: Visit, signed_in: StorageState, path: str
) -> None:
    page = open_on_phone(visit, signed_in, path)
    selects = [one for one in page.locator("select:not([multiple])").all() if one.is_visible()]
    assert selects
    for one in selects[:6]:
        # A letter without a part above or below the others. What shows for the value stays.
        one.evaluate(
            """(one) => {
              one.replaceChildren(new Option("H", one.value));
              one.scrollIntoView({ block: "center" });
            }"""
        )
        shot = base64.b64encode(one.screenshot(animations="disabled")).decode()
        box = one.bounding_box()
        assert box
        assert page.evaluate(_OFF_CENTRE, [shot, 8 - int(box["width"]), -30]) <= 1
        assert page.evaluate(_OFF_CENTRE, [shot, -24, -6]) <= 1
