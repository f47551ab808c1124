"""The realtime page (W15): one speaks and writes over a real WebSocket, through the real relay,
with real books and a browser whose microphone beeps."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from accounts.keys.keys import playground_key
from accounts.models import Organisation, User
from lib.ids import id_text
from playground.media import realtime
from playground.models import RealtimeTicket
from playground.payers.paying import Payer
from stack.test_programs.browser import find
from tests.browser.visitor import findings, findings_in_both_themes, too_wide
from tests.fakes.realtime import FakeRealtime
from tests.playground.conftest import Stage, Watched, watch
from tests.support.cast import actor
from tests.support.hostile import EVERYTHING

RATES = {
    "in_text": 4 * 10**6,
    "in_audio": 32 * 10**6,
    "in_cache_read": 10**6,
    "in_audio_cached": 2 * 10**6,
    "out_text": 16 * 10**6,
    "out_audio": 64 * 10**6,
}


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeRealtime]:
    with FakeRealtime() as fake:
        yield fake


@pytest.fixture(scope="module")
def model(stage: Stage, provider: FakeRealtime) -> str:
    return stage.hub.model(provider, rates=RATES, upstream_model="gpt-realtime", retries=0)


def records_of(stage: Stage, model: str, count: int) -> list[dict[str, Any]]:
    """The records of a model, in their order, when there are so many."""
    query = "SELECT * FROM usage_usagerecord WHERE model = %s AND final ORDER BY id"
    stage.hub.wait(lambda: len(stage.rows(query, model)) >= count, "a record is missing")
    return stage.rows(query, model)


@pytest.fixture
def bob_heard(chromium: Browser, stage: Stage) -> Iterator[Watched]:
    """Bob in a browser whose microphone beeps, and may be heard."""
    arguments = [
        "--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    ]  # fmt: skip
    beeping = chromium.browser_type.launch(executable_path=find(), args=arguments)
    watched = watch(beeping, stage, viewport={"width": 1280, "height": 900})
    yield watched
    beeping.close()


@pytest.mark.browser
def test_person_types_speaks_and_interrupts(
    stage: Stage, bob_heard: Watched, provider: FakeRealtime, model: str
) -> None:
    page = bob_heard.page
    answer = page.goto(f"{stage.playground}/realtime?model={model}&turns=manual")
    assert answer is not None
    assert answer.headers["permissions-policy"].startswith("microphone=(self), camera=()")
    expect(page.locator("#media-bound")).to_contain_text("Each response reserves up to $")
    assert findings_in_both_themes(page) == []
    page.get_by_role("button", name="Connect").click()
    root = page.locator("#realtime")
    expect(root).to_have_attribute("data-state", "open")
    expect(page.locator("#realtime-text")).to_be_focused()
    expect(page.locator("#realtime [data-held]")).to_contain_text("$")

    # Written, and answered in writing.
    page.keyboard.type(f"hello #tokens=3 {EVERYTHING[:60]}")
    page.keyboard.press("Enter")
    lines = page.locator("[data-entries] li")
    expect(lines.nth(1)).to_contain_text("w0 w1 w2")
    expect(page.locator("#realtime [data-spent]")).to_contain_text("$0.0")

    # Spoken: the microphone's sound is heard by the provider, and answered with sound.
    page.fill("#realtime-text", "say it #audio #words #tokens=400 #slow=4")
    page.keyboard.press("Enter")
    hush = page.get_by_role("button", name="Interrupt")
    expect(hush).to_be_visible()
    page.wait_for_timeout(300)
    page.keyboard.press("Escape")
    expect(hush).to_be_hidden()
    expect(page.locator("[data-entries]")).to_contain_text("interrupted")
    microphone = page.get_by_role("button", name="Speak")
    microphone.click()
    expect(page.locator("[data-level]")).to_be_visible()
    session = provider.sessions[-1]

    def count_audio() -> int:
        return sum(one["type"] == "input_audio_buffer.append" for one in session.received)

    stage.hub.wait(lambda: count_audio() >= 10, "no sound has come")
    page.get_by_role("button", name="Microphone on").click()
    expect(page.locator("[data-entries]")).to_contain_text("spoken")
    assert findings(page) == []

    page.set_viewport_size({"width": 360, "height": 720})
    assert too_wide(page) == ""
    assert findings(page) == []
    stage.hub.wait(lambda: len(provider.responses) == 3, "the answer is missing")
    page.get_by_role("button", name="Disconnect").click()
    expect(root).to_have_attribute("data-state", "ended")
    expect(page.locator("#realtime-closed")).to_contain_text("The connection has ended.")
    messages = [event for event in session.received if event["type"] != "input_audio_buffer.append"]
    kinds = [event["type"] for event in messages]
    assert kinds.count("response.create") == 3
    assert "response.cancel" in kinds
    (cut,) = [event for event in messages if event["type"] == "conversation.item.truncate"]
    assert 0 < cut["audio_end_ms"] < 400 * 50

    # What it was charged is what the books say, of the provider's own count.
    rows = records_of(stage, model, 3)
    assert [(row["source"], row["operation"]) for row in rows] == [("playground", "realtime")] * 3
    spoken = session.responses[2]["input_token_details"]["audio_tokens"]
    assert rows[2]["meters"]["in_audio"] == spoken > 0
    links = page.locator("#realtime-charges a")
    expect(links).to_have_count(3)
    assert links.first.get_attribute("href") == (
        f"/o/acme/requests/{id_text(rows[0]['request_id'])}"
    )
    page.locator("#code-of-realtime summary").click()
    expect(page.locator(".media-code-body")).to_contain_text("client.realtime.connect")
    bob_heard.assert_calm()


@pytest.mark.browser
def test_session_answers_after_a_pause(stage: Stage, bob_heard: Watched, model: str) -> None:
    page = bob_heard.page
    page.goto(f"{stage.playground}/realtime?model={model}")
    page.get_by_role("button", name="Connect").click()
    page.get_by_role("button", name="Speak").click()
    expect(page.locator("[data-entries] [data-who=model]").first).to_contain_text("w0")
    page.get_by_role("button", name="Disconnect").click()
    expect(page.locator("#realtime-closed .banner")).to_have_attribute("data-code", "1000")
    bob_heard.assert_calm()


@pytest.mark.browser
@pytest.mark.slow
def test_end_before_the_connection_opens_is_no_loss(
    stage: Stage, bob_heard: Watched, model: str
) -> None:
    page = bob_heard.page
    # As a browser closes a connection that is not open yet.
    page.add_init_script(
        """window.WebSocket = class {
          close() { setTimeout(() => this.onclose({code: 1006, reason: ""})); }
        };"""
    )
    page.goto(f"{stage.playground}/realtime?model={model}")
    page.get_by_role("button", name="Connect").click()
    expect(page.locator("#realtime")).to_have_attribute("data-state", "connecting")
    page.get_by_role("button", name="Disconnect").click()
    expect(page.locator("#realtime-closed")).to_contain_text("The connection has ended.")
    # A session that has ended meanwhile leads to the sign-in.
    page.context.clear_cookies(name=stage.cookies("bob")[0]["name"])
    page.get_by_role("button", name="Connect").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


# The ticket ---------------------------------------------------------------------------------------


def issue(slug: str, name: str, model: str) -> str:
    """A ticket of somebody, made beside the hub."""
    organisation = Organisation.objects.get(slug=slug)
    user = User.objects.get(email=f"{name}@example.org")
    payer = Payer(playground_key(organisation))
    return realtime.issue_ticket(actor(user, organisation), payer, model)


def age(token: str) -> int:
    """Let a ticket's time be over."""
    realtime_tickets = RealtimeTicket.objects.filter(digest=realtime._digest(token))
    return realtime_tickets.update(expires_at="2020-01-01T00:00:00Z")


