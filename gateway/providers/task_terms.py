"""What a provider's form of a media task decides: how often it is polled, and on which meters a
finished one is charged."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PollRule:
    """How often a provider may be polled for one task, in seconds: first after `min_s`, and
    eventually every `max_s`."""

    min_s: int
    max_s: int


def video_meters(size: str) -> tuple[str, ...]:
    """Return the meters on which a video of a size (`1280x720`) may be priced, the most specific
    first: by its size, by its resolution, by its length only."""
    width, _, height = size.partition("x")
    resolution = min(int(width), int(height))
    return f"video_ms[{size}]", f"video_ms[{resolution}p]", "video_ms"


def charged_video(
    rates: Mapping[str, int], size: str, asked_ms: int, told_ms: int | None
) -> dict[str, int]:
    """Return the charge meters of a finished video, on the closest meter with a rate. The length is
    the provider's count, at most the length that was ordered and held."""
    meters = video_meters(size)
    meter = next((name for name in meters if name in rates), meters[-1])
    believed = told_ms is not None and 0 < told_ms <= asked_ms
    return {meter: told_ms if believed and told_ms is not None else asked_ms}


def charged_call(
    rates: Mapping[str, int], size: str, asked_ms: int, told_ms: int | None
) -> dict[str, int]:
    """Return the charge meters of a finished task without a length: one call."""
    return {"requests": 1}
