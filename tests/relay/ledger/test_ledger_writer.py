"""The writer of a process against the real database: batches, retries, what cannot be stored."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import psycopg
import pytest
import pytest_asyncio

from lib.id_types import (
    AttemptId,
    ChannelId,
    ChannelName,
    KeyId,
    ModelName,
    OrganisationId,
    RequestId,
    TeamId,
    UpstreamModelName,
)
from lib.ids import new_id
from relay.database import database
from relay.database.database import PipelinedConnection, Row, Statement
from relay.errors import DatabaseAway, DatabaseFailed, DatabaseRefused
from relay.ledger import batching
from relay.ledger import writer as ledger_writer
from relay.ledger.admission import AdmissionRequest, Verdict
from relay.ledger.batching import BATCH_MAX, Batch
from relay.ledger.journal import Journal
from relay.ledger.settlement import Settlement
from relay.ledger.spool import Kept, read
from relay.ledger.writer import LedgerWriter
from relay.metering.usage_meter import Bill
from tests.support.hub import Hub, Tenant
from usage.records.sql import AttemptOpened, Ending

pytestmark = pytest.mark.usefixtures("form")


@pytest_asyncio.fixture
async def connection(hub: Hub) -> AsyncIterator[PipelinedConnection]:
    connection = PipelinedConnection(hub.dsn, 20.0)
    await connection.open()
    yield connection
    await connection.close()


def asked(tenant: Tenant, hold_nano: int = 100, **over: object) -> AdmissionRequest:
    attempt = AttemptOpened(
        organisation_id=OrganisationId(tenant.organisation_id),
        id=AttemptId(new_id()),
        request_id=RequestId(new_id()),
        n=1,
        team_id=TeamId(tenant.team_id),
        key_id=KeyId(tenant.key_id),
        user_id=None,
        model=ModelName("m"),
        channel_id=ChannelId(uuid.UUID(int=5)),
        channel_name=ChannelName("channel"),
        upstream_model=UpstreamModelName("up"),
        dialect="openai",
        operation="chat_completions",
        stream=True,
        source="api",
        price_version_id=None,
        hold_nano=hold_nano,
    )
    return AdmissionRequest(msgspec.structs.replace(attempt, **over), 60, None)


def one_asked() -> AdmissionRequest:
    """One of an organisation that no database knows."""
    tenant = SimpleNamespace(organisation_id=new_id(), team_id=new_id(), key_id=new_id())
    return asked(cast(Tenant, tenant))


def ended(one: AdmissionRequest, charge_nano: int = 10, **over: object) -> Settlement:
    ending = Ending(final=True, status=200, charge_nano=charge_nano, basis="measured", total_ms=5)
    attempt = one.attempt
    return Settlement(
        organisation_id=attempt.organisation_id,
        attempt_id=attempt.id,
        state="settled",
        ending=msgspec.structs.replace(ending, **over),
    )


class Stream:
    """A stream that has said seven tokens."""

    def __init__(self, attempt_id: uuid.UUID) -> None:
        self.id = attempt_id

    def mark(self) -> str:
        return '{"out_text": 7}'


def is_open(hub: Hub, one: AdmissionRequest) -> bool:
    query = "SELECT id FROM billing_hold WHERE id = %s AND state = 'open'"
    return bool(hub.rows(query, one.attempt.id))


def record_of(hub: Hub, one: AdmissionRequest) -> dict[str, object]:
    (row,) = hub.rows("SELECT * FROM usage_usagerecord WHERE id = %s", one.attempt.id)
    return row


async def test_requests_beyond_one_batch_stay_within_the_money(
    hub: Hub, connection: PipelinedConnection
) -> None:
    """P2: the sum of what was admitted is what there was, to the unit."""
    ledger, tenant = LedgerWriter(connection), hub.tenant("0.000030000")
    batch = [asked(tenant) for _ in range(BATCH_MAX + 100)]
    verdicts = await asyncio.gather(*map(ledger.admit, batch))
    assert [verdict.word for verdict in verdicts].count("admitted") == 300
    for one, verdict in zip(batch, verdicts, strict=True):
        if verdict.word == "admitted":
            ledger.settle(ended(one))
            ledger.settle(ended(one, charge_nano=99))
    await ledger.join()
    assert hub.balance(tenant)["revenue"] == 300 * 10
    assert hub.balance(tenant)["customer:available"] == 30_000 - 3_000
    hub.assert_books_balance()


async def test_batch_can_hold_what_it_releases(hub: Hub, connection: PipelinedConnection) -> None:
    """Failing over needs no second balance."""
    ledger, tenant = LedgerWriter(connection), hub.tenant("0.000000100")
    first = asked(tenant)
    assert (await ledger.admit(first)).word == "admitted"
    assert (await ledger.admit(asked(tenant))).word == "insufficient"
    failed = ended(first, charge_nano=0, final=False, status=502, basis="none")
    again = msgspec.structs.replace(
        asked(tenant, request_id=first.attempt.request_id, n=2), replaces=failed
    )
    assert await ledger.admit(again) == Verdict("admitted", 0)
    ledger.settle(ended(again))
    await ledger.join()
    assert record_of(hub, first)["final"] is False
    hub.assert_books_balance()


async def test_unstorable_ending_harms_no_other(hub: Hub, connection: PipelinedConnection) -> None:
    ledger, tenant = LedgerWriter(connection), hub.tenant()
    good, bad = asked(tenant), asked(tenant)
    await asyncio.gather(ledger.admit(good), ledger.admit(bad))
    ledger.settle(ended(bad, raw_usage="{broken", message='tricky "text" \\ {,}'))
    ledger.settle(ended(good, raw_usage='{"a": "\\\\ \\" }{"}', message='tricky "text" \\ {,} \0'))
    await ledger.join()
    assert record_of(hub, good)["message"] == 'tricky "text" \\ {,} '
    assert record_of(hub, good)["raw_usage"] == {"a": '\\ " }{'}
    assert record_of(hub, bad)["raw_usage"] is None
    assert record_of(hub, bad)["flags"] == ["unstorable"]
    assert record_of(hub, bad)["charge_nano"] == 10
    hub.assert_books_balance()


async def test_condition_with_a_nul_is_kept_for_its_review(
    hub: Hub, connection: PipelinedConnection
) -> None:
    """P28: in the words of an upstream, whatever they contain. What the database refuses all the
    same is left out, and nothing else of the end is."""
    ledger, tenant = LedgerWriter(connection), hub.tenant()
    attempts = good, bad = asked(tenant), asked(tenant)
    await asyncio.gather(*map(ledger.admit, attempts))
    bill = Bill({}, 0, "held", (), None, unknown=("service_tier=a\0b",))
    for attempt, pricing in zip(attempts, (bill.pricing_text("p"), '"\\u0000"'), strict=True):
        ledger.settle(ended(attempt, pricing=pricing))
    await ledger.join()
    assert record_of(hub, good)["pricing"] == {
        "unknown": ["service_tier=a\ufffdb"], "provider": "p", "wire": "",
    }  # fmt: skip
    assert record_of(hub, good)["flags"] == []
    assert record_of(hub, bad)["pricing"] is None
    assert record_of(hub, bad)["charge_nano"] == 10
    hub.assert_books_balance()


async def test_unstorable_request_rejects_no_other(
    hub: Hub, connection: PipelinedConnection
) -> None:
    ledger, tenant = LedgerWriter(connection), hub.tenant()
    good, bad = asked(tenant), asked(tenant, model="m" * 500)
    results: tuple[Verdict | BaseException, ...] = await asyncio.gather(
        ledger.admit(good), ledger.admit(bad), return_exceptions=True
    )
    verdict, fault = results
    assert isinstance(verdict, Verdict)
    assert verdict.word == "admitted"
    assert isinstance(fault, DatabaseRefused)
    ledger.settle(ended(good))
    await ledger.join()
    hub.assert_books_balance()


@pytest.mark.parametrize("when", ["asked", "told"])
async def test_client_leaving_during_admission_leaves_a_record_and_no_hold(
    hub: Hub, connection: PipelinedConnection, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Also where it leaves in the moment in which it was told, and has not heard it yet."""
    ledger, rich, poor = LedgerWriter(connection), hub.tenant(), hub.tenant("0")
    first, admitted, refused = asked(rich), asked(rich), asked(poor)
    # An organisation's accounts are there from its first request on.
    await ledger.admit(first)
    ledger.settle(ended(first))
    await ledger.join()
    tasks = [asyncio.create_task(ledger.admit(one)) for one in (admitted, refused)]
    loop, run = asyncio.get_running_loop(), connection.run

    async def run_and_leave(statements: Sequence[Statement]) -> Sequence[Sequence[Row]]:
        rows = await run(statements)
        for task in tasks:
            # Before those go on who are told in this turn of the loop.
            loop.call_soon(task.cancel)
        return rows

    if when == "told":
        monkeypatch.setattr(connection, "run", run_and_leave)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    if when == "asked":
        for task in tasks:
            task.cancel()
    await asyncio.wait(tasks)
    await ledger.join()
    assert all(task.cancelled() for task in tasks)
    assert record_of(hub, admitted)["status"] == 499
    assert hub.balance(rich)["customer:held"] == 0
    (row,) = hub.rows(
        "SELECT * FROM usage_usagerecord WHERE request_id = %s", refused.attempt.request_id
    )
    assert (row["kind"], row["charge_nano"]) == ("client_closed", 0)
    hub.assert_books_balance()


