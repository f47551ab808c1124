"""Ephemeral tokens over the real hub, by Google's own client: a page holds no key, and what its
token opens is the key's, within the token's times, uses and setup (P11, P12, P23)."""

import asyncio
import datetime as dt
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from google.genai import errors
from google.genai.live import AsyncSession
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from relay.credentials import client_secrets
from relay.endpoints.table import listed_rows
from tests.fakes.gemini_live import FakeGeminiLive
from tests.relay.credentials.test_revocation import ENDS, STAYS, tenant_of
from tests.relay.health.test_many_processes import processes
from tests.relay.realtime.gemini_live.live_clients import Door, ask, end, say, text_of
from tests.relay.realtime.gemini_live.test_live import door, live_model, model, provider, refusal
from tests.relay.realtime.test_realtime import records
from tests.relay.requests.test_carriers import CARRIERS
from tests.relay.requests.test_carriers import ask as ask_row
from tests.relay.test_javascript_clients import case_of, run_script
from tests.support.hub import Answer, Hub, Tenant

__all__ = ["door", "model", "provider"]

pytestmark = [
    pytest.mark.usefixtures("balanced_books"),
    pytest.mark.filterwarnings("ignore::google.genai.errors.ExperimentalWarning"),
]

PATH = "/v1alpha/auth_tokens"
SOCKET = "/ws/google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateContentConstrained"


def create(hub: Hub, tenant: Tenant, **body: Any) -> Answer:
    headers = body.pop("headers", None) or {}
    return hub.post(tenant, body, path=PATH, headers=headers)


def token_for(hub: Hub, tenant: Tenant, **body: Any) -> str:
    answer = create(hub, tenant, **body)
    assert answer.status == 200, answer
    text: str = answer.json()["name"]
    return text


@contextmanager
def opened(hub: Hub, token: str, **setup: Any) -> Iterator[ClientConnection]:
    """A session that was set up; raises ConnectionClosed if it was refused."""
    url = hub.url.replace("http", "ws") + f"{SOCKET}?access_token={token}"
    with connect(url) as socket:
        socket.send(json.dumps({"setup": setup}))
        assert "setupComplete" in json.loads(socket.recv(timeout=30))
        yield socket


def closed(hub: Hub, token: str, **setup: Any) -> tuple[int, str]:
    """The code and reason with which a session is refused, or the status of the handshake; 0 if it
    is not refused."""
    try:
        with opened(hub, token, **setup):
            return 0, ""
    except ConnectionClosed as error:
        return (error.rcvd.code, error.rcvd.reason) if error.rcvd else (1006, "")
    except InvalidStatus as error:
        return error.response.status_code, (error.response.body or b"").decode()


def handshake(hub: Hub, path: str, headers: dict[str, str]) -> int:
    """The status of a handshake."""
    url = hub.url.replace("http", "ws") + path
    try:
        with connect(url, additional_headers=headers):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


# Whole ------------------------------------------------------------------------------------------


def test_the_official_client_creates_and_uses_one(
    hub: Hub, door: Door, provider: FakeGeminiLive, model: str
) -> None:
    """Its sessions are its key's: in the records, and in the money (P1)."""
    tenant = hub.tenant()
    config: Any = {
        "live_connect_constraints": {
            "model": model,
            "config": {
                "response_modalities": ["TEXT"],
                "system_instruction": "Be brief.",
                "max_output_tokens": 500,
            },
        },
    }
    with door.client(tenant.key, "v1alpha") as server:
        token = server.auth_tokens.create(config=config)
    assert token.name is not None
    assert token.name.startswith("auth_tokens/")
    assert token.uses == 1

    async def talk(session: AsyncSession) -> str:
        return text_of(await ask(session, "hello #tokens=4"))

    other: Any = {"response_modalities": ["AUDIO"], "system_instruction": "Be rude."}
    assert door.converse(token.name, "none-such", talk, other, "v1alpha") == "w0 w1 w2 w3 "
    (record,) = records(hub, tenant, 1)
    assert (record["key_id"], record["model"]) == (tenant.key_id, model)
    assert record["meters"]["out_text"] == 4
    assert record["charge_nano"] > 0
    call = provider.calls[-1]
    assert call.setup["generationConfig"]["responseModalities"] == ["TEXT"]
    assert call.setup["generationConfig"]["maxOutputTokens"] == 500
    assert call.setup["systemInstruction"]["parts"] == [{"text": "Be brief."}]
    assert token.name not in json.dumps(call.headers) + call.path
    with pytest.raises(errors.APIError) as used_up:
        door.converse(token.name, model, talk, None, "v1alpha")
    assert used_up.value.code == 1008
    assert "used up (uses: 1)" in str(used_up.value)


