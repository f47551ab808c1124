"""Leaving (W10): an answer that nobody watches goes on or is stopped, as was chosen (P6)."""

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from lib.ids import id_text
from tests.playground.conftest import Desks, Stage, Watched
from tests.playground.runs.test_live import BLOCKS, DONE, ask

pytestmark = pytest.mark.browser

TOKENS, WRITTEN = 150, 40
# It waits behind its first words: how long an answer goes on is no matter of time.
HELD = f"hi #tokens={TOKENS} #hold={WRITTEN} #usage=cumulative"


@pytest.fixture
def bob(desks: Desks, stage: Stage) -> Iterator[Watched]:
    with desks.lent("bob") as watched:
        yield watched
    choose(stage, "keep", None)


def choose(stage: Stage, leaving: str, seconds_max: int | None) -> None:
    """Bob's choice, and the rule of his organisation."""
    stage.hub.connection.execute(
        "INSERT INTO playground_preference (user_id, leaving, title_model) "
        "SELECT id, %(leaving)s, '' FROM accounts_user WHERE email = 'bob@example.org' "
        "ON CONFLICT (user_id) DO UPDATE SET leaving = %(leaving)s",
        {"leaving": leaving},
    )
    stage.hub.connection.execute(
        "INSERT INTO playground_leavingrule (organisation_id, seconds_max) VALUES (%s, %s) "
        "ON CONFLICT (organisation_id) DO UPDATE SET seconds_max = excluded.seconds_max",
        [stage.organisation, seconds_max],
    )


def begin(page: Page, stage: Stage) -> str:
    """An answer on its way, which goes on once it is released; the attempt's id."""
    ask(page, stage, stage.fake_model(), HELD)
    expect(page.locator(BLOCKS)).to_have_text(re.compile(r"^\s*(\S+\s+){39}\S+\s*$"))
    (run,) = stage.rows("SELECT request_id FROM playground_run ORDER BY id DESC LIMIT 1")
    attempts = stage.rows("SELECT id FROM usage_attempt WHERE request_id = %s", run["request_id"])
    return id_text(attempts[0]["id"])


def newest_run(stage: Stage) -> dict[str, object]:
    (run,) = stage.rows('SELECT state, "left" FROM playground_run ORDER BY id DESC LIMIT 1')
    return run


def goes_on(stage: Stage) -> None:
    """Wait until the newest run is alive later than one that was left now would be: that has a
    second of grace, and a quarter until it is looked."""
    alive = """
        SELECT 1 FROM playground_run WHERE ended_at IS NULL AND stop_at IS NULL
        AND heartbeat_at > %s + interval '1.5 seconds'
        ORDER BY id DESC LIMIT 1"""
    (now,) = stage.rows("SELECT now() AS at")
    stage.hub.wait(lambda: bool(stage.rows(alive, now["at"])), "the answer does not go on")


# How soon is measured where nothing else runs.
@pytest.mark.parametrize(
    ("leaving", "seconds_max", "within_s"),
    [
        ("stop", None, 60),
        pytest.param("stop", None, 3, marks=pytest.mark.slow),
        pytest.param("keep", 0, 3, marks=pytest.mark.slow),
    ],
)
def test_closing_the_last_tab_stops_it_and_charges_by_the_rule(
    stage: Stage, bob: Watched, leaving: str, seconds_max: int | None, within_s: int
) -> None:
    choose(stage, leaving, seconds_max)
    page = bob.context.new_page()
    attempt = begin(page, stage)
    url = page.url
    left_at = time.monotonic_ns()
    page.close()
    row = stage.fake.wait_for_row(attempt)
    assert row["outcome"] == "cut"
    # A second of grace, a quarter until it is looked, and the way to the provider; a lease that
    # nobody ended would take four.
    assert 1_000_000_000 <= row["left_at"] - left_at < within_s * 10**9
    again = bob.context.new_page()
    again.goto(url)
    again.wait_for_selector(".msg[data-state=stopped]")
    foot = again.locator(".msg footer").last.inner_text()
    assert re.search("Stopped because the page was closed · .*charged \\$0\\.0000\\d+ \\(", foot), (
        foot
    )
    assert newest_run(stage) == {"state": "stopped", "left": True}
    (record,) = stage.rows(
        "SELECT kind, charge_nano, meters FROM usage_usagerecord WHERE id = "
        "(SELECT id FROM usage_attempt ORDER BY id DESC LIMIT 1)"
    )
    assert record["kind"] == "client_closed"
    assert record["meters"]["out_text"] == WRITTEN
    bob.assert_calm()


