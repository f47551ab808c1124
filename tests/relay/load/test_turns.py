"""P35: one organisation's requests do not keep another's waiting.

Here: requests of one process that wait to begin; and a hub whose own CPU is short, measured by what
it does while a request is answered, which no other process of the machine changes.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from lib.id_types import KeyId, OrganisationId, TeamId
from lib.ids import id_text, new_id
from relay.credentials.keys import Principal
from relay.load.load import Turns
from relay.load.turn_order import AHEAD_MAX, BEGUN_MAX
from tests.bench.process import cpu_ns
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.costly_hub import COST_S
from tests.relay.crowd import Taken, crowd_beside, put_on
from tests.relay.load.test_overload import request_of
from tests.support.hub import Hub

# Clients of the organisation that asks most: in a queue of all, each request waits for them all.
MANY = 150
FEW = 5


def key_of(organisation_id: UUID) -> Principal:
    """The principal of a new key of an organisation."""
    key, team = KeyId(new_id()), TeamId(new_id())
    return Principal(key, OrganisationId(organisation_id), team, None, "relay", (), None, False)


def principal() -> Principal:
    """Of an organisation of its own."""
    return key_of(new_id())


async def test_quiet_process_delays_no_one() -> None:
    turns, who = Turns(lambda: 500, lambda: True), principal()
    for _ in range(3):
        for _ in range(BEGUN_MAX):
            begun = turns.begin(who)
            with pytest.raises(StopIteration):
                begun.send(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert turns.longest_wait_s() == 0.0


async def test_few_running_requests_are_not_counted() -> None:
    turns, who = Turns(lambda: BEGUN_MAX, lambda: True), principal()
    for _ in range(10 * BEGUN_MAX):
        begun = turns.begin(who)
        with pytest.raises(StopIteration):
            begun.send(None)
    assert not turns.counting


async def test_single_key_waits_only_behind_waiting_requests() -> None:
    shared = False
    turns, who = Turns(lambda: 500, lambda: shared), principal()
    for _ in range(10 * BEGUN_MAX):
        begun = turns.begin(who)
        with pytest.raises(StopIteration):
            begun.send(None)
    assert not turns.counting
    shared = True
    waiting = [asyncio.create_task(turns.begin(who)) for _ in range(4 * BEGUN_MAX)]
    await asyncio.sleep(0)
    shared = False
    last = asyncio.create_task(turns.begin(who))
    await asyncio.sleep(0)
    assert not last.done()
    await asyncio.gather(last, *waiting)


async def test_small_key_starts_before_a_crowd() -> None:
    turns, crowd, other = Turns(lambda: 500, lambda: True), principal(), principal()
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


def begins_at_once(turns: Turns, who: Principal) -> bool:
    """Ask for a turn; whether the request may begin in this turn of the loop."""
    begun = turns.begin(who)
    try:
        begun.send(None)
    except StopIteration:
        return True
    return False


async def crowd_in(turns: Turns) -> Principal:
    """An organisation of which many requests wait for their turns."""
    crowd = principal()
    waiting = [asyncio.create_task(turns.begin(crowd)) for _ in range(500)]
    await asyncio.sleep(0)
    assert not waiting[-1].done()
    return crowd


async def test_key_with_nothing_waiting_starts_before_a_crowd() -> None:
    """As each wait takes two turns of the loop, and a request begins three times."""
    turns = Turns(lambda: 500, lambda: True)
    crowd, other = await crowd_in(turns), principal()
    assert [begins_at_once(turns, other) for _ in range(AHEAD_MAX + 1)] == (
        AHEAD_MAX * [True] + [False]
    )
    assert begins_at_once(turns, principal())
    assert not begins_at_once(turns, crowd)


async def test_few_start_before_requests_waiting_in_turn() -> None:
    turns = Turns(lambda: 500, lambda: True)
    await crowd_in(turns)
    for _ in range(3):
        ahead = [begins_at_once(turns, principal()) for _ in range(2 * BEGUN_MAX)]
        assert ahead == BEGUN_MAX * [True] + BEGUN_MAX * [False]
        await asyncio.sleep(0)


async def test_another_key_starts_first_but_few_of_many_keys_do() -> None:
    turns = Turns(lambda: 500, lambda: True)
    crowd = await crowd_in(turns)
    keys = [key_of(crowd.organisation_id) for _ in range(AHEAD_MAX + 1)]
    assert [begins_at_once(turns, key) for key in keys] == AHEAD_MAX * [True] + [False]


async def test_request_leaving_the_queue_takes_no_turn() -> None:
    turns, who = Turns(lambda: 500, lambda: True), principal()
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
    """While one is answered, the hub works for a few requests of the crowd and not for all.

    The provider and this client wait for a core now and then, and the hub works on meanwhile: that
    only adds. So the least of ten counts, and every one is above the bound if one waits for all.
    """
    own_hub.application = "tests.relay.costly_hub"
    own_hub.start()
    assert own_hub.process is not None
    many, few = own_hub.tenant("1000"), own_hub.tenant("1000")
    model = own_hub.model(other_provider)
    requests = [request_of(many, own_hub.model(provider), "#tokens=4")]
    worked_s = []
    with crowd_beside(own_hub.port, requests, MANY, pid=own_hub.process.pid):
        for _ in range(10):
            began = cpu_ns([own_hub.process.pid])
            assert own_hub.post(few, ask(model, "#tokens=4")).status == 200
            worked_s.append((cpu_ns([own_hub.process.pid]) - began) / 1e9)
    print(f"\nthe hub worked for {1000 * min(worked_s):.0f} ms meanwhile")  # noqa: T201
    assert min(worked_s) < MANY * COST_S / 15
    own_hub.assert_books_balance()


@pytest.fixture
def crowded_hub(own_hub: Hub) -> Hub:
    """A process whose own CPU is short: each request costs it some milliseconds."""
    own_hub.application = "tests.relay.costly_hub"
    # As in production: who is told to come back finds the connection.
    own_hub.environment["UVICORN_TIMEOUT_KEEP_ALIVE"] = "75"
    own_hub.start()
    return own_hub


@pytest.mark.timed
@pytest.mark.slow
@pytest.mark.parametrize("who", ["organisation", "key", "fifty organisations"])
def test_few_requests_wait_little_beside_five_hundred(
    crowded_hub: Hub, provider: FakeUpstream, other_provider: FakeUpstream, who: str
) -> None:
    """Another organisation with five requests at once, another key of the same one, and fifty
    organisations with one each.

    By a clock that goes only while the hub works. What those who ask and those who answer take of
    the machine, and whatever else it does, is in neither figure; and as the hub always has
    something to do, what is due waits for nothing but its CPU.
    """
    assert crowded_hub.process is not None
    port, pid = crowded_hub.port, crowded_hub.process.pid
    many = crowded_hub.tenant("1000")
    few = {
        "organisation": lambda: [crowded_hub.tenant("1000")],
        "key": lambda: [crowded_hub.key(many)],
        "fifty organisations": lambda: [crowded_hub.tenant("1000") for _ in range(50)],
    }[who]()
    model = crowded_hub.model(other_provider)
    requests = [request_of(tenant, model, "#tokens=4") for tenant in few]
    crowded = [request_of(many, crowded_hub.model(provider), "#tokens=4")]
    clients = max(FEW, len(few))
    alone = put_on(port, requests, clients, seconds=10.0, pid=pid)
    with crowd_beside(port, crowded, 500, pid=pid) as crowd, watch_work(pid) as busy:
        beside = put_on(port, requests, clients, seconds=20.0, pid=pid, settling_s=5.0)
    print(  # noqa: T201
        f"\n{who}: p99 alone {1000 * alone.p99_cpu_s:.0f} ms of the hub's CPU "
        f"({1000 * alone.p99_s:.0f} ms), beside {1000 * beside.p99_cpu_s:.0f} ms "
        f"({1000 * beside.p99_s:.0f} ms); the hub had something to do {100 * busy[0]:.0f} % of the "
        f"time, and worked {100 * busy[1]:.0f} %; the crowd: {dict(crowd.statuses)}"
    )
    assert busy[0] > 0.9
    assert set(beside.statuses) == {200}
    assert beside.p99_cpu_s <= 3 * alone.p99_cpu_s
    crowded_hub.assert_books_balance()


def hub_p99_ms(hub: Hub, taken: Taken, provider: FakeUpstream) -> float:
    """How long the hub kept requests that were measured, by its own clock from their arrival to
    their last byte, less what the provider took of it by its clock."""
    answered_ns = {
        row["client_request_id"]: row["ended_at"] - row["accepted_at"] for row in provider.books()
    }
    ids, kept_ms = set(taken.served_ids), list[float]()
    for row in hub.rows("SELECT request_id, id, total_ms FROM usage_usagerecord"):
        if id_text(row["request_id"]) in ids:
            kept_ms.append(row["total_ms"] - answered_ns[id_text(row["id"])] / 1e6)
    assert len(kept_ms) == len(ids)
    return sorted(kept_ms)[len(kept_ms) * 99 // 100]


@pytest.mark.timed
@pytest.mark.slow
def test_few_requests_wait_little_by_the_hubs_clock(
    own_hub: Hub, provider: FakeUpstream, other_provider: FakeUpstream
) -> None:
    """A plain process, whose requests cost what they cost; providers are processes of their own,
    and what they take is counted out. The figures are told, as the database and the clients share
    the machine."""
    own_hub.environment["UVICORN_TIMEOUT_KEEP_ALIVE"] = "75"
    own_hub.start()
    assert own_hub.process is not None
    port, pid = own_hub.port, own_hub.process.pid
    many, few = own_hub.tenant("1000"), own_hub.tenant("1000")
    requests = [request_of(few, own_hub.model(other_provider), "#tokens=4")]
    crowded = [request_of(many, own_hub.model(provider), "#tokens=4")]
    alone = put_on(port, requests, FEW, seconds=5.0, pid=pid)
    with crowd_beside(port, crowded, 500, pid=pid) as crowd:
        beside = put_on(port, requests, FEW, seconds=10.0, pid=pid, settling_s=3.0)
    own_hub.settled(few)
    figures = [hub_p99_ms(own_hub, taken, other_provider) for taken in (alone, beside)]
    print(  # noqa: T201
        f"\np99 in the hub alone {figures[0]:.1f} ms, beside {figures[1]:.1f} ms: "
        f"{figures[1] / figures[0]:.1f} times, {len(alone.served_ids)} and "
        f"{len(beside.served_ids)} requests; "
        f"by the clients' clock {1000 * alone.p99_s:.1f} and {1000 * beside.p99_s:.1f} ms; by the "
        f"hub's CPU {1000 * alone.p99_cpu_s:.1f} and {1000 * beside.p99_cpu_s:.1f} ms; the crowd: "
        f"{dict(crowd.statuses)}"
    )
    assert set(beside.statuses) == {200}
    assert min(figures) > 0


@pytest.mark.timed
@pytest.mark.slow
def test_equal_organisations_are_served_equally(crowded_hub: Hub, provider: FakeUpstream) -> None:
    """Fifty of them, ten requests of each at once: beyond what the process serves."""
    assert crowded_hub.process is not None
    model = crowded_hub.model(provider)
    tenants = [crowded_hub.tenant("1000") for _ in range(50)]
    requests = [request_of(tenant, model, "#tokens=4") for tenant in tenants]
    crowd = put_on(
        crowded_hub.port, requests, 500, seconds=20.0, pid=crowded_hub.process.pid, settling_s=5.0
    )
    ids = set(crowd.ids)
    answered = Counter(
        row["organisation_id"]
        for row in crowded_hub.rows("SELECT request_id, organisation_id FROM usage_usagerecord")
        if id_text(row["request_id"]) in ids
    )
    counts = [answered[tenant.organisation_id] for tenant in tenants]
    print(f"\nanswers of each: {min(counts)} to {max(counts)}, {crowd.statuses}")  # noqa: T201
    assert min(counts) >= max(counts) / 2


@contextmanager
def watch_work(pid: int) -> Iterator[list[float]]:
    """Of the time that the block takes: in which share the main thread of a process had something
    to do, and in which it was let do it."""
    shares: list[float] = []
    before, began = read_schedule(pid), time.monotonic()
    yield shares
    took_ns = 1e9 * (time.monotonic() - began)
    worked_ns, waited_ns = (
        now - then for now, then in zip(read_schedule(pid), before, strict=True)
    )
    shares += [(worked_ns + waited_ns) / took_ns, worked_ns / took_ns]


def read_schedule(pid: int) -> tuple[int, int]:
    """For how many nanoseconds the main thread has had a core, and waited for one."""
    worked, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(worked), int(waited)
