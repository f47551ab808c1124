"""Show stored Midjourney tasks. Other teams' tasks do not exist for the caller. Only the seed of a
picture is asked from its provider.
"""

from typing import Final

from dialects.chat.fold import AnswerFault
from dialects.endpoints.codecs import CODECS
from dialects.errors.errors import RequestFault
from extensions.midjourney import dialect
from extensions.midjourney.provider import FORM, SERVICE
from gateway.media_tasks.content_links import service_link
from gateway.providers.provider import BadModelName
from lib.ids import id_text
from lib.process.waiting import timeout
from relay.downstream.error_answers import answer_to_failures
from relay.front.request import Request
from relay.media.task_content import channel_of, key_of
from relay.media_tasks import media_tasks
from relay.media_tasks.media_tasks import Task
from relay.upstream.failures import UpstreamFailed, upstream_failure
from relay.upstream.upstream import Answer

_SEED_PATH: Final = "/task/{id}/image-seed"
_BYTES_MAX: Final = 64 * 1024


async def show_task(request: Request) -> None:
    """Answer with the task that the path names."""
    await request.respond(_write(request, await _find(request)))


async def list_tasks(request: Request) -> None:
    """Answer with the tasks that the body names, in that order, omitting those that do not
    exist.
    """
    ids = dialect.read_ids(await request.read_body(request.read_headers()))
    states, principal = request.life.parts.states, request.principal
    tasks = await media_tasks.find(states, principal, ids, "midjourney")
    await request.respond(
        [_write(request, tasks[id_]) for id_ in dict.fromkeys(ids) if id_ in tasks]
    )


async def show_seed(request: Request) -> None:
    """Answer with the seed of a finished picture, which is asked from the provider."""
    task, task_id = await _find(request), request.task_id
    if task.video.state != "succeeded":
        what = f"task {task_id} has not succeeded: only then has its picture a seed"
        raise RequestFault("conflict", "id", what)
    try:
        seed_id = await _request_seed(request, task)
    except UpstreamFailed as failure:
        await request.sink.refuse(answer_to_failures([failure]))
        return
    await request.respond(dialect.write_seed(seed_id))


async def _request_seed(request: Request, task: Task) -> str:
    """Return the seed that the provider reports. Raises UpstreamFailed, RequestFault."""
    parts, snapshot = request.life.parts, request.snapshot
    channel, request_id = channel_of(task, snapshot), id_text(request.sink.request_id)
    url = channel.address.urls.get(FORM.operation)
    if url is None:
        raise RequestFault("no_channel", None, "", model=task.video.model)
    try:
        address = FORM.below(url, _SEED_PATH, task.upstream_id)
    except BadModelName:
        raise RequestFault("task_not_found", "id", task.video.id) from None
    try:
        async with timeout(channel.timeouts.first_content):
            answer = await parts.upstreams.get(
                channel,
                snapshot.egress,
                address,
                request_id,
                codec=CODECS["openai"],
                key=key_of(task, channel),
            )
            raw = await _read_body(answer)
    except TimeoutError:
        raise upstream_failure("F11", seconds=int(channel.timeouts.first_content)) from None
    try:
        submission = dialect.read_submission(raw)
    except AnswerFault:
        raise upstream_failure("F15") from None
    if submission.code not in dialect.ACCEPTED:
        why = submission.description or "The provider gave no reason."
        raise UpstreamFailed("F23", "upstream_error", why, code=str(submission.code), detail=why)
    return submission.upstream_id


async def _read_body(answer: Answer) -> bytes:
    """Read the whole response. Raises UpstreamFailed."""
    body, whole = b"", False
    try:
        while piece := await answer.next_bytes():
            body += piece
            if len(body) > _BYTES_MAX:
                raise upstream_failure("F34", "the provider's answer is too large")
        whole = True
    finally:
        if whole:
            answer.release()
        else:
            answer.cut()
    return body


async def _find(request: Request) -> Task:
    states, principal, task_id = request.life.parts.states, request.principal, request.task_id
    task = (await media_tasks.find(states, principal, [task_id], "midjourney")).get(task_id)
    if task is None:
        raise RequestFault("task_not_found", "id", task_id)
    return task


def _write(request: Request, task: Task) -> dict[str, object]:
    config, id_ = request.life.config, task.video.id
    now = request.life.refresher.snapshot.now()
    link = service_link(config.pepper, config.public_url, SERVICE.file_path, id_, now)
    return dialect.write(media_tasks.display_task(task, link))
