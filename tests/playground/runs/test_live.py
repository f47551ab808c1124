"""The playground in a real browser, on a real hub: the answer arrives once and whole, or stops."""

import re
import socket
import time
from decimal import Decimal

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from lib.ids import id_text
from tests.browser.visitor import findings_in_both_themes
from tests.fakes.upstream import expected_text
from tests.playground.conftest import Stage, Watched, watch
from tests.playground.echo import HOLD
from tests.playground.hostile import HOSTILE
from tests.support.hub import RATES, Hub

pytestmark = pytest.mark.browser

PROSE = """# How a weir works

A weir raises the water behind it to its **crest**. Whatever flows in *above* goes over, so that
everything upstream sees a calm surface: 水面平静。 <not a tag> & "quotes" 🌊

1. The crest sets the level
2. The head sets the flow:
   - twice the head

     nearly three times the flow

```python
def outflow(head: float, width: float) -> float:

    return 1.84 * width * head ** 1.5  # <script>
```

| Crest | Flow |
|---|---|
| 0.1 m | 0.06 |

The formula is $Q = C b h^{3/2}$ and costs $5 to $6.

> Measure twice.
"""
BLOCKS = ".msg[data-role=assistant] [data-part=blocks]"
DONE = ".msg[data-role=assistant]:not([data-state=answering])"


def choose_model(page: Page, model: str) -> None:
    """Pick a model by its whole name in the list that opens in the place of the select."""
    page.locator("[data-pick-for=chat-model]").click()
    page.fill("#model-q", model)
    page.locator(f"#models-found [data-name='{model}']").first.click()
    expect(page.locator("#chat-model")).to_have_value(model)


def ask(page: Page, stage: Stage, model: str, text: str) -> None:
    """Open an empty chat and send."""
    page.goto(f"{stage.playground}?m={model}")
    page.fill("#chat-text", text)
    page.keyboard.press("Enter")
    page.wait_for_selector(".msg[data-role=assistant]")


def wait_text(page: Page, part: str) -> None:
    expect(page.locator(BLOCKS).last).to_contain_text(part)


def blocks(page: Page) -> str:
    """The answer's markup, without what differs by its id alone."""
    return page.locator(BLOCKS).last.inner_html().strip().strip()


def test_an_answer_streams_and_is_the_same_after_a_reload(stage: Stage, bob: Watched) -> None:
    page = bob.page
    first, middle, last = PROSE.partition("return 1.84")
    stage.echo.texts["prose"] = f"{first}{HOLD}{middle}{HOLD}{last}"
    ask(page, stage, stage.echo_model(4, 1), "prose")
    wait_text(page, "calm surface")
    second = bob.context.new_page()
    second.goto(page.url)  # a second tab, in the middle
    wait_text(second, "calm surface")
    stage.echo.release()
    wait_text(page, "return 1.84")
    page.reload()  # and the first one again
    wait_text(page, "return 1.84")
    stage.echo.release()
    third = bob.context.new_page()
    for tab in (page, second):
        tab.wait_for_selector(DONE)
    third.goto(page.url)
    assert blocks(page) == blocks(second) == blocks(third)
    for tab in (page, second, third):
        assert '水面平静。 <not a tag> & "quotes" 🌊' in tab.inner_text(BLOCKS)
    (row,) = stage.rows(
        "SELECT m.content, m.state FROM playground_message m WHERE role = 'assistant' "
        "ORDER BY id DESC LIMIT 1"
    )
    assert row == {"content": PROSE, "state": "done"}
    expect(page.locator("#composer")).not_to_have_attribute("data-running", "")
    expect(page.locator("[hx-sse\\:connect]")).to_have_count(0)
    bob.assert_calm()


# Who reads the answer's stream, once it is open: the first words come before, with the turn.
READER = "document.querySelector('[hx-sse\\\\:connect]')?._htmx?.sse?.reader"


