"""Realtime connections for long, and what ends the process that carries them."""

from collections.abc import Iterator

import pytest

from tests.fakes.realtime import FakeRealtime
from tests.relay.front.test_memory import measured, peak
from tests.relay.realtime.test_realtime import RATES, records, session, sound
from tests.relay.sweeper import sweep
from tests.runner.databases import own_database
from tests.support.hub import Hub

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeRealtime]:
    with FakeRealtime() as provider:
        yield provider


def test_stopping_process_tells_the_client(own_hub: Hub, provider: FakeRealtime) -> None:
    """P10: what is being made may be said; then its client is told, and closed as for a restart."""
    own_hub.start()
    tenant = own_hub.tenant()
    model = own_hub.model(provider, rates=RATES, upstream_model="gpt-realtime")
    with session(own_hub, tenant.key, model) as idle, session(own_hub, tenant.key, model) as talk:
        talk.request("hello #tokens=150 #slow=5")
        talk.hear("response.output_text.delta")
        assert own_hub.process is not None
        own_hub.process.terminate()
        last, code = idle.end()
        assert last is not None
        assert (code, last["error"]["code"]) == (1012, "server_shutting_down")
        assert talk.hear("response.done")["response"]["usage"]["output_tokens"] == 150
        last, code = talk.end()
        assert last is not None
        assert (code, last["error"]["code"]) == (1012, "server_shutting_down")
    own_hub.ended()
    nothing, spoken = sorted(records(own_hub, tenant, 2), key=lambda row: row["charge_nano"])
    assert (nothing["status"], nothing["basis"]) == (200, "none")
    assert spoken["meters"] == {"in_text": 13, "out_text": 150}
    own_hub.assert_books_balance()


@pytest.mark.slow
def test_session_lifetimes_are_limited(provider: FakeRealtime) -> None:
    """Silence of both ends has a limit, and so has all of it, whoever speaks."""
    with own_database("hub") as dsn:
        hub = Hub(dsn, application="tests.relay.short_connections")
        try:
            hub.settings()
            hub.start()
            tenant = hub.tenant()
            model = hub.model(provider, rates=RATES, upstream_model="gpt-realtime")
            with session(hub, tenant.key, model) as talk:
                talk.ask("hello")
                last, code = talk.end()
                assert last is not None
                assert (code, last["error"]["code"]) == (1008, "session_expired")
                assert "nothing was sent" in last["error"]["message"]
            with session(hub, tenant.key, model) as talk:
                talk.request("hello #tokens=3000 #slow=5")
                last, code = talk.end()
                assert last is not None
                assert (code, last["error"]["code"]) == (1008, "session_expired")
                assert "has lasted" in last["error"]["message"]
            *_, record = records(hub, tenant, 2)
            (spoken,) = provider.sessions[-1].responses
            assert record["meters"]["out_text"] == spoken["output_tokens"]
            hub.assert_books_balance()
        finally:
            hub.kill()
            hub.close()


@pytest.mark.slow
def test_killed_process(own_hub: Hub, provider: FakeRealtime) -> None:
    """P1: what was settled stays, what was being made is settled from its mark, what was held is
    given back; and a new process carries sessions again."""
    own_hub.start()
    tenant = own_hub.tenant()
    model = own_hub.model(provider, rates=RATES, upstream_model="gpt-realtime")
    with session(own_hub, tenant.key, model) as idle, session(own_hub, tenant.key, model) as talk:
        idle.hear("session.created")
        talk.ask("hello #tokens=7")
        talk.request("hello #tokens=5000 #slow=1")
        for _ in range(600):
            talk.hear("response.output_text.delta")
        own_hub.wait(
            lambda: bool(own_hub.rows("SELECT FROM billing_hold WHERE mark IS NOT NULL")), "no mark"
        )
        own_hub.kill()
    own_hub.connection.execute("UPDATE billing_hold SET expires_at = now() - interval '1 second'")
    assert sweep(own_hub) == 2
    assert sweep(own_hub) == 0
    rows = records(own_hub, tenant, 3)
    whole, cut, nothing = sorted(rows, key=lambda row: row["basis"] != "measured")
    assert whole["meters"] == {"in_text": 12, "out_text": 7}
    marked = max(cut, nothing, key=lambda row: row["charge_nano"])
    empty = min(cut, nothing, key=lambda row: row["charge_nano"])
    assert 0 < marked["meters"]["out_text"] <= 5000
    assert marked["charge_nano"] == marked["meters"]["out_text"] * 16
    assert empty["charge_nano"] == 0
    assert own_hub.balance(tenant).get("customer:held", 0) == 0
    own_hub.assert_books_balance()
    own_hub.start()
    with session(own_hub, tenant.key, model) as talk:
        talk.ask("hello")


@pytest.mark.slow
def test_an_hour_of_events_keeps_memory_flat(own_hub: Hub, provider: FakeRealtime) -> None:
    """Sped up: 300 responses of 12 s of sound each, and as much that is heard. The bill is what the
    provider counts, to the unit."""
    own_hub.start()
    tenant = own_hub.tenant(usd="1000.00")
    model = own_hub.model(provider, rates=RATES, upstream_model="gpt-realtime")
    second = sound(1000)
    with session(own_hub, tenant.key, model) as talk:
        talk.hear("session.created")

        def turn() -> None:
            for _ in range(12):
                talk.say(type="input_audio_buffer.append", audio=second)
            talk.ask("go on #audio #tokens=240 #cached=8")

        for _ in range(30):
            turn()
        before = measured(own_hub)
        for _ in range(270):
            turn()
        grown = peak(own_hub) - before
    assert grown < 20 * MIB, grown
    usages = provider.sessions[-1].responses
    assert len(usages) == 300
    owed = sum(
        4 * (usage["input_token_details"]["text_tokens"] - 4)
        + 1 * 4
        + 32 * (usage["input_token_details"]["audio_tokens"] - 4)
        + 2 * 4
        + 64 * usage["output_token_details"]["audio_tokens"]
        for usage in usages
    )
    rows = records(own_hub, tenant, 300)
    assert sum(row["charge_nano"] for row in rows) == owed
    own_hub.assert_books_balance()


@pytest.mark.slow
def test_a_slow_reader_keeps_memory_flat(own_hub: Hub, provider: FakeRealtime) -> None:
    """P9: what a client does not read stays at its provider."""
    own_hub.start()
    tenant = own_hub.tenant()
    model = own_hub.model(provider, rates=RATES, upstream_model="gpt-realtime-2")
    with session(own_hub, tenant.key, model, max_queue=1) as talk:
        talk.ask("warm #audio #tokens=100")
        before = measured(own_hub)
        talk.request("hello #audio #tokens=20000")
        sent: list[int] = []

        def waits() -> bool:
            sent.append(provider.sessions[-1].sent)
            return len(sent) > 20 and sent[-20] == sent[-1]

        own_hub.wait(waits, "the provider may go on")
        assert sent[-1] < 5000
        assert talk.hear("response.done")["response"]["usage"]["output_tokens"] == 20000
        assert peak(own_hub) - before < 20 * MIB
