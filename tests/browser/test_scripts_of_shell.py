"""What the shell of a page does by its scripts, beside what `test_scripts.py` has of it: dialogs,
the palette, lists to walk by keys, forms and lists that are worked with."""

from typing import Any, Final

import pytest
from django.template.loader import render_to_string
from playwright.sync_api import Page

from lib.forms.picker import PickSelectMultiple
from tests.browser.test_scripts import Load, blank, each, load, loaded, texts
from tests.browser.test_scripts_of_chats import PATH, chat, happen

pytestmark = pytest.mark.browser
__all__ = ["blank", "load", "loaded"]

_SWAPPED: Final = """([selector, html]) => {
  const target = document.querySelector(selector);
  target.innerHTML = html;
  document.dispatchEvent(new CustomEvent("htmx:after:swap", { detail: { ctx: { target } } }));
}"""


# Dialogs and the palette ------------------------------------------------------------------------


def test_dialog_empties_itself_and_gives_the_focus_back(load: Load) -> None:
    page = load(
        '<button id="from">Open</button><dialog class="dlg" id="dialog"></dialog>'
        '<dialog class="dlg" id="other"><p>Words</p><button data-dialog-close>Close</button>'
        '<button data-press="#from">Press</button></dialog><a data-dialog="#other">Other</a>',
        "ui",
        path="/page?d=1",
    )
    page.focus("#from")
    page.evaluate(_SWAPPED, ["#dialog", "<h2>Key</h2><p>secret</p><input autofocus>"])
    assert page.evaluate("[dialog.open, document.activeElement.tagName]") == [True, "INPUT"]
    page.keyboard.press("Escape")
    page.wait_for_function("!document.querySelector('#dialog').open")
    # A secret that is shown once leaves the page.
    page.wait_for_function("document.querySelector('#dialog').childElementCount === 0")
    assert page.evaluate("[document.activeElement.id, location.search]") == ["from", ""]
    page.click("[data-dialog]")
    page.click("[data-dialog-close]")
    assert texts(page, "#other p") == ["Words"]
    page.evaluate("""() => { window.pressed = 0;
      document.querySelector("#from").addEventListener("click", () => { pressed += 1; }); }""")
    page.click("[data-dialog]")
    page.click("[data-press]")
    assert page.evaluate("[pressed, document.querySelector('#other').open]") == [1, False]


_FOUND: Final = """
<template data-known data-best="Best">
  <div data-group="Pages"><a class="item" id="i1" href="/keys"><span class="cut">Keys</span></a>
    <p><b>Keys</b><b>Tokens</b></p></div>
  <div data-group="Pages"><a class="item" id="i2" href="/key-log">
    <span class="cut">Key log</span></a><p><b>Key log</b></p></div>
  <div data-group="Acts"><a class="item" id="i3" href="/key-new">
    <span class="cut">Key: new</span></a><p><b>Key: new</b></p></div>
  <div data-group="Acts"><a class="item" id="i4" href="/key-end">
    <span class="cut">Key: end</span></a><p><b>Key: end</b></p></div>
</template>
"""


