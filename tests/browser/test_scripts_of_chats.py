"""The scripts of the playground's chats alone, as `test_scripts.py` has those of all pages: keys,
files, tabs, lost connections, and the stream of an answer."""

from typing import Any, Final

import pytest
from playwright.sync_api import Page

from tests.browser.test_scripts import ORIGIN, Load, blank, each, load, loaded, texts

pytestmark = pytest.mark.browser
__all__ = ["blank", "load", "loaded"]

PATH: Final = "/o/acme/playground/c/01ABC"
_CHAT: Final = """
<div class="chat" data-panel="" data-keys='%(keys)s'>
  <button data-pane-tab="params">P</button><button data-pane-tab="tools">T</button>
  <button data-pane-tab="code">C</button>
  <div data-pane="params" tabindex="-1"><textarea id="set-system"></textarea></div>
  <div data-pane="tools" tabindex="-1"></div>
  <div data-pane="code" id="code-pane" tabindex="-1"></div><div id="debug"></div>
  <div class="log" data-log>%(messages)s</div>
  <div id="composer-errors"><p>old</p></div>
  <form id="composer" data-composer action="/sent" onsubmit="return false">
    <input type="hidden" id="seen" value="m2">
    <textarea id="chat-text" name="text" data-draft="new"></textarea>
    <span id="stop-slot"><button type="button" data-stop>Stop</button></span>
    <button type="submit" data-send>Send</button></form>
  <div id="chips" data-drop></div><div id="bound"></div>
  <form id="attach"><input type="file" multiple></form>
  <div id="menu-attach" popover><button data-attach>Attach</button></div>
  <p id="link-state" data-lost="Lost" data-calm="Calm">Calm</p>
  <p id="unsent" hidden data-offline="Offline" data-unsure="Unsure" data-online="Online">
    <b data-why></b></p>
  <a data-new-chat href="#new">New</a><button data-list-open>List</button>
  <button data-keys-open>Keys</button><button data-pick-for="chat-model">Model</button>
</div>
"""
_KEYS: Final = (
    '{"KeyN": "new_chat", "KeyL": "chats", "KeyM": "model", "KeyY": "system", "KeyP": "params", '
    '"KeyT": "tools", "KeyC": "code", "KeyU": "attach", "KeyE": "edit", "KeyR": "regenerate", '
    '"F2": "rename"}'
)
# Notes what is pressed, and keeps all that waits until it is let go on.
_NOTED: Final = """
window.pressed = [];
document.addEventListener("click", ({ target }) => {
  const of = Object.keys(target.closest("[data-noted], button, a")?.dataset ?? {})[0];
  pressed.push(of);
}, true);
window.sent = 0;
document.addEventListener("submit", () => { sent += 1; });
window.waits = [];
window.setTimeout = (act, ms, ...rest) => waits.push([ms, () => act(...rest)]);
window.clearTimeout = (id) => { if (id) waits[id - 1] = null; };
window.goOn = () => { for (const wait of waits.splice(0)) wait?.[1](); };
window.BroadcastChannel = class {
  constructor(name) { this.name = name; this.posted = []; (window.channels ??= {})[name] = this; }
  postMessage(data) { this.posted.push(data); }
};
"""


def message(id: str, *, role: str = "assistant", inner: str = "") -> str:
    return f'<article class="msg" id="msg-{id}" data-role="{role}" tabindex="-1">{inner}</article>'


def chat(load: Load, messages: str = "", path: str = PATH, **over: Any) -> Page:
    body = _CHAT % {"keys": _KEYS, "messages": messages}
    page = load(body, "playground", before=_NOTED, path=path, **over)
    # Another test may have left a draft.
    page.evaluate("document.querySelector('#chat-text').value = ''")
    page.evaluate("htmx.asked.length = waits.length = 0")
    return page


