"""Media tasks as the relay sees them: begun once a provider has accepted one, read, listed, and
forgotten. Who asks their providers how far they are is a background job.

A task and the hold that outlives its process are written in one transaction, before the client
hears of either: killed before, the hold is swept as that of any attempt whose process died, and
there is no task; killed after, the task is there and resolves its hold, whoever lives.

Only keys of its team see a task. Its prompt, and what its provider tells of it, are content: they
are sealed for their row, and not kept where the organisation keeps nothing.
"""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from dialects.media.shown_task import ShownTask
from dialects.media.videos import TaskError, Video, VideoState
from gateway.media_tasks.rules import HOLD_S
from lib.vault import VaultError
from relay.answers.state_store import StateStore
from relay.attempts import settlement
from relay.credentials.keys import Principal
from relay.errors import DatabaseAway, DatabaseFailed
from relay.ledger.database import Row

_TABLE: Final = "gateway_mediatask"
TaskKind = Literal["video", "midjourney", "suno"]
"""Whose endpoints a task is shown at; all videos are shown at all of theirs."""
_PUBLIC_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,40}")
# What stands before and behind every id.
_FIRST: Final = UUID(int=0)
_LAST: Final = UUID(int=2**128 - 1)


class NewTask(NamedTuple):
    """A task that its provider has just accepted, in the columns of its row; `content` None where
    it may not be kept."""

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
    upstream_id: str
    seconds: int
    size: str
    remixed_from: str
    first_poll_s: float
    callback_token: str
    content: "TaskContent | None"
    hook: "TaskHook | None" = None


class Task(NamedTuple):
    """A task as it is stored: what a client is shown of it, and where its provider has it.
    `provider_state` is its provider's word for the state, `detail` what was asked beside the
    prompt, `result` what was made; times are Unix milliseconds."""

    id: UUID
    video: Video
    form: str
    channel_id: UUID
    channel_key_id: UUID | None
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
    """What a client of its service is shown of it; `link` opens its picture."""
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
    """What is sealed of a task: what was asked; why it failed, what its provider calls its bytes,
    and what was made."""

    prompt: str | None = None
    error: tuple[str, str] | None = None
    detail: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    content: str = ""


class TaskHook(msgspec.Struct, frozen=True):
    """What is sealed of an address that hears of the end: what signs the call, and the key that has
    ordered the task, without which nothing is sent."""

    url: str
    secret: str
    key: str


class HoldGone(DatabaseAway):
    """The hold of the attempt was resolved by somebody who took this process for dead."""


_content = msgspec.json.Decoder(TaskContent)


async def begin(states: StateStore, task: NewTask) -> int:
    """Write a task and let its hold outlive this process; when it was made (Unix seconds).

    Raises DatabaseAway (HoldGone), DatabaseRefused. What is written stays, also where the caller is
    cancelled meanwhile.
    """
    sealed = ""
    if task.content is not None:
        content = msgspec.json.encode(task.content)
        sealed = await states.seal(content, _place(task.id, "request"))
    hook = ""
    if task.hook is not None:
        hook = await states.seal(msgspec.json.encode(task.hook), _place(task.id, "hook"))
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
    """The provider has accepted a task that was written before: it is asked for by the provider's
    own id from now on. When it was made (Unix seconds). Raises DatabaseAway (HoldGone),
    DatabaseRefused; what is written stays, also where the caller is cancelled meanwhile."""
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
    """Forget a task that was written before its provider was asked, and not accepted. Where that
    fails its provider says that there is none."""
    with suppress(DatabaseFailed):
        await states.run([(_WITHDRAW, {"id": id_, "upstream_id": upstream_id})])


async def find(
    states: StateStore, principal: Principal, public_ids: Sequence[str], kind: TaskKind = "video"
) -> dict[str, Task]:
    """The tasks of those ids that there are, of the kind and of the principal's team. Raises
    DatabaseFailed."""
    # NUL, which the database has no place for, is in no id.
    names = [name for name in public_ids if _PUBLIC_ID.fullmatch(name)]
    parameters = {"team": principal.team_id, "ids": "{" + ",".join(names) + "}", "kind": kind}
    (rows,) = await states.run([(_FIND, parameters)])
    tasks = [await _read(states, row) for row in rows]
    return {task.video.id: task for task in tasks}


