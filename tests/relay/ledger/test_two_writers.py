"""Two processes that ask at the same instant are one after the other (P2, I5, I23).

The first one's transaction has decided and is not committed when the second one asks: what it took
is nowhere to be seen yet. Only the lock on the organisation's accounts makes the second one wait.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec
import psycopg
import pytest
import pytest_asyncio

from relay.database.database import PipelinedConnection, Row, Statement
from relay.ledger.admission import AdmissionRequest, Guarded
from relay.ledger.writer import LedgerWriter
from tests.relay.ledger.test_ledger_writer import asked, ended
from tests.support.hub import Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books", "form")

HOLD_NANO = 100
HOLD_USD = "0.000000100"
GATE = 5_012_026
HAND: Statement = (f"SELECT pg_advisory_xact_lock({GATE})", {})


class Lingering(PipelinedConnection):
    """A database that is slow to commit, while the gate is shut."""

    shut = False

    async def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        return await super().run([*statements, HAND] if self.shut else statements)


@pytest_asyncio.fixture
async def connections(hub: Hub) -> AsyncIterator[tuple[Lingering, PipelinedConnection]]:
    first, second = Lingering(hub.dsn, 30.0), PipelinedConnection(hub.dsn, 30.0)
    for connection in (first, second):
        await connection.open()
    yield first, second
    for connection in (first, second):
        await connection.close()


def of_wallet(hub: Hub, tenant: Tenant) -> Guarded | None:
    return None


def of_budget(hub: Hub, tenant: Tenant) -> Guarded:
    return Guarded((hub.budget(tenant, HOLD_USD),), 0)


def of_requests(hub: Hub, tenant: Tenant) -> Guarded:
    hub.limit(tenant, rpm=1)
    return Guarded((), 0)


def of_tokens(hub: Hub, tenant: Tenant) -> Guarded:
    hub.limit(tenant, of="team", tpm=150)
    return Guarded((), 100)


def of_requests_at_once(hub: Hub, tenant: Tenant) -> Guarded:
    hub.limit(tenant, of="organisation", parallel=1)
    return Guarded((), 0)


def waiting(hub: Hub) -> int:
    """How many transactions of this database wait for a lock."""
    (row,) = hub.rows(
        "SELECT count(DISTINCT pid) AS n FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
        "WHERE NOT l.granted AND a.datname = current_database()"
    )
    return int(row["n"])


@pytest.mark.parametrize(
    ("limit", "usd", "refusal"),
    [
        (of_wallet, HOLD_USD, "insufficient"),
        (of_budget, "10.00", "insufficient"),
        (of_requests, "10.00", "limited"),
        (of_tokens, "10.00", "limited"),
        (of_requests_at_once, "10.00", "limited"),
    ],
)
async def test_amount_that_fits_once_is_admitted_once(
    hub: Hub,
    connections: tuple[Lingering, PipelinedConnection],
    limit: Callable[[Hub, Tenant], Guarded | None],
    usd: str,
    refusal: str,
) -> None:
    tenant = hub.tenant(usd)
    guarded = limit(hub, tenant)
    (account,) = hub.rows(
        "SELECT guards FROM billing_account "
        "WHERE organisation_id = %s AND kind = 'customer:available'", tenant.organisation_id,
    )  # fmt: skip

    def question(hold_nano: int = HOLD_NANO) -> AdmissionRequest:
        return msgspec.structs.replace(
            asked(tenant, hold_nano), guards=account["guards"], guarded=guarded
        )

    first, second = (LedgerWriter(connection) for connection in connections)
    # The accounts, and a budget's window, are there from the first request on.
    windows = guarded if guarded is not None and guarded.budget_ids else None
    opening = msgspec.structs.replace(question(0), guarded=windows)
    assert (await first.admit(opening)).word == "admitted"
    first.settle(ended(opening, 0), at_once=True)
    await first.join()
    questions = [question(), question()]
    with psycopg.connect(hub.dsn, autocommit=True) as gate:
        gate.execute(f"SELECT pg_advisory_lock({GATE})")
        connections[0].shut = True
        asking = [asyncio.create_task(first.admit(questions[0]))]
        await asyncio.to_thread(hub.wait, lambda: waiting(hub) == 1, "the first is not asked")
        asking.append(asyncio.create_task(second.admit(questions[1])))
        await asyncio.to_thread(
            hub.wait, lambda: asking[1].done() or waiting(hub) == 2, "the second is not asked"
        )
    words = [verdict.word for verdict in await asyncio.gather(*asking)]
    assert words == ["admitted", refusal]
    connections[0].shut = False
    first.settle(ended(questions[0]))
    # What works on behind its last answer is no task that the test may leave.
    await asyncio.gather(first.join(), second.join())
