"""Binary content inside a request: data URLs, base64, audio formats, and their limits."""

import binascii
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from dialects.chat.chat import Base64, File, Image, Message, Part, PlainText, ToolResult, Url
from dialects.errors.errors import RequestFault

MediaKind = Literal["image", "audio", "file", "video"]
"""The kinds of content that a request may have besides text."""

FILE_BYTES_MAX: Final = 52_428_800

_DATA_URL = re.compile(r"data:([^,;]*)((?:;[^,;]*)*?)(;base64)?,", re.IGNORECASE)
_AUDIO_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {"wav": "audio/wav", "mp3": "audio/mpeg", "pcm16": "audio/L16", "opus": "audio/opus"}
)
_AUDIO_FORMATS: Final[Mapping[str, str]] = MappingProxyType(
    {"audio/x-wav": "wav", "audio/wave": "wav", "audio/mp3": "mp3"}
    | {media_type.lower(): name for name, media_type in _AUDIO_TYPES.items()}
)
_BY_ENDING: Final[Mapping[str, str]] = MappingProxyType(
    {
        "pdf": "application/pdf",
        "txt": "text/plain",
        "md": "text/markdown",
        "csv": "text/csv",
        "html": "text/html",
        "json": "application/json",
    }
)


def read_url(url: str, path: str) -> Url | Base64:
    """Return a URL, or the data of a data URL. Raises RequestFault at `path` for an invalid data
    URL.
    """
    if url[:5].lower() != "data:":
        return Url(url)
    head = _DATA_URL.match(url)
    if head is None or head[3] is None:
        raise RequestFault("invalid_type", path, f"{path} must be a base64 data URL")
    return read_base64(url[head.end() :], head[1] or "application/octet-stream", path)


def file_name(name: str, media_type: str) -> str:
    """Return a file name for providers that require one. Its extension shows the type."""
    ending = next((ending for ending, known in _BY_ENDING.items() if known == media_type), "pdf")
    return name or f"file.{ending}"


def read_base64(data: str, media_type: str, path: str) -> Base64:
    """Return data in base64, as text. Raises RequestFault: invalid_type, body_too_large."""
    try:
        size = len(binascii.a2b_base64(data, strict_mode=True))
    except (binascii.Error, ValueError):
        raise RequestFault("invalid_type", path, f"{path} must be base64") from None
    check_size(path, size)
    return Base64(data, media_type)


def check_size(path: str, size: int) -> None:
    """Check that `size` bytes are within the limit of a file. Raises body_too_large."""
    if size > FILE_BYTES_MAX:
        raise RequestFault("body_too_large", path, path, size=size, limit=FILE_BYTES_MAX)


def check_sizes(messages: tuple[Message, ...], path: str) -> None:
    """Check that all files together are within the limit of one file. Raises body_too_large at
    `path`."""
    check_size(path, sum(_size(part) for message in messages for part in message.parts))


def _size(part: Part) -> int:
    if isinstance(part, ToolResult):
        return sum(_size(inner) for inner in part.parts)
    match part:
        case File(source=Base64(data=data)) | Image(source=Base64(data=data)):
            return len(data) * 3 // 4
        case File(source=PlainText(text=text)):
            return len(text)
        case _:
            return 0


def data_url(source: Base64) -> str:
    """Return the data as a data URL."""
    return f"data:{source.media_type};base64,{source.data}"


def audio_type(audio_format: str) -> str:
    """Return the media type of an audio format such as mp3."""
    return _AUDIO_TYPES.get(audio_format, f"audio/{audio_format}")


def audio_format(media_type: str) -> str:
    """Return the audio format of a media type such as audio/mpeg, without its parameters."""
    essence = media_type.partition(";")[0].strip().lower()
    return _AUDIO_FORMATS.get(essence) or essence.rpartition("/")[2]


def type_of_name(name: str) -> str:
    """Return the media type of a document by its file name; PDF if unknown."""
    return _BY_ENDING.get(name.rpartition(".")[2].lower(), "application/pdf")