def happen(page: Page, name: str, selector: str, ctx: str) -> None:
    """An event of htmx at an element; `ctx` is written in JavaScript."""
    page.evaluate(
        f"""(selector) => document.querySelector(selector).dispatchEvent(new CustomEvent(
          "{name}", {{ bubbles: true, detail: {{ ctx: {ctx}, tasks: [] }} }}))""",
        selector,
    )


# Keys -------------------------------------------------------------------------------------------


def test_enter_sends_unless_there_is_nothing_to_send(load: Load) -> None:
    page = chat(load)
    text = "#chat-text"
    page.focus(text)
    page.keyboard.press("Enter")
    page.fill(text, "  ")
    page.keyboard.press("Enter")
    page.fill(text, "Hi")
    page.keyboard.press("Shift+Enter")
    assert (page.evaluate("sent"), page.input_value(text)) == (0, "Hi\n")
    for state in ("composer.toggleAttribute('data-running')", "send.disabled = !send.disabled"):
        switch = (
            "() => { const composer = document.querySelector('#composer'), "
            f"send = composer.querySelector('[data-send]'); {state}; }}"
        )
        page.evaluate(switch)
        page.keyboard.press("Enter")
        assert page.evaluate("sent") == 0, state
        page.evaluate(switch)
    page.keyboard.press("Enter")
    assert page.evaluate("sent") == 1
    page.evaluate("document.querySelector('.chat').dataset.ctrlSends = ''")
    page.keyboard.press("Enter")
    assert (page.evaluate("sent"), page.input_value(text)) == (1, "Hi\n\n")
    page.keyboard.press("Control+Enter")
    assert page.evaluate("sent") == 2


def test_escape_stops_the_answer_also_one_that_is_on_its_way(load: Load) -> None:
    page = chat(load)
    begin = "{ request: { action: '/o/acme/playground/runs' } }"
    page.keyboard.press("Escape")
    assert page.evaluate("pressed") == []
    happen(page, "htmx:before:request", "#composer", begin)
    page.keyboard.press("Escape")
    assert page.evaluate("pressed") == []
    page.evaluate("document.querySelector('#stop-slot').dataset.running = ''")
    page.evaluate("document.dispatchEvent(new Event('begun'))")
    assert page.evaluate("pressed") == ["stop"]
    # The next one begins without it.
    page.evaluate("document.dispatchEvent(new Event('begun'))")
    assert page.evaluate("pressed") == ["stop"]
    page.keyboard.press("Escape")
    assert page.evaluate("pressed") == ["stop", "stop"]
    page.evaluate("document.querySelector('[data-stop]').disabled = true")
    page.keyboard.press("Escape")
    assert page.evaluate("pressed") == ["stop", "stop"]
    page.evaluate("delete document.querySelector('#stop-slot').dataset.running")
    happen(page, "htmx:before:request", "#composer", begin)
    page.keyboard.press("Escape")
    happen(page, "htmx:error", "#composer", begin)
    page.evaluate("document.querySelector('#stop-slot').dataset.running = ''")
    page.evaluate("document.querySelector('[data-stop]').disabled = false")
    page.evaluate("document.dispatchEvent(new Event('begun'))")
    assert page.evaluate("pressed") == ["stop", "stop"]