def test_the_official_client_of_javascript_creates_and_uses_one(
    hub: Hub, provider: FakeGeminiLive, model: str
) -> None:
    tenant = hub.tenant()
    seen = run_script(hub, "auth_tokens.mjs", {"gemini": {"live": model}}, tenant)
    session = case_of(seen, "gemini", "session")
    assert (session["begins"], session["said"]) == ("auth_tokens", "w0 w1 w2 ")
    assert session["again"]["said"] == ""
    assert session["again"]["code"] == 1008
    assert "used up (uses: 1)" in session["again"]["reason"]
    (record,) = records(hub, tenant, 1)
    assert (record["model"], record["meters"]["out_text"]) == (model, 3)


def test_token_locks_some_fields_and_the_page_sets_others(
    hub: Hub, door: Door, provider: FakeGeminiLive, model: str
) -> None:
    tenant = hub.tenant()
    config: Any = {
        "uses": 2,
        "live_connect_constraints": {"config": {"system_instruction": "Be brief."}},
        "lock_additional_fields": ["temperature", "output_audio_transcription"],
    }
    with door.client(tenant.key, "v1alpha") as server:
        token = server.auth_tokens.create(config=config).name or ""

    async def talk(session: AsyncSession) -> str:
        return text_of(await ask(session, "hello #tokens=2"))

    page: Any = {
        "response_modalities": ["TEXT"],
        "temperature": 0.9,
        "top_p": 0.5,
        "output_audio_transcription": {},
        "system_instruction": "Be rude.",
    }
    assert door.converse(token, model, talk, page, "v1alpha") == "w0 w1 "
    setup = provider.calls[-1].setup
    assert setup["systemInstruction"]["parts"] == [{"text": "Be brief."}]
    assert setup["generationConfig"] == {"responseModalities": ["TEXT"], "topP": 0.5}
    assert "outputAudioTranscription" not in setup
    code, reason = refusal(door, token, "none-such")
    assert code == 1007, reason


def test_creation_leaves_a_record(hub: Hub, provider: FakeGeminiLive, model: str) -> None:
    """It is free, a request of the key, and of a model that the key may use."""
    tenant = hub.tenant()
    answer = create(hub, tenant, bidiGenerateContentSetup={"model": f"models/{model}"})
    assert answer.status == 200, answer
    query = "SELECT * FROM usage_usagerecord WHERE organisation_id = %s"
    hub.wait(lambda: bool(hub.rows(query, tenant.organisation_id)), "no record")
    (record,) = hub.rows(query, tenant.organisation_id)
    assert (record["operation"], record["model"]) == ("client_secret", model)
    assert (record["charge_nano"], record["hold_nano"]) == (0, 0)
    assert answer.json()["name"] not in str(record)
    unknown = create(hub, tenant, bidiGenerateContentSetup={"model": "none-such"})
    assert unknown.status == 404
    chat = hub.model(provider, provider="deepseek")
    assert create(hub, tenant, bidiGenerateContentSetup={"model": chat}).status == 400
    assert create(hub, tenant, of_tomorrow=1).status == 400


# Its uses ---------------------------------------------------------------------------------------


