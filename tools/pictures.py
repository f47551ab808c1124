"""What the provider behind the pictures of the documentation draws and says: a paper boat on a
river, and a tone as long as a message."""

import io
import math
import struct
import wave
import zlib
from functools import cache
from typing import Final

WIDTH, HEIGHT = 768, 512
_HORIZON: Final = 230
_Colour = tuple[float, float, float]


@cache
def draw_boat(warm: bool = True) -> bytes:
    """A PNG, at dawn or at dusk. To draw it takes seconds, and pages ask for it again and again."""
    lines = [_line(y, warm) for y in range(HEIGHT)]
    return _png(lines)


def make_hum(seconds: int) -> bytes:
    """A WAV of a soft tone."""
    file, rate = io.BytesIO(), 8_000
    with wave.open(file, "wb") as written:
        written.setparams((1, 2, rate, 0, "NONE", ""))
        tone = [round(1_500 * math.sin(at / rate * 2 * math.pi * 220)) for at in range(rate)]
        written.writeframes(struct.pack(f"<{rate}h", *tone) * seconds)
    return file.getvalue()


def _line(y: int, warm: bool) -> bytes:
    pixels = bytearray(b"\0")
    for x in range(WIDTH):
        pixels += bytes(round(max(0.0, min(255.0, part))) for part in _pixel(x, y, warm))
    return bytes(pixels)


def _pixel(x: int, y: int, warm: bool) -> _Colour:
    hull = _boat_at(x, y)
    if hull is not None:
        return hull
    if y < _HORIZON:
        return _hills(x, y, _sky(x, y, warm))
    mirrored = _boat_at(x, 2 * 352 - y + round(2 * math.sin(y / 3)))
    water = _water(x, y, warm)
    return water if mirrored is None else _mix_colours(water, mirrored, 0.35)


def _sky(x: int, y: int, warm: bool) -> _Colour:
    top, low = ((120, 160, 205), (250, 210, 175)) if warm else ((70, 70, 120), (235, 150, 130))
    base = _mix_colours(top, low, (y / _HORIZON) ** 1.4)
    away = math.hypot(x - 545, y - 170)
    sun = 1.0 if away < 34 else max(0.0, 1 - (away - 34) / 150) ** 2 * 0.7
    return _mix_colours(base, (255, 240, 205), sun)


def _hills(x: int, y: int, behind: _Colour) -> _Colour:
    for height, length, shift, colour in (
        (58, 130, 0.4, (150, 165, 185)),
        (34, 80, 2.1, (105, 130, 145)),
    ):
        edge = _HORIZON - height * (0.6 + 0.4 * math.sin(x / length + shift))
        if y > edge:
            behind = _mix_colours(behind, colour, 0.8)
    return behind


def _water(x: int, y: int, warm: bool) -> _Colour:
    deep = (y - _HORIZON) / (HEIGHT - _HORIZON)
    near, far = ((66, 104, 138), (225, 195, 175)) if warm else ((45, 55, 95), (205, 140, 130))
    ripple = math.sin(y / (2 + 9 * deep) + 0.8 * math.sin(x / (26 + 60 * deep)))
    glow = max(0.0, 1 - abs(x - 545) / (30 + 160 * deep)) * (0.35 + 0.3 * ripple)
    base = _mix_colours(far, near, min(1.0, deep * 1.3 + 0.06 * ripple))
    return _mix_colours(base, (255, 235, 200), max(0.0, glow))


def _boat_at(x: int, y: int) -> _Colour | None:
    """A folded boat: two sides of a hull and a sail between them."""
    left, right, deck, keel = 190, 410, 292, 352
    if deck <= y <= keel:
        slope = (y - deck) / (keel - deck)
        if left + 62 * slope <= x <= right - 62 * slope:
            return (250, 248, 242) if x < 300 + 18 * slope else (216, 216, 220)
    if 190 <= y < deck:
        half = (y - 190) / (deck - 190) * 52
        if abs(x - 300) <= half:
            return (255, 254, 250) if x < 300 else (224, 224, 228)
    return None


def _mix_colours(one: _Colour, other: _Colour, share: float) -> _Colour:
    share = max(0.0, min(1.0, share))
    return tuple(a + (b - a) * share for a, b in zip(one, other, strict=True))  # type: ignore[return-value]


def _png(lines: list[bytes]) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        summed = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + summed

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"".join(lines), 9))
    return b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b"")
