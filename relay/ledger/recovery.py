"""Settlements and marks that must survive a kill on their way to the ledger (P1, P18).

    journal   each settlement and mark from the moment it is known, in memory that outlives the
              process
    spool     settlements and marks on the disk, while the database is away

Each process has one file of each, locked by it. The next process adopts both, and empties each when
its content is committed. A record is a line in both: its checksum, a letter for its kind, its JSON.
An invalid line before the last complete one was damaged on the disk: it is counted, and the lines
after it are read.

    SpoolUnusable     a file cannot be created, locked or written, or it is full
"""

import asyncio
import contextlib
import fcntl
import logging
import mmap
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from lib.ids import id_text
from relay.attempts.settlement import AnySettlement, LateSettlement, Marked, Settlement
from relay.front.errors import RelayError
from usage.records.sql import Refusal

log = logging.getLogger(__name__)

_SPOOL_SUFFIX: Final = ".spool"
Kept = AnySettlement | Marked

_KINDS: Final = {b"r": Settlement, b"l": LateSettlement, b"f": Refusal, b"m": Marked}
_LETTERS: Final = {kind: letter for letter, kind in _KINDS.items()}
_HEAD_BYTES: Final = 9
UNREADABLE: Final = "%s: %d records cannot be read; the sweeper estimates how their requests ended"
# Beginnings may overlap: a match may be a part of the damaged data.
_HEAD: Final = re.compile(rb"(?=[0-9a-f]{8}[rlfm][\[{])")
_ZEROS: Final = bytes(64 * 1024)
_JOURNAL_SUFFIX: Final = ".journal"
_SLOT_BYTES: Final = 2048
_SLOTS: Final = 4096
_BYTES: Final = _SLOT_BYTES * _SLOTS
_FREE: Final = b"\0"


class SpoolUnusable(RelayError):
    """The disk cannot store anything: no new paid work may be accepted."""


# ---- the records of both


class Records(NamedTuple):
    """The records of a file, and the number of unreadable lines."""

    items: list[Kept]
    damaged: int


def read(raw: bytes) -> Records:
    """Read the records of a file. A torn record at the end was never confirmed, and does not count
    as damage; a record of another release that this one cannot read does."""
    items: list[Kept] = []
    damaged = 0
    *lines, _torn = raw.split(b"\n")
    for text in lines:
        item = _record(text)
        if item is None:
            # If the end of a line is damaged, a complete record may follow within it.
            damaged += 1
            records = (_record(text[at:]) for at in _record_starts(text))
            item = next((record for record in records if record is not None), None)
        if item is not None:
            items.append(item)
    return Records(items, damaged)


def _record(line: bytes) -> Kept | None:
    """Return the record of a complete line; None if it is invalid, or of another release."""
    kind, text = _KINDS.get(line[8:_HEAD_BYTES]), line[8:]
    if kind is None or line[:8] != b"%08x" % zlib.crc32(text):
        return None
    try:
        item: Kept = msgspec.json.decode(text[1:], type=kind)
    except msgspec.ValidationError as error:
        log.error("a settlement of another release is left to the sweeper: %s", error)
        return None
    return item


def _record_starts(line: bytes) -> Iterator[int]:
    """Return the positions in a damaged line at which a record may begin."""
    return (match.start() for match in _HEAD.finditer(line, 1))


def line(item: Kept) -> bytes:
    """Return the line of a record, with its line break."""
    text = _LETTERS[type(item)] + msgspec.json.encode(item)
    return b"%08x%b\n" % (zlib.crc32(text), text)


# ---- the spool


class Spool:
    """The spool of one process: settlements that wait for the database, and in at most half of its
    space the high-water marks of streams that run in the meantime. Every method blocks on the disk.

    The file's fixed size is allocated at the start. Lines are written from the beginning; after the
    last complete line come zeros or a torn record.
    """

    def __init__(self, folder: Path, process_id: UUID, bytes_max: int) -> None:
        self._path = folder / f"{id_text(process_id)}{_SPOOL_SUFFIX}"
        self._bytes_max = bytes_max
        self._file = -1
        self._size = 0
        self._adopted: list[tuple[Path, int]] = []
        # Records of dead processes that could not be read.
        self.damaged = 0

    def open(self) -> None:
        """Create the file and allocate its space. Raises SpoolUnusable."""
        if self._file >= 0:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._reserve()
            _sync_folder(self._path.parent)
        except OSError as error:
            self.close()
            raise SpoolUnusable(f"{self._path}: {error.strerror}") from error

    def append(self, settlements: Sequence[AnySettlement], marks: Sequence[Marked] = ()) -> None:
        """Write records and sync them to the disk before returning. Raises SpoolUnusable."""
        lines = b"".join(map(line, settlements))
        if self._size < self._bytes_max // 2:
            lines += b"".join(map(line, marks))
        if self._file < 0 or self._size + len(lines) > self._bytes_max:
            raise SpoolUnusable(f"{self._path} is full, or was never made")
        try:
            written = 0
            while written < len(lines):
                written += os.pwrite(self._file, lines[written:], self._size + written)
            os.fsync(self._file)
        except OSError as error:
            raise SpoolUnusable(f"{self._path}: {error.strerror}") from error
        self._size += len(lines)

    def adopt(self) -> list[Kept]:
        """Return what dead processes left in their spools. `clear` deletes it."""
        left: list[Kept] = []
        with contextlib.suppress(OSError):
            for path in sorted(self._path.parent.glob(f"*{_SPOOL_SUFFIX}")):
                if path != self._path:
                    left += self._adopt(path)
        return left

    def clear(self) -> None:
        """Empty the spool, because everything is in the database. Raises SpoolUnusable."""
        for path, file in self._adopted:
            with contextlib.suppress(OSError):
                path.unlink()
            os.close(file)
        self._adopted = []
        if not self._size:
            return
        try:
            os.ftruncate(self._file, 0)
            self._reserve()
        except OSError as error:
            raise SpoolUnusable(f"{self._path}: {error.strerror}") from error

    def close(self) -> None:
        """Close the file, and delete it if it is empty."""
        for _, file in self._adopted:
            os.close(file)
        self._adopted = []
        if self._file >= 0:
            if not self._size:
                with contextlib.suppress(OSError):
                    self._path.unlink()
            os.close(self._file)
            self._file = -1

    def _reserve(self) -> None:
        """Write zeros up to the full size, so that a disk that fills up later cannot take the
        space.
        """
        self._size = 0
        for at in range(0, self._bytes_max, len(_ZEROS)):
            os.pwrite(self._file, _ZEROS[: self._bytes_max - at], at)
        os.fsync(self._file)

    def _adopt(self, path: Path) -> list[Kept]:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return []
        if not path.exists():
            # The process that owns the file has just ended normally.
            os.close(file)
            return []
        self._adopted.append((path, file))
        entries = read(path.read_bytes())
        if entries.damaged:
            log.error(UNREADABLE, path, entries.damaged)
        self.damaged += entries.damaged
        return entries.items


