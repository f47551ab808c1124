"""The mask that is sent is the one that is seen, whatever has changed it: a stroke, the eraser, an
undo, the keys. The server is not needed for it."""

from collections.abc import Callable, Iterator
from typing import Final

import pytest
from django.template.loader import render_to_string
from playwright.sync_api import Browser, Page, Route

from tests.playground.media.test_media_pages import png
from tests.support.chromium import PATIENCE_MS
from tests.support.hub import ROOT

pytestmark = pytest.mark.browser

_SITE: Final = "http://masks.test/"
# Wait until each pixel of the file is transparent, or white, where the canvas is painted, and there
# is none if nothing is; how many files there are then.
_SENT: Final = """async (patience) => {
  const root = document.querySelector("[data-mask]"), canvas = root.querySelector("canvas");
  const field = root.querySelector("[data-painted]"), white = root.dataset.mask === "white";
  const { width, height } = canvas, size = [0, 0, width, height];
  const same = async ([file]) => {
    const seen = canvas.getContext("2d").getImageData(...size).data;
    const painted = [...Array(width * height).keys()].map((at) => seen[at * 4 + 3] > 127);
    if (!file) return !painted.includes(true);
    const sheet = new OffscreenCanvas(width, height).getContext("2d");
    sheet.drawImage(await createImageBitmap(file), 0, 0);
    const sent = sheet.getImageData(...size).data;
    return painted.every((is, at) => is === (white ? sent[at * 4] > 127 : sent[at * 4 + 3] < 128));
  };
  const until = performance.now() + patience;
  while (!await same(field.files)) {
    if (performance.now() > until) return "another mask";
    await new Promise(requestAnimationFrame);
  }
  return field.files.length;
}"""


def stroke(page: Page) -> None:
    box = page.locator(".mask canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + 30, box["y"] + 20)
    page.mouse.up()


def erase(page: Page) -> None:
    page.locator("[data-brush=erase]").click()
    stroke(page)
    page.locator("[data-brush=paint]").click()


def paint_by_keys(page: Page) -> None:
    page.locator(".mask canvas").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")


def undo(page: Page) -> None:
    page.locator("[data-mask-undo]").click()


def undo_by_keys(page: Page) -> None:
    page.locator(".mask canvas").focus()
    page.keyboard.press("Control+z")


def clear(page: Page) -> None:
    page.locator("[data-mask-clear]").click()


# Each change follows another that it changes back or goes on from.
STEPS: Final[list[Callable[[Page], None]]] = [
    stroke, undo, stroke, paint_by_keys, undo_by_keys, erase, undo, clear, undo, clear, stroke,
    undo_by_keys,
]  # fmt: skip


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page with a mask alone, of files and without a server."""

    def answer(route: Route) -> None:
        name = route.request.url.removeprefix(_SITE)
        white = "white" in name
        if name == "picture.png":
            route.fulfill(body=png(64, 48), content_type="image/png")
        elif name.endswith(".js"):
            text = (ROOT / "static/js" / name).read_text()
            route.fulfill(body=text, content_type="text/javascript")
        else:
            mask = render_to_string(
                "playground/media/_media_mask.html",
                {
                    "picture_url": "/picture.png",
                    "slug": "o",
                    "white": white,
                    "given": {"mask": None},
                },
            )
            script = (
                '<form id="media-form"></form><script src="/trusted.js"></script>'
                '<script type="module" src="/media.js"></script>'
            )
            route.fulfill(body=f"<!doctype html>{mask}{script}", content_type="text/html")

    context = browser.new_context()
    opened = context.new_page()
    opened.route(f"{_SITE}**", answer)
    yield opened
    context.close()


@pytest.mark.parametrize("kind", ["transparent", "white"])
def test_the_mask_that_is_sent_is_the_one_that_is_seen(page: Page, kind: str) -> None:
    page.goto(_SITE + kind)
    page.wait_for_function("document.querySelector('.mask canvas').width === 64")
    sent = list[int | str]()
    for change in STEPS:
        change(page)
        sent.append(page.evaluate(_SENT, PATIENCE_MS))
        assert sent[-1] in (0, 1), change.__name__
    assert sent[:3] == [1, 0, 1]


@pytest.mark.parametrize("change", [stroke, clear])
def test_mask_of_an_earlier_run_is_not_sent_after_a_change(
    page: Page, change: Callable[[Page], None]
) -> None:
    page.goto(_SITE)
    page.wait_for_function("document.querySelector('.mask canvas').width === 64")
    earlier = """() => document.querySelector(".mask").insertAdjacentHTML(
      "afterbegin", '<input type="hidden" name="mask" value="earlier" form="media-form">')"""
    page.evaluate(earlier)
    change(page)
    page.wait_for_function("!document.querySelector('[name=mask]')")
    assert page.evaluate(_SENT, PATIENCE_MS) == (change is stroke)


def test_picture_that_stands_beside_a_text_is_not_taken(page: Page) -> None:
    """Office programs put a picture of what is copied beside its text."""
    page.goto(_SITE)
    paste = """(texts) => {
      document.body.insertAdjacentHTML("beforeend", "<div id=media-given></div>");
      const carrier = new DataTransfer(), how = {bubbles: true, cancelable: true};
      carrier.items.add(new File(["a picture"], "image.png", {type: "image/png"}));
      for (const kind of texts) carrier.setData(kind, "words");
      const event = new ClipboardEvent("paste", {clipboardData: carrier, ...how});
      return document.body.dispatchEvent(event);
    }"""
    assert page.evaluate(paste, ["text/plain", "text/html"])
    # A picture of a page comes with the address it is from, a file with its name.
    assert not page.evaluate(paste, ["text/html"])
    assert not page.evaluate(paste, ["text/plain"])
