"""The bytes of a finished picture. The provider stores them, and they are forwarded as they arrive.
Browsers send no key: a signed link opens the picture too (gateway/media_tasks/content_links.py).
"""

from typing import Final

from dialects.endpoints.codecs import CODECS
from dialects.errors.errors import RequestFault
from lib.ids import id_text
from lib.process.waiting import timeout
from relay.downstream.error_answers import answer_to_failures
from relay.front.request import Request
from relay.media.task_content import asked_range, channel_of, pass_on
from relay.media_tasks import media_tasks
from relay.upstream.failures import UpstreamFailed, upstream_failure

_GONE: Final = frozenset({403, 404, 410})


async def stream_picture(request: Request) -> None:
    """Answer with a picture, for a key or for a request with the picture's signed link."""
    parts, snapshot, sink = request.life.parts, request.snapshot, request.sink
    task_id = request.task_id
    missing = RequestFault("task_not_found", "id", task_id)
    if request.caller is None:
        task = await media_tasks.find_any(parts.states, task_id, "midjourney")
    else:
        tasks = await media_tasks.find(parts.states, request.caller, [task_id], "midjourney")
        task = tasks.get(task_id)
    url = "" if task is None or not task.content_kept else task.result.get("imageUrl", "")
    if task is None or not url:
        raise missing
    channel = channel_of(task, snapshot)
    first_content_s = channel.timeouts.first_content
    try:
        async with timeout(first_content_s):
            answer = await parts.upstreams.get_elsewhere(
                channel,
                snapshot.egress,
                url,
                id_text(sink.request_id),
                codec=CODECS["openai"],
                range_=asked_range(request.scope),
            )
    except TimeoutError:
        failure = upstream_failure("F11", seconds=int(first_content_s))
        await sink.refuse(answer_to_failures([failure]))
        return
    except UpstreamFailed as failure:
        if failure.upstream_status in _GONE:
            raise missing from None
        await sink.refuse(answer_to_failures([failure]))
        return
    await pass_on(answer, channel, request.receive, sink)