def test_each_key_does_its_act(load: Load) -> None:
    inner = (
        "<button data-edit>Edit</button>"
        "<form onsubmit='return false'><button data-regenerate>Again</button></form>"
        '<button data-version="before">‹</button><button data-version="after">›</button>'
    )
    page = chat(load, message("m1", inner=inner) + message("m2", inner=inner), attributes=(
        "data-letter-keys"))  # fmt: skip
    for key, act in (
        ("n", "newChat"), ("l", "listOpen"), ("m", "pickFor"), ("u", "attach"), ("e", "edit"),
    ):  # fmt: skip
        page.evaluate("pressed.length = 0")
        page.keyboard.press(f"Alt+{key}")
        assert page.evaluate("pressed")[0] == act, key
        page.keyboard.press(f"Control+Alt+{key}")
        assert page.evaluate("pressed.filter((one) => one !== undefined)")[1:] == [], key
    panel = "document.querySelector('.chat').dataset.panel"
    for key, pane in (("p", "params"), ("t", "tools"), ("c", "code"), ("c", ""), ("y", "params")):
        page.keyboard.press(f"Alt+{key}")
        assert page.evaluate(panel) == pane, key
    assert page.evaluate("document.activeElement.id") == "set-system"
    page.keyboard.press("Escape")
    assert page.evaluate(f"[{panel}, document.activeElement.id]") == ["", "chat-text"]
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Alt+r")
    assert page.evaluate("sent") == 1
    page.evaluate("pressed.length = 0")
    page.keyboard.press("?")
    assert page.evaluate("pressed") == ["keysOpen"]
    page.focus("#chat-text")
    page.keyboard.press("?")
    assert page.input_value("#chat-text") == "?"
    assert page.evaluate("pressed") == ["keysOpen"]


def test_arrows_go_through_messages_and_their_versions(load: Load) -> None:
    versions = '<button data-version="before">‹</button><button data-version="after">›</button>'
    page = chat(load, "".join(message(f"m{n}", inner=versions) for n in range(3)))
    active = "document.activeElement.closest('.msg')?.id"
    gone = []
    for key in ("Up", "Up", "Up", "Up", "Down"):
        page.keyboard.press(f"Alt+Arrow{key}")
        gone.append(page.evaluate(active))
    assert gone == ["msg-m2", "msg-m1", "msg-m0", "msg-m0", "msg-m1"]
    which = """(key) => { window.at = null;
      document.addEventListener("click", ({ target }) => {
        at = [target.closest(".msg").id, target.dataset.version]; }, { once: true }); }"""
    for key, version in (("Left", "before"), ("Right", "after")):
        page.evaluate(which)
        page.keyboard.press(f"Alt+Arrow{key}")
        assert page.evaluate("at") == ["msg-m1", version]
    page.evaluate("document.activeElement.blur()")
    page.evaluate(which)
    page.keyboard.press("Alt+ArrowLeft")
    assert page.evaluate("at[1]") == "before"


# Files ------------------------------------------------------------------------------------------

_ATTACH: Final = """([how, names, types, at]) => {
  const carrier = new DataTransfer(), over = { bubbles: true, cancelable: true };
  for (const name of names) carrier.items.add(new File(["x"], name));
  for (const type of types) carrier.setData(type, "x");
  const event = how === "paste" ? new ClipboardEvent(how, { clipboardData: carrier, ...over })
    : new DragEvent(how, { dataTransfer: carrier, ...over });
  document.querySelector(at).dispatchEvent(event);
  return event.defaultPrevented;
}"""


def test_each_file_is_attached_in_a_request_of_its_own(load: Load) -> None:
    page = chat(load)
    page.evaluate("""() => { window.attached = []; htmx.trigger = (form, name) => {
      const files = form.querySelector("[type=file]")?.files ?? [];
      attached.push([name, ...[...files].map((file) => file.name)]); }; }""")
    both = ["text/plain", "text/html"]
    acts: list[tuple[list[Any], bool]] = [
        (["paste", ["a"], [], "#chat-text"], True),
        (["paste", ["b"], ["text/plain"], "#chat-text"], True),
        # Office puts a picture beside its texts.
        (["paste", ["c"], both, "#chat-text"], False),
        (["paste", [], [], "#chat-text"], False),
        (["paste", ["d"], [], "#set-system"], False),
        (["drop", ["e", "f"], [], "#chips"], True),
        (["drop", ["g"], [], ".log"], False),
        (["drop", [], ["text/plain"], "#chips"], False),
        (["dragover", ["h"], [], "#chips"], True),
        (["dragover", [], ["text/plain"], "#chips"], False),
    ]
    assert [page.evaluate(_ATTACH, act) for act, _ in acts] == [taken for _, taken in acts]
    page.evaluate("""() => document.dispatchEvent(new CustomEvent("recorded", {
      detail: new File(["x"], "recording.webm") }))""")
    attached = [one for one in page.evaluate("attached") if one[0] == "attach"]
    assert attached == [["attach", name] for name in ("a", "b", "e", "f", "recording.webm")]
    assert texts(page, "#composer-errors") == [""]
    page.evaluate("""() => document.querySelector("#chips").insertAdjacentHTML("beforeend",
      '<p class="file-chip"><input name="file"><button data-remove-file></button></p>')""")
    page.evaluate("document.querySelector('[data-remove-file]').click()")
    assert page.evaluate("document.querySelector('#chips').childElementCount") == 0
    assert page.evaluate("document.activeElement.id") == "chat-text"


