"""What waits to be written to the ledger, who waits for it, and when it is time.

admission   its caller waits: it goes with the very next batch; where more wait than a batch has
            room for, organisations and their keys go in turn
ending      nobody waits: it goes behind a few admissions and along with many, once enough of
            them wait or they have waited long enough; at once where somebody may miss what it
            releases
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from relay.attempts.admission import AdmissionRequest, Verdict
from relay.attempts.settlement import Settled
from relay.front.turn_order import order_by_turns

BATCH_MAX: Final = 256

# How long an ending may wait, and behind how many others: its own commit would delay the next
# admission.
_WAIT_S: Final = 0.1
_MANY: Final = 64
# This many admissions are written before waiting endings; beside more of them, an ending costs
# least.
_FEW: Final = 4

Waiting = tuple[AdmissionRequest, "asyncio.Future[Verdict]"]


class Batch(NamedTuple):
    """What is written together. `behind` are endings that wait for the next batch."""

    admissions: Sequence[Waiting] = ()
    endings: Sequence[Settled] = ()
    behind: Sequence[Settled] = ()


class LedgerQueue:
    """The admissions and endings of one process; `endings_are_due` is called at their time."""

    def __init__(self, endings_are_due: Callable[[], None]) -> None:
        self.admissions: list[Waiting] = []
        self.endings: list[Settled] = []
        # How many of the endings, from the first on, are in the spool.
        self.spooled = 0
        # Endings from the spools of dead processes, until the next batch. They come before waiting
        # endings, because the first endings are those in the spool.
        self.adopted: list[Settled] = []
        self.due = False
        self._timer: asyncio.TimerHandle | None = None
        self._endings_are_due = endings_are_due

    @property
    def has_endings(self) -> bool:
        return bool(self.endings or self.adopted)

    @property
    def on_disk(self) -> bool:
        """Whether an ending that waits is in a spool."""
        return bool(self.spooled or self.adopted)

    def put(self, item: Settled, *, at_once: bool) -> None:
        """Add an ending."""
        self.endings.append(item)
        if at_once or len(self.endings) >= _MANY:
            self._endings_are_due()
        else:
            self.let_wait()

    def take(self, before: Batch) -> Batch:
        """The next batch after the one `before`: a few admissions go before the endings that are
        due, once."""
        if self.adopted:
            self.endings[:0] = self.adopted
            self.spooled += len(self.adopted)
            self.adopted = []
        if len(self.admissions) > BATCH_MAX:
            self.admissions = order_by_turns(map(_turn_of, self.admissions))
        admissions = self.admissions[:BATCH_MAX]
        self.admissions = self.admissions[BATCH_MAX:]
        few = 0 < len(admissions) <= _FEW and bool(self.endings)
        if few and not (self.due and before.behind):
            return Batch(admissions, (), self.endings)
        endings, self.endings = self.endings[:BATCH_MAX], self.endings[BATCH_MAX:]
        self.due = self.due and bool(self.endings)
        return Batch(admissions, endings)

    def ask_again(self, waiting: Sequence[Waiting]) -> None:
        """Put these admissions first, and what may release something along with them."""
        self.admissions[:0] = waiting
        self.due = self.due or self.has_endings

    def put_back(self, endings: Sequence[Settled]) -> None:
        """These were taken and not written."""
        self.endings[:0] = endings

    def let_wait(self) -> None:
        """See to it that the endings are written in time."""
        if self._timer is None and self.endings:
            self._timer = asyncio.get_running_loop().call_later(_WAIT_S, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer = None
        self._endings_are_due()


def _turn_of(waiting: Waiting) -> tuple[UUID, UUID, Waiting]:
    attempt = waiting[0].attempt
    return attempt.organisation_id, attempt.key_id, waiting
