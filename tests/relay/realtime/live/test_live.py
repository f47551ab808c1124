"""Live sessions (GPT-Live) by OpenAI's own client, over the real hub: what clients hear, and what
the books say."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from openai import APIStatusError, OpenAI
from openai.resources.live.live import LiveConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.fakes.live import FakeLive
from tests.support.hub import Hub, Tenant

pytestmark = [
    pytest.mark.usefixtures("balanced_books"),
    pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning"),
]

# 0.05 USD a minute, in nano per million billionths of a minute.
RATES = {"session_minutes": 50_000}
MINUTE_NANO = 50_000_000
BACKEND_RATES = {"in_text": 10**9, "in_cache_read": 10**8, "out_text": 10**10, "searches": 10**13}


@pytest.fixture(scope="module")
def provider(hub: Hub) -> Iterator[FakeLive]:
    written = len(hub.log())
    with FakeLive() as provider:
        yield provider
    text = hub.log()[written:]
    assert "defect" not in text, text
    assert "Exception in ASGI application" not in text, text


@pytest.fixture
def model(hub: Hub, provider: FakeLive) -> str:
    return hub.model(provider, rates=RATES, upstream_model="gpt-live-1", retries=0)


class Talk:
    """A client's end of a session."""

    def __init__(self, connection: LiveConnection) -> None:
        self.connection = connection

    def start(self, model: str, **settings: Any) -> Any:
        """Start a session; return its `session.started`."""
        self.say(type="session.start", session={"model": model, **settings})
        return self.hear("session.started")

    def say(self, **event: Any) -> None:
        self.connection.send(event)  # type: ignore[arg-type]

    def ask(self, content: str) -> None:
        """Ask the provider for what happens next."""
        self.say(type="session.commentary.append", content=content, delegation_id=None)

    def speak(self, ms: int) -> None:
        """Send so much sound."""
        audio = base64.b64encode(bytes(48 * ms)).decode()
        self.say(type="session.input_audio.append", audio=audio)

    def next(self) -> Any:
        """The next event."""
        raw = self.connection._connection.recv(timeout=30, decode=False)
        return self.connection.parse_event(raw)

    def hear(self, kind: str) -> Any:
        """The next event of that kind; what comes before it is passed over."""
        while True:
            event = self.next()
            if event.type == kind:
                return event
            assert event.type != "error" or kind == "error", event

    def close(self) -> Any:
        """Close the session; return its last event."""
        self.say(type="session.close")
        return self.hear("session.closed")

    def end(self) -> tuple[Any, int]:
        """The last event, and the code of the close."""
        last = None
        try:
            while True:
                last = self.next()
        except ConnectionClosed as closed:
            return last, closed.rcvd.code if closed.rcvd else 1006


@contextmanager
def live(hub: Hub, key: str, **options: Any) -> Iterator[Talk]:
    client = OpenAI(base_url=f"{hub.url}/v1", api_key=key)
    with client.live.connect(**options) as connection:
        yield Talk(connection)


def records(hub: Hub, tenant: Tenant, count: int) -> list[dict[str, Any]]:
    """The final records of an organisation that used something, in their order, once nothing of it
    is held.
    """
    hub.settled(tenant)
    query = "SELECT * FROM usage_usagerecord WHERE organisation_id = %s AND final ORDER BY id"
    rows: list[dict[str, Any]] = []

    def has_rows() -> bool:
        nonlocal rows
        rows = [row for row in hub.rows(query, tenant.organisation_id) if row["basis"] != "none"]
        return len(rows) >= count

    hub.wait(has_rows, "no record")
    assert len(rows) == count, [(row["status"], row["message"], row["meters"]) for row in rows]
    return rows


def spent(hub: Hub, tenant: Tenant) -> int:
    """What an organisation has paid, by its ledger."""
    balances = hub.balance(tenant)
    assert balances.get("customer:held", 0) == 0
    return 10 * 10**9 - abs(balances["customer:available"])