# Connections ------------------------------------------------------------------------------------


def test_lost_stream_says_so_and_is_asked_for_again(load: Load) -> None:
    page = chat(load, '<i id="stream" hx-sse:connect="/events"></i>')
    line = "#link-state"
    happen(page, "htmx:sse:error", "#stream", "{}")
    assert (texts(page, line), texts(page, "#live")) == (["Lost"], ["Lost"])
    happen(page, "htmx:sse:after:connection", "#stream", "{}")
    assert texts(page, line) == ["Calm"]
    failed = "{ sourceElement: document.querySelector('#stream'), response: { status: %d } }"
    page.evaluate("waits.length = 0")
    for ms in (500, 1_000, 2_000):
        happen(page, "htmx:response:error", "#stream", failed % 502)
        assert page.evaluate("waits.at(-1)[0]") == ms
    assert texts(page, line) == ["Lost"]
    page.evaluate("goOn()")
    assert page.evaluate("htmx.asked") == [["GET", "/events", None]] * 3
    happen(page, "htmx:sse:close", "#stream", "{}")
    assert texts(page, line) == ["Calm"]
    # What is refused stays so, and what the extension has it reconnects itself.
    happen(page, "htmx:response:error", "#stream", failed % 403)
    page.evaluate("document.querySelector('#stream')._htmx = { sse: {} }")
    happen(page, "htmx:response:error", "#stream", failed % 502)
    assert page.evaluate("waits.filter(Boolean).length") == 0
    # From its beginning again after a connection.
    page.evaluate("delete document.querySelector('#stream')._htmx")
    happen(page, "htmx:sse:after:connection", "#stream", "{}")
    happen(page, "htmx:error", "#stream", failed % 502)
    assert page.evaluate("waits.at(-1)[0]") == 500


def test_unsent_message_is_kept_and_said_to_be_so(load: Load) -> None:
    page = chat(load)
    page.fill("#chat-text", "of mine")
    why = "[data-why]"
    happen(page, "htmx:error", "#composer", "{}")
    assert (texts(page, why), page.is_visible("#unsent")) == (["Unsure"], True)
    drafts = "Object.entries(localStorage).map(([name, text]) => [name.split(':')[2], text])"
    assert page.evaluate(drafts) == [["acme", "of mine"]]
    page.evaluate("Object.defineProperty(navigator, 'onLine', { value: false })")
    happen(page, "htmx:error", "#composer", "{}")
    assert texts(page, why) == ["Offline"]
    page.evaluate("dispatchEvent(new Event('online'))")
    assert texts(page, why) == ["Online"]
    happen(page, "htmx:before:request", "#composer", "{ request: { action: '/sent' } }")
    assert not page.is_visible("#unsent")
    page.evaluate("dispatchEvent(new Event('online'))")
    assert not page.is_visible("#unsent")


