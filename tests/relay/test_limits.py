"""What answers tell of the limits of a key: never more room, and never sooner, than there is."""

import datetime as dt

import pytest

from relay.limits import Headroom, limit_headers

NOW = 1_795_262_400.0


def headers(dialect: str, reset_ms: int, now: float = NOW) -> dict[bytes, bytes]:
    return dict(limit_headers(dialect, {"requests": Headroom(60, 7, reset_ms)}, now))  # type: ignore[arg-type]


@pytest.mark.parametrize("now", [NOW, NOW + 0.001, NOW + 0.999])
@pytest.mark.parametrize("reset_ms", [0, 1, 999, 1_000, 1_001, 59_999, 60_000])
def test_an_instant_of_whole_seconds_is_not_before_the_room_is_there(
    reset_ms: int, now: float
) -> None:
    told = headers("anthropic", reset_ms, now)
    assert told[b"anthropic-ratelimit-requests-limit"] == b"60"
    assert told[b"anthropic-ratelimit-requests-remaining"] == b"7"
    at = dt.datetime.fromisoformat(told[b"anthropic-ratelimit-requests-reset"].decode())
    assert 0 <= at.timestamp() - (now + reset_ms / 1000) < 1


@pytest.mark.parametrize(
    ("reset_ms", "told"),
    [(0, b"0ms"), (999, b"999ms"), (1_000, b"1s"), (1_200, b"1.2s"), (59_999, b"59.999s"),
     (60_000, b"1m0s")],
)  # fmt: skip
def test_a_duration_is_written_to_the_millisecond(reset_ms: int, told: bytes) -> None:
    assert headers("openai", reset_ms) == {
        b"x-ratelimit-limit-requests": b"60",
        b"x-ratelimit-remaining-requests": b"7",
        b"x-ratelimit-reset-requests": told,
    }
