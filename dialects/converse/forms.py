"""The names that the converse dialect gives to media types."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

IMAGES: Final = frozenset({"png", "jpeg", "gif", "webp"})
VIDEOS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "mp4": "mp4",
        "webm": "webm",
        "x-matroska": "mkv",
        "quicktime": "mov",
        "x-flv": "flv",
        "mpeg": "mpeg",
        "x-ms-wmv": "wmv",
        "3gpp": "three_gp",
    }
)
"""By the media type after `video/`."""

SOUNDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "wav": "wav",
        "x-wav": "wav",
        "mpeg": "mp3",
        "mp3": "mp3",
        "mp4": "mp4",
        "m4a": "m4a",
        "aac": "aac",
        "flac": "flac",
        "ogg": "ogg",
        "opus": "opus",
        "webm": "webm",
    }
)
"""By the media type after `audio/`."""

_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
DOCUMENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "application/pdf": "pdf",
        "text/csv": "csv",
        "text/html": "html",
        "text/markdown": "md",
        "text/plain": "txt",
        "application/msword": "doc",
        "application/vnd.ms-excel": "xls",
        f"{_OFFICE}wordprocessingml.document": "docx",
        f"{_OFFICE}spreadsheetml.sheet": "xlsx",
    }
)
"""By the media type."""

_VIDEO_TYPES: Final = {kind: name for name, kind in VIDEOS.items()} | {"mpg": "mpeg"}
_SOUND_TYPES: Final = {
    "wav": "wav", "mp3": "mpeg", "mp4": "mp4", "m4a": "m4a", "aac": "aac", "x-aac": "aac",
    "flac": "flac", "ogg": "ogg", "opus": "opus", "webm": "webm", "mpeg": "mpeg", "mpga": "mpeg",
    "pcm": "L16", "mka": "x-matroska", "mkv": "x-matroska",
}  # fmt: skip
_DOCUMENT_TYPES: Final = {kind: name for name, kind in DOCUMENTS.items()}


def media_type_of(member: str, kind: str) -> str | None:
    """Return the media type of the dialect's `kind` of an image, video, audio or document; None
    for an unknown one."""
    if member == "image":
        return f"image/{kind}" if kind in IMAGES else None
    if member == "document":
        return _DOCUMENT_TYPES.get(kind)
    name = (_VIDEO_TYPES if member == "video" else _SOUND_TYPES).get(kind)
    return None if name is None else f"{member}/{name}"