def test_change_of_a_chat_is_announced_to_its_other_tabs(load: Load) -> None:
    page = chat(load)
    posted = "channels.chats.posted.splice(0)"
    page.evaluate("document.dispatchEvent(new Event('begun'))")
    assert page.evaluate(posted) == [PATH]
    acted = "{ request: { action: '%s', method: '%s' }, response: { status: %d } }"
    delete = "/o/acme/playground/messages/01/delete"
    for action, method, status, posts in (
        (delete, "POST", 200, [PATH]), (delete, "GET", 200, []), (delete, "POST", 404, []),
        ("/o/acme/playground/history", "POST", 200, []),
    ):  # fmt: skip
        happen(page, "htmx:after:request", ".log", acted % (action, method, status))
        assert page.evaluate(posted) == posts
    hear = "(data) => channels.chats.onmessage({ data })"
    look = [["GET", f"{PATH}/_f/in-step?seen=m2", None]]
    page.evaluate(hear, "/o/acme/playground/c/OTHER")
    assert page.evaluate("htmx.asked") == []
    page.evaluate(hear, PATH)
    assert page.evaluate("htmx.asked.splice(0)") == look
    happen(page, "htmx:response:error", "#composer", "{ response: { status: 409 } }")
    assert page.evaluate("htmx.asked.splice(0)") == look
    happen(page, "htmx:response:error", "#composer", "{ response: { status: 422 } }")
    page.evaluate("document.querySelector('#composer').dataset.running = ''")
    page.evaluate(hear, PATH)
    assert page.evaluate("htmx.asked") == []


# What is beside the log -------------------------------------------------------------------------


def test_open_edit_outlives_a_log_that_is_drawn_anew(load: Load) -> None:
    edit = '<article id="msg-m1" data-editing><textarea>typed</textarea></article>'
    page = chat(load, f'{edit}<article id="msg-m2" data-editing><b id="own"></b></article>')
    page.evaluate(
        "() => { htmx.process = (one) => { htmx.asked.push(['process', one.id, null]); }; }"
    )
    page.focus("#msg-m1 textarea")
    page.fill("#msg-m1 textarea", "typed more")
    happen(page, "htmx:before:swap", ".log", "{ sourceElement: document.querySelector('#own') }")
    page.evaluate("""() => { document.querySelector(".log").innerHTML =
      '<article id="msg-m1"></article><article id="msg-m2"></article>'; }""")
    happen(page, "htmx:after:swap", ".log", "{}")
    assert page.input_value("#msg-m1 textarea") == "typed more"
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    assert each(page, "#msg-m2", "one.childElementCount") == [0]
    assert page.evaluate("htmx.asked") == [["process", "msg-m1", None]]


def test_preview_opens_in_a_frame_that_can_do_nothing(load: Load) -> None:
    body = '<figure><button data-preview="p-01MSG-2-3">Preview</button></figure>'
    page = chat(load, body)
    press = "document.querySelector('[data-preview]').click()"
    page.evaluate(press)
    source = f"{ORIGIN}/o/acme/playground/messages/01MSG/preview/2/3"
    facts = "[one.src, one.getAttribute('sandbox'), one.title]"
    assert each(page, "figure iframe", facts) == [[source, "", "Preview"]]
    assert each(page, "[data-preview]", "one.ariaPressed") == ["true"]
    page.evaluate(press)
    assert page.locator("iframe").count() == 0
    assert each(page, "[data-preview]", "one.ariaPressed") == ["false"]


def test_ticked_rows_are_counted(load: Load) -> None:
    rows = "".join(
        f'<tr><td><input type="checkbox" {off}></td></tr>' for off in ("", "", "disabled")
    )
    page = chat(
        load,
        f'<div data-bulk><input type="checkbox" data-tick-all><table><tbody>{rows}</tbody></table>'
        '<b data-ticked data-words="%(n)s chosen"></b></div>',
    )
    page.evaluate("document.querySelector('[data-tick-all]').click()")
    assert texts(page, "[data-ticked]") == ["2 chosen"]
    page.evaluate("document.querySelector('tbody input').click()")
    assert texts(page, "[data-ticked]") == ["1 chosen"]
    page.evaluate("document.querySelectorAll('tbody input')[1].click()")
    assert texts(page, "[data-ticked]") == [""]


