"""Realtime connections, over the real hub: what clients hear, and what the books say."""

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from openai import OpenAI
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from lib.ids import parse_id
from tests.fakes.realtime import FakeRealtime
from tests.support.hub import ROOT, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

GOLDEN = ROOT / "tests" / "golden" / "media"
# Nano per million tokens.
RATES = {
    "in_text": 4 * 10**6,
    "in_cache_read": 10**6,
    "in_audio": 32 * 10**6,
    "in_audio_cached": 2 * 10**6,
    "in_image": 5 * 10**6,
    "out_text": 16 * 10**6,
    "out_audio": 64 * 10**6,
}


@pytest.fixture(scope="module")
def provider(hub: Hub) -> Iterator[FakeRealtime]:
    written = len(hub.log())
    with FakeRealtime() as provider:
        yield provider
    text = hub.log()[written:]
    assert "defect" not in text, text
    assert "Exception in ASGI application" not in text, text


@pytest.fixture
def model(hub: Hub, provider: FakeRealtime) -> str:
    return hub.model(provider, rates=RATES, upstream_model="gpt-realtime", retries=0)


class Talk:
    """A client's end of a session."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def say(self, **event: Any) -> None:
        self.socket.send(json.dumps(event))

    def hear(self, kind: str) -> dict[str, Any]:
        """The next event of that kind; what comes before it is passed over."""
        while True:
            event: dict[str, Any] = json.loads(self.socket.recv(timeout=20))
            if event["type"] == kind:
                return event

    def ask(self, text: str) -> dict[str, Any]:
        """The end of the response to a text."""
        self.request(text)
        response: dict[str, Any] = self.hear("response.done")["response"]
        return response

    def request(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        self.say(type="conversation.item.create", item=item)
        self.say(type="response.create")

    def end(self) -> tuple[dict[str, Any] | None, int]:
        """The last event, and the code of the close."""
        last = None
        with contextlib.suppress(ConnectionClosed):
            while True:
                last = json.loads(self.socket.recv(timeout=20))
        return last, self.socket.close_code or 0


@contextmanager
def session(hub: Hub, key: str, model: str, **options: Any) -> Iterator[Talk]:
    url = hub.url.replace("http", "ws") + f"/v1/realtime?model={model}"
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        socket = connect(
            url, additional_headers=headers, max_size=None, compression=None, **options
        )
    except InvalidStatus as refused:
        raise Refused(refused.response) from None
    with socket:
        yield Talk(socket)


class Refused(Exception):
    """A session that did not begin."""

    def __init__(self, response: Any) -> None:
        self.status = response.status_code
        self.error = json.loads(response.body)["error"]
        super().__init__(f"{self.status} {self.error}")


def records(hub: Hub, tenant: Tenant, count: int) -> list[dict[str, Any]]:
    """The final records of an organisation, in their order, when there are so many; without those
    of client secrets, which cost nothing."""
    query = (
        "SELECT * FROM usage_usagerecord WHERE organisation_id = %s AND final "
        "AND operation <> 'client_secret' ORDER BY id"
    )
    rows: list[dict[str, Any]] = []

    def has_rows() -> bool:
        nonlocal rows
        rows = hub.rows(query, tenant.organisation_id)
        return len(rows) >= count

    hub.wait(has_rows, "no record")
    assert len(rows) == count, [(row["status"], row["message"], row["meters"]) for row in rows]
    return rows


def test_a_session_is_a_series_of_requests(hub: Hub, provider: FakeRealtime, model: str) -> None:
    """Each response has a record of its own, charged by its usage (P1)."""
    tenant = hub.tenant()
    with session(hub, tenant.key, model) as talk:
        assert talk.hear("session.created")["session"]["model"] == model
        first = talk.ask("hello there #tokens=7")
        second = talk.ask("again #tokens=3 #cached=4")
        assert talk.socket.response is not None
        opened = parse_id(talk.socket.response.headers["x-request-id"])
    one, two = records(hub, tenant, 2)
    assert (one["request_id"], one["session_id"], two["session_id"]) == (opened, opened, opened)
    attempts = hub.rows(
        "SELECT session_id FROM usage_attempt WHERE organisation_id = %s", tenant.organisation_id
    )
    assert {row["session_id"] for row in attempts} == {opened}
    assert [first["usage"], second["usage"]] == provider.sessions[-1].responses
    assert one["meters"] == {"in_text": 13, "out_text": 7}
    assert two["meters"] == {"in_text": 16, "in_cache_read": 4, "out_text": 3}
    assert one["charge_nano"] == 13 * 4 + 7 * 16
    assert two["charge_nano"] == 16 * 4 + 4 * 1 + 3 * 16
    assert (one["saved_nano"], two["saved_nano"]) == (0, 4 * (4 - 1))
    for record, response in ((one, first), (two, second)):
        assert (record["status"], record["basis"]) == (200, "measured")
        assert (record["operation"], record["stream"]) == ("realtime", True)
        assert record["upstream_request_id"] == response["id"]


def test_the_transcript_passes_byte_for_byte(hub: Hub) -> None:
    """The contract's session, in its order, unchanged both ways; its one error does not end it."""
    lines = (GOLDEN / "realtime_events.jsonl").read_text().splitlines()
    frames = [
        (row["from"], line[line.index('"frame":') + 8 : -1])
        for line, row in ((line, json.loads(line)) for line in lines)
    ]
    messages: list[str] = []

    def play(socket: ServerConnection) -> None:
        for side, frame in frames:
            if side == "server":
                socket.send(frame)
            else:
                messages.append(str(socket.recv()))

    with serve(play, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.socket.getsockname()[1]}/v1"
        tenant, model = hub.tenant(), hub.model(url, rates=RATES, upstream_model="")
        with session(hub, tenant.key, model) as talk:
            for side, frame in frames:
                if side == "client":
                    talk.socket.send(frame)
                else:
                    assert talk.socket.recv(timeout=20) == frame
        server.shutdown()
    assert messages == [frame for side, frame in frames if side == "client"]
    (record,) = records(hub, tenant, 1)
    assert record["meters"] == {"in_text": 24, "out_text": 5}