def test_token_uses_are_counted_once_across_processes(
    own_hub: Hub, provider: FakeGeminiLive
) -> None:
    """Twelve at once, over two processes: three of them."""
    with processes(own_hub, 2) as hubs:
        tenant = own_hub.tenant()
        model = live_model(own_hub, provider)
        hubs[1].know(model)
        token = token_for(own_hub, tenant, uses=3)

        async def attempt(number: int) -> tuple[int, str]:
            hub = hubs[number % 2]
            return await asyncio.to_thread(closed, hub, token, model=model)

        async def attempts() -> list[tuple[int, str]]:
            return await asyncio.gather(*(attempt(number) for number in range(12)))

        results = asyncio.run(attempts())
        assert results.count((0, "")) == 3
        assert all("used up (uses: 3)" in reason for code, reason in results if code)
        (row,) = own_hub.rows("SELECT uses FROM accounts_authtokenuse")
        assert row["uses"] == 3


def test_token_with_unlimited_uses(hub: Hub, provider: FakeGeminiLive, model: str) -> None:
    tenant = hub.tenant()
    token = token_for(hub, tenant, uses=0)
    for _ in range(3):
        assert closed(hub, token, model=model) == (0, "")
    query = "SELECT FROM accounts_authtokenuse WHERE key_id = %s"
    assert hub.rows(query, tenant.key_id) == []
    # The counts of ended tokens go with the next use.
    hub.connection.execute(
        "INSERT INTO accounts_authtokenuse VALUES (gen_random_uuid(), 1, "
        "now() - interval '1 s', %s)", [tenant.key_id],
    )  # fmt: skip
    assert closed(hub, token_for(hub, tenant), model=model) == (0, "")
    assert len(hub.rows(query, tenant.key_id)) == 1


def test_resuming_its_session_is_no_further_use(
    hub: Hub, provider: FakeGeminiLive, model: str
) -> None:
    """But that of another token is, and there may be none left."""
    tenant = hub.tenant()
    setup = {"model": model, "sessionResumption": {}}
    tokens = [token_for(hub, tenant, bidiGenerateContentSetup=setup) for _ in range(2)]
    with opened(hub, tokens[0], model=model) as socket:
        say(socket, "keep #tokens=2 #update")
        message: dict[str, Any] = {}
        while "sessionResumptionUpdate" not in message:
            message = json.loads(socket.recv(timeout=30))
    handle = message["sessionResumptionUpdate"]["newHandle"]
    assert closed(hub, tokens[1], model=model) == (0, "")
    resumed = {"model": model, "sessionResumption": {"handle": handle}}
    with opened(hub, tokens[0], **resumed):
        assert provider.calls[-1].setup["sessionResumption"]["handle"] in provider.contexts
    code, reason = closed(hub, tokens[1], **resumed)
    assert code == 1008, reason
    assert "used up (uses: 1)" in reason


# Its times --------------------------------------------------------------------------------------


def in_seconds(seconds: float) -> str:
    return (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)).isoformat()


TIMES: dict[str, tuple[dict[str, int], int, int]] = {
    "both": ({"newSessionExpireTime": 200, "expireTime": 5_000}, 200, 5_000),
    "opening": ({"newSessionExpireTime": 300}, 300, 1_800),
    "end": ({"expireTime": 4_000}, 60, 4_000),
    "early end": ({"expireTime": 30}, 30, 30),
    "none": ({}, 60, 1_800),
}


def test_answer_says_until_when_it_opens_sessions_and_when_they_end(hub: Hub) -> None:
    """As asked, or as Google's own; it opens none after its sessions end."""
    tenant = hub.tenant()
    for name, (asked, *expected) in TIMES.items():
        now = dt.datetime.now(dt.UTC)
        times = {member: in_seconds(seconds) for member, seconds in asked.items()}
        answer = create(hub, tenant, **times).json()
        told = [
            (dt.datetime.fromisoformat(answer[member]) - now).total_seconds()
            for member in ("newSessionExpireTime", "expireTime")
        ]
        assert told == pytest.approx(expected, abs=15), name


