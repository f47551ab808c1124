"""How soon pages answer whoever clicks and types, in a browser at a quarter of its pace.

    make bench-interactions    a few minutes; writes its section of docs/background/performance.md

It is the time from the event to the next paint, as the browser's event timing tells it: in steps of
8 ms, and from 16 ms on. The pages are those of the company of the screenshots, with a hundred keys.
"""

import datetime as dt
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, expect, sync_playwright

from stack.test_programs import browser as chromium
from tests.bench import machine
from tests.bench.page import PAGE, with_section
from tests.bench.spread import spread
from tools import answers, screenshots

SLOWER: Final = 4
ROUNDS: Final = 5
LIMIT_MS: Final = 200
"""What Web Vitals call good, and what no interaction is to exceed."""
_LEAST_MS: Final = 16
_KEYS: Final = 100
_MINT: Final = f"""
from accounts.access.actors import SYSTEM
from accounts.keys.keys import mint_key
from accounts.models import KeyKind, Team
team = Team.objects.get(slug="website")
for n in range({_KEYS}):
    mint_key(SYSTEM, team, f"worker-{{n}}", user=None, kind=KeyKind.RELAY)
"""
# A click that leads to another page is told before that page takes over.
_OBSERVE: Final = """
new PerformanceObserver((list) => {
  for (const { interactionId, duration } of list.getEntries())
    if (interactionId) notePaint(duration);
}).observe({ type: "event", durationThreshold: 16 });
"""
_PAINTED: Final = """() => new Promise((done) =>
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 100))))"""
Step = Callable[[Page], None]


def main() -> int:
    others = machine.Others()
    with (
        tempfile.TemporaryDirectory(prefix="interactions-") as folder,
        answers.provider() as provider,
        screenshots.installation(data := Path(folder) / "data") as running,
        sync_playwright() as playwright,
    ):
        expect.set_options(timeout=screenshots.ANSWER_MS)
        screenshots.configure(running, data, provider)
        facts = screenshots.make_company(running)
        running.manage("shell", "--no-imports", "-c", _MINT)
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox"])
        page = screenshots.sign_in(browser, running)
        taken = measure(page, facts["o"])
        browser.close()
    section = render(taken, _about(others))
    sys.stdout.write(section + "\n")
    PAGE.write_text(with_section(PAGE.read_text(), section))
    return 1 if any(max(rounds) > LIMIT_MS for rounds in taken.values()) else 0


def measure(page: Page, organisation: str) -> dict[str, list[float]]:
    """The slowest interaction of each step in ms, round by round, after one that is not counted."""
    noted: list[float] = []
    page.expose_function("notePaint", lambda duration: noted.append(duration))
    page.add_init_script(_OBSERVE)
    slowed = page.context.new_cdp_session(page)
    slowed.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    taken: dict[str, list[float]] = {}
    for number in range(ROUNDS + 1):
        for name, (path, step) in STEPS.items():
            page.goto(organisation + path)
            page.wait_for_load_state("networkidle")
            noted.clear()
            step(page)
            page.evaluate(_PAINTED)
            if number:
                taken.setdefault(name, []).append(max(noted, default=0))
    return taken


def _type_into_palette(page: Page) -> None:
    page.keyboard.press("Control+k")
    page.keyboard.type("create key", delay=60)
    expect(page.locator("#palette-found [role=option]").first).to_be_visible()


def _open_menu(page: Page) -> None:
    page.locator("#rows .act .btn").nth(3).click()
    expect(page.locator(".menu:popover-open")).to_be_visible()


def _open_dialog(page: Page) -> None:
    page.get_by_role("link", name="Create key").click()
    expect(page.get_by_role("dialog").get_by_label("Name")).to_be_focused()


def _filter_list(page: Page) -> None:
    page.locator("#results input[type=search]").click()
    page.keyboard.type("worker-1", delay=60)
    expect(page.locator("#rows tbody tr")).to_have_count(11)


def _pick_models(page: Page) -> None:
    field = page.get_by_role("combobox", name="Models")
    field.click()
    page.keyboard.type("su", delay=60)
    expect(page.locator(".picks [role=option]").first).to_be_visible()
    page.keyboard.press("Enter")


def _send(page: Page) -> None:
    page.locator("#chat-text").click()
    page.keyboard.type("Where is my parcel?", delay=30)
    page.locator("[data-send]").click()
    expect(page.locator("[data-role=assistant]").first).to_be_visible()


def _switch_theme(page: Page) -> None:
    page.get_by_role("button", name="Account menu").click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="Light").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


def _tick_rows(page: Page) -> None:
    page.locator("[data-tick-all]").click()
    expect(page.locator(".bulk")).to_be_visible()
    page.locator("#rows tbody [name=id]").nth(2).click()


def _change_tab(page: Page) -> None:
    page.locator(".tabs a", has_text="Sessions").click()
    page.wait_for_url("**/sessions*")


def _filter_requests(page: Page) -> None:
    page.get_by_role("combobox", name="Time range").focus()
    page.keyboard.type("Yes", delay=60)
    page.wait_for_url("**range=yesterday*")


def _sort_list(page: Page) -> None:
    page.get_by_role("columnheader", name="Name").get_by_role("link").click()
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute(
        "aria-sort", "ascending"
    )


# By the name of a step: below the organisation's address, and what is done there.
STEPS: Final[Mapping[str, tuple[str, Step]]] = {
    "Open the palette and type 10 letters": ("/", _type_into_palette),
    "Open the menu of a row": ("/keys", _open_menu),
    "Open a dialog with a form": ("/keys", _open_dialog),
    "Type in the search field of a list": ("/keys?rows=200", _filter_list),
    "Filter the requests": ("/requests", _filter_requests),
    "Sort a list": ("/keys?rows=200", _sort_list),
    "Tick all rows, then one off": ("/keys?rows=200", _tick_rows),
    "Type in a picker and choose": ("/keys/new", _pick_models),
    "Write a message and send it": ("/playground?m=support-chat", _send),
    "Switch the theme, beside charts": ("/usage", _switch_theme),
    "Change the tab": ("/usage", _change_tab),
}


def _about(others: machine.Others) -> str:
    """When, where and of what."""
    today = dt.datetime.now(dt.UTC).date()
    return f"We measured on {today}, on {machine.machine_line()}; {others.line()}."


def render(taken: Mapping[str, Sequence[float]], about: str) -> str:
    """Return the section of the page; `taken` are the ms of each step, round by round."""
    return "\n".join(
        [
            "## Interactions",
            "",
            "The table shows the time from a click or a key to the next paint, in Chromium, with "
            "the processor slowed down to a quarter of its speed. If a step contains several "
            "interactions, the slowest interaction counts. Times are in milliseconds, rounded to a "
            f"multiple of 8. The columns show the median and the maximum of {ROUNDS} rounds. The "
            f"page with the list of API keys contains more than {_KEYS} keys. "
            "`make bench-interactions` writes this section.",
            "",
            f"- {about}",
            "",
            "| Step | median | highest |",
            "| --- | --- | --- |",
            *(_row(name, rounds) for name, rounds in taken.items()),
        ]
    )


def _row(name: str, rounds: Sequence[float]) -> str:
    value = spread(rounds)
    return f"| {name} | {_ms(value.median)} | {_ms(value.high)} |"


def _ms(value: float) -> str:
    return f"{value:.0f}" if value >= _LEAST_MS else f"< {_LEAST_MS}"


if __name__ == "__main__":
    sys.exit(main())
