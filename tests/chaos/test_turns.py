"""P1: kill -9 of each process during 200 turns of WebSockets: none is lost, none is booked twice.

Turns at a provider with WebSockets carry no id of ours, so its books and ours meet at the name that
the client gives each turn.
"""

import json
import random
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.judge import price
from tests.chaos.parts import Database, Installation, installation
from tests.chaos.turns import Turns
from tests.fakes.upstream import FakeUpstream
from tests.relay.speakers import UPSTREAMS
from tests.support.hub import Hub

pytestmark = pytest.mark.slow

TURNS = 200
CLIENTS = 8
KILLS_OF_EACH = 2
SEED = 1
SETTLED_S = 90.0
_OPEN = "SELECT 1 FROM billing_hold WHERE state = 'open' LIMIT 1"
# What an attempt was charged, and how often its hold was resolved.
_BOOKED = (
    "SELECT r.end_user AS turn, r.flags, r.charge_nano, (SELECT count(*) FROM billing_posting "
    "WHERE kind IN ('settle', 'void', 'expire') "
    "AND coalesce(attempt_id, split_part(idempotency_id, ':', 2)::uuid) = r.id) AS resolved "
    "FROM usage_usagerecord r WHERE r.channel_id IS NOT NULL"
)


def kill_each(running: Installation, turns: Turns) -> Counter[str]:
    """Kill each part so many times while the turns go on, spread over them."""
    dice = random.Random(SEED)
    parts = running.parts * KILLS_OF_EACH
    dice.shuffle(parts)
    for number, part in enumerate(parts, 1):
        turns.until(number * TURNS // (len(parts) + 1))
        part.kill()
        time.sleep(dice.uniform(0.0, 0.5))
        part.start()
        if isinstance(part, Database):
            running.reconnect()
    turns.until(TURNS)
    return Counter(part.name for part in parts)


def compare(hub: Hub, fake: FakeUpstream, whole: list[str]) -> tuple[str, dict[str, list[str]]]:
    """Compare our books with the provider's, turn by turn: what they hold, and each turn that is
    wrong."""
    owed: defaultdict[str, int] = defaultdict(int)
    attempts: Counter[str] = Counter()
    for row in fake.books():
        if row["accepted"]:
            turn = json.loads(row["body"])["user"]
            attempts[turn] += 1
            owed[turn] += price(row["usage"])
    booked: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in hub.rows(_BOOKED):
        booked[record["turn"]].append(record)
    charged = {turn: sum(record["charge_nano"] for record in booked[turn]) for turn in [*booked]}
    cut = sum("crash_cut" in record["flags"] for records in booked.values() for record in records)
    (revenue,) = hub.rows("SELECT sum(balance_nano) FROM billing_account WHERE kind = 'revenue'")
    assert revenue["sum"] == sum(charged.values())
    wrong = {
        "lost": [turn for turn, count in attempts.items() if len(booked[turn]) < count],
        "not charged in full": [turn for turn in whole if charged.get(turn) != owed[turn]],
        "charged twice": [turn for turn in charged if charged[turn] > owed[turn]],
        "resolved not once": [
            turn for turn in charged if any(record["resolved"] != 1 for record in booked[turn])
        ],
    }
    figures = f"the provider took in {attempts.total()}, {cut} records are of a turn cut by a kill"
    return f"{figures}; {', '.join(f'{len(of)} {what}' for what, of in wrong.items())}", wrong


@pytest.mark.parametrize("sockets", [False, True], ids=["HTTP", "WebSocket"])
def test_turns_of_killed_processes(tmp_path: Path, sockets: bool) -> None:
    with (
        FakeUpstream(name="a", process=True, sockets=sockets) as fake,
        installation(tmp_path, beat_apart=True) as running,
    ):
        hub, began = running.hub, time.monotonic()
        tenants = [hub.tenant("1000.00") for _ in range(2)]
        model = hub.model(fake, **UPSTREAMS["responses"])
        running.hubs[1].know(model)
        ports = [one.port for one in running.hubs]
        turns = Turns(ports, tenants, model, clients=CLIENTS, seed=SEED)
        turns.start()
        killed = kill_each(running, turns)
        turns.stop()
        running.await_ready()
        hub.wait(lambda: not hub.rows(_OPEN), "holds stay open", SETTLED_S)
        figures, wrong = compare(hub, fake, turns.whole)
        sys.stdout.write(
            f"\n{killed.total()} kills {dict(killed)} during {turns.ends.total()} turns in "
            f"{time.monotonic() - began:.0f} s: {dict(turns.ends)}; {figures}\n"
        )
        assert any(fake.sockets()) is sockets
        assert not any(wrong.values()), wrong
        hub.assert_books_balance()