def test_palette_opens_by_keys_and_knows_what_was_chosen_last(load: Load) -> None:
    page = load(
        '<dialog class="palette" id="palette" data-finder="/static/js/palette.js">'
        '<form role="search"><input name="recent" type="hidden">'
        '<input id="palette-q" role="combobox" aria-controls="palette-found"></form>'
        '<div id="palette-found" role="listbox"></div></dialog>',
        "ui",
    )
    page.evaluate("localStorage.recent = JSON.stringify([['/a', 'A'], ['/keys', 'Keys']])")
    page.keyboard.press("Control+k")
    assert page.evaluate("[palette.open, document.activeElement.id]") == [True, "palette-q"]
    assert page.input_value("[name=recent]") == '[["/a","A"],["/keys","Keys"]]'
    page.evaluate(_SWAPPED, ["#palette-found", _FOUND])
    page.wait_for_function(
        """async () => (await import("/static/js/palette.js")).find("key").length"""
    )
    page.fill("#palette-q", "key")
    groups = "[one.getAttribute('aria-label'), ...[...one.querySelectorAll('a')].map((a) => a.id)]"
    assert each(page, "#palette-found [role=group]", groups) == [
        ["Best", "i1", "i2", "i3"], ["Acts", "i4"],
    ]  # fmt: skip
    assert each(page, "#palette-found [aria-selected=true]", "one.id") == ["i1"]
    # Whoever went on by arrows stays there when the server's answer comes.
    page.evaluate("""() => { const item = document.querySelector("#i2");
      for (const one of document.querySelectorAll(".item")) one.ariaSelected = one === item;
      document.querySelector("#palette-q").dispatchEvent(
        new KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true })); }""")
    marked = page.evaluate("document.querySelector('#palette-found [aria-selected=true]').href")
    page.evaluate("""(html) => { const target = document.querySelector("#palette-found");
      target.innerHTML = html; document.dispatchEvent(new CustomEvent("htmx:after:swap",
        { detail: { ctx: { target } } })); }""",
        '<a class="item" id="j1" href="/keys">1</a><a class="item" id="j2" href="/key-log">2</a>'
        '<a class="item" id="j3" href="/key-new"><span class="cut">3</span></a>')  # fmt: skip
    assert page.evaluate("document.querySelector('#palette-found [aria-selected=true]').href") == (
        marked
    )
    page.evaluate("""() => { document.addEventListener("click", (e) => e.preventDefault());
      document.querySelector("#palette-found a").insertAdjacentHTML("beforeend",
        '<span class="cut">Keys</span>'); document.querySelector("#j1").click(); }""")
    assert page.evaluate("localStorage.recent") == '[["/keys","Keys"],["/a","A"]]'
    page.keyboard.press("Control+k")
    assert page.evaluate("palette.open") is False


def test_toasts_stay_longer_where_they_can_be_undone(load: Load) -> None:
    page = load(
        '<aside class="side"><button data-fold="side">Fold</button></aside>'
        '<figure class="code"><button data-wrap-toggle>Wrap</button></figure>',
        "ui",
        attributes="data-letter-keys",
        before="window.waits = []; window.setTimeout = (act, ms) => waits.push(ms);",
    )
    show = """(detail) => document.dispatchEvent(new CustomEvent("toast", { detail }))"""
    page.evaluate("waits.length = 0")
    page.evaluate(show, {"text": "Gone", "action": "Undo", "post": "/undo"})
    page.evaluate(show, {"text": "Saved"})
    assert page.evaluate("waits") == [10_000, 6_000]
    page.keyboard.press("[")
    assert page.get_attribute("html", "data-folded") == "side"
    page.keyboard.press("]")
    assert page.get_attribute("html", "data-folded") == "side"
    for wrapped in (True, False):
        page.click("[data-wrap-toggle]")
        assert page.evaluate("'wrap' in document.querySelector('.code').dataset") is wrapped
        assert each(page, "[data-wrap-toggle]", "one.ariaPressed") == [str(wrapped).lower()]


def test_enter_waits_for_the_list_of_what_is_typed(load: Load) -> None:
    page = load(
        '<form role="search" onsubmit="return false">'
        '<input id="q" role="combobox" aria-controls="found"></form>'
        '<div id="found" role="listbox"></div>',
        "ui",
    )
    rows = "".join(f'<button role="option" id="o{n}" type="button">{n}</button>' for n in range(3))
    page.evaluate("""() => { window.taken = [];
      document.addEventListener("click", ({ target }) => taken.push(target.id)); }""")
    page.fill("#q", "a")
    page.evaluate(_SWAPPED, ["#found", rows])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert page.evaluate("taken.splice(0)") == ["o2"]
    page.fill("#q", "ab")
    page.keyboard.press("Enter")
    assert page.evaluate("taken") == []
    page.evaluate(_SWAPPED, ["#found", rows])
    assert page.evaluate("taken.splice(0)") == ["o0"]
    # What was asked for another text is not shown.
    stale = """(q) => { const target = document.querySelector("#found"), ctx = { target,
        request: { action: `/find?q=${q}` } };
      return document.dispatchEvent(new CustomEvent("htmx:before:swap",
        { cancelable: true, detail: { ctx } })); }"""
    assert [page.evaluate(stale, text) for text in ("a", "ab")] == [False, True]


# Forms and lists --------------------------------------------------------------------------------


