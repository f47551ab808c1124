"""Every named point in the life of an attempt, killed, failing and frozen (I6, I7, I10, P1).

Afterwards the books are those of before the request, or those of after it: every hold is resolved,
an admitted attempt has one record, nobody pays more than the provider counted, and a sweep that
comes again moves nothing. A process that was taken for dead, and was only frozen, charges once.
"""

import http.client
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from lib.ids import id_text
from tests.chaos.judge import price
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.ledger.test_nth_statement import state
from tests.relay.sweeper import sweep
from tests.support.hub import START_LIMIT_S, Answer, Hub, Tenant

BEFORE = ("received", "authenticated", "parsed")
HELD = (
    "admitted",
    "dispatched",
    "upstream-headers",
    "first-content",
    "high-water-mark",
    "terminal-usage",
    "settling",
)
POINTS = (*BEFORE, *HELD, "settled", "client-finished")
# The second is asked by the sweeper for what it has counted (P1).
PROVIDERS = ("openai_compatible", "openai_metered")
# The quick suite has a cell or two of each mode.
QUICK = {
    ("kill", "high-water-mark", "streamed", "openai_metered"),
    ("kill", "settling", "plain", "openai_compatible"),
    ("raise", "settling", "streamed", "openai_compatible"),
    ("freeze", "admitted", "plain", "openai_metered"),
}
CELLS = [
    pytest.param(*cell, marks=[] if cell in QUICK else pytest.mark.slow)
    for cell in product(("kill", "raise", "freeze"), POINTS, ("plain", "streamed"), PROVIDERS)
    # A plain answer is not watched while it comes.
    if cell[1:3] != ("high-water-mark", "plain")
]
SETTLING = ("settling", "settled", "client-finished")
# A defect there takes nothing from the answer.
UNHARMED = ("high-water-mark", *SETTLING)
CREDIT_NANO = 10 * 10**9


@pytest.fixture(scope="module")
def struck_hub(hub: Hub) -> Iterator[Hub]:
    """A second process on the session's database, with failpoints."""
    new_hub = Hub(hub.dsn, application="tests.relay.failpoints")
    yield new_hub
    new_hub.kill()
    new_hub.close()


@pytest.fixture(scope="module")
def models(hub: Hub, fake: FakeUpstream) -> dict[str, str]:
    """A model of each provider."""
    return {provider: hub.model(fake, provider=provider) for provider in PROVIDERS}


@pytest.fixture
def failing(struck_hub: Hub, models: dict[str, str]) -> Iterator[Hub]:
    """It, alive at the beginning and at the end."""
    if struck_hub.process is None:
        struck_hub.start()
    yield struck_hub
    if struck_hub.process is not None:
        struck_hub.process.send_signal(signal.SIGCONT)


def send(hub: Hub, tenant: Tenant, body: Any, failpoint: str) -> Answer | None:
    """The answer, or None where the connection broke."""
    try:
        return hub.post(tenant, body, headers={"x-failpoint": failpoint})
    except (OSError, http.client.HTTPException):
        return None


def holds_of(hub: Hub, tenant: Tenant) -> list[dict[str, Any]]:
    return hub.rows("SELECT * FROM billing_hold WHERE organisation_id = %s", tenant.organisation_id)


def await_strike(hub: Hub, mode: str, point: str, written: int) -> None:
    """The request is struck, and the process is gone, stands still or lives."""
    hub.wait(lambda: f"failpoint: {mode} {point}\n" in hub.log()[written:], "nothing struck")
    assert hub.process is not None
    if mode == "kill":
        assert hub.process.wait(START_LIMIT_S) == -signal.SIGKILL
        hub.process = None
    elif mode == "freeze":
        stat = Path(f"/proc/{hub.process.pid}/stat")
        hub.wait(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "it runs on")