def test_five_seconds_without_a_network_lose_nothing(stage: Stage, bob_apart: Watched) -> None:
    """W10. Five by the page's clock, in which it tries again and again; the answer goes on."""
    page = bob_apart.page
    page.clock.install()
    tried: list[str] = []
    page.on("requestfailed", lambda request: tried.append(request.url))
    half = len(PROSE) // 2
    text = f"A weir raises{HOLD} it. {PROSE[:half]}{HOLD}{PROSE[half:]}"
    ask(page, stage, stage.echo_model(9, 0), text)
    wait_text(page, "A weir raises")
    page.wait_for_function(f"() => !!{READER}")
    bob_apart.context.set_offline(True)
    # Where the browser has ended the stream by itself already, there is no reader any more.
    page.evaluate(f"{READER}?.cancel()")
    state = page.locator("#link-state")
    expect(state).to_contain_text("Connection lost")
    # In steps: what fails in one is tried again in a later one.
    for _ in range(50):
        page.clock.run_for(100)
    page_text = blocks(page)
    assert len([url for url in tried if "/events" in url]) >= 3
    newest = (
        "SELECT max(seq) AS seq FROM playground_runevent WHERE run_id = "
        "(SELECT id FROM playground_run ORDER BY id DESC LIMIT 1)"
    )
    before = stage.rows(newest)[0]["seq"]
    stage.echo.release()
    stage.hub.wait(lambda: stage.rows(newest)[0]["seq"] > before, "the answer does not go on")
    assert blocks(page) == page_text
    bob_apart.context.set_offline(False)
    page.clock.run_for(30_000)
    # It is said to be back while the answer goes on.
    expect(state).not_to_contain_text("Connection lost")
    expect(page.locator("#composer")).to_have_attribute("data-running", "")
    stage.echo.release()
    page.wait_for_selector(DONE)
    uninterrupted = bob_apart.page
    uninterrupted.goto(page.url)
    assert blocks(page) == blocks(uninterrupted)
    assert bob_apart.foreign == []


# A busy machine proves that it stops; how soon is measured where nothing else runs.
@pytest.mark.parametrize(
    "within_s", [pytest.param(30, id="stops"), pytest.param(1, id="in 1 s", marks=pytest.mark.slow)]
)
def test_escape_stops_the_upstream_and_the_charge_is_shown(
    stage: Stage, bob: Watched, within_s: int
) -> None:
    """W10: at 20 tokens. What was charged is the input and what came until then, to the token."""
    page = bob.page
    ask(page, stage, stage.fake_model(), "hi #tokens=400 #hold=20 #usage=cumulative")
    expect(page.locator(BLOCKS)).to_have_text(re.compile(r"^\s*(\S+ ){19}\S+\s*$"))
    stopped_at = time.monotonic_ns()
    page.keyboard.press("Escape")
    page.wait_for_selector(".msg[data-state=stopped]")
    (run,) = stage.rows(
        "SELECT u.id, u.charge_nano, u.kind FROM playground_run r "
        "JOIN usage_usagerecord u ON u.request_id = r.request_id AND u.final "
        "ORDER BY r.id DESC LIMIT 1"
    )
    assert run["kind"] == "client_closed"
    row = stage.fake.wait_for_row(id_text(run["id"]))
    assert row["outcome"] == "cut"
    assert row["left_at"] - stopped_at < within_s * 10**9
    assert row["usage"]["completion_tokens"] == 20
    charge = row["usage"]["prompt_tokens"] * RATES["in_text"] + 20 * RATES["out_text"]
    assert run["charge_nano"] * 1_000_000 == charge
    foot = page.locator(".msg footer").last.inner_text()
    match = re.search(
        r"Stopped by you · .*charged \$([\d.]+) \((measured(?: after disconnect)?)\)", foot
    )
    assert match, foot
    digits = len(match[1].partition(".")[2])
    assert Decimal(match[1]) == round(Decimal(run["charge_nano"]).scaleb(-9), digits)
    expect(page.locator("[data-send]")).to_be_visible()
    bob.assert_calm()


@pytest.mark.slow
def test_escape_during_a_send_stops_its_answer(stage: Stage, bob: Watched) -> None:
    """W10: the note under the composer says so from the moment of Enter on. The model waits after
    three words for ever: nothing else can end the answer."""
    page, on_their_way = bob.page, list[Route]()
    model = stage.own_model()
    page.route("**/playground/runs", lambda route: on_their_way.append(route))

    def begin(key: str) -> None:
        with page.expect_request("**/playground/runs"):
            page.keyboard.press(key)
        assert page.locator("[data-running]").count() == 0

    page.goto(stage.playground)
    choose_model(page, model)
    stopped = "SELECT 1 FROM playground_run WHERE model = %s AND state = 'stopped'"

    def stop(number: int) -> None:
        page.keyboard.press("Escape")
        on_their_way.pop().continue_()
        stage.hub.wait(lambda: len(stage.rows(stopped, model)) == number, "it is not stopped")
        expect(page.locator("[data-running]")).to_have_count(0)

    # The first of a chat, one more, and that one again.
    for number, key in enumerate(("Enter", "Enter", "Alt+r"), 1):
        if key == "Enter":
            page.fill("#chat-text", "hi #tokens=400 #hold=3")
        begin(key)
        stop(number)
    # What was meant for those does not stop the next one.
    page.fill("#chat-text", "hi #tokens=4")
    begin("Enter")
    on_their_way.pop().continue_()
    page.wait_for_selector(".msg[data-state=done]")
    # Afterwards it is the panel's again.
    page.keyboard.press("Alt+t")
    expect(page.locator(".pane[data-pane=tools]")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".pane[data-pane=tools]")).to_be_hidden()
    bob.assert_calm()