def test_object_is_named_before_it_is_deleted(load: Load) -> None:
    page = load(
        '<form data-confirm-name="Acme"><input name="confirm">'
        '<button type="submit" data-kind="danger">Delete</button></form>'
        '<select name="tz"><option>UTC</option><option>Europe/Brussels</option></select>'
        '<ol><li id="a">A <button data-move="down">v</button></li>'
        '<li id="b">B <button data-move="up">^</button></li></ol>',
        "ui",
        "work",
        before="""Intl.DateTimeFormat.prototype.resolvedOptions =
          () => ({ timeZone: "Europe/Brussels" });""",
    )
    for name, allowed in (("", False), ("acme", False), (" Acme ", True), ("Acm", False)):
        page.fill("[name=confirm]", name)
        assert page.is_enabled("[data-kind=danger]") is allowed, name
    assert texts(page, "option") == ["Europe/Brussels (your browser)", "UTC"]
    page.click("#b [data-move]")
    assert each(page, "li", "one.id") == ["b", "a"]
    page.click("#b [data-move]")
    assert each(page, "li", "one.id") == ["b", "a"]
    page.click("#a [data-move]")
    assert each(page, "li", "one.id") == ["b", "a"]
    page.evaluate("document.querySelector('#b [data-move]').dataset.move = 'down'")
    page.click("#b [data-move]")
    assert each(page, "li", "one.id") == ["a", "b"]


def test_rows_of_a_list_are_ticked_and_opened(load: Load) -> None:
    rows = "".join(
        '<tr><td class="tick"><input type="checkbox" name="id"></td>'
        f'<th><a href="#{n}">{n}</a></th>'
        f"<td id=cell{n}>text</td><td><button>act</button></td></tr>"
        for n in range(3)
    )
    page = load(
        '<div id="rows"><table><thead><tr><th class="tick"><input type="checkbox" data-tick-all>'
        f'</th></tr></thead><tbody>{rows}</tbody></table><b class="bulk-n" data-n="0"></b></div>'
        '<form class="filters"><input type="hidden" name="model" value="a">'
        '<input type="hidden" name="key" value="k"><select name="model"><option>b</option>'
        "<option>c</option></select></form>"
        '<a id="sort" data-add="/list?sort=a,b" href="/list?sort=b">Sort</a>'
        "<button data-filters>Filters</button>",
        "ui",
        "work",
    )
    count = "document.querySelector('.bulk-n').dataset.n"
    page.click("tbody input >> nth=1")
    assert page.evaluate(count) == "1"
    page.click("[data-tick-all]")
    assert page.evaluate(count) == "3"
    page.click("tbody input >> nth=0")
    assert page.evaluate(count) == "2"
    assert page.evaluate("location.hash") == ""
    page.click("tbody button >> nth=0")
    assert page.evaluate("location.hash") == ""
    page.click("#cell2")
    assert page.evaluate("location.hash") == "#2"
    page.select_option("select[name=model]", "c")
    assert each(page, ".filters [type=hidden]", "one.name") == ["key"]
    page.click("#sort", modifiers=["Shift"])
    assert page.evaluate("htmx.asked") == [["GET", "https://hub.example/list?sort=a,b", None]]
    for is_open in ("true", "false"):
        page.click("button[data-filters]")
        assert each(page, "button[data-filters]", "one.ariaExpanded") == [is_open]


def test_pasted_words_are_chosen_and_others_stay_to_be_corrected(load: Load) -> None:
    choices = [("de", "Germany"), ("fr", "France"), ("CN", "China")]
    widget = PickSelectMultiple(choices=choices)
    page = load(f"<form>{widget.render('c', [], {'id': 'c'})}</form>", "ui", "picker")
    chosen = "[...document.querySelector('select').selectedOptions].map((one) => one.value)"
    for typed, values, left in (
        ("nowhere else", [], "nowhere else"),
        ("fr, nowhere CN", ["fr", "CN"], "nowhere"),
        ("de ", ["de", "fr", "CN"], ""),
    ):
        page.fill("#c", typed)
        assert (page.evaluate(chosen), page.input_value("#c")) == (values, left)
    page.fill("#c", "xy")
    page.keyboard.press("Backspace")
    assert (page.evaluate(chosen), page.input_value("#c")) == (["de", "fr", "CN"], "x")
    page.fill("#c", "")
    page.keyboard.press("Backspace")
    assert page.evaluate(chosen) == ["fr", "CN"]


def test_proof_of_work_that_fails_says_so(load: Load) -> None:
    page = load(
        """<form><div data-captcha='{"salt": "s"}' data-worker="/w.js" data-done="Done" """
        'data-failed="Failed"><input type="hidden" name="proof"><p role="status" hidden></p></div>'
        "</form>",
        "captcha",
        before="""window.Worker = class {
          constructor() { window.worker = this; } postMessage() {} terminate() {} };""",
    )
    page.evaluate("worker.onmessage({ data: { error: 'late' } })")
    page.wait_for_function("document.querySelector('[role=status]').textContent === 'Failed'")