def _sync_folder(folder: Path) -> None:
    """Sync the folder, because only then is the name of a new file on the disk."""
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


# ---- the journal


class Journal:
    """The journal of one process, a mapped file.

    A client has its answer before its settlement is committed. The upstream's count is written here
    first, so that a kill in between costs nobody anything: the next process reads it (P1). The
    progress of streams is written here too, even while the database is away. Nothing is synced to
    disk, because the journal protects against the death of a process; when the machine dies, the
    database dies with it.

    The file has slots of one size. A slot holds one line: the mark of an attempt, later replaced by
    its settlement. It is free again when the settlement is committed. If no slot is free, the data
    is only in the database. Reading a line twice changes nothing (I6).
    """

    def __init__(self, folder: Path, process_id: UUID) -> None:
        self._path = folder / f"{id_text(process_id)}{_JOURNAL_SUFFIX}"
        self._file = -1
        self._map: mmap.mmap | None = None
        # The last freed slot is used next, so that few pages are ever touched.
        self._free = list(range(0, _BYTES, _SLOT_BYTES))[::-1]
        self._used: dict[UUID, int] = {}
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

    def mark(self, attempt_id: UUID, meters: str) -> None:
        """Store the high-water mark of a stream until its settlement is stored, or forgotten."""
        self._write(attempt_id, line(Marked(attempt_id, meters)))

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
            for path in sorted(self._path.parent.glob(f"*{_JOURNAL_SUFFIX}")):
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

    def _write(self, attempt_id: UUID, raw: bytes) -> None:
        if self._map is None or len(raw) > _SLOT_BYTES:
            return
        at = self._used.get(attempt_id)
        if at is None:
            if not self._free:
                return
            at = self._used[attempt_id] = self._free.pop()
        self._map[at : at + len(raw)] = raw

    def _release(self, attempt_id: UUID) -> None:
        at = self._used.pop(attempt_id, None)
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


# ---- both


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
        try:
            await asyncio.to_thread(self._spool.open)
            if self._journal is not None:
                self._journal.open()
        except SpoolUnusable as error:
            self.usable = False
            log.error("no new work is taken, for its end could not be kept: %s", error)
            return None
        self.usable = True
        left = await asyncio.to_thread(self._spool.adopt)
        settlements = [item for item in left if not isinstance(item, Marked)]
        if settlements:
            log.warning("%d settlements of a process that died are replayed", len(settlements))
        # Later entries replace earlier ones.
        self.spooled_marks = {item.attempt_id: item.meters for item in left if type(item) is Marked}
        journals = self._adopt_journals(
            {item.attempt_id for item in settlements if type(item) is Settlement}
        )
        return Adopted(settlements, journals.noted, self.spooled_marks | journals.marks)

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

    def mark(self, attempt_id: UUID, meters: str) -> None:
        """Store the high-water mark of a stream in the journal."""
        if self._journal is not None:
            self._journal.mark(attempt_id, meters)

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
        """Write settlements and marks to the disk. Return whether the settlements are stored."""
        moved = {
            attempt: meters
            for attempt, meters in marks.items()
            if self.spooled_marks.get(attempt) != meters
        }
        if self._spool is None or not (settlements or moved):
            return False
        self.spooled_marks |= moved
        try:
            await asyncio.to_thread(
                self._spool.append, settlements, [Marked(*item) for item in moved.items()]
            )
        except SpoolUnusable as error:
            self.usable = False
            log.error("%d settlements are kept in memory only: %s", len(settlements), error)
            return False
        return True

    async def clear_spool(self) -> None:
        """Empty the spool, because everything in it is committed."""
        self.spooled_marks = {}
        if self._spool is None:
            return
        try:
            await asyncio.to_thread(self._spool.clear)
        except SpoolUnusable as error:
            self.usable = False
            log.error("the spool cannot be emptied: %s", error)
