"""Each script of the pages alone: on a page of its own, without an installation, in one look.

The page is made of the templates' own parts. What asks the server is noted in `htmx.asked`, and
what a browser draws or plays is noted in its place.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from django.template.loader import render_to_string
from playwright.sync_api import Browser, Page, Route

from config.shell.palette_ranking import rank
from lib.forms.date_and_file_fields import DateInput, FileInput, MomentInput
from lib.forms.picker import Choice, PickSelect, PickSelectMultiple, PickText
from lib.forms.rows import Cell, RowsText
from tests.runner.lanes import ROOT

pytestmark = pytest.mark.browser

ORIGIN: Final = "https://hub.example"
# What the pages' library does, and a place for what it was asked.
_HTMX: Final = """
window.htmx = {
  asked: [],
  ajax(method, url, options = {}) { this.asked.push([method, url, options.values ?? null]); },
  trigger(element, name) { this.asked.push(["trigger", name, null]); },
};
"""
Load = Callable[..., Page]


@pytest.fixture(scope="module")
def loaded() -> list[str]:
    """The HTML of each page that was opened."""
    return []


@pytest.fixture(scope="module")
def blank(browser: Browser, loaded: list[str]) -> Iterator[Page]:
    """One page of one context, opened anew for each script. It has one route: what a former page
    still asks for while a second one is set would be answered twice."""

    def answer(route: Route) -> None:
        url = route.request.url.removeprefix(ORIGIN)
        if url.startswith("/static/"):
            route.fulfill(path=ROOT / url.removeprefix("/"))
        else:
            route.fulfill(body=loaded[-1], content_type="text/html; charset=utf-8")

    context = browser.new_context(reduced_motion="reduce", permissions=["clipboard-write"])
    page = context.new_page()
    page.route("**/*", answer)
    yield page
    context.close()


@pytest.fixture
def load(blank: Page, loaded: list[str]) -> Iterator[Load]:
    problems = list[str]()

    def note(error: Any) -> None:
        problems.append(str(error))

    def open_with(
        body: str, *scripts: str, before: str = "", path: str = "/page", attributes: str = ""
    ) -> Page:
        words = render_to_string("components/words.html")
        tags = '<script src="/static/js/trusted.js"></script>' + "".join(
            f'<script type="module" src="/static/js/{one}.js"></script>' for one in scripts
        )
        html = (
            f'<!doctype html><html lang="en" data-folded=""><body {attributes}>{words}'
            f'<p id="live"></p><div id="toasts" popover="manual"></div>{body}'
            f"<script>{_HTMX}{before}</script>{tags}</body></html>"
        )

        loaded.append(html)
        blank.goto(ORIGIN + path)
        blank.evaluate("localStorage.clear()")
        return blank

    blank.on("pageerror", note)
    yield open_with
    blank.remove_listener("pageerror", note)
    assert problems == []


def each(page: Page, selector: str, value: str) -> list[Any]:
    """What an expression of `one` gives for each of these elements."""
    found: list[Any] = page.eval_on_selector_all(selector, f"(all) => all.map((one) => {value})")
    return found


def texts(page: Page, selector: str) -> list[str]:
    return each(page, selector, "one.textContent.trim()")


# Pickers ------------------------------------------------------------------------------------------

COUNTRIES = [("", "Any"), ("de", "Germany"), ("fr", "France"), ("cn", "China")]


def test_picker_of_a_select_chooses_several(load: Load) -> None:
    """It shows what is chosen, offers the rest by words and notes, and the select is sent."""
    widget = PickSelectMultiple(choices=COUNTRIES, notes=lambda: {"cn": "中国"})
    page = load(f"<form>{widget.render('c', ['de'], {'id': 'c'})}</form>", "ui", "picker")
    chosen = "() => [...document.querySelector('select').selectedOptions].map((one) => one.value)"
    page.click("#c")
    assert texts(page, ".chip") == ["Germany"]
    assert each(page, "[role=option]", "one.dataset.value") == ["fr", "cn"]
    page.fill("#c", "中国")
    page.keyboard.press("Enter")
    assert page.evaluate(chosen) == ["de", "cn"]
    page.fill("#c", "nowhere")
    assert texts(page, ".picks-none") == ["Nothing matches."]
    assert not page.evaluate("document.forms[0].checkValidity()")
    page.fill("#c", "")
    page.keyboard.press("Backspace")
    assert page.evaluate(chosen) == ["de"]
    page.click("[data-unpick]")
    assert page.evaluate(chosen) == []
    assert page.evaluate("document.forms[0].checkValidity()")


def test_picker_of_one_value_replaces_it(load: Load) -> None:
    widget = PickSelect(choices=COUNTRIES)
    page = load(f"<form>{widget.render('c', 'de', {'id': 'c'})}</form>", "ui", "picker")
    page.click("#c")
    page.fill("#c", "france")
    page.keyboard.press("Enter")
    assert texts(page, ".chip") == ["France"]
    assert page.input_value("select") == "fr"
    assert page.input_value("#c") == ""
    # What is written in full is chosen, also where it was not taken from the list.
    page.fill("#c", "China")
    page.evaluate("document.activeElement.blur()")
    assert page.input_value("select") == "cn"


def test_picker_asks_for_choices_beside_another_field(load: Load) -> None:
    """A text that is no choice is sent too, and a change of the other field empties this one."""
    widget = PickText({"id": "s"}, many=True, url="/_f/subjects", beside="scope")
    scope = '<select name="scope"><option>team</option><option>key</option></select>'
    page = load(
        f"<form>{scope}{widget.render('s', 'alpha, beta', {'id': 's'})}</form>", "ui", "picker"
    )
    page.click("#s")
    page.fill("#s", "gam")
    page.wait_for_function("htmx.asked.some(([, url]) => url.includes('gam'))")
    assert page.evaluate("htmx.asked.at(-1)") == [
        "GET", f"{ORIGIN}/_f/subjects?q=gam&scope=team", None,
    ]  # fmt: skip
    assert page.input_value("[name=s]") == "alpha, beta, gam"
    rows = render_to_string(
        "components/_choices.html",
        {"choices": [Choice("beta", "Beta"), Choice("gamma", "Gamma", mark="old", tone="warn")]},
    )
    # The server answers; what is chosen already is not offered again.
    page.evaluate(
        """(html) => {
          const list = document.querySelector("[role=listbox]");
          list.innerHTML = html;
          list.dispatchEvent(new CustomEvent("htmx:after:swap", {
            bubbles: true, detail: { ctx: { target: list } } }));
        }""",
        rows,
    )
    assert each(page, "[role=option]", "one.hidden") == [
        True,
        False,
    ]
    page.click("[data-value=gamma]")
    assert page.input_value("[name=s]") == "alpha, beta, gamma"
    assert page.get_attribute(".chip:last-child", "data-tone") == "warn"
    page.select_option("[name=scope]", "key")
    assert (page.input_value("[name=s]"), texts(page, ".chip")) == ("", [])


def test_rows_are_added_and_removed(load: Load) -> None:
    widget = RowsText(
        [Cell("name", "Name", PickText), Cell("value", "Value", lambda: PickText())],
        lambda line: line.split("="),
        lambda *cells: "=".join(cells),
    )
    page = load(f"<form>{widget.render('r', 'a=b', {'id': 'r'})}</form>", "ui", "picker")
    rows = page.locator(".field-row:not([aria-hidden])")
    assert rows.count() == 2
    page.click("[data-row-add]")
    page.click("[data-row-add]")
    assert rows.count() == 4
    ids = each(page, "form [id]", "one.id")
    assert len(ids) == len({*ids})
    assert page.evaluate("document.activeElement.closest('.field-row') !== null")
    rows.nth(0).locator("[data-row-remove]").click()
    assert rows.count() == 3
    assert page.evaluate("document.activeElement.matches('[data-row-add]')")


# The shell ----------------------------------------------------------------------------------------


def test_toasts_offer_an_action_and_make_room(load: Load) -> None:
    page = load("", "ui")
    show = """(detail) => document.dispatchEvent(new CustomEvent("toast", { detail }))"""
    page.evaluate(show, {"text": "Key disabled", "action": "Undo", "post": "/undo", "tone": "warn"})
    assert (texts(page, "#toasts p"), texts(page, "#toasts button:not([data-close])")) == (
        ["Key disabled"], ["Undo"],
    )  # fmt: skip
    assert page.get_attribute("#toasts .toast", "data-tone") == "warn"
    page.click("text=Undo")
    assert page.evaluate("htmx.asked") == [["POST", "/undo", None]]
    assert texts(page, "#toasts p") == []
    for n in range(5):
        page.evaluate(show, {"text": str(n)})
    assert texts(page, "#toasts p") == ["2", "3", "4"]
    page.click("#toasts [data-close] >> nth=0")
    assert texts(page, "#toasts p") == ["3", "4"]


def test_failed_answers_replace_nothing_and_are_told(load: Load) -> None:
    panel = (
        '<div data-panel aria-busy="true"><a id="in"></a><p class="skeleton"></p>'
        '<p data-panel-failed hidden>Failed</p></div><a id="out"></a>'
    )
    page = load(panel, "ui")
    answer = """([from, status, text]) => {
      const ctx = { sourceElement: document.getElementById(from), response: { status }, text };
      document.dispatchEvent(new CustomEvent("htmx:response:error", { detail: { ctx } }));
      return ctx.swap ?? "as it was";
    }"""
    assert page.evaluate(answer, ["out", 422, "<form></form>"]) == "as it was"
    assert page.evaluate(answer, ["out", 404, "<!doctype html>"]) == "none"
    assert page.evaluate(answer, ["in", 500, ""]) == "none"
    assert texts(page, "#toasts p") == ["The server encountered an error. Nothing was saved."]
    assert (page.is_visible("[data-panel-failed]"), page.locator(".skeleton").count()) == (True, 0)
    lost = """(method) => document.dispatchEvent(new CustomEvent("htmx:error", { detail: { ctx: {
      sourceElement: document.getElementById("out"), request: { method } } } }))"""
    page.evaluate(lost, "POST")
    page.evaluate(lost, "GET")
    assert texts(page, "#toasts p")[1:] == [
        "No response from the server. Reload to check whether it was saved.",
        "The server encountered an error. Nothing was saved.",
    ]


def test_letter_keys_lead_to_pages_unless_somebody_types(load: Load) -> None:
    body = (
        '<a href="#keys" data-go="KeyK">Keys</a><main><input type="search"><textarea></textarea>'
        "</main>"
    )
    page = load(body, "ui", attributes="data-letter-keys")
    page.keyboard.press("k")
    assert page.evaluate("location.hash") == ""
    page.keyboard.press("g")
    page.keyboard.press("k")
    assert page.evaluate("location.hash") == "#keys"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.type") == "search"
    page.keyboard.press("/")
    assert page.input_value("[type=search]") == "/"
    page.evaluate("location.hash = ''")
    page.focus("textarea")
    page.keyboard.type("gk")
    assert page.evaluate("location.hash") == ""
    switched_off = load(body, "ui")
    switched_off.keyboard.press("g")
    switched_off.keyboard.press("k")
    assert switched_off.evaluate("location.hash") == ""


def test_times_go_on_as_the_server_writes_them(load: Load) -> None:
    """Past and future, in the largest whole unit; what is a day away keeps its date."""
    seconds = (0, 59, 61, 7_300, -65, -3 * 3_600 - 5, 90_000)
    page = load(
        "",
        "ui",
        before=f"""
      const now = Date.now();
      const times = {list(seconds)}.map((s) => new Date(now - s * 1000).toISOString());
      document.body.insertAdjacentHTML("beforeend", times.map(
        (at) => `<time data-ago datetime="${{at}}">date</time>`).join(""));
      const every = window.setInterval;
      window.setInterval = (act, ms) => {{
        if (ms === 60000) window.tick = act;
        else every(act, ms);
      }};
    """,
    )
    page.evaluate("tick()")
    assert texts(page, "time")[1:] == [
        "59 s ago", "1 min ago", "2 h ago", "in 1 min", "in 3 h", "date",
    ]  # fmt: skip


def test_texts_are_copied_and_forms_lead_back(load: Load) -> None:
    body = (
        '<input id="key" value="wk-secret"><button data-copy="#key"><span>Copy</span></button>'
        '<button data-copy-text="curl">x</button>'
        '<form onsubmit="return false"><input data-here><button id="send"></button></form>'
        '<form onsubmit="return false" data-signs-out><button id="out"></button></form>'
        '<button data-theme-set="dark">Dark</button><button data-theme-set="light">Light</button>'
        '<button data-fold="side" id="fold">Fold</button><nav class="nav"><a> Keys </a></nav>'
    )
    page = load(
        body,
        "ui",
        path="/o/acme/keys?page=2",
        before="""
      window.copied = [];
      Object.defineProperty(navigator, "clipboard", { value: {
        writeText: async (text) => { window.copied.push(text); } } });
    """,
    )
    page.click("[data-copy]")
    page.click("[data-copy-text]")
    assert page.evaluate("copied") == ["wk-secret", "curl"]
    assert texts(page, "[data-copy]") == ["Copied"]
    page.click("#send")
    assert page.input_value("[data-here]") == "/o/acme/keys?page=2"
    page.click("[data-theme-set=dark]")
    assert page.get_attribute("html", "data-theme") == "dark"
    assert each(page, "[data-theme-set]", "one.ariaPressed") == [
        "true", "false",
    ]  # fmt: skip
    page.click("#fold")
    assert each(page, "#fold, .nav a", "one.ariaExpanded ?? one.title") == ["false", "Keys"]
    assert page.evaluate("localStorage.folded") == "side"
    page.evaluate("localStorage.recent = '[]'; localStorage['draft:1'] = 'text'")
    page.click("#out")
    # Whoever signs in next sees nothing of it; what is no text of theirs stays.
    assert page.evaluate("Object.keys(localStorage)") == ["folded"]


def test_refused_field_is_in_sight(load: Load) -> None:
    page = load(
        '<details><summary>More</summary><input id="a" aria-invalid="true"></details>'
        "<input autofocus>",
        "ui",
    )
    page.wait_for_function("document.activeElement.id === 'a'")
    assert page.evaluate("document.querySelector('details').open")


# Lists, charts and logs ---------------------------------------------------------------------------


def test_dragging_over_bars_asks_for_their_time(load: Load) -> None:
    """W32: from the first bar to the last, in either direction, with all other filters."""
    bars = "".join(
        f'<a href="/log?model=m&from=0{n}&to=0{n + 1}" data-from="0{n}" data-to="0{n + 1}" '
        'style="display:inline-block;width:60px;height:60px">x</a>'
        for n in range(4)
    )
    page = load(f"<div data-histogram>{bars}</div>", "histogram")
    for first, last in ((1, 3), (3, 1)):
        page.evaluate("htmx.asked.length = 0")
        boxes = [page.locator("a").nth(n).bounding_box() for n in (first, last)]
        (start, end) = [(box["x"] + 30, box["y"] + 30) for box in boxes if box]
        page.mouse.move(*start)
        page.mouse.down()
        page.mouse.move(*end, steps=3)
        assert page.locator("[data-marked]").count() == 3
        page.mouse.up()
        assert page.evaluate("htmx.asked") == [["GET", "/log?model=m&from=01&to=04", None]]
    assert each(page, "a", "one.tabIndex") == [-1, -1, -1, 0]
    page.focus("a >> nth=3")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert each(page, "a", "one.tabIndex") == [-1, 0, -1, -1]
    page.keyboard.press("Home")
    assert page.evaluate("document.activeElement.dataset.from") == "00"


_CHART: Final = """
window.uPlot = class {
  constructor(options, data) {
    const bbox = { left: 0, top: 0, width: 600, height: 200 };
    Object.assign(this, { options, data, width: 600, bbox });
    window.plots = [...window.plots ?? [], this];
  }
  redraw() {} setSize() {} destroy() { this.gone = true; } valToPos() { return 10; }
};
"""


def chart(scale: int = 1, prefix: str = "", unit: str = "") -> str:
    def row(day: str, at: str, a: int | None, b: int, total: str) -> str:
        first = "<td>–</td>" if a is None else f'<td data-v="{a}">a {a}</td>'
        return (
            f'<tr><th data-at="{at}" data-short="{day[:3]}"><a href="#{day}">{day}</a></th>{first}'
            f'<td data-v="{b}">b {b}</td><td>{total}</td></tr>'
        )

    return (
        '<section class="panel"><button data-view="chart"></button>'
        '<button data-view="table"></button>'
        f'<div class="chart-table"><table data-chart data-scale="{scale}" data-prefix="{prefix}"'
        f' data-unit="{unit}" aria-label="Cost">'
        '<thead><tr><th>Day</th><th data-series="1">Alpha</th><th data-series="2">Beta</th>'
        "<th data-total>All</th></tr></thead><tbody>"
        + row("Monday", "2026-11-30T00:00Z", 2_000, 1_000, "3 k")
        + row("Tuesday", "2026-12-01T00:00Z", None, 4_000, "4 k")
        + "</tbody></table></div></section>"
        '<ul><li data-mark="2026-12-01T08:00Z"><b data-mark-text>Price changed</b></li></ul>'
    )


def test_chart_shows_the_figures_of_its_table(load: Load) -> None:
    """W32: stacked by row, in the table's unit; what has no figure is none."""
    page = load(chart(scale=1_000), "chart", before=_CHART)
    page.wait_for_function("window.plots?.length")
    assert page.evaluate("plots[0].data") == [[0, 1], [3, 4]]
    assert texts(page, ".legend button") == ["Alpha", "Beta"]
    assert page.get_attribute(".chart", "aria-label") == "Cost"
    # By keys: what a row has is told, the last series first, with what happened on that day.
    page.focus(".chart")
    page.keyboard.press("ArrowRight")
    assert texts(page, ".chart-tip p span") == ["Monday", "3 k"]
    assert texts(page, ".chart-tip div:not(.chart-mark)") == ["Betab 1000", "Alphaa 2000"]
    assert texts(page, "#live") == ["Monday, 3 k: Alpha a 2000, Beta b 1000"]
    page.keyboard.press("End")
    assert texts(page, "#live") == ["Tuesday, 4 k: Beta b 4000, Price changed"]
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#Tuesday"
    page.keyboard.press("Escape")
    assert not page.is_visible(".chart-tip")
    # One series less; the last one stays.
    page.click(".legend button >> nth=0")
    assert page.evaluate("plots.at(-1).data[1]") == [1, 4]
    page.click(".legend button >> nth=1")
    assert each(page, ".legend button", "one.ariaPressed") == [
        "false", "true",
    ]  # fmt: skip
    page.click("[data-view=table]")
    assert (page.is_visible("table"), page.is_visible(".chart")) == (True, False)


