import pytest

from dialects.chat import media
from dialects.chat.chat import Base64, File, Image, Message, PlainText, Text, ToolResult, Url
from dialects.chat.media import (
    audio_format,
    audio_type,
    check_sizes,
    data_url,
    read_base64,
    read_url,
    type_of_name,
)
from dialects.errors.errors import RequestFault


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("https://a.org/b", Url("https://a.org/b")),
        ("data:image/png;base64,AA==", Base64("AA==", "image/png")),
        ("DATA:text/plain;charset=utf-8;BASE64,AA==", Base64("AA==", "text/plain")),
        ("data:;base64,", Base64("", "application/octet-stream")),
    ],
)
def test_read_url(url: str, read: object) -> None:
    assert read_url(url, "p") == read


@pytest.mark.parametrize(
    "url", ["data:image/png,AA", "data:", "data:a;base64,A", "data:a;base64,é"]
)
def test_bad_data_url(url: str) -> None:
    with pytest.raises(RequestFault) as raised:
        read_url(url, "p.url")
    assert (raised.value.kind, raised.value.param) == ("invalid_type", "p.url")


def test_data_url_is_written_as_it_was_read() -> None:
    assert read_url(data_url(Base64("AA==", "a/b")), "p") == Base64("AA==", "a/b")


def test_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "FILE_BYTES_MAX", 5)
    with pytest.raises(RequestFault) as raised:
        read_base64("AAAAAAAA", "a/b", "p")
    assert raised.value.kind == "body_too_large"
    assert "p is 6 bytes; the limit is 5" in raised.value.message
    source = Base64("AAAA", "a/b")
    parts = (File(source), Text("a"), Image(Url("https://a.org/b")), Image(Base64("", "a/b")))
    check_sizes((Message("user", parts),), "messages")
    for more in (File(PlainText("abc")), Image(source), ToolResult("1", (File(source),))):
        with pytest.raises(RequestFault) as raised:
            check_sizes((Message("user", (*parts, more)),), "messages")
        assert raised.value.param == "messages"


@pytest.mark.parametrize(
    ("media_type", "name"),
    [
        ("audio/wav", "wav"),
        ("audio/x-wav", "wav"),
        ("audio/mpeg", "mp3"),
        ("audio/L16;codec=pcm;rate=24000", "pcm16"),
        ("audio/flac", "flac"),
    ],
)
def test_audio_formats(media_type: str, name: str) -> None:
    assert audio_format(media_type) == name
    assert audio_format(audio_type(name)) == name


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("a.PDF", "application/pdf"), ("a.csv", "text/csv"), ("", "application/pdf")],
)
def test_type_of_name(name: str, media_type: str) -> None:
    assert type_of_name(name) == media_type
