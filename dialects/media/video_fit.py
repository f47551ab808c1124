"""Convert the parameters of a video request to those of providers."""

from fractions import Fraction
from typing import Any, Final

from dialects.chat.chat import Base64
from dialects.chat.media import data_url, read_url
from dialects.errors.errors import RequestFault

_SHAPES: Final = ("16:9", "9:16", "1:1")
# The beginnings of pictures in base64.
_SIGNS: Final = (
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
)


def aspect_ratio(size: str, among: tuple[str, ...] = _SHAPES) -> str:
    """Return the ratio (`16:9`) nearest to a size (`1280x720`)."""
    return min(among, key=lambda ratio: _distance(sides(size), ratio))


def resolution(size: str, among: tuple[int, ...] = (480, 720, 1080)) -> int:
    """Return the shorter side of a size as a provider offers it: the first of `among` that is at
    least as long, else the longest."""
    shorter = min(sides(size))
    return next((one for one in sorted(among) if one >= shorter), max(among))


def size_of(ratio: str, shorter: int) -> str:
    """Return the size of a ratio with this shorter side."""
    wide, high = map(int, ratio.split(":"))
    unit = min(wide, high)
    return f"{shorter * wide // unit}x{shorter * high // unit}"


def sides(size: str) -> tuple[int, int]:
    """Return the width and height of a size."""
    width, _, height = size.partition("x")
    return int(width), int(height)


def strip_data_url(image: str) -> str:
    """Return a picture as an address, or as base64 without the prefix of a data URL."""
    source = read_url(image, "image")
    return source.data if isinstance(source, Base64) else source.url


def require_base64(image: str, path: str) -> Base64:
    """Return a picture for a provider that does not fetch any. Raises RequestFault."""
    source = read_url(image, path)
    if not isinstance(source, Base64):
        what = f"the {path} must be a file or a data URL for this model"
        raise RequestFault("unsupported_capability", path, what)
    return source


def to_url(image: str, path: str) -> str:
    """Return a picture, which a client may send as an address, a data URL or plain base64, as an
    address or a data URL. Raises RequestFault.
    """
    lower = image[:8].lower()
    if not image or lower.startswith(("http://", "https://")):
        return image
    if not lower.startswith("data:"):
        media_type = next((kind for sign, kind in _SIGNS if image.startswith(sign)), None)
        if media_type is None:
            what = f"{path} must be an address, or a PNG, JPEG, GIF or WebP picture in base64"
            raise RequestFault("invalid_type", path, what)
        image = data_url(Base64(image, media_type))
    read_url(image, path)
    return image


def without_none(members: dict[str, Any]) -> dict[str, Any]:
    """Return the members that are not None."""
    return {name: value for name, value in members.items() if value not in (None, "")}


def _distance(wanted: tuple[int, int], ratio: str) -> Fraction:
    wide, high = map(int, ratio.split(":"))
    one, other = wanted[0] * high, wanted[1] * wide
    return Fraction(max(one, other), min(one, other))
