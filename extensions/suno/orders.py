"""Requests to Suno."""

from typing import Final
from uuid import uuid4

from extensions.suno import dialect as suno
from extensions.suno import provider as suno_api
from extensions.suno.dialect import Action
from relay.operations.task_operations import OrderForm, SubmitTask, TaskAddress, refuse_task


def _read_song(raw: bytes) -> str:
    submission = suno.read_submission(raw)
    if not submission.upstream_id:
        raise refuse_task("F6", "provider_rejected", submission.code, submission.message)
    return submission.upstream_id


_ORDER_FORM: Final = OrderForm(
    kind="suno",
    name="Suno tasks",
    hook_field="notify_hook",
    form=suno_api.FORM,
    new_id=lambda: str(uuid4()),
    encode=suno.encode,
    read_accepted=_read_song,
    write_accepted=lambda raw, id_: suno.write_envelope(id_),
)


def submit_song(action: Action) -> SubmitTask:
    """Return the operation of `/suno/submit/{action}`."""
    source = "task_id" if action == "music" else ""
    model = suno.MODEL_OF[action]
    return SubmitTask(
        _ORDER_FORM, TaskAddress(action, model, lambda raw: suno.read(action, raw), source)
    )
