"""The scripts of the media pages alone, as `test_scripts.py` has those of all pages: the realtime
connection, recordings, files that are given, and the places of a sound."""

import base64
import json
import struct
from typing import Any, Final

import pytest
from django.template.loader import render_to_string
from playwright.sync_api import Page

from tests.browser.test_scripts import ORIGIN, Load, blank, each, load, loaded, texts

pytestmark = pytest.mark.browser
__all__ = ["blank", "load", "loaded"]

# The realtime page ------------------------------------------------------------------------------

# What it speaks to and with: each of them is noted, and does nothing by itself.
_VOICE: Final = """
window.sockets = []; window.played = []; window.fetched = []; window.shut = [];
window.ticks = []; window.later = [];
window.setInterval = (act) => ticks.push(act);
window.clearInterval = (id) => { ticks[id - 1] = null; };
window.setTimeout = (act) => later.push(act);
window.now = 0;
Date.now = () => now;
window.WebSocket = class {
  static OPEN = 1;
  constructor(url, protocols) {
    Object.assign(this, { url: String(url), protocols, readyState: 0, sent: [] });
    sockets.push(this);
  }
  send(text) { this.sent.push(JSON.parse(text)); }
  close(code) { this.readyState = 3; this.onclose({ code, reason: "" }); }
  open() { this.readyState = 1; this.onopen(); }
  tell(event) { this.onmessage({ data: JSON.stringify(event) }); }
  take() { return this.sent.splice(0); }
};
window.fetch = async (url, { body }) => {
  fetched.push([String(url), Object.fromEntries(body)]);
  return { ok: !window.refusal, redirected: false, json: async () => window.refusal ?? ticket };
};
window.AudioContext = class {
  currentTime = 0; destination = {};
  constructor() { window.context = this; }
  createBuffer(_, length, rate) {
    const samples = new Float32Array(length);
    return { duration: length / rate, rate, samples, getChannelData: () => samples };
  }
  createMediaStreamSource(stream) {
    return { connect() {}, disconnect() { shut.push("source"); } };
  }
  audioWorklet = { addModule: async (url) => { window.worklet = url; } };
  async resume() {}
  close() { shut.push("context"); }
};
window.AudioBufferSourceNode = class {
  constructor(_, { buffer }) { this.buffer = buffer; played.push(this); }
  connect() {} start(at) { this.at = at; } stop() { this.stopped = true; }
};
window.AudioWorkletNode = class {
  constructor(_, name, options) {
    Object.assign(this, { name, options, port: {} });
    window.ear = this;
  }
};
const track = (name) => ({ stop: () => shut.push(name) });
Object.defineProperty(navigator, "mediaDevices", { configurable: true, value: {
  getUserMedia: async () => {
    if (window.fault) throw Object.assign(new Error("no"), { name: fault });
    return { getTracks: () => [track("one"), track("two")] };
  } } });
"""
_SESSION: Final[dict[str, Any]] = {
    "type": "realtime", "output_modalities": ["audio"], "instructions": "Be brief.",
    "audio": {
        "input": {"format": {"rate": 8}, "turn_detection": {"type": "server_vad"},
                  "transcription": {"model": "writer"}},
        "output": {"voice": "ash"},
    },
}  # fmt: skip


def talk(load: Load, **session: Any) -> Page:
    """The page, and a ticket for its next connection."""
    given: dict[str, Any] = {
        "slug": "acme", "rate": 8, "minutes": 30, "idle_minutes": 2, "may_send": False,
    }  # fmt: skip
    parts = render_to_string("playground/media/_realtime_connection.html", given)
    form = (
        f'<form id="realtime-form" action="{ORIGIN}/ticket"><fieldset id="realtime-settings">'
        '<input name="model" value="m"></fieldset><button data-start>Connect</button>'
        '<button type="button" data-end hidden>Disconnect</button></form>'
    )
    ticket = {
        "path": "/v1/realtime?model=m", "protocols": ["realtime", "weir-ticket.t"],
        "session": {**_SESSION, **session},
    }  # fmt: skip
    before = f"{_VOICE} window.ticket = {json.dumps(ticket)};"
    return load(form + parts, "ui", "realtime", before=before)


