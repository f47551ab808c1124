"""Live sessions of Google over the real hub, by Google's own client: what clients hear, and what
the books say (P1, P2)."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from google.genai import errors, types
from google.genai.live import AsyncSession
from websockets.exceptions import InvalidStatus

from tests.fakes.gemini_live import FakeGeminiLive
from tests.fakes.listeners import Authority
from tests.relay.credentials.test_revocation import ENDS
from tests.relay.realtime.gemini_live.live_clients import (
    RATES,
    Door,
    ask,
    hear,
    open_door,
    text_of,
)
from tests.relay.realtime.test_realtime import records
from tests.support.hub import Hub

pytestmark = pytest.mark.usefixtures("balanced_books")


@pytest.fixture(scope="module")
def provider(hub: Hub) -> Iterator[FakeGeminiLive]:
    written = len(hub.log())
    with FakeGeminiLive() as provider:
        yield provider
    text = hub.log()[written:]
    assert "defect" not in text, text
    assert "Exception in ASGI application" not in text, text


@pytest.fixture(scope="module")
def door(
    hub: Hub, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Door]:
    with open_door(hub, authority, tmp_path_factory.mktemp("front")) as door:
        yield door


@pytest.fixture
def model(hub: Hub, provider: FakeGeminiLive) -> str:
    return live_model(hub, provider)


def live_model(hub: Hub, *providers: FakeGeminiLive, **more: Any) -> str:
    own = {
        "rates": RATES, "upstream_model": "gemini-3.8-live", "provider": "gemini", "retries": 0,
        **more,
    }  # fmt: skip
    return hub.model(*providers, **own)


def test_a_session_is_a_series_of_requests(
    hub: Hub, door: Door, provider: FakeGeminiLive, model: str
) -> None:
    """Each turn has a record of its own, charged by its usage, the whole context each time (P1)."""
    tenant = hub.tenant()

    async def talk(session: AsyncSession) -> list[str]:
        return [text_of(await ask(session, f"hello {n} #tokens={n}")) for n in (7, 3)]

    assert door.converse(tenant.key, model, talk) == ["w0 w1 w2 w3 w4 w5 w6 ", "w0 w1 w2 "]
    one, two = records(hub, tenant, 2)
    call = provider.calls[-1]
    assert call.setup["model"] == "models/gemini-3.8-live"
    assert call.headers["x-goog-api-key"] == provider.key
    assert one["meters"] == {"in_text": 3, "out_text": 7}
    assert two["meters"] == {"in_text": 3 + 7 + 3, "out_text": 3}
    assert one["charge_nano"] == 3 + 7 * 5
    assert two["charge_nano"] == 13 + 3 * 5
    assert one["session_id"] == two["session_id"]
    for record in (one, two):
        assert (record["status"], record["basis"]) == (200, "measured")
        assert (record["operation"], record["stream"]) == ("realtime", True)
        assert record["ttft_ms"] is not None


def test_audio_is_received_sent_and_charged(
    hub: Hub, door: Door, provider: FakeGeminiLive, model: str
) -> None:
    """A second of sound is a turn of its own; pictures are counted; thoughts and searches are
    charged beside the answer."""
    tenant = hub.tenant()

    async def talk(session: AsyncSession) -> int:
        await session.send_realtime_input(video=types.Blob(data=b"jpeg", mime_type="image/jpeg"))
        for _ in range(10):
            sound = types.Blob(data=bytes(3200), mime_type="audio/pcm;rate=16000")
            await session.send_realtime_input(audio=sound)
        said = sum(len(message.data or b"") for message in await hear(session))
        await ask(session, "think #tokens=2 #think=9 #search=2")
        return said

    config = {"response_modalities": ["AUDIO"]}
    assert door.converse(tenant.key, model, talk, config) == 5 * 1920
    one, two = records(hub, tenant, 2)
    assert one["meters"] == {
        "in_text": 0, "in_audio": 25, "in_image": 258, "out_text": 0, "out_audio": 5,
    }  # fmt: skip
    assert one["charge_nano"] == 25 * 3 + 258 * 2 + 5 * 12
    assert two["meters"] == {
        "in_text": 4, "in_audio": 30, "in_image": 258, "out_text": 2, "out_reasoning": 9,
        "searches": 2,
    }  # fmt: skip
    assert two["charge_nano"] == 4 + 30 * 3 + 258 * 2 + (2 + 9) * 5 + 2 * 14


def test_a_function_is_called_within_a_turn(
    hub: Hub, door: Door, provider: FakeGeminiLive, model: str
) -> None:
    tenant = hub.tenant()

    async def talk(session: AsyncSession) -> str:
        turn = types.Content(role="user", parts=[types.Part(text="call #call #tokens=2")])
        await session.send_client_content(turns=turn)
        said = ""
        async for message in session.receive():
            if message.tool_call is not None:
                (call,) = message.tool_call.function_calls or []
                result = types.FunctionResponse(id=call.id, name=call.name, response={"is": "long"})
                await session.send_tool_response(function_responses=result)
            said += message.text or ""
        return said

    tools = [{"function_declarations": [{"name": "look_up"}]}]
    config = {"response_modalities": ["TEXT"], "tools": tools}
    assert door.converse(tenant.key, model, talk, config) == "w0 w1 "
    (record,) = records(hub, tenant, 1)
    assert record["meters"] == {"in_text": 3, "out_text": 2}
    assert provider.calls[-1].received == ["client_content", "tool_response"]


def test_interrupted_answer_is_charged_for_what_was_said(
    hub: Hub, door: Door, provider: FakeGeminiLive, model: str
) -> None:
    tenant = hub.tenant()

    async def talk(session: AsyncSession) -> bool:
        turn = types.Content(role="user", parts=[types.Part(text="go on #tokens=900 #slow=20")])
        await session.send_client_content(turns=turn)
        interrupted = False
        async for message in session.receive():
            if message.text == "w3 ":
                await session.send_realtime_input(text="stop #tokens=1")
            content = message.server_content
            interrupted = interrupted or bool(content and content.interrupted)
        await hear(session)
        return interrupted

    assert door.converse(tenant.key, model, talk)
    one, two = records(hub, tenant, 2)
    assert one["finish_reason"] == "cancelled"
    usages = provider.calls[-1].usages
    assert [row["meters"]["out_text"] for row in (one, two)] == [
        usage["responseTokenCount"] for usage in usages
    ]
    assert usages[0]["responseTokenCount"] >= 4


def test_only_its_team_resumes_a_session(hub: Hub, door: Door, provider: FakeGeminiLive) -> None:
    """The conversation goes on where it was; its handle opens nothing for others (P12)."""
    with FakeGeminiLive() as other:
        model = live_model(hub, provider, other)
        tenant, stranger = hub.tenant(), hub.tenant()

        async def begin(session: AsyncSession) -> str:
            await ask(session, "remember this #tokens=4 #update")
            async for message in session.receive():
                if (update := message.session_resumption_update) and update.new_handle:
                    return update.new_handle
            raise AssertionError

        config: dict[str, Any] = {"response_modalities": ["TEXT"], "session_resumption": {}}
        handle = door.converse(tenant.key, model, begin, config)
        assert handle not in provider.contexts
        again = {**config, "session_resumption": {"handle": handle}}

        async def go_on(session: AsyncSession) -> str:
            return text_of(await ask(session, "and now #tokens=1"))

        assert door.converse(tenant.key, model, go_on, again) == "w0 "
        assert provider.calls[-1].setup["sessionResumption"]["handle"] in provider.contexts
        with pytest.raises(errors.APIError) as refused:
            door.converse(stranger.key, model, go_on, again)
        assert refused.value.code == 1007
        assert not other.calls
    one, two = records(hub, tenant, 2)
    assert two["meters"]["in_text"] == one["meters"]["in_text"] + 4 + 3
    assert hub.rows(
        "SELECT charge_nano FROM usage_usagerecord WHERE organisation_id = %s "
        "AND charge_nano > 0", stranger.organisation_id,
    ) == []  # fmt: skip


REFUSALS = {
    "no key": 401,
    "another model": 1008,
    "no such model": 1007,
    "no money": 1008,
    "no live sessions": 1007,
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused_before_it_begins(
    hub: Hub, door: Door, provider: FakeGeminiLive, model: str, case: str
) -> None:
    """By HTTP without a key, else by a close with the reason; no provider hears of it."""
    tenant = hub.tenant(
        usd="0.000001" if case == "no money" else "10.00",
        patterns=("other-*",) if case == "another model" else (),
    )
    if case == "no such model":
        model = "none-such"
    elif case == "no live sessions":
        model = hub.model(provider, rates=RATES, provider="deepseek")
    key = "sk-nobody" if case == "no key" else tenant.key
    before = len(provider.calls)
    code, reason = refusal(door, key, model)
    assert code == REFUSALS[case], reason
    assert reason
    assert len(provider.calls) == before


def refusal(
    door: Door, key: str, model: str, config: dict[str, Any] | None = None
) -> tuple[int, str]:
    """The code and reason with which a session is refused."""

    async def talk(session: AsyncSession) -> None:
        raise AssertionError("it began")

    try:
        door.converse(key, model, talk, config)
    except errors.APIError as error:
        return int(error.code), str(error)
    except InvalidStatus as error:
        return error.response.status_code, str(error)
    raise AssertionError


OF_PROVIDER: dict[str, tuple[tuple[int, str] | bytes, int, str]] = {
    "unknown": ((1008, "models/x is not found for API version v1beta"), 1011, "upstream_error"),
    "invalid": ((1007, "Request contains an invalid argument."), 1007, "provider_rejected"),
    "key": ((1007, "API key not valid. Please pass a valid API key."), 1011, "upstream_auth"),
    "quoted": ((1007, 'Unknown name "API key not valid"'), 1007, "provider_rejected"),
    "quota": ((1011, "You exceeded your current quota"), 1008, "upstream_rate_limited"),
    "broken": ((1011, "Internal error encountered."), 1011, "upstream_error"),
    "utf8": (b'{"setupComplete":{"sessionId":"\xff"}}', 1011, "upstream_malformed"),
}


@pytest.mark.parametrize("case", OF_PROVIDER)
def test_setup_rejected_by_the_provider(hub: Hub, door: Door, case: str) -> None:
    """The client is told why; where another channel can, it opens the session (P7)."""
    close, code, kind = OF_PROVIDER[case]
    with FakeGeminiLive() as broken, FakeGeminiLive() as other:
        broken.refuses = close
        tenant = hub.tenant()
        told, text = refusal(door, tenant.key, live_model(hub, broken))
        assert told == code
        (record,) = records(hub, tenant, 1)
        assert (record["kind"], record["charge_nano"]) == (kind, 0)
        assert kind != "upstream_auth" or "key" not in text.lower()
        if kind == "provider_rejected":
            return
        tenant, both = hub.tenant(), live_model(hub, broken, other, retries=2)

        async def talk(session: AsyncSession) -> str:
            return text_of(await ask(session, "hello #tokens=2"))

        assert door.converse(tenant.key, both, talk) == "w0 w1 "
        assert len(other.calls) == 1


FAULTS = {"close@3": "upstream_truncated", "bye@3": "upstream_truncated",
          "garbage@3": "upstream_malformed"}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_provider_failing_in_a_turn(
    hub: Hub, door: Door, provider: FakeGeminiLive, model: str, fault: str
) -> None:
    """The client gets a close with the reason; what came is counted here, within the hold."""
    tenant = hub.tenant()

    async def talk(session: AsyncSession) -> None:
        await ask(session, f"hello #tokens=9 #fault={fault}")

    with pytest.raises(errors.APIError) as failed:
        door.converse(tenant.key, model, talk)
    assert failed.value.code == 1011
    (record,) = records(hub, tenant, 1)
    assert (record["kind"], record["basis"]) == (FAULTS[fault], "estimated")
    assert record["meters"]["out_text"] == 3
    assert 0 < record["charge_nano"] <= record["hold_nano"]


def test_usage_that_is_missing_late_or_unknown(
    hub: Hub, door: Door, provider: FakeGeminiLive, model: str
) -> None:
    """A turn without usage is counted here, once; one with unknown usage is reviewed (P28)."""
    tenant = hub.tenant()

    async def talk(session: AsyncSession) -> None:
        for fault in ("late", "nousage", "odd", "film"):
            await ask(session, f"hello there #tokens=6 #fault={fault}@9")
            if fault == "late":
                await asyncio.wait_for(anext(aiter(session.receive())), 20)

    door.converse(tenant.key, model, talk)
    late, missing, odd, film = records(hub, tenant, 4)
    assert late["basis"] == missing["basis"] == "estimated"
    assert late["meters"]["out_text"] >= 4
    for record in (odd, film):
        assert record["charge_nano"] in (0, None)
        assert record["pricing"]["unknown"]


def test_client_leaving_in_a_turn(
    hub: Hub, door: Door, provider: FakeGeminiLive, model: str
) -> None:
    """The answer cannot be cancelled: its usage is awaited, and charged (P6)."""
    tenant = hub.tenant()

    async def talk(session: AsyncSession) -> None:
        turn = types.Content(role="user", parts=[types.Part(text="go #tokens=20 #slow=20")])
        await session.send_client_content(turns=turn)
        await anext(aiter(session.receive()))

    door.converse(tenant.key, model, talk)
    (record,) = records(hub, tenant, 1)
    assert record["meters"] == {"in_text": 3, "out_text": 20}
    assert provider.calls[-1].usages[0]["responseTokenCount"] == 20


def test_a_revoked_key_ends_the_session(
    hub: Hub, door: Door, provider: FakeGeminiLive, model: str
) -> None:
    """Within a second, in the middle of a turn, which is settled (P11)."""
    tenant = hub.tenant()

    async def talk(session: AsyncSession) -> None:
        turn = types.Content(role="user", parts=[types.Part(text="go #tokens=900 #slow=20")])
        await session.send_client_content(turns=turn)
        await anext(aiter(session.receive()))
        ENDS["revoked"](hub, tenant)
        hub.bump()
        await hear(session)

    with pytest.raises(errors.APIError) as ended:
        door.converse(tenant.key, model, talk)
    assert ended.value.code == 1008
    (record,) = records(hub, tenant, 1)
    assert record["meters"]["out_text"] >= 1
    assert record["charge_nano"] > 0


def test_used_up_budget_ends_the_session(hub: Hub, door: Door, provider: FakeGeminiLive) -> None:
    """No turn begins that could cost more than is left (P2); the provider is told a limit that the
    balance covers, and it stays."""
    dear = {name: rate * 10**3 for name, rate in RATES.items()}
    model = live_model(hub, provider, rates=dear)
    # 4,096 tokens of input at the dearest rate are 12,288,000 nano.
    tenant = hub.tenant(usd="0.0130")
    said: list[str] = []

    async def talk(session: AsyncSession) -> None:
        for _ in range(40):
            said.append(text_of(await ask(session, "hello #tokens=9")))

    with pytest.raises(errors.APIError) as ended:
        door.converse(tenant.key, model, talk)
    assert ended.value.code == 1008
    assert said
    limit = provider.calls[-1].setup["generationConfig"]["maxOutputTokens"]
    assert 16 <= limit <= 65_536
    rows = records(hub, tenant, len(said))
    assert [row["meters"]["out_text"] for row in rows] == [
        usage["responseTokenCount"] for usage in provider.calls[-1].usages
    ]
    assert sum(row["charge_nano"] for row in rows) <= 13_000_000
