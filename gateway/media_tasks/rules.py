"""The life of a media task: a request that a provider works on after it has accepted it.

A task is stored once its provider has accepted it. The hold of its attempt then no longer belongs
to a process. The provider is polled until the task has ended. An end is final, and resolves the
hold in the same transaction: settled if the task succeeded, released if it failed.

    accepted --> queued --> running --> succeeded
                   |           |
                   +-----------+------> failed    by the provider, or after 24 hours
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from gateway.providers.task_terms import PollRule

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
