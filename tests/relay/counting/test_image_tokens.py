"""P27: a picture counts what is published of its provider's rule."""

import base64
import json
from typing import Any, Final

import pytest

from relay.counting.image_tokens import Picture, count_picture, size_of
from relay.counting.tokenizer import count_request
from relay.counting.vocabularies import family_of

PNG: Final = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (1092).to_bytes(4) + (546).to_bytes(4) + b"\x08\x06"
JPEG: Final = (
    b"\xff\xd8\xff\xe1" + (9_002).to_bytes(2) + b"x" * 9_000
    + b"\xff\xc0\x00\x11\x08" + (546).to_bytes(2) + (1092).to_bytes(2) + b"\x03"
)  # fmt: skip
GIF: Final = b"GIF89a" + (1092).to_bytes(2, "little") + (546).to_bytes(2, "little") + b"\0\0"
LOSSY: Final = (
    b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a"
    + (1092).to_bytes(2, "little") + (546).to_bytes(2, "little")
)  # fmt: skip
LOSSLESS: Final = (
    b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + (1091 | 545 << 14).to_bytes(4, "little") + b"\0" * 8
)
EXTENDED: Final = (
    b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0"
    + (1091).to_bytes(3, "little") + (545).to_bytes(3, "little")
)  # fmt: skip


@pytest.mark.parametrize("head", [PNG, JPEG, GIF, LOSSY, LOSSLESS, EXTENDED])
def test_image_size_is_read_from_the_first_bytes(head: bytes) -> None:
    data = base64.b64encode(head + b"\0" * 1_000_000).decode()
    assert size_of(data) == (1092, 546)
    assert size_of(f"{data[:76]}\n{data[76:]}") == (1092, 546)


@pytest.mark.parametrize("data", ["", "AAAA", "no base64", "iVBORw0KGgo=", "/9j/4AAQ", "UklGRg=="])
def test_non_image_has_no_size(data: str) -> None:
    assert size_of(data) is None


@pytest.mark.parametrize(
    ("model", "size", "tokens"),
    [
        # OpenAI, "Images and vision": its own examples.
        ("gpt-4o", (1024, 1024), 765),
        ("gpt-4o", (2048, 4096), 1_105),
        ("gpt-4.1-mini", (1024, 1024), 1_659),
        ("o4-mini", (1024, 1024), 1_762),
        # Anthropic, "Vision": patches of 28 pixels.
        ("claude-sonnet-4-5", (1092, 1092), 39 * 39),
        ("claude-sonnet-4-5", (200, 200), 8 * 8),
        ("claude-sonnet-4-5", (3000, 2000), 1_568),
        ("claude-opus-4-8", (2576, 1456), 92 * 52),
        # Google: one tile, and the six of its example.
        ("gemini-2.5-flash", (384, 384), 258),
        ("gemini-2.5-flash", (960, 540), 6 * 258),
        ("gemini-3-pro", (4000, 3000), 1_120),
    ],
)
def test_image_is_counted_as_its_provider_does(
    model: str, size: tuple[int, int], tokens: int
) -> None:
    assert count_picture(Picture(size), family_of(model).picture) == tokens


def test_low_detail_counts_less() -> None:
    assert count_picture(Picture((2048, 4096), low=True), family_of("gpt-4o").picture) == 85


URL: Final = "data:image/png;base64," + base64.b64encode(PNG).decode()
DATA: Final = URL.partition(",")[2]


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": URL}}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": URL}]}]},
        {"messages": [{"role": "user", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                                         "data": DATA}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": [
            {"type": "image", "source": {"type": "base64", "data": DATA}}]}]}]},
        {"contents": [{"role": "user", "parts": [
            {"inlineData": {"mimeType": "image/png", "data": DATA}}]}]},
    ],
)  # fmt: skip
def test_a_picture_is_counted_in_each_dialect(body: dict[str, Any]) -> None:
    family = family_of("claude-sonnet-4-5")
    counted = count_request(json.dumps(body).encode(), family)
    assert counted == 7 + 39 * 20


def test_non_image_counts_nothing() -> None:
    sound = {"inlineData": {"mimeType": "audio/wav", "data": DATA}}
    body = {"contents": [{"role": "user", "parts": [sound, {"image_url": 3}, {"type": "image"}]}]}
    assert (count_request(json.dumps(body).encode(), family_of("gemini-3-pro")) or 0) <= 1_120