def test_a_fault_in_the_middle_keeps_the_text(stage: Stage, bob: Watched) -> None:
    page = bob.page
    ask(page, stage, stage.own_model(), "hi #tokens=60 #delay_ms=5 #fault=F14:eof@20")
    page.wait_for_selector(".msg[data-state=failed]")
    banner = page.locator(".msg .banner")
    expect(banner).to_contain_text("The answer was cut off. The text so far is kept.")
    expect(banner).to_contain_text("You were charged $")
    expect(page.locator(BLOCKS)).to_have_text(re.compile(r"^\s*(\S+ ){19}\S+\s*$"))
    expect(page.locator(".msg footer .end > a")).to_have_attribute("href", re.compile("/requests/"))
    page.get_by_role("button", name="Retry").click()
    expect(page.locator("[data-role=assistant] .versions")).to_contain_text("2/2")
    page.wait_for_selector(".msg[data-state=failed]")
    expect(page.locator(".msg")).to_have_count(2)
    bob.assert_calm()


def test_closing_the_tab_does_not_stop_the_answer(stage: Stage, bob: Watched) -> None:
    page = bob.context.new_page()
    ask(page, stage, stage.echo_model(3, 0), f"closing{HOLD} {PROSE}")
    wait_text(page, "closing")
    url = page.url
    page.close()
    again = bob.context.new_page()
    again.goto(url)
    stage.echo.release()
    again.wait_for_selector(DONE)
    expect(again.locator(BLOCKS)).to_contain_text("Measure twice.")


@pytest.mark.slow
def test_reasoning_is_separate_and_shows_its_duration(stage: Stage, bob: Watched) -> None:
    page = bob.page
    thought = "A **thought** <b>\n\nand another" + " word" * 60
    ask(page, stage, stage.echo_model(9, 0, "think"), thought + HOLD)
    expect(page.locator(".reasoning summary")).to_contain_text("Thinking…")
    stage.echo.release()
    wait_text(page, "and another")
    stage.echo.release()
    page.wait_for_selector(DONE)
    expect(page.locator(".reasoning summary")).to_contain_text("Thought for ")
    assert page.locator(".reasoning > div").text_content() == thought
    assert page.locator(f"{BLOCKS} strong").inner_text() == "thought"
    bob.assert_calm()


@pytest.mark.slow
def test_model_speech_and_images_are_played_and_shown(stage: Stage, bob: Watched) -> None:
    page = bob.page
    ask(page, stage, stage.echo_model(9, 0, "sound"), "spoken")
    page.wait_for_selector(DONE)
    sound = page.locator(".msg audio")
    sound.evaluate("audio => { audio.preload = 'auto'; audio.load(); }")
    page.wait_for_function("() => document.querySelector('.msg audio').duration === 1")
    ask(page, stage, stage.echo_model(9, 0, "picture"), "drawn")
    page.wait_for_selector(DONE)
    picture = page.get_by_alt_text("Image generated by the model")
    expect(picture).to_be_visible()
    page.wait_for_function("() => document.querySelector('.media img').naturalWidth > 0")
    page.reload()
    expect(picture).to_be_visible()
    bob.assert_calm()


def test_no_hostile_answer_executes(stage: Stage, bob: Watched) -> None:
    page = bob.page
    model = stage.echo_model(25, 0)
    page.goto(stage.playground)
    choose_model(page, model)
    # What no form can send is tried on the pure rules only. A fence that stays open takes in what
    # follows it: those come last.
    texts = [text.encode("utf-8", "ignore").decode().replace("\x00", "") for text in HOSTILE]
    texts.sort(key=lambda text: "```" in text or "~~~" in text)
    groups = ["\n\n----\n\n".join(texts[start : start + 48]) for start in range(0, len(texts), 48)]
    for number, text in enumerate(groups, 1):
        page.fill("#chat-text", text)
        page.keyboard.press("Enter")
        expect(page.locator(DONE)).to_have_count(number)
    for again in (False, True):
        if again:
            page.reload()
        assert page.evaluate("window.pwned") is None
        assert page.locator("#composer").count() == 1
        assert page.locator(".toast").count() == 0
        effects = page.evaluate(
            """() => [...document.querySelectorAll('.log *')].flatMap((one) => {
              const bad = [];
              const ours = one.closest('[data-part=blocks]');
              if (/^(script|style|iframe|object|embed|link|meta|base|img|video|audio|form|input)$/i
                  .test(one.tagName) && ours) bad.push(one.tagName);
              for (const { name } of one.attributes)
                if (/^on/.test(name) || (ours && ours !== one && /^(data-)?hx-/.test(name)))
                  bad.push(`${one.tagName} ${name}`);
              return bad;
            })"""
        )
        assert effects == []
    bob.assert_calm()