def begin(load: Load, **session: Any) -> Page:
    page = talk(load, **session)
    page.click("[data-start]")
    page.wait_for_function("sockets.length")
    page.evaluate("sockets[0].open()")
    return page


def tell(page: Page, type: str, **event: Any) -> None:
    page.evaluate("(event) => sockets.at(-1).tell(event)", {"type": type, **event})


def sent(page: Page) -> list[dict[str, Any]]:
    """The events that it has sent since."""
    events: list[dict[str, Any]] = page.evaluate("sockets.at(-1).take()")
    return events


def sound(*samples: int) -> str:
    return base64.b64encode(struct.pack(f"<{len(samples)}h", *samples)).decode()


def shown(page: Page) -> dict[str, Any]:
    """What of the page can be pressed, and what is seen."""
    found: dict[str, Any] = page.evaluate(
        """() => {
          const one = (name) => document.querySelector(name);
          return { state: one("#realtime").dataset.state,
            word: one("[data-state-word]").textContent,
            off: ["[data-mic]", "[data-say]", "#realtime-text", "#realtime-settings"]
              .filter((name) => one(name).disabled),
            hidden: ["[data-start]", "[data-end]", "[data-hush]"]
              .filter((name) => one(name).hidden) };
        }"""
    )
    return found


def test_connection_goes_through_its_states(load: Load) -> None:
    page = talk(load)
    page.click("[data-start]")
    page.wait_for_function("sockets.length")
    assert page.evaluate("fetched") == [[f"{ORIGIN}/ticket", {"model": "m"}]]
    assert page.evaluate("[sockets[0].url, sockets[0].protocols]") == [
        "wss://hub.example/v1/realtime?model=m", ["realtime", "weir-ticket.t"],
    ]  # fmt: skip
    off = ["[data-mic]", "[data-say]", "#realtime-text", "#realtime-settings"]
    assert shown(page) == {
        "state": "connecting", "word": "Connecting", "off": off,
        "hidden": ["[data-start]", "[data-hush]"],
    }  # fmt: skip
    page.evaluate("sockets[0].open()")
    assert shown(page) == {
        "state": "open", "word": "Connected", "off": off[3:],
        "hidden": ["[data-start]", "[data-hush]"],
    }  # fmt: skip
    assert page.evaluate("document.activeElement.id") == "realtime-text"
    # What is charged apart may be refused alone.
    audio = _SESSION["audio"]
    writer = audio["input"]["transcription"]
    plain = {name: value for name, value in audio["input"].items() if name != "transcription"}
    assert sent(page) == [
        {"type": "session.update", "session": {**_SESSION, "audio": {**audio, "input": plain}}},
        {"type": "session.update",
         "session": {"type": "realtime", "audio": {"input": {"transcription": writer}}}},
    ]  # fmt: skip
    page.evaluate("now += 61_500; ticks.at(-1)()")
    assert texts(page, "[data-clock]") == ["1:01"]
    page.click("[data-end]")
    assert shown(page) == {
        "state": "ended", "word": "Ended", "off": off[:3], "hidden": ["[data-end]", "[data-hush]"],
    }  # fmt: skip
    assert texts(page, "#realtime-closed .banner") == ["The connection has ended."]
    assert page.evaluate("[shut, ticks.at(-1)]") == [["context"], None]
    # Nothing was asked of a model, so there are no charges to ask for.
    assert page.evaluate("htmx.asked") == []
    # Another one begins with an empty page.
    page.click("[data-start]")
    page.wait_for_function("sockets.length === 2")
    assert texts(page, "#realtime-closed") == [""]


def test_refused_connection_says_why(load: Load) -> None:
    page = talk(load)
    page.evaluate("window.refusal = { message: 'Choose a model.' }")
    page.click("[data-start]")
    page.wait_for_selector("#toasts .toast")
    assert texts(page, "#toasts p") == ["Choose a model."]
    assert page.evaluate("[sockets.length, document.querySelector('[data-start]').disabled]") == [
        0, False,
    ]  # fmt: skip
    page.evaluate("() => { window.fetch = async () => { throw new TypeError(); }; }")
    page.click("[data-start]")
    page.wait_for_function("document.querySelectorAll('#toasts p').length === 2")
    assert texts(page, "#toasts p")[1] == "The connection was lost. Start a new connection."


