"""P20: five times as many clients as the capacity serves get as much out of it as those for whom it
is enough; who is refused is told so in time, with a wait; and the books are those of the provider.

    full   a channel that takes eight requests at once: forty clients, of which most are refused
    busy   one process on its CPU alone
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from statistics import median

import pytest

from lib.ids import parse_id
from relay.config import KEEP_ALIVE_S
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.crowd import Taken, put_on
from tests.support.hub import Hub, Tenant

TIMES = 5
PLACES = 8
# As many as keep one process busy whose requests cost 5 ms, and whose provider takes a second.
BUSY = 250
PROVIDER_S = 0.2
REFUSED_S_MAX = 0.05
PAGE_S_MAX = 1.0
PAGE_EVERY_S = 1.0


@pytest.fixture
def provider() -> Iterator[FakeUpstream]:
    """One in a process of its own, so that it takes no time of those who ask."""
    with FakeUpstream(name="o", fsync=False, keep_bodies=False, process=True) as fake:
        yield fake


def request_of(tenant: Tenant, model: str, words: str) -> bytes:
    body = json.dumps(ask(model, words)).encode()
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {tenant.key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body


def crowd(
    hub: Hub, requests: list[bytes], clients: int, seconds: float, *, settling_s: float = 0.0
) -> Taken:
    assert hub.process is not None
    pid = hub.process.pid
    taken = put_on(hub.port, requests, clients, seconds=seconds, pid=pid, settling_s=settling_s)
    print(  # noqa: T201
        f"\n{clients} clients: {dict(taken.statuses)}, {taken.goodput:.0f} answers/s, "
        f"{1e6 * taken.cpu_each_s:.0f} µs of CPU each, p99 {taken.p99_s:.3f} s, "
        f"median of refusals {median(taken.refused_s or [0.0]):.3f} s"
    )
    return taken


def assert_all_is_accounted_for(
    hub: Hub, tenant: Tenant, provider: FakeUpstream, crowds: list[Taken]
) -> None:
    """Each answer was whole and is settled once, at what the provider counted, and nothing else
    is: no refusal was charged, and no request was lost."""
    assert [taken.untyped for taken in crowds] == [[] for _ in crowds]
    assert [taken.lost_s for taken in crowds] == [[] for _ in crowds]
    hub.settled(tenant)
    records = hub.rows(
        "SELECT request_id, (meters->>'out_text')::bigint AS tokens FROM usage_usagerecord "
        "WHERE organisation_id = %s AND channel_name <> '' AND status = 200 AND basis = 'measured'",
        tenant.organisation_id,
    )
    served = sorted(str(parse_id(request_id)) for taken in crowds for request_id in taken.ids)
    assert sorted(str(record["request_id"]) for record in records) == served
    (attempts,) = hub.rows("SELECT count(*) AS n FROM usage_attempt WHERE organisation_id = %s",
                           tenant.organisation_id)  # fmt: skip
    assert attempts["n"] == len(served)
    totals = provider.totals()
    assert (totals["requests"], totals["finished"]) == (len(served), len(served))
    assert totals["emitted"] == sum(record["tokens"] for record in records)
    hub.assert_books_balance()


def test_a_full_channel_refuses_the_rest_and_counts_all(hub: Hub, provider: FakeUpstream) -> None:
    fill(hub, provider, 1.0)


@pytest.mark.timed
@pytest.mark.slow
def test_a_full_channel_serves_as_many_as_before(hub: Hub, provider: FakeUpstream) -> None:
    """Times of a busy machine say little: measured over ten seconds, apart from the suite."""
    fitting, many = fill(hub, provider, 10.0)
    assert many.goodput >= 0.9 * fitting.goodput
    assert many.p99_s <= 2 * fitting.p99_s
    # Nothing is asked of the provider for a refusal.
    assert median(many.refused_s) < PROVIDER_S


def fill(hub: Hub, provider: FakeUpstream, seconds: float) -> tuple[Taken, Taken]:
    """What came of as many clients as the channel takes, then of five times as many."""
    tenant = hub.tenant("1000")
    model = hub.model(provider, parallel=PLACES)
    requests = [request_of(tenant, model, "#tokens=4 #first_ms=200")]
    fitting = crowd(hub, requests, PLACES, seconds)
    many = crowd(hub, requests, TIMES * PLACES, seconds)
    assert set(fitting.statuses) == {200}
    assert set(many.statuses) == {200, 429}
    assert_all_is_accounted_for(hub, tenant, provider, [fitting, many])
    return fitting, many


@pytest.mark.timed
@pytest.mark.slow
def test_a_busy_process_refuses_what_it_cannot_serve(own_hub: Hub, provider: FakeUpstream) -> None:
    """At five times what its CPU serves it serves as much, about as fast as few are served; the
    others are refused at once, and a page comes within a second."""
    own_hub.application = "tests.relay.costly_hub"
    # As in production: whoever is told to come back in six seconds finds the connection.
    own_hub.environment["UVICORN_TIMEOUT_KEEP_ALIVE"] = f"{KEEP_ALIVE_S:.0f}"
    own_hub.start()
    tenant = own_hub.tenant("1000")
    model, took_ms = own_hub.model(provider), Random(1)
    requests = [
        request_of(tenant, model, f"#tokens=4 #first_ms={took_ms.randint(500, 1500)}")
        for _ in range(1000)
    ]
    few = crowd(own_hub, requests, PLACES, 5.0)
    with pages(own_hub):
        peak = crowd(own_hub, requests, BUSY, 10.0, settling_s=5.0)
    with pages(own_hub) as took_s:
        many = crowd(own_hub, requests, TIMES * BUSY, 10.0, settling_s=5.0)
    assert set(few.statuses) == {200}
    assert set(many.statuses) == {200, 503}
    assert many.goodput >= 0.9 * peak.goodput
    assert many.p99_s <= 2 * few.p99_s
    assert median(many.refused_s) <= REFUSED_S_MAX
    assert median(took_s) <= PAGE_S_MAX
    assert_all_is_accounted_for(own_hub, tenant, provider, [few, peak, many])
    counted = "SELECT value FROM gateway_traffictotal WHERE family = 'shed'"
    refused = peak.statuses[503] + many.statuses[503]
    own_hub.wait(
        lambda: [row["value"] for row in own_hub.rows(counted)] == [refused], "not all are counted"
    )


@contextmanager
def pages(hub: Hub) -> Iterator[list[float]]:
    """How long a page takes meanwhile: as many are looked at whatever the load, for a page's time
    is the process's too."""
    took_s: list[float] = []
    over = threading.Event()

    def look() -> None:
        wait_s = 0.0
        while not over.wait(wait_s):
            began = time.monotonic()
            assert hub.get("/login").status == 200
            took_s.append(time.monotonic() - began)
            wait_s = max(0.0, PAGE_EVERY_S - took_s[-1])

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield took_s
    finally:
        over.set()
        looking.join()
    print(f"{len(took_s)} pages, median {median(took_s):.3f} s, most {max(took_s):.3f} s")  # noqa: T201
