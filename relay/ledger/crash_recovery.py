"""Settlements and marks that must survive a kill on their way to the ledger (P1, P18).

    journal   each settlement and mark from the moment it is known, in memory that outlives the
              process
    spool     settlements and marks on the disk, while the database is away

The next process adopts both, and empties each when its content is committed.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from relay.ledger.journal import Journal
from relay.ledger.settlement import AnySettlement, LateSettlement, Marked, Settlement
from relay.ledger.spool import Spool, SpoolUnusable

log = logging.getLogger(__name__)


class Adopted(NamedTuple):
    """What dead processes left behind: settlements in their spools, settlements only in their
    journals, and the high-water marks of their streams."""

    spooled: Sequence[AnySettlement]
    noted: Sequence[AnySettlement]
    marks: dict[UUID, str]


class LedgerRecovery:
    """The spool and the journal of one process. Either may be missing."""

    def __init__(self, spool: Spool | None, journal: Journal | None) -> None:
        self._spool = spool
        self._journal = journal
        self._opened = False
        # The spool is used by one thread at a time.
        self._disk = asyncio.Lock()
        # Whether the spool has room.
        self.usable = True
        # The marks that are in the spool.
        self.spooled_marks: dict[UUID, str] = {}
        # Attempts whose settlement is written again as late usage. Until then the journal keeps it.
        self._late: set[UUID] = set()

    async def open(self) -> Adopted | None:
        """Create the files, and return what dead processes left behind. Later calls return what
        other processes of this machine have left in their journals since. Return None if nothing
        can be stored."""
        if self._spool is None:
            return None
        if self._opened and self.usable:
            return self._adopt_journals(set())
        self._opened = True
        async with self._disk:
            return await self._adopt_spools(self._spool)

    async def _adopt_spools(self, spool: Spool) -> Adopted | None:
        try:
            await asyncio.to_thread(spool.open)
            if self._journal is not None:
                self._journal.open()
        except SpoolUnusable as error:
            self.usable = False
            log.error("no new work is taken, for its end could not be kept: %s", error)
            return None
        self.usable = True
        left = await asyncio.to_thread(spool.adopt)
        settlements = [item for item in left if not isinstance(item, Marked)]
        if settlements:
            log.warning("%d settlements of a process that died are replayed", len(settlements))
        # Later entries replace earlier ones.
        marks = {item.attempt_id: item.meters for item in left if type(item) is Marked}
        # The marks of this process that are in its spool stay there.
        self.spooled_marks |= marks
        journals = self._adopt_journals(
            {item.attempt_id for item in settlements if type(item) is Settlement}
        )
        return Adopted(settlements, journals.noted, marks | journals.marks)

    def _adopt_journals(self, known: set[UUID]) -> Adopted:
        """Return the contents of dead processes' journals, except settlements of `known` attempts.
        Call this soon, because a few seconds later the holds are resolved from what is known by
        then."""
        left = self._journal.adopt() if self._journal is not None else []
        marks = {item.attempt_id: item.meters for item in left if type(item) is Marked}
        noted: list[AnySettlement] = [
            item for item in left if type(item) is Settlement and item.attempt_id not in known
        ]
        if marks or noted:
            log.warning("%d settlements, %d marks of a killed process", len(noted), len(marks))
        return Adopted([], noted, marks)

    def take_damaged(self) -> int:
        """Return how many records could not be read since the last call."""
        damaged = 0
        for files in (self._spool, self._journal):
            if files is not None:
                damaged += files.damaged
                files.damaged = 0
        return damaged

    def close(self) -> None:
        """Close the files. The next process adopts what is still in them."""
        if self._journal is not None:
            self._journal.close()
        if self._spool is not None:
            self._spool.close()

    # ---- the journal

    def note(self, item: AnySettlement) -> None:
        """Store a settlement in the journal."""
        if self._journal is not None:
            self._journal.note(item)

    def mark(self, attempt_id: UUID, meters: str) -> bool:
        """Store the high-water mark of a stream in the journal. Return False if nothing keeps it
        there, so that only the database can."""
        return self._journal is not None and self._journal.mark(attempt_id, meters)

    def late(self, settlements: Sequence[LateSettlement]) -> None:
        """Keep settlements that came too late in the journal until they are written as late
        usage.
        """
        self._late.update(item.attempt_id for item in settlements)

    def forget(self, committed: Sequence[AnySettlement]) -> None:
        """Remove committed settlements from the journal."""
        if self._journal is None:
            return
        if not self._late:
            self._journal.forget(
                [item.attempt_id for item in committed if type(item) is Settlement]
            )
            return
        self._late.difference_update(
            [item.attempt_id for item in committed if type(item) is LateSettlement]
        )
        ended = [
            item.attempt_id for item in committed if isinstance(item, Settlement | LateSettlement)
        ]
        self._journal.forget([attempt for attempt in ended if attempt not in self._late])

    def forget_marks(self, committed: Mapping[UUID, str]) -> None:
        """Remove committed high-water marks from the journal."""
        if self._journal is not None:
            self._journal.forget_left(committed)

    # ---- the spool

    async def spool(self, settlements: Sequence[AnySettlement], marks: Mapping[UUID, str]) -> bool:
        """Write settlements and marks to the disk. Return whether the settlements are stored. Marks
        that could not be stored are written again by the next call."""
        if self._spool is None:
            return False
        async with self._disk:
            moved = {
                attempt: meters
                for attempt, meters in marks.items()
                if self.spooled_marks.get(attempt) != meters
            }
            if not (settlements or moved):
                return False
            try:
                marks_stored = await asyncio.to_thread(
                    self._spool.append, settlements, [Marked(*item) for item in moved.items()]
                )
            except SpoolUnusable as error:
                self.usable = False
                log.error("%d settlements are kept in memory only: %s", len(settlements), error)
                return False
            if marks_stored:
                self.spooled_marks |= moved
            return True

    async def clear_spool(self, in_use: Callable[[], bool]) -> None:
        """Empty the spool, because everything in it is committed. Leave it if it is `in_use`: if
        what another process left in its own was adopted in the meantime."""
        if self._spool is None:
            return
        async with self._disk:
            if in_use():
                return
            try:
                await asyncio.to_thread(self._spool.clear)
            except SpoolUnusable as error:
                self.usable = False
                log.error("the spool cannot be emptied: %s", error)
                return
            self.spooled_marks = {}