def test_columns_have_tabs_and_keys(load: Load) -> None:
    columns = "".join(
        f'<section class="column" id="column-{n}" tabindex="-1" style="min-width:100%">'
        f"{n}</section>"
        for n in range(2)
    )
    tabs = "".join(f'<a href="#" data-column="{n}"><b>m{n}</b></a>' for n in range(2))
    page = chat(
        load,
        f'{tabs}<div class="compare-columns" style="display:flex;overflow:auto">{columns}</div>'
        '<select id="compare-model-1"><option>m1</option><option>m7</option></select>',
    )
    page.wait_for_selector("#column-0[data-current]")
    page.keyboard.press("Alt+2")
    assert page.evaluate("document.activeElement.id") == "column-1"
    page.wait_for_selector("#column-1[data-current]")
    page.wait_for_function("document.querySelectorAll('[aria-current=true]').length === 1")
    assert each(page, "[data-column]", "one.ariaCurrent") == [None, "true"]
    page.evaluate("document.querySelector('[data-column]').click()")
    assert page.evaluate("document.activeElement.id") == "column-0"
    page.select_option("#compare-model-1", "m7")
    assert texts(page, "[data-column] b") == ["m0", "m7"]


def test_chat_is_renamed_in_its_place_of_the_list(load: Load) -> None:
    row = (
        '<div class="chat-row" data-rename="/name"><a class="chat-link" href="/c/1" %s>One</a>'
        "</div>"
        '<div class="chat-row" data-rename="/other"><a class="chat-link" href="/c/2">Two</a></div>'
    )
    page = chat(load, f'<nav class="chat-nav">{row % "aria-current=page"}</nav>')
    page.keyboard.press("F2")
    assert page.evaluate("htmx.asked") == [["GET", "/name", None]]
    swap = """() => { const row = document.querySelector(".chat-row");
      row.innerHTML = '<form data-name><input name="title" value="One"></form>';
      const detail = { ctx: { target: row } };
      document.dispatchEvent(new CustomEvent("htmx:after:swap", { detail }));
    }"""
    page.evaluate(swap)
    assert page.evaluate("document.getSelection().toString()") == "One"
    page.keyboard.press("Escape")
    assert texts(page, ".chat-row") == ["One", "Two"]
    assert page.evaluate("document.activeElement.getAttribute('href')") == "/c/1"
    page.focus("[href='/c/2']")
    page.keyboard.press("F2")
    assert page.evaluate("htmx.asked.at(-1)") == ["GET", "/other", None]


def test_change_of_the_list_closes_its_dialog_and_may_leave(load: Load) -> None:
    page = chat(
        load,
        '<dialog open><form data-closes data-leaves="#gone"></form></dialog>'
        '<a data-chat-menu href="/menu">Menu</a>',
    )
    for status, closed in ((422, False), (200, True)):
        ctx = f"{{ request: {{ action: '/x', method: 'POST' }}, response: {{ status: {status} }} }}"
        happen(page, "htmx:after:request", "[data-closes]", ctx)
        assert page.evaluate("!document.querySelector('dialog').open") is closed
        assert (page.evaluate("location.hash") == "#gone") is closed
    page.click("[data-chat-menu]")
    assert page.evaluate("htmx.asked") == [["GET", "/menu", None]]


# The stream of an answer ------------------------------------------------------------------------