def test_axis_shortens_numbers_as_the_pages_do(load: Load) -> None:
    page = load(chart(prefix="$", unit=""), "chart", before=_CHART)
    page.wait_for_function("window.plots?.length")
    axis = "(at) => plots[0].options.axes[1].values(null, at)"
    assert page.evaluate(axis, [0, 0.5]) == ["$0.00", "$0.50"]
    assert page.evaluate(axis, [0, 0.125]) == ["$0.000", "$0.125"]
    assert page.evaluate(axis, [0, 9_000, 10_000, 2_500_000, 3e9]) == [
        "$0", "$9,000", "$10 K", "$2.5 M", "$3 B",
    ]  # fmt: skip
    assert page.evaluate("plots[0].options.axes[1].incrs.slice(0, 4)") == [1, 2, 5, 10]
    page = load(chart(scale=1_000_000, unit="s"), "chart", before=_CHART)
    page.wait_for_function("window.plots?.length")
    assert page.evaluate(axis, [0, 2]) == ["0 s", "2 s"]
    # Parts of a unit have steps of their own.
    assert page.evaluate("plots[0].options.axes[1].incrs ?? null") is None


_LIVE: Final = """
window.sources = [];
window.EventSource = class extends EventTarget {
  static CLOSED = 2;
  constructor(url) { super(); this.url = String(url); this.readyState = 1; sources.push(this); }
  close() { this.readyState = 2; }
  tell(name, data = "", lastEventId = "") {
    this.dispatchEvent(new MessageEvent(name, { data, lastEventId }));
  }
};
"""
_LOG: Final = (
    '<button data-live="/log/stream" data-place="p0" data-decimals="4">Live</button>'
    '<p data-live-missed="Not shown: %(n)s" hidden><a></a></p>'
    '<span data-live-said data-new="New: %(n)s" data-lost="Lost" data-off="Off"></span>'
    '<div id="rows"><table><tbody><tr><td><a href="/r/1">running</a></td></tr>'
    "</tbody></table></div>"
)


