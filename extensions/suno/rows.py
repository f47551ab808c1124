"""The paths of Suno."""

from typing import Final

from extensions.suno import answers as suno_answers
from extensions.suno.clips import open_clip, stream_file
from extensions.suno.dialect import FAMILY, MODEL_OF
from extensions.suno.orders import submit_song
from extensions.suno.provider import SERVICE
from relay.endpoints.service_rows import QUESTION_BYTES_MAX, ServiceRows, order_row
from relay.front.request import Endpoint

_SUBMITTED: Final = {model: f"/suno/submit/{action}" for action, model in MODEL_OF.items()}
ROWS: Final = ServiceRows(
    service=SERVICE,
    exact={
        **{
            _SUBMITTED[model]: order_row(SERVICE, model, submit_song(action))
            for action, model in MODEL_OF.items()
        },
        "/suno/fetch": Endpoint(
            suno_answers.list_tasks, ("POST",), operation="suno_tasks",
            body_bytes_max=QUESTION_BYTES_MAX, shows="suno_tasks", family=FAMILY,
        ),
    },
    naming={
        "/suno/fetch/{id}": Endpoint(
            suno_answers.show_task, ("GET",), operation="suno_tasks", shows="suno_task",
            path_names="task", family=FAMILY,
        ),
        "/suno/file/{id}": Endpoint(
            stream_file, ("GET",), operation="suno_tasks", shows="suno_file", path_names="task",
            opens_by_link=True, family=FAMILY,
        ),
    },
    page_paths=_SUBMITTED,
    open_file=open_clip,
)  # fmt: skip