def test_a_session_is_charged_by_its_minutes(hub: Hub, provider: FakeLive, model: str) -> None:
    """P1: each minute is a request of its own, the last one as long as it was."""
    tenant = hub.tenant()
    with live(hub, tenant.key) as talk:
        started = talk.start(model, instructions="Be kind.", delegation={"type": "client"})
        assert started.session.model == model
        for _ in range(5):
            talk.speak(15_000)
        assert talk.hear("session.usage.updated").usage.seconds == 15
        talk.ask("#say=2000")
        assert base64.b64decode(talk.hear("session.output_audio.delta").delta) == bytes(96_000)
        closed = talk.close()
        assert (closed.usage.seconds, closed.reason) == (75, "close_requested")
        assert closed.session.model == model
        assert talk.end() == (None, 1000)
    session = provider.sessions[-1]
    assert session.path == "/v1/live/sessions"
    assert session.headers["authorization"] == f"Bearer {provider.key}"
    assert session.start["model"] == "gpt-live-1"
    one, two = records(hub, tenant, 2)
    assert one["session_id"] == two["session_id"] == one["request_id"]
    assert one["meters"] == {"session_minutes": 10**9}
    assert two["meters"] == {"session_minutes": 10**9 // 4}
    assert (one["charge_nano"], two["charge_nano"]) == (MINUTE_NANO, MINUTE_NANO // 4)
    for record in (one, two):
        assert (record["status"], record["basis"]) == (200, "measured")
        assert (record["operation"], record["stream"]) == ("live_sessions", True)
    assert one["upstream_request_id"] == started.session.id
    assert spent(hub, tenant) == MINUTE_NANO * 5 // 4


@pytest.mark.parametrize("seconds", [0, 1, 59, 60, 61, 119, 120, 121])
def test_minutes_at_their_bounds(hub: Hub, provider: FakeLive, model: str, seconds: int) -> None:
    tenant = hub.tenant()
    with live(hub, tenant.key) as talk:
        talk.start(model)
        for _ in range(seconds // 40):
            talk.speak(40_000)
        talk.speak(seconds % 40 * 1000)
        talk.close()
    minutes, rest = divmod(seconds, 60)
    rows = records(hub, tenant, max(1, minutes + (rest > 0)))
    exact = [MINUTE_NANO] * minutes
    if rest or not minutes:
        exact.append(round(rest * MINUTE_NANO / 60))
    assert [row["charge_nano"] for row in rows] == exact
    assert spent(hub, tenant) == sum(exact)


def test_client_hanging_up(hub: Hub, provider: FakeLive, model: str) -> None:
    """Its session is closed at the provider, and charged by the last report."""
    tenant = hub.tenant()
    with live(hub, tenant.key) as talk:
        talk.start(model)
        talk.speak(9_000)
    (record,) = records(hub, tenant, 1)
    assert record["charge_nano"] == MINUTE_NANO * 9 // 60
    assert (record["status"], record["basis"]) == (200, "measured")
    assert provider.sessions[-1].received[-1]["type"] == "session.close"


def test_provider_going_away(hub: Hub, provider: FakeLive, model: str) -> None:
    """F14: full minutes stand; what came since the last report is estimated by the sound."""
    tenant = hub.tenant()
    with live(hub, tenant.key) as talk:
        talk.start(model)
        for _ in range(4):
            talk.speak(20_000)
        talk.speak(4_000)
        talk.ask("#fault=close")
        last, code = talk.end()
        assert (last.type, code) == ("error", 1011)
        assert last.error.code == "upstream_truncated"
    whole, cut = records(hub, tenant, 2)
    assert (whole["charge_nano"], whole["basis"]) == (MINUTE_NANO, "measured")
    assert (cut["charge_nano"], cut["basis"]) == (MINUTE_NANO * 24 // 60, "estimated")


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("bye", "upstream_truncated"),
        ("garbage", "upstream_malformed"),
        ("big", "upstream_malformed"),
    ],
)
def test_broken_upstream(hub: Hub, provider: FakeLive, model: str, fault: str, code: str) -> None:
    tenant = hub.tenant()
    with live(hub, tenant.key) as talk:
        talk.start(model)
        talk.speak(6_000)
        talk.ask(f"#fault={fault}")
        last, closed = talk.end()
        assert (last.type, closed) == ("error", 1011)
    (record,) = records(hub, tenant, 1)
    assert record["charge_nano"] <= MINUTE_NANO * 6 // 60 + 1
    assert record["status"] == 502
    assert code in json.dumps([record["kind"], record["message"], last.error.code])


def test_session_ended_by_its_provider(hub: Hub, provider: FakeLive, model: str) -> None:
    tenant = hub.tenant()
    with live(hub, tenant.key) as talk:
        talk.start(model)
        talk.speak(3_000)
        talk.ask("#fault=expired")
        assert talk.hear("session.closed").reason == "expired"
        assert talk.end() == (None, 1000)
    (record,) = records(hub, tenant, 1)
    assert (record["charge_nano"], record["status"]) == (MINUTE_NANO * 3 // 60, 200)


def test_used_up_money(hub: Hub, provider: FakeLive, model: str) -> None:
    """A minute that cannot be held does not begin; those before it are charged."""
    tenant = hub.tenant("0.12")
    with live(hub, tenant.key) as talk:
        talk.start(model)
        for _ in range(2):
            talk.speak(55_000)
        talk.speak(30_000)
        last, code = talk.end()
        assert (code, last.error.code) == (1008, "insufficient_quota")
    one, two = records(hub, tenant, 2)
    assert one["charge_nano"] == MINUTE_NANO
    assert two["charge_nano"] == round(MINUTE_NANO * 50 / 60)
    assert provider.sessions[-1].heard_ms == 110_000


def test_unpayable_session_does_not_start(hub: Hub, provider: FakeLive, model: str) -> None:
    tenant, sessions = hub.tenant("0.01"), len(provider.sessions)
    with live(hub, tenant.key) as talk:
        talk.connection.send({"type": "session.start", "session": {"model": model}})
        last, code = talk.end()
        assert (code, last.error.code) == (1008, "insufficient_quota")
    assert len(provider.sessions) == sessions


def test_revoked_key(hub: Hub, provider: FakeLive, model: str) -> None:
    """P6: the session ends within a second, and its time so far is charged."""
    tenant = hub.tenant()
    with live(hub, tenant.key) as talk:
        talk.start(model)
        talk.speak(12_000)
        talk.ask("#report")
        talk.hear("session.usage.updated")
        hub.connection.execute(
            "UPDATE accounts_key SET revoked_at = now() WHERE organisation_id = %s",
            [tenant.organisation_id],
        )
        hub.bump()
        last, code = talk.end()
        assert (code, last.error.code) == (1008, "invalid_api_key")
    (record,) = records(hub, tenant, 1)
    assert (record["charge_nano"], record["status"]) == (MINUTE_NANO * 12 // 60, 401)


def test_another_channel_before_the_start(hub: Hub, provider: FakeLive) -> None:
    """P7: a start that a provider refuses for a while goes to the next channel."""
    with FakeLive() as full:
        full.refuses = {"type": "server_error", "code": "overloaded", "message": "later"}
        model = hub.model(full, provider, rates=RATES, upstream_model="gpt-live-1", retries=1)
        tenant = hub.tenant()
        with live(hub, tenant.key) as talk:
            talk.start(model)
            talk.speak(1_000)
            talk.close()
        assert len(full.sessions) == 1
        full.refuses = b'{"type":"session.started","session":{"id":"\xff"}}'
        with live(hub, tenant.key) as talk:
            talk.start(model)
            talk.close()
        assert len(full.sessions) == 2
        full.refuses, full.refuses_handshake = None, 503
        with live(hub, tenant.key) as talk:
            talk.start(model)
            talk.close()
    paid, *free = records(hub, tenant, 3)
    assert paid["charge_nano"] == round(MINUTE_NANO / 60)
    assert [record["charge_nano"] for record in free] == [0, 0]


def test_start_rejected_by_the_provider(hub: Hub, provider: FakeLive) -> None:
    with FakeLive() as strict:
        strict.refuses = {
            "type": "invalid_request_error",
            "code": "invalid_value",
            "message": "Invalid voice: 'fable'.",
            "param": "session.audio.output.voice",
        }
        model = hub.model(strict, rates=RATES, upstream_model="gpt-live-1", retries=0)
        tenant = hub.tenant()
        with live(hub, tenant.key) as talk:
            talk.connection.send({"type": "session.start", "session": {"model": model}})
            last, code = talk.end()
            assert code == 1008
            assert "Invalid voice" in last.error.message
            assert last.error.param == "session.audio.output.voice"
        hub.settled(tenant)
    assert spent(hub, tenant) == 0


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({"type": "session.close"}, "invalid_value", "type"),
        ({"type": "session.start"}, "missing_required_parameter", "session"),
        ({"type": "session.start", "session": {}}, "missing_required_parameter", "session.model"),
        ({"session": {"model": "none-such"}}, "model_not_found", "model"),
        ({"session": {"store": True}}, "unsupported_parameter", "session.store"),
        ({"session": {"standby": {}}}, "unsupported_parameter", "session.standby"),
        (
            {"session": {"triggers": [{"type": "decisions"}]}},
            "unsupported_parameter",
            "session.triggers",
        ),
        (
            {"session": {"delegation": {"type": "elsewhere"}}},
            "invalid_value",
            "session.delegation.type",
        ),
        (
            {"session": {"delegation": {"type": "responses"}}},
            "missing_required_parameter",
            "session.delegation.responses",
        ),
        (
            {"session": {"delegation": {"type": "responses", "responses": {"model": "none"}}}},
            "model_not_found",
            "session.delegation.responses.model",
        ),
    ],
)
def test_rejected_starts(
    hub: Hub, provider: FakeLive, model: str, event: dict[str, Any], code: str, param: str
) -> None:
    """What could not be charged, or not be reached again, is refused with its reason."""
    tenant = hub.tenant()
    if "type" not in event:
        event = {"type": "session.start", "session": {"model": model, **event["session"]}}
    with live(hub, tenant.key) as talk:
        talk.connection.send_raw(json.dumps(event))
        last, closed = talk.end()
    assert (last.error.code, last.error.param, closed) == (code, param, 1008)
    hub.settled(tenant)
    assert spent(hub, tenant) == 0


def test_rejected_events(hub: Hub, provider: FakeLive, model: str) -> None:
    """They are answered with an error, and the session goes on."""
    tenant = hub.tenant()
    with live(hub, tenant.key) as talk:
        talk.start(model)
        for event, param in (
            ({"type": "session.start", "session": {"model": model}}, "type"),
            ({"type": "session.invent"}, "type"),
            ({"type": "session.update", "session": {"triggers": [{}]}}, "session.triggers"),
        ):
            talk.connection.send_raw(json.dumps({**event, "event_id": "c_1"}))
            error = talk.hear("error")
            assert (error.error.param, error.error.client_event_id) == (param, "c_1")
        talk.close()
    kinds = [event["type"] for event in provider.sessions[-1].received]
    assert kinds == ["session.start", "session.close"]


@pytest.mark.parametrize(
    ("told", "flag"),
    [
        ({"seconds": -3}, "usage_negative"),
        ({"seconds": 4_000}, "usage_huge"),
        ({"seconds": "many"}, "usage_not_integer"),
    ],
)
def test_impossible_report(
    hub: Hub, model: str, provider: FakeLive, told: dict[str, Any], flag: str
) -> None:
    """F27: the time is charged by our own count, and reviewed."""
    tenant = hub.tenant()
    with live(hub, tenant.key) as talk:
        talk.start(model)
        talk.speak(6_000)
        provider.tells = told
        try:
            talk.close()
        finally:
            provider.tells = None
    (record,) = records(hub, tenant, 1)
    assert {flag, "quarantine"} <= set(record["flags"])
    assert 0 < record["charge_nano"] <= MINUTE_NANO * 6 // 60


def test_unknown_usage_member(hub: Hub, provider: FakeLive, model: str) -> None:
    """P28: usage with another member is under review: its hold is kept."""
    tenant = hub.tenant()
    with live(hub, tenant.key) as talk:
        talk.start(model)
        talk.speak(6_000)
        provider.tells = {"seconds": 6, "standby_seconds": 2}
        try:
            talk.close()
        finally:
            provider.tells = None
    query = "SELECT * FROM usage_usagerecord WHERE organisation_id = %s AND basis = 'held'"
    hub.wait(lambda: bool(hub.rows(query, tenant.organisation_id)), "nothing is held")
    (record,) = hub.rows(query, tenant.organisation_id)
    assert record["pricing"]["unknown"] == ["standby_seconds"]
    assert hub.balance(tenant)["customer:held"] != 0


@pytest.mark.parametrize("root", ["/v1", "/api/v1"])
def test_unrelayed_operations(hub: Hub, root: str) -> None:
    """Sound that goes past the hub, and what a provider stores: refused, with the next step."""
    client = OpenAI(base_url=f"{hub.url}{root}", api_key=hub.tenant().key, max_retries=0)
    sdp: Any = {"type": "webrtc", "sdp": "v=0"}
    session: Any = {"model": "gpt-live-1"}
    accepted: Any = {"model": "gpt-live-1", "type": "live"}
    sessions = client.live.sessions
    for call, reason in (
        (lambda: client.live.create(session=session, transport=sdp), "WebRTC or SIP goes past"),
        (lambda: sessions.accept("live_1", session=accepted), "goes past"),
        (lambda: sessions.hangup("live_1"), "goes past"),
        (lambda: sessions.refer("live_1", target_uri="tel:+14155550123"), "goes past"),
        (lambda: sessions.reject("live_1", status_code=486), "goes past"),
        (lambda: sessions.fork("live_1", transport=sdp), "not stored"),
        (lambda: sessions.download_recording("live_1"), "not stored"),
    ):
        with pytest.raises(APIStatusError) as refused:
            call()
        assert refused.value.status_code == 501
        assert reason in refused.value.message
        assert "/v1/live/sessions" in refused.value.message
    for connect in (client.live.forks.connect, client.live.sideband.connect):
        with pytest.raises(InvalidStatus) as shut, connect(session_id="live_1"):
            pass
        assert shut.value.response.status_code == 501


def test_the_model_is_not_in_the_query(hub: Hub, model: str) -> None:
    with (
        pytest.raises(InvalidStatus) as refused,
        live(hub, hub.tenant().key, extra_query={"model": model}),
    ):
        pass
    assert refused.value.response.status_code == 422
    assert b"session.start" in refused.value.response.body
