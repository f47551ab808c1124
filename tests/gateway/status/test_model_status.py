"""When a model is operational, degraded or down, by its requests, its channels and their tests."""

import pytest

from gateway.status.rules import ServedBy, state_of

GOOD, OPEN, OUT = (
    ServedBy("good", "passed"),
    ServedBy("open", "passed"),
    ServedBy("keys_out", "passed"),
)
LIMITED, FAILED = ServedBy("models_out", "passed"), ServedBy("good", "failed")
UNTESTED = ServedBy("good", "untested")


@pytest.mark.parametrize(
    ("requests", "failed", "channels", "state"),
    [
        (0, 0, [GOOD], "operational"),
        (100, 4, [GOOD], "operational"),
        (100, 5, [GOOD], "degraded"),
        (100, 50, [GOOD], "down"),
        # Of so few a share says nothing.
        (4, 4, [GOOD], "operational"),
        (100, 0, [GOOD, OPEN], "degraded"),
        (100, 0, [LIMITED], "degraded"),
        (100, 0, [OPEN, OUT], "down"),
        (0, 0, [FAILED], "down"),
        (0, 0, [GOOD, FAILED], "degraded"),
        # What people are answered now says more than a test of yesterday.
        (100, 0, [FAILED], "operational"),
    ],
)
def test_state(requests: int, failed: int, channels: list[ServedBy], state: str) -> None:
    assert state_of(requests, failed, channels) == state


@pytest.mark.parametrize(
    ("requests", "failed", "answered", "state"),
    [
        (0, 0, False, "unknown"),
        # A dead channel of a new installation, before its breaker opens.
        (1, 1, False, "down"),
        (4, 4, True, "operational"),
        (4, 3, True, "operational"),
        (0, 0, True, "operational"),
        (5, 0, True, "operational"),
    ],
)
def test_an_untested_channel_is_judged_by_its_requests_alone(
    requests: int, failed: int, answered: bool, state: str
) -> None:
    assert state_of(requests, failed, [UNTESTED], answered=answered) == state


def test_failed_test_proves_nothing_for_an_untested_channel() -> None:
    assert state_of(0, 0, [UNTESTED, FAILED]) == "unknown"