# A busy machine takes longer to load a page than the second that a reader is waited for.
@pytest.mark.slow
def test_reloading_does_not_stop_it(stage: Stage, bob: Watched) -> None:
    choose(stage, "stop", None)
    page = bob.context.new_page()
    begin(page, stage)
    page.reload()
    goes_on(stage)
    stage.fake.release()
    page.wait_for_selector(DONE)
    assert newest_run(stage) == {"state": "done", "left": False}


@pytest.mark.slow
def test_second_or_background_tab_keeps_it(stage: Stage, bob: Watched) -> None:
    choose(stage, "stop", None)
    page = bob.context.new_page()
    begin(page, stage)
    second = bob.context.new_page()
    second.goto(page.url)
    expect(second.locator(BLOCKS)).to_have_text(re.compile(".{80}", re.DOTALL))
    page.close()  # one is left
    second.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    goes_on(stage)
    stage.fake.release()
    second.wait_for_selector(DONE)
    assert newest_run(stage) == {"state": "done", "left": False}


def test_a_page_that_gave_its_stream_up_keeps_its_answer(stage: Stage, bob: Watched) -> None:
    """Other tabs hold the streams of the browser: it looks again and again, and watches so."""
    choose(stage, "stop", None)
    page = bob.context.new_page()
    begin(page, stage)
    other = bob.context.new_page()
    other.goto(page.url.partition("/o/")[0] + "/readyz")
    other.evaluate(
        "() => { const channel = new BroadcastChannel('streams');"
        "for (const tab of [1, 2, 3]) channel.postMessage({ tab, open: true }); }"
    )
    page.wait_for_function("() => window.streams.brief")
    with page.expect_request(lambda request: "brief=1" in request.url):
        pass
    for _ in range(2):
        goes_on(stage)
    stage.fake.release()
    page.wait_for_selector(DONE)
    assert newest_run(stage) == {"state": "done", "left": False}


@pytest.mark.slow
def test_other_chats_answer_is_listed_and_can_be_stopped(stage: Stage, bob_apart: Watched) -> None:
    page = bob_apart.page
    page.clock.install()
    attempt = begin(page, stage)
    page.goto(stage.playground)
    row = page.locator(".chat-list .chat-row").first
    expect(row.locator(".dot[data-live]")).to_be_visible()
    row.get_by_role("button", name=re.compile("^Stop the answer in")).click()
    assert stage.fake.wait_for_row(attempt)["outcome"] == "cut"
    page.clock.run_for(3_000)
    expect(row.locator(".dot")).to_have_count(0)  # the list looks again by itself
    assert newest_run(stage) == {"state": "stopped", "left": False}
    bob_apart.assert_calm()


@pytest.mark.slow
def test_a_temporary_chat_ends_and_leaves_no_trace_in_the_page(stage: Stage, bob: Watched) -> None:
    page = bob.page
    page.goto(f"{stage.playground}?m={stage.echo_model()}")
    page.get_by_role("button", name="Chat options").click()
    page.get_by_role("switch", name="Temporary chat").check()
    expect(page).to_have_url(re.compile("&tmp=1$"))
    page.keyboard.press("Escape")
    expect(page.locator(".chat-temporary")).to_be_visible()
    page.fill("#chat-text", "nobody keeps this")
    expect(page.locator("#bound")).to_contain_text("reserved")  # a draft is kept earlier than that
    assert page.evaluate("localStorage.length") == 0
    page.locator("#chat-text").press("Enter")
    page.wait_for_selector(DONE)
    expect(page.locator(".chat-temporary")).to_contain_text("not saved")
    assert page.locator(".chat-row").filter(has_text="nobody").count() == 0

    def minutes() -> float:
        (row,) = stage.rows(
            "SELECT extract(epoch FROM ends_at - now()) / 60 AS minutes FROM "
            "playground_conversation WHERE ends_at IS NOT NULL ORDER BY id DESC LIMIT 1"
        )
        return float(row["minutes"])

    page.reload()
    expect(page.locator(BLOCKS)).to_have_text("nobody keeps this")
    assert minutes() > 50
    page.get_by_role("link", name="New chat").first.click()
    page.wait_for_selector("#empty")
    stage.hub.wait(lambda: minutes() <= 1, "the page did not say that it was left")
    page.go_back()
    expect(page.locator(BLOCKS)).to_have_text("nobody keeps this")
    stage.hub.wait(lambda: minutes() > 50, "the page did not say that it is there again")
    bob.assert_calm()
