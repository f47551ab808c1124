"""Callback addresses of media tasks (`notifyHook`, `notify_hook`). Each is called once when its
task ends, with the task as a client would see it then. The call is an outbox delivery committed
with the end: signed, retried, and never sent to an internal address (notify/deliveries/sending.py).
Its payload is encrypted until it is delivered."""

import datetime as dt
import json
import logging
from typing import Any
from uuid import UUID

from django.conf import settings

from accounts.secrets.sealing import open_sealed, pepper
from dialects.media.shown_task import ShownTask
from dialects.media.videos import TaskError
from gateway.media_tasks.content_links import service_link
from gateway.media_tasks.rules import MOVES
from gateway.models import MediaTask
from gateway.providers.task_services import TASK_SERVICES
from lib import clock
from lib.vault import VaultError
from notify.deliveries.deliveries import HookCall, call_hook

log = logging.getLogger(__name__)


def call(task: MediaTask, fact_id: UUID) -> None:
    """Queue the call to the address of a task that has just ended, in the caller's transaction.
    `fact_id` is the id of the fact that reports the end. If the address cannot be decrypted,
    nothing is called, and the client has to poll the task."""
    service = TASK_SERVICES.get(task.form)
    if service is None or service.form.write is None:
        return
    try:
        hook = _decrypt_column(task, "hook")
        ended = MediaTask.objects.get(id=task.id)
        body = service.form.write(_display_task(ended, service.file_path))
    except VaultError as error:
        log.error("the hook of task %s cannot be called: %s", task.id, error)
        return
    call_hook(fact_id, HookCall(**hook, body=json.dumps(body, ensure_ascii=False)))


def _display_task(task: MediaTask, file_path: str) -> ShownTask:
    order, result = _decrypt_column(task, "request"), _decrypt_column(task, "result")
    error = result.get("error")
    link = service_link(
        pepper(), settings.PUBLIC_URL, file_path, task.public_id, clock.now().timestamp()
    )
    return ShownTask(
        id=task.public_id,
        model=task.model,
        state=next(state for state in MOVES if state == task.state),
        word=task.provider_state,
        progress=task.progress,
        prompt=order.get("prompt") or "",
        submitted_ms=_milliseconds(task.created_at),
        started_ms=_milliseconds(task.started_at or task.created_at),
        ended_ms=None if task.ended_at is None else _milliseconds(task.ended_at),
        error=None if error is None else TaskError(*error),
        detail=order.get("detail") or {},
        result=result.get("result") or {},
        link=link,
    )


def _milliseconds(at: dt.datetime) -> int:
    return int(at.timestamp() * 1000)


def _decrypt_column(task: MediaTask, column: str) -> dict[str, Any]:
    """Decrypt a column; {} if it is empty. Raises VaultError."""
    sealed = getattr(task, column)
    if sealed is None:
        return {}
    document: dict[str, Any] = json.loads(
        open_sealed(sealed, f"gateway_mediatask|{task.id}|{column}")
    )
    return document
