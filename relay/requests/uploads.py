"""Forms with files: parsed from a client as they arrive, and sent to as many providers as
necessary.

A small file stays in memory, a larger one in an unnamed file on the disk that disappears with the
process. The hold may need fields after a file, and fail-over needs the body again, so it is read to
its end before anything is sent.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from io import BytesIO, FileIO
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryFile
from typing import Final

import msgspec

from dialects.errors.errors import RequestFault
from dialects.json import forms
from dialects.json.forms import PartHead
from dialects.media.file_types import HEAD_BYTES, Kind, detect_type, list_formats
from relay.config import MIB

log = logging.getLogger(__name__)

FILE_BYTES_IN_MEMORY: Final = 256 * 1024
_PIECE_BYTES: Final = 256 * 1024
# The limit for all forms of a process.
ALL_BYTES_MAX: Final = 2048 * MIB
_held_bytes = 0
_KINDS: Final[Mapping[Kind, str]] = {"audio": "a sound", "image": "an image"}


class UploadedFile:
    """One file of a form. `name` is the form's field; `media_type` and `filename` are derived from
    the content if that is recognised."""

    def __init__(self, head: PartHead, folder: Path | None) -> None:
        self.name = head.name
        self.filename = head.filename or "file"
        self.media_type = "application/octet-stream"
        self.size = 0
        self._folder = folder
        # Closed together with its form.
        self._file: BytesIO | FileIO = BytesIO()

    def write(self, piece: bytes) -> None:
        """Write the next piece to the file. Raises RequestFault if the disk is full."""
        try:
            if isinstance(self._file, BytesIO) and self.size + len(piece) > FILE_BYTES_IN_MEMORY:
                kept = self._file.getvalue()
                # Unbuffered, to avoid a copy of every piece.
                self._file = TemporaryFile(buffering=0, dir=self._folder)  # noqa: SIM115
                _write_all(self._file, kept)
            _write_all(self._file, piece)
        except OSError as error:
            log.error("the file of a form cannot be kept: %s", error)
            raise RequestFault("overloaded", None, "") from error
        self.size += len(piece)

    def check(self, kind: Kind) -> None:
        """Detect the file's type. Raises RequestFault if it is certainly of another kind."""
        if not self.size:
            raise RequestFault("invalid_value", self.name, f"{self.name} must not be empty")
        judged = detect_type(self.head(HEAD_BYTES), self.filename, kind)
        if judged is None:
            what = f"{self.name} must be {_KINDS[kind]}, such as {list_formats(kind)}; "
            what += "what it holds, or its name, says that it is something else"
            raise RequestFault("invalid_value", self.name, what)
        media_type, ending = judged
        if not ending:
            # Only the provider can detect the type.
            return
        self.media_type = media_type
        stem = self.filename.rpartition(".")[0] or self.filename
        if not self.filename.lower().endswith(f".{ending}"):
            # Providers rely on the file extension.
            self.filename = f"{stem}.{ending}"

    def head(self, size: int) -> bytes:
        """Return the first `size` bytes of the file."""
        self._file.seek(0)
        return self._file.read(size)

    def tail(self, size: int) -> bytes:
        """Return the last `size` bytes of the file."""
        self._file.seek(max(0, self.size - size))
        return self._file.read(size)

    def pieces(self) -> Iterator[bytes]:
        """Yield the whole file."""
        self._file.seek(0)
        while piece := self._file.read(_PIECE_BYTES):
            yield piece

    def close(self) -> None:
        self._file.close()


def _write_all(file: BytesIO | FileIO, piece: bytes) -> None:
    """Write all bytes. Raises OSError if the disk is full, which a partial write alone does not
    report."""
    written = file.write(piece)
    while written < len(piece):
        written += file.write(piece[written:])


class Form:
    """A received form: its texts in order, and its files."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []
        self.files: list[UploadedFile] = []
        self._held = 0

    def add(self, head: PartHead, content: bytes, folder: Path | None = None) -> None:
        """Add a file that was received before. Raises RequestFault if the form has no room for
        it."""
        self.hold(len(content))
        self.files.append(UploadedFile(head, folder))
        self.files[-1].write(content)

    async def digests(self) -> list[bytes]:
        """Return the SHA-256 of each file."""
        digests = list[bytes]()
        for file in self.files:
            summed = sha256()
            for piece in file.pieces():
                summed.update(piece)
                # Other requests are handled meanwhile.
                await asyncio.sleep(0)
            digests.append(summed.digest())
        return digests

    async def digest(self) -> bytes:
        """Return a digest that is equal for forms with equal files."""
        summed = sha256()
        for file in self.files:
            summed.update(msgspec.json.encode([file.name, file.size]))
            for piece in file.pieces():
                summed.update(piece)
                # Other requests are handled meanwhile.
                await asyncio.sleep(0)
        return summed.digest()

    def hold(self, size: int) -> None:
        """Reserve disk space for the form. Raises RequestFault if no space is left."""
        global _held_bytes
        if _held_bytes + size > ALL_BYTES_MAX:
            raise RequestFault("overloaded", None, "")
        self._held += size
        _held_bytes += size

    def close(self) -> None:
        """Close the files, and release the form's disk space."""
        global _held_bytes
        _held_bytes -= self._held
        self._held = 0
        for file in self.files:
            file.close()


class OutgoingForm:
    """A form to send to a provider: the members of a JSON object, and files."""

    def __init__(self, members: bytes, files: Sequence[UploadedFile]) -> None:
        boundary = token_hex(24).encode()
        self.content_type = b"multipart/form-data; boundary=" + boundary
        texts: Mapping[str, object] = msgspec.json.decode(members, type=dict[str, object])
        self._texts = forms.text_parts(texts, boundary)
        self._files = [
            (forms.file_head(file.name, file.filename, file.media_type, boundary), file)
            for file in files
        ]
        self._last = forms.last_line(boundary)
        framed = sum(len(head) + file.size + 2 for head, file in self._files)
        self.size = len(self._texts) + framed + len(self._last)

    def pieces(self) -> Iterator[bytes]:
        """Yield the form's bytes in order."""
        yield self._texts
        for head, file in self._files:
            yield head
            yield from file.pieces()
            yield b"\r\n"
        yield self._last