def test_live_list_shows_each_request_once(load: Load) -> None:
    """New rows stand on top, one that ended replaces itself, and what is too much is counted."""
    page = load(_LOG, "streams", "live", before=_LIVE, path="/log?model=m")
    page.click("[data-live]")
    assert page.evaluate("sources.map((one) => one.url)") == [
        f"{ORIGIN}/log/stream?model=m&place=p0&decimals=4"
    ]
    page.evaluate("sources[0].tell('open')")
    rows = (
        "<tr><td><a href='/r/3'>three</a></td></tr><tr><td><a href='/r/2'>two</a></td></tr>"
        "<tr><td><a href='/r/1'>ended</a></td></tr><tr data-missed='7'></tr>"
    )
    page.evaluate("(rows) => sources[0].tell('rows', rows, 'p1')", rows)
    assert texts(page, "#rows a") == ["three", "two", "ended"]
    assert each(page, "#rows tr", "'new' in one.dataset") == [
        True, True, False,
    ]  # fmt: skip
    assert texts(page, "[data-live-missed] a") == ["Not shown: 7"]
    page.evaluate("sources[0].tell('rows', \"<tr data-missed='2'></tr>\", 'p2')")
    assert texts(page, "[data-live-missed] a") == ["Not shown: 9"]
    assert page.get_attribute("[data-live-missed] a", "href") == f"{ORIGIN}/log?model=m"
    # Another filter goes on from the place that was named last.
    page.evaluate("history.pushState({}, '', '/log?model=n')")
    page.evaluate("document.dispatchEvent(new Event('htmx:after:history:push'))")
    assert page.evaluate("sources.at(-1).url") == (
        f"{ORIGIN}/log/stream?model=n&place=p2&decimals=4"
    )
    assert page.evaluate("sources[0].readyState") == 2
    page.evaluate("sources.at(-1).tell('ended', 'Too many tabs')")
    assert (texts(page, "[data-live-said]"), page.get_attribute("[data-live]", "aria-pressed")) == (
        ["Too many tabs"], "false",
    )  # fmt: skip
    page.click("[data-live]")
    page.click("[data-live]")
    assert page.evaluate("sources.at(-1).readyState") == 2


