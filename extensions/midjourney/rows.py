"""The paths of Midjourney."""

from dataclasses import replace
from typing import Final

from extensions.midjourney import answers
from extensions.midjourney.dialect import FAMILY, Submitted
from extensions.midjourney.orders import submit_picture
from extensions.midjourney.picture import stream_picture
from extensions.midjourney.provider import SERVICE
from relay.endpoints.service_rows import QUESTION_BYTES_MAX, ServiceRows, order_row
from relay.front.request import Endpoint

# By the speed mode of the picture.
_ROOTS: Final[dict[str, str]] = {
    "": "/mj", "fast": "/mj-fast/mj", "relax": "/mj-relax/mj", "turbo": "/mj-turbo/mj",
}  # fmt: skip
_SUBMITTED: Final[dict[Submitted, str]] = {
    "imagine": "midjourney_imagine",
    "change": "midjourney_change",
    "simple-change": "midjourney_simple_change",
    "describe": "midjourney_describe",
    "blend": "midjourney_blend",
    "action": "midjourney_action",
    "modal": "midjourney_modal",
    "shorten": "midjourney_shorten",
}
_KEY_HEADER: Final = SERVICE.key_header.encode()
_LIST: Final = Endpoint(
    answers.list_tasks, ("POST",), operation="midjourney_tasks",
    body_bytes_max=QUESTION_BYTES_MAX, shows="midjourney_tasks", family=FAMILY,
    key_header=_KEY_HEADER,
)  # fmt: skip
_TASK: Final = Endpoint(
    answers.show_task, ("GET",), operation="midjourney_tasks",
    shows="midjourney_task", path_names="task", family=FAMILY, key_header=_KEY_HEADER,
)  # fmt: skip
_OF_TASK: Final[dict[str, Endpoint]] = {
    "task/{id}/fetch": _TASK,
    "task/{id}/image-seed": replace(_TASK, handler=answers.show_seed, shows="midjourney_seed"),
    "image/{id}": replace(
        _TASK, handler=stream_picture, shows="midjourney_image", opens_by_link=True
    ),
}


_EXACT: Final[dict[str, Endpoint]] = {
    f"{root}/submit/{path}": replace(
        order_row(SERVICE, operation, submit_picture(path, mode)), key_header=_KEY_HEADER
    )
    for path, operation in _SUBMITTED.items()
    for mode, root in _ROOTS.items()
} | {f"{root}/task/list-by-condition": _LIST for root in _ROOTS.values()}
_NAMING: Final[dict[str, Endpoint]] = {
    f"{root}/{path}": row for path, row in _OF_TASK.items() for root in _ROOTS.values()
}


def _listed() -> dict[str, Endpoint]:
    """Return the rows without a mode, and those of one mode in place of all."""
    rows, root = _EXACT | _NAMING, _ROOTS["fast"]
    without = {path: row for path, row in rows.items() if not path.startswith("/mj-")}
    return without | {
        path.replace(root, "/mj-{mode}/mj"): row
        for path, row in rows.items()
        if path.startswith(root)
    }


ROWS: Final = ServiceRows(
    service=SERVICE,
    exact=_EXACT,
    naming=_NAMING,
    listed=_listed(),
    page_paths={
        operation: f"/mj/submit/{path}"
        for path, operation in _SUBMITTED.items()
        if path not in ("change", "simple-change")
    },
)
