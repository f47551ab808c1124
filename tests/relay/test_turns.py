"""P35: one organisation's requests do not keep another's waiting.

Here: requests of one process that wait to begin; a hub whose own CPU is short, measured by what it
does for others while one request is answered, which no other process of the machine changes; and,
in the slow lane, by the clock.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from statistics import median
from types import SimpleNamespace
from typing import cast

import pytest

from gateway.rules.turns import BEGUN_MAX
from lib.ids import new_id
from relay.auth import Principal
from relay.turns import Turns
from tests.bench.process import cpu_ns
from tests.fakes.upstream import FakeUpstream
from tests.hub import Hub
from tests.relay.asking import ask
from tests.relay.costly_hub import COST_S
from tests.relay.crowd import crowd_beside, put_on
from tests.relay.test_overload import request_of

# Clients of the organisation that asks most: in a queue of all, each request waits for them all.
MANY = 150
FEW = 5


def principal() -> Principal:
    """Of an organisation of its own."""
    return cast(Principal, SimpleNamespace(organisation_id=new_id(), key_id=new_id()))


async def test_a_process_with_little_to_do_keeps_nobody_waiting() -> None:
    turns, who = Turns(), principal()
    for _ in range(3):
        for _ in range(BEGUN_MAX):
            begun = turns.begin(who)
            with pytest.raises(StopIteration):
                begun.send(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert turns.longest_wait_s() == 0.0


async def test_who_comes_behind_a_crowd_begins_before_it() -> None:
    turns, crowd, other = Turns(), principal(), principal()
    begun: list[str] = []

    async def begin(who: Principal | None, name: str) -> None:
        await turns.begin(who)
        begun.append(name)

    waiting = [asyncio.create_task(begin(crowd, "A")) for _ in range(500)]
    await asyncio.sleep(0)
    assert begun == BEGUN_MAX * ["A"]
    waiting += [asyncio.create_task(begin(who, "B")) for who in (other, None)]
    await asyncio.gather(*waiting[-2:])
    assert len(begun) <= 4 * BEGUN_MAX
    await asyncio.gather(*waiting)
    assert len(begun) == 502


async def test_who_leaves_the_queue_takes_no_turn() -> None:
    turns, who = Turns(), principal()
    waiting = [asyncio.create_task(turns.begin(who)) for _ in range(100)]
    await asyncio.sleep(0)
    for task in waiting[BEGUN_MAX:-1]:
        task.cancel()
    await waiting[-1]
    assert turns.longest_wait_s() == 0.0
    await asyncio.gather(*waiting, return_exceptions=True)


@pytest.fixture
def provider() -> Iterator[FakeUpstream]:
    with FakeUpstream(name="a", fsync=False, keep_bodies=False, process=True) as fake:
        yield fake


@pytest.fixture
def other_provider() -> Iterator[FakeUpstream]:
    """One that does not wait for the other's requests."""
    with FakeUpstream(name="b", fsync=False, keep_bodies=False, process=True) as fake:
        yield fake


def test_a_request_waits_for_few_of_another_organisation(
    own_hub: Hub, provider: FakeUpstream, other_provider: FakeUpstream
) -> None:
    """While one is answered, the hub works for a few requests of the crowd and not for all."""
    own_hub.application = "tests.relay.costly_hub"
    own_hub.start()
    assert own_hub.process is not None
    many, few = own_hub.tenant("1000"), own_hub.tenant("1000")
    model = own_hub.model(other_provider)
    request = request_of(many, own_hub.model(provider), "#tokens=4")
    worked_s = []
    with crowd_beside(own_hub.port, request, MANY):
        for _ in range(10):
            began = cpu_ns([own_hub.process.pid])
            assert own_hub.post(few, ask(model, "#tokens=4")).status == 200
            worked_s.append((cpu_ns([own_hub.process.pid]) - began) / 1e9)
    print(f"\nthe hub worked for {1000 * median(worked_s):.0f} ms meanwhile")  # noqa: T201
    assert median(worked_s) < MANY * COST_S / 3
    own_hub.assert_books_balance()


@pytest.mark.slow
def test_five_requests_beside_five_hundred_take_three_times_as_long_at_most(
    own_hub: Hub, provider: FakeUpstream, other_provider: FakeUpstream
) -> None:
    """By the clock, of a machine with two cores that does nothing else. Each request costs the hub
    some milliseconds, so those who ask and those who answer need little beside it: the hub has a
    core for itself, and they share the other one."""
    own_hub.application = "tests.relay.costly_hub"
    own_hub.start()
    assert own_hub.process is not None
    pid = own_hub.process.pid
    many, few = own_hub.tenant("1000"), own_hub.tenant("1000")
    requests = [request_of(few, own_hub.model(other_provider), "#tokens=4")]
    crowded = request_of(many, own_hub.model(provider), "#tokens=4")
    alone = put_on(own_hub.port, requests, FEW, seconds=10.0, pid=pid)
    with crowd_beside(own_hub.port, crowded, 500) as crowd:
        others = [crowd, *(fake.process.pid for fake in (provider, other_provider) if fake.process)]
        began, cpu, others_cpu = time.monotonic(), cpu_ns([pid]), cpu_ns([*others, os.getpid()])
        beside = put_on(own_hub.port, requests, FEW, seconds=20.0, pid=pid, settling_s=5.0)
        took_ns = 1e9 * (time.monotonic() - began)
        hub_share = (cpu_ns([pid]) - cpu) / took_ns
        others_share = (cpu_ns([*others, os.getpid()]) - others_cpu) / took_ns
    print(  # noqa: T201
        f"\np99 alone {1000 * alone.p99_s:.0f} ms, beside {1000 * beside.p99_s:.0f} ms; of a core "
        f"the hub took {hub_share:.2f}, those who ask and answer {others_share:.2f}"
    )
    assert hub_share > 0.9
    assert others_share < 0.5
    assert set(beside.statuses) == {200}
    assert beside.p99_s <= 3 * alone.p99_s