# Time passes only by `passTime`: everything that waits is then due.
_LIVE_TIME: Final = """
window.due = [];
window.setTimeout = (act) => due.push(act);
window.clearTimeout = (id) => { delete due[id - 1]; };
function passTime() {
  for (const id of [...due.keys()]) { const act = due[id]; delete due[id]; act?.(); }
}
function refuse(times) {
  for (let n = 0; n < times; n++) {
    sources.at(-1).close();
    sources.at(-1).tell("error");
    passTime();
  }
}
"""


def test_live_list_stays_on_while_each_lost_connection_returns(load: Load) -> None:
    """It turns itself off only after more refusals in a row than it has attempts."""
    page = load(_LOG, "streams", "live", before=_LIVE + _LIVE_TIME, path="/log")
    pressed = "document.querySelector('[data-live]').ariaPressed"

    def state_after(act: str) -> list[Any]:
        found: list[Any] = page.evaluate(f"{act}, [{pressed}, sources.length]")
        return found

    page.click("[data-live]")
    for opened in (9, 17):
        assert state_after("refuse(8)") == ["true", opened]
        page.evaluate("sources.at(-1).tell('open')")
    assert state_after("refuse(9)") == ["false", 25]
    assert texts(page, "[data-live-said]") == ["Off"]
    # Whoever turns it on again has all attempts again.
    page.click("[data-live]")
    assert state_after("refuse(8)") == ["true", 34]


