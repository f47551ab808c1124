"""Gemini Live sessions by the clock, at their limits, and when their process ends."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.fakes.gemini_live import FakeGeminiLive
from tests.relay.front.test_memory import measured, peak
from tests.relay.realtime.gemini_live.live_clients import RATES, end, say
from tests.relay.realtime.test_realtime import records
from tests.relay.sweeper import sweep
from tests.runner.databases import own_database
from tests.support.hub import Hub

MIB = 1024 * 1024
PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeGeminiLive]:
    with FakeGeminiLive() as provider:
        yield provider


def live_model(hub: Hub, *providers: FakeGeminiLive, **more: Any) -> str:
    own: dict[str, Any] = {
        "rates": RATES,
        "upstream_model": "gemini-3.8-live",
        "provider": "gemini",
        "retries": 0,
    }
    return hub.model(*providers, **{**own, **more})


@contextmanager
def live(
    hub: Hub, key: str, model: str = "", headers: dict[str, str] | None = None, **options: Any
) -> Iterator[ClientConnection]:
    """A session; without a model, its setup is not sent."""
    url = hub.url.replace("http", "ws") + PATH
    headers = {"x-goog-api-key": key, **(headers or {})}
    resumption = options.pop("resumption", {})
    with connect(url, additional_headers=headers, **options) as socket:
        if model:
            setup = {"model": f"models/{model}", "sessionResumption": resumption}
            socket.send(json.dumps({"setup": setup}))
            assert "setupComplete" in hear(socket)
        yield socket


def hear(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(socket.recv(timeout=30))
    return message


def hear_until(socket: ClientConnection, name: str) -> dict[str, Any]:
    """The next message with that member, beside the content."""
    while name not in (message := hear(socket)):
        if name in message.get("serverContent", {}):
            break
    return message


def hear_turn(socket: ClientConnection) -> int:
    """Hear a turn to its usage; 0, or the code of the close in its place."""
    try:
        hear_until(socket, "usageMetadata")
    except ConnectionClosed as error:
        return error.rcvd.code if error.rcvd else 1006
    return 0


def test_a_process_that_stops_says_so(own_hub: Hub, provider: FakeGeminiLive) -> None:
    """P10: what is being said may end; then its client is told, and closed as for a restart."""
    own_hub.start()
    tenant = own_hub.tenant()
    model = live_model(own_hub, provider)
    with (
        live(own_hub, tenant.key) as waiting,
        live(own_hub, tenant.key, model) as idle,
        live(own_hub, tenant.key, model) as talk,
    ):
        say(talk, "hello #tokens=150 #slow=5")
        hear_until(talk, "modelTurn")
        assert own_hub.process is not None
        own_hub.process.terminate()
        for one in (waiting, idle):
            assert end(one)[0] == 1012
        assert hear_until(talk, "usageMetadata")["usageMetadata"]["responseTokenCount"] == 150
        assert end(talk)[0] == 1012
    own_hub.ended()
    nothing, spoken = sorted(records(own_hub, tenant, 2), key=lambda row: row["charge_nano"])
    assert (nothing["status"], nothing["basis"]) == (200, "none")
    assert spoken["meters"] == {"in_text": 3, "out_text": 150}
    own_hub.assert_books_balance()


GOODBYES = {
    # what is said -> the code for the client, and what the turn's record says
    "hello #tokens=5 #goaway": (1000, None, "measured"),
    "hello #tokens=9 #fault=goaway@3": (1011, "upstream_truncated", "estimated"),
}


@pytest.mark.parametrize("said", GOODBYES)
def test_provider_going_away(hub: Hub, provider: FakeGeminiLive, said: str) -> None:
    """The client hears it; between turns, the session ends in order, in a turn it is cut."""
    tenant = hub.tenant()
    with live(hub, tenant.key, live_model(hub, provider)) as talk:
        say(talk, said)
        assert hear_until(talk, "goAway")["goAway"] == {"timeLeft": "0.1s"}
        code, reason = end(talk)
    expected, kind, basis = GOODBYES[said]
    assert code == expected, reason
    (record,) = records(hub, tenant, 1)
    assert (record["kind"], record["basis"]) == (kind, basis)
    assert 0 < record["charge_nano"] <= record["hold_nano"]
    hub.assert_books_balance()


def test_session_resumes_after_the_provider_went_away(hub: Hub, provider: FakeGeminiLive) -> None:
    """Its hold covers the context that it brings; its channel alone has it (P7)."""
    with FakeGeminiLive() as other:
        tenant, model = hub.tenant(), live_model(hub, provider, other)
        with live(hub, tenant.key, model) as talk:
            say(talk, "remember #tokens=40 #update #goaway")
            update = hear_until(talk, "sessionResumptionUpdate")["sessionResumptionUpdate"]
            assert end(talk)[0] == 1000
        mine, another = (other, provider) if other.contexts else (provider, other)
        before = len(another.calls)
        resumption = {"handle": update["newHandle"]}
        with live(hub, tenant.key, model, resumption=resumption) as talk:
            say(talk, "and now #tokens=1")
            hear_until(talk, "usageMetadata")
        assert len(another.calls) == before
        assert mine.calls[-1].setup["sessionResumption"]["handle"] in mine.contexts
        one, two = records(hub, tenant, 2)
        assert two["meters"]["in_text"] == one["meters"]["in_text"] + 40 + 3
        # What its channel no longer has is refused by it, not begun elsewhere.
        mine.contexts.clear()
        url = hub.url.replace("http", "ws") + PATH
        with connect(url, additional_headers={"x-goog-api-key": tenant.key}) as socket:
            setup = {"model": model, "sessionResumption": resumption}
            socket.send(json.dumps({"setup": setup}))
            code, reason = end(socket)
        assert code in (1007, 1008, 1011), reason
        assert len(another.calls) == before


def test_used_up_session_budget_ends_the_session(hub: Hub, provider: FakeGeminiLive) -> None:
    """P2: no turn begins that could cost more than is left of it; what was said is charged."""
    model = live_model(hub, provider, rates={name: rate * 10**3 for name, rate in RATES.items()})
    tenant = hub.tenant()
    headers = {"x-weir-session-budget": "0.0130"}
    turns = code = 0
    with live(hub, tenant.key, model, headers) as talk:
        while turns < 40:
            say(talk, "hello #tokens=9")
            if code := hear_turn(talk):
                break
            turns += 1
    assert code == 1008
    assert 0 < turns < 40
    rows = [row for row in records(hub, tenant, turns) if row["charge_nano"]]
    assert len(rows) == turns
    assert sum(row["charge_nano"] for row in rows) <= 13_000_000
    hub.assert_books_balance()


def test_a_budget_that_is_used_up_by_others_ends_the_session(
    hub: Hub, provider: FakeGeminiLive
) -> None:
    model = live_model(hub, provider)
    tenant = hub.tenant()
    with live(hub, tenant.key, model) as talk:
        say(talk, "hello #tokens=2")
        hear_until(talk, "usageMetadata")
        hub.budget(tenant, "0.000000001")
        hub.bump()
        turns, code = 0, 0
        while not code and turns < 40:
            say(talk, "hello #tokens=1")
            code = hear_turn(talk)
            turns += 1
    assert code == 1008
    hub.settled(tenant)
    hub.assert_books_balance()


@pytest.mark.slow
def test_sessions_that_last_too_long(provider: FakeGeminiLive) -> None:
    """Silence of both ends has a limit, also while the client's functions run, and so has all of
    it, whoever speaks."""
    with own_database("hub") as dsn:
        hub = Hub(dsn, application="tests.relay.short_connections")
        try:
            hub.settings()
            hub.start()
            tenant = hub.tenant()
            model = live_model(hub, provider)
            for said in ("hello #tokens=1", "hello #call"):
                with live(hub, tenant.key, model) as talk:
                    say(talk, said)
                    code, reason = end(talk)
                assert code == 1008, reason
                assert "nothing was sent" in reason
            with live(hub, tenant.key, model) as talk:
                say(talk, "hello #tokens=3000 #slow=5")
                code, reason = end(talk)
            assert code == 1008, reason
            assert "has lasted" in reason
            hub.settled(tenant)
            hub.assert_books_balance()
        finally:
            hub.kill()
            hub.close()


@pytest.mark.slow
def test_a_process_that_is_killed(own_hub: Hub, provider: FakeGeminiLive) -> None:
    """P1: what was settled stays, what was being said is settled from its mark, what was held is
    given back, each exactly once."""
    own_hub.start()
    tenant = own_hub.tenant()
    model = live_model(own_hub, provider)
    with live(own_hub, tenant.key, model), live(own_hub, tenant.key, model) as talk:
        say(talk, "hello #tokens=7")
        hear_until(talk, "usageMetadata")
        say(talk, "hello #tokens=5000 #slow=1")
        for _ in range(600):
            hear_until(talk, "modelTurn")
        own_hub.wait(
            lambda: bool(own_hub.rows("SELECT FROM billing_hold WHERE mark IS NOT NULL")), "no mark"
        )
        own_hub.kill()
    own_hub.connection.execute("UPDATE billing_hold SET expires_at = now() - interval '1 second'")
    assert sweep(own_hub) == 2
    assert sweep(own_hub) == 0
    rows = records(own_hub, tenant, 3)
    (whole,) = (row for row in rows if row["basis"] == "measured")
    assert whole["meters"] == {"in_text": 2, "out_text": 7}
    nothing, cut = sorted(
        (row for row in rows if row is not whole), key=lambda row: row["charge_nano"]
    )
    assert 0 < cut["meters"]["out_text"] <= 5000
    assert cut["charge_nano"] == cut["meters"]["out_text"] * 5
    assert nothing["charge_nano"] == 0
    assert own_hub.balance(tenant).get("customer:held", 0) == 0
    own_hub.assert_books_balance()
    own_hub.start()
    with live(own_hub, tenant.key, model) as talk:
        say(talk, "hello #tokens=1")
        hear_until(talk, "usageMetadata")


@pytest.mark.slow
def test_a_slow_reader_keeps_memory_flat(own_hub: Hub, provider: FakeGeminiLive) -> None:
    """P9: what a client does not read stays at its provider."""
    own_hub.start()
    tenant = own_hub.tenant()
    model = live_model(own_hub, provider)
    with live(own_hub, tenant.key, model, max_queue=1) as talk:
        say(talk, "warm #audio #tokens=100")
        hear_until(talk, "usageMetadata")
        before = measured(own_hub)
        say(talk, "hello #audio #tokens=20000")
        sent: list[int] = []

        def waits() -> bool:
            sent.append(provider.calls[-1].sent)
            return len(sent) > 20 and sent[-20] == sent[-1]

        own_hub.wait(waits, "the provider may go on")
        assert sent[-1] < 8000
        usage = hear_until(talk, "usageMetadata")["usageMetadata"]
        assert usage["responseTokenCount"] == 20000
        assert peak(own_hub) - before < 20 * MIB
    _, record = records(own_hub, tenant, 2)
    assert record["meters"]["out_audio"] == 20000
