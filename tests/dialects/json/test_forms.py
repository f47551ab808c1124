"""Forms are read however they are cut, and nothing that a form may not be gets through."""

import json

import pytest

from dialects.errors.errors import RequestFault
from dialects.json import forms
from dialects.json.forms import FormReader, PartHead, boundary_of, members_of
from dialects.media.file_types import detect_type, type_of
from tests.fakes.media import form_of, picture, wav

CONTENT = b"\r\n--xy\r\r\n--x\r\n-" + bytes(range(256))
FORM = (
    b'preamble\r\n--xyz\r\nContent-Disposition: form-data; name="a"\r\n\r\none\r\n'
    b'--xyz  \r\ncontent-type: text/plain\r\nContent-Disposition: form-data; filename="q\\"r.png";'
    b" name=file\r\n\r\n" + CONTENT + b"\r\n--xyz\r\n"
    b'Content-Disposition: form-data; name="e:mpty"\r\n\r\n\r\n--xyz--\r\nbehind'
)


def read(raw: bytes, size: int) -> list[tuple[PartHead, bytes]]:
    reader, parts = FormReader(b"xyz"), list[tuple[PartHead, bytes]]()
    for at in range(0, len(raw), size):
        for one_result in reader.feed(raw[at : at + size]):
            if isinstance(one_result, PartHead):
                parts.append((one_result, b""))
            else:
                parts[-1] = (parts[-1][0], parts[-1][1] + one_result)
    assert reader.ended
    return parts


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
def test_a_form_is_the_same_however_it_is_cut(size: int) -> None:
    assert read(FORM, size) == [
        (PartHead("a", None), b"one"),
        (PartHead("file", 'q"r.png'), CONTENT),
        (PartHead("e:mpty", None), b""),
    ]


@pytest.mark.parametrize(
    "raw",
    [
        b"--xyz\r\n\r\n\r\n--xyz--",
        b"--xyz\r\nContent-Disposition: attachment; name=a\r\n\r\n\r\n--xyz--",
        b"--xyz\r\nContent-Disposition: form-data\r\n\r\n\r\n--xyz--",
        b"--xyzz\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n--xyz--",
        b"--xyz\r\nContent-Disposition: form-data; name=\xff\r\n\r\n\r\n--xyz--",
        b"--xyz\r\nx: " + b"a" * 9000,
        b"--xyz\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n" * 65,
    ],
)
def test_malformed_forms(raw: bytes) -> None:
    with pytest.raises(RequestFault) as caught:
        FormReader(b"xyz").feed(raw)
    assert caught.value.kind == "malformed_json"


@pytest.mark.parametrize(
    ("text", "boundary"),
    [
        ("multipart/form-data; boundary=xyz", b"xyz"),
        ('multipart/form-data; charset=utf-8; boundary="a b:c"', b"a b:c"),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=" + "a" * 71, None),
        ('multipart/form-data; boundary="a\r\nb"', None),
    ],
)
def test_boundaries(text: str, boundary: bytes | None) -> None:
    if boundary is None:
        with pytest.raises(RequestFault):
            boundary_of(text)
    else:
        assert boundary_of(text) == boundary


def test_texts_are_members_of_their_kinds() -> None:
    texts = [("n", "2"), ("stream", "True"), ("x[]", "a"), ("y", "1"), ("y", "b"), ("m", "no")]
    kinds: dict[str, type] = {"n": int, "stream": bool, "m": int}
    assert json.loads(members_of(texts, kinds)) == {
        "n": 2, "stream": True, "x[]": ["a"], "y": ["1", "b"], "m": "no",
    }  # fmt: skip


def test_written_form_is_readable_by_others() -> None:
    """Also what tries to be more than a name."""
    name = 'a"\r\nContent-Disposition: form-data; name="model'
    body = forms.text_parts({"x[]": ["a", "b"], "n": 2, "on": True, "none": None}, b"q")
    body += forms.file_head("file", name, "audio/wav", b"q") + b"RIFF\r\n" + forms.last_line(b"q")
    form = form_of(body, {"content-type": "multipart/form-data; boundary=q"})
    assert form is not None
    kind, media_type, content = form.pop("file")
    assert form == {"x": ["a", "b"], "n": "2", "on": "true"}
    assert (media_type, content) == ("audio/wav", b"RIFF")
    assert "\r" not in kind


@pytest.mark.parametrize(
    ("head", "kind", "ending"),
    [
        (wav(1), "audio", "wav"),
        (picture("x"), "image", "png"),
        (b"ID3\4", "audio", "mp3"),
        (b"\xff\xfb\x90\0", "audio", "mp3"),
        (b"\xff\xf1\x50\x80", "audio", "aac"),
        (b"OggS\0", "audio", "ogg"),
        (b"fLaC\0", "audio", "flac"),
        (b"\0\0\0\x18ftypM4A ", "audio", "m4a"),
        (b"\0\0\0\x1cftypiso5", "audio", "m4a"),
        (b"\0\0\0\x18ftypheic", "audio", None),
        (b"\0\0\0\x18ftyphevc", "audio", None),
        (b"\0\0\0\x18ftypcrx ", "audio", None),
        (b"\x1aE\xdf\xa3", "audio", "webm"),
        (b"\xff\xd8\xff\xe0", "image", "jpg"),
        (b"RIFF\1\2\3\4WEBPVP8 ", "image", "webp"),
        (wav(1), "image", None),
        (picture("x"), "audio", None),
        (b"<svg", "image", None),
        (b"", "audio", None),
    ],
)
def test_types_by_content(head: bytes, kind: str, ending: str | None) -> None:
    type_value = type_of(head[:64], kind)  # type: ignore[arg-type]
    assert (None if type_value is None else type_value[1]) == ending


@pytest.mark.parametrize(
    ("head", "filename", "kind", "media_type"),
    [
        # Known by what they hold, whatever they are called.
        (wav(1), "speech.txt", "audio", "audio/wav"),
        (picture("x"), "x", "image", "image/png"),
        (b"\0\0\0\x18ftypavif", "photo.avif", "image", "image/avif"),
        (b"#!AMR\n", "call.amr", "audio", "audio/amr"),
        # Not known: by their names, and by their provider.
        (b"\xee\xee\xee\xee", "speech.mp3", "audio", "audio/mpeg"),
        (b"\xee\xee\xee\xee", "talk.mp4", "audio", "video/mp4"),
        (b"\xee\xee\xee\xee", "photo.png", "image", "image/png"),
        (b"\xee\xee\xee\xee", "blob", "audio", ""),
        (b"\xee\xee\xee\xee", "speech.newest", "audio", ""),
        # What they hold, or are called, contradicts.
        (picture("x"), "speech.mp3", "audio", None),
        (b"\0\0\0\x18ftypheic", "photo.heic", "audio", None),
        (wav(1), "photo.png", "image", None),
        (b"%PDF-1.7", "photo.png", "image", None),
        (b"<html><body>", "speech.wav", "audio", None),
        (b"\xee\xee\xee\xee", "notes.txt", "audio", None),
        (b"\xee\xee\xee\xee", "photo.png", "audio", None),
        (b"\xee\xee\xee\xee", "drawing.svg", "image", None),
    ],
)
def test_unknown_type_is_guessed_from_name_and_provider(
    head: bytes, filename: str, kind: str, media_type: str | None
) -> None:
    judged = detect_type(head[:64], filename, kind)  # type: ignore[arg-type]
    assert (None if judged is None else judged[0]) == media_type
