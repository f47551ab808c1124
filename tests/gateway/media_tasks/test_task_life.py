"""The life of a media task: what is a move, and how often a provider is asked."""

from itertools import pairwise

import pytest

from gateway.media_tasks.rules import (
    MOVES,
    OPEN,
    TaskState,
    next_poll_s,
    next_state,
)
from gateway.providers.task_forms import VIDEO_FORMS
from gateway.providers.task_terms import PollRule

RULE = PollRule(min_s=10, max_s=60)


@pytest.mark.parametrize("task_state", MOVES)
@pytest.mark.parametrize("state", MOVES)
def test_an_end_is_final_and_nothing_goes_back(state: TaskState, task_state: TaskState) -> None:
    order = ["queued", "running", "succeeded", "failed"]
    after = next_state(state, task_state)
    assert after in (state, task_state)
    if state not in OPEN:
        assert after == state
    elif order.index(task_state) > order.index(state):
        assert after == task_state
    else:
        assert after == state


@pytest.mark.parametrize("failures", [0, 1, 3, 1000])
@pytest.mark.parametrize("retry_after_s", [None, 0.0, 5.0, 70.0, 10.0**12])
def test_task_is_polled_no_sooner_than_allowed(failures: int, retry_after_s: float | None) -> None:
    waits = [
        next_poll_s(RULE, polls, failures=failures, retry_after_s=retry_after_s)
        for polls in (0, 1, 2, 5, 20, 10_000)
    ]
    assert min(waits) >= RULE.min_s
    assert all(earlier <= later for earlier, later in pairwise(waits))
    assert max(waits) <= 3600
    if retry_after_s is not None:
        assert min(waits) >= min(retry_after_s, 3600)
    elif not failures:
        assert waits[-1] == RULE.max_s


def test_silent_provider_is_polled_ever_less_often() -> None:
    waits = [next_poll_s(RULE, 1, failures=failures) for failures in range(1, 8)]
    assert waits == [20, 40, 80, 160, 300, 300, 300]


def test_every_form_waits_between_two_questions() -> None:
    assert all(form.poll.min_s >= 10 for form in VIDEO_FORMS.values())
