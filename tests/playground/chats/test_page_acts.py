"""What one does on the page while something else is on its way, and in another order than one
might expect: nothing typed or chosen is lost, nothing is sent unasked (W10)."""

import re

import pytest
from playwright.sync_api import FilePayload, Page, Request, Route, expect

from tests.playground.chats.test_desk import PNG
from tests.playground.chats.test_page_state import kept, send
from tests.playground.conftest import Stage, Watched
from tests.playground.runs.test_live import BLOCKS, DONE, ask

pytestmark = pytest.mark.browser

CHIPS = "#chips .file-chip"
FILES, RUNS = re.compile("/playground/files$"), re.compile("/playground/runs$")


def choose_files(page: Page, *names: str) -> None:
    files: list[FilePayload] = [
        {
            "name": name,
            "mimeType": "image/png",
            "buffer": PNG if name.endswith(".png") else b"MZ\0\xff",
        }
        for name in names
    ]
    page.locator("#attach input[type=file]").set_input_files(files)


def count_requests(page: Page, path: re.Pattern[str]) -> list[str]:
    """The requests to a path, as they come."""
    urls = list[str]()

    def note(request: Request) -> None:
        if path.search(request.url):
            urls.append(request.url)

    page.on("request", note)
    return urls


def asks_before_leaving(page: Page) -> bool:
    result: bool = page.evaluate("!dispatchEvent(new Event('beforeunload', {cancelable: true}))")
    return result


def test_enter_in_a_setting_sends_no_message(stage: Stage, bob: Watched) -> None:
    page = bob.page
    sent = count_requests(page, RUNS)
    page.goto(f"{stage.playground}?m={stage.echo_model()}&panel=params")
    page.fill("#chat-text", "half a question")
    page.fill("#set-max-cost", "0.05")
    page.locator("#set-max-cost").press("Enter")
    page.locator("[popovertarget=menu-payer]").click()
    page.locator("#pay-project").press("Enter")
    page.keyboard.press("Escape")
    assert sent == []
    page.locator("#chat-text").press("Enter")
    page.wait_for_selector(DONE)
    assert len(sent) == 1
    bob.assert_calm()


def held_send(page: Page, stage: Stage) -> list[Route]:
    """Send a thought with a file, which stays on its way until its request is continued: it is in
    the list as soon as the browser is asked for anything else."""
    held = list[Route]()
    page.goto(f"{stage.playground}?m={stage.echo_model()}")
    choose_files(page, "sent.png")
    expect(page.locator(CHIPS)).to_have_count(1)
    page.route(RUNS, lambda route: held.append(route))
    with page.expect_request(RUNS):
        send(page, "one thought")
    return held


def test_what_is_typed_and_attached_during_a_send_stays(stage: Stage, bob: Watched) -> None:
    page = bob.page
    held = held_send(page, stage)
    page.keyboard.type(", and the next")
    choose_files(page, "next.png")
    expect(page.locator(CHIPS)).to_have_count(2)
    held[0].continue_()
    page.wait_for_selector(DONE)
    expect(page.locator("#chat-text")).to_have_value(", and the next")
    kept(page, ", and the next")
    expect(page.locator(CHIPS)).to_have_count(1)
    expect(page.locator(CHIPS)).to_contain_text("next.png")
    expect(page.locator(".msg[data-role=user]")).to_contain_text("one thought")


@pytest.mark.parametrize("replaced", [False, True], ids=["appended", "replaced"])
def test_refusal_keeps_what_was_typed_and_attached_during_the_send(
    stage: Stage, bob: Watched, replaced: bool
) -> None:
    """The refused text too, also if other text has taken its place in the meantime."""
    page = bob.page
    held = held_send(page, stage)
    if replaced:
        page.fill("#chat-text", "")
    page.keyboard.type("and the next")
    choose_files(page, "next.png")
    expect(page.locator(CHIPS)).to_have_count(2)
    body = re.sub(r"\bmodel=[^&]*", "model=gone", held[0].request.post_data or "")
    held[0].continue_(post_data=body)
    expect(page.locator("#composer-error")).to_be_visible()
    between = "\n\n" if replaced else ""
    expect(page.locator("#chat-text")).to_have_value(f"one thought{between}and the next")
    kept(page, f"one thought{between}and the next")
    expect(page.locator(CHIPS)).to_have_count(2)
    # Whoever goes on typing does not notice.
    page.keyboard.type(", and one more")
    expect(page.locator("#chat-text")).to_have_value(
        f"one thought{between}and the next, and one more"
    )


def test_open_edit_outlives_a_log_that_is_drawn_anew(stage: Stage, bob: Watched) -> None:
    page = bob.page
    ask(page, stage, stage.echo_model(), "first")
    page.wait_for_selector(DONE)
    send(page, "second")
    expect(page.locator(DONE)).to_have_count(2)
    page.locator("[data-edit]").first.click()
    edit = page.get_by_label("Message", exact=True).and_(page.locator("[name=edited]"))
    edit.fill("first, written anew")
    page.get_by_role("button", name="More").last.click()
    page.locator(".menu:popover-open").get_by_role("button", name="Delete").click()
    expect(page.locator(DONE)).to_have_count(1)
    expect(edit).to_have_value("first, written anew")
    assert asks_before_leaving(page)
    page.route(RUNS, lambda route: route.abort("connectionfailed"))
    with page.expect_event("requestfailed"):
        page.get_by_role("button", name="Send as new version").click()
    expect(page.locator(".toast[data-tone=bad]")).to_contain_text("No response")
    assert asks_before_leaving(page)
    page.unroute_all()
    page.get_by_role("button", name="Send as new version").click()
    expect(page.locator(BLOCKS)).to_have_text("first, written anew")
    assert not asks_before_leaving(page)


