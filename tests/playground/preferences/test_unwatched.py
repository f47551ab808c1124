"""What becomes of an answer that nobody watches: the person chooses, the organisation limits."""

import pytest

from playground.preferences.unwatched import GRACE_MS, unwatched_ms_max


@pytest.mark.parametrize(
    ("leaving", "seconds_max", "after_ms"),
    [
        ("keep", None, None),
        ("keep", 300, 300_000),
        ("keep", 0, GRACE_MS),  # "at once" still lets a page be loaded again
        ("stop", None, GRACE_MS),
        ("stop", 300, GRACE_MS),
    ],
)
def test_organisations_rule_is_the_upper_limit(
    leaving: str, seconds_max: int | None, after_ms: int | None
) -> None:
    assert unwatched_ms_max(leaving, seconds_max) == after_ms
