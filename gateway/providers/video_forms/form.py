"""The shape of a form of video tasks: data, and what reads and writes it."""

from collections.abc import Callable
from dataclasses import dataclass

from dialects.chat import Encoded
from dialects.videos import VideoRequest
from gateway.providers.task_form import TaskForm


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoForm(TaskForm):
    """The other paths stand below the address of the operation too. `encode` writes the request of
    a client; `edit` one whose client speaks this form too, as those of the operations `spoken_by`
    do. `remix_path` is "" where there is none. `read_accepted` gives the provider's id, and raises
    AnswerFault.
    """

    spoken_by: frozenset[str]
    edit: Callable[[VideoRequest, str], Encoded]
    encode: Callable[[VideoRequest, str], Encoded]
    read_accepted: Callable[[bytes], str]
    content_path: str
    remix_path: str = ""
