"""The colours of charts can be told apart, also by colour-blind eyes, and stand out of the page."""

import itertools
import math
import re
from pathlib import Path

import pytest

TOKENS = (Path(__file__).parents[2] / "static/css/tokens.css").read_text()
SURFACES = ("#FFFFFF", "#131418")
# Machado, Oliveira and Fernandes (2009), severity 1, for linear RGB.
EYES = {
    "usual": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.01182, 0.04294, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.3039),
    ),
}
Triple = tuple[float, float, float]
# In CIELAB; two fields side by side are seen as two from about 5 on.
DISTANCE_MIN = 16.0
CONTRAST_MIN = 3.0


def colours(theme: int) -> list[str]:
    matchs = [re.search(rf"--c{n}:light-dark\((#\w+),(#\w+)\)", TOKENS) for n in range(1, 9)]
    return [one[theme + 1] for one in matchs if one]


def linear(text: str) -> list[float]:
    parts = [int(text[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]


def seen(text: str, eye: str) -> list[float]:
    rgb = linear(text)
    mixed = (sum(a * b for a, b in zip(row, rgb, strict=True)) for row in EYES[eye])
    return [min(1.0, max(0.0, one)) for one in mixed]


def lab(rgb: list[float]) -> Triple:
    r, g, b = rgb
    x = (0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047
    y = 0.2126729 * r + 0.7151522 * g + 0.072175 * b
    z = (0.0193339 * r + 0.119192 * g + 0.9503041 * b) / 1.08883
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def luminance(text: str) -> float:
    r, g, b = linear(text)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("eye", EYES)
def test_any_two_series_are_distinguishable(theme: int, eye: str) -> None:
    points = [lab(seen(colour, eye)) for colour in colours(theme)]
    assert len(points) == 8
    nearest = min(math.dist(one, other) for one, other in itertools.combinations(points, 2))
    assert nearest >= DISTANCE_MIN


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_series_contrasts_with_its_panel(theme: int) -> None:
    surface = luminance(SURFACES[theme])
    for colour in colours(theme):
        low, high = sorted((surface, luminance(colour)))
        assert (high + 0.05) / (low + 0.05) >= CONTRAST_MIN, colour
