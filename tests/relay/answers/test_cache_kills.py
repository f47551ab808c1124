"""The cache of answers, killed (-9) at every step of a miss, of a hit and of what expires (I6, I7,
I10, P1).

Afterwards the books are those of before the request or of after it: each admitted request has one
record, which says what it paid, and a hit that was answered is recorded as one. No half answer is
served, and the next identical request is answered: from the cache exactly if an answer is stored.
"""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import pytest

from billing.currency.money import round_half_even
from tests.fakes.upstream import FakeUpstream
from tests.relay.answers.test_answer_cache import (
    RATES,
    age,
    caching,
    chat,
    is_hit,
    question,
    warm,
)
from tests.relay.attempts.test_failpoints import (
    await_strike,
    holds_of,
    learn_late_usage,
    let_be_taken_for_dead,
    send,
)
from tests.relay.ledger.test_nth_statement import state
from tests.relay.sweeper import sweep
from tests.support.hub import Hub, Tenant

PERCENT = 37
UNHELD = ("received", "authenticated", "parsed", "looked-up")
# The settlement is noted in memory that outlives the process.
SETTLED = ("settling", "settled", "client-finished")
MISS = (
    *UNHELD, "admitted", "dispatched", "upstream-headers", "first-content", "terminal-usage",
    *SETTLED, "sealed", "stored",
)  # fmt: skip
HIT = (*UNHELD, "admitted", "begun", "noted", *SETTLED)
QUICK = {("hit", "noted", "streamed")}
CELLS = [
    pytest.param(*cell, marks=[] if cell in QUICK else pytest.mark.slow)
    for cell in (
        *product(("miss",), MISS, ("plain", "streamed")),
        *product(("hit",), HIT, ("plain", "streamed")),
        *product(("expired",), ("looked-up", "sealed", "stored"), ("plain", "streamed")),
    )
    if cell[1:] != ("begun", "plain")
]


@pytest.fixture(scope="module")
def struck_hub(hub: Hub) -> Iterator[Hub]:
    """A second process on the session's database, with failpoints."""
    new_hub = Hub(hub.dsn, application="tests.relay.failpoints")
    yield new_hub
    new_hub.kill()
    new_hub.close()


@pytest.fixture
def failing(struck_hub: Hub) -> Iterator[Hub]:
    if struck_hub.process is None:
        struck_hub.start()
    yield struck_hub
    if struck_hub.process is not None:
        struck_hub.process.send_signal(signal.SIGCONT)


@pytest.fixture(scope="module")
def model(hub: Hub, fake: FakeUpstream) -> Iterator[str]:
    with hub.forgetful():
        yield hub.model(fake, rates=RATES)


def records_of(hub: Hub, tenant: Tenant) -> list[dict[str, Any]]:
    return hub.rows(
        "SELECT * FROM usage_usagerecord WHERE organisation_id = %s ORDER BY id",
        tenant.organisation_id,
    )


def check_books(hub: Hub, tenant: Tenant) -> None:
    """Each hold is resolved and has its record, revenue is what the records say, and a sweep that
    comes again moves nothing."""
    before = state(hub, tenant)
    sweep(hub)
    assert state(hub, tenant) == before
    holds, records = holds_of(hub, tenant), records_of(hub, tenant)
    assert [hold["state"] for hold in holds if hold["state"] == "open"] == []
    assert len(records) == len(holds)
    assert all(record["final"] for record in records)
    balance = hub.balance(tenant)
    assert balance.get("revenue", 0) == sum(record["charge_nano"] for record in records)
    assert balance.get("customer:held", 0) == 0
    hub.assert_books_balance()


