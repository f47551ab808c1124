"""Stream a ZIP archive. At most one of its files is in memory."""

import io
import zipfile
from collections.abc import Iterable, Iterator


class _Sent(io.RawIOBase):
    """A buffer that is emptied after each write."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._pieces.append(piece)
        return len(piece)

    def take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def stream_zip(files: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """Return the pieces of an archive of these (name, content) files. They are stored uncompressed,
    because formats such as PDF are compressed already."""
    sent = _Sent()
    with zipfile.ZipFile(sent, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files:
            archive.writestr(name, content)
            yield sent.take()
    yield sent.take()
