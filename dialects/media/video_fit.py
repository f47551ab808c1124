"""What a request for a video says, in the words that providers have for it."""

from fractions import Fraction
from typing import Any, Final

from dialects.chat.chat import Base64
from dialects.errors.errors import RequestFault
from dialects.media.media import data_url, read_url

_SHAPES: Final = ("16:9", "9:16", "1:1")
# What pictures in base64 begin with.
_SIGNS: Final = (
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
)


def aspect_ratio(size: str, among: tuple[str, ...] = _SHAPES) -> str:
    """The nearest of some ratios (`16:9`) to a size (`1280x720`)."""
    return min(among, key=lambda ratio: _distance(sides(size), ratio))


def resolution(size: str, among: tuple[int, ...] = (480, 720, 1080)) -> int:
    """The shorter side of a size as a provider offers it: the first that is as long, else the
    longest."""
    shorter = min(sides(size))
    return next((one for one in sorted(among) if one >= shorter), max(among))


def size_of(ratio: str, shorter: int) -> str:
    """The size of a ratio whose shorter side is so long."""
    wide, high = map(int, ratio.split(":"))
    unit = min(wide, high)
    return f"{shorter * wide // unit}x{shorter * high // unit}"


def sides(size: str) -> tuple[int, int]:
    """Width and height."""
    width, _, height = size.partition("x")
    return int(width), int(height)


def strip_data_url(image: str) -> str:
    """A picture as an address or as base64 without what a data URL has before it."""
    source = read_url(image, "image")
    return source.data if isinstance(source, Base64) else source.url


def require_base64(image: str, path: str) -> Base64:
    """A picture for a provider that fetches none. Raises RequestFault."""
    source = read_url(image, path)
    if not isinstance(source, Base64):
        what = f"the {path} must be a file or a data URL for this model"
        raise RequestFault("unsupported_capability", path, what)
    return source


def to_url(image: str, path: str) -> str:
    """A picture that clients give as an address, a data URL or bare base64: as one of the first
    two. Raises RequestFault."""
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