def test_palette_ranks_as_the_server(load: Load) -> None:
    cases = [
        (query, name, others)
        for query in (
            "budgets",
            "bud",
            "budgts",
            "the keys",
            "key dis",
            "密钥",
            "alerts",
            "x",
            "my",
        )
        for name, others in (
            ("Budgets", ["Limits of spending"]),
            ("API keys", ["Disable a key", "Token"]),
            ("密钥", ["禁用密钥"]),
            ("Alert rules", []),
        )
    ]
    page = load('<div id="palette-found"></div><input id="palette-q">', "palette")
    ranks = page.evaluate(
        """async (cases) => {
          const { rank } = await import("/static/js/palette.js");
          return cases.map(([query, name, others]) => rank(query, name, others));
        }""",
        cases,
    )
    assert ranks == [rank(*case) for case in cases]
    assert len({*ranks}) >= 5


# What several pages share -------------------------------------------------------------------------

_MODELS: Final = """
<form><select id="model"><option>alpha</option><option>beta</option></select>
<button type="button" data-pick-for="model"><span data-picked></span></button></form>
<div class="menu" id="menu-models" popover data-one="1 model" data-many="%(n)s models">
  <input id="model-q" role="combobox" aria-controls="models-found">
  <div id="models-found" role="listbox"></div>
  <p class="models-none" hidden>None</p><span data-models-count></span>
  <button type="button" data-model-change="/favourite">Favourite</button>
  <button type="button" data-model-change="/default">Standard</button>
</div>
"""
_FOUND: Final = """
<div role="group">
  <p role="option" id="o1" data-name="alpha" data-words="alpha openai" data-default>
    alpha<i data-star>*</i></p>
  <p role="option" id="o2" data-name="beta" data-words="beta anthropic" data-favourite>beta</p>
</div>
"""
_SWAP: Final = """(html) => {
  const list = document.getElementById("models-found");
  list.innerHTML = html;
  document.dispatchEvent(new CustomEvent("htmx:after:swap", { detail: { ctx: { target: list } } }));
}"""


