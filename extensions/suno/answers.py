"""Show stored Suno tasks; no provider is asked. Other teams' tasks do not exist for the caller."""

from dialects.errors.errors import RequestFault
from extensions.suno import dialect as suno
from extensions.suno.provider import SERVICE
from gateway.media_tasks.content_links import service_link
from relay.front.request import Request
from relay.media_tasks import media_tasks
from relay.media_tasks.media_tasks import Task


async def show_task(request: Request) -> None:
    """Answer with the task that the path names."""
    states, principal, task_id = request.life.parts.states, request.principal, request.task_id
    tasks = await media_tasks.find(states, principal, [task_id], "suno")
    if task_id not in tasks:
        raise RequestFault("task_not_found", "id", task_id)
    await request.respond(suno.write_envelope(_write(request, tasks[task_id])))


async def list_tasks(request: Request) -> None:
    """Answer with the tasks that the body names, in that order, omitting those that do not
    exist.
    """
    ids, action = suno.read_ids(await request.read_body(request.read_headers()))
    tasks = await media_tasks.find(request.life.parts.states, request.principal, ids, "suno")
    written = [_write(request, tasks[id_]) for id_ in dict.fromkeys(ids) if id_ in tasks]
    kept = [task for task in written if action in ("", task["action"])]
    await request.respond(suno.write_envelope(kept))


def _write(request: Request, task: Task) -> dict[str, object]:
    config, now = request.life.config, request.snapshot.now()
    path, id_ = SERVICE.file_path, task.video.id
    link = service_link(config.pepper, config.public_url, path, id_, now)
    return suno.write(media_tasks.display_task(task, link))
