"""What a batch carries besides what it was made for, and what becomes of requests that a batch
could not decide."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from lib.id_types import ChannelId
from lib.ids import new_id
from relay.database.database import PipelinedConnection, Row, Statement
from relay.errors import DatabaseAway, DatabaseRefused
from relay.ledger import settlement
from relay.ledger.admission import Verdict
from relay.ledger.batching import Batch, LedgerMarks, LedgerQueue
from relay.ledger.crash_recovery import LedgerRecovery
from relay.ledger.settlement import Settlement
from relay.ledger.transaction import BatchWriter, _refusal, _strip_texts, _void
from tests.relay.ledger.test_journal import resolved
from tests.relay.ledger.test_ledger_writer import one_asked
from tests.relay.ledger.test_spool import settlements
from usage.records.sql import AttemptOpened, Refusal

CONFLICT = DatabaseRefused("40001", "not serial")


class Connection:
    """A database that takes every transaction and answers nothing."""

    def __init__(self, process_id: UUID | None) -> None:
        self.process_id = process_id
        self.ran: list[Sequence[Statement]] = []

    async def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        self.ran.append(statements)
        return [[] for _ in statements]


class Writer:
    """The writer of a process, and what waits for its next batch."""

    def __init__(self, process_id: UUID | None = None) -> None:
        self.connection = Connection(process_id)
        self.queue, recovery = LedgerQueue(lambda: None), LedgerRecovery(None, None)
        self.batches = BatchWriter(
            cast(PipelinedConnection, self.connection), self.queue,
            LedgerMarks(recovery, lambda: None), recovery,
        )  # fmt: skip


async def test_the_first_transaction_of_a_process_has_its_lease() -> None:
    """A hold without one would be taken for that of a dead process."""
    process_id = new_id()
    writer = Writer(process_id)
    for _ in range(2):
        await writer.batches.write(Batch())
    assert writer.connection.ran == [[settlement.lease(process_id)], []]
    writer.batches.renew_lease()
    await writer.batches.write(Batch())
    assert writer.connection.ran[-1] == [settlement.lease(process_id)]


async def test_writer_without_a_process_writes_no_lease() -> None:
    writer = Writer()
    assert not writer.batches.lease_due
    writer.batches.renew_lease()
    assert not writer.batches.lease_due


@pytest.mark.parametrize(
    ("errors", "asked_again"),
    [
        ([CONFLICT], True),
        ([CONFLICT, CONFLICT], False),
        ([DatabaseAway("gone")], False),
        ([DatabaseRefused("22P05", "no such character")], False),
    ],
)
async def test_conflict_of_two_transactions_is_retried_once(
    errors: Sequence[Exception], asked_again: bool
) -> None:
    """And no further, or two that are in each other's way would go on for ever."""
    writer, request = Writer(), one_asked()
    future: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
    waiting = [(request, future)]
    for error in errors:
        writer.batches.fail(waiting, error)
        waiting, writer.queue.admissions = writer.queue.admissions, []
    assert bool(waiting) is asked_again
    if asked_again:
        assert not future.done()
        assert writer.queue.settlements == []
    else:
        assert future.exception() is errors[-1]
        # Whatever the database may have written for it is undone.
        (undone,) = writer.queue.settlements
        assert isinstance(undone, settlement.Settlement)
        assert (undone.attempt_id, undone.state) == (request.attempt.id, "voided")


@pytest.mark.parametrize("in_time", [True, False])
@pytest.mark.parametrize("limited", [True, False])
async def test_usage_is_late_by_the_rows_of_its_hold_alone(limited: bool, in_time: bool) -> None:
    """However many locks come before: those of accounts, and those of limited channels."""
    (item,) = resolved(1)
    channel_id = ChannelId(new_id()) if limited else None
    ending = msgspec.structs.replace(item.ending, basis="measured")
    item = msgspec.structs.replace(item, limited_channel_id=channel_id, ending=ending)
    (holds, _), *_ = settlement.statements([item])

    class Answering(Connection):
        async def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
            self.ran.append(statements)
            row = [cast(Row, (str(item.attempt_id),))]
            return [row if (text == holds) is in_time else [] for text, _ in statements]

    writer = Writer()
    writer.batches._connection = cast(PipelinedConnection, Answering(None))
    await writer.batches.write(Batch([], [item]))
    late = [
        one.attempt_id for one in writer.queue.settlements if type(one) is settlement.LateSettlement
    ]
    assert late == ([] if in_time else [item.attempt_id])


async def test_record_of_a_request_that_was_left_has_what_its_attempt_had() -> None:
    request = one_asked()
    shared = {*Refusal.__struct_fields__} & {*AttemptOpened.__struct_fields__}
    values = {name: f"its {name}" for name in shared}
    attempt = SimpleNamespace(**values)
    left: Any = SimpleNamespace(attempt=attempt)
    for after_attempts in (False, True):
        record: Any = _refusal(left, after_attempts=after_attempts)
        assert {name: getattr(record, name) for name in values} == values
        assert record.after_attempts is after_attempts
        assert (record.ending.kind, record.ending.status) == ("client_closed", 499)
    void = _void(request, "client_closed")
    assert (void.attempt_id, void.organisation_id, void.state) == (
        request.attempt.id, request.attempt.organisation_id, "voided",
    )  # fmt: skip


def test_settlement_that_cannot_be_stored_keeps_all_but_its_texts() -> None:
    item = next(one for one in settlements(3) if isinstance(one, Settlement))
    ending = msgspec.structs.replace(
        item.ending, message="m", raw_usage="r", dropped="d", pricing="p", flags=("a",)
    )
    stripped: Any = _strip_texts(msgspec.structs.replace(item, ending=ending))
    assert stripped.attempt_id == item.attempt_id
    wanted = msgspec.structs.asdict(ending) | {
        "message": "", "raw_usage": None, "dropped": None, "pricing": None,
        "flags": ("a", "unstorable"),
    }  # fmt: skip
    assert msgspec.structs.asdict(stripped.ending) == wanted