@pytest.mark.parametrize(
    ("code", "error", "banner", "tone"),
    [
        (1005, None, "The connection has ended.", "info"),
        (1006, None, "The connection was lost. Start a new connection.", "bad"),
        (4000, None, "The connection was lost. Start a new connection.", "bad"),
        (1012, None, "The server is restarting. Start a new connection.", "bad"),
        (1008, {"message": "No money.", "code": "broke"},
         "The connection was ended by a limit or a refusal. No money. broke", "bad"),
    ],
)  # fmt: skip
def test_end_of_a_connection_names_its_reason(
    load: Load, code: int, error: Any, banner: str, tone: str
) -> None:
    page = begin(load)
    if error:
        tell(page, "error", error=error)
        assert texts(page, "#toasts p") == ["No money."]
    page.evaluate("(code) => sockets[0].close(code)", code)
    assert texts(page, "#realtime-closed .banner") == [banner]
    assert page.get_attribute("#realtime-closed .banner", "data-tone") == tone
    assert texts(page, "#live") == [banner.partition(" No money.")[0]]


def test_what_is_written_and_answered_is_in_the_transcript(load: Load) -> None:
    page = begin(load)
    sent(page)
    page.fill("#realtime-text", "  How deep?  ")
    page.keyboard.press("Enter")
    assert page.input_value("#realtime-text") == ""
    item, response = sent(page)
    id = item["item"].pop("id")
    assert id.startswith("msg_")
    assert item == {"type": "conversation.item.create", "item": {
        "type": "message", "role": "user", "content": [{"type": "input_text", "text": "How deep?"}],
    }}  # fmt: skip
    assert response == {"type": "response.create"}
    tell(page, "weir.hold", request="r1", spent="$0.00", held="$0.21")
    tell(page, "response.created", response={"id": "resp_1"})
    assert shown(page)["hidden"] == ["[data-start]"]
    for kind in ("output_text", "text", "output_audio_transcript", "audio_transcript"):
        tell(page, f"response.{kind}.delta", item_id="i1", delta=f"{kind} ")
    tell(page, "response.done", response={"id": "resp_1", "status": "completed"})
    assert shown(page)["hidden"] == ["[data-start]", "[data-hush]"]
    tell(page, "weir.charge", request="r1", spent="$0.0012", held="$0.00")
    tell(page, "weir.charge", request="r2", spent="$0.0024", held="$0.01")
    assert texts(page, "[data-spent], [data-held]") == ["$0.0024", "$0.01"]
    tell(page, "input_audio_buffer.committed", item_id="i2")
    assert texts(page, "[data-entries] small") == ["(spoken)"]
    tell(page, "conversation.item.input_audio_transcription.completed", item_id="i2",
         transcript="And wide?")  # fmt: skip
    said = "output_text text output_audio_transcript audio_transcript"
    assert each(page, "[data-entries] li", "[one.dataset.who, one.textContent.trim()]") == [
        ["you", "YouHow deep?"], ["model", f"Model{said}"], ["you", "YouAnd wide?"],
    ]  # fmt: skip
    with page.expect_download() as file:
        page.click("[data-download]")
    assert file.value.suggested_filename == "transcript.txt"
    assert file.value.path().read_text() == f"You: How deep?\n\nModel: {said}\n\nYou: And wide?"
    # Each event is listed, what is long in it shortened.
    tell(page, "response.output_audio.delta", item_id="i1", delta=sound(*range(80)))
    last = texts(page, "[data-events] li")[-1]
    assert last.startswith("← ")
    assert '"delta":"… 216"' in last
    assert texts(page, "[data-events] li")[2].startswith("→ ")
    assert texts(page, "[data-events-n]") == [str(page.locator("[data-events] li").count())]
    # Its charges are asked for behind its end.
    page.evaluate("sockets[0].close(1000)")
    assert each(page, "#realtime-books [name=request]", "one.value") == ["r1", "r2"]
    page.evaluate("later.at(-1)()")
    assert page.evaluate("htmx.asked") == [["trigger", "ended", None]]
    assert texts(page, "[data-held]") == ["–"]


