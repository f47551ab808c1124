"""P18: the database is away for a minute; running streams end well, and their money is kept."""

import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.chaos.judge import judge
from tests.chaos.parts import installation
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.clients import Clients

pytestmark = pytest.mark.slow

AWAY_S = 60.0
STREAMS = 20


@pytest.mark.timed
def test_a_minute_without_the_database(tmp_path: Path) -> None:
    with (
        ExitStack() as stack,
        FakeUpstream(name="a", process=True) as fake,
        installation(tmp_path) as result,
    ):
        clients = Clients(stack)
        hub = result.hub
        tenant, model = hub.tenant("1000.00"), hub.model(fake)
        body = ask(model, "#tokens=300 #delay_ms=50", stream=True, max_tokens=600)
        streams = [clients.ask(hub, tenant, body) for _ in range(STREAMS)]
        for stream in streams:
            stream.read_until(b'"content":" ')
        result.database.kill()
        away_at = time.monotonic()
        hub.wait(lambda: hub.get("/readyz").status == 503, "stays ready")
        took_ms = []
        while time.monotonic() - away_at < AWAY_S:
            began = time.monotonic()
            answer = hub.post(tenant, ask(model))
            took_ms.append((time.monotonic() - began) * 1000)
            assert answer.status == 503
            assert int(answer.headers["retry-after"]) >= 1
            time.sleep(0.5)
        for stream in streams:
            stream.read_until(b"[DONE]")
        result.database.start()
        back_at = time.monotonic()
        result.reconnect()
        hub.wait(lambda: hub.get("/readyz").status == 200, "does not come back", 30.0)
        ready_s = time.monotonic() - back_at
        hub.settled(tenant)
        verdict = judge(hub, [fake])
        took_ms.sort()
        sys.stdout.write(
            f"\n{STREAMS} streams over {AWAY_S:.0f} s without the database: {verdict.accepted} "
            f"accepted, {len(verdict.missing)} missing, {len(verdict.wrong)} wrong; "
            f"{len(took_ms)} refusals, {took_ms[len(took_ms) // 2]:.0f} ms at the median and "
            f"{took_ms[-1]:.0f} ms at most; ready {ready_s:.1f} s after it was back\n"
        )
        assert verdict.missing == verdict.double == verdict.wrong == []
        assert verdict.exact
        assert took_ms[-1] <= 200
        assert ready_s <= 5
        hub.assert_books_balance()