def test_token_sessions_end_with_the_token(hub: Hub, provider: FakeGeminiLive, model: str) -> None:
    """In the middle of a turn, which is settled by its usage so far."""
    tenant = hub.tenant()
    token = token_for(hub, tenant, expireTime=in_seconds(3))
    began = time.time()
    with opened(hub, token, model=model) as socket:
        say(socket, "go on #tokens=2000 #slow=20")
        code, reason = end(socket)
    assert 1.5 < time.time() - began < 12
    assert code == 1008
    assert "the ephemeral token has expired" in reason
    (record,) = records(hub, tenant, 1)
    assert record["charge_nano"] > 0
    assert closed(hub, token, model=model)[0] == 401


def test_token_opens_sessions_until_its_deadline(
    hub: Hub, provider: FakeGeminiLive, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open one goes on."""
    tenant = hub.tenant()
    answer = create(hub, tenant, uses=0, newSessionExpireTime=in_seconds(2))
    token = answer.json()["name"]
    with opened(hub, token, model=model) as socket:
        hub.wait(lambda: closed(hub, token, model=model)[0] == 401, "it still opens sessions")
        say(socket, "go on #tokens=1")
        assert "serverContent" in json.loads(socket.recv(timeout=30))
    assert "has expired, create another one" in closed(hub, token, model=model)[1]


def test_it_ends_no_later_than_its_key(hub: Hub, model: str) -> None:
    tenant = hub.tenant()
    hub.connection.execute(
        "UPDATE accounts_key SET expires_at = now() + interval '20 seconds' WHERE id = %s",
        [tenant.key_id],
    )
    hub.bump()
    limit = in_seconds(30)
    hub.wait(lambda: create(hub, tenant).json()["newSessionExpireTime"] < limit, "it ends later")


# Its key ----------------------------------------------------------------------------------------


def test_whatever_ends_the_key_ends_its_token_sessions(
    hub: Hub, provider: FakeGeminiLive, model: str
) -> None:
    """P11: the same causes as for the key itself, all at once; whose key stays goes on."""
    causes = {**ENDS, **STAYS}
    tenants = {cause: tenant_of(hub) for cause in causes}
    tokens = {cause: token_for(hub, tenant, uses=0) for cause, tenant in tenants.items()}
    with ExitStack() as stack:
        sockets = {
            cause: stack.enter_context(opened(hub, token, model=model))
            for cause, token in tokens.items()
        }
        for cause, tenant in tenants.items():
            causes[cause](hub, tenant)
        hub.bump()
        for cause in ENDS:
            code, reason = end(sockets[cause])
            assert code == 1008, cause
            assert "expired" not in reason, cause
            assert closed(hub, tokens[cause], model=model)[0] == 401, cause
            assert create(hub, tenants[cause]).status == 401, cause
        for cause in STAYS:
            say(sockets[cause], "go on #tokens=1")
            assert "serverContent" in json.loads(sockets[cause].recv(timeout=30)), cause


LIMITS: dict[str, tuple[dict[str, Any], int]] = {
    "networks": ({"networks": ["10.0.0.0/8"]}, 403),
    "endpoints": ({"endpoints": ["messages"]}, 403),
    "models": ({"model_patterns": ["other-*"]}, 1008),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_token_is_limited_by_its_key(
    hub: Hub, provider: FakeGeminiLive, model: str, limit: str
) -> None:
    limits, status = LIMITS[limit]
    tenant = hub.tenant()
    token = token_for(hub, tenant, uses=0)
    hub.limit(tenant, **limits)
    hub.bump()
    setup = {"model": model}
    hub.wait(
        lambda: create(hub, tenant, bidiGenerateContentSetup=setup).status == 403,
        "the limit is not known",
    )
    assert closed(hub, token, model=model)[0] == status


def test_token_labels_apply_to_its_sessions(hub: Hub, provider: FakeGeminiLive, model: str) -> None:
    tenant = hub.tenant()
    labels = {"x-weir-labels": '{"customer": "c-42"}', "x-weir-max-cost": "0.000000001"}
    token = token_for(hub, tenant, headers=labels)
    code, reason = closed(hub, token, model=model)
    assert code == 1008, reason
    token = token_for(hub, tenant, headers={"x-weir-labels": '{"customer": "c-42"}'})
    with opened(hub, token, model=model) as socket:
        say(socket, "hello #tokens=1")
        while "usageMetadata" not in json.loads(socket.recv(timeout=30)):
            pass
    dear, record = records(hub, tenant, 2)
    assert (dear["status"], dear["customer"]) == (402, "c-42")
    assert (record["status"], record["customer"]) == (200, "c-42")


# What it opens ----------------------------------------------------------------------------------


def test_it_opens_nothing_else(hub: Hub, model: str) -> None:
    """Every row of the relay, in every carrier, and the management API; nor do client secrets open
    what it opens."""
    tenant = hub.tenant()
    token = token_for(hub, tenant, uses=0)
    for path, row in listed_rows().items():
        for carrier in CARRIERS:
            if carrier == "query" and not row.key_in_query:
                continue
            answer = ask_row(hub, path, row, model, carrier, token)
            # A sealed link asks for no key: here it is none of ours.
            assert answer.status == (404 if row.is_sealed_link else 401), (path, carrier, answer)
            assert token not in str(answer.body)
    for scheme in ("Bearer", "Token"):
        headers = {"authorization": f"{scheme} {token}"}
        for path in ("/api/v1/keys", "/api/v1/usage"):
            assert hub.request("GET", path, headers=headers).status == 401
        for path in ("/v1/realtime", "/v1/live/sessions", SOCKET.removesuffix("Constrained")):
            assert handshake(hub, path, headers) == 401, path
    answer = hub.post(tenant, {}, path="/v1/realtime/client_secrets")
    assert closed(hub, answer.json()["value"], model=model)[0] == 401


def test_forged_token_opens_nothing(hub: Hub, model: str) -> None:
    tenant = hub.tenant()
    token = token_for(hub, tenant)
    sealed = token.removeprefix("auth_tokens/")
    forged = sealed[:40] + ("A" if sealed[40] != "A" else "B") + sealed[41:]
    secret = hub.post(tenant, {}, path="/v1/realtime/client_secrets").json()["value"]
    for text in (forged, "", "x", secret.removeprefix("ek_")):
        assert closed(hub, f"auth_tokens/{text}", model=model)[0] == 401, text
    headers = {"authorization": f"Bearer ek_{sealed}"}
    assert handshake(hub, "/v1/realtime", headers) == 401


CHANGES: dict[str, dict[str, Any]] = {
    "tools": {"contextUpdate": {"tools": []}},
    "snake": {"context_update": {"tools": []}},
    "beside": {"realtimeInput": {"text": "x"}, "contextUpdate": {}},
    "system": {"clientContent": {"turns": [{"role": "system", "parts": [{"text": "x"}]}]}},
    "single": {"client_content": {"turns": {"role": "system", "parts": []}}},
    "unknown": {"ofTomorrow": {}},
}


@pytest.mark.parametrize("change", CHANGES)
def test_token_settings_cannot_be_changed(
    hub: Hub, provider: FakeGeminiLive, model: str, change: str
) -> None:
    """No later message changes it; without a setup of its own, there is nothing to change."""
    tenant = hub.tenant()
    token = token_for(hub, tenant, bidiGenerateContentSetup={"model": model})
    with opened(hub, token, model=model) as socket:
        socket.send(json.dumps(CHANGES[change]))
        code, reason = end(socket)
    assert code == 1007
    assert "ephemeral token" in reason
    assert provider.calls[-1].received == []


def test_the_longest_token_goes_into_one_query(
    hub: Hub, provider: FakeGeminiLive, model: str
) -> None:
    tenant, room = hub.tenant(), 4_500
    setup = {"model": model, "systemInstruction": {"parts": [{"text": "x" * room}]}}
    token = token_for(hub, tenant, bidiGenerateContentSetup=setup)
    assert closed(hub, token, model=model) == (0, "")
    parts = provider.calls[-1].setup["systemInstruction"]["parts"]
    assert parts == [{"text": "x" * room}]
    setup["systemInstruction"] = {"parts": [{"text": "x" * 5_000}]}
    answer = create(hub, tenant, bidiGenerateContentSetup=setup)
    assert answer.status == 400
    assert f"has room for {client_secrets.CONTENT_BYTES_MAX}" in str(answer.body)
