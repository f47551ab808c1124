"""The one writer of a process to the ledger: admissions and settlements, together, in batches.

What arrives while a commit is in flight goes into the next one, with what the event loop has ready
behind it. No admission waits for a timer: a fixed wait of 2 ms was measured to add latency and save
nothing.

    admit    waits for its verdict; hears at once when the database is away
    settle   nobody waits for it: it waits for others, goes behind a few admissions, or along with
             many, and is tried until it is through
    watch    a stream whose high-water marks are written while it runs

Marks and the process's lease are written along with whatever else there is. They are what another
process settles our attempts by when this one is killed.

An ending is noted in a journal before the client has the whole answer. While the database is away,
endings are kept in a spool on the disk as well. Either is replayed by whichever process comes next
if this one is killed. The process is ready again when its spool is empty.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Final, Protocol
from uuid import UUID

from dialects.errors import KINDS, ErrorKind, message_of
from relay import admission, settlement
from relay.admission import AdmissionRequest, Verdict
from relay.database import DatabaseAway, DatabaseRefused, PipelinedConnection
from relay.journal import Journal
from relay.settlement import LateEnding, Marked, Resolved, Settled
from relay.spool import Spool, SpoolUnusable
from usage.sql import Ending, Refusal

log = logging.getLogger(__name__)

BATCH_MAX = 256

_RETRY_S_MIN, _RETRY_S_MAX = 0.05, 2.0
# How long an ending waits at most, and for how many others: a commit of its own would keep the next
# admission waiting.
_WAIT_S: Final = 0.1
_MANY: Final = 64
# So many admissions go before the endings that wait; beside more of them an ending costs least.
_FEW: Final = 4
# From its bytes to its question a request takes some turns of the event loop; a turn of a busy
# process takes its time.
_TURNS: Final = 16
_TURNS_S: Final = 0.005
# What another try may cure: serialization and deadlock, lack of resources, locks, cancelled
# statements, an administrator's shutdown, a server that became read-only.
_PASSING = ("40", "53", "55", "57", "25")
_LOCKED: Final = "55P03"

# How long a process that says no more that it lives is believed.
LEASE_S: Final = 10
# A stream is looked at this often, and its mark written at the third look; the rest of the promised
# 250 ms (docs/promises.md, "Life of an attempt") is for its commit. One that has grown by half of
# the 64 tokens is marked at once: what it says while we read it late is the other half.
_LOOK_S: Final = 0.05
_LOOKS: Final = 3

_Waiting = tuple[AdmissionRequest, "asyncio.Future[Verdict]"]
_Part = tuple[list[_Waiting], list[Settled]]


class Watched(Protocol):
    """A stream that tells how far it surely is."""

    @property
    def id(self) -> UUID: ...
    def mark(self) -> str | None:
        """The meters so far as JSON text; None when there is nothing new."""


class LedgerWriter:
    """Writes holds, attempts, postings and records of one process."""

    def __init__(
        self,
        connection: PipelinedConnection,
        spool: Spool | None = None,
        journal: Journal | None = None,
    ) -> None:
        self._connection = connection
        self._spool = spool
        self._journal = journal
        # How many of the endings, from the first on, are in the spool; whether it can take more.
        self._spooled = 0
        self._spool_usable = True
        self._opened = False
        # What dead processes kept in their spools, until the writer takes it up.
        self._adopted: list[Settled] = []
        self._admissions: list[_Waiting] = []
        self._endings: list[Settled] = []
        self._watched: set[Watched] = set()
        self._marks: dict[UUID, str] = {}
        # Those of them that are in the spool.
        self._kept_marks: dict[UUID, str] = {}
        self._looking: asyncio.TimerHandle | None = None
        self._looks = 0
        # Attempts whose ending is written once more as late usage; until then the journal has it.
        self._late: set[UUID] = set()
        # No hold without a lease: the first transaction says that the process lives.
        self._lease_due = connection.process_id is not None
        self._worker: asyncio.Task[None] | None = None
        # When the endings are due that wait for others, and whether they are.
        self._timer: asyncio.TimerHandle | None = None
        self._due = False
        self._wakeup = asyncio.Event()
        self._retry_s = 0.0

    @property
    def ready(self) -> bool:
        """Whether new paid work can be taken: nothing waits on the disk, and more could."""
        return self._spool_usable and not self._spooled and not self._adopted

    async def open_spool(self) -> None:
        """Make the spool if it is not there, and take up what dead processes left in theirs; later,
        what others of this machine have left in their journals since."""
        if self._spool is None:
            return
        if self._opened and self._spool_usable:
            self._adopt(set())
            return
        self._opened = True
        try:
            await asyncio.to_thread(self._spool.open)
            if self._journal is not None:
                self._journal.open()
        except SpoolUnusable as error:
            self._spool_usable = False
            log.error("no new work is taken, for its end could not be kept: %s", error)
            return
        self._spool_usable = True
        left = await asyncio.to_thread(self._spool.adopt)
        endings = [item for item in left if not isinstance(item, Marked)]
        if endings:
            log.warning("%d endings of a process that died are replayed", len(endings))
        self._adopted = endings
        # Later ones stand behind earlier ones.
        self._kept_marks = {item.attempt_id: item.meters for item in left if type(item) is Marked}
        self._marks = self._kept_marks | self._marks
        self._adopt({item.attempt_id for item in endings if type(item) is Resolved})
        self._write_now()

    def _adopt(self, known: set[UUID]) -> None:
        """Take up what stands in the journals of the dead, but for the endings of these attempts.

        At once: their holds are resolved by what is known of them a few seconds later.
        """
        noted = self._journal.adopt() if self._journal is not None else []
        marks = {item.attempt_id: item.meters for item in noted if type(item) is Marked}
        seen = [item for item in noted if type(item) is Resolved and item.attempt_id not in known]
        if marks or seen:
            log.warning("%d endings, %d marks of a killed process", len(seen), len(marks))
            self._marks |= marks
            self._endings += seen
            self._write_now()

    def close_spool(self) -> None:
        """Let go of the spool; what still waits in it is the next process's."""
        if self._journal is not None:
            self._journal.close()
        if self._spool is not None:
            self._spool.close()

    async def admit(self, request: AdmissionRequest) -> Verdict:
        """Place the hold and open the attempt, or say why not.

        Raises DatabaseAway or DatabaseRefused when the database could not decide; whatever it may
        have written after all is taken back later. A caller that is cancelled while it waits
        leaves a record behind, and no hold.
        """
        if not self._connection.usable:
            raise DatabaseAway("no connection to the database")
        if not self._spool_usable:
            raise DatabaseAway("the spool can take no more")
        future: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._admissions.append((request, future))
        self._wake()
        return await future

    def settle(self, item: Settled, *, at_once: bool = False) -> None:
        """Write this ending; returns before it is written, but not before a kill would lose it.

        `at_once` where somebody may miss what it holds: a limit of requests at once, or money that
        is about to run out.
        """
        if self._journal is not None:
            self._journal.note(item)
        self._endings.append(item)
        if at_once or self._retry_s or len(self._endings) >= _MANY:
            self._write_now()
        else:
            self._let_wait()

    def watch(self, stream: Watched) -> None:
        """Write the marks of this stream until `unwatch`."""
        self._watched.add(stream)
        if self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(_LOOK_S, self._look)

    def unwatch(self, stream: Watched) -> None:
        self._watched.discard(stream)
        self._marks.pop(stream.id, None)

    def mark(self, stream: Watched) -> None:
        """Keep how far a stream is where a kill finds it; the database hears of it soon."""
        mark = stream.mark()
        if mark is not None:
            self._marks[stream.id] = mark
            if self._journal is not None:
                self._journal.mark(stream.id, mark)

    def renew(self) -> None:
        """Say that this process lives; at once, or with the next transaction."""
        self._lease_due = self._connection.process_id is not None
        self._wake()

    def _look(self) -> None:
        self._looking = None
        if not self._watched:
            return
        self._looking = asyncio.get_running_loop().call_later(_LOOK_S, self._look)
        self._looks += 1
        due = self._looks % _LOOKS == 0
        if due:
            for stream in self._watched:
                self.mark(stream)
        if self._marks:
            self._wake()

    async def join(self) -> None:
        """Wait until everything is written."""
        while self._waiting or self._worker is not None:
            self._write_now()
            if self._worker is not None:
                await asyncio.wait([self._worker])

    def _let_wait(self) -> None:
        if self._timer is None and self._endings:
            self._timer = asyncio.get_running_loop().call_later(_WAIT_S, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer = None
        self._write_now()

    def _write_now(self) -> None:
        self._due = self._waiting
        self._wake()

    def _wake(self) -> None:
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        elif self._retry_s:
            self._wakeup.set()

    async def _work(self) -> None:
        failed = stood_back = False
        while self._admissions or self._due or (self._along and not failed):
            # Not while a batch is being written: the first endings are those that are in the spool.
            self._endings = self._adopted + self._endings
            self._spooled += len(self._adopted)
            self._adopted = []
            admissions, self._admissions = (
                self._admissions[:BATCH_MAX],
                self._admissions[BATCH_MAX:],
            )
            # Those that are due let a few admissions go before them once.
            few = 0 < len(admissions) <= _FEW and bool(self._endings)
            stood_back = few and not (self._due and stood_back)
            taken = 0 if stood_back else BATCH_MAX
            endings, self._endings = self._endings[:taken], self._endings[taken:]
            self._due = self._due and self._waiting
            try:
                await self._write(admissions, endings, self._endings if stood_back else ())
            except (DatabaseAway, DatabaseRefused) as error:
                failed = True
                self._endings = endings + self._endings
                self._fail(admissions, error)
                await self._keep()
                await self._back_off(error)
            except Exception as error:
                # A defect of ours must not take the process's writer with it, nor what was counted.
                log.exception("a batch of the books failed")
                failed = True
                self._fail(admissions, error)
                done = await self._write_singly(endings)
                self._forget(endings[:done])
                await self._unkeep(done)
            else:
                failed = False
                self._retry_s = 0.0
                self._forget(endings)
                if self._spooled or self._kept_marks:
                    await self._unkeep(len(endings))
                await self._let_others_run()
            self._due = self._waiting and (self._due or failed)
            self._let_wait()
        self._worker = None

    async def _let_others_run(self) -> None:
        """Who was admitted sends its request first, and who is about to ask is in the next batch:
        it costs everybody less the larger it is, and only what is ready is waited for."""
        until = time.monotonic() + _TURNS_S
        for _ in range(_TURNS):
            if len(self._admissions) >= BATCH_MAX or time.monotonic() > until:
                return
            await asyncio.sleep(0)

    def _forget(self, written: Sequence[Settled]) -> None:
        if self._journal is None:
            return
        if not self._late:
            self._journal.forget([item.attempt_id for item in written if type(item) is Resolved])
            return
        self._late.difference_update(
            [item.attempt_id for item in written if type(item) is LateEnding]
        )
        ended = [item.attempt_id for item in written if isinstance(item, Resolved | LateEnding)]
        self._journal.forget([attempt for attempt in ended if attempt not in self._late])

    async def _write_singly(self, endings: Sequence[Settled]) -> int:
        """Try each ending of a batch that failed by a defect once more; how many need no third try.

        The hold of one that fails again is left to the sweeper.
        """
        for done, item in enumerate(endings):
            try:
                await self._write([], [item])
            except (DatabaseAway, DatabaseRefused):
                self._endings[:0] = endings[done:]
                return done
            except Exception:
                log.exception("an ending cannot be written")
        return len(endings)

    async def _keep(self) -> None:
        """Put the endings that wait for the database on the disk."""
        fresh = self._endings[self._spooled :]
        moved = {
            attempt: mark
            for attempt, mark in self._marks.items()
            if self._kept_marks.get(attempt) != mark
        }
        if self._spool is None or not (fresh or moved):
            return
        marks = [Marked(*item) for item in moved.items()]
        self._kept_marks |= moved
        try:
            await asyncio.to_thread(self._spool.append, fresh, marks)
        except SpoolUnusable as error:
            self._spool_usable = False
            log.error("%d endings are kept in memory only: %s", len(fresh), error)
        else:
            self._spooled += len(fresh)

    async def _unkeep(self, written: int) -> None:
        """The first endings are in the database; the spool is emptied when all of its are."""
        self._spooled = max(0, self._spooled - written)
        if self._spool is None or self._spooled:
            return
        self._kept_marks = {}
        try:
            await asyncio.to_thread(self._spool.clear)
        except SpoolUnusable as error:
            self._spool_usable = False
            log.error("the spool cannot be emptied: %s", error)

    @property
    def _waiting(self) -> bool:
        """Whether an ending is still to be written."""
        return bool(self._endings or self._adopted)

    @property
    def _along(self) -> bool:
        """Whether there is what nobody waits for."""
        return self._lease_due or bool(self._marks)

    async def _write(
        self,
        admissions: Sequence[_Waiting],
        endings: Sequence[Settled],
        behind: Sequence[Settled] = (),
    ) -> None:
        """Commit and tell the verdicts. Whoever is refused what an ending `behind` this batch may
        release is asked again together with it."""
        releasing = {item.organisation_id for item in behind}
        try:
            verdicts = await self._commit([request for request, _ in admissions], endings)
        except DatabaseRefused as error:
            if error.sqlstate == _LOCKED and (parts := _by_organisation(admissions, endings)):
                await self._write_each(parts, behind)
            elif error.sqlstate.startswith(_PASSING):
                raise
            else:
                await self._write_apart(admissions, endings, error)
            return
        again = []
        for (request, future), verdict in zip(admissions, verdicts, strict=True):
            question = None if future.done() else admission.ask_again(request, verdict, releasing)
            if question is not None:
                again.append((question, verdict, future))
            elif future.done():
                self._abandon(request, verdict)
            else:
                future.set_result(verdict)
        if again:
            self._due = self._waiting
            await self._ask_again(again)

    async def _commit(
        self, batch: Sequence[AdmissionRequest], endings: Sequence[Settled]
    ) -> Sequence[Verdict]:
        """One transaction. Endings come first, so that what they release can be held again."""
        replaced = [request.replaces for request in batch if request.replaces is not None]
        endings = [*endings, *replaced]
        statements = settlement.statements(endings)
        at = len(statements) + 1
        if batch:
            statements += admission.statements(batch)
        organisations = {request.attempt.organisation_id for request in batch}
        ended = [item for item in endings if type(item) is Resolved]
        organisations.update(item.organisation_id for item in ended)
        organisations.update(
            item.organisation_id
            for item in endings
            if type(item) is Refusal and item.window_id is not None
        )
        resolved = [item for item in ended if item.state != "kept"]
        marks, self._marks = self._marks, {}
        lease_due, self._lease_due = self._lease_due, False
        if marks:
            statements.append(settlement.marks(marks))
        if lease_due and self._connection.process_id is not None:
            statements.append(settlement.lease(self._connection.process_id, LEASE_S))
        try:
            if organisations:
                statements.insert(0, settlement.lock(organisations))
            rows = await self._connection.run(statements)
        except DatabaseAway:
            self._lease_due = lease_due
            self._marks = marks | self._marks
            raise
        except DatabaseRefused:
            # The marks may be what it refuses; there will be others.
            self._lease_due = lease_due
            raise
        if marks and self._journal is not None:
            self._journal.forget_left(marks)
        if resolved and len(rows[1]) < len(resolved):
            late = settlement.late(resolved, rows[1])
            self._endings += late
            self._late.update(item.attempt_id for item in late)
        if not batch:
            return ()
        return admission.verdicts(rows[at])

    async def _ask_again(
        self, again: Sequence[tuple[AdmissionRequest, Verdict, "asyncio.Future[Verdict]"]]
    ) -> None:
        """Put questions first in the next batch, once what they miss is there."""
        waiting = [(request, future) for request, _, future in again]
        prepared = admission.prepare((request, verdict) for request, verdict, _ in again)
        if prepared:
            try:
                await self._connection.run(prepared)
            except (DatabaseAway, DatabaseRefused) as error:
                # Only of these: the others of their batch are decided.
                self._fail(waiting, error)
                return
        self._admissions[:0] = waiting

    async def _write_each(self, parts: Sequence[_Part], behind: Sequence[Settled]) -> None:
        """Somebody else holds the accounts of one organisation: the others need not wait for it."""
        failed: Exception | None = None
        for admissions, endings in parts:
            try:
                await self._write(admissions, endings, behind)
            except (DatabaseAway, DatabaseRefused) as error:
                failed = error
        if failed is not None:
            raise failed

    async def _write_apart(
        self, admissions: Sequence[_Waiting], endings: Sequence[Settled], error: DatabaseRefused
    ) -> None:
        """What the database cannot store must harm nobody else's request or money."""
        if len(admissions) + len(endings) > 1:
            for waiting in admissions:
                await self._write([waiting], [])
            for item in endings:
                await self._write([], [item])
        elif admissions:
            self._fail(admissions, error)
        elif "unstorable" in endings[0].ending.flags:
            # The hold stays open; the sweeper releases it and marks the attempt.
            log.error("an ending cannot be written: %s", error)
        else:
            (item,) = endings
            log.error("an ending is written without its texts: %s", error)
            ending = item.ending._replace(
                message="", raw_usage=None, flags=(*item.ending.flags, "unstorable")
            )
            await self._write([], [item._replace(ending=ending)])

    async def _back_off(self, error: Exception) -> None:
        if self._endings:
            log.warning("%d endings wait for the database: %s", len(self._endings), error)
        self._retry_s = min(max(self._retry_s * 2, _RETRY_S_MIN), _RETRY_S_MAX)
        self._wakeup.clear()
        with contextlib.suppress(TimeoutError):
            # An admission is not kept waiting for what has failed before it.
            await asyncio.wait_for(self._wakeup.wait(), self._retry_s * random.uniform(0.5, 1))

    def _fail(self, admissions: Sequence[_Waiting], error: Exception) -> None:
        for request, future in admissions:
            if not future.done():
                future.set_exception(error)
            elif not future.cancelled() and future.exception() is None:
                # Decided before what failed: it runs, and settles itself.
                continue
            # The commit may have gone through although nobody heard of it. A record is written
            # only where an attempt is.
            self._endings.append(_void(request, "overloaded"))
            if future.cancelled() and request.attempt.n > 1:
                self._endings += _ends_behind(request)

    def _abandon(self, request: AdmissionRequest, verdict: Verdict) -> None:
        """The client left while its hold was being decided."""
        if verdict.word == "admitted":
            self._endings.append(_void(request, "client_closed"))
            return
        self._endings.append(_refusal(request))


def _by_organisation(admissions: Sequence[_Waiting], endings: Sequence[Settled]) -> Sequence[_Part]:
    """A batch in the parts of its organisations; none where it is all of one."""
    parts: defaultdict[UUID, _Part] = defaultdict(lambda: ([], []))
    for waiting in admissions:
        parts[waiting[0].attempt.organisation_id][0].append(waiting)
    for item in endings:
        parts[item.organisation_id][1].append(item)
    return list(parts.values()) if len(parts) > 1 else ()


def _void(request: AdmissionRequest, kind: ErrorKind) -> Resolved:
    return Resolved(request.attempt.organisation_id, request.attempt.id, "voided", _ending(kind))


def _refusal(request: AdmissionRequest, *, after_attempts: bool = False) -> Refusal:
    """The end of a request whose client has left."""
    attempt = request.attempt
    return Refusal(
        attempt.organisation_id,
        attempt.request_id,
        attempt.team_id,
        attempt.key_id,
        attempt.user_id,
        attempt.model,
        attempt.dialect,
        attempt.operation,
        attempt.stream,
        attempt.source,
        _ending("client_closed"),
        after_attempts=after_attempts,
    )


def _ends_behind(request: AdmissionRequest) -> list[Settled]:
    """What ends a request that nobody waits for any more, behind the attempt before this one: its
    hold, if it was not resolved, and its record, if there is none."""
    last = _refusal(request, after_attempts=True)
    if request.replaces is None:
        return [last]
    closed = _ending("client_closed")
    ending = request.replaces.ending._replace(
        final=True, status=closed.status, kind=closed.kind, message=closed.message
    )
    return [request.replaces._replace(ending=ending), last]


def _ending(kind: ErrorKind) -> Ending:
    return Ending(final=True, status=KINDS[kind].status, kind=kind, message=message_of(kind))
