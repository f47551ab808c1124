"""Live sessions by the clock, and what ends the process that carries them."""

from collections.abc import Iterator

import pytest

from tests.fakes.live import FakeLive
from tests.relay.realtime.live.test_live import MINUTE_NANO, RATES, live, records
from tests.relay.sweeper import sweep
from tests.runner.databases import own_database
from tests.support.hub import Hub

pytestmark = pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning")


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeLive]:
    with FakeLive() as provider:
        yield provider


def test_a_process_that_stops_says_so(own_hub: Hub, provider: FakeLive) -> None:
    """P10: its client is told, the session is closed at the provider, and its time is charged."""
    own_hub.start()
    tenant = own_hub.tenant()
    model = own_hub.model(provider, rates=RATES, upstream_model="gpt-live-1")
    with live(own_hub, tenant.key) as waiting, live(own_hub, tenant.key) as talk:
        talk.start(model)
        talk.speak(6_000)
        talk.ask("#report")
        talk.hear("session.usage.updated")
        assert own_hub.process is not None
        own_hub.process.terminate()
        for one in (waiting, talk):
            last, code = one.end()
            assert (code, last.error.code) == (1012, "server_shutting_down")
    own_hub.ended()
    (record,) = records(own_hub, tenant, 1)
    assert record["charge_nano"] == MINUTE_NANO // 10
    assert provider.sessions[-1].received[-1]["type"] == "session.close"
    own_hub.assert_books_balance()


def test_minutes_are_held_by_the_clock(provider: FakeLive) -> None:
    """Also if nothing is sent, the next minute is held before the last one can be over."""
    with own_database("hub") as dsn:
        hub = Hub(dsn, application="tests.relay.short_stretches")
        try:
            hub.settings()
            hub.start()
            model = hub.model(provider, rates=RATES, upstream_model="gpt-live-1")
            poor, rich = hub.tenant("0.07"), hub.tenant("0.12")
            query = "SELECT id FROM billing_hold WHERE organisation_id = %s AND state = 'open'"
            with live(hub, rich.key) as kept, live(hub, poor.key) as ended:
                kept.start(model)
                ended.start(model)
                hub.wait(lambda: len(hub.rows(query, rich.organisation_id)) == 2, "one minute")
                last, code = ended.end()
                assert (code, last.error.code) == (1008, "insufficient_quota")
                kept.close()
            hub.settled(rich)
            hub.settled(poor)
            hub.assert_books_balance()
        finally:
            hub.kill()
            hub.close()


@pytest.mark.slow
def test_a_process_that_is_killed(own_hub: Hub, provider: FakeLive) -> None:
    """P1: full minutes stay settled, and the last one is settled from its mark."""
    own_hub.start()
    tenant = own_hub.tenant()
    model = own_hub.model(provider, rates=RATES, upstream_model="gpt-live-1")
    with live(own_hub, tenant.key) as talk:
        talk.start(model)
        for _ in range(5):
            talk.speak(15_000)
        for _ in range(5):
            talk.hear("session.usage.updated")
        own_hub.wait(
            lambda: bool(own_hub.rows("SELECT FROM billing_hold WHERE mark IS NOT NULL")), "no mark"
        )
        own_hub.kill()
    own_hub.connection.execute("UPDATE billing_hold SET expires_at = now() - interval '1 second'")
    assert sweep(own_hub) >= 1
    whole, cut = records(own_hub, tenant, 2)
    assert whole["charge_nano"] == MINUTE_NANO
    assert cut["charge_nano"] == MINUTE_NANO // 4
    own_hub.assert_books_balance()


@pytest.mark.slow
def test_sessions_that_last_too_long(provider: FakeLive) -> None:
    """Silence of both ends has a limit, and so has all of it. Reports of time are no speech."""
    with own_database("hub") as dsn:
        hub = Hub(dsn, application="tests.relay.short_connections")
        try:
            hub.settings()
            hub.start()
            tenant = hub.tenant()
            model = hub.model(provider, rates=RATES, upstream_model="gpt-live-1")
            with live(hub, tenant.key) as talk:
                talk.start(model)
                last, code = talk.end()
                assert (code, last.error.code) == (1008, "session_expired")
                assert "nothing was sent" in last.error.message
            hub.settled(tenant)
            hub.assert_books_balance()
        finally:
            hub.kill()
            hub.close()
