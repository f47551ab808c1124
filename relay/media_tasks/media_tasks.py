"""Media tasks: started once a provider has accepted one, read, listed, and deleted. A background
job polls the providers.

A task and its hold are written in one transaction, before the client learns of either. If the
process is killed before, the hold is swept like that of any dead process, and there is no task;
after, the task exists and resolves its hold in any process. Only keys of its team see a task. Its
prompt and its provider's results are content: they are sealed for their row, and not stored if the
organisation retains nothing.
"""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from dialects.json.not_json import NOT_JSON
from dialects.media.shown_task import ShownTask
from dialects.media.videos import TaskError, Video, VideoState
from gateway.media_tasks.rules import HOLD_S
from lib.vault import VaultError
from relay.credentials.keys import Principal
from relay.database.database import Row
from relay.errors import DatabaseAway, DatabaseFailed
from relay.ledger import settlement
from relay.states.state_store import StateStore

_TABLE: Final = "gateway_mediatask"
TaskKind = str
"""The endpoints that show a task: "video", or the name of a task service. Every video is shown at
all endpoints for videos."""
_PUBLIC_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,40}")
# The prefix and suffix of every id.
_FIRST: Final = UUID(int=0)
_LAST: Final = UUID(int=2**128 - 1)


class NewTask(NamedTuple):
    """A task that its provider has just accepted, by the columns of the row. `content` is None if
    it may not be stored."""

    id: UUID
    public_id: str
    organisation_id: UUID
    team_id: UUID
    request_id: UUID
    operation: str
    model: str
    form: str
    channel_id: UUID
    channel_key_id: UUID | None
    own_key: bool
    upstream_id: str
    seconds: int
    size: str
    remixed_from: str
    first_poll_s: float
    callback_token: str
    content: "TaskContent | None"
    hook: "TaskHook | None" = None


class Task(NamedTuple):
    """A stored task: what a client can see, and where its provider has it. `provider_state` is the
    provider's state, `detail` the parameters besides the prompt, `result` the output; times are
    Unix milliseconds. Its key is one of its organisation's if `own_key`."""

    id: UUID
    video: Video
    form: str
    channel_id: UUID
    channel_key_id: UUID | None
    own_key: bool
    upstream_id: str
    content_kept: bool
    provider_state: str
    created_ms: int
    started_ms: int | None
    ended_ms: int | None
    detail: dict[str, Any]
    result: dict[str, Any]
    content: str


def display_task(task: Task, link: str) -> ShownTask:
    """Return what a client of the task's service can see; `link` opens the picture."""
    video = task.video
    return ShownTask(
        id=video.id,
        model=video.model,
        state=video.state,
        word=task.provider_state,
        progress=video.progress,
        prompt=video.prompt or "",
        submitted_ms=task.created_ms,
        started_ms=task.started_ms,
        ended_ms=task.ended_ms,
        error=video.error,
        detail=task.detail,
        result=task.result if task.content_kept else {},
        link=link,
    )


class TaskContent(msgspec.Struct, frozen=True):
    """The sealed content of a task: its prompt; its error, the provider's names of its files, and
    its results.
    """

    prompt: str | None = None
    error: tuple[str, str] | None = None
    detail: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    content: str = ""


class TaskHook(msgspec.Struct, frozen=True):
    """The sealed hook that is called at the end of a task: its address, its signing secret, and the
    key that ordered the task. Without the key nothing is sent."""

    url: str
    secret: str
    key: str


class HoldGone(DatabaseAway):
    """Another process resolved the hold of the attempt, because it considered this process dead."""


_content = msgspec.json.Decoder(TaskContent)


async def begin(states: StateStore, task: NewTask) -> int:
    """Store a task and let its hold outlive this process; return its time of creation (Unix
    seconds). Raises DatabaseAway (HoldGone), DatabaseRefused. Cancelling the caller does not undo
    the write."""
    sealed = ""
    if task.content is not None:
        content = msgspec.json.encode(task.content)
        sealed = await states.seal(content, _seal_context(task.id, "request"))
    hook = ""
    if task.hook is not None:
        hook = await states.seal(msgspec.json.encode(task.hook), _seal_context(task.id, "hook"))
    parameters: dict[str, Any] = {**task._asdict(), "sealed": sealed, "hook": hook}
    parameters["channel_key_id"] = task.channel_key_id or ""
    del parameters["content"]
    writing = asyncio.ensure_future(
        states.run([settlement.entrust(task.id, HOLD_S), (_INSERT, parameters)])
    )
    _, rows = await asyncio.shield(writing)
    if not rows:
        raise HoldGone(f"the hold of {task.id} was resolved")
    return int(float(rows[0][0] or 0))


