"""P1, I6, I10: kill -9 of web, worker, beat and Postgres under 300 media tasks, from the first
order to the last end: each hold is settled or released once, as the provider's own books say."""

import http.client
import random
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.chaos.parts import Database, Installation, installation
from tests.fakes.videos import FakeVideos
from tests.relay.media.test_videos import PER_MS, video_model
from tests.support.hub import Hub, Tenant

pytestmark = pytest.mark.slow

TASKS = 300
KILLS = 40
SEED = 1
CLIENTS = 4
# A worker must live long enough to ask for what is due. Orders are spread over the kills, so that
# tasks die in each of their states.
BETWEEN_KILLS_S = (1.5, 4.5)
BETWEEN_ORDERS_S = 1.6
# What died holds nothing any more, and what is open was asked for, so long after the last restart.
SETTLED_S = 240.0


def order(states: Installation, tenant: Tenant, model: str, number: int) -> None:
    """A video that is ordered again for as long as nobody answers; some fail at their provider."""
    prompt = f"video {number} #polls={1 + number % 3}" + (" #fail=x" if number % 7 == 0 else "")
    body = {"model": model, "prompt": prompt, "seconds": "8", "size": "1280x720"}
    time.sleep(BETWEEN_ORDERS_S)
    end = time.monotonic() + SETTLED_S
    while time.monotonic() < end:
        hub = random.choice(states.hubs)
        try:
            if hub.post(tenant, body, path="/v1/videos").status == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.2)
    raise AssertionError(f"nobody accepts {prompt}")


def kill_one_by_one(states: Installation) -> Counter[str]:
    """Kill one part after the other, and start it again a moment later."""
    dice, killed = random.Random(SEED), Counter[str]()
    while killed.total() < KILLS:
        for part in dice.sample(states.parts, len(states.parts)):
            time.sleep(dice.uniform(*BETWEEN_KILLS_S))
            part.kill()
            killed[part.name] += 1
            time.sleep(dice.uniform(0.0, 0.5))
            part.start()
            if isinstance(part, Database):
                states.reconnect()
    return killed


def are_open(hub: Hub, tenant: Tenant) -> bool:
    """Whether any task has no end, or anything is held."""
    return bool(
        hub.rows(
            "SELECT FROM gateway_mediatask WHERE organisation_id = %s AND ended_at IS NULL "
            "UNION ALL SELECT FROM billing_hold WHERE organisation_id = %s AND state = 'open'",
            tenant.organisation_id,
            tenant.organisation_id,
        )
    )


def test_300_videos_whose_installation_dies_all_the_time(tmp_path: Path) -> None:
    with FakeVideos() as provider, installation(tmp_path, beat_apart=True) as result:
        hub, began = result.hub, time.monotonic()
        tenant, model = hub.tenant("10000.00"), video_model(hub, provider)
        result.hubs[1].know(model)
        with ThreadPoolExecutor(CLIENTS) as pool:
            orders = [pool.submit(order, result, tenant, model, number) for number in range(TASKS)]
            killed = kill_one_by_one(result)
        for one in orders:
            one.result()
        result.await_ready()
        hub.wait(lambda: not are_open(hub, tenant), "tasks or holds stay open", SETTLED_S)
        tasks = hub.rows("SELECT id, state, upstream_id FROM gateway_mediatask")
        holds = {row["id"]: row["state"] for row in hub.rows("SELECT id, state FROM billing_hold")}
        records = hub.rows("SELECT id, charge_nano FROM usage_usagerecord WHERE charge_nano > 0")
        done = {task["id"] for task in tasks if task["state"] == "succeeded"}
        # What was asked of a provider and became no task is a loss of whoever runs the hub.
        assert {record["id"] for record in records} == done
        for task in tasks:
            assert holds[task["id"]] == ("settled" if task["id"] in done else "voided"), task
        states = Counter(
            state for id_, state in holds.items() if id_ not in {t["id"] for t in tasks}
        )
        known = {task["upstream_id"] for task in tasks}
        billed = sum(one.billed_ms for one in provider.videos.values() if one.id in known)
        unknown = sum(one.id not in known for one in provider.videos.values())
        assert hub.balance(tenant)["revenue"] == PER_MS * billed == PER_MS * 8000 * len(done)
        assert len(known) == len(tasks) >= TASKS
        hub.assert_books_balance()
        sys.stdout.write(
            f"\n{killed.total()} kills ({', '.join(f'{n} {of}' for of, n in killed.items())}) in "
            f"{time.monotonic() - began:.0f} s; {len(tasks)} tasks, {len(done)} settled and "
            f"{len(tasks) - len(done)} released once; billed and charged {billed} ms; orders that "
            f"became no task: {dict(states)}, accepted and unknown {unknown}\n"
        )