def test_model_is_picked_from_a_list_that_is_asked_for_once(load: Load) -> None:
    page = load(_MODELS, "ui", "models")
    page.click("[data-pick-for]")
    page.evaluate(_SWAP, _FOUND)
    assert page.evaluate("htmx.asked") == [["trigger", "load-models", None]]
    # The chosen one is marked, and the buttons below are those of the marked row.
    marked = "one.getAttribute('aria-selected') === 'true'"
    assert each(page, "[role=option]", marked) == [True, False]
    assert each(page, "[data-model-change]", "one.ariaPressed") == ["false", "true"]
    page.fill("#model-q", "anthropic")
    assert each(page, "[role=option]", "one.hidden") == [True, False]
    assert texts(page, "[data-models-count]") == ["1 model"]
    assert each(page, "[data-model-change]", "one.ariaPressed") == ["true", "false"]
    page.fill("#model-q", "nothing")
    assert (page.is_visible(".models-none"), texts(page, "[data-models-count]")) == (
        True, ["0 models"],
    )  # fmt: skip
    page.fill("#model-q", "beta")
    page.keyboard.press("Enter")
    assert (page.input_value("#model"), texts(page, "[data-picked]")) == ("beta", ["beta"])
    assert not page.is_visible("#menu-models")
    # A star changes its row alone, and picks nothing.
    page.click("[data-pick-for]")
    page.click("[data-star]")
    assert page.evaluate("htmx.asked.at(-1)") == ["POST", "/favourite", {"model": "alpha"}]
    assert page.input_value("#model") == "beta"