def test_passkey_is_made_and_asked_for_by_the_forms_address(load: Load) -> None:
    forms = (
        """<form id="new" data-passkey="create" data-options='{"publicKey": {"challenge": "c"}}'>"""
        '<input type="hidden" name="credential"><button>Add</button></form>'
        '<form id="in" data-passkey="get" action="/options"><input type="hidden" name="credential">'
        "<button>Sign in</button></form>"
    )
    page = load(
        forms,
        "passkeys",
        before="""
      window.sent = [];
      HTMLFormElement.prototype.submit = function () { sent.push(this.elements.credential.value); };
      window.PublicKeyCredential = {
        parseRequestOptionsFromJSON: (options) => ({ ask: options.challenge }),
        parseCreationOptionsFromJSON: (options) => ({ make: options.challenge }) };
      const answer = async ({ publicKey }) => ({ toJSON: () => publicKey });
      Object.defineProperty(navigator, "credentials", { value: { get: answer, create: answer } });
      window.fetch = async (url) => ({ json: async () => ({
        request_options: { publicKey: { challenge: new URL(url).pathname } } }) });
    """,
    )
    for number, form in enumerate(("#new", "#in"), 1):
        page.click(f"{form} button")
        page.wait_for_function(f"sent.length === {number}")
    assert page.evaluate("sent") == ['{"make":"c"}', '{"ask":"/options"}']


# The chat, once more ----------------------------------------------------------------------------


def test_page_that_is_left_says_so(load: Load) -> None:
    """Its temporary chat ends, and another tab may have its stream."""
    page = chat(
        load, f'<form id="visit" action="{PATH}/visit"><input name="visit" value="v"></form>'
    )
    page.evaluate("""() => { window.beacons = []; navigator.sendBeacon = (url, form) =>
      beacons.push([new URL(url).pathname, Object.fromEntries(form)]); }""")
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    left = page.evaluate("beacons")
    assert left == [[f"{PATH}/visit", {"visit": "v", "left": "1"}]]
    page = load(
        "",
        "streams",
        before="""window.posted = []; window.BroadcastChannel = class {
          postMessage({ open }) { posted.push(open); } };""",
    )
    page.evaluate("streams.begin(); dispatchEvent(new Event('pagehide'))")
    assert page.evaluate("posted") == [True, False]


def test_maximum_is_asked_for_files_without_words_too(load: Load) -> None:
    page = chat(
        load,
        '<select id="set-trim" form="composer"><option></option><option>oldest</option></select>'
        "<button data-trim>Trim</button>",
    )
    page.fill("#chat-text", "x")
    page.fill("#chat-text", "")
    page.evaluate("htmx.asked.length = 0; goOn()")
    assert page.evaluate("htmx.asked") == []
    page.evaluate("""() => document.querySelector("#chips").insertAdjacentHTML("beforeend",
      '<p class="file-chip"><input name="file"></p>')""")
    happen(page, "htmx:after:swap", "#chips", "{ target: document.querySelector('#chips') }")
    page.evaluate("htmx.asked.length = 0; goOn()")
    assert page.evaluate("htmx.asked") == [["trigger", "bound", None]]
    page.click("[data-trim]")
    assert page.input_value("#set-trim") == "oldest"
    # Whoever sends looks at the end of the log; whoever does something else does not.
    page.evaluate("""() => { window.pins = 0;
      document.querySelector("[data-log]").addEventListener("pin", () => { pins += 1; });
      window.requestAnimationFrame = (act) => act(); }""")
    swapped = "{ request: { action: '/o/acme/playground/%s' }, response: { status: %d } }"
    for action, status, pins in (("history", 200, 0), ("runs", 422, 0), ("runs", 200, 1)):
        happen(page, "htmx:after:swap", "#composer", swapped % (action, status))
        assert page.evaluate("pins") == pins


