"""A ZIP archive that is sent while it is made: no more of it is in memory than one of its files."""

import io
import zipfile
from collections.abc import Iterable, Iterator


class _Sent(io.RawIOBase):
    """Takes what is written, and gives it up."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._pieces.append(piece)
        return len(piece)

    def taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def zipped(files: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """The pieces of an archive of these files, each (name, content). They are stored as they are:
    what is sent so, such as PDF, is compressed already."""
    sent = _Sent()
    with zipfile.ZipFile(sent, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files:
            archive.writestr(name, content)
            yield sent.taken()
    yield sent.taken()
