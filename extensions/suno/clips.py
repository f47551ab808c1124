"""The sound, the pictures and the video of finished songs. The provider stores them, and they are
forwarded. Browsers send no key: a signed link opens them too
(gateway/media_tasks/content_links.py)."""

from typing import Final, NamedTuple
from uuid import UUID

from dialects.endpoints.codecs import CODECS
from dialects.errors.errors import RequestFault
from extensions.suno import dialect as suno
from lib.ids import id_text, new_id
from lib.process.waiting import timeout
from relay.catalogue.snapshot import Channel, Snapshot
from relay.context.context import Parts
from relay.credentials.keys import Principal
from relay.downstream.error_answers import answer_to_failures
from relay.front.request import Request
from relay.media.task_content import (
    VideoContent,
    asked_range,
    channel_of,
    known_range,
    pass_on,
)
from relay.media_tasks import media_tasks
from relay.media_tasks.media_tasks import Task
from relay.upstream.failures import UpstreamFailed, upstream_failure
from relay.upstream.upstream import Answer

_GONE: Final = frozenset({403, 404, 410})


async def open_clip(
    parts: Parts,
    snapshot: Snapshot,
    principal: Principal,
    task_id: str,
    number: int,
    range_: bytes,
) -> VideoContent:
    """Open a clip of a song, or the requested part of it. Raises RequestFault if there is no such
    clip, UpstreamFailed if the provider does not return it, DatabaseFailed."""
    tasks = await media_tasks.find(parts.states, principal, [task_id], "suno")
    wanted = _Wanted(task_id, str(number), "audio_url", known_range(range_))
    answer, channel = await _open(parts, snapshot, tasks.get(task_id), wanted, new_id())
    return VideoContent(answer, channel)


async def stream_file(request: Request) -> None:
    """Answer with a file of a song, for a key or for a request with the task's signed link."""
    parts, task_id, query = request.life.parts, request.task_id, request.query
    if request.caller is None:
        task = await media_tasks.find_any(parts.states, task_id, "suno")
    else:
        tasks = await media_tasks.find(parts.states, request.caller, [task_id], "suno")
        task = tasks.get(task_id)
    file = query.get("file", "audio_url")
    wanted = _Wanted(task_id, query.get("clip", "0"), file, asked_range(request.scope))
    try:
        answer, channel = await _open(
            parts, request.snapshot, task, wanted, request.sink.request_id
        )
    except UpstreamFailed as failure:
        await request.sink.refuse(answer_to_failures([failure]))
        return
    await pass_on(answer, channel, request.receive, request.sink)


class _Wanted(NamedTuple):
    """A file of a clip of a task, and the requested range of its bytes."""

    task_id: str
    clip: str
    file: str
    range: bytes


async def _open(
    parts: Parts, snapshot: Snapshot, task: Task | None, wanted: _Wanted, request_id: UUID
) -> tuple[Answer, Channel]:
    """Return the provider's answer once its headers have arrived. Raises RequestFault,
    UpstreamFailed."""
    missing = RequestFault("task_not_found", "id", wanted.task_id)
    if task is None or not task.content_kept:
        raise missing
    url = suno.file_address(task.result, wanted.clip, wanted.file)
    if not url:
        raise missing
    channel = channel_of(task, snapshot)
    first_content_s = channel.timeouts.first_content
    try:
        async with timeout(first_content_s):
            answer = await parts.upstreams.get_elsewhere(
                channel,
                snapshot.egress,
                url,
                id_text(request_id),
                codec=CODECS["openai"],
                range_=wanted.range,
            )
    except TimeoutError:
        raise upstream_failure("F11", seconds=int(first_content_s)) from None
    except UpstreamFailed as failure:
        if failure.upstream_status in _GONE:
            raise missing from None
        raise
    return answer, channel
