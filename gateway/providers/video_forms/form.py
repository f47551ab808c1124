"""The shape of a form of video tasks: data, and what reads and writes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dialects.chat import Dialect, Encoded
from dialects.codec import Codec
from dialects.operation import Operation
from dialects.videos import VideoRequest, VideoStatus
from gateway.providers.provider import write_segment
from gateway.rules.task_life import PollRule


def _no_path(request: VideoRequest, model: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class VideoForm:
    """`operation` accepts a task. `encode` writes the request of a client; `edit` one whose client
    speaks this form too, as those of the operations `spoken_by` do, where that is another.

    The other paths stand below its address, or that of `tasks`, with `{id}` for the provider's id
    of the task: `status_path`; `content_path`, "" where the status names the address of the bytes,
    or with `read_link` what tells that address for what the status calls them; `remix_path`, ""
    where there is none. A status is asked for by GET, or by POST with what `ask` makes of the id.

    `path` stands behind the address that accepts, `prefix` before the id that it tells: what must
    be known beside it, later, to ask for the task. Such an id is as many segments of a path.

    `read_accepted` gives the provider's id, `read_status` what it tells, also of an answer whose
    status is one of `told_by`; both raise AnswerFault. `seconds` is how long a video is whose
    client did not say, at most SECONDS_UNSAID. `kept_s` is for how long the provider keeps it.
    `callback` is the member of an order that names who is to be told of an end, `external` the one
    that gives the task an id of ours, by which it can be asked for, too: its row is then written
    before the provider is asked, so that no crash loses it.
    """

    operation: Operation
    poll: PollRule
    encode: Callable[[VideoRequest, str], Encoded]
    read_accepted: Callable[[bytes], str]
    read_status: Callable[[bytes, str], VideoStatus]
    seconds: int
    kept_s: int
    status_path: str = ""
    content_path: str = ""
    remix_path: str = ""
    spoken_by: frozenset[str] = frozenset()
    edit: Callable[[VideoRequest, str], Encoded] | None = None
    tasks: Operation | None = None
    ask: Callable[[str], bytes] | None = None
    path: Callable[[VideoRequest, str], str] = _no_path
    prefix: Callable[[VideoRequest, str], str] = _no_path
    read_link: Callable[[bytes], str] | None = None
    told_by: frozenset[int] = frozenset({200})
    dialect: Dialect = "openai"
    errors: Codec[Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    callback: str = ""
    external: str = ""

    @property
    def tasks_operation(self) -> Operation:
        """Below whose address a task is asked for."""
        return self.tasks or self.operation

    def below(self, url: str, path: str, upstream_id: str) -> str:
        """An address of a task, of the one that tasks are below. Raises BadModelName for an id that
        cannot stand in a path."""
        return url + path.replace("{id}", "/".join(map(write_segment, self._segments(upstream_id))))

    def _segments(self, upstream_id: str) -> list[str]:
        several = self.prefix is not _no_path or self.tasks is not None
        return upstream_id.split("/") if several else [upstream_id]
