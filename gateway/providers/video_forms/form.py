"""The shape of a form of video tasks: data, and what reads and writes it."""

from collections.abc import Callable
from dataclasses import dataclass

from dialects.chat import Encoded
from dialects.operation import Operation
from dialects.videos import VideoRequest, VideoStatus
from gateway.providers.provider import write_segment
from gateway.rules.task_life import PollRule


@dataclass(frozen=True, slots=True)
class VideoForm:
    """`operation` accepts a task; the other paths stand below its address, with `{id}` for the
    provider's id of the task. `encode` writes the request of a client; `edit` one whose client
    speaks this form too, as those of the operations `spoken_by` do. `remix_path` is "" where there
    is none.

    `read_accepted` gives the provider's id, `read_status` what it tells; both raise AnswerFault.
    """

    operation: Operation
    poll: PollRule
    spoken_by: frozenset[str]
    edit: Callable[[VideoRequest, str], Encoded]
    encode: Callable[[VideoRequest, str], Encoded]
    read_accepted: Callable[[bytes], str]
    read_status: Callable[[bytes, str], VideoStatus]
    status_path: str
    content_path: str
    remix_path: str = ""

    def below(self, url: str, path: str, upstream_id: str) -> str:
        """An address of a task, of the one that accepts tasks. Raises BadModelName for an id that
        cannot stand in a path."""
        return url + path.replace("{id}", write_segment(upstream_id))
