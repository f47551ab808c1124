"""What is told of tasks of Midjourney: their state as it is stored. For every other team, and of
what never was, there is no task. Only for the seed of a picture is its provider asked."""

from collections.abc import Callable
from typing import Final

import msgspec

from dialects.chat.fold import AnswerFault
from dialects.errors.errors import RequestFault
from dialects.media import midjourney
from gateway.providers.midjourney_proxy import FORM
from gateway.providers.provider import BadModelName
from lib.ids import id_text
from lib.process.waiting import timeout
from relay.answers.state_store import StateStore
from relay.credentials.keys import Principal
from relay.front.error_answers import answer_to_failures
from relay.front.http_sink import HttpSink
from relay.media import media_tasks
from relay.media.answers.task_content import channel_of, key_of
from relay.media.media_tasks import Task
from relay.requests.context import Parts
from relay.routing.snapshot import Channel, Snapshot
from relay.upstream.upstream import Answer, UpstreamFailed, upstream_failure

_SEED_PATH: Final = "/task/{id}/image-seed"
_BYTES_MAX: Final = 64 * 1024
_JSON: Final = [(b"content-type", b"application/json")]


LinkTo = Callable[[str], str]
"""Gives the link to the picture of a task."""


async def one(states: StateStore, principal: Principal, task_id: str, link_to: LinkTo) -> bytes:
    """The body that tells of a task. Raises RequestFault, DatabaseAway, DatabaseRefused."""
    return msgspec.json.encode(_shown(await _find(states, principal, task_id), link_to))


async def several(states: StateStore, principal: Principal, raw: bytes, link_to: LinkTo) -> bytes:
    """The body that tells of those tasks that there are, in the order in which they are asked for.
    Raises RequestFault, DatabaseAway, DatabaseRefused."""
    ids = midjourney.read_ids(raw)
    found = await media_tasks.find(states, principal, ids, "midjourney")
    shown = [_shown(found[id_], link_to) for id_ in dict.fromkeys(ids) if id_ in found]
    return msgspec.json.encode(shown)


async def seed(parts: Parts, snapshot: Snapshot, principal: Principal, sink: HttpSink) -> None:
    """Answer with the seed of a finished picture, which its provider is asked for. Raises
    RequestFault, DatabaseAway, DatabaseRefused."""
    task_id = sink.invocation.target.task
    task = await _find(parts.states, principal, task_id)
    if task.video.state != "succeeded":
        what = f"task {task_id} has not succeeded: only then has its picture a seed"
        raise RequestFault("conflict", "id", what)
    channel = channel_of(task, snapshot)
    try:
        seed_id = await _ask_seed(parts, snapshot, channel, task, id_text(sink.request_id))
    except UpstreamFailed as failure:
        await sink.refuse(answer_to_failures([failure]))
        return
    await sink.respond(200, _JSON, msgspec.json.encode(midjourney.write_seed(seed_id)))


async def _ask_seed(
    parts: Parts, snapshot: Snapshot, channel: Channel, task: Task, request_id: str
) -> str:
    """Raises UpstreamFailed, RequestFault."""
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
                channel, snapshot.egress, address, request_id, key=key_of(task, channel)
            )
            raw = await _whole(answer)
    except TimeoutError:
        raise upstream_failure("F11", seconds=int(channel.timeouts.first_content)) from None
    try:
        submission = midjourney.read_submission(raw)
    except AnswerFault:
        raise upstream_failure("F15") from None
    if submission.code not in midjourney.ACCEPTED:
        why = submission.description or "The provider gave no reason."
        raise UpstreamFailed("F23", "upstream_error", why, code=str(submission.code), detail=why)
    return submission.upstream_id


async def _whole(answer: Answer) -> bytes:
    """Raises UpstreamFailed."""
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


async def _find(states: StateStore, principal: Principal, task_id: str) -> Task:
    found = await media_tasks.find(states, principal, [task_id], "midjourney")
    task = found.get(task_id)
    if task is None:
        raise RequestFault("task_not_found", "id", task_id)
    return task


def _shown(task: Task, link_to: LinkTo) -> dict[str, object]:
    return midjourney.write(media_tasks.shown(task, link_to(task.video.id)))
