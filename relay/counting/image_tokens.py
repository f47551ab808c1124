"""The tokens of a picture, from its width and height.

The rules are those of OpenAI's page "Images and vision", Anthropic's "Vision", Google's "Understand
and count tokens" and Alibaba's page on Qwen-VL. Most were taken in November 2026 from copies of
these pages and from programs that implement them; none was compared with a bill. Uncertain are:
GPT-5 mini and nano, which may be billed by 1.2 and 1.5 instead of 1.62 and 2.46; GPT-5 since 5.2,
which may count patches instead of tiles; and Gemini 3, for which the default resolution is assumed.

Only the first bytes of a PNG, GIF, WebP or JPEG are decoded, which hold its size.
"""

import binascii
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

PictureRule = Literal[
    "gpt-4o", "gpt-4o-mini", "o1", "gpt-5", "mini", "o4-mini", "nano",
    "claude", "claude-large", "gemini-2", "gemini-3", "qwen",
]  # fmt: skip


class Picture(NamedTuple):
    """An image of a request: its size in pixels, None if unknown before it is fetched, and whether
    the client wants low detail."""

    size: tuple[int, int] | None
    low: bool = False


# The assumed size of an image that is referred to by URL only.
_USUAL: Final = (1024, 1024)
# In a JPEG the size follows the camera's metadata, which contains at most a thumbnail.
_HEAD_BYTES: Final = 96 * 1024
# Tokens of a picture, and of each tile of 512 pixels.
_TILES: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {"gpt-4o": (85, 170), "gpt-4o-mini": (2_833, 5_667), "o1": (75, 150), "gpt-5": (70, 140)}
)
# Hundredths of a token for each patch of 32 pixels.
_PATCHES: Final[Mapping[str, int]] = MappingProxyType({"mini": 162, "o4-mini": 172, "nano": 246})
_PATCHES_MAX: Final = 1_536
# The longest side in pixels, and the maximum number of patches of 28 pixels; larger images are
# scaled down.
_SCALED: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {"claude": (1_568, 1_568), "claude-large": (2_576, 4_784)}
)
# A JPEG frame that holds its size: SOF0 to SOF15, without DHT, JPG and DAC.
_JPEG_SIZES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SPACE = re.compile(r"\s+")


def count_picture(picture: Picture, rule: PictureRule) -> int:
    """Return the tokens of one picture."""
    width, height = picture.size or _USUAL
    if rule in _TILES:
        base, tile = _TILES[rule]
        return base if picture.low else base + tile * _tiles(width, height)
    if rule in _PATCHES:
        patches = min(-(-width // 32) * -(-height // 32), _PATCHES_MAX)
        return -(-patches * _PATCHES[rule] // 100)
    if rule in _SCALED:
        longest, most = _SCALED[rule]
        width, height = _within(width, height, longest)
        return max(min(-(-width // 28) * -(-height // 28), most), 1)
    if rule == "gemini-3":
        return 1_120
    if rule == "gemini-2":
        return 258 * _crops(width, height)
    return max(4, min(round(width / 28) * round(height / 28), 1_280)) + 2


def size_of(data: str) -> tuple[int, int] | None:
    """Return the width and height of an image in base64; None if it is in none of the four
    formats."""
    text = _SPACE.sub("", data[: _HEAD_BYTES // 3 * 4])
    try:
        head = binascii.a2b_base64(text[: len(text) // 4 * 4])
    except (binascii.Error, ValueError):
        return None
    size = _read_size(head)
    return size if size and all(size) else None


def _read_size(head: bytes) -> tuple[int, int] | None:
    if head[:8] == b"\x89PNG\r\n\x1a\n" and len(head) >= 24:
        return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
    if head[:4] == b"GIF8" and len(head) >= 10:
        return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP" and len(head) >= 30:
        return _read_webp(head)
    return _read_jpeg(head) if head[:2] == b"\xff\xd8" else None


def _read_webp(head: bytes) -> tuple[int, int] | None:
    kind = head[12:16]
    if kind == b"VP8 ":
        sides = int.from_bytes(head[26:30], "little")
        return sides & 0x3FFF, sides >> 16 & 0x3FFF
    if kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1


def _read_jpeg(head: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        if head[at + 1] in _JPEG_SIZES:
            return int.from_bytes(head[at + 7 : at + 9]), int.from_bytes(head[at + 5 : at + 7])
        at += 2 + int.from_bytes(head[at + 2 : at + 4])
    return None


def _within(width: int, height: int, longest: int) -> tuple[int, int]:
    """Scale a size down so that no side is longer than `longest`."""
    side = max(width, height, longest)
    return width * longest // side, height * longest // side


def _tiles(width: int, height: int) -> int:
    """Return the number of squares of 512 pixels, after scaling to fit 2,048 pixels and a shorter
    side of at most 768."""
    width, height = _within(width, height, 2_048)
    side = max(min(width, height), 768)
    width, height = width * 768 // side, height * 768 // side
    return max(-(-width // 512) * -(-height // 512), 1)


def _crops(width: int, height: int) -> int:
    if max(width, height) <= 384:
        return 1
    unit = max(min(width, height) * 2 // 3, 1)
    return -(-width // unit) * -(-height // unit)