async def find_any(states: StateStore, public_id: str, kind: TaskKind) -> Task | None:
    """The task of that id, whosever it is: for what its id alone gives access to. Raises
    DatabaseFailed."""
    if not _PUBLIC_ID.fullmatch(public_id):
        return None
    (rows,) = await states.run([(_FIND_ANY, {"public_id": public_id, "kind": kind})])
    return await _read(states, rows[0]) if rows else None


async def page(
    states: StateStore, principal: Principal, *, after: UUID | None, limit: int, ascending: bool
) -> tuple[list[Task], bool]:
    """The team's tasks, the newest first unless `ascending`, behind the one `after`; and whether
    there are more. Raises DatabaseFailed."""
    after = after or (_FIRST if ascending else _LAST)
    parameters = {"team": principal.team_id, "after": after, "limit": limit + 1}
    (rows,) = await states.run([(_PAGE_UP if ascending else _PAGE_DOWN, parameters)])
    tasks = [await _read(states, row) for row in rows[:limit]]
    return tasks, len(rows) > limit


async def forget(states: StateStore, principal: Principal, task: Task) -> bool:
    """Delete a task that has ended, with its content; False where it still runs."""
    parameters = {"team": principal.team_id, "id": task.id}
    (rows,) = await states.run([(_FORGET, parameters)])
    return bool(rows)


async def _read(states: StateStore, row: Row) -> Task:
    (
        id_text, public_id, model, state, progress, created, ended, expires, seconds, size, remixed,
        request, result, form, channel_id, key_id, upstream_id, kept, provider_state, started,
    ) = row  # fmt: skip
    id_ = UUID(id_text)
    order = await _open(states, request, _place(id_, "request"))
    stored = await _open(states, result, _place(id_, "result"))
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
        upstream_id=upstream_id or "",
        content_kept=kept == "t",
        provider_state=provider_state or "",
        created_ms=_milliseconds(created) or 0,
        # One that has ended before it was asked for again has begun at once.
        started_ms=_milliseconds(started or (created if ended else None)),
        ended_ms=_milliseconds(ended),
        detail=order.detail or {},
        result=stored.result or {},
        content=stored.content,
    )


async def _open(states: StateStore, sealed: str | None, place: str) -> TaskContent:
    """What was sealed; nothing where it is gone, or its KEK is."""
    if sealed is None:
        return TaskContent()
    try:
        return _content.decode(await states.open(sealed, place))
    except (VaultError, msgspec.DecodeError):
        return TaskContent()


def _state(text: str | None) -> VideoState:
    states: Sequence[VideoState] = ("queued", "running", "succeeded", "failed")
    return next(state for state in states if state == text)


def _instant(text: str | None) -> int | None:
    return None if text is None else int(float(text))


def _milliseconds(text: str | None) -> int | None:
    return None if text is None else int(float(text) * 1000)


def _place(id_: UUID, column: str) -> str:
    return f"{_TABLE}|{id_}|{column}"


# Only where this transaction has just been given the hold: nobody polls for what is not held.
_INSERT: Final = """
    INSERT INTO gateway_mediatask (
        id, public_id, organisation_id, team_id, request_id, operation, model, form, channel_id,
        channel_key_id, upstream_id, state, progress, seconds, size, remixed_from, request,
        next_poll_at, polls, failures, callback_token, hook
    )
    SELECT id, %(public_id)s, %(organisation_id)s::uuid, %(team_id)s::uuid, %(request_id)s::uuid,
           %(operation)s, %(model)s, %(form)s, %(channel_id)s::uuid,
           nullif(%(channel_key_id)s, '')::uuid, %(upstream_id)s, 'queued', 0,
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
    request, result, form, channel_id, channel_key_id, upstream_id, expires_at > now(),
    provider_state, extract(epoch FROM started_at)"""
# The kind of a row.
_KIND: Final = "CASE WHEN form IN ('midjourney', 'suno') THEN form ELSE 'video' END"
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
