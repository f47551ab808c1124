"""The bytes of a finished picture: they stay where its provider has put them, and are passed on as
they come. Browsers send no key: a signed link opens it too
(gateway/media_tasks/content_links.py)."""

from typing import Final

from dialects.errors.errors import RequestFault
from lib.ids import id_text
from lib.process.asgi import Receive, Scope
from lib.process.waiting import timeout
from relay.credentials.keys import Principal
from relay.front.error_answers import answer_to_failures
from relay.front.http_sink import HttpSink
from relay.media import media_tasks
from relay.media.answers.task_content import asked_range, channel_of, pass_on
from relay.requests.context import Parts
from relay.routing.snapshot import Snapshot
from relay.upstream.upstream import UpstreamFailed, upstream_failure

_GONE: Final = frozenset({403, 404, 410})


async def serve(
    parts: Parts,
    snapshot: Snapshot,
    principal: Principal | None,
    scope: Scope,
    receive: Receive,
    sink: HttpSink,
) -> None:
    """Answer a request for a picture, whose principal is None for whoever has its link. Raises
    RequestFault, DatabaseAway, DatabaseRefused."""
    task_id = sink.invocation.target.task
    missing = RequestFault("task_not_found", "id", task_id)
    if principal is None:
        task = await media_tasks.find_any(parts.states, task_id, "midjourney")
    else:
        found = await media_tasks.find(parts.states, principal, [task_id], "midjourney")
        task = found.get(task_id)
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
                range_=asked_range(scope),
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
    await pass_on(answer, channel, receive, sink)