@pytest.mark.parametrize(("kind", "point", "form"), CELLS)
def test_killed(
    failing: Hub, fake: FakeUpstream, model: str, kind: str, point: str, form: str
) -> None:
    hub = failing
    tenant = caching(hub, hub.tenant(), cache_price_percent=PERCENT)
    body = chat(model, question(), stream=form == "streamed")
    first = None if kind == "miss" else warm(hub, tenant, body)
    if kind == "expired":
        age(hub, tenant, 601)
    hub.settled(tenant)
    seen, earlier = len(fake.books()), len(records_of(hub, tenant))
    written = len(hub.log())
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(send, hub, tenant, body, f"kill {point}")
        await_strike(hub, "kill", point, written)
        answer = sent.result()
    hub.start()
    let_be_taken_for_dead(hub, tenant)
    assert hub.get("/_joined").status == 204
    learn_late_usage(hub, tenant, None)
    check_books(hub, tenant)

    new = records_of(hub, tenant)[earlier:]
    assert len(new) == (point not in UNHELD)
    if kind == "hit":
        assert first is not None
        assert len(fake.books()) == seen
        share = round_half_even(
            hub.record(first.headers["x-request-id"])["charge_nano"] * PERCENT, 100
        )
        told = [
            (one["basis"], one["status"], one["charge_nano"], one["meters"], one["cost_nano"])
            for one in new
        ]
        served: tuple[Any, ...] = ("cached", 200, share, {}, 0)
        cut: tuple[Any, ...] = ("none", 500, 0, {}, 0)
        assert told == [served if point in ("noted", *SETTLED) else cut] * len(new)
    if answer is not None:
        # Whoever has the whole answer has paid for it.
        assert (answer.status, [one["charge_nano"] > 0 for one in new]) == (200, [True])
        assert first is None or kind == "expired" or answer.body == first.body
    is_stored = bool(servable(hub, tenant))
    # It is stored while its settlement is on its way to the database.
    if point not in ("settling", "settled"):
        assert is_stored == (kind == "hit" or point == "stored")

    again = hub.post(tenant, body)
    assert is_hit(again) == is_stored
    hub.wait(lambda: len(servable(hub, tenant)) == 1, "the answer is not stored")
    last = hub.post(tenant, body)
    assert is_hit(last)
    assert last.body == again.body
    hub.settled(tenant)
    check_books(hub, tenant)


def servable(hub: Hub, tenant: Tenant) -> list[dict[str, Any]]:
    return hub.rows(
        "SELECT * FROM gateway_cachedanswer WHERE organisation_id = %s AND expires_at > now()",
        tenant.organisation_id,
    )


@pytest.mark.parametrize(
    ("mode", "point"),
    [
        pytest.param(*cell, marks=[] if cell == ("kill", "noted") else pytest.mark.slow)
        for cell in (*product(("freeze",), HIT[3:]), *product(("kill",), ("noted", *SETTLED)))
    ],
)
def test_taken_for_dead(failing: Hub, model: str, mode: str, point: str) -> None:
    """A hit that was swept up, and whose stored answer is deleted, before its process goes on or
    another one reads what it noted: it is charged once, and nobody is owed for it (I7, I15)."""
    hub = failing
    tenant = caching(hub, hub.tenant(), cache_price_percent=PERCENT)
    body = chat(model, question(), stream=True)
    first = warm(hub, tenant, body)
    hub.settled(tenant)
    before, written = hub.balance(tenant), len(hub.log())
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(send, hub, tenant, body, f"{mode} {point}")
        await_strike(hub, mode, point, written)
        hub.connection.execute(
            "DELETE FROM gateway_cachedanswer WHERE organisation_id = %s", [tenant.organisation_id]
        )
        let_be_taken_for_dead(hub, tenant)
        if hub.process is None:
            hub.start()
        else:
            hub.process.send_signal(signal.SIGCONT)
        answer = sent.result()
    if mode == "freeze":
        assert answer is not None
        assert (answer.status, answer.body) == (200, first.body)
    assert hub.get("/_joined").status == 204
    learn_late_usage(hub, tenant, None)
    charge = hub.record(first.headers["x-request-id"])["charge_nano"]
    share = round_half_even(charge * PERCENT, 100)
    after = hub.balance(tenant)
    moved = {kind: after[kind] - before.get(kind, 0) for kind in after}
    assert {kind: nano for kind, nano in moved.items() if nano} == {
        "revenue": share, "customer:available": -share,
    }  # fmt: skip
    settled = state(hub, tenant)
    sweep(hub)
    assert state(hub, tenant) == settled
    hub.assert_books_balance()
