"""The only writer of a process to the ledger: admissions and settlements, together, in batches.

Items that arrive during a commit join the next batch, with those of callbacks that are ready by
then. No admission waits for a timer: a fixed wait of 2 ms was measured to add latency and save
nothing.

    admit    waits for its verdict; fails immediately while the database is away
    settle   nobody waits for it; it is retried until it succeeds
    marks    the high-water marks of streams, written while they run

How a settlement becomes durable (P1, P18), and the module of each step:

    settle --> journal            before the client has the whole answer     `crash_recovery.py`
           --> queue              until it is due for a batch               `batching.py`
           --> one transaction    hold, posting and record, once (I6, I10)   `transaction.py`
                 committed    --> removed from the journal
                 not possible --> spool, on the disk; retried with back-off; removed from the spool
                                  when all settlements in it are committed

The journal, spool and marks (`batching.py`) of a process that is killed anywhere on this way are
adopted by the next process. No new work is accepted while a settlement waits on the disk.

Beside a crowd, organisations with few requests have a writer and a connection of their own, so that
they wait for no transaction of the crowd (P35). The two writers are to each other as those of two
processes.
"""

import asyncio
import contextlib
import logging
import random
import time
import types
from collections.abc import Callable, Generator, Sequence
from collections.abc import Set as AbstractSet
from contextvars import Context
from typing import Final
from uuid import UUID

from lib.id_types import AttemptId
from relay.database.database import PipelinedConnection
from relay.errors import DatabaseAway, DatabaseFailed
from relay.ledger.admission import AdmissionRequest, Verdict
from relay.ledger.batching import Batch, LedgerMarks, LedgerQueue
from relay.ledger.crash_recovery import LedgerRecovery
from relay.ledger.journal import Journal
from relay.ledger.settlement import AnySettlement, Settlement
from relay.ledger.spool import Spool
from relay.ledger.transaction import BatchWriter

log = logging.getLogger(__name__)

_RETRY_S_MIN, _RETRY_S_MAX = 0.05, 2.0
# From its bytes to its admission a request takes some turns of the event loop, each of which takes
# time in a busy process. After a request that came alone, others are unlikely to follow
# immediately.
_TURNS: Final = 16
_TURNS_ALONE: Final = 4
_TURNS_S: Final = 0.005