def opened(
    stage: Stage, ticket: str, *, origin: str | None = "", **headers: str
) -> ClientConnection:
    url = stage.hub.url.replace("http", "ws") + "/v1/realtime?model=ignored"
    return connect(
        url,
        origin=(stage.hub.url if origin == "" else origin),  # type: ignore[arg-type]
        subprotocols=["realtime", f"weir-ticket.{ticket}"],  # type: ignore[list-item]
        additional_headers=headers,
        compression=None,
    )


def test_a_ticket_opens_one_session_for_a_page_of_this_site(stage: Stage, model: str) -> None:
    """Hijacking from another site fails, with the ticket and with the cookie."""
    ticket = stage.beside.call(issue, "acme", "bob", model)
    cookie = f"session_8000={stage.sessions['bob']}"
    for origin in ("https://evil.example", "null", None, f"{stage.hub.url}.evil.example"):
        with pytest.raises(InvalidStatus) as refused:
            opened(stage, ticket, origin=origin, Cookie=cookie)
        assert refused.value.response.status_code == 403
    # The session cookie alone opens nothing, from wherever.
    with pytest.raises(InvalidStatus) as refused:
        opened(stage, "", Cookie=cookie)
    assert refused.value.response.status_code == 403
    with opened(stage, ticket) as socket:
        assert socket.subprotocol == "realtime"
        kinds = {json.loads(socket.recv(timeout=20))["type"] for _ in range(2)}
        assert kinds == {"weir.hold", "session.created"}
    with pytest.raises(InvalidStatus):
        opened(stage, ticket)
    old = stage.beside.call(issue, "acme", "bob", model)
    assert stage.beside.call(age, old) == 1
    with pytest.raises(InvalidStatus):
        opened(stage, old)


def test_session_rejection_is_shown_within_it(stage: Stage, model: str) -> None:
    ticket = stage.beside.call(issue, "poor", "alice", model)
    with opened(stage, ticket) as socket:
        event = json.loads(socket.recv(timeout=20))
        assert (event["type"], event["error"]["type"]) == ("error", "insufficient_quota")
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=20)
        assert socket.close_code == 1008
