"""Requests to Midjourney."""

import secrets
from collections.abc import Mapping
from typing import Final

from dialects.errors.kinds import ErrorKind
from extensions.midjourney import dialect, provider
from extensions.midjourney.dialect import Submitted
from relay.operations.task_operations import OrderForm, SubmitTask, TaskAddress, refuse_task

# Ids have 16 digits, the first not zero.
_FIRST_ID: Final = 10**15
# The meaning of an error code, and its row of the fault table; any other is a fault of the
# provider.
_REFUSED: Final[Mapping[int, tuple[str, ErrorKind]]] = {
    3: ("F6", "provider_rejected"),
    4: ("F6", "provider_rejected"),
    23: ("F8", "upstream_rate_limited"),
    24: ("F6", "content_filtered"),
}
_SOURCES: Final[Mapping[Submitted, str]] = {
    "change": "taskId",
    "simple-change": "content",
    "action": "taskId",
    "modal": "taskId",
}


def _read_picture(raw: bytes) -> str:
    submission = dialect.read_submission(raw)
    if submission.code not in dialect.ACCEPTED:
        row, kind = _REFUSED.get(submission.code, ("F23", "upstream_error"))
        raise refuse_task(row, kind, str(submission.code), submission.description)
    return submission.upstream_id


_ORDER_FORM: Final = OrderForm(
    kind="midjourney",
    name="Midjourney tasks",
    hook_field="notifyHook",
    form=provider.FORM,
    new_id=lambda: str(_FIRST_ID + secrets.randbelow(9 * _FIRST_ID)),
    encode=dialect.encode,
    read_accepted=_read_picture,
    write_accepted=lambda raw, id_: dialect.write_submitted(dialect.read_submission(raw), id_),
)


def submit_picture(path: Submitted, mode: str = "") -> SubmitTask:
    """Return the operation of `/mj/submit/{path}`. `mode` is the speed in the path, "" for none."""
    address = TaskAddress(
        path,
        f"mj_{path}",
        lambda raw: dialect.read(path, raw, mode),
        _SOURCES.get(path, ""),
        # A dialog accepts input while its task is running.
        while_running=path == "modal",
    )
    return SubmitTask(_ORDER_FORM, address)
