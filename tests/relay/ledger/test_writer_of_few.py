"""P35: beside a crowd, organisations with few requests do not wait for its transactions."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from lib.ids import new_id
from relay.database.database import PipelinedConnection
from relay.ledger.journal import Journal
from relay.ledger.spool import Spool
from relay.ledger.writer import LedgerWriter
from tests.relay.ledger.test_ledger_writer import asked, ended, is_open, record_of
from tests.relay.ledger.test_two_writers import GATE, Lingering, waiting
from tests.support.hub import Hub

pytestmark = pytest.mark.usefixtures("balanced_books")


@pytest_asyncio.fixture
async def crowded(hub: Hub) -> AsyncIterator[Lingering]:
    """The connection of the crowd."""
    connection = Lingering(hub.dsn, 30.0)
    await connection.open()
    yield connection
    await connection.close()


@pytest_asyncio.fixture
async def of_few(hub: Hub) -> AsyncIterator[PipelinedConnection]:
    """A closed one."""
    connection = PipelinedConnection(hub.dsn, 30.0)
    yield connection
    await connection.close()


async def test_few_do_not_wait_for_a_transaction_of_a_crowd(
    hub: Hub, crowded: Lingering, of_few: PipelinedConnection
) -> None:
    ledger = LedgerWriter(crowded, of_few=of_few)
    many, few = asked(hub.tenant()), asked(hub.tenant())
    ledger.serve_apart(frozenset([few.attempt.organisation_id.int]))
    await asyncio.to_thread(hub.wait, lambda: of_few.usable, "it is not opened")
    with psycopg.connect(hub.dsn, autocommit=True) as gate:
        gate.execute(f"SELECT pg_advisory_lock({GATE})")
        crowded.shut = True
        asking = asyncio.create_task(ledger.admit(many))
        await asyncio.to_thread(hub.wait, lambda: waiting(hub) == 1, "the crowd is not asked")
        assert (await ledger.admit(few)).word == "admitted"
        ledger.settle(ended(few), at_once=True)
        await asyncio.to_thread(hub.wait, lambda: not is_open(hub, few), "few are not settled")
        assert not asking.done()
    assert (await asking).word == "admitted"
    crowded.shut = False
    ledger.settle(ended(many))
    await ledger.join()
    assert record_of(hub, few)["charge_nano"] == record_of(hub, many)["charge_nano"] == 10


async def test_few_without_their_connection_write_with_the_others(
    hub: Hub, crowded: Lingering
) -> None:
    """It is opened behind them, and again when it is lost."""
    ledger = LedgerWriter(crowded, of_few=PipelinedConnection("host=/nowhere", 1.0))
    few = asked(hub.tenant())
    ledger.serve_apart(frozenset([few.attempt.organisation_id.int]))
    assert (await ledger.admit(few)).word == "admitted"
    ledger.settle(ended(few))
    await ledger.join()
    assert record_of(hub, few)["charge_nano"] == 10


async def test_ends_that_few_cannot_write_are_written_with_the_others(
    hub: Hub, crowded: Lingering, of_few: PipelinedConnection, tmp_path: Path
) -> None:
    """And leave the journal then."""
    journal = Journal(tmp_path, new_id())
    journal.open()
    ledger = LedgerWriter(crowded, journal=journal, of_few=of_few)
    few = asked(hub.tenant())
    ledger.serve_apart(frozenset([few.attempt.organisation_id.int]))
    await asyncio.to_thread(hub.wait, lambda: of_few.usable, "it is not opened")
    assert (await ledger.admit(few)).word == "admitted"
    ledger.settle(ended(few))
    assert journal._used
    of_few._lose("lost before the settlement was written")
    await asyncio.to_thread(hub.wait, lambda: not is_open(hub, few), "few are not settled")
    await ledger.join()
    assert record_of(hub, few)["charge_nano"] == 10
    assert not journal._used
    journal.close()


async def test_the_last_money_of_an_organisation_goes_once(
    hub: Hub, crowded: Lingering, of_few: PipelinedConnection
) -> None:
    """I4: also when it has few requests while one of its own is in the crowd's transaction."""
    ledger, tenant = LedgerWriter(crowded, of_few=of_few), hub.tenant("0.000000100")
    first, second, opening = asked(tenant), asked(tenant), asked(tenant, 0)
    # Its accounts are there from its first request on.
    assert (await ledger.admit(opening)).word == "admitted"
    ledger.settle(ended(opening, 0), at_once=True)
    await ledger.join()
    with psycopg.connect(hub.dsn, autocommit=True) as gate:
        gate.execute(f"SELECT pg_advisory_lock({GATE})")
        crowded.shut = True
        asking = [asyncio.create_task(ledger.admit(first))]
        await asyncio.to_thread(hub.wait, lambda: waiting(hub) == 1, "the first is not asked")
        ledger.serve_apart(frozenset([tenant.organisation_id.int]))
        await asyncio.to_thread(hub.wait, lambda: of_few.usable, "it is not opened")
        asking.append(asyncio.create_task(ledger.admit(second)))
        await asyncio.to_thread(hub.wait, lambda: waiting(hub) == 2, "the second is not asked")
    words = [verdict.word for verdict in await asyncio.gather(*asking)]
    assert words == ["admitted", "insufficient"]
    crowded.shut = False
    ledger.settle(ended(first))
    await ledger.join()


async def test_few_leave_the_spool_to_the_writer_that_fills_it(
    hub: Hub, crowded: Lingering, of_few: PipelinedConnection, tmp_path: Path
) -> None:
    """P18: what the crowd's writer has there stays, whatever few write meanwhile."""
    spool = Spool(tmp_path, new_id(), 2**20)
    ledger = LedgerWriter(crowded, spool, of_few=of_few)
    await ledger.open_spool()
    many, few = asked(hub.tenant()), asked(hub.tenant())
    assert (await ledger.admit(many)).word == "admitted"
    ledger.serve_apart(frozenset([few.attempt.organisation_id.int]))
    await asyncio.to_thread(hub.wait, lambda: of_few.usable, "it is not opened")
    assert (await ledger._recovery.spool([ended(many)], {many.attempt.id: "{}"})) is True
    assert (await ledger.admit(few)).word == "admitted"
    ledger.settle(ended(few), at_once=True)
    await asyncio.to_thread(hub.wait, lambda: not is_open(hub, few), "few are not settled")
    assert spool._size
    ledger.settle(ended(many))
    await ledger.join()
    spool.close()