def test_only_the_tabs_used_last_keep_a_stream(load: Load) -> None:
    """A browser opens six connections to a host, over all its tabs."""
    page = load(
        "",
        "streams",
        before="""
      window.told = [];
      window.BroadcastChannel = class { constructor() { window.channel = this; }
        postMessage({ open }) { told.push(open); } };
      window.changes = 0;
      document.addEventListener("streams", () => { window.changes += 1; });
    """,
    )
    hear = "([tab, open]) => channel.onmessage({ data: { tab, open } })"
    page.evaluate("streams.begin()")
    for tab in (1, 2):
        page.evaluate(hear, [tab, True])
    assert not page.evaluate("streams.brief")
    page.evaluate(hear, [3, True])
    assert (page.evaluate("streams.brief"), page.evaluate("changes")) == (True, 1)
    page.evaluate(hear, [1, False])
    assert (page.evaluate("streams.brief"), page.evaluate("changes")) == (False, 2)
    page.evaluate(hear, [4, True])
    # Whoever uses the page has it back.
    page.keyboard.press("a")
    assert page.evaluate("streams.brief") is False
    assert page.evaluate("told") == [True, True]
    page.evaluate("streams.end(); streams.end()")
    assert page.evaluate("told") == [True, True, False]


def test_log_follows_its_end_until_its_reader_leaves(load: Load) -> None:
    lines = "".join(f'<p class="msg">{n}</p>' for n in range(60))
    page = load(
        f'<div><div data-log style="height:200px;overflow:auto"><div>{lines}</div></div>'
        "<button data-to-end hidden>Down</button></div>",
        "follow",
    )
    at_end = """() => {
      const log = document.querySelector("[data-log]");
      return log.scrollHeight - log.scrollTop - log.clientHeight < 48;
    }"""
    add = """() => document.querySelector("[data-log] div").insertAdjacentHTML(
      "beforeend", '<p class="msg">new</p>'.repeat(5))"""
    page.wait_for_function(at_end)
    page.evaluate(add)
    page.wait_for_function(at_end)
    page.hover("[data-log]")
    page.mouse.wheel(0, -900)
    page.wait_for_function(f"!({at_end})()")
    page.evaluate(add)
    page.wait_for_selector("[data-to-end]:not([hidden])", state="attached")
    assert not page.evaluate(at_end)
    page.click("[data-to-end]")
    page.wait_for_function(at_end)


# Each field that a script empties once it was sent: it is in a form of the playground.
_EMPTIED: Final = """
<form id="composer" data-composer><div id="composer-errors"></div>
<textarea id="chat-text" name="text" data-draft="new"></textarea></form>
<div class="menu" popover="manual"><form data-attach-url><input id="url" name="url"></form></div>
"""
# As htmx does once the answer is there.
_ANSWERED: Final = """([selector, sent, status]) => {
  const field = document.querySelector(selector), body = new URLSearchParams();
  body.append(field.name, sent);
  const ctx = { sourceElement: field.form, request: { action: "/sent", method: "POST", body },
    response: { status } };
  field.form.dispatchEvent(
    new CustomEvent("htmx:after:request", { bubbles: true, detail: { ctx } }));
}"""


def test_only_what_was_sent_leaves_its_field(load: Load) -> None:
    """What was typed meanwhile, behind it or in its place, stays, and so does what was refused."""
    page = load(_EMPTIED, "playground", path="/o/acme/playground")
    sent, more, other = "https://example.org/one", "https://example.org/one two", "another"
    cases = [
        ("#chat-text", 200, {sent: "", more: "two", other: other}),
        # An address that has grown is another one.
        ("#url", 200, {more: more, other: other, sent: ""}),
        ("#chat-text", 422, {sent: sent, more: more, other: other}),
        ("#url", 422, {sent: sent, more: more, other: other}),
    ]
    for field, status, lefts in cases:
        page.evaluate("document.querySelector('.menu').showPopover()")
        for typed, left in lefts.items():
            page.fill(field, typed)
            page.evaluate(_ANSWERED, [field, sent, status])
            assert page.input_value(field) == left, (field, status, typed)


# Fields -------------------------------------------------------------------------------------------


