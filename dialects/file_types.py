"""What a file is, by its first bytes: what a client calls it is not believed."""

import re
from typing import Final, Literal, cast

Kind = Literal["audio", "image"]

HEAD_BYTES: Final = 64
"""How much of a file is looked at."""

# The formats that OpenAI's endpoints of audio and images take (its OpenAPI description 2.3.0), by
# what their files begin with.
_SIGNS: Final[tuple[tuple[Kind, str, str, re.Pattern[bytes]], ...]] = tuple(
    (cast(Kind, kind), media_type, ending, re.compile(sign, re.DOTALL))
    for kind, media_type, ending, sign in (
        ("audio", "audio/wav", "wav", rb"RIFF....WAVE|RF64....WAVE"),
        ("audio", "audio/flac", "flac", rb"fLaC"),
        ("audio", "audio/ogg", "ogg", rb"OggS"),
        ("audio", "audio/webm", "webm", rb"\x1aE\xdf\xa3"),
        ("audio", "audio/mp4", "m4a", rb"....ftyp"),
        ("audio", "audio/aac", "aac", rb"\xff[\xf0\xf1\xf8\xf9]"),
        ("audio", "audio/mpeg", "mp3", rb"ID3|\xff[\xe2-\xe7\xea-\xef\xf2-\xf7\xfa-\xff]"),
        ("audio", "video/mpeg", "mpeg", rb"\x00\x00\x01[\xb3\xba]"),
        ("image", "image/png", "png", rb"\x89PNG\r\n\x1a\n"),
        ("image", "image/jpeg", "jpg", rb"\xff\xd8\xff"),
        ("image", "image/webp", "webp", rb"RIFF....WEBP"),
        ("image", "image/gif", "gif", rb"GIF8[79]a"),
    )
)


def type_of(head: bytes, kind: Kind) -> tuple[str, str] | None:
    """The media type of a file that begins so and the ending of its name; None where it is none of
    the kind that is read."""
    for of_kind, media_type, ending, sign in _SIGNS:
        if of_kind == kind and sign.match(head):
            return media_type, ending
    return None


def named_types(kind: Kind) -> str:
    """The formats of a kind, for a refusal."""
    return ", ".join(ending for of_kind, _, ending, _ in _SIGNS if of_kind == kind)