def test_answer_is_heard_in_order_and_cut_where_it_was_heard(load: Load) -> None:
    page = begin(load)
    sent(page)
    tell(page, "response.created", response={"id": "resp_1"})
    for _ in range(2):
        tell(page, "response.output_audio.delta", item_id="i1", delta=sound(0, 16384, -32768, 0))
    # Half a second each, one behind the other.
    assert page.evaluate("played.map((one) => one.at)") == [0.06, 0.56]
    assert page.evaluate("[...played[0].buffer.samples]") == [0, 0.5, -1, 0]
    page.evaluate("context.currentTime = 0.81")
    page.click("[data-hush]")
    assert sent(page) == [
        {"type": "response.cancel", "response_id": "resp_1"},
        {"type": "conversation.item.truncate", "item_id": "i1", "content_index": 0,
         "audio_end_ms": 750},
    ]  # fmt: skip
    assert page.evaluate("played.map((one) => one.stopped)") == [True, True]
    assert texts(page, "[data-entries] small") == ["(interrupted)"]
    assert texts(page, "#live") == ["The answer was interrupted"]
    # The rest of it was never said.
    tell(page, "response.output_audio.delta", item_id="i1", delta=sound(1, 2))
    tell(page, "response.output_audio_transcript.delta", item_id="i1", delta="more")
    assert page.evaluate("played.length") == 2
    assert texts(page, "[data-entries] p") == ["(interrupted)"]
    # Another one is, by the name of its response if its items have none.
    tell(page, "response.audio.delta", response_id="resp_2", delta=sound(1, 2))
    assert page.evaluate("played.length") == 3
    tell(page, "response.done", response={"id": "resp_1", "status": "cancelled"})
    assert not page.is_hidden("[data-hush]")
    page.evaluate("played[2].onended()")
    assert page.is_hidden("[data-hush]")
    failed = {"error": {"message": "Too much."}}
    tell(page, "response.done", response={"id": "x", "status": "failed", "status_details": failed})
    assert texts(page, "#toasts p") == ["Too much."]


def test_one_who_speaks_interrupts_the_answer(load: Load) -> None:
    page = begin(load)
    tell(page, "response.output_audio.delta", item_id="i1", delta=sound(1, 2))
    sent(page)
    tell(page, "input_audio_buffer.speech_started")
    assert [event["type"] for event in sent(page)] == ["conversation.item.truncate"]
    tell(page, "response.output_audio.delta", item_id="i2", delta=sound(1, 2))
    page.keyboard.press("Escape")
    assert [event["item_id"] for event in sent(page)] == ["i2"]


@pytest.mark.parametrize("auto", [True, False])
def test_microphone_sends_what_it_hears_until_it_is_off(load: Load, auto: bool) -> None:
    detection = _SESSION["audio"]["input"] | {
        "turn_detection": {"type": "server_vad"} if auto else None
    }
    page = begin(load, audio={**_SESSION["audio"], "input": detection})
    sent(page)
    page.click("[data-mic]")
    page.wait_for_function("window.ear")
    pressed = "document.querySelector('[data-mic]').ariaPressed"
    page.wait_for_function(f"{pressed} === 'true'")
    assert page.evaluate("[worklet, ear.name, ear.options.processorOptions]") == [
        "/static/js/microphone.js", "microphone", {"rate": 8},
    ]  # fmt: skip
    hear = "ear.port.onmessage({ data: { buffer: new Uint8Array([1, 2]).buffer, level: 0.1 } })"
    page.evaluate(hear)
    assert sent(page) == [{"type": "input_audio_buffer.append", "audio": "AQI="}]
    level = "[document.querySelector('[data-level]').value, "
    assert page.evaluate(f"{level} document.querySelector('[data-level]').hidden]") == [0.4, False]
    page.click("[data-mic]")
    assert page.evaluate("shut") == ["source", "one", "two"]
    assert page.evaluate(pressed) == "false"
    assert page.is_hidden("[data-level]")
    by_hand = [{"type": "input_audio_buffer.commit"}, {"type": "response.create"}]
    assert sent(page) == ([] if auto else by_hand)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("NotAllowedError", "The microphone is blocked."), ("SecurityError", "The microphone is"),
        ("NotFoundError", "No microphone was found."), ("AbortError", "The microphone could not"),
    ],
)  # fmt: skip
def test_microphone_that_cannot_be_opened_says_why(load: Load, fault: str, reason: str) -> None:
    page = begin(load)
    page.evaluate("(name) => { window.fault = name; }", fault)
    page.click("[data-mic]")
    page.wait_for_selector("#toasts .toast")
    assert texts(page, "#toasts p")[0].startswith(reason)
    assert page.evaluate("document.querySelector('[data-mic]').ariaPressed") == "false"
    assert page.is_enabled("[data-mic]")