def test_audio_and_cached_input_have_their_own_meters(
    hub: Hub, provider: FakeRealtime, model: str
) -> None:
    tenant = hub.tenant()
    with session(hub, tenant.key, model) as talk:
        talk.say(type="input_audio_buffer.append", audio=sound(2000))
        talk.ask("say it #audio #tokens=40 #cached=6")
    (record,) = records(hub, tenant, 1)
    assert record["meters"] == {
        "in_text": 12, "in_cache_read": 3, "in_audio": 17, "in_audio_cached": 3,
        "out_text": 0, "out_audio": 40,
    }  # fmt: skip
    assert record["charge_nano"] == 12 * 4 + 3 + 17 * 32 + 3 * 2 + 40 * 64
    assert record["ttft_ms"] is not None


def test_transcription_model_is_charged(hub: Hub, provider: FakeRealtime, model: str) -> None:
    tenant = hub.tenant()
    writes = hub.model(provider, rates={"in_text": 10**6, "in_audio": 6 * 10**6, "out_text": 10**7})
    # Another channel's model cannot be had here.
    with session(hub, tenant.key, model) as talk:
        talk.say(type="session.update", event_id="c_1", session=transcribing("none-such"))
        error = talk.hear("error")["error"]
        assert (error["code"], error["event_id"]) == ("model_not_found", "c_1")
        talk.say(type="session.update", session=transcribing(writes))
        assert talk.hear("error")["error"]["code"] == "no_channel_available"
    assert provider.sessions[-1].received == []


def test_a_transcript_is_a_request_of_its_own(hub: Hub, provider: FakeRealtime) -> None:
    tenant = hub.tenant()
    model = hub.model(provider, rates=RATES, upstream_model="gpt-realtime")
    writes = f"w-{model}"
    hub.price(writes, {"in_text": 10**6, "in_audio": 6 * 10**6, "out_text": 10**7})
    hub.rows(
        "INSERT INTO gateway_route (channel_id, model, upstream_model) "
        "SELECT channel_id, %s, '' FROM gateway_route WHERE model = %s RETURNING id",
        writes, model,
    )  # fmt: skip
    hub.know(writes)
    with session(hub, tenant.key, model) as talk:
        talk.say(type="session.update", session=transcribing(writes))
        talk.hear("session.updated")
        talk.say(type="input_audio_buffer.append", audio=sound(3000))
        talk.say(type="input_audio_buffer.commit")
        talk.hear("conversation.item.input_audio_transcription.completed")
        talk.ask("hello #tokens=1")
    written, spoken = sorted(records(hub, tenant, 2), key=lambda row: row["model"] == model)
    assert written["meters"] == {"in_audio": 30, "in_text": 0, "out_text": 3}
    assert written["charge_nano"] == written["hold_nano"] == 30 * 6 + 3 * 10
    assert spoken["meters"]["in_audio"] == 30


@pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning")
@pytest.mark.parametrize("beta", [False, True])
def test_the_official_client(hub: Hub, provider: FakeRealtime, model: str, beta: bool) -> None:
    tenant = hub.tenant()
    url = f"{hub.url}/v1"
    # The beta one speaks TLS unless it is told an address of its own.
    own = url.replace("http", "ws") if beta else None
    client = OpenAI(base_url=url, api_key=tenant.key, websocket_base_url=own)
    realtime: Any = client.beta.realtime if beta else client.realtime
    with realtime.connect(model=model) as connection:
        connection.session.update(session={"type": "realtime", "instructions": "Be brief."})
        content = [{"type": "input_text", "text": "hello #tokens=4"}]
        item = {"type": "message", "role": "user", "content": content}
        connection.conversation.item.create(item=item)
        connection.response.create()
        text = ""
        for event in connection:
            if event.type == "response.output_text.delta":
                text += event.delta
            if event.type == "response.done":
                break
    assert text == "w0 w1 w2 w3 "
    asked = provider.sessions[-1].headers
    assert asked.get("openai-beta") == ("realtime=v1" if beta else None)
    assert asked["authorization"] == f"Bearer {provider.key}"
    (record,) = records(hub, tenant, 1)
    assert record["meters"]["out_text"] == 4


def test_a_page_brings_its_key_as_a_subprotocol(
    hub: Hub, provider: FakeRealtime, model: str
) -> None:
    tenant = hub.tenant()
    names = ["realtime", f"openai-insecure-api-key.{tenant.key}", "openai-beta.realtime-v1"]
    with session(hub, "", model, subprotocols=names) as talk:
        assert talk.socket.subprotocol == "realtime"
        talk.ask("hello")
    headers = provider.sessions[-1].headers
    assert headers["openai-beta"] == "realtime=v1"
    assert tenant.key not in json.dumps(headers)