_SWAPS: Final = """
htmx.swap = async ({ target, swap, text }) => {
  htmx.asked.push(["swap", target.id, swap]);
  if (swap === "beforeend") target.insertAdjacentHTML(swap, text);
};
window.BroadcastChannel = class { postMessage() {} };
"""
_ANSWER: Final = (
    '<article class="msg" id="msg-m1" data-state="answering" hx-morph-skip-children>'
    '<div id="stream" '
    'hx-sse:connect="/events?after=4" hx-ignore><div data-part="blocks" id="blocks-m1">'
    '<p id="p1" data-b>One</p></div><div id="note-m1"></div><p id="stats-m1">0 s</p></div>'
    "<button data-stop>Stop</button></article>"
    '<template id="rest"><b>The rest</b></template>'
    '<div id="spoken" data-code="Code"></div>'
    '<select id="set-speech"><option>status</option><option>sentences</option><option>off</option>'
    "</select>"
)
# Let changes come as a message of the stream, and wait until they are put.
_PUT: Final = """async ([changes, id]) => {
  const html = changes.map(([target, swap, inner]) =>
    `<hx-partial hx-target="${target}" hx-swap="${swap}">${inner}</hx-partial>`).join("");
  let put;
  const detail = { message: { data: html, id }, waitUntil: (done) => { put = done; } };
  document.querySelector("#stream").dispatchEvent(
    new CustomEvent("htmx:sse:before:message", { bubbles: true, detail }));
  await put;
  return detail.cancelled;
}"""


def stream(load: Load, before: str = "") -> Page:
    return load(_ANSWER, "streams", "stream", before=_SWAPS + before, path=PATH)


def put(page: Page, *changes: tuple[str, str, str], id: str = "5") -> None:
    assert page.evaluate(_PUT, [changes, id])


def test_changes_of_a_stream_are_put_in_their_places(load: Load) -> None:
    page = stream(load)
    put(page, ("#p1", "beforeend", " &lt;two&gt;"), ("#p1", "beforeend", "&amp;&#13;three"))
    assert page.evaluate("document.querySelector('#p1').childNodes.length") == 1
    assert page.evaluate("document.querySelector('#p1').textContent") == "One <two>&\rthree"
    put(page, ("#p1", "beforeend", "<b>four</b>"), ("#blocks-m1", "beforeend", '<p id="p2">x</p>'))
    assert each(page, "#blocks-m1 > *", "one.id") == ["p1", "p2"]
    put(page, ("#p2", "innerHTML", "<i>y</i>"), ("#p1", "delete", ""))
    assert page.inner_html("#blocks-m1") == '<p id="p2"><i>y</i></p>'
    put(page, ("#p2", "outerHTML", '<p id="p3" class="a" lang="de">z</p>'))
    put(page, ("#p3", "outerMorph", '<p id="p3" lang="fr" dir="auto"></p>'))
    facts = "[one.className, one.lang, one.dir, one.textContent]"
    assert each(page, "#p3", facts) == [["", "fr", "auto", "z"]]
    assert page.evaluate("htmx.asked") == []
    # What htmx has to look at goes through it.
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<div id=other></div>')")
    put(page, ("#other", "beforeend", '<a hx-get="/x">x</a>'), ("#other", "beforeend", "<b>y</b>"))
    assert page.evaluate("htmx.asked") == [["swap", "other", "beforeend"]]


def test_stopped_answer_is_frozen_and_offers_its_rest(load: Load) -> None:
    page = stream(load)
    put(page, ("#p1", "beforeend", " more"), id="6")
    page.evaluate("""() => { window.ctx = { request: {
        action: "/o/acme/playground/runs/01/stop", body: new FormData() } };
      document.querySelector("[data-stop]").dispatchEvent(new CustomEvent(
        "htmx:config:request", { bubbles: true, detail: { ctx } })); }""")
    # It says what was shown, and before all else.
    assert page.evaluate("[ctx.request.body.get('shown'), ctx.request.priority]") == ["6", "high"]
    put(page, ("#p1", "beforeend", " unseen"), ("#stats-m1", "innerHTML", "9 s"), id="7")
    assert texts(page, "#p1, #stats-m1") == ["One more", "0 s"]
    assert each(page, ".msg", "'withheld' in one.dataset") == [True]
    put(page, ("#msg-m1", "outerMorph", '<article class="msg" data-state="done">'))
    assert texts(page, "#note-m1") == ["The rest"]


