"""What the chat says of itself in each of its states, in a real browser."""

import re
from collections.abc import Iterator
from functools import partial

import pytest
from playwright.sync_api import Page, expect

from tests.playground.conftest import Desks, Stage, Watched
from tests.playground.echo import HOLD
from tests.playground.runs.test_live import BLOCKS, ask

pytestmark = pytest.mark.browser

DONE = ".msg[data-role=assistant]:not([data-state=answering])"
FOOT = ".msg[data-role=assistant] footer"


@pytest.fixture
def bob(desks: Desks) -> Iterator[Watched]:
    with desks.lent("bob", width=1440) as watched:
        yield watched


@pytest.mark.slow
def test_silent_model_shows_a_message_and_can_be_left(stage: Stage, bob: Watched) -> None:
    page = bob.page
    ask(page, stage, stage.fake_model(), "hi #tokens=3 #hold=0")
    foot = page.locator(FOOT).last
    expect(foot).to_contain_text(re.compile(r"Waiting.* · expected \$.* · ≤ \$.* reserved"))
    expect(foot).to_have_text("Still waiting for the first token · 5 s", timeout=8_000)
    expect(foot).to_contain_text("Still waiting for the first token · 20 s", timeout=20_000)
    foot.get_by_role("button", name="Try another model").click()
    page.wait_for_selector(".msg[data-state=stopped]")
    expect(page.locator("#model-q")).to_be_focused()
    bob.assert_calm()


@pytest.mark.slow
def test_thinking_shows_its_duration_and_answering_its_speed(stage: Stage, bob: Watched) -> None:
    page = bob.page
    ask(page, stage, stage.echo_model(9, 0, "think"), "thought " * 20 + HOLD + "again")
    head = page.locator(".reasoning summary")
    expect(head).to_contain_text(re.compile(r"Thinking… 1 s · ≈ \d+ tokens"))
    expect(head).to_have_text(re.compile(r"Thinking… 2 s · ≈ \d+ tokens"))
    stage.echo.release()
    expect(head).to_have_text(re.compile(r"Thought for \d"))
    expect(page.locator(FOOT)).to_have_text(re.compile(r"TTFT .* tok/s · ≈ \d+ out · ≈ \$0\.0"))
    page.keyboard.press("Escape")
    page.wait_for_selector(DONE)


def announcements(page: Page) -> list[str]:
    received: list[str] = page.evaluate("() => window.said")
    return received


def is_said(page: Page, number: int) -> bool:
    """Whether so much was, three seconds later by the page's clock."""
    page.clock.run_for(3_000)
    return len(announcements(page)) >= number


def listen(page: Page) -> None:
    page.evaluate(
        """() => {
          window.said = [];
          const region = document.querySelector("#spoken");
          new MutationObserver(() => window.said.push(region.textContent))
            .observe(region, { childList: true, characterData: true, subtree: true });
        }"""
    )


SPOKEN = f"""The weir holds **1.5 metres** of [water](https://example.org). It f{HOLD}lows!
水面平静。流速{HOLD}慢？

```python
print("not a word of this.")
```

- one `item`
- another

The end"""


def test_a_screen_reader_hears_whole_sentences(stage: Stage, bob_apart: Watched) -> None:
    page = bob_apart.page
    page.clock.install()
    model = stage.echo_model(2, 0)
    page.goto(f"{stage.playground}/settings")
    page.get_by_label("While an answer is written").select_option("Each sentence")
    page.goto(f"{stage.playground}?m={model}")
    listen(page)
    page.fill("#chat-text", SPOKEN)
    page.locator("#chat-text").press("Enter")
    lines = ["The weir holds 1.5 metres of water.", "It flows! 水面平静。",
            "流速慢？ Code block: python. one item another The end"]  # fmt: skip
    for number, written in enumerate(("It f", "流速"), 1):
        expect(page.locator(BLOCKS)).to_contain_text(written)
        # What came with the turn is read with the first frame behind it.
        stage.hub.wait(partial(is_said, page, number), "nothing is said")
        assert announcements(page) == lines[:number]
        stage.echo.release()
    page.wait_for_selector(DONE)
    page.wait_for_function("count => window.said.length >= count", arg=len(lines))
    assert announcements(page) == lines
    expect(page.locator("#live")).to_have_text(re.compile("Answer finished, "))
    bob_apart.assert_calm()


@pytest.mark.slow
def test_a_screen_reader_hears_of_begin_and_end_or_nothing(stage: Stage, bob: Watched) -> None:
    page = bob.page
    model = stage.echo_model(9, 0)
    page.goto(f"{stage.playground}?m={model}")
    listen(page)
    expect(page.locator("#live")).to_have_attribute("aria-live", "polite")
    page.fill("#chat-text", "One. Two.")
    page.locator("#chat-text").press("Enter")
    page.wait_for_selector(DONE)
    expect(page.locator("#live")).to_have_text("Answer finished, 2 words")
    assert announcements(page) == []
    page.goto(f"{stage.playground}/settings")
    page.get_by_label("While an answer is written").select_option("Nothing")
    page.goto(stage.playground)
    expect(page.locator("#live")).to_have_attribute("aria-live", "off")