def let_be_taken_for_dead(hub: Hub, tenant: Tenant) -> None:
    """The process of the tenant's holds has said nothing for long enough, and is swept up."""
    hub.connection.execute(
        "UPDATE billing_process SET alive_until = now() - interval '7 s', "
        "suspected_at = now() - interval '6 s' WHERE id IN "
        "(SELECT process_id FROM billing_hold WHERE organisation_id = %s AND state = 'open')",
        [tenant.organisation_id],
    )

    def swept() -> bool:
        # Another process may be the one that sweeps now.
        sweep(hub)
        return all(hold["state"] != "open" for hold in holds_of(hub, tenant))

    hub.wait(swept, "holds stay open")


def learn_late_usage(hub: Hub, tenant: Tenant, counted: int | None) -> None:
    """What a frozen process told afterwards is posted, and what a provider tells: then customer
    and loss together are its count."""

    def posted() -> bool:
        sweep(hub)
        balance = hub.balance(tenant)
        borne = balance.get("revenue", 0) - balance.get("platform:loss", 0)
        return counted in (None, borne) and not hub.rows(
            "SELECT id FROM usage_latetruth WHERE organisation_id = %s AND posted_at IS NULL",
            tenant.organisation_id,
        )

    hub.wait(posted, f"late usage stays unposted, or {counted} is not borne")


def assert_stood_where_it_was_struck(hub: Hub, tenant: Tenant, point: str) -> None:
    """The point is what its name says."""
    states = [hold["state"] for hold in holds_of(hub, tenant)]
    if point in BEFORE:
        assert states == []
    elif point in HELD:
        assert states == ["open"]
    elif point == "settled":
        assert states == ["settled"]


def counted_by(fake: FakeUpstream, attempt: str, point: str, mode: str) -> int:
    """What the provider bills for the attempt, in nano."""
    if point == "admitted" and mode != "freeze":
        assert fake.row(attempt) is None
        return 0
    row = fake.wait_for_row(attempt)
    assert row["count"] == 1
    return price(row["usage"]) if row["accepted"] else 0


@pytest.mark.parametrize(("mode", "point", "form", "provider"), CELLS)
def test_struck(
    failing: Hub,
    fake: FakeUpstream,
    models: dict[str, str],
    mode: str,
    point: str,
    form: str,
    provider: str,
) -> None:
    hub, tenant = failing, failing.tenant()
    marked = point == "high-water-mark"
    text = "#tokens=90 #hold=70" if marked else "#tokens=90"
    body = ask(models[provider], text, stream=form == "streamed")
    written = len(hub.log())
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(send, hub, tenant, body, f"{mode} {point}")
        await_strike(hub, mode, point, written)
        if mode != "raise":
            assert_stood_where_it_was_struck(hub, tenant, point)
        if mode == "kill":
            # Nobody waits for a settlement: only before it is the answer cut short.
            assert answer.result() is None or point in SETTLING
            hub.start()
        if mode != "raise":
            let_be_taken_for_dead(hub, tenant)
        if marked:
            fake.release()
        if mode == "freeze":
            assert hub.process is not None
            hub.process.send_signal(signal.SIGCONT)
            message = answer.result()
            assert message is not None
            assert message.status == 200
        answer.result()
    assert hub.get("/_joined").status == 204
    # No defect leaves a hold to the sweeper.
    holds = holds_of(hub, tenant)
    assert [hold for hold in holds if hold["state"] == "open"] == []
    counted = counted_by(fake, id_text(holds[0]["id"]), point, mode) if holds else 0
    learn_late_usage(hub, tenant, counted if provider == "openai_metered" else None)

    after = state(hub, tenant)
    sweep(hub)
    assert state(hub, tenant) == after
    balance = hub.balance(tenant)
    records = hub.rows(
        "SELECT * FROM usage_usagerecord WHERE organisation_id = %s", tenant.organisation_id
    )
    assert len(holds) == (point not in BEFORE or mode == "freeze")
    assert [record["final"] for record in records] == [True] * len(holds)
    paid = balance.get("revenue", 0)
    assert (balance["customer:available"], balance.get("customer:held", 0)) == (
        CREDIT_NANO - paid,
        0,
    )
    assert paid <= counted
    # Whoever gets the whole answer pays for it, exactly: its end outlives the process.
    if mode == "freeze" or point in SETTLING or (mode == "raise" and point in UNHARMED):
        assert paid == counted > 0
    hub.assert_books_balance()