def test_stop_before_the_first_word_says_where_the_page_began(load: Load) -> None:
    page = stream(load)
    stopped = """(action) => { window.ctx = { request: { action, body: new FormData() } };
      document.querySelector("[data-stop]").dispatchEvent(new CustomEvent(
        "htmx:config:request", { bubbles: true, detail: { ctx } }));
      return ctx.request.body.get("shown"); }"""
    assert page.evaluate(stopped, "/o/acme/playground/runs") is None
    assert each(page, ".msg", "'stopping' in one.dataset") == [False]
    assert page.evaluate(stopped, "/o/acme/playground/sends/01/stop") == "4"
    assert each(page, ".msg", "'stopping' in one.dataset") == [True]


def test_answer_of_a_send_is_put_by_the_page_itself(load: Load) -> None:
    page = stream(load)
    page.evaluate("""() => { window.heard = [];
      for (const name of ["begun", "answered"]) {
        for (const one of [document, document.body]) {
          one.addEventListener(name, () => heard.push(name)); } } }""")
    sent = """async ([action, status]) => {
      const text = '<hx-partial hx-target="#p1" hx-swap="innerHTML">New</hx-partial>';
      const ctx = { request: { action }, response: { status }, text };
      document.dispatchEvent(new CustomEvent("htmx:after:request", { detail: { ctx } }));
      return [ctx.text === text, ctx.swap ?? "as it was"];
    }"""
    runs = "/o/acme/playground/runs"
    for action, status in ((f"{runs}/1/stop", 200), (runs, 422)):
        assert page.evaluate(sent, [action, status]) == [True, "as it was"]
    assert page.evaluate(sent, [runs, 200]) == [False, "none"]
    page.wait_for_function("heard.length")
    assert texts(page, "#p1") == ["New"]
    assert page.evaluate("heard") == ["begun"]
    page.evaluate("document.querySelector('#stream').removeAttribute('hx-sse:connect')")
    page.evaluate(sent, [runs, 200])
    page.wait_for_function("heard.length === 3")
    assert page.evaluate("heard.slice(1)") == ["begun", "answered"]


def test_whole_sentences_are_said_to_those_who_want_them(load: Load) -> None:
    page = stream(load, "window.setInterval = (act) => { window.say = act; return 1; };")
    page.select_option("#set-speech", "sentences")
    assert page.evaluate("[localStorage.speech, document.querySelector('#live').ariaLive]") == [
        "sentences", "polite",
    ]  # fmt: skip
    said = []

    def hear() -> None:
        page.evaluate("document.querySelector('#spoken').textContent = ''; say()")
        said.append(texts(page, "#spoken")[0])

    put(page, ("#p1", "beforeend", " is 3.5 m deep. And"))
    hear()
    put(page, ("#p1", "beforeend", " wide! So"))
    hear()
    code = '<figure class="code" data-b><figcaption><span>python</span></figcaption>x</figure>'
    rows = "<table data-b><tbody><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></tbody></table>"
    put(page, ("#blocks-m1", "beforeend", code), ("#blocks-m1", "beforeend", rows))
    hear()
    put(page, ("#blocks-m1", "beforeend", "<ul data-b><li>One</li><li>Two"))
    hear()
    page.evaluate("document.dispatchEvent(new Event('htmx:sse:close'))")
    said.append(texts(page, "#spoken")[0])
    # A table or list is said part by part, and one that grows without its last part.
    assert said == ["is 3.5 m deep.", "And wide!", "So Code: python.", "a, b, c,", "One Two"]
    page.select_option("#set-speech", "off")
    assert page.evaluate("document.querySelector('#live').ariaLive") == "off"
