"""Charts as people use them: bars that filter, series that are switched, days that lead on."""

import datetime as dt
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, StorageState, ViewportSize, expect

from tests.browser.conftest import Visit
from tests.browser.grown import DAYS, SLUG
from tests.browser.installation import ECHO, MODEL

pytestmark = pytest.mark.browser

WINDOW: ViewportSize = {"width": 1280, "height": 900}
PICTURE = "(node) => node.querySelector('canvas').toDataURL()"
HAS_COLOUR = """([canvas, colour]) => {
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [canvas.width, canvas.height];
  const paper = copy.getContext("2d", { willReadFrequently: true });
  paper.drawImage(canvas, 0, 0);
  const { data } = paper.getImageData(0, 0, copy.width, copy.height);
  for (let at = 0; at < data.length; at += 4) {
    if (colour.every((value, index) => data[at + index] === value)) return true;
  }
  return false;
}"""


@pytest.fixture
def page(visit: Visit, inside_grown: StorageState) -> Page:
    return visit(storage_state=inside_grown, viewport=WINDOW).page


def drag(page: Page, first: Locator, last: Locator) -> None:
    start, end = first.bounding_box(), last.bounding_box()
    assert start is not None
    assert end is not None
    page.mouse.move(start["x"] + start["width"] / 2, start["y"] + 20)
    page.mouse.down()
    page.mouse.move(end["x"] + end["width"] / 2, end["y"] + 20, steps=4)
    page.mouse.up()


def counted(text: str | None) -> int:
    """The requests that a bar says of itself."""
    match = re.search(r": ([\d,]+) requests?", text or "")
    assert match, text
    return int(match[1].replace(",", ""))


@pytest.mark.slow
def test_dragging_over_bars_shows_their_requests_alone(page: Page) -> None:
    """W32: from the first bar to the last one, in either direction, all other filters kept."""
    page.goto(f"/o/{SLUG}/requests?range=7d&model={ECHO}")
    bars = page.locator("[data-histogram] a")
    expect(bars).to_have_count(7)
    texts = [bar.get_attribute("aria-label") for bar in bars.all()]
    messages = [counted(text) for text in texts]
    assert sum(messages) > sum(messages[:5]) > 0
    edges = bars.nth(2).get_attribute("data-from"), bars.nth(4).get_attribute("data-to")
    drag(page, bars.nth(4), bars.nth(2))
    expect(page).to_have_url(re.compile("from="))
    query = parse_qs(urlsplit(page.url).query)
    asked = [dt.datetime.fromisoformat(query[name][0]) for name in ("from", "to")]
    assert asked == [dt.datetime.fromisoformat(edge or "") for edge in edges]
    assert query["model"] == [ECHO]
    expect(page.locator("#rows tbody tr")).to_have_count(sum(messages[2:5]))
    page.go_back()
    expect(bars).to_have_count(7)
    # Without a drag a bar is a link to its own requests.
    bars.nth(6).click()
    expect(page.locator("#rows tbody tr")).to_have_count(messages[6])


def test_arrow_keys_move_between_bars(page: Page) -> None:
    page.goto(f"/o/{SLUG}/requests?range=7d")
    bars = page.locator("[data-histogram] a")
    bars.last.focus()
    page.keyboard.press("ArrowLeft")
    expect(bars.nth(5)).to_be_focused()
    message = counted(bars.nth(5).get_attribute("aria-label"))
    page.keyboard.press("Enter")
    expect(page.locator("#rows tbody tr")).to_have_count(message)


def test_the_legend_switches_series(page: Page) -> None:
    """W30: what is off is neither drawn nor said, and the last one stays."""
    page.goto(f"/o/{SLUG}/usage?range=7d")
    panel = page.locator(".panel").filter(has=page.get_by_role("heading", name="Cost per"))
    chart = panel.locator(".chart")
    expect(chart.locator("canvas")).to_be_visible()
    legend = panel.locator(".legend button")
    expect(legend).to_have_text([MODEL, ECHO])
    whole = chart.evaluate(PICTURE)
    legend.filter(has_text=ECHO).click()
    expect(legend.filter(has_text=ECHO)).to_have_attribute("aria-pressed", "false")
    alone = chart.evaluate(PICTURE)
    assert alone != whole
    chart.focus()
    page.keyboard.press("End")
    expect(panel.locator(".chart-tip")).to_contain_text(MODEL)
    expect(panel.locator(".chart-tip")).not_to_contain_text(ECHO)
    expect(page.locator("#live")).to_contain_text(MODEL)
    expect(page.locator("#live")).not_to_contain_text(ECHO)
    # Nothing would be left to see.
    legend.filter(has_text=MODEL).click()
    expect(legend.filter(has_text=MODEL)).to_have_attribute("aria-pressed", "true")
    legend.filter(has_text=ECHO).click()
    chart.blur()
    assert chart.evaluate(PICTURE) == whole


def test_chart_uses_the_colours_of_the_theme(page: Page) -> None:
    """The first series in its colour of the dark theme, and back; both times on the same canvas."""
    page.emulate_media(color_scheme="light")
    page.goto(f"/o/{SLUG}/usage?range=7d")
    panel = page.locator(".panel").filter(has=page.get_by_role("heading", name="Cost per"))
    canvas = panel.locator("canvas").element_handle()
    light, dark = [canvas, [74, 79, 224]], [canvas, [150, 154, 255]]
    page.wait_for_function(HAS_COLOUR, arg=light)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(HAS_COLOUR, arg=dark)
    assert not page.evaluate(HAS_COLOUR, light)
    page.emulate_media(color_scheme="light")
    page.wait_for_function(HAS_COLOUR, arg=light)


@pytest.mark.slow
def test_balance_chart_links_each_day_to_its_month(page: Page) -> None:
    page.goto(f"/o/{SLUG}/billing")
    panel = page.locator(".panel").filter(has=page.get_by_role("heading", name="Balance over time"))
    chart = panel.locator(".chart")
    expect(chart.locator("canvas")).to_be_visible()
    expect(panel.locator(".legend button")).to_have_text(["Top-ups and credit", "Balance"])
    whole = chart.evaluate(PICTURE)
    panel.locator(".legend button").first.click()
    assert chart.evaluate(PICTURE) != whole
    chart.focus()
    page.keyboard.press("End")
    tip = panel.locator(".chart-tip")
    expect(tip).to_contain_text("Balance")
    balance = page.locator(".stat").filter(has_text="Balance").first.locator(".stat-value")
    expect(tip).to_contain_text(balance.inner_text().strip())
    panel.get_by_role("button", name="Table").click()
    rows = panel.get_by_role("row")
    expect(rows).to_have_count(1 + DAYS + 1)
    expect(rows.last).to_contain_text("$100.00")
    panel.get_by_role("button", name="Chart").click()
    chart.focus()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"billing\?month=\d{4}-\d{2}#results$"))
