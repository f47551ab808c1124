"""Show stored videos in the form of the endpoint; no provider is asked. Deleted videos and those of
other teams do not exist for the caller.
"""

from typing import Final

from dialects.errors.errors import RequestFault
from dialects.media import veo, video_generations, videos
from gateway.media_tasks.content_links import signed_link
from relay.credentials.keys import Principal
from relay.front.request import Request
from relay.media_tasks import media_tasks
from relay.media_tasks.media_tasks import Task
from relay.media_tasks.video_order import Source
from relay.states.state_store import StateStore

_LIMIT: Final = 20
_LIMIT_MAX: Final = 100


async def list_videos(request: Request) -> None:
    """Answer with a page of the videos of the key's team."""
    states, principal, query = request.life.parts.states, request.principal, request.query
    limit, after = _read_limit(query.get("limit", "")), None
    if query.get("after"):
        after = (await find(states, principal, query["after"])).id
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise RequestFault("invalid_value", "order", "order must be asc or desc")
    tasks, more = await media_tasks.page(
        states, principal, after=after, limit=limit, ascending=order == "asc"
    )
    await request.respond(videos.write_list([task.video for task in tasks], has_more=more))


async def show_video(request: Request) -> None:
    """Answer with a video, or delete it."""
    task = await find_task(request, request.task_id)
    if request.scope["method"] != "DELETE":
        await request.respond(videos.write(task.video))
        return
    if not await media_tasks.forget(request.life.parts.states, request.principal, task):
        what = "the video is still being made: it can be deleted when it is completed or failed"
        raise RequestFault("conflict", "video_id", what)
    await request.respond(videos.write_deleted(task.video.id))


async def show_generation(request: Request) -> None:
    """Answer with a video in the form of `/v1/video/generations`."""
    task = await find_task(request, request.task_id)
    url = content_link(request, request.task_id)
    await request.respond(video_generations.write(task.video, url))


async def show_veo_operation(request: Request) -> None:
    """Answer with a video in Veo's form."""
    task = await find_task(request, request.task_id)
    file = veo.file_name(request.task_id)
    url = f"{request.life.config.public_url}/v1beta/files/{file}:download?alt=media"
    await request.respond(veo.write(task.video, url))


async def find_task(request: Request, task_id: str) -> Task:
    """Return a video of the caller's team. Raises RequestFault, DatabaseFailed."""
    return await find(request.life.parts.states, request.principal, task_id)


def content_link(request: Request, task_id: str) -> str:
    """Return the signed link to a video's bytes."""
    config = request.life.config
    url = f"{config.public_url}/v1/videos/{task_id}/content"
    return signed_link(config.pepper, url, task_id, request.snapshot.now())


async def find(states: StateStore, principal: Principal, task_id: str) -> Task:
    """Return a task of the principal's team. Raises RequestFault, DatabaseFailed."""
    task = (await media_tasks.find(states, principal, [task_id])).get(task_id)
    if task is None:
        raise RequestFault("task_not_found", "video_id", task_id)
    return task


async def find_linked(states: StateStore, task_id: str) -> Task:
    """Return a task by its signed link. Raises RequestFault, DatabaseFailed."""
    task = await media_tasks.find_any(states, task_id, "video")
    if task is None:
        raise RequestFault("task_not_found", "video_id", task_id)
    return task


async def source_of(states: StateStore, principal: Principal, task_id: str) -> Source:
    """Return a finished video of which another one is made. Raises RequestFault."""
    task = await find(states, principal, task_id)
    video = task.video
    if video.state != "succeeded":
        what = f"video {task_id} is not completed: only a completed video can be remixed"
        raise RequestFault("conflict", "video_id", what)
    return Source(
        public_id=task_id,
        upstream_id=task.upstream_id,
        channel_id=task.channel_id,
        channel_key_id=task.channel_key_id,
        model=video.model,
        seconds=video.seconds,
        size=video.size,
    )


def _read_limit(text: str) -> int:
    if not text:
        return _LIMIT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= _LIMIT_MAX:
        raise RequestFault("invalid_value", "limit", f"limit must be between 1 and {_LIMIT_MAX}")
    return int(text)
