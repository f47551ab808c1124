"""What the relay answers from what it knows, without an upstream: models, balances, stored
responses and tasks."""

from typing import Final

from dialects.media import veo
from gateway.media_tasks.content_links import picture_link, signed_link
from lib.process.asgi import Scope
from relay.answers import legacy_billing, models_list, stored_responses
from relay.credentials.keys import Principal
from relay.endpoints import Endpoint
from relay.lifespan import Lifespan
from relay.media.answers import midjourney_answers, suno_answers, task_answers
from relay.requests.context import Invocation
from relay.routing.snapshot import Snapshot

_TASK_LOOK_UPS: Final = (
    "videos", "video", "video_generation", "kling_video", "jimeng_result", "veo_operation",
)  # fmt: skip
TASK_LISTS: Final = ("midjourney_tasks", "suno_tasks")
# What is answered from what is known here, without any upstream.
HANDLERS: Final = frozenset(
    {
        "models",
        "model",
        "billing",
        "response",
        "response_items",
        *_TASK_LOOK_UPS,
        "midjourney_task",
        "suno_task",
    }
)


async def look_up(
    life: Lifespan,
    snapshot: Snapshot,
    principal: Principal,
    endpoint: Endpoint,
    invocation: Invocation,
    scope: Scope,
    request_id: str,
) -> bytes:
    """The body of an answer that asks no upstream. Raises RequestFault, DatabaseAway,
    DatabaseRefused."""
    query, named = scope["query_string"], invocation.target.model
    if endpoint.handler == "billing":
        return await legacy_billing.render(life, principal, endpoint.operation, query)
    if endpoint.handler in ("response", "response_items"):
        states = life.parts.states
        return await stored_responses.answer(states, principal, endpoint.handler, scope, named)
    if endpoint.handler in _TASK_LOOK_UPS:
        states, task_id = life.parts.states, invocation.target.task

        def link_to(id_: str) -> str:
            if endpoint.handler == "veo_operation":
                file = veo.file_name(id_)
                return f"{life.config.public_url}/v1beta/files/{file}:download?alt=media"
            url = f"{life.config.public_url}/v1/videos/{id_}/content"
            return signed_link(life.config.pepper, url, id_, snapshot.now())

        return await task_answers.answer(
            states, principal, endpoint.handler, scope, task_id, link_to, request_id
        )
    if endpoint.handler == "midjourney_task":
        states, task_id = life.parts.states, invocation.target.task
        return await midjourney_answers.one(states, principal, task_id, _picture_links(life))
    if endpoint.handler == "suno_task":
        return await suno_answers.one(life.parts.states, principal, invocation.target.task)
    form = models_list.form_of(scope["path"], scope["headers"], query)
    if endpoint.handler == "models":
        return models_list.render(snapshot, principal, form, query)
    return models_list.render_one(snapshot, principal, form, named)


async def list_tasks(life: Lifespan, principal: Principal, endpoint: Endpoint, raw: bytes) -> bytes:
    """The body that tells of the tasks that a body names. Raises RequestFault, DatabaseAway,
    DatabaseRefused."""
    states = life.parts.states
    if endpoint.handler == "suno_tasks":
        return await suno_answers.several(states, principal, raw)
    return await midjourney_answers.several(states, principal, raw, _picture_links(life))


def _picture_links(life: Lifespan) -> midjourney_answers.LinkTo:
    config, now = life.config, life.snapshot.now()
    return lambda id_: picture_link(config.pepper, config.public_url, id_, now)
