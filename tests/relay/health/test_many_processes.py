"""Budgets and limits over several processes of one installation (P2, I23)."""

import itertools
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from threading import Event, Thread
from typing import Any

import psycopg
import pytest

from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.support.hub import Hub, Tenant

NANO = Decimal(10) ** 9
_MINUTE = 60.0


@contextmanager
def processes(hub: Hub, count: int) -> Iterator[list[Hub]]:
    """That many web processes on one database; `hub` is the first."""
    with ExitStack() as stack:
        hubs = [hub]
        hub.start()
        for _ in range(count - 1):
            other = Hub(hub.dsn)
            stack.callback(other.close)
            other.start()
            hubs.append(other)
        yield hubs


class Watch:
    """Looks at the budget windows all the while, each time in a snapshot of its own."""

    def __init__(self, dsn: str) -> None:
        self.looks = 0
        self.over: list[Any] = []
        self._dsn = dsn
        self._ended = Event()
        self._thread = Thread(target=self._look)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            while not self._ended.is_set():
                self.over += connection.execute(
                    "SELECT b.scope, w.held_nano, w.spent_nano, b.amount_nano "
                    "FROM billing_budgetwindow w JOIN billing_budget b ON b.id = w.budget_id "
                    "WHERE w.held_nano + w.spent_nano > b.amount_nano"
                ).fetchall()
                self.looks += 1


@pytest.mark.parametrize(
    ("count", "requests"), [(2, 60), pytest.param(4, 200, marks=pytest.mark.slow)]
)
def test_budgets_for_ten_are_never_overspent(
    own_hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream, count: int, requests: int
) -> None:
    """P2: on key, user, team and model at once, with a first channel that fails, and a tier that
    most requests only might reach: over-spend 0 in every snapshot, and most of the rest usable."""
    with processes(own_hub, count) as hubs:
        model = own_hub.model(fake, other_fake, upstream_model="fake")
        own_hub.connection.execute(
            "UPDATE billing_priceversion SET rates = %s",
            [json.dumps({
                "meters": {"in_text": 1_000_000, "out_text": 3_000_000},
                "tiers": [{"input_over": 60, "meters": {"out_text": 9_000_000}}],
            })],
        )  # fmt: skip
        for hub in hubs:
            hub.know(model)
        body = ask(model, "#a.fault=F10 #tokens=40 #delay_ms=2", max_tokens=1000)
        worst = int(Decimal(own_hub.post(own_hub.tenant(), body).headers["x-weir-hold"]) * NANO)
        tenant = own_hub.tenant()
        budget = f"{10 * worst / NANO:f}"
        person = own_hub.person(tenant)
        for scope, subject in (("key", None), ("team", None), ("user", person), ("model", model)):
            own_hub.budget(tenant, budget, scope, subject)
        own_hub.bump()
        with Watch(own_hub.dsn) as watch, ThreadPoolExecutor(requests) as pool:
            turns = zip(range(requests), itertools.cycle(hubs), strict=False)
            answers = list(pool.map(lambda turn: turn[1].post(tenant, body).status, turns))
        own_hub.settled(tenant)
        assert watch.over == []
        assert watch.looks > 20
        assert set(answers) <= {200, 402}
        assert answers.count(200) >= 10
        spent = own_hub.balance(tenant)["revenue"]
        windows = own_hub.windows(tenant)
        assert {(row["held_nano"], row["spent_nano"]) for row in windows.values()} == {(0, spent)}
        assert len(windows) == 4
        rest = 10 * worst - spent
        last = own_hub.post(tenant, ask(model, "#tokens=100000"))
        assert last.status == 200
        assert Decimal(last.headers["x-weir-hold"]) * NANO >= rest * Decimal("0.95")
        own_hub.settled(tenant)
        own_hub.assert_books_balance()


def admissions(hub: Hub, tenant: Tenant) -> list[float]:
    rows = hub.rows(
        "SELECT extract(epoch FROM admitted_at)::float8 AS at FROM usage_attempt "
        "WHERE key_id = %s ORDER BY admitted_at", tenant.key_id,
    )  # fmt: skip
    return [row["at"] for row in rows]


def most_in_a_minute(instants: list[float]) -> int:
    most = first = 0
    for n, at in enumerate(instants):
        while instants[first] <= at - _MINUTE:
            first += 1
        most = max(most, n - first + 1)
    return most


def test_rate_is_one_over_all_processes(own_hub: Hub, fake: FakeUpstream) -> None:
    """The fast form: what comes at once is let through up to the limit, and no further."""
    with processes(own_hub, 2) as hubs:
        model = own_hub.model(fake)
        tenant = own_hub.tenant()
        own_hub.limit(tenant, rpm=30)
        for hub in hubs:
            hub.know(model)
        with ThreadPoolExecutor(40) as pool:
            turns = zip(range(120), itertools.cycle(hubs), strict=False)
            answers = list(
                pool.map(lambda turn: turn[1].post(tenant, ask(model, "#tokens=2")).status, turns)
            )
        assert (answers.count(200), answers.count(429)) == (30, 90)
        assert len(admissions(own_hub, tenant)) == 30
        own_hub.settled(tenant)
        own_hub.assert_books_balance()


@pytest.mark.slow
def test_sixty_per_minute_in_every_sliding_minute(own_hub: Hub, fake: FakeUpstream) -> None:
    """10,000 calls over four processes in some minutes: at most 60 in every sliding minute, and at
    least 90 % of what is allowed."""
    with processes(own_hub, 4) as hubs:
        model = own_hub.model(fake)
        tenant = own_hub.tenant()
        own_hub.limit(tenant, rpm=60)
        for hub in hubs:
            hub.know(model)
        calls, seconds = 10_000, 200.0
        began = time.monotonic()

        def call(n: int) -> int:
            time.sleep(max(0.0, began + n * seconds / calls - time.monotonic()))
            return hubs[n % 4].post(tenant, ask(model, "#tokens=2")).status

        with ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(call, range(calls)))
        took = time.monotonic() - began
        assert set(answers) == {200, 429}
        instants = admissions(own_hub, tenant)
        assert most_in_a_minute(instants) <= 60
        assert len(instants) >= 0.9 * 60 * (took // _MINUTE + 1)
        own_hub.settled(tenant)
        own_hub.assert_books_balance()
