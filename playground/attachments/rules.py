"""Identify a file by its bytes, not by its name, and estimate its tokens.

UnsupportedFile     the file cannot be attached; `code` says why
"""

import re
import struct
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from dialects.media.file_types import HEAD_BYTES, type_of

BYTES_MAX: Final = 20 * 1024 * 1024
TEXT_BYTES_MAX: Final = 1024 * 1024
FILES_MAX: Final = 10
_FILM: Final = b"ftypqt  "
_SOUNDS: Final = ("audio/ogg", "audio/flac", "audio/webm", "audio/mp4")
_PAGE: Final = re.compile(rb"/Type\s*/Page[^s]")


class UnsupportedFile(ValueError):
    """The file cannot be attached."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class FileInfo(NamedTuple):
    """The type and facts of a file. `kind` is image, audio, file or text; `facts` are the measured
    values."""

    kind: str
    media_type: str
    facts: Mapping[str, Any]


def inspect_file(data: bytes) -> FileInfo:
    """Identify a file by its bytes. Raises UnsupportedFile for an unknown type, and for a file that
    is too large."""
    if not data:
        raise UnsupportedFile("empty")
    if len(data) > BYTES_MAX:
        raise UnsupportedFile("too_big")
    info = _picture(data) or _sound(data)
    if info is not None:
        return info
    if data.startswith(b"%PDF-"):
        pages = len(_PAGE.findall(data))
        return FileInfo("file", "application/pdf", {"pages": pages} if pages else {})
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise UnsupportedFile("unknown") from None
    if "\x00" in text:
        raise UnsupportedFile("unknown")
    if len(data) > TEXT_BYTES_MAX:
        raise UnsupportedFile("too_big")
    return FileInfo("text", "text/plain", {"lines": text.count("\n") + 1})


def estimated_tokens(info: FileInfo, size: int) -> int:
    """Estimate the tokens of a file: images by tiles of 512 px as in OpenAI's guide (2026-01),
    sound by 10 per second, documents by 800 per page, text by four bytes each."""
    facts = info.facts
    if info.kind == "image":
        tiles = -(-facts.get("width", 1024) // 512) * -(-facts.get("height", 1024) // 512)
        return int(85 + 170 * min(tiles, 12))
    if info.kind == "audio":
        return int(10 * facts.get("seconds", size // 16_000 + 1))
    if info.kind == "file":
        return int(800 * facts.get("pages", size // 50_000 + 1))
    return -(-size // 4)


def _picture(data: bytes) -> FileInfo | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return FileInfo("image", "image/png", _size_fields(width, height))
    if data.startswith((b"GIF87a", b"GIF89a")) and len(data) >= 10:
        width, height = struct.unpack("<HH", data[6:10])
        return FileInfo("image", "image/gif", _size_fields(width, height))
    if data.startswith(b"\xff\xd8\xff"):
        return FileInfo("image", "image/jpeg", _jpeg(data))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return FileInfo("image", "image/webp", _webp(data))
    return None


def _size_fields(width: int, height: int) -> dict[str, int]:
    return {"width": width, "height": height}


def _jpeg(data: bytes) -> dict[str, int]:
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return _size_fields(width, height)
        at += 2 + max(2, length)
    return {}


def _webp(data: bytes) -> dict[str, int]:
    form = data[12:16]
    if form == b"VP8X" and len(data) >= 30:
        return _size_fields(
            int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
        )
    if form == b"VP8 " and len(data) >= 30:
        width, height = struct.unpack("<HH", data[26:30])
        return _size_fields(width & 0x3FFF, height & 0x3FFF)
    return {}


def _sound(data: bytes) -> FileInfo | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        rate = int.from_bytes(data[28:32], "little") if len(data) >= 44 else 0
        return FileInfo("audio", "audio/wav", {"seconds": len(data) // rate} if rate else {})
    if data.startswith(b"ID3") or (data[0] == 0xFF and len(data) > 1 and data[1] & 0xE6 == 0xE2):
        return FileInfo("audio", "audio/mpeg", {})
    if data[4:12] == _FILM:
        return None
    media_type, _ = type_of(data[:HEAD_BYTES], "audio") or ("", "")
    return FileInfo("audio", media_type, {}) if media_type in _SOUNDS else None


class Medium(NamedTuple):
    """A picture or sound of an answer."""

    kind: str
    media_type: str
    data: bytes
