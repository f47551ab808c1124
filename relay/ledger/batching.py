"""What waits to be written to the ledger, who waits for it, and when it is due.

admission   its caller waits: it joins the very next batch. If more wait than fit, organisations
            and their keys take turns
settlement  nobody waits: it is written after a few admissions, and together with many, once enough
            of them wait or they have waited long enough; immediately if others may need what it
            releases
mark        the certain progress of a stream, written while it runs. It determines how the hold of
            a killed process is resolved (docs/promises.md, "Life of an attempt")
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from relay.ledger.admission import AdmissionRequest, Verdict
from relay.ledger.crash_recovery import LedgerRecovery
from relay.ledger.settlement import AnySettlement
from relay.load.turn_order import order_by_turns

BATCH_MAX: Final = 256
# While requests of several keys are running (P35). A request waits for up to two transactions, and
# each takes time for each of its rows, in the database and in the event loop. A key alone has the
# larger batches, which cost its requests less.
SHARED_BATCH_MAX: Final = 32

# How long a settlement may wait, and behind how many others: its own commit would delay the next
# admission.
_WAIT_S: Final = 0.1
_MANY: Final = 64
# This many admissions are written before waiting settlements; in a batch with more admissions, a
# settlement costs least.
_FEW: Final = 4

Waiting = tuple[AdmissionRequest, "asyncio.Future[Verdict]"]
# Streams are checked this often. At every second check all of them are marked in the journal, and
# at every fourth the marks of all are written together; the rest of the promised 250 ms is for the
# commit. A stream that has grown by half of the 64 tokens is marked immediately, in the journal:
# the other half is for what arrives while we are late. A mark that the journal cannot keep is
# written at the next check.
_CHECK_S: Final = 0.05
_CHECKS_TO_MARK: Final = 2
_CHECKS_TO_WRITE: Final = 4


class Batch(NamedTuple):
    """Data that is written together. `behind` are settlements that wait for the next batch."""

    admissions: Sequence[Waiting] = ()
    settlements: Sequence[AnySettlement] = ()
    behind: Sequence[AnySettlement] = ()


class LedgerQueue:
    """The waiting admissions and settlements of one process. `settlements_are_due` is called when
    settlements are due; `is_shared` tells whether requests of several keys are running."""

    def __init__(
        self, settlements_are_due: Callable[[], None], is_shared: Callable[[], bool] = lambda: False
    ) -> None:
        self.admissions: list[Waiting] = []
        self.settlements: list[AnySettlement] = []
        # How many of the settlements, from the first on, are in the spool.
        self.spooled = 0
        # Settlements from the spools of dead processes, until the next batch. They come before
        # waiting settlements, because the first settlements are those in the spool.
        self.adopted: list[AnySettlement] = []
        self.due = False
        self._timer: asyncio.TimerHandle | None = None
        self._settlements_are_due = settlements_are_due
        self._is_shared = is_shared

    @property
    def batch_max(self) -> int:
        """The most admissions of the next batch."""
        return SHARED_BATCH_MAX if self._is_shared() else BATCH_MAX

    @property
    def has_settlements(self) -> bool:
        return bool(self.settlements or self.adopted)

    @property
    def on_disk(self) -> bool:
        """Whether a waiting settlement is also in a spool."""
        return bool(self.spooled or self.adopted)

    def put(self, item: AnySettlement, *, at_once: bool) -> None:
        """Add a settlement. With `at_once` it is due immediately."""
        self.settlements.append(item)
        if at_once or len(self.settlements) >= _MANY:
            self._settlements_are_due()
        else:
            self.start_timer()

    def take(self, before: Batch) -> Batch:
        """Return the batch to write after `before`. If few admissions wait, they are written once
        without the settlements that are due."""
        if self.adopted:
            self.settlements[:0] = self.adopted
            self.spooled += len(self.adopted)
            self.adopted = []
        most = BATCH_MAX if len(self.admissions) <= SHARED_BATCH_MAX else self.batch_max
        if len(self.admissions) > most:
            self.admissions = order_by_turns(map(_turn_of, self.admissions))
        admissions, self.admissions = self.admissions[:most], self.admissions[most:]
        few = 0 < len(admissions) <= _FEW and bool(self.settlements)
        if few and not (self.due and before.behind):
            return Batch(admissions, (), self.settlements)
        # All that wait may have the money that these admissions lack, however few they are.
        settlements = self.settlements[:BATCH_MAX]
        self.settlements = self.settlements[BATCH_MAX:]
        self.due = self.due and bool(self.settlements)
        return Batch(admissions, settlements)

    def ask_again(self, waiting: Sequence[Waiting]) -> None:
        """Put these admissions first, together with the settlements that may release the money that
        they lack."""
        self.admissions[:0] = waiting
        self.due = self.due or self.has_settlements

    def put_back(self, settlements: Sequence[AnySettlement]) -> None:
        """Add back settlements that were taken but not written."""
        self.settlements[:0] = settlements

    def start_timer(self) -> None:
        """Set a timer so that the settlements are written in time."""
        if self._timer is None and self.settlements:
            self._timer = asyncio.get_running_loop().call_later(_WAIT_S, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer = None
        self._settlements_are_due()


def _turn_of(waiting: Waiting) -> tuple[UUID, UUID, Waiting]:
    attempt = waiting[0].attempt
    return attempt.organisation_id, attempt.key_id, waiting


class Watched(Protocol):
    """A stream that reports how much has certainly been used."""

    @property
    def id(self) -> UUID: ...
    def mark(self) -> str | None:
        """Return the meters up to now as JSON text, or None if nothing has changed."""


class LedgerMarks:
    """The high-water marks of one process. `write` is called when marks are `due`."""

    def __init__(self, recovery: LedgerRecovery, write: Callable[[], None]) -> None:
        self._recovery = recovery
        self._write = write
        self._watched: set[Watched] = set()
        self.waiting: dict[UUID, str] = {}
        # Whether marks are worth a transaction now. Any other transaction takes them along.
        self.due = False
        # Whether a mark waits that the journal does not keep.
        self._only_here = False
        self._timer: asyncio.TimerHandle | None = None
        self._checks = 0

    def watch(self, stream: Watched) -> None:
        """Store high-water marks of this stream until `unwatch`."""
        self._watched.add(stream)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_CHECK_S, self._check)

    def unwatch(self, stream: Watched) -> None:
        self._watched.discard(stream)
        self.waiting.pop(stream.id, None)
        self.due = self.due and bool(self.waiting)

    def mark(self, stream: Watched) -> None:
        """Store the high-water mark of a stream so that it survives a kill. It is written to the
        database soon after."""
        meters = stream.mark()
        if meters is not None:
            self.waiting[stream.id] = meters
            if not self._recovery.mark(stream.id, meters):
                self._only_here = True

    def take(self) -> Mapping[UUID, str]:
        """Return and clear the marks to write now."""
        taken, self.waiting = self.waiting, {}
        self.due = self._only_here = False
        return taken

    def put_back(self, marks: Mapping[UUID, str]) -> None:
        """Add back marks that could not be written. Newer marks take precedence."""
        self.waiting = {**marks, **self.waiting}
        self.due = bool(self.waiting)

    def _check(self) -> None:
        self._timer = None
        if not self._watched:
            return
        self._timer = asyncio.get_running_loop().call_later(_CHECK_S, self._check)
        self._checks += 1
        if self._checks % _CHECKS_TO_MARK == 0:
            for stream in self._watched:
                self.mark(stream)
        if self.waiting and (self._only_here or self._checks % _CHECKS_TO_WRITE == 0):
            self.due = True
            self._write()
