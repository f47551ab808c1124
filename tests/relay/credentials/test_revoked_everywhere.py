"""P11 over several web processes: whatever ends a key, each of them hears of it within a second."""

import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.clients import Client, Clients
from tests.relay.credentials.test_revocation import ENDS, tenant_of
from tests.relay.health.test_many_processes import processes
from tests.support.hub import Hub, Tenant

SAMPLE = (
    "revoked",
    "rotated",
    "switched off",
    "custom role without keys",
    "organisation suspended",
)


_LISTENING = """
    SELECT pid FROM pg_stat_activity WHERE datname = current_database()
    AND application_name = 'weir relay notifications' AND query = 'LISTEN weir_epoch'"""


class Times(NamedTuple):
    """Seconds from the change, by process: to the last request that is let in, and to the end of
    the open stream."""

    let_in: list[float]
    ended: list[float]


@pytest.mark.parametrize(
    ("count", "rounds", "causes"),
    [(2, 1, SAMPLE), pytest.param(4, 6, tuple(ENDS), marks=pytest.mark.slow)],
    ids=["sample", "all"],
)
def test_every_process_rejects_the_key_and_ends_its_requests(
    own_hub: Hub,
    clients: Clients,
    fake: FakeUpstream,
    count: int,
    rounds: int,
    causes: tuple[str, ...],
) -> None:
    """New requests are refused within 1 s (p99), open streams ended within 5 s and settled."""
    measured: dict[str, Times] = {}
    with processes(own_hub, count) as hubs, ThreadPoolExecutor(2 * count) as pool:
        model = own_hub.model(fake)
        for hub in hubs:
            hub.know(model)
        # Whoever does not listen yet hears only of what it looks for, once a second.
        own_hub.wait(lambda: len(own_hub.rows(_LISTENING)) == count, "a process does not listen")
        for cause in causes:
            measured[cause] = Times([], [])
            for _ in range(rounds):
                times = _end(cause, hubs, model, clients, pool)
                measured[cause].let_in.extend(times.let_in)
                measured[cause].ended.extend(times.ended)
        own_hub.assert_books_balance()
    measured["all"] = Times(
        [seconds for times in measured.values() for seconds in times.let_in],
        [seconds for times in measured.values() for seconds in times.ended],
    )
    for cause, times in measured.items():
        line = f"{cause:26} let in {_summary(times.let_in)}   ended {_summary(times.ended)}"
        print(line)  # noqa: T201 - the table is what a reader of the measurement wants
    assert _p99(measured["all"].let_in) <= 1
    assert max(measured["all"].ended) <= 5


def _end(
    cause: str, hubs: list[Hub], model: str, clients: Clients, pool: ThreadPoolExecutor
) -> Times:
    """One tenant, with a stream in every process, whose key ends."""
    first, tenant = hubs[0], tenant_of(hubs[0])
    endless = ask(model, "#tokens=600 #delay_ms=20", stream=True)
    streams = [clients.ask(hub, tenant, endless) for hub in hubs]
    for stream in streams:
        stream.read_until(b'"content":" ')
    began = time.monotonic()
    ENDS[cause](first, tenant)
    first.bump()
    ended = [pool.submit(_ended_after, stream, began) for stream in streams]
    let_in = [pool.submit(_last_let_in, hub, tenant, model, began) for hub in hubs]
    times = Times([each.result() for each in let_in], [each.result() for each in ended])
    for stream in streams:
        record = first.record(stream.request_id)
        assert (record["status"], record["kind"]) == (401, "authentication"), cause
        assert 0 < record["charge_nano"] < record["hold_nano"]
    first.settled(tenant)
    return times


def _ended_after(stream: Client, began: float) -> float:
    stream.read_until(b"0\r\n\r\n")
    after = time.monotonic() - began
    assert b'"code":"invalid_api_key"' in stream.seen
    assert b"[DONE]" not in stream.seen
    return after


def _last_let_in(hub: Hub, tenant: Tenant, model: str, began: float) -> float:
    """When the last request was sent that was let in; 0 if none was. How long its answer took, or
    the first refusal, says how busy the machine is. Nothing is let in after a refusal."""
    body, last = ask(model, "#tokens=2"), 0.0
    while True:
        sent = time.monotonic() - began
        if hub.post(tenant, body).status != 200:
            break
        last = sent
        assert last < 10
    assert hub.post(tenant, body).status == 401
    return last


def _p99(seconds: list[float]) -> float:
    return sorted(seconds)[math.ceil(0.99 * len(seconds)) - 1]


def _summary(seconds: list[float]) -> str:
    middle = sorted(seconds)[len(seconds) // 2]
    return (
        f"p50 {middle * 1000:5.0f} ms  p99 {_p99(seconds) * 1000:5.0f} ms  "
        f"max {max(seconds) * 1000:5.0f} ms  (n = {len(seconds)})"
    )
