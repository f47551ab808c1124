"""The file of a detached month (docs/operate/scale.md, "Months in files"): one ZIP.

    {table}/{n}.copy   rows in COPY's text format, a limited number in each part
    manifest.json      {format, month, columns: {table: [name, …]}, parts: [[name, table, rows,
                       SHA-256 of the unpacked part], …]}
    signature          HMAC-SHA-256 of the manifest under the key of the seals, in hexadecimal

Nothing is read before the signature of the manifest is verified, and no part is used without its
digest.
"""

import datetime as dt
import hashlib
import hmac
import json
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

FORMAT: Final = "weir-month-1"
_MANIFEST: Final = "manifest.json"
_SIGNATURE: Final = "signature"
_PART_ROWS: Final = 50_000
_READ_BYTES: Final = 1 << 20
# A manifest has about a hundred bytes per part.
_MANIFEST_BYTES_MAX: Final = 16 << 20
_SIGNED: Final = b"month file|"
# The exceptions of reading a damaged ZIP.
_DAMAGE: Final = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, KeyError, ValueError,
    NotImplementedError, RuntimeError, OSError,
)  # fmt: skip


class MonthFileBroken(Exception):
    """The file differs from what was written."""


class Part(NamedTuple):
    """A number of rows of a table."""

    name: str
    table: str
    rows: int
    sha256: str


class Manifest(NamedTuple):
    """The content of a file. `columns` are those of each table in the order of its parts."""

    month: dt.date
    columns: Mapping[str, list[str]]
    parts: list[Part]

    @property
    def rows(self) -> dict[str, int]:
        """The number of rows of each table."""
        return {
            table: sum(part.rows for part in self.parts if part.table == table)
            for table in self.columns
        }


class Rows(NamedTuple):
    """All rows of a table: lines as written by COPY, each with its newline."""

    table: str
    columns: list[str]
    lines: Iterable[bytes]


def write_month_file(path: Path, key: bytes, month: dt.date, tables: Iterable[Rows]) -> None:
    """Write a file. It gets its name only when it is complete and on disk. Raises OSError."""
    unfinished = path.with_name(f"{path.name}.part")
    columns: dict[str, list[str]] = {}
    parts: list[Part] = []
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
                for rows in tables:
                    columns[rows.table] = rows.columns
                    parts += _write_parts(packed, rows)
                manifest = _manifest(month, columns, parts)
                packed.writestr(_MANIFEST, manifest)
                packed.writestr(_SIGNATURE, _sign(key, manifest))
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_manifest(path: Path, key: bytes) -> Manifest:
    """Read the manifest of a file. Raises MonthFileBroken, and OSError."""
    path.stat()
    try:
        with zipfile.ZipFile(path) as packed:
            if packed.getinfo(_MANIFEST).file_size > _MANIFEST_BYTES_MAX:
                raise MonthFileBroken(f"{path.name} is no file of a month.")
            text = packed.read(_MANIFEST)
            signature = packed.read(_SIGNATURE).decode("ascii")
    except _DAMAGE as error:
        raise MonthFileBroken(f"{path.name} is no file of a month, or damaged: {error}") from error
    if not hmac.compare_digest(signature.encode(), _sign(key, text).encode()):
        raise MonthFileBroken(f"{path.name}: its signature is not ours.")
    stored: dict[str, Any] = json.loads(text)
    if stored["format"] != FORMAT:
        raise MonthFileBroken(f"{path.name} is of the form {stored['format']}, not {FORMAT}.")
    parts = [Part(*part) for part in stored["parts"]]
    return Manifest(dt.date.fromisoformat(stored["month"]), stored["columns"], parts)


def read_part(path: Path, part: Part) -> Iterator[bytes]:
    """Yield a part's bytes and verify its digest at the end. Raises MonthFileBroken."""
    digest, rows = hashlib.sha256(), 0
    try:
        with zipfile.ZipFile(path) as packed, packed.open(part.name) as file:
            while piece := file.read(_READ_BYTES):
                digest.update(piece)
                rows += piece.count(b"\n")
                yield piece
    except _DAMAGE as error:
        raise MonthFileBroken(f"{path.name}: {part.name} is damaged: {error}") from error
    if (rows, digest.hexdigest()) != (part.rows, part.sha256):
        raise MonthFileBroken(f"{path.name}: {part.name} is not what was written.")


def check_month_file(path: Path, key: bytes) -> Manifest:
    """Read a whole file and verify it. Raises MonthFileBroken."""
    manifest = read_manifest(path, key)
    for part in manifest.parts:
        for _ in read_part(path, part):
            pass
    return manifest


def digest_of(path: Path) -> bytes:
    """Return the SHA-256 of the whole file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _write_parts(packed: zipfile.ZipFile, rows: Rows) -> Iterator[Part]:
    lines = iter(rows.lines)
    n = 0
    line = next(lines, None)
    while line is not None:
        n += 1
        name, digest, count = f"{rows.table}/{n:05d}.copy", hashlib.sha256(), 0
        with packed.open(name, "w") as file:
            while line is not None and count < _PART_ROWS:
                digest.update(line)
                file.write(line)
                count += 1
                line = next(lines, None)
        yield Part(name, rows.table, count, digest.hexdigest())


def _manifest(month: dt.date, columns: Mapping[str, list[str]], parts: list[Part]) -> bytes:
    stored = {
        "format": FORMAT, "month": month.isoformat(), "columns": columns, "parts": parts,
    }  # fmt: skip
    return json.dumps(stored).encode()


def _sign(key: bytes, manifest: bytes) -> str:
    return hmac.new(key, _SIGNED + manifest, hashlib.sha256).hexdigest()
