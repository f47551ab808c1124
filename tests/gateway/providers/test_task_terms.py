"""On which meters a finished media task is charged."""

import pytest

from gateway.providers.task_terms import charged_video, video_meters


@pytest.mark.parametrize(
    ("size", "meters"),
    [
        ("1280x720", ("video_ms[1280x720]", "video_ms[720p]", "video_ms")),
        ("1024x1792", ("video_ms[1024x1792]", "video_ms[1024p]", "video_ms")),
    ],
)
def test_a_video_is_priced_by_its_size_its_resolution_or_its_length(
    size: str, meters: tuple[str, ...]
) -> None:
    assert video_meters(size) == meters
    for at, meter in enumerate(meters):
        assert charged_video(dict.fromkeys(meters[at:], 1), size, 8000, None) == {meter: 8000}


@pytest.mark.parametrize(
    ("told_ms", "charged_ms"),
    [
        (None, 8000),
        (8000, 8000),
        (4000, 4000),
        (100_000, 8000),
        (0, 8000),
        (-1, 8000),
        (1, 1),
        (8001, 8000),
    ],
)
def test_no_more_is_charged_than_was_ordered(told_ms: int | None, charged_ms: int) -> None:
    assert charged_video({"video_ms": 1}, "1280x720", 8000, told_ms) == {"video_ms": charged_ms}
