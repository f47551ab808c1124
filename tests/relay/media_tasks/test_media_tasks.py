"""What is read of a stored task: its times, as clients see them, and whether it was stored."""

from collections.abc import Sequence
from typing import Any, Final, cast

import pytest

from lib.ids import new_id
from relay.database.database import Row, Statement
from relay.media_tasks import media_tasks
from relay.media_tasks.media_tasks import HoldGone, NewTask
from relay.states.state_store import StateStore

CREATED_S: Final = 1_700_000_000


class States:
    """A database that answers every statement with these rows."""

    def __init__(self, *rows: Row) -> None:
        self.rows = rows

    async def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        return [list(self.rows) for _ in statements]


def states_of(*rows: Row) -> StateStore:
    return cast(StateStore, States(*rows))


def row_of(state: str, started: str | None, ended: str | None) -> Row:
    return (
        str(new_id()), "task", "m", state, "7", f"{CREATED_S}.123456", ended, ended, "8",
        "1280x720", "", None, None, "sora", str(new_id()), None, "f", "up", "t", "", started,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "started", "ended", "started_ms", "ended_ms"),
    [
        ("queued", None, None, None, None),
        ("running", "1700000001.5", None, 1_700_000_001_500, None),
        ("succeeded", "1700000001.5", "1700000060.25", 1_700_000_001_500, 1_700_000_060_250),
        # It was not polled while it ran.
        ("failed", None, "1700000060", 1_700_000_000_123, 1_700_000_060_000),
    ],
)
async def test_a_task_shows_when_it_was_ordered_begun_and_ended(
    state: str, started: str | None, ended: str | None, started_ms: int | None, ended_ms: int | None
) -> None:
    """To the millisecond, and a video to the second."""
    task = await media_tasks.find_any(states_of(row_of(state, started, ended)), "task", "video")
    assert task is not None
    assert (task.created_ms, task.started_ms, task.ended_ms) == (
        CREATED_S * 1000 + 123, started_ms, ended_ms,
    )  # fmt: skip
    completed_at = 1_700_000_060 if state == "succeeded" else None
    assert (task.video.created_at, task.video.completed_at) == (CREATED_S, completed_at)
    shown = media_tasks.display_task(task, "")
    assert (shown.submitted_ms, shown.started_ms, shown.ended_ms) == (
        task.created_ms, started_ms, ended_ms,
    )  # fmt: skip


async def test_task_is_accepted_only_with_an_open_hold() -> None:
    """Its time is that of its row; without a row nothing would resolve its hold."""
    fields: dict[str, Any] = dict.fromkeys(NewTask._fields, "")
    for write in (media_tasks.begin, media_tasks.confirm):
        task = NewTask(**{**fields, "id": new_id(), "content": None, "hook": None})
        assert await write(states_of((f"{CREATED_S}.9",)), task) == CREATED_S
        with pytest.raises(HoldGone):
            await write(states_of(), task)
