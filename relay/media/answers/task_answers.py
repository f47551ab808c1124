"""What is told of media tasks: their state as it is stored, in the form of the endpoint that is
asked. No provider is asked for it. For every other team, after its deletion, and of what never was,
there is no task.
"""

from collections.abc import Callable, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from dialects.errors.errors import RequestFault
from dialects.media import jimeng, kling, veo, video_generations, videos
from relay.answers.state_store import StateStore
from relay.credentials.keys import Principal
from relay.media import media_tasks
from relay.media.media_tasks import Task
from relay.media.video_order import Source

_LIMIT: Final = 20
_LIMIT_MAX: Final = 100


async def answer(
    states: StateStore,
    principal: Principal,
    handler: str,
    scope: MutableMapping[str, Any],
    task_id: str,
    link_to: Callable[[str], str],
    request_id: str,
) -> bytes:
    """The body of the answer; `link_to` gives the address of a video's bytes. Raises RequestFault,
    DatabaseAway, DatabaseRefused."""
    if handler == "videos":
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        return msgspec.json.encode(await _list(states, principal, query))
    task = await find(states, principal, task_id)
    if scope["method"] == "DELETE":
        return msgspec.json.encode(await _delete(states, principal, task))
    url = link_to(task_id)
    match handler:
        case "video_generation":
            return msgspec.json.encode(video_generations.write(task.video, url))
        case "kling_video":
            shown = url if task.video.state == "succeeded" else ""
            return msgspec.json.encode(kling.write(task.video, shown, request_id))
        case "veo_operation":
            return msgspec.json.encode(veo.write(task.video, url))
        case "jimeng_result":
            return msgspec.json.encode(jimeng.write(task.video, url, request_id))
    return msgspec.json.encode(videos.write(task.video))


async def find(states: StateStore, principal: Principal, task_id: str) -> Task:
    """A task of the principal's team. Raises RequestFault, DatabaseAway, DatabaseRefused."""
    task = (await media_tasks.find(states, principal, [task_id])).get(task_id)
    if task is None:
        raise RequestFault("task_not_found", "video_id", task_id)
    return task


async def find_linked(states: StateStore, task_id: str) -> Task:
    """A task whose link was shown. Raises RequestFault, DatabaseAway, DatabaseRefused."""
    task = await media_tasks.find_any(states, task_id, "video")
    if task is None:
        raise RequestFault("task_not_found", "video_id", task_id)
    return task


async def source_of(states: StateStore, principal: Principal, task_id: str) -> Source:
    """A finished video that another is to be made of. Raises RequestFault."""
    task = await find(states, principal, task_id)
    video = task.video
    if video.state != "succeeded":
        what = f"video {task_id} is not completed: only a completed video can be remixed"
        raise RequestFault("conflict", "video_id", what)
    return Source(
        task_id, task.upstream_id, task.channel_id, task.channel_key_id, video.model, video.seconds,
        video.size,
    )  # fmt: skip


async def _list(
    states: StateStore, principal: Principal, query: dict[str, str]
) -> dict[str, object]:
    limit = _read_limit(query.get("limit", ""))
    after = None
    if query.get("after"):
        after = (await find(states, principal, query["after"])).id
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise RequestFault("invalid_value", "order", "order must be asc or desc")
    found, more = await media_tasks.page(
        states, principal, after=after, limit=limit, ascending=order == "asc"
    )
    return videos.write_list([task.video for task in found], has_more=more)


async def _delete(states: StateStore, principal: Principal, task: Task) -> dict[str, object]:
    if not await media_tasks.forget(states, principal, task):
        what = "the video is still being made: it can be deleted when it is completed or failed"
        raise RequestFault("conflict", "video_id", what)
    return videos.write_deleted(task.video.id)


def _read_limit(text: str) -> int:
    if not text:
        return _LIMIT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= _LIMIT_MAX:
        raise RequestFault("invalid_value", "limit", f"limit must be between 1 and {_LIMIT_MAX}")
    return int(text)
