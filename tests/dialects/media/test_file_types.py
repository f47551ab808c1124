"""The type of a file: by its first bytes, else by its name."""

import pytest

from dialects.media.file_types import Kind, detect_type, list_formats

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
MP4 = b"\0\0\0\x18ftypM4A " + bytes(20)
HEIC = b"\0\0\0\x18ftypheic" + bytes(20)


@pytest.mark.parametrize(
    ("head", "name", "kind", "found"),
    [
        (PNG, "a.mp3", "image", ("image/png", "png")),
        (PNG, "a.png", "audio", None),
        (b"\xff\xd8\xff\xe0", "", "image", ("image/jpeg", "jpg")),
        (b"RIFF1234WEBPVP8 ", "", "image", ("image/webp", "webp")),
        (b"RIFF1234WAVEfmt ", "", "audio", ("audio/wav", "wav")),
        (b"GIF89a", "", "image", ("image/gif", "gif")),
        (b"fLaC", "", "audio", ("audio/flac", "flac")),
        (b"OggS", "", "audio", ("audio/ogg", "ogg")),
        (b"\x1aE\xdf\xa3", "", "audio", ("audio/webm", "webm")),
        (MP4, "", "audio", ("audio/mp4", "m4a")),
        (HEIC, "a.m4a", "audio", None),
        (HEIC, "", "image", ("image/heic", "heic")),
        (b"\xff\xf1", "", "audio", ("audio/aac", "aac")),
        (b"\xff\xfb", "", "audio", ("audio/mpeg", "mp3")),
        (b"ID3\x04", "", "audio", ("audio/mpeg", "mp3")),
        (b"%PDF-1.7", "a.png", "image", None),
        (b"PK\x03\x04", "a.mp3", "audio", None),
        (b"  <!DOCTYPE html>", "a.png", "image", None),
        (b"<svg>", "a.png", "image", None),
        (b"unknown", "a.svg", "image", None),
        (b"unknown", "a.PNG", "image", ("image/png", "png")),
        (b"unknown", "a.mp4", "audio", ("video/mp4", "mp4")),
        (b"unknown", "a.mp4", "image", None),
        (b"unknown", "a.txt", "audio", None),
        (b"unknown", "a", "audio", ("", "")),
        (b"", "", "image", ("", "")),
    ],
)
def test_first_bytes_decide_before_the_name(
    head: bytes, name: str, kind: Kind, found: tuple[str, str] | None
) -> None:
    assert detect_type(head, name, kind) == found


def test_error_lists_the_formats_of_its_kind() -> None:
    assert list_formats("image") == "png, jpg, webp, gif"
    assert list_formats("audio") == "wav, flac, ogg, webm, m4a, aac, mp3, mpeg"
