"""What is read of a stored task: its times, as clients see them, and whether it was stored."""

from collections.abc import Sequence
from types import SimpleNamespace
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
        self.asked: list[Statement] = []

    async def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        self.asked += statements
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


async def test_tasks_are_asked_for_by_their_team_id_and_kind() -> None:
    states, team = States(row_of("queued", None, None)), new_id()
    principal, some = cast(Any, SimpleNamespace(team_id=team)), cast(Any, states)
    found = await media_tasks.find(some, principal, ["task", "no task!"], "service")
    assert list(found) == ["task"]
    await media_tasks.find(some, principal, ["a", "b"])
    assert await media_tasks.find_any(some, "task", "video") is not None
    assert await media_tasks.find_any(some, "no task!", "video") is None
    task: Any = SimpleNamespace(id=new_id())
    assert await media_tasks.forget(some, principal, task)
    await media_tasks.withdraw(some, task.id, "up")
    assert states.asked == [
        (media_tasks._FIND, {"team": team, "ids": "{task}", "kind": "service"}),
        (media_tasks._FIND, {"team": team, "ids": "{a,b}", "kind": "video"}),
        (media_tasks._FIND_ANY, {"public_id": "task", "kind": "video"}),
        (media_tasks._FORGET, {"team": team, "id": task.id}),
        (media_tasks._WITHDRAW, {"id": task.id, "upstream_id": "up"}),
    ]
    assert not await media_tasks.forget(states_of(), principal, task)


@pytest.mark.parametrize("ascending", [False, True])
async def test_page_asks_for_one_more_after_the_last_one(ascending: bool) -> None:
    states, team, last = States(*[row_of("queued", None, None)] * 3), new_id(), new_id()
    some, principal = cast(Any, states), cast(Any, SimpleNamespace(team_id=team))
    for limit, after, more in ((2, last, True), (3, None, False)):
        tasks, has_more = await media_tasks.page(
            some, principal, after=after, limit=limit, ascending=ascending
        )
        assert (len(tasks), has_more) == (limit, more)
        text, asked = states.asked.pop()
        assert text == (media_tasks._PAGE_UP if ascending else media_tasks._PAGE_DOWN)
        first = media_tasks._FIRST if ascending else media_tasks._LAST
        assert asked == {"team": team, "after": after or first, "limit": limit + 1}
