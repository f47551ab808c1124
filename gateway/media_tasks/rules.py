"""The life of a media task: a request that a provider works on after it has accepted it.

A task is stored once its provider has accepted it. The hold of its attempt then no longer belongs
to a process. The provider is polled until the task has ended. An end is final, and resolves the
hold in the same transaction: settled if the task succeeded, released if it failed.

    accepted --> queued --> running --> succeeded
                   |           |
                   +-----------+------> failed    by the provider, or after 24 hours
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

TaskState = Literal["queued", "running", "succeeded", "failed"]

MOVES: Final[Mapping[TaskState, tuple[TaskState, ...]]] = MappingProxyType(
    {
        "queued": ("running", "succeeded", "failed"),
        "running": ("succeeded", "failed"),
        "succeeded": (),
        "failed": (),
    }
)
"""The possible next states of each state."""
OPEN: Final[tuple[TaskState, ...]] = ("queued", "running")
"""The states in which its provider works on it."""

LIMIT_S: Final = 24 * 3600
"""A task without an end after this time has failed."""
HOLD_S: Final = LIMIT_S + 3600
"""The maximum lifetime of its hold. If no worker runs for that long, the sweeper releases it (I24),
and the task has failed."""

_BACKOFF: Final = 1.25
_AWAY_S_MAX: Final = 300.0
_RETRY_AFTER_S_MAX: Final = 3600.0
# After this many failures, every wait is the longest one.
_STEPS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class PollRule:
    """How often a provider may be polled for one task, in seconds: first after `min_s`, and
    eventually every `max_s`."""

    min_s: float
    max_s: float


def next_state(state: TaskState, reported: TaskState) -> TaskState:
    """Return the next state of a task. Invalid transitions are ignored."""
    return reported if reported in MOVES[state] else state


def next_poll_s(
    rule: PollRule, polls: int, *, failures: int = 0, retry_after_s: float | None = None
) -> float:
    """Return the seconds until the next poll, after `polls` polls and `failures` in a row. The wait
    grows within the rule, and is not shorter than the provider asks for."""
    wait_s = min(rule.min_s * _BACKOFF ** min(polls, _STEPS_MAX), rule.max_s)
    if failures:
        wait_s = min(max(wait_s, rule.min_s * 2 ** min(failures, _STEPS_MAX)), _AWAY_S_MAX)
    if retry_after_s is not None:
        wait_s = max(wait_s, min(retry_after_s, _RETRY_AFTER_S_MAX))
    return max(wait_s, rule.min_s)


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
