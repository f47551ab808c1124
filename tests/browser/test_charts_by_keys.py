"""Charts and the bars above the log as people read them: by keys, by their legend, by dragging."""

import datetime as dt
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, StorageState, expect

from lib.numbers.relative_time import relative_text
from tests.browser.conftest import Visit
from tests.browser.installation import MODEL, Installation
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser


@pytest.fixture
def chart_page(owner: Visitor) -> Page:
    """A chart whose figures are always the same."""
    owner.page.goto("/design/")
    return owner.page


def test_chart_is_readable_by_keyboard(chart_page: Page) -> None:
    page = chart_page
    chart = page.get_by_role("group", name="Cost per day by model")
    tip, live = chart.locator(".chart-tip"), page.locator("#live")
    steps = (
        ("ArrowLeft", "20 Nov, so far"), ("ArrowRight", "20 Nov, so far"), ("ArrowLeft", "19 Nov"),
        ("Home", "7 Nov"), ("ArrowLeft", "7 Nov"), ("ArrowRight", "8 Nov"),
        ("End", "20 Nov, so far"),
    )  # fmt: skip
    for key, day in steps:
        chart.press(key)
        expect(tip.locator("p span").first).to_have_text(day)
    expect(live).to_have_text(
        "20 Nov, so far, $25.04: "
        "gpt-5 $12.30, claude-sonnet-4.5 $7.06, qwen3-max $4.99, Other $0.70"
    )
    chart.press("Enter")
    expect(page).to_have_url(f"{page.url.partition('#')[0]}#day-20")
    chart.press("Escape")
    expect(tip).to_be_hidden()
    chart.press("ArrowRight")
    expect(tip.locator("p span").first).to_have_text("7 Nov")
    page.keyboard.press("Tab")
    expect(tip).to_be_hidden()


def test_all_but_the_last_series_can_be_switched_off(chart_page: Page) -> None:
    page = chart_page
    chart = page.get_by_role("group", name="Cost per day by model")
    legend = page.locator("#chart-cost .legend").get_by_role("button")
    expect(legend).to_have_count(4)
    for number in range(3):
        legend.nth(number).click()
        expect(legend.nth(number)).to_have_attribute("aria-pressed", "false")
    legend.last.click()
    expect(legend.last).to_have_attribute("aria-pressed", "true")
    chart.press("Home")
    expect(chart.locator(".chart-tip div")).to_have_text(["Other$1.31"])
    legend.first.click()
    chart.press("Home")
    expect(chart.locator(".chart-tip div")).to_have_text(["Other$1.31", "gpt-5$21.30"])


def test_a_chart_is_a_table_too(chart_page: Page) -> None:
    page = chart_page
    panel, table = page.locator("#chart-cost"), page.locator("#chart-cost .chart-table")
    expect(table).to_be_hidden()
    panel.get_by_role("button", name="Table").click()
    expect(table).to_be_visible()
    expect(panel.locator(".chart")).to_be_hidden()
    expect(panel.locator(".legend")).to_be_hidden()
    panel.get_by_role("button", name="Chart").click()
    expect(table).to_be_hidden()
    expect(panel.locator(".chart")).to_be_visible()


@pytest.mark.slow
def test_bars_above_the_log_are_used_by_keyboard_and_drag(
    site: Installation, owner: Visitor
) -> None:
    page, client = owner.page, site.client()
    site.hub.wait(lambda: bool(client.models.list().data), "the models are not heard of")
    client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "a bar #tokens=5"}]
    )
    bars = page.locator("[data-histogram] a")

    def drawn() -> bool:
        page.goto(f"{site.organisation}/requests?status=ok")
        return bars.count() > 3

    site.hub.wait(drawn, "no bar")
    bars.last.focus()
    count = bars.count()
    for key, place in (("ArrowLeft", count - 2), ("Home", 0), ("ArrowLeft", 0), ("ArrowRight", 1),
                       ("End", count - 1), ("ArrowRight", count - 1)):  # fmt: skip
        page.keyboard.press(key)
        expect(bars.nth(place)).to_be_focused()
    # One stop for Tab, where the reader was.
    expect(page.locator("[data-histogram] a[tabindex='0']")).to_have_count(1)
    first, last = count - 3, count - 1
    wanted = [
        dt.datetime.fromisoformat(bars.nth(place).get_attribute(f"data-{edge}") or "")
        for place, edge in ((first, "from"), (last, "to"))
    ]
    for begin, end in ((first, last), (last, first)):
        drawn()
        bars.nth(begin).hover()
        page.mouse.down()
        bars.nth(end).hover()
        expect(page.locator("[data-histogram] a[data-marked]")).to_have_count(3)
        page.mouse.up()
        page.wait_for_url("**/requests?*from=*")
        asked = parse_qs(urlsplit(page.url).query)
        assert asked.pop("status") == ["ok"]
        edges = [dt.datetime.fromisoformat(asked[name][0]) for name in ("from", "to")]
        assert edges == wanted


def test_updated_times_read_like_the_servers(visit: Visit, signed_in: StorageState) -> None:
    page, began = (
        visit(storage_state=signed_in).page,
        dt.datetime(2026, 11, 20, 12, 0, tzinfo=dt.UTC),
    )
    page.clock.install(time=began)
    page.goto("/design/")
    hour = dt.timedelta(hours=1)
    # Half an hour from the next word: when in its minute the page looks is no matter.
    moments = [began + hours * hour for hours in (-0.5, -2.5, 0.5, 3.5, -30, 30)]
    page.evaluate(
        """(moments) => document.querySelector('main').append(...moments.map((moment) => {
             const time = document.createElement('time');
             time.dateTime = moment;
             time.dataset.ago = time.className = 'tried';
             time.textContent = 'as it was';
             return time;
           }))""",
        [moment.isoformat() for moment in moments],
    )
    page.clock.run_for(61_000)
    words = [relative_text(moment, began) for moment in moments[1:2] + moments[3:4]]
    times = page.locator("time.tried")
    expect(times.nth(1)).to_have_text(words[0])
    expect(times.nth(3)).to_have_text(words[1])
    assert words == ["2 h ago", "in 3 h"]
    for number in (4, 5):
        expect(times.nth(number)).to_have_text("as it was")