REFUSALS = {
    "no key": (401, "invalid_api_key"),
    "another model": (403, "permission_denied"),
    "no such model": (404, "model_not_found"),
    "no model": (400, "missing_required_parameter"),
    "no money": (402, "insufficient_quota"),
    "no session there": (400, "unsupported_parameter"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused_before_it_begins(hub: Hub, provider: FakeRealtime, model: str, case: str) -> None:
    """By a response of HTTP, in the form of the API's errors; no provider hears of it."""
    tenant = hub.tenant(
        usd="0.0001" if case == "no money" else "10.00",
        patterns=("other-*",) if case == "another model" else (),
    )
    if case == "no such model":
        model = "none-such"
    elif case == "no model":
        model = ""
    elif case == "no session there":
        model = hub.model(provider, rates=RATES, provider="deepseek")
    before, written = len(provider.sessions), len(hub.log())
    with (
        pytest.raises(Refused) as refused,
        session(hub, "sk-nobody" if case == "no key" else tenant.key, model),
    ):
        pass
    assert (refused.value.status, refused.value.error["code"]) == REFUSALS[case]
    assert len(provider.sessions) == before
    assert_one_line(hub, written, f"/v1/realtime?model={model}", refused.value.status)


def test_a_malformed_handshake_is_refused(hub: Hub) -> None:
    written = len(hub.log())
    headers = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    assert hub.request("GET", "/v1/realtime?model=x", headers=headers).status == 400
    assert_one_line(hub, written, "/v1/realtime?model=x", 400)


def assert_one_line(hub: Hub, written: int, address: str, status: int) -> None:
    """All that the hub has logged since is that this handshake was refused."""
    # This page is logged after whatever is logged of the handshake.
    hub.get("/nothing-here")
    lines = hub.log()[written:].splitlines()
    assert "nothing-here" in lines.pop()
    assert [line.partition(" ")[0] for line in lines] == ["INFO"], lines
    assert f'"WebSocket {address}" {status}' in lines[0]


def test_missing_upgrade(hub: Hub, model: str) -> None:
    tenant = hub.tenant()
    answer = hub.get(f"/v1/realtime?model={model}", tenant)
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("path", ["sessions", "calls"])
def test_unsupported_operations(hub: Hub, path: str) -> None:
    answer = hub.post(hub.tenant(), {}, path=f"/v1/realtime/{path}")
    assert (answer.status, answer.error["code"]) == (501, "not_implemented")


OF_PROVIDER = {
    401: ({"error": {"message": "Incorrect API key", "code": "invalid_api_key"}}, 502),
    404: ({"error": {"message": "no such model", "code": "model_not_found"}}, 502),
    429: ({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, 429),
}


@pytest.mark.parametrize("status", OF_PROVIDER)
def test_refused_by_its_provider(hub: Hub, status: int) -> None:
    body, message = OF_PROVIDER[status]
    with FakeRealtime() as provider, FakeRealtime() as other:
        provider.refuses = status, body, {"retry-after": "1"}
        tenant = hub.tenant()
        alone = hub.model(provider, rates=RATES, retries=0)
        with pytest.raises(Refused) as refused, session(hub, tenant.key, alone):
            pass
        assert refused.value.status == message
        (record,) = records(hub, tenant, 1)
        assert (record["status"], record["charge_nano"]) == (message, 0)
        # Where another channel can, it opens the session.
        tenant, both = hub.tenant(), hub.model(provider, other, rates=RATES)
        with session(hub, tenant.key, both) as talk:
            talk.ask("hello #tokens=2")
        assert len(other.sessions) == 1


FAULTS = {
    "close@3": (1011, "upstream_truncated", {"out_text": 3}),
    "garbage@3": (1011, "upstream_malformed", {"out_text": 3}),
    "big@2": (1011, "upstream_malformed", {"out_text": 2}),
    "bye@3": (1011, "upstream_truncated", {"out_text": 3}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_upstream_that_fails(hub: Hub, provider: FakeRealtime, model: str, fault: str) -> None:
    """The client is told in an event, and by the code of the close; what came is counted here."""
    tenant = hub.tenant()
    with session(hub, tenant.key, model) as talk:
        talk.request(f"hello #tokens=9 #fault={fault}")
        last, code = talk.end()
    expected, kind, meters = FAULTS[fault]
    assert code == expected
    assert last is not None
    assert (last["type"], last["error"]["code"]) == ("error", kind)
    (record,) = records(hub, tenant, 1)
    assert record["basis"] == "estimated"
    assert record["meters"]["out_text"] == meters["out_text"]
    assert 0 < record["charge_nano"] <= record["hold_nano"]


def test_implausible_usage(hub: Hub, provider: FakeRealtime, model: str) -> None:
    tenant = hub.tenant()
    with session(hub, tenant.key, model) as talk:
        talk.ask("hello #tokens=8 #fault=lie")
        talk.ask("hello #tokens=8 #fault=nousage")
        failed = talk.ask("hello #tokens=2 #fault=failed")
        assert failed["status"] == "failed"
    lied, missing, broke = records(hub, tenant, 3)
    assert lied["basis"] == missing["basis"] == "estimated"
    assert "quarantine" in lied["flags"]
    assert missing["meters"]["out_text"] >= 6
    assert (broke["status"], broke["kind"]) == (502, "upstream_error")
    assert broke["message"] == "it broke"


def test_unusual_provider(hub: Hub, provider: FakeRealtime, model: str) -> None:
    """Any text may be the ID of a response; an end that is told twice is charged once; sound in
    small pieces is counted where no usage tells it."""
    tenant = hub.tenant()
    with session(hub, tenant.key, model) as talk:
        talk.ask("hello #tokens=2 #odd")
        talk.ask("hello #tokens=3 #twice")
        talk.hear("response.done")
        for _ in range(50):
            talk.say(type="input_audio_buffer.append", audio=sound(20))
        talk.ask("hello #tokens=4 #fault=nousage")
    odd, twice, counted = records(hub, tenant, 3)
    assert (odd["upstream_request_id"], odd["meters"]["out_text"]) == ("", 2)
    assert twice["meters"]["out_text"] == 3
    assert (counted["basis"], counted["meters"]["in_audio"]) == ("estimated", 10)


def test_a_silent_provider(hub: Hub, provider: FakeRealtime) -> None:
    tenant = hub.tenant()
    times = {"connect": 2.0, "first_content": 2.0, "idle": 1.0, "total": 60.0}
    model = hub.model(provider, rates=RATES, timeouts=times, retries=0)
    with session(hub, tenant.key, model) as talk:
        talk.request("hello #tokens=9 #fault=silent@2")
        last, code = talk.end()
    assert last is not None
    assert (code, last["error"]["code"]) == (1011, "timeout")
    (record,) = records(hub, tenant, 1)
    assert (record["status"], record["meters"]["out_text"]) == (504, 2)


def test_used_up_money_ends_the_session(hub: Hub, provider: FakeRealtime, model: str) -> None:
    """Another response that cannot be held does not begin (P2). A provider that ignores its limit
    is paid no more than was held."""
    tenant = hub.tenant(usd=held_usd(4_096, 100))
    with session(hub, tenant.key, model) as talk:
        talk.ask("hello #audio #tokens=2500")
        talk.request("more #tokens=2")
        last, code = talk.end()
    assert last is not None
    assert (code, last["error"]["code"]) == (1008, "insufficient_quota")
    records(hub, tenant, 1)
    assert [event["type"] for event in provider.sessions[-1].received].count("response.create") == 1


def held_usd(count: int, number: int) -> str:
    """What a hold for so many tokens takes, at the dearest rates."""
    return f"{(count * 32 + number * 64) / 10**9:.9f}"


def test_small_balance_shortens_the_answers(hub: Hub, provider: FakeRealtime, model: str) -> None:
    """What is held first is room for a beginning, then the context so far; the provider is told how
    much may be said, whatever the client wishes, and told again when more of it can be paid."""
    with session(hub, hub.tenant().key, model) as talk:
        head = talk.socket.response
        assert head is not None
        assert head.headers["x-weir-hold"] == held_usd(4_096, 4_096)
        assert "x-weir-output-cap" not in head.headers
        talk.ask("hello #tokens=50")
    assert [event["type"] for event in provider.sessions[-1].received] == [
        "conversation.item.create", "response.create",
    ]  # fmt: skip
    with session(hub, hub.tenant(usd=held_usd(4_096, 100)).key, model) as talk:
        head = talk.socket.response
        assert head is not None
        assert head.headers["x-weir-output-cap"] == "100"
        assert talk.hear("session.updated")["session"]["max_output_tokens"] == 100
        talk.say(type="session.update", session={"type": "realtime", "max_output_tokens": 900})
        assert talk.hear("session.updated")["session"]["max_output_tokens"] == 100
        talk.say(type="response.create", response={"max_output_tokens": "inf"})
        talk.hear("response.done")
        talk.say(type="response.create")
        assert talk.hear("session.updated")["session"]["max_output_tokens"] == 900
        talk.hear("response.done")
    asked = [one for one in provider.sessions[-1].received if one["type"] == "response.create"]
    # The second names no limit, so the client's own for its session holds.
    assert [one["response"]["max_output_tokens"] for one in asked] == [100, 900]


def test_input_beyond_a_hold_is_held_before_its_answer(
    hub: Hub, provider: FakeRealtime, model: str
) -> None:
    tenant = hub.tenant()
    query = "SELECT amount_nano FROM billing_hold WHERE organisation_id = %s ORDER BY id"
    with session(hub, tenant.key, model) as talk:
        talk.hear("session.created")
        content = [{"type": "input_text", "text": "word " * 6_000}]
        item = {"type": "message", "role": "user", "content": content}
        talk.say(type="conversation.item.create", item=item)
        talk.ask("hello #tokens=3")
        first, second = (row["amount_nano"] for row in hub.rows(query, tenant.organisation_id))
        assert second - first > 5_000 * 32
        for _ in range(3):
            talk.ask("hello #tokens=3")
        *_, last = (row["amount_nano"] for row in hub.rows(query, tenant.organisation_id))
        assert last < second
    result = records(hub, tenant, 4)
    assert [row["meters"]["out_text"] for row in result] == [3] * 4
    # The hold of the first, and that of the third, were replaced: they are in the log no requests
    # of their own, but earlier attempts of those.
    replaced = hub.rows(
        "SELECT r.*, h.state FROM usage_usagerecord r JOIN billing_hold h ON h.id = r.id "
        "WHERE r.organisation_id = %s AND NOT r.final ORDER BY r.id", tenant.organisation_id,
    )  # fmt: skip
    assert [row["request_id"] for row in replaced] == [result[0]["request_id"]]
    for row in replaced:
        assert (row["charge_nano"], row["state"], row["flags"]) == (0, "voided", ["hold_replaced"])
    assert tenant.key not in str(provider.sessions[-1].headers)


def test_ended_key_ends_its_session(hub: Hub, provider: FakeRealtime, model: str) -> None:
    """P11: within 250 ms; what is being made is cancelled at the provider, and paid."""
    tenant = hub.tenant()
    with session(hub, tenant.key, model) as talk:
        talk.request("hello #tokens=2000 #slow=5")
        for _ in range(5):
            talk.hear("response.output_text.delta")
        hub.rows(
            "UPDATE accounts_key SET revoked_at = now() WHERE id = %s RETURNING id", tenant.key_id
        )
        hub.bump()
        began = time.monotonic()
        last, code = talk.end()
    assert last is not None
    assert (code, last["error"]["code"]) == (1008, "invalid_api_key")
    assert time.monotonic() - began < 2
    (record,) = records(hub, tenant, 1)
    (usage,) = provider.sessions[-1].responses
    assert record["meters"]["out_text"] == usage["output_tokens"] < 2000
    assert record["status"] == 401


def test_request_limit_rejects_a_response(hub: Hub, provider: FakeRealtime, model: str) -> None:
    """Each response is a request; the session goes on, and the refused event is named."""
    tenant = hub.tenant()
    hub.rows("UPDATE accounts_key SET rpm = 2 WHERE id = %s RETURNING id", tenant.key_id)
    hub.bump()
    with session(hub, tenant.key, model) as talk:
        talk.ask("one")
        talk.ask("two")
        for id in ("c_3", "c_4"):
            talk.say(type="response.create", event_id=id)
            error = talk.hear("error")["error"]
            assert (error["code"], error["event_id"]) == ("rate_limit_exceeded", id)
        talk.say(type="session.update", session={"instructions": "go on"})
        talk.hear("session.updated")
    records(hub, tenant, 2)


def test_sessions_are_isolated(hub: Hub, provider: FakeRealtime, model: str) -> None:
    """Two organisations at the same time: each hears and pays for its own."""
    one, other = hub.tenant(), hub.tenant()
    with session(hub, one.key, model) as talk, session(hub, other.key, model) as beside:
        talk.request("hello #tokens=40 #slow=1")
        assert beside.ask("hello #tokens=2")["usage"]["output_tokens"] == 2
        assert talk.hear("response.done")["response"]["usage"]["output_tokens"] == 40
    assert [row["meters"]["out_text"] for row in records(hub, one, 1)] == [40]
    assert [row["meters"]["out_text"] for row in records(hub, other, 1)] == [2]


def test_parallel_responses_are_each_paid(hub: Hub, provider: FakeRealtime, model: str) -> None:
    """A second one is held before it can begin, too."""
    tenant = hub.tenant()
    with session(hub, tenant.key, model) as talk:
        talk.request("hello #tokens=60 #slow=2")
        talk.hear("response.created")
        talk.request("beside #tokens=3")
        talk.hear("response.done")
        talk.hear("response.done")
    assert sorted(row["meters"]["out_text"] for row in records(hub, tenant, 2)) == [3, 60]


def test_a_client_that_leaves(hub: Hub, provider: FakeRealtime, model: str) -> None:
    tenant = hub.tenant()
    with session(hub, tenant.key, model) as talk:
        talk.request("hello #tokens=2000 #slow=5")
        talk.hear("response.output_text.delta")
    (record,) = records(hub, tenant, 1)
    (usage,) = provider.sessions[-1].responses
    assert (record["status"], record["basis"]) == (499, "drained")
    assert record["meters"]["out_text"] == usage["output_tokens"] < 2000


def test_an_event_that_is_too_large(hub: Hub, provider: FakeRealtime, model: str) -> None:
    tenant = hub.tenant()
    with session(hub, tenant.key, model) as talk:
        talk.hear("session.created")
        talk.socket.send("x" * (15 * 1024 * 1024 + 1))
        last, code = talk.end()
    assert last is not None
    assert (code, last["error"]["code"]) == (1009, "request_too_large")


def test_malformed_events(hub: Hub, provider: FakeRealtime, model: str) -> None:
    """A binary frame is refused and the session goes on; the model cannot be changed."""
    tenant = hub.tenant()
    with session(hub, tenant.key, model) as talk:
        talk.socket.send(b"\x00\xff")
        assert talk.hear("error")["error"]["code"] == "invalid_type"
        talk.say(type="session.update", event_id="c_9", session={"model": "gpt-dearer"})
        error = talk.hear("error")["error"]
        assert (error["param"], error["event_id"]) == ("session.model", "c_9")
        talk.say(type="session.update", session={"model": model})
        assert talk.hear("session.updated")["session"]["model"] == model
        talk.ask("hello")
    assert provider.sessions[-1].received[0]["session"]["model"] == "gpt-realtime"


def transcribing(model: str) -> dict[str, Any]:
    return {"type": "realtime", "audio": {"input": {"transcription": {"model": model}}}}


def sound(ms: int) -> str:
    """PCM of 24 kHz in base64."""
    return base64.b64encode(bytes(48 * ms)).decode()