# Sounds -----------------------------------------------------------------------------------------


def test_samples_are_the_means_of_what_was_heard(load: Load) -> None:
    """At half the rate, in pieces of 50 ms, each with how loud it is."""
    page = load(
        "",
        before="""
      window.sampleRate = 80;
      window.AudioWorkletProcessor = class {
        port = { postMessage: (piece) => pieces.push(piece) };
      };
      window.registerProcessor = (name, kind) => { window.kinds = { [name]: kind }; };
      window.pieces = [];
    """,
    )
    page.evaluate("import('/static/js/microphone.js')")
    heard = page.evaluate(
        """() => {
          const ear = new kinds.microphone({ processorOptions: { rate: 40 } });
          const goes = [ear.process([[[1, 0, -1]]]), ear.process([[[-3, 0.5]]]), ear.process([[]])];
          return [goes, pieces.map(({ buffer, level }) => [[...new Int16Array(buffer)], level])];
        }"""
    )
    assert heard == [[True, True, True], [[[16383, -32767], pytest.approx((4.25 / 2) ** 0.5)]]]


def test_recording_that_cannot_begin_says_why(load: Load) -> None:
    button = (
        '<button data-record data-refused="blocked" data-missing="none" data-busy="in use" '
        'data-insecure="no https">Record</button>'
    )
    page = load(button, "ui", "recorder", before=_VOICE)
    reasons = {
        "NotAllowedError": "blocked", "SecurityError": "blocked", "NotFoundError": "none",
        "AbortError": "in use",
    }  # fmt: skip
    for fault, reason in reasons.items():
        page.evaluate("(name) => { window.fault = name; }", fault)
        page.evaluate("document.querySelector('#toasts').replaceChildren()")
        page.click("[data-record]")
        page.wait_for_selector("#toasts .toast", state="attached")
        assert texts(page, "#toasts p") == [reason], fault
    page.evaluate("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    page.evaluate("document.querySelector('#toasts').replaceChildren()")
    page.click("[data-record]")
    page.wait_for_selector("#toasts .toast", state="attached")
    assert texts(page, "#toasts p") == ["no https"]


# Files and results ------------------------------------------------------------------------------

_GIVEN: Final = """
<select id="media-model"><option>one</option><option selected>two</option></select>
<form id="media-form"><textarea></textarea><button type="submit">Go</button></form>
<div class="media-drop" data-drop>
  <button type="button" data-choose>Choose</button><div id="media-given"%s></div></div>
<form id="media-upload"><input type="file"><input name="model"><input name="role"></form>
"""
# Give files as a drop, a paste or a recording does; whether the browser has to do no more.
_GIVE: Final = """([how, names, types]) => {
  const carrier = new DataTransfer();
  for (const name of names) carrier.items.add(new File(["x"], name));
  for (const type of types ?? []) carrier.setData(type, "x");
  const place = document.querySelector("[data-choose]"), over = { bubbles: true, cancelable: true };
  if (how === "recorded") {
    const detail = carrier.files[0];
    return document.dispatchEvent(new CustomEvent("recorded", { detail }));
  }
  const event = how === "paste" ? new ClipboardEvent(how, { clipboardData: carrier, ...over })
    : new DragEvent(how, { dataTransfer: carrier, ...over });
  return !place.dispatchEvent(event);
}"""
_UPLOADED: Final = """() => {
  const form = document.querySelector("#media-upload");
  const [file] = form.querySelector("[type=file]").files;
  return [file?.name, form.querySelector("[name=model]").value,
    form.querySelector("[name=role]").value];
}"""


@pytest.mark.parametrize("how", ["drop", "paste", "recorded"])
def test_file_is_given_to_the_chosen_model(load: Load, how: str) -> None:
    page = load(_GIVEN % "", "media")
    page.evaluate(_GIVE, [how, ["a.png", "b.png"]])
    assert page.evaluate(_UPLOADED) == ["a.png", "two", ""]
    assert page.evaluate("htmx.asked") == [["trigger", "attach", None]]
    page.evaluate(_GIVE, ["dragover", ["a.png"]])
    assert not page.evaluate(_GIVE, ["drop", []])
    assert len(page.evaluate("htmx.asked")) == 1


def test_several_pictures_have_places_until_all_are_taken(load: Load) -> None:
    page = load(_GIVEN % " data-several", "media")
    add = """(role) => document.querySelector("#media-given").insertAdjacentHTML("beforeend",
      `<div class="media-chip"><input name="${role}"><button data-remove-given></button></div>`)"""
    roles = ["picture", "picture2", "picture3", "picture4", "picture5"]
    for role in roles:
        page.evaluate(_GIVE, ["drop", ["a.png"]])
        assert page.evaluate(_UPLOADED)[2] == role
        page.evaluate(add, role)
    page.evaluate(_GIVE, ["drop", ["a.png"]])
    assert len(page.evaluate("htmx.asked")) == len(roles)
    # The place of one that is removed is free again, and the form is told.
    page.evaluate("""() => { window.given = 0;
      document.querySelector("#media-form").addEventListener("given", () => { given += 1; }); }""")
    page.evaluate("document.querySelectorAll('[data-remove-given]')[2].click()")
    assert each(page, "#media-given input", "one.name") == [
        "picture", "picture2", "picture4", "picture5",
    ]  # fmt: skip
    assert page.evaluate("[given, document.activeElement.dataset.choose]") == [1, ""]
    page.evaluate(_GIVE, ["drop", ["a.png"]])
    assert page.evaluate(_UPLOADED)[2] == "picture3"


def test_form_of_media_is_sent_by_ctrl_and_enter(load: Load) -> None:
    page = load(_GIVEN % "", "media")
    page.evaluate("""() => { window.sent = 0; document.addEventListener("submit", (event) => {
      event.preventDefault(); sent += 1; }); }""")
    page.focus("textarea")
    page.keyboard.press("Enter")
    assert page.evaluate("sent") == 0
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Meta+Enter")
    assert page.evaluate("sent") == 2
    swapped = """(id) => document.dispatchEvent(new CustomEvent("htmx:after:swap", { detail: {
      ctx: { sourceElement: document.getElementById(id) } } }))"""
    page.evaluate("""() => { window.given = 0;
      document.querySelector("#media-form").addEventListener("given", () => { given += 1; }); }""")
    for id in ("media-upload", "media-model", "media-form"):
        page.evaluate(swapped, id)
    assert page.evaluate("given") == 2


def test_line_of_a_transcript_plays_its_place_and_is_marked(load: Load) -> None:
    lines = "".join(
        f'<button data-seek="{at}" data-sound="sound-1">{at}</button>' for at in (0, 2.5, 61.25)
    )
    body = f'<audio id="sound-1"></audio>{lines}<b data-seek="0" data-sound="sound-2">other</b>'
    begun = "2026-12-01T12:00:00Z"
    page = load(
        f'{body}<time data-since="{begun}"></time>',
        "media",
        before=f"""
      window.ticks = [];
      window.setInterval = (act) => ticks.push(act);
      Date.now = () => Date.parse("{begun}") + 61_400;
      window.played = [];
      HTMLMediaElement.prototype.play = function () {{ played.push([this.id, place]); }};
      let place = 0;
      Object.defineProperty(HTMLMediaElement.prototype, "currentTime", {{
        get: () => place, set: (value) => {{ place = value; }} }});
    """,
    )
    page.click("[data-seek='2.5']")
    assert page.evaluate("played") == [["sound-1", 2.5]]
    marked = "one.ariaCurrent"
    for at, current in ((2.4, 0), (2.5, 1), (99, 2)):
        page.evaluate(
            """(at) => { const sound = document.querySelector("audio");
          sound.currentTime = at; sound.dispatchEvent(new Event("timeupdate")); }""",
            at,
        )
        assert each(page, "[data-sound=sound-1]", marked) == [
            "true" if place == current else None for place in range(3)
        ]
    assert each(page, "[data-sound=sound-2]", marked) == [None]
    page.evaluate("ticks.at(-1)()")
    assert texts(page, "time") == ["1:01"]
