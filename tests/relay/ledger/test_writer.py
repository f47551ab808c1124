"""What the writer of the books does with a batch that fails by a defect, and with settlements that
it hands over, without a database."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from relay.errors import DatabaseAway
from relay.ledger.batching import Batch, LedgerQueue
from relay.ledger.settlement import AnySettlement, Settlement
from relay.ledger.writer import LedgerWriter, _WriterOfFew
from tests.relay.ledger.test_spool import settlements


class Recovery:
    """The journal and the spool."""

    spooled_marks = False

    def __init__(self) -> None:
        self.forgotten: list[Any] = []
        self.spools = True
        self.spooled: list[Any] = []
        self.cleared = 0

    def forget(self, items: Any) -> None:
        self.forgotten += items

    async def spool(self, fresh: Any, marks: Any) -> bool:
        self.spooled += fresh if self.spools else []
        return self.spools

    async def clear_spool(self, is_needed: Any) -> None:
        assert not is_needed()
        self.cleared += 1


class Batches:
    """Transactions. Those with one of `bad` fail by a defect, and all while the database is
    `away`."""

    lease_due = False

    def __init__(self, *bad: AnySettlement) -> None:
        self.bad = bad
        self.away = False
        self.written: list[list[Any]] = []
        self.failed: list[Any] = []

    async def write(self, batch: Batch) -> None:
        if self.away:
            raise DatabaseAway("away")
        if any(item is one for item in batch.settlements for one in self.bad):
            raise KeyError("a defect")
        self.written.append([*batch.settlements])

    def fail(self, admissions: Any, error: Exception) -> None:
        self.failed.append(type(error))


def writer(*bad: AnySettlement, of_few: Any = None) -> tuple[LedgerWriter, Batches, Recovery]:
    one: Any = object.__new__(_WriterOfFew if of_few is not None else LedgerWriter)
    batches, recovery = Batches(*bad), Recovery()
    one._batches, one._recovery, one._of_few, one._few = batches, recovery, None, frozenset()
    one._queue = LedgerQueue(lambda: None)
    one.marks = SimpleNamespace(due=False, waiting={})
    one._loop, one._worker, one._retry_s = asyncio.get_running_loop(), None, 0.0
    one._wakeup = asyncio.Event()
    one._hand_over = of_few
    return cast(LedgerWriter, one), batches, recovery


async def test_batch_with_a_defect_is_written_one_by_one() -> None:
    """What fails again is left to the sweeper; the others are in the books."""
    good, bad, last = settlements(3)
    one, batches, recovery = writer(bad)
    one._take_over([good, bad, last])
    await one.join()
    assert batches.written == [[good], [last]]
    assert batches.failed == [KeyError]
    assert recovery.forgotten == [good, bad, last]
    assert not one._queue.has_settlements
    assert recovery.cleared == 1


async def test_rest_of_such_a_batch_waits_for_a_database_that_goes_away() -> None:
    good, bad, last = settlements(3)
    one, batches, _ = writer(bad)
    write = batches.write

    async def leave(batch: Batch) -> None:
        await write(batch)
        batches.away = batch.settlements == [good]

    batches.write = leave  # type: ignore[method-assign]
    assert await one._write_singly([good, bad, last]) == 1
    assert batches.written == [[good]]
    assert one._queue.settlements == [bad, last]


async def test_what_waits_is_spooled_once() -> None:
    first, second = settlements(2)
    one, _, recovery = writer()
    one._queue.settlements = [first]
    recovery.spools = False
    await one._spool()
    assert one._queue.spooled == 0
    recovery.spools = True
    await one._spool()
    one._queue.settlements.append(second)
    await one._spool()
    assert (recovery.spooled, one._queue.spooled) == ([first, second], 2)
    await one._unspool(1)
    assert (one._queue.spooled, recovery.cleared) == (1, 0)
    await one._unspool(5)
    assert (one._queue.spooled, recovery.cleared) == (0, 1)


async def test_writer_of_few_hands_over_all_but_what_undoes_an_admission() -> None:
    handed: list[Any] = []
    one, _, recovery = writer(of_few=handed.extend)
    end = next(item for item in settlements(3) if isinstance(item, Settlement))
    void = msgspec.structs.replace(end, state="voided")
    one._queue.settlements = [end, void]
    await one._spool()
    assert (handed, one._queue.settlements, recovery.spooled) == ([end], [void], [])
    await one._unspool(1)
    assert recovery.cleared == 0


async def test_connection_of_few_is_opened_once() -> None:
    opened: list[str] = []
    one, _, _ = writer(of_few=opened.extend)
    few = cast(_WriterOfFew, one)
    for usable, opens in ((True, []), (False, ["later"])):
        cast(Any, few)._connection = SimpleNamespace(
            usable=usable, open_later=lambda: opened.append("later")
        )
        few.open()
        assert (few.usable, opened) == (usable, opens)


async def test_join_waits_for_the_writer_of_few_too() -> None:
    joined: list[str] = []

    async def join() -> None:
        joined.append("few")

    one, _, _ = writer()
    cast(Any, one)._of_few = SimpleNamespace(join=join)
    await one.join()
    assert joined == ["few"]
