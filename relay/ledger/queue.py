"""The queue of writes to the ledger: what waits, who waits for it, and when it is due.

admission   its caller waits: it joins the very next batch. If more wait than fit, organisations
            and their keys take turns
settlement  nobody waits: it is written after a few admissions, and together with many, once enough
            of them wait or they have waited long enough; at once if others may need what it
            releases
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from relay.attempts.admission import AdmissionRequest, Verdict
from relay.attempts.settlement import AnySettlement
from relay.front.turn_order import order_by_turns

BATCH_MAX: Final = 256

# How long a settlement may wait, and behind how many others: its own commit would delay the next
# admission.
_WAIT_S: Final = 0.1
_MANY: Final = 64
# This many admissions are written before waiting settlements; in a batch with more admissions, a
# settlement costs least.
_FEW: Final = 4

Waiting = tuple[AdmissionRequest, "asyncio.Future[Verdict]"]


class Batch(NamedTuple):
    """Data that is written together. `behind` are settlements that wait for the next batch."""

    admissions: Sequence[Waiting] = ()
    settlements: Sequence[AnySettlement] = ()
    behind: Sequence[AnySettlement] = ()


class LedgerQueue:
    """The waiting admissions and settlements of one process. `settlements_are_due` is called when
    settlements are due."""

    def __init__(self, settlements_are_due: Callable[[], None]) -> None:
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
        if len(self.admissions) > BATCH_MAX:
            self.admissions = order_by_turns(map(_turn_of, self.admissions))
        admissions = self.admissions[:BATCH_MAX]
        self.admissions = self.admissions[BATCH_MAX:]
        few = 0 < len(admissions) <= _FEW and bool(self.settlements)
        if few and not (self.due and before.behind):
            return Batch(admissions, (), self.settlements)
        settlements, self.settlements = self.settlements[:BATCH_MAX], self.settlements[BATCH_MAX:]
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
