"""P1: kill -9 of web, worker with its beat and Postgres at random under live streams.

The judge is a provider with fsynced books of its own. CHAOS_KILLS sets the number of kills.
"""

import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.judge import judge
from tests.chaos.load import Load
from tests.chaos.parts import Database, Installation, installation
from tests.fakes.upstream import FakeUpstream

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("CHAOS_KILLS", "100"))
CLIENTS = 40
SEED = int(os.environ.get("CHAOS_SEED", "1"))
# Everything is settled so long after the last restart.
SETTLED_S = 90.0


def kill_at_random(problems: Installation, kills: int, seed: int) -> Counter[str]:
    """Kill one part after the other, and start it again a moment later."""
    dice = random.Random(seed)
    killed: Counter[str] = Counter()
    weights = [3, 3, 3, 1]
    for _ in range(kills):
        time.sleep(dice.uniform(0.2, 3.0))
        (part,) = dice.choices(problems.parts, weights)
        part.kill()
        killed[part.name] += 1
        time.sleep(dice.uniform(0.0, 1.0))
        part.start()
        if isinstance(part, Database):
            problems.reconnect()
    return killed


@pytest.mark.parametrize("provider", ["openai_metered", "openai_compatible"])
def test_killed_at_random(tmp_path: Path, provider: str) -> None:
    began = time.monotonic()
    with (
        FakeUpstream(name="a", process=True) as fake,
        FakeUpstream(name="b", process=True) as other,
        installation(tmp_path) as result,
    ):
        hub = result.hub
        tenants = [hub.tenant("1000.00") for _ in range(4)]
        model = hub.model(fake, other, provider=provider)
        result.hubs[1].know(model)
        metered = provider == "openai_metered"
        load = Load(
            [one.port for one in result.hubs], tenants, model,
            clients=CLIENTS, leaving=metered, seed=SEED,
        )  # fmt: skip
        load.start()
        killed = kill_at_random(result, KILLS, SEED)
        result.await_ready()
        load.stop()
        restarted_at = time.monotonic()

        def settled() -> bool:
            if hub.rows("SELECT 1 FROM billing_hold WHERE state = 'open' LIMIT 1"):
                return False
            return not metered or judge(hub, [fake, other]).exact

        try:
            hub.wait(settled, "not settled", SETTLED_S)
        except AssertionError:
            open_holds = hub.rows("SELECT * FROM billing_hold WHERE state = 'open'")
            unsure = hub.rows("SELECT * FROM usage_latetruth WHERE posted_at IS NULL")
            raise AssertionError(
                f"not settled: {judge(hub, [fake, other])}\nheld: {open_holds}\nunsure: {unsure}"
            ) from None
        settled_s = time.monotonic() - restarted_at
        verdict = judge(hub, [fake, other])
        sys.stdout.write(
            f"\n{provider}: {sum(killed.values())} kills {dict(killed)} under {CLIENTS} clients in "
            f"{time.monotonic() - began:.0f} s; requests {dict(load.ends)}\n"
            f"{verdict.accepted} attempts accepted, {len(verdict.missing)} missing, "
            f"{len(verdict.double)} settled twice; {verdict.cut} cut by a crash, "
            f"{len(verdict.overpaid)} overpaid, "
            f"at worst {verdict.beyond_window_max} tokens short beside one mark window\n"
            f"provider {verdict.oracle_nano} = customers {verdict.customer_nano} + platform "
            f"{verdict.loss_nano} (difference "
            f"{verdict.oracle_nano - verdict.customer_nano - verdict.loss_nano}), "
            f"{verdict.owed_nano} owed to it, "
            f"{settled_s:.1f} s after the last restart\n"
        )
        assert verdict.missing == []
        assert verdict.double == []
        assert verdict.overpaid == []
        assert verdict.wrong == []
        if metered:
            assert verdict.exact
        else:
            assert verdict.beyond_window_max <= 0
        hub.assert_books_balance()