@pytest.mark.slow
def test_each_file_is_sent_alone_and_its_error_stays(stage: Stage, bob: Watched) -> None:
    """Several are larger together than one request may be."""
    page = bob.page
    sent = count_requests(page, FILES)
    page.goto(f"{stage.playground}?m={stage.echo_model()}")
    choose_files(page, "wrong.exe", "1.png", "2.png", "3.png")
    expect(page.locator(CHIPS)).to_have_count(3)
    assert len(sent) == 4
    expect(page.locator(".composer-error").filter(has_text="wrong.exe")).to_be_visible()
    choose_files(page, "4.png")
    expect(page.locator(CHIPS)).to_have_count(4)
    expect(page.locator(".composer-error").filter(has_text="wrong.exe")).to_have_count(0)


@pytest.mark.slow
def test_text_of_an_office_program_is_pasted_as_text(stage: Stage, bob: Watched) -> None:
    page = bob.page
    page.goto(f"{stage.playground}?m={stage.echo_model()}")
    left_to_the_browser = page.evaluate(
        """() => {
          const carrier = new DataTransfer();
          carrier.items.add(new File(["a picture"], "image.png", {type: "image/png"}));
          carrier.setData("text/plain", "cells");
          carrier.setData("text/html", "<table></table>");
          const how = {clipboardData: carrier, bubbles: true, cancelable: true};
          const paste = new ClipboardEvent("paste", how);
          return document.querySelector("#chat-text").dispatchEvent(paste);
        }"""
    )
    assert left_to_the_browser


@pytest.mark.slow
def test_what_is_copied_has_no_words_of_buttons(stage: Stage, bob: Watched) -> None:
    page = bob.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ask(page, stage, stage.echo_model(), "See:\n\n```python\nprint(1)\n```")
    page.wait_for_selector(DONE)
    page.get_by_role("button", name="Copy answer").click()
    expect(page.get_by_role("button", name="Copy answer")).to_have_attribute("data-done", "")
    assert page.evaluate("navigator.clipboard.readText()").split() == ["See:", "print(1)"]
    code = page.locator("figcaption .copy")
    code.click()
    expect(code).to_have_text("Copied")
    code.click()
    expect(code).to_have_text("Copy")
    assert page.evaluate("navigator.clipboard.readText()").strip() == "print(1)"


@pytest.mark.slow
def test_text_that_cannot_be_copied_is_said_so(stage: Stage, bob_apart: Watched) -> None:
    """Without HTTPS there is no clipboard."""
    page = bob_apart.page
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.goto(stage.playground)
    page.evaluate(
        """document.body.insertAdjacentHTML(
          "beforeend", '<button data-copy-text="x" id="copies">Copy</button>')"""
    )
    page.locator("#copies").dispatch_event("click")
    expect(page.locator(".toast")).to_contain_text("Not copied")


@pytest.mark.slow
def test_toast_stays_as_long_as_it_has_the_focus(stage: Stage, bob_apart: Watched) -> None:
    page = bob_apart.page
    page.clock.install()
    page.goto(stage.playground)
    page.evaluate(
        """document.dispatchEvent(new CustomEvent(
          "toast", {detail: {text: "Deleted.", action: "Undo", post: "/nowhere"}}))"""
    )
    toast, undo = page.locator(".toast"), page.get_by_role("button", name="Undo")
    undo.hover()
    undo.focus()
    page.mouse.move(0, 0)
    page.clock.run_for(60_000)
    expect(undo).to_be_focused()
    page.evaluate("document.activeElement.blur()")
    page.clock.run_for(9_000)
    expect(toast).to_be_visible()
    page.clock.run_for(12_000)
    expect(toast).to_have_count(0)


@pytest.mark.slow
def test_refused_change_of_a_chat_keeps_its_dialog(stage: Stage, bob: Watched) -> None:
    page = bob.page
    ask(page, stage, stage.echo_model(), "once")
    page.wait_for_selector(DONE)
    page.get_by_role("link", name="Actions for once").first.click()
    page.locator("#chat-folder").evaluate("field => field.removeAttribute('maxlength')")
    page.locator("#chat-folder").fill("f" * 100)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".toast")).to_be_visible()
    expect(page.locator("#chat-folder")).to_have_value("f" * 100)


@pytest.mark.slow
def test_all_of_a_list_are_those_that_can_be_ticked(stage: Stage, bob: Watched) -> None:
    """As in the operations of an OpenAPI file, some of which cannot be tools."""
    page = bob.page
    page.goto(stage.playground)
    page.evaluate(
        """document.body.insertAdjacentHTML("beforeend", `<div data-bulk><input type=checkbox
          data-tick-all id=all><table><tbody><tr><td><input type=checkbox><input type=checkbox
          disabled></table><p data-ticked data-words="%(n)s selected"></div>`)"""
    )
    page.locator("#all").evaluate("box => box.click()")
    assert page.locator("[data-ticked]").text_content() == "1 selected"
    assert page.locator("[data-bulk] tbody :checked").count() == 1
