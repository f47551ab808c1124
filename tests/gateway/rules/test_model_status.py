"""When a model is operational, degraded or down, by its requests, its channels and their tests."""

import pytest

from gateway.rules.model_status import ServedBy, state_of

GOOD, OPEN, OUT = ServedBy("good", False), ServedBy("open", False), ServedBy("keys_out", False)
LIMITED, FAILED = ServedBy("models_out", False), ServedBy("good", True)


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
