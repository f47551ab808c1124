"""Detect the type of a file, by its first bytes if they are known, else by its name. A file whose
first bytes contradict its kind is refused, whatever its name. If the first bytes are unknown, the
provider decides, unless the name contradicts the kind.
"""

import mimetypes
import re
from collections.abc import Iterator
from typing import Final, Literal, cast

Kind = Literal["audio", "image"]

HEAD_BYTES: Final = 64
"""How much of a file is read to detect its type."""

_HEIF: Final = rb"avc[is]|he[iv][cmsx]|mif[12]|msf1|miaf"
# The formats that OpenAI's audio and image endpoints accept (its OpenAPI description 2.3.0), by
# their first bytes.
_SIGNS: Final[tuple[tuple[Kind, str, str, re.Pattern[bytes]], ...]] = tuple(
    (cast(Kind, kind), media_type, ending, re.compile(sign, re.DOTALL))
    for kind, media_type, ending, sign in (
        ("audio", "audio/wav", "wav", rb"RIFF....WAVE|RF64....WAVE"),
        ("audio", "audio/flac", "flac", rb"fLaC"),
        ("audio", "audio/ogg", "ogg", rb"OggS"),
        ("audio", "audio/webm", "webm", rb"\x1aE\xdf\xa3"),
        # Of any brand but those of pictures.
        ("audio", "audio/mp4", "m4a", rb"\0\0..ftyp(?!avi[fs]|crx |" + _HEIF + rb")"),
        ("audio", "audio/aac", "aac", rb"\xff[\xf0\xf1\xf8\xf9]"),
        ("audio", "audio/mpeg", "mp3", rb"ID3|\xff[\xe2-\xe7\xea-\xef\xf2-\xf7\xfa-\xff]"),
        ("audio", "video/mpeg", "mpeg", rb"\x00\x00\x01[\xb3\xba]"),
        ("image", "image/png", "png", rb"\x89PNG\r\n\x1a\n"),
        ("image", "image/jpeg", "jpg", rb"\xff\xd8\xff"),
        ("image", "image/webp", "webp", rb"RIFF....WEBP"),
        ("image", "image/gif", "gif", rb"GIF8[79]a"),
    )
)
# Formats that no endpoint documents, so that the provider decides; and formats that are neither.
_OTHERS: Final[tuple[tuple[str, str, str, re.Pattern[bytes]], ...]] = tuple(
    (kind, media_type, ending, re.compile(sign, re.DOTALL | re.IGNORECASE))
    for kind, media_type, ending, sign in (
        ("image", "image/avif", "avif", rb"....ftypavi[fs]"),
        ("image", "image/heic", "heic", rb"....ftyp(?:" + _HEIF + rb")"),
        ("image", "image/bmp", "bmp", rb"BM.{4}\0{4}"),
        ("image", "image/tiff", "tiff", rb"II\*\0|MM\0\*"),
        ("audio", "audio/amr", "amr", rb"#!AMR"),
        ("audio", "audio/aiff", "aiff", rb"FORM....AIF[FC]"),
        ("", "application/pdf", "pdf", rb"%PDF-"),
        ("", "application/zip", "zip", rb"PK\x03\x04"),
        ("", "application/gzip", "gz", rb"\x1f\x8b\x08"),
        ("", "text/html", "html", rb"\s*<(?:!doctype html|html|svg|\?xml)"),
        ("", "application/x-executable", "", rb"\x7fELF|MZ.{58}\0\0"),
    )
)
# A video has a sound track, and servers accept it as audio.
_TAKEN_AS: Final = {"audio": ("audio/", "video/"), "image": ("image/",)}
_DRAWN: Final = "image/svg+xml"


def detect_type(head: bytes, filename: str, kind: Kind) -> tuple[str, str] | None:
    """Return the media type and the file extension. The file's first bytes decide, or its name if
    they are unknown; both are "" if only the provider can tell. Return None for a file that is not
    of this kind."""
    if (known := type_of(head, kind)) is not None:
        return known
    recognised = dict(_match_signs(head))
    if recognised:
        return recognised.get(kind)
    media_type = mimetypes.guess_type(filename)[0]
    if media_type is None:
        return "", ""
    if media_type == _DRAWN or not media_type.startswith(_TAKEN_AS[kind]):
        return None
    return media_type, filename.rpartition(".")[2].lower()


def _match_signs(head: bytes) -> Iterator[tuple[str, tuple[str, str]]]:
    """Return the format of the first bytes, by kind; more exact signatures come last."""
    for kind, media_type, ending, sign in (*_SIGNS, *_OTHERS):
        if sign.match(head):
            yield kind, (media_type, ending)


def type_of(head: bytes, kind: Kind) -> tuple[str, str] | None:
    """Return the media type of a file with these first bytes, and its file extension; None if it is
    not of a supported kind.
    """
    for of_kind, media_type, ending, sign in _SIGNS:
        if of_kind == kind and sign.match(head):
            return media_type, ending
    return None


def list_formats(kind: Kind) -> str:
    """List the formats of a kind, for an error message."""
    return ", ".join(ending for of_kind, _, ending, _ in _SIGNS if of_kind == kind)