def test_hidden_tabs_stream_is_asked_for_more_seldom(load: Load) -> None:
    page = load(
        '<i id="stream" hx-sse:connect="/events"></i><div id="spoken"></div>',
        "streams",
        "stream",
        before="""
      window.BroadcastChannel = class { constructor() { window.channel = this; } postMessage() {} };
      window.fetch = async (url) => { (window.fetched ??= []).push(url);
        return { ok: true, body: { cancel() {} } }; };
    """,
    )
    page.evaluate("""() => {
      window.request = { action: "/events", headers: {} };
      const stream = document.querySelector("#stream"), say = (name, detail) =>
        stream.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));
      say("htmx:config:request", { ctx: { request } });
      window.connection = { config: {}, reader: { cancel: () => { window.cancelled = true; } } };
      say("htmx:sse:before:connection", { connection });
    }""")
    assert page.evaluate("[connection.config.reconnectDelay, request.action]") == [
        500, "https://hub.example/events",
    ]  # fmt: skip
    for tab in range(3):
        page.evaluate("(tab) => channel.onmessage({ data: { tab, open: true } })", tab)
    page.wait_for_function("window.cancelled")
    assert page.evaluate("[connection.config.reconnectDelay, fetched]") == [
        2_000, ["https://hub.example/events?brief=1"],
    ]  # fmt: skip


def test_brush_of_a_mask_grows_by_its_key(load: Load) -> None:
    mask: dict[str, Any] = {
        "picture_url": "/static/img/favicon.svg",
        "slug": "o",
        "white": False,
        "given": {"mask": None},
    }
    html = render_to_string("playground/media/_media_mask.html", mask)
    page: Page = load(html, "media")
    size = "Number(document.querySelector('[data-brush-size]').value)"
    before = page.evaluate(size)
    page.focus(".mask canvas")
    page.keyboard.press("]")
    assert page.evaluate(size) == before + 2
    page.keyboard.press("[")
    page.keyboard.press("[")
    assert page.evaluate(size) == before - 2


_MICROPHONE: Final = """
  window.moment = 0; performance.now = () => moment;
  window.loud = 0; window.requestAnimationFrame = (look) => { window.look = look; return 1; };
  window.cancelAnimationFrame = () => {};
  window.matchMedia = () => ({ matches: false });
  window.AudioContext = class {
    createAnalyser() { return { getFloatTimeDomainData: (samples) => samples.fill(loud) }; }
    createMediaStreamSource() { return { connect() {} }; } close() {} };
  window.MediaRecorder = class { mimeType = "audio/mp4"; start() {}
    stop() { this.ondataavailable({ data: "sound" }); this.onstop(); } };
  Object.defineProperty(navigator, "mediaDevices", { value: { getUserMedia: async () => {
    if (window.fault) throw new DOMException("", fault);
    return { getTracks: () => [] }; } } });
  window.heard = [];
  document.addEventListener("recorded", ({ detail }) => heard.push(detail.name));
  document.addEventListener("toast", ({ detail }) => heard.push(detail.text));
"""


def test_recording_shows_how_loud_it_is_and_for_how_long(load: Load) -> None:
    page = load(
        '<button data-record data-refused="No" data-missing="None" data-busy="Busy">Record</button>'
        '<p id="recording" data-heard="Heard" data-silent="Silent" hidden><svg><rect data-level />'
        '</svg><b data-clock></b><i role="status"></i></p>',
        "recorder",
        before=_MICROPHONE,
    )
    page.click("[data-record]")
    page.wait_for_function("document.querySelector('[data-record]').ariaPressed === 'true'")
    shown = """([ms, sound]) => { [moment, loud] = [ms, sound]; look();
      return [document.querySelector("[data-level]").getAttribute("width"),
        ...["[data-clock]", "[role=status]"].map((one) => document.querySelector(one).textContent),
      ]; }"""
    for ms, sound, *seen in (
        (0, 0, "0", "0:00", ""),
        (500, 0.1, "67", "0:00", ""),
        # The loudest of a second is told at its end.
        (1_000, 0, "0", "0:01", "Heard"),
        (1_500, 0, "0", "0:01", "Heard"),
        (2_000, 0.001, "0", "0:02", "Silent"),
        (65_000, 2, "100", "1:05", "Heard"),
    ):
        assert page.evaluate(shown, [ms, sound]) == seen, ms
    assert page.is_visible("#recording")
    page.click("[data-record]")
    assert page.evaluate("heard") == ["recording.m4a"]
    assert (page.is_hidden("#recording"), texts(page, "[role=status]")) == (True, [""])
    for number, (fault, text) in enumerate(
        (("NotAllowedError", "No"), ("NotFoundError", "None"), ("AbortError", "Busy")), 2
    ):
        page.evaluate("(name) => { window.fault = name; }", fault)
        page.click("[data-record]")
        page.wait_for_function(f"heard.length === {number}")
        assert page.evaluate("heard.at(-1)") == text
