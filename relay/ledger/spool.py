"""Settlements that wait for the database, on the local disk, so that a kill loses none of them.

It also holds the high-water marks of streams that run in the meantime, in at most half of its
space.

Each process has one file, locked by it, whose fixed size is allocated at the start. A record is a
line: its checksum, a letter for its kind, its JSON. Lines are written from the beginning; after the
last complete line come zeros or a torn record. An invalid line before that was damaged on the disk:
it is counted, and the lines after it are read.

    SpoolUnusable     the file cannot be created, locked or written, or it is full
"""

import contextlib
import fcntl
import logging
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from lib.ids import id_text
from relay.errors import RelayError
from relay.ledger.settlement import AnySettlement, LateSettlement, Marked, Settlement
from usage.records.sql import Refusal

log = logging.getLogger(__name__)

_SUFFIX: Final = ".spool"
Kept = AnySettlement | Marked

_KINDS: Final = {b"r": Settlement, b"l": LateSettlement, b"f": Refusal, b"m": Marked}
_LETTERS: Final = {kind: letter for letter, kind in _KINDS.items()}
_HEAD_BYTES: Final = 9
UNREADABLE: Final = "%s: %d records cannot be read; the sweeper estimates how their requests ended"
# Beginnings may overlap: a match may be a part of the damaged data.
_HEAD: Final = re.compile(rb"(?=[0-9a-f]{8}[rlfm][\[{])")
_ZEROS: Final = bytes(64 * 1024)


class SpoolUnusable(RelayError):
    """The disk cannot store anything: no new paid work may be accepted."""


class Spool:
    """The file of one process. Every method blocks on the disk."""

    def __init__(self, folder: Path, process_id: UUID, bytes_max: int) -> None:
        self._path = folder / f"{id_text(process_id)}{_SUFFIX}"
        self._bytes_max = bytes_max
        self._file = -1
        # The end of the records that are on the disk, and of what failed writes may have left.
        self._size = self._end = 0
        # Whether all of the space is allocated.
        self._reserved = False
        self._adopted: list[tuple[Path, int]] = []
        # Records of dead processes that could not be read.
        self.damaged = 0

    def open(self) -> None:
        """Create the file and allocate its space. If an earlier `clear` could not allocate it
        again, do that. Raises SpoolUnusable."""
        if self._file < 0:
            self._create()
        elif not self._reserved and not self._size:
            self._empty()

    def _create(self) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._reserve()
            _sync_folder(self._path.parent)
        except OSError as error:
            self.close()
            raise SpoolUnusable(f"{self._path}: {error.strerror}") from error

    def append(self, settlements: Sequence[AnySettlement], marks: Sequence[Marked] = ()) -> bool:
        """Write records and sync them to the disk before returning. Return whether there was space
        for the marks. Raises SpoolUnusable if nothing is stored."""
        lines, mark_lines = b"".join(map(line, settlements)), b"".join(map(line, marks))
        free = self._bytes_max - self._size
        if self._file < 0 or len(lines) > free:
            raise SpoolUnusable(f"{self._path} is full, or was never made")
        marks_fit = self._size < self._bytes_max // 2 and len(lines + mark_lines) <= free
        try:
            self._write(lines + mark_lines if marks_fit else lines)
        except OSError as error:
            raise SpoolUnusable(f"{self._path}: {error.strerror}") from error
        return marks_fit

    def _write(self, lines: bytes) -> None:
        """Write lines after the last one, and zeros over what a failed write left after them."""
        end = self._size + len(lines)
        self._end = max(self._end, end)
        lines = lines.ljust(self._end - self._size, b"\0")
        written = 0
        while written < len(lines):
            written += os.pwrite(self._file, lines[written:], self._size + written)
        os.fsync(self._file)
        self._size = self._end = end

    def adopt(self) -> list[Kept]:
        """Return what dead processes left in their spools. `clear` deletes it."""
        left: list[Kept] = []
        with contextlib.suppress(OSError):
            for path in sorted(self._path.parent.glob(f"*{_SUFFIX}")):
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
        if self._end:
            self._empty()

    def _empty(self) -> None:
        self._reserved = False
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
        self._size = self._end = 0
        for at in range(0, self._bytes_max, len(_ZEROS)):
            os.pwrite(self._file, _ZEROS[: self._bytes_max - at], at)
        os.fsync(self._file)
        self._reserved = True

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


class SpoolRecords(NamedTuple):
    """The records of a file, and the number of unreadable lines."""

    items: list[Kept]
    damaged: int


def read(raw: bytes) -> SpoolRecords:
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
    return SpoolRecords(items, damaged)


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


def _sync_folder(folder: Path) -> None:
    """Sync the folder, because only then is the name of a new file on the disk."""
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
