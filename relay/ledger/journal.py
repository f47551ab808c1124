"""Settlements and marks on their way to the database, in memory that outlives the process.

A client has its answer before its settlement is committed. The upstream's count is written here
first, so that a kill in between costs nobody anything: the next process reads it (P1). The progress
of streams is written here too, even while the database is away. Nothing is synced to disk, because
the journal protects against the death of a process; when the machine dies, the database dies with
it.

Each process has one mapped file, locked by it, with slots of one size. A slot holds one line in the
spool's format: the mark of an attempt, later replaced by its settlement. It is free again when the
settlement is committed. If no slot is free, the data is only in the database. Reading a line twice
changes nothing (I6).
"""

import contextlib
import fcntl
import logging
import mmap
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from lib.ids import id_text
from relay.ledger.settlement import AnySettlement, Marked, Settlement
from relay.ledger.spool import UNREADABLE, Kept, SpoolUnusable, line, read

log = logging.getLogger(__name__)

_SUFFIX: Final = ".journal"
_SLOT_BYTES: Final = 2048
_SLOTS: Final = 4096
_BYTES: Final = _SLOT_BYTES * _SLOTS
_FREE: Final = b"\0"


class Journal:
    """The file of one process."""

    def __init__(self, folder: Path, process_id: UUID) -> None:
        self._path = folder / f"{id_text(process_id)}{_SUFFIX}"
        self._file = -1
        self._map: mmap.mmap | None = None
        # The last freed slot is used next, so that few pages are ever touched.
        self._free = list(range(0, _BYTES, _SLOT_BYTES))[::-1]
        # By the number of the attempt's id, because a UUID's hash is computed in Python each time.
        self._used: dict[int, int] = {}
        # Marks of attempts whose process died, until they are committed.
        self._left: set[UUID] = set()
        # Slots of dead processes that could not be read.
        self.damaged = 0

    def open(self) -> None:
        """Create the file and allocate its space. Raises SpoolUnusable."""
        if self._map is not None:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Allocate the whole file now: a mapped page without disk space would kill the process.
            os.posix_fallocate(self._file, 0, _BYTES)
            self._map = mmap.mmap(self._file, _BYTES)
        except OSError as error:
            self.close()
            raise SpoolUnusable(f"{self._path}: {error.strerror}") from error

    def note(self, item: AnySettlement) -> None:
        """Store the part of a settlement that concerns money until `forget`."""
        if type(item) is not Settlement or item.state == "voided":
            return
        raw = line(item)
        if len(raw) > _SLOT_BYTES:
            short = msgspec.structs.replace(item.ending, message="", raw_usage=None, dropped=None)
            raw = line(msgspec.structs.replace(item, ending=short))
        self._write(item.attempt_id, raw)

    def mark(self, attempt_id: UUID, meters: str) -> bool:
        """Store the high-water mark of a stream until its settlement is stored, or forgotten.
        Return False if there is no room for it."""
        return self._write(attempt_id, line(Marked(attempt_id, meters)))

    def forget(self, attempt_ids: Iterable[UUID]) -> None:
        """Free the slots of settlements that are committed."""
        for attempt_id in attempt_ids:
            self._release(attempt_id)

    def forget_left(self, marked: Iterable[UUID]) -> None:
        """Delete high-water marks of dead processes that are committed, because no settlement will
        overwrite them."""
        if self._left:
            done = self._left.intersection(marked)
            self._left -= done
            for attempt_id in done:
                self._release(attempt_id)

    def adopt(self) -> list[Settlement | Marked]:
        """Return what dead processes left in their journals. It now belongs to this process."""
        left: list[Settlement | Marked] = []
        with contextlib.suppress(OSError):
            for path in sorted(self._path.parent.glob(f"*{_SUFFIX}")):
                if path != self._path:
                    left += self._adopt(path)
        return left

    def close(self) -> None:
        """Close the file, and delete it if it contains no settlement."""
        if self._map is not None:
            self._map.close()
            self._map = None
            if not self._used:
                with contextlib.suppress(OSError):
                    self._path.unlink()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _write(self, attempt_id: UUID, raw: bytes) -> bool:
        if self._map is None or len(raw) > _SLOT_BYTES:
            return False
        number = attempt_id.int
        at = self._used.get(number)
        if at is None:
            if not self._free:
                return False
            at = self._used[number] = self._free.pop()
        self._map[at : at + len(raw)] = raw
        return True

    def _release(self, attempt_id: UUID) -> None:
        at = self._used.pop(attempt_id.int, None)
        if at is not None and self._map is not None:
            self._map[at : at + 1] = _FREE
            self._free.append(at)

    def _adopt(self, path: Path) -> Sequence[Settlement | Marked]:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            raw = path.read_bytes()
        except (BlockingIOError, FileNotFoundError):
            # The process that owns the file is alive, or another process was faster.
            os.close(file)
            return []
        slots = [raw[at : at + _SLOT_BYTES] for at in range(0, len(raw), _SLOT_BYTES)]
        items: list[Kept] = []
        damaged = 0
        for slot in slots:
            if slot[:1] == _FREE:
                continue
            # A slot may contain the rest of a longer, earlier line after its line.
            entry = read(slot[: slot.find(b"\n") + 1])
            items += entry.items
            damaged += not entry.items
        if damaged:
            log.error(UNREADABLE, path, damaged)
        self.damaged += damaged
        for item in items:
            if type(item) is Marked:
                self._left.add(item.attempt_id)
                self.mark(*item)
            elif type(item) is Settlement:
                self.note(item)
        path.unlink()
        os.close(file)
        return [item for item in items if isinstance(item, Settlement | Marked)]
