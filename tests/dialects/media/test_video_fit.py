"""Sizes and pictures of a video request, as providers take them."""

import pytest

from dialects.chat.chat import Base64
from dialects.errors.errors import RequestFault
from dialects.media.video_fit import (
    aspect_ratio,
    require_base64,
    resolution,
    sides,
    size_of,
    strip_data_url,
    to_url,
    without_none,
)

PNG = "iVBORw0KGgo="
DATA_URL = f"data:image/png;base64,{PNG}"


def test_size_has_its_nearest_ratio_and_resolution() -> None:
    sizes = ("1280x720", "720x1280", "1000x1100", "1920x1080")
    assert [aspect_ratio(size) for size in sizes] == ["16:9", "9:16", "1:1", "16:9"]
    assert aspect_ratio("1024x768", ("4:3", "16:9")) == "4:3"
    assert [resolution(size) for size in ("480x480", "500x481", "1280x720", "4000x3000")] == [
        480, 720, 720, 1080,
    ]  # fmt: skip
    assert (size_of("16:9", 720), size_of("9:16", 720)) == ("1280x720", "720x1280")
    assert sides("1280x720") == (1280, 720)


def test_picture_is_an_address_or_base64() -> None:
    assert strip_data_url(DATA_URL) == PNG
    assert strip_data_url("https://a.example/p.png") == "https://a.example/p.png"
    assert require_base64(DATA_URL, "image") == Base64(PNG, "image/png")
    with pytest.raises(RequestFault) as caught:
        require_base64("https://a.example/p.png", "image")
    assert (caught.value.kind, caught.value.param) == ("unsupported_capability", "image")


@pytest.mark.parametrize(
    ("picture", "url"),
    [
        ("", ""),
        ("HTTPS://a.example/p.png", "HTTPS://a.example/p.png"),
        (DATA_URL, DATA_URL),
        (PNG, DATA_URL),
        ("/9j/AAAA", "data:image/jpeg;base64,/9j/AAAA"),
        ("R0lGODAA", "data:image/gif;base64,R0lGODAA"),
        ("UklGRgAA", "data:image/webp;base64,UklGRgAA"),
    ],
)
def test_plain_base64_becomes_a_data_url(picture: str, url: str) -> None:
    assert to_url(picture, "image") == url


def test_text_that_is_no_picture_is_rejected() -> None:
    with pytest.raises(RequestFault) as caught:
        to_url("hello", "first_frame")
    assert (caught.value.kind, caught.value.param) == ("invalid_type", "first_frame")
    assert without_none({"a": None, "b": "", "c": 0, "d": False}) == {"c": 0, "d": False}
