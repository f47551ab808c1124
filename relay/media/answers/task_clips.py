"""The sound of finished songs. The provider stores it, and it is forwarded."""

from collections.abc import Mapping
from typing import Final

from dialects.errors.errors import RequestFault
from lib.ids import id_text, new_id
from lib.process.waiting import timeout
from relay.credentials.keys import Principal
from relay.media import media_tasks
from relay.media.answers.task_content import VideoContent, channel_of, known_range
from relay.media.media_tasks import Task
from relay.requests.context import Parts
from relay.routing.snapshot import Snapshot
from relay.upstream.upstream import UpstreamFailed, upstream_failure

_GONE: Final = frozenset({403, 404, 410})


async def open_clip(
    parts: Parts,
    snapshot: Snapshot,
    principal: Principal,
    task_id: str,
    number: int,
    *,
    range_: bytes,
) -> VideoContent:
    """Open a clip of a song, or the requested part of it. Raises RequestFault if there is no such
    clip, UpstreamFailed if the provider does not return it, DatabaseFailed."""
    tasks = await media_tasks.find(parts.states, principal, [task_id], "suno")
    task = tasks.get(task_id)
    url = "" if task is None else _address(task, number)
    missing = RequestFault("task_not_found", "id", task_id)
    if task is None or not url:
        raise missing
    channel = channel_of(task, snapshot)
    first_content_s = channel.timeouts.first_content
    try:
        async with timeout(first_content_s):
            answer = await parts.upstreams.get_elsewhere(
                channel, snapshot.egress, url, id_text(new_id()), range_=known_range(range_)
            )
    except TimeoutError:
        raise upstream_failure("F11", seconds=int(first_content_s)) from None
    except UpstreamFailed as failure:
        if failure.upstream_status in _GONE:
            raise missing from None
        raise
    return VideoContent(answer, channel)


def _address(task: Task, number: int) -> str:
    """Return the address of a clip; "" if the clip has none, the address is invalid, or it has
    expired."""
    clips = task.result.get("data") if task.content_kept else None
    if not isinstance(clips, list) or not 0 <= number < len(clips):
        return ""
    clip = clips[number]
    url = clip.get("audio_url") if isinstance(clip, Mapping) else None
    return url if isinstance(url, str) and url.startswith(("https://", "http://")) else ""