async def test_free_requests_are_in_the_books_too(
    hub: Hub, connection: PipelinedConnection
) -> None:
    """An organisation that never had money gets its accounts with its first free request."""
    ledger, tenant = LedgerWriter(connection), hub.tenant("0")
    free = asked(tenant, hold_nano=0)
    assert await ledger.admit(free) == Verdict("admitted", 0)
    ledger.settle(ended(free, charge_nano=0))
    await ledger.join()
    hub.assert_books_balance()


async def test_closed_lane_rejects_immediately(hub: Hub) -> None:
    connection = PipelinedConnection(hub.dsn, 20.0)
    with pytest.raises(DatabaseAway):
        await LedgerWriter(connection).admit(asked(hub.tenant()))
    with pytest.raises(DatabaseAway):
        await connection.run([("SELECT 1", {})])
    await connection.close()


async def test_locked_accounts_delay_no_other_organisation(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I23: who waits for a lock in vain is asked to come again; the others of its batch go on."""
    monkeypatch.setitem(database.SESSION, "lock_timeout", "50")
    connection = PipelinedConnection(hub.dsn, 20.0)
    await connection.open()
    ledger, held, free = LedgerWriter(connection), hub.tenant(), hub.tenant()
    mine, theirs = asked(held), asked(free)
    await asyncio.gather(ledger.admit(mine), ledger.admit(theirs))
    await ledger.join()
    with psycopg.connect(hub.dsn) as other:
        other.execute(
            "SELECT 1 FROM billing_account WHERE organisation_id = %s FOR UPDATE",
            [held.organisation_id],
        )
        ledger.settle(ended(mine))
        ledger.settle(ended(theirs))
        results: tuple[Verdict | BaseException, ...] = await asyncio.gather(
            ledger.admit(asked(held)), ledger.admit(asked(free)), return_exceptions=True
        )
    assert isinstance(results[0], DatabaseRefused)
    assert isinstance(results[1], Verdict)
    assert results[1].word == "admitted"
    await ledger.join()
    assert [record_of(hub, one)["charge_nano"] for one in (mine, theirs)] == [10, 10]
    assert hub.balance(held)["customer:held"] == 0
    await connection.close()


async def test_pending_ending_prevents_rejection_for_money(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I5: in the parts of a batch as in the whole one."""
    monkeypatch.setitem(database.SESSION, "lock_timeout", "50")
    monkeypatch.setattr(batching, "_WAIT_S", 3600)
    connection = PipelinedConnection(hub.dsn, 20.0)
    await connection.open()
    ledger, held, free = LedgerWriter(connection), hub.tenant(), hub.tenant("0.000000100")
    first, ending = asked(held), asked(free, 60)
    await asyncio.gather(ledger.admit(first), ledger.admit(ending))
    await ledger.join()
    with psycopg.connect(hub.dsn) as other:
        other.execute(
            "SELECT 1 FROM billing_account WHERE organisation_id = %s FOR UPDATE",
            [held.organisation_id],
        )
        ledger.settle(ended(ending, charge_nano=0))
        results: tuple[Verdict | BaseException, ...] = await asyncio.gather(
            ledger.admit(asked(held)), ledger.admit(asked(free, 60)), return_exceptions=True
        )
    assert isinstance(results[0], DatabaseRefused)
    assert results[1] == Verdict("admitted", 40)
    ledger.settle(ended(first))
    await ledger.join()
    await connection.close()


def in_first_slot(folder: Path) -> list[Kept]:
    (file,) = folder.iterdir()
    return read(file.read_bytes()[:2048]).items


async def test_late_usage_is_in_the_journal_until_it_is_written(hub: Hub, tmp_path: Path) -> None:
    """P1: a kill between an ending that came too late and its adjustment loses nothing."""
    journal, kept = Journal(tmp_path, new_id()), list[bool]()
    journal.open()

    class Looking(PipelinedConnection):
        async def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
            kept.append(bool(in_first_slot(tmp_path)))
            return await super().run(statements)

    connection = Looking(hub.dsn, 2.0)
    await connection.open()
    ledger, one = LedgerWriter(connection, journal=journal), asked(hub.tenant())
    await ledger.admit(one)
    LedgerWriter(connection).settle(ended(one, charge_nano=0), at_once=True)
    while is_open(hub, one):
        await connection.run([("SELECT 1", {})])
    kept.clear()
    ledger.settle(ended(one))
    await ledger.join()
    assert kept == [True, True]
    assert not in_first_slot(tmp_path)
    journal.close()
    await connection.close()


async def test_ending_waits_for_an_admission_unless_others_need_its_place(
    hub: Hub, connection: PipelinedConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I23: a place of a limit of requests at once is free for every process when it is free."""
    monkeypatch.setattr(batching, "_WAIT_S", 3600)
    ledger, tenant = LedgerWriter(connection), hub.tenant()
    one, two, three = asked(tenant), asked(tenant), asked(tenant)
    await asyncio.gather(*map(ledger.admit, (one, two, three)))
    await ledger.join()

    def unresolved() -> int:
        query = "SELECT id FROM billing_hold WHERE organisation_id = %s AND state = 'open'"
        return len(hub.rows(query, tenant.organisation_id))

    ledger.settle(ended(one))
    for _ in range(3):
        await connection.run([("SELECT 1", {})])
    assert unresolved() == 3
    assert (await ledger.admit(asked(tenant))).word == "admitted"
    assert unresolved() == 4
    ledger.settle(ended(two), at_once=True)
    while unresolved() != 2:
        await connection.run([("SELECT 1", {})])
    ledger.settle(ended(three))
    await ledger.join()
    assert unresolved() == 1


async def test_few_admissions_precede_settlements_and_many_join_them(
    hub: Hub, connection: PipelinedConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is alone waits for no commit but its own; where many share one, it is the cheapest."""
    monkeypatch.setattr(batching, "_WAIT_S", 3600)
    ledger, tenant = LedgerWriter(connection), hub.tenant()
    first = asked(tenant)
    await ledger.admit(first)
    ledger.settle(ended(first))
    for _ in range(3):
        assert (await ledger.admit(asked(tenant))).word == "admitted"
        assert is_open(hub, first)
    few = batching._FEW
    await asyncio.gather(*(ledger.admit(asked(tenant)) for _ in range(few + 1)))
    assert not is_open(hub, first)


@pytest.mark.parametrize(("wait_s", "many"), [(0.01, 1000), (3600, 3)])
async def test_settlements_wait_for_time_or_number_then_for_no_one(
    hub: Hub,
    connection: PipelinedConnection,
    monkeypatch: pytest.MonkeyPatch,
    wait_s: float,
    many: int,
) -> None:
    """P6: what ended is in the books soon, whether or not anybody asks for more."""
    monkeypatch.setattr(batching, "_WAIT_S", wait_s)
    monkeypatch.setattr(batching, "_MANY", many)
    ledger, tenant = LedgerWriter(connection), hub.tenant()
    batch = [asked(tenant) for _ in range(3)]
    await asyncio.gather(*map(ledger.admit, batch))
    for one in batch:
        ledger.settle(ended(one))
    while any(is_open(hub, one) for one in batch):
        await connection.run([("SELECT 1", {})])


@pytest.mark.parametrize("hold_nano", [100, 60])
async def test_admission_can_hold_what_a_later_ending_releases(
    hub: Hub, connection: PipelinedConnection, monkeypatch: pytest.MonkeyPatch, hold_nano: int
) -> None:
    """I5: nobody is refused for money that is free, whatever the order of writing."""
    monkeypatch.setattr(batching, "_WAIT_S", 3600)
    ledger, tenant = LedgerWriter(connection), hub.tenant("0.000000100")
    first, second = asked(tenant, 60), asked(tenant, hold_nano)
    await ledger.admit(first)
    ledger.settle(ended(first, charge_nano=0))
    assert (await ledger.admit(second)).word == "admitted"
    assert (await ledger.admit(asked(tenant, 60))).word == "insufficient"
    ledger.settle(ended(second))
    await ledger.join()
    hub.assert_books_balance()


async def test_ending_is_committed_with_other_streams_marks(
    hub: Hub, connection: PipelinedConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One commit for what is written of several streams, and none of them waits for another."""
    monkeypatch.setattr(batching, "_WAIT_S", 3600)
    ledger, tenant = LedgerWriter(connection), hub.tenant()
    one, two = asked(tenant), asked(tenant)
    await asyncio.gather(*map(ledger.admit, (one, two)))
    await ledger.join()
    streams = [Stream(one.attempt.id), Stream(two.attempt.id)]
    for stream in streams:
        ledger.marks.watch(stream)
    ledger.settle(ended(one))
    ledger.marks.unwatch(streams[0])
    while is_open(hub, one):
        await connection.run([("SELECT 1", {})])
    (row,) = hub.rows("SELECT mark FROM billing_hold WHERE id = %s", two.attempt.id)
    assert row["mark"] == {"out_text": 7}
    ledger.settle(ended(two))
    ledger.marks.unwatch(streams[1])
    await ledger.join()


class FailingOnce(PipelinedConnection):
    """A connection on which the next transactions fail in these ways, each once."""

    faults: Sequence[DatabaseFailed] = ()

    async def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        if self.faults:
            fault, *self.faults = self.faults
            raise fault
        return await super().run(statements)


@pytest_asyncio.fixture
async def failing_once(hub: Hub) -> AsyncIterator[FailingOnce]:
    connection = FailingOnce(hub.dsn, 2.0, new_id())
    await connection.open()
    yield connection
    await connection.close()


# As Postgres names them (its manual, appendix A): serialization, deadlock, memory, a lock, a
# cancelled statement, a shutdown, a transaction that may only read.
@pytest.mark.parametrize(
    "sqlstate", ["40001", "40P01", "53200", "55P03", "57014", "57P01", "25006"]
)
async def test_transient_failure_is_retried_and_not_taken_as_unstorable(
    hub: Hub, failing_once: FailingOnce, sqlstate: str
) -> None:
    """P1: the ending is written whole, with its texts."""
    ledger, one = LedgerWriter(failing_once), asked(hub.tenant())
    await ledger.admit(one)
    failing_once.faults = [DatabaseRefused(sqlstate, "for a moment")]
    ledger.settle(ended(one, message="its text", raw_usage='{"a": 1}'), at_once=True)
    await ledger.join()
    record = record_of(hub, one)
    assert (record["message"], record["raw_usage"]) == ("its text", {"a": 1})
    assert (record["flags"], record["charge_nano"]) == ([], 10)
    hub.assert_books_balance()


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "55P03"])
async def test_a_deadlock_refuses_nobody(
    hub: Hub, failing_once: FailingOnce, caplog: pytest.LogCaptureFixture, sqlstate: str
) -> None:
    """P10: the request is asked once more; when it is rolled back twice, the log says why."""
    ledger, one, other = LedgerWriter(failing_once), asked(hub.tenant()), asked(hub.tenant())
    in_the_way = DatabaseRefused(sqlstate, "for a moment")
    failing_once.faults = [in_the_way]
    assert (await ledger.admit(one)).word == "admitted"
    refused = f"requests refused: 1, because of {in_the_way}"
    assert refused not in caplog.messages
    failing_once.faults = [in_the_way, in_the_way]
    with pytest.raises(DatabaseRefused, match=sqlstate):
        await ledger.admit(other)
    assert refused in caplog.messages
    await ledger.join()
    assert is_open(hub, one)
    assert not is_open(hub, other)
    ledger.settle(ended(one), at_once=True)
    await ledger.join()
    hub.assert_books_balance()


@pytest.mark.parametrize("fault", [DatabaseAway("gone"), DatabaseRefused("40001", "not serial")])
async def test_an_unwritten_lease_is_written_by_the_next_transaction(
    hub: Hub, failing_once: FailingOnce, fault: DatabaseFailed
) -> None:
    """A process that lives is not taken for dead because the database was away once."""
    ledger, tenant = LedgerWriter(failing_once), hub.tenant()
    query = "SELECT 1 FROM billing_process WHERE id = %s AND alive_until > now()"
    for _ in ("the first, which every hold needs", "a later one"):
        failing_once.faults = [fault]
        ledger.renew()
        await ledger.join()
        assert not hub.rows(query, failing_once.process_id)
        one = asked(tenant)
        assert (await ledger.admit(one)).word == "admitted"
        assert hub.rows(query, failing_once.process_id)
        ledger.settle(ended(one))
        await ledger.join()
        with psycopg.connect(hub.dsn) as other:
            other.execute(
                "UPDATE billing_process SET alive_until = now() - interval '1 s' WHERE id = %s",
                [failing_once.process_id],
            )


class Away(PipelinedConnection):
    """A database that takes nothing, and whose loss nobody has noticed."""

    usable = True

    def __init__(self) -> None:
        self.process_id = None

    async def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        raise DatabaseAway("as the test wants it")


async def test_admission_does_not_wait_for_a_retry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """P18: new work is refused at once, also while the ends of others wait."""
    for name in ("_RETRY_S_MIN", "_RETRY_S_MAX"):
        monkeypatch.setattr(ledger_writer, name, 3600)
    ledger = LedgerWriter(Away())
    async with asyncio.timeout(10):
        for _ in range(2):
            with pytest.raises(DatabaseAway):
                await ledger.admit(one_asked())
    assert ledger._worker is not None
    ledger._worker.cancel()


async def test_due_ending_follows_the_few_admissions_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """I23: others wait for the place that it holds, and it does not wait for its time again."""
    monkeypatch.setattr(batching, "_WAIT_S", 3600)
    ledger, written = LedgerWriter(Away()), list[tuple[int, int]]()

    async def write(batch: Batch) -> None:
        written.append((len(batch.admissions), len(batch.settlements)))
        for _, future in batch.admissions:
            future.set_result(Verdict("admitted", 0))

    monkeypatch.setattr(ledger._batches, "write", write)
    ledger.settle(ended(one_asked()), at_once=True)
    await ledger.admit(one_asked())
    if ledger._worker is not None:
        await asyncio.wait([ledger._worker])
    assert written == [(1, 0), (0, 1)]


async def test_a_database_that_is_away_is_asked_ever_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("random.uniform", lambda *_: 0)
    ledger, waits = LedgerWriter(Away()), list[float]()
    for _ in range(8):
        await ledger._back_off(DatabaseAway("gone"))
        waits.append(ledger._retry_s)
    assert waits == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2, 2])