def test_enter_sends_and_input_methods_do_not(stage: Stage, bob: Watched) -> None:
    page = bob.page
    model = stage.echo_model(50, 0)
    page.goto(stage.playground)
    choose_model(page, model)
    page.locator("#chat-text").press_sequentially("one")
    page.keyboard.press("Shift+Enter")
    page.locator("#chat-text").press_sequentially("two")
    # What an input method does: it composes a word, and Enter ends that word alone.
    method = bob.context.new_cdp_session(page)
    composed = {"text": "水坝", "selectionStart": 2, "selectionEnd": 2}
    method.send("Input.imeSetComposition", composed)
    page.evaluate(
        """() => document.addEventListener('keydown', (event) => {
             window.composing = event.isComposing }, {capture: true, once: true})"""
    )
    enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
    method.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **enter})
    method.send("Input.dispatchKeyEvent", {"type": "keyUp", **enter})
    assert page.evaluate("window.composing") is True
    method.send("Input.insertText", {"text": "水坝"})
    assert page.input_value("#chat-text") == "one\ntwo水坝"
    assert page.locator(".msg").count() == 0
    page.keyboard.press("Enter")
    page.wait_for_selector(DONE)
    assert page.locator(".msg[data-role=user] .prose").inner_text() == "one\ntwo水坝"
    expect(page.locator("#chat-text")).to_have_value("")
    expect(page.locator("#chat-text")).to_be_focused()


@pytest.mark.slow
def test_log_follows_the_answer_and_scrolls_inside_the_window(stage: Stage, bob: Watched) -> None:
    """Only the log scrolls: the composer never leaves the window."""
    page = bob.page
    ask(page, stage, stage.echo_model(100, 4), PROSE * 4)
    page.wait_for_selector(DONE)
    expect(page.locator(".msg footer").last).to_be_in_viewport()
    page.locator("[data-log]").evaluate("log => { log.scrollTop = 0 }")
    page.fill("#chat-text", PROSE)
    page.keyboard.press("Enter")
    expect(page.locator(DONE)).to_have_count(2)
    expect(page.locator(".msg footer").last).to_be_in_viewport()
    expect(page.locator("[data-to-end]")).to_be_hidden()
    page.reload()
    expect(page.locator(".msg footer").last).to_be_in_viewport()
    assert page.evaluate(
        "(log => log.scrollHeight > 3 * innerHeight)(document.querySelector('.log'))"
    )
    for width, height in ((1280, 900), (360, 740)):
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollHeight - innerHeight") == 0
        expect(page.locator("#composer")).to_be_in_viewport(ratio=1)
    bob.assert_calm()


def test_page_sends_and_refreshes_without_scripts(stage: Stage, chromium: Browser) -> None:
    plain = watch(chromium, stage, java_script_enabled=False)
    page = plain.context.new_page()
    model = stage.echo_model(4, 0)
    page.goto(stage.playground)
    expect(page.locator("[data-pick-for]").first).to_be_hidden()
    page.select_option("#chat-model", model)
    page.fill("#chat-text", f"waiting{HOLD} {PROSE}")
    page.get_by_role("button", name="Send").click()
    expect(page).to_have_url(re.compile("/playground/c/"))
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    expect(page.locator(BLOCKS)).to_contain_text("waiting")
    stage.echo.release()
    expect(page.locator(BLOCKS)).to_contain_text("Measure twice.")
    expect(page.locator(".msg footer")).to_contain_text("measured")
    plain.context.close()