def test_dates_and_files_are_shown_in_the_words_of_the_page(load: Load) -> None:
    body = (
        f"{DateInput().render('day', '2026-03-04', {'id': 'day'})}"
        f"{MomentInput().render('at', '2026-03-04T05:06', {'id': 'at'})}"
        f"{DateInput().render('none', '', {'id': 'none'})}"
        f"{FileInput().render('file', None, {'id': 'file'})}"
    )
    page = load(body, "native")
    page.wait_for_function("document.querySelectorAll('[data-shown]').length === 3")
    assert each(page, ".date-face", "one.dataset.shown") == [
        "4 Mar 2026", "4 Mar 2026, 05:06", "Choose a date",
    ]  # fmt: skip
    page.fill("#day", "2025-12-31")
    page.wait_for_function("document.querySelector('.date-face').dataset.shown.includes('2025')")
    assert each(page, ".date-face", "one.dataset.shown")[0] == "31 Dec 2025"
    page.set_input_files("#file", {"name": "bill.csv", "mimeType": "text/csv", "buffer": b"a"})
    page.wait_for_function("document.body.innerText.includes('bill.csv')")


def test_proof_of_work_is_awaited(load: Load) -> None:
    body = (
        """<form><div data-captcha='{"salt": "s"}' data-worker="/w.js" data-done="Done">"""
        '<input type="hidden" name="proof"><p role="status" hidden>Working</p></div>'
        "<button>Send</button></form>"
    )
    page = load(
        body,
        "captcha",
        before="""
      window.sent = [];
      document.addEventListener("submit", (event) => {
        if (!event.defaultPrevented) sent.push(event.target.elements.proof.value);
        event.preventDefault();
      });
      window.Worker = class { constructor() { window.worker = this; } postMessage(asked) {
        this.asked = asked; } terminate() {} };
    """,
    )
    page.click("button")
    assert page.evaluate("sent") == []
    assert page.evaluate("worker.asked.challenge") == {"salt": "s"}
    page.evaluate("worker.onmessage({ data: { derivedKey: 'k', counter: 3 } })")
    page.wait_for_function("sent.length")
    assert page.evaluate("JSON.parse(atob(sent[0]))") == {
        "challenge": {"salt": "s"}, "solution": {"derivedKey": "k", "counter": 3},
    }  # fmt: skip
    assert texts(page, "[role=status]") == ["Done"]


def test_form_names_what_it_changes_and_asks_before_it_is_lost(load: Load) -> None:
    body = (
        '<form data-guarded onsubmit="return false"><label for="n">Name</label>'
        '<input id="n" name="n" value="a"><label for="m">Model</label><input id="m" name="m">'
        '<span data-changed></span><button id="save">Save</button></form>'
    )
    page = load(body, "ui", "work")
    leaves = "!dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    assert not page.evaluate(leaves)
    page.fill("#n", "b")
    assert texts(page, "[data-changed]") == ["1 change: Name"]
    assert page.evaluate(leaves)
    page.fill("#m", "x")
    assert texts(page, "[data-changed]") == ["2 changes: Name, Model"]
    page.fill("#m", "")
    page.fill("#n", "a")
    assert texts(page, "[data-changed]") == [""]
    assert not page.evaluate(leaves)


def test_passkey_of_the_browser_is_sent_with_the_form(load: Load) -> None:
    body = (
        """<form data-passkey="get" data-options='{"publicKey": {"challenge": "c"}}' """
        'data-failed="No passkey." data-unsupported="Too old.">'
        '<input type="hidden" name="credential"><p class="banner" hidden>'
        "<b data-passkey-error></b></p><button>Sign in</button></form>"
    )
    page = load(
        body,
        "passkeys",
        before="""
      window.sent = [];
      HTMLFormElement.prototype.submit = function () { sent.push(this.elements.credential.value); };
      window.PublicKeyCredential = { parseRequestOptionsFromJSON: (options) => options };
      Object.defineProperty(navigator, "credentials", { value: { get: async ({ publicKey }) => {
        if (window.cancelled) throw new Error("cancelled");
        return { toJSON: () => ({ of: publicKey.challenge }) };
      } } });
    """,
    )
    page.click("button")
    page.wait_for_function("sent.length")
    assert page.evaluate("sent") == ['{"of":"c"}']
    assert not page.is_visible(".banner")
    page.evaluate("window.cancelled = true")
    page.click("button")
    page.wait_for_selector(".banner:not([hidden])")
    assert texts(page, "[data-passkey-error]") == ["No passkey."]
    page.evaluate("delete window.PublicKeyCredential.parseRequestOptionsFromJSON")
    page.click("button")
    assert texts(page, "[data-passkey-error]") == ["Too old."]
    assert page.evaluate("sent.length") == 1