async def confirm(states: StateStore, task: NewTask) -> int:
    """Record that the provider accepted a task which was stored before, with the provider's id for
    polling. Return its time of creation (Unix seconds). Raises DatabaseAway (HoldGone),
    DatabaseRefused. Cancelling the caller does not undo the write.
    """
    parameters = {
        "id": task.id,
        "upstream_id": task.upstream_id,
        "first_poll_s": task.first_poll_s,
    }
    (rows,) = await asyncio.shield(asyncio.ensure_future(states.run([(_CONFIRM, parameters)])))
    if not rows:
        raise HoldGone(f"the task of {task.id} was given up")
    return int(float(rows[0][0] or 0))


async def withdraw(states: StateStore, id_: UUID, upstream_id: str) -> None:
    """Delete a task that was stored before its provider was asked, and that the provider did not
    accept. If the deletion fails, polling finds that the provider does not have the task."""
    with suppress(DatabaseFailed):
        await states.run([(_WITHDRAW, {"id": id_, "upstream_id": upstream_id})])


async def find(
    states: StateStore, principal: Principal, public_ids: Sequence[str], kind: TaskKind = "video"
) -> dict[str, Task]:
    """Return the existing tasks of this kind and of the principal's team with these ids. Raises
    DatabaseFailed.
    """
    # No id contains NUL, which the database cannot store.
    names = [name for name in public_ids if _PUBLIC_ID.fullmatch(name)]
    parameters = {"team": principal.team_id, "ids": "{" + ",".join(names) + "}", "kind": kind}
    (rows,) = await states.run([(_FIND, parameters)])
    tasks = [await _read(states, row) for row in rows]
    return {task.video.id: task for task in tasks}


async def find_any(states: StateStore, public_id: str, kind: TaskKind) -> Task | None:
    """Return the task with this id, of any team: for access by the id alone. Raises
    DatabaseFailed.
    """
    if not _PUBLIC_ID.fullmatch(public_id):
        return None
    (rows,) = await states.run([(_FIND_ANY, {"public_id": public_id, "kind": kind})])
    return await _read(states, rows[0]) if rows else None


async def page(
    states: StateStore, principal: Principal, *, after: UUID | None, limit: int, ascending: bool
) -> tuple[list[Task], bool]:
    """Return a page of the team's tasks after the one `after`, the newest first unless `ascending`;
    and whether there are more. Raises DatabaseFailed."""
    after = after or (_FIRST if ascending else _LAST)
    parameters = {"team": principal.team_id, "after": after, "limit": limit + 1}
    (rows,) = await states.run([(_PAGE_UP if ascending else _PAGE_DOWN, parameters)])
    tasks = [await _read(states, row) for row in rows[:limit]]
    return tasks, len(rows) > limit


async def forget(states: StateStore, principal: Principal, task: Task) -> bool:
    """Delete a finished task with its content; return False if it is still running."""
    parameters = {"team": principal.team_id, "id": task.id}
    (rows,) = await states.run([(_FORGET, parameters)])
    return bool(rows)


async def _read(states: StateStore, row: Row) -> Task:
    (
        id_text, public_id, model, state, progress, created, ended, expires, seconds, size, remixed,
        request, result, form, channel_id, key_id, own_key, upstream_id, kept, provider_state,
        started,
    ) = row  # fmt: skip
    id_ = UUID(id_text)
    order = await _open(states, request, _seal_context(id_, "request"))
    stored = await _open(states, result, _seal_context(id_, "result"))
    video_state: VideoState = _state(state)
    error = None
    if video_state == "failed":
        error = TaskError(*(stored.error or ("failed", "The task failed.")))
    video = Video(
        id=public_id or "",
        model=model or "",
        state=video_state,
        progress=int(progress or 0),
        created_at=_instant(created) or 0,
        completed_at=_instant(ended) if video_state == "succeeded" else None,
        expires_at=_instant(expires) if video_state == "succeeded" else None,
        seconds=int(seconds or 0),
        size=size or "",
        prompt=order.prompt,
        remixed_from=remixed or None,
        error=error,
    )
    return Task(
        id=id_,
        video=video,
        form=form or "",
        channel_id=UUID(channel_id),
        channel_key_id=None if key_id is None else UUID(key_id),
        own_key=own_key == "t",
        upstream_id=upstream_id or "",
        content_kept=kept == "t",
        provider_state=provider_state or "",
        created_ms=_milliseconds(created) or 0,
        # A task that finished without being polled again is shown as begun at its creation.
        started_ms=_milliseconds(started or (created if ended else None)),
        ended_ms=_milliseconds(ended),
        detail=order.detail or {},
        result=stored.result or {},
        content=stored.content,
    )