class LedgerWriter:
    """Writes the holds, attempts, postings and records of one process."""

    # Whether a batch waits for callbacks that are ready, whose requests join it.
    _gathers = True

    def __init__(
        self,
        connection: PipelinedConnection,
        spool: Spool | None = None,
        journal: Journal | None = None,
        *,
        recovery: LedgerRecovery | None = None,
        is_shared: Callable[[], bool] = lambda: False,
        of_few: PipelinedConnection | None = None,
    ) -> None:
        """`recovery` replaces `spool` and `journal`. `is_shared` tells whether requests of several
        keys are running. `of_few` is a closed connection for organisations with few requests."""
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._recovery = LedgerRecovery(spool, journal) if recovery is None else recovery
        self._queue = LedgerQueue(self._write_now, is_shared)
        self.marks = LedgerMarks(self._recovery, self._wake)
        self._batches = BatchWriter(connection, self._queue, self.marks, self._recovery)
        self._worker: asyncio.Task[None] | None = None
        self._of_few = (
            None if of_few is None else _WriterOfFew(of_few, self._recovery, self._take_over)
        )
        # The organisations with few requests, by `UUID.int`.
        self._few: AbstractSet[int] = frozenset()
        # Above 0 while the database is away; set when there is something new to try.
        self._retry_s = 0.0
        self._wakeup = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Return whether new paid work can be accepted: nothing waits on the disk, and it has
        space.
        """
        return self._recovery.usable and not self._queue.on_disk

    async def open_spool(self) -> None:
        """Create the spool if necessary, and take over the spools of dead processes. Later calls
        take over what other processes of this machine have left in their journals since."""
        adopted = await self._recovery.open()
        if adopted is not None and any(adopted):
            self._queue.adopted += adopted.spooled
            self._queue.settlements += adopted.noted
            self.marks.put_back(adopted.marks)
            self._write_now()

    def close_spool(self) -> None:
        """Close the spool. The next process adopts what is still in it."""
        self._recovery.close()

    def take_damaged(self) -> int:
        """Return how many records of dead processes could not be read since the last call."""
        return self._recovery.take_damaged()

    async def admit(self, request: AdmissionRequest) -> Verdict:
        """Place the hold and open the attempt. Return the verdict. Raises DatabaseAway or
        DatabaseRefused if the database could not decide; whatever it may have written is undone
        later. If the caller is cancelled while it waits, the request leaves a record and no
        hold."""
        if not self._connection.usable:
            raise DatabaseAway("no connection to the database")
        if not self._recovery.usable:
            raise DatabaseAway("the spool can take no more")
        if self._few and (apart := self._writer_apart(request.attempt.organisation_id)):
            return await apart.admit(request)
        future: asyncio.Future[Verdict] = self._loop.create_future()
        self._queue.admissions.append((request, future))
        self._wake()
        try:
            return await future
        except asyncio.CancelledError:
            if not future.cancelled():
                # The verdict was set, but the caller was cancelled before it could read it: nobody
                # else knows of the hold.
                self._batches.take_back(request, future)
                self._queue.start_timer()
            raise

    def settle(self, item: AnySettlement, *, at_once: bool = False) -> None:
        """Queue a settlement. Return before it is written, but only once a kill cannot lose it. Use
        `at_once` if others may need what it holds: a limit on concurrent requests, or money that is
        about to run out."""
        if self._few and (apart := self._writer_apart(item.organisation_id)):
            apart.settle(item, at_once=at_once)
            return
        self._recovery.note(item)
        self._queue.put(item, at_once=at_once or self._retry_s > 0)

    def entrust(self, attempt_id: AttemptId) -> None:
        """Leave an attempt to its media task, whose end settles it in another process."""

    def serve_apart(self, few: AbstractSet[int]) -> None:
        """Write for these organisations (`UUID.int`) without waiting for what the others write."""
        if self._of_few is not None:
            self._few = few
            if few:
                self._of_few.open()

    def _writer_apart(self, organisation_id: UUID) -> "_WriterOfFew | None":
        """Return the writer of an organisation with few requests; None if it is this one."""
        of_few = self._of_few
        apart = of_few is not None and of_few.usable and organisation_id.int in self._few
        return of_few if apart else None

    def _take_over(self, settlements: Sequence[AnySettlement]) -> None:
        self._queue.settlements += settlements
        self._write_now()

    def renew(self) -> None:
        """Write a heartbeat of this process, immediately or with the next transaction."""
        self._batches.renew_lease()
        self._wake()

    async def join(self) -> None:
        """Wait until all admissions and settlements are written."""
        if self._of_few is not None:
            await self._of_few.join()
        while self._queue.has_settlements or self._worker is not None:
            self._write_now()
            if self._worker is not None:
                await asyncio.wait([self._worker])

    def _write_now(self) -> None:
        self._queue.due = self._queue.has_settlements
        self._wake()

    def _wake(self) -> None:
        if self._worker is None:
            self._worker = self._loop.create_task(self._work(), context=Context())
        elif self._retry_s:
            self._wakeup.set()

    async def _work(self) -> None:
        queue, batch, failed = self._queue, Batch(), False
        while queue.admissions or queue.due or (self._has_deferrable_data and not failed):
            batch = queue.take(batch)
            try:
                await self._batches.write(batch)
            except DatabaseFailed as error:
                failed = True
                queue.put_back(batch.settlements)
                self._batches.fail(batch.admissions, error)
                await self._spool()
                await self._back_off(error)
            except Exception as error:
                # A defect of ours must neither end the process's writer nor lose what was counted.
                log.exception("a batch of the books failed")
                failed = True
                self._batches.fail(batch.admissions, error)
                done = await self._write_singly(batch.settlements)
                self._recovery.forget(batch.settlements[:done])
                await self._unspool(done)
            else:
                failed = False
                self._retry_s = 0.0
                if batch.settlements:
                    self._recovery.forget(batch.settlements)
                if queue.spooled or self._recovery.spooled_marks:
                    await self._unspool(len(batch.settlements))
                admissions = len(batch.admissions) + len(queue.admissions)
                if admissions and self._gathers:
                    await self._yield_to_loop(_TURNS if admissions > 1 else _TURNS_ALONE)
            queue.due = queue.has_settlements and (queue.due or failed)
            queue.start_timer()
        self._worker = None

    @property
    def _has_deferrable_data(self) -> bool:
        """Return whether there is data that may wait for another transaction: the lease, or
        high-water marks."""
        return self._batches.lease_due or self.marks.due

    @types.coroutine
    def _yield_to_loop(self, turns: int) -> Generator[None, None, None]:
        """Let other callbacks run first: requests that were admitted are sent, and requests that
        are about to be admitted join the next batch. A larger batch costs each request less, and
        only callbacks that are ready are waited for. Each `yield` is a turn, as in
        `asyncio.sleep(0)`, which would be entered anew for each."""
        until, most = time.monotonic() + _TURNS_S, self._queue.batch_max
        for _ in range(turns):
            if len(self._queue.admissions) >= most or time.monotonic() > until:
                return
            yield

    async def _write_singly(self, settlements: Sequence[AnySettlement]) -> int:
        """Write each settlement of a batch that failed because of a bug on its own. Drop a
        settlement that fails again, and leave its hold to the sweeper. Return how many were
        handled."""
        for done, item in enumerate(settlements):
            try:
                await self._batches.write(Batch(settlements=[item]))
            except DatabaseFailed:
                self._queue.put_back(settlements[done:])
                return done
            except Exception:
                log.exception("a settlement cannot be written")
        return len(settlements)

    async def _spool(self) -> None:
        """Write what waits for the database to the spool."""
        fresh = self._queue.settlements[self._queue.spooled :]
        if await self._recovery.spool(fresh, self.marks.waiting):
            self._queue.spooled += len(fresh)

    async def _unspool(self, written: int) -> None:
        """Count the first `written` settlements as committed, and empty the spool once all that it
        contains are."""
        self._queue.spooled = max(0, self._queue.spooled - written)
        if not self._queue.on_disk:
            await self._recovery.clear_spool(lambda: self._queue.on_disk)

    async def _back_off(self, error: Exception) -> None:
        if self._queue.settlements:
            log.warning(
                "%d settlements wait for the database: %s", len(self._queue.settlements), error
            )
        self._retry_s = min(max(self._retry_s * 2, _RETRY_S_MIN), _RETRY_S_MAX)
        self._wakeup.clear()
        with contextlib.suppress(TimeoutError):
            # An admission must not wait for the retry of what failed before it.
            await asyncio.wait_for(self._wakeup.wait(), self._retry_s * random.uniform(0.5, 1))


class _WriterOfFew(LedgerWriter):
    """Writes for organisations with few requests beside a crowd. It leaves the spool to the other
    writer: settlements that it cannot write are given to `take_over`."""

    _gathers = False

    def __init__(
        self,
        connection: PipelinedConnection,
        recovery: LedgerRecovery,
        take_over: Callable[[Sequence[AnySettlement]], None],
    ) -> None:
        super().__init__(connection, recovery=recovery)
        self._hand_over = take_over

    @property
    def usable(self) -> bool:
        """Whether its connection is open."""
        return self._connection.usable

    def open(self) -> None:
        """Open its connection in the background, if it is not open."""
        if not self._connection.usable:
            self._connection.open_later()

    async def _spool(self) -> None:
        """Hand over what waits for the database. What undoes an admission stays: the transaction of
        that admission may still be running, until this connection is opened again."""
        stays: list[AnySettlement] = []
        ends: list[AnySettlement] = []
        for item in self._queue.settlements:
            voids = isinstance(item, Settlement) and item.state == "voided"
            (stays if voids else ends).append(item)
        self._queue.settlements = stays
        self._hand_over(ends)

    async def _unspool(self, written: int) -> None:
        """Leave the spool as it is."""
