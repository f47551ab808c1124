"""P1: kill -9 of each process during the turns of WebSockets: none is lost, none is booked twice.

Turns at a provider with WebSockets carry no id of ours, so its books and ours meet at the ids of
the responses; a turn that was cut before it had one is counted.
"""

import asyncio
import random
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.judge import judge, price
from tests.chaos.parts import Database, Installation, installation
from tests.chaos.turns import Turns
from tests.fakes.upstream import FakeUpstream
from tests.relay.speakers import UPSTREAMS

pytestmark = pytest.mark.slow

COUNT = 200
CLIENTS = 8
KILLS_OF_EACH = 2
SEED = 1
SETTLED_S = 90.0
_RECORDS = "SELECT * FROM usage_usagerecord WHERE channel_id IS NOT NULL"
_RESOLVED_TWICE = (
    "SELECT coalesce(attempt_id, split_part(idempotency_id, ':', 2)::uuid) AS id "
    "FROM billing_posting WHERE kind IN ('settle', 'void', 'expire') "
    "GROUP BY 1 HAVING count(*) > 1"
)


async def killed_meanwhile(running: Installation, turns: Turns) -> list[str]:
    """Kill each part so many times while the turns go on, spread over them."""
    dice = random.Random(SEED)
    parts = running.parts * KILLS_OF_EACH
    dice.shuffle(parts)
    load = asyncio.create_task(turns.run(CLIENTS))
    killed = []
    for number, part in enumerate(parts, 1):
        await turns.until(number * COUNT // (len(parts) + 1))
        await asyncio.to_thread(part.kill)
        killed.append(part.name)
        await asyncio.sleep(dice.uniform(0.0, 0.5))
        await asyncio.to_thread(part.start)
        if isinstance(part, Database):
            running.reconnect()
    await turns.until(COUNT)
    turns.stop()
    await load
    return killed


def usage_of(row: Mapping[str, Any]) -> int:
    return price(row["usage"])


@pytest.mark.parametrize("sockets", [False, True], ids=["over HTTP", "over WebSocket"])
def test_turns_of_killed_processes(tmp_path: Path, sockets: bool) -> None:
    with (
        FakeUpstream(name="a", process=True, sockets=sockets) as fake,
        installation(tmp_path) as running,
    ):
        hub = running.hub
        tenants = [hub.tenant("1000.00") for _ in range(2)]
        model = hub.model(fake, **UPSTREAMS["responses"])
        running.hubs[1].know(model)
        ports = [one.port for one in running.hubs]
        turns = Turns(ports, tenants, model, seed=SEED)
        began = time.monotonic()
        killed = asyncio.run(killed_meanwhile(running, turns))
        running.await_ready()
        hub.wait(
            lambda: not hub.rows("SELECT 1 FROM billing_hold WHERE state = 'open' LIMIT 1"),
            "holds stay open",
            SETTLED_S,
        )
        rows = [row for row in fake.books() if row["accepted"]]
        records = hub.rows(_RECORDS)
        double = hub.rows(_RESOLVED_TWICE)
        if sockets:
            assert any(fake.sockets()), "no turn came over a WebSocket"
            booked = {row["upstream_request_id"]: row for row in records}
            assert len(booked) >= len(turns.whole)
            unnamed = [row for row in records if row["upstream_request_id"] == ""]
            unmatched = [row for row in rows if row["id"] not in booked]
            lost = [id for id in turns.whole if id not in booked]
            # A process that was killed never wrote the id down.
            lost += [row["id"] for row in unmatched[len(unnamed) :]]
            wrong = [
                row["id"]
                for row in rows
                if (record := booked.get(row["id"])) is not None
                and record["basis"] in ("measured", "drained")
                and record["charge_nano"] != usage_of(row)
            ]
        else:
            verdict = judge(hub, [fake])
            lost, wrong = verdict.missing, [*verdict.wrong, *verdict.overpaid]
            assert verdict.double == []
        sys.stdout.write(
            f"\n{len(killed)} kills ({', '.join(killed)}) during {turns.ends.total()} turns in "
            f"{time.monotonic() - began:.0f} s: {dict(turns.ends)}; the provider took in "
            f"{len(rows)}, {len(records)} records, {len(lost)} lost, {len(double)} double, "
            f"{len(wrong)} wrong\n"
        )
        assert len(turns.whole) >= COUNT
        assert (lost, double, wrong) == ([], [], [])
        hub.assert_books_balance()