async def _open(states: StateStore, sealed: str | None, place: str) -> TaskContent:
    """Return the sealed content; empty content if it was deleted, or if its KEK is unavailable."""
    if sealed is None:
        return TaskContent()
    try:
        return _content.decode(await states.open(sealed, place))
    except (VaultError, *NOT_JSON):
        return TaskContent()


def _state(text: str | None) -> VideoState:
    states: Sequence[VideoState] = ("queued", "running", "succeeded", "failed")
    return next(state for state in states if state == text)


def _instant(text: str | None) -> int | None:
    return None if text is None else int(float(text))


def _milliseconds(text: str | None) -> int | None:
    return None if text is None else int(float(text) * 1000)


def _seal_context(id_: UUID, column: str) -> str:
    return f"{_TABLE}|{id_}|{column}"


# Insert only if this transaction was given the hold, because tasks without a hold are not polled.
_INSERT: Final = """
    INSERT INTO gateway_mediatask (
        id, public_id, organisation_id, team_id, request_id, operation, model, form, channel_id,
        channel_key_id, own_key, upstream_id, state, progress, seconds, size, remixed_from, request,
        next_poll_at, polls, failures, callback_token, hook
    )
    SELECT id, %(public_id)s, %(organisation_id)s::uuid, %(team_id)s::uuid, %(request_id)s::uuid,
           %(operation)s, %(model)s, %(form)s, %(channel_id)s::uuid,
           nullif(%(channel_key_id)s, '')::uuid, %(own_key)s::boolean, %(upstream_id)s, 'queued', 0,
           %(seconds)s::int, %(size)s, %(remixed_from)s, nullif(%(sealed)s, '')::bytea,
           now() + %(first_poll_s)s::float8 * interval '1 second', 0, 0,
           %(callback_token)s, nullif(%(hook)s, '')::bytea
    FROM billing_hold WHERE id = %(id)s::uuid AND state = 'open' AND process_id IS NULL
    RETURNING extract(epoch FROM created_at)"""
_CONFIRM: Final = """
    UPDATE gateway_mediatask
    SET upstream_id = %(upstream_id)s,
        next_poll_at = now() + %(first_poll_s)s::float8 * interval '1 second'
    WHERE id = %(id)s::uuid AND ended_at IS NULL
    RETURNING extract(epoch FROM created_at)"""
_WITHDRAW: Final = """
    DELETE FROM gateway_mediatask
    WHERE id = %(id)s::uuid AND upstream_id = %(upstream_id)s AND ended_at IS NULL
    RETURNING id"""
_COLUMNS: Final = """
    id, public_id, model, state, progress, extract(epoch FROM created_at),
    extract(epoch FROM ended_at), extract(epoch FROM expires_at), seconds, size, remixed_from,
    request, result, form, channel_id, channel_key_id, own_key, upstream_id, expires_at > now(),
    provider_state, extract(epoch FROM started_at)"""
# The kind of a row: each form of videos is called so.
_KIND: Final = "CASE WHEN right(form, 6) = 'videos' THEN 'video' ELSE form END"
_FIND: Final = f"""
    SELECT {_COLUMNS} FROM gateway_mediatask
    WHERE public_id = ANY(%(ids)s::text[]) AND team_id = %(team)s::uuid AND deleted_at IS NULL
      AND {_KIND} = %(kind)s"""  # noqa: S608
_FIND_ANY: Final = f"""
    SELECT {_COLUMNS} FROM gateway_mediatask
    WHERE public_id = %(public_id)s AND deleted_at IS NULL AND {_KIND} = %(kind)s"""  # noqa: S608
_PAGE_DOWN: Final = f"""
    SELECT {_COLUMNS} FROM gateway_mediatask
    WHERE team_id = %(team)s::uuid AND deleted_at IS NULL AND {_KIND} = 'video'
      AND id < %(after)s::uuid
    ORDER BY id DESC LIMIT %(limit)s::int"""  # noqa: S608
_PAGE_UP: Final = f"""
    SELECT {_COLUMNS} FROM gateway_mediatask
    WHERE team_id = %(team)s::uuid AND deleted_at IS NULL AND {_KIND} = 'video'
      AND id > %(after)s::uuid
    ORDER BY id LIMIT %(limit)s::int"""  # noqa: S608
_FORGET: Final = """
    UPDATE gateway_mediatask SET deleted_at = now(), request = NULL, result = NULL
    WHERE id = %(id)s::uuid AND team_id = %(team)s::uuid AND ended_at IS NOT NULL
      AND deleted_at IS NULL
    RETURNING id"""