@pytest.mark.slow
def test_another_process_serves_the_run_of_a_stopping_one(stage: Stage, bob: Watched) -> None:
    """SIGTERM in the middle of an answer: it goes on to its end, and is read elsewhere."""
    second_hub = Hub(stage.hub.dsn, application=stage.hub.application)
    try:
        second_hub.start()
        bob.context.add_cookies(
            [{"name": "session_8000", "value": stage.sessions["bob"], "url": second_hub.url}]
        )
        page = bob.context.new_page()
        ask(page, stage, stage.echo_model(9, 0), f"calm surface{HOLD} for ever")
        elsewhere = bob.context.new_page()
        elsewhere.goto(page.url.replace(stage.hub.url, second_hub.url))
        wait_text(elsewhere, "calm surface")
        elsewhere.get_by_role("button", name="Stop", exact=True).click()
        for tab in (page, elsewhere):
            tab.wait_for_selector(".msg[data-state=stopped]")
        assert blocks(page) == blocks(elsewhere)

        page.close()
        elsewhere.goto(f"{second_hub.url}/o/acme/playground?m={stage.fake_model()}")
        text = "restarted #tokens=30 #hold=10"
        elsewhere.fill("#chat-text", text)
        elsewhere.keyboard.press("Enter")
        expect(elsewhere.locator(BLOCKS)).to_have_text(re.compile(r"^\s*(\S+ ){9}\S+\s*$"))
        assert second_hub.process is not None
        second_hub.process.terminate()
        stage.hub.wait(lambda: refuses(second_hub), "a process that stops still takes connections")
        stage.fake.release()
        second_hub.ended()
        elsewhere.goto(elsewhere.url.replace(second_hub.url, stage.hub.url))
        elsewhere.wait_for_selector(".msg[data-state=done]")
        expect(elsewhere.locator(BLOCKS)).to_have_text(expected_text("play", text, 30))
    finally:
        second_hub.close()


def refuses(hub: Hub) -> bool:
    try:
        socket.create_connection(("127.0.0.1", hub.port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_late_pages_get_the_whole_answer_without_its_events(stage: Stage, bob: Watched) -> None:
    page = bob.page
    ask(page, stage, stage.echo_model(9, 0), "late page")
    page.wait_for_selector(DONE)
    (run,) = stage.rows(
        "SELECT r.id, m.id AS message FROM playground_run r "
        "JOIN playground_message m ON m.run_id = r.id ORDER BY r.id DESC LIMIT 1"
    )
    stage.hub.connection.execute("DELETE FROM playground_runevent WHERE run_id = %s", [run["id"]])
    answer = stage.hub.request(
        "GET",
        f"/o/acme/playground/runs/{id_text(run['id'])}/events?after=3",
        headers={"cookie": f"session_8000={stage.sessions['bob']}"},
    )
    text = answer.body.decode()
    assert f'hx-target="#msg-{id_text(run["message"])}"' in text
    assert "late page" in text


def test_a_killed_process_leaves_the_text_and_says_so(stage: Stage, bob: Watched) -> None:
    page = bob.page
    ask(page, stage, stage.echo_model(9, 0), f"calm surface{HOLD} {PROSE}")
    wait_text(page, "calm surface")
    stage.hub.kill()
    stage.hub.connection.execute(
        "UPDATE playground_run SET heartbeat_at = now() - interval '1 minute' "
        "WHERE ended_at IS NULL"
    )
    stage.hub.start()
    page.wait_for_selector(".msg[data-state=interrupted]")
    expect(page.locator(".msg .banner")).to_contain_text("Interrupted")
    wait_text(page, "calm surface")
    again = bob.context.new_page()
    again.goto(page.url)
    assert blocks(again) == blocks(page)
    expect(again.get_by_role("button", name="Retry")).to_be_visible()
    again.get_by_role("button", name="Continue").click()
    expect(again.locator(".msg[data-role=user]")).to_have_count(2)
    expect(again.locator(BLOCKS).last).to_have_text("Continue exactly where you stopped.")


@pytest.mark.slow
def test_a_killed_process_is_noticed_within_15_seconds(stage: Stage, bob: Watched) -> None:
    """By the clock on the wall, with nobody's help."""
    page = bob.page
    ask(page, stage, stage.echo_model(3, 20), PROSE)
    wait_text(page, "calm surface")
    killed_at = time.monotonic()
    stage.hub.kill()
    stage.hub.start()
    page.wait_for_selector(".msg[data-state=interrupted]", timeout=20_000)
    assert time.monotonic() - killed_at < 15
    wait_text(page, "calm surface")


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1440])
def test_the_page_is_accessible_and_fits(stage: Stage, chromium: Browser, width: int) -> None:
    size = {"width": width, "height": 800}
    watched = watch(chromium, stage, viewport=size)
    page = watched.context.new_page()
    ask(page, stage, stage.echo_model(40, 0), PROSE + "\n```\n" + "wide " * 80 + "\n```\n")
    page.wait_for_selector(DONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#chat-text").bounding_box() is not None
    assert findings_in_both_themes(page) == []
    watched.context.close()
