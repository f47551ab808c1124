"""The shape of a form of video tasks: data, and what reads and writes it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from dialects.chat.chat import Encoded
from dialects.codec import Codec
from dialects.media.videos import VideoRequest
from gateway.media_tasks.rules import charged_video
from gateway.providers.task_form import Charged, TaskForm


def any_length(model: str) -> Collection[int]:
    return ()


def _no_path(request: VideoRequest, model: str) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoForm(TaskForm):
    """`encode` writes the request of a client; `edit` one whose client speaks this form too, as
    those of the operations `spoken_by` do, where that is another.

    `content_path` and `remix_path` stand where `status_path` does: `content_path` is "" where the
    status names the address of the bytes, or with `read_link` what tells that address for what the
    status calls them; `remix_path` is "" where there is none.

    `path` stands behind the address that accepts, `prefix` before the id that it tells: what must
    be known beside it, later, to ask for the task. Such an id is as many segments of a path.

    `read_accepted` gives the provider's id, and raises AnswerFault. `seconds` is how long a video
    is whose client did not say, at most SECONDS_UNSAID; `lengths` are all those, in seconds, that
    one of its models makes, none where that is not known. `callback` is the member of an order that
    names who is to be told of an end, `external` the one that gives the task an id of ours, by
    which it can be asked for, too: its row is then written before the provider is asked, so that no
    crash loses it.
    """

    charged: Charged = charged_video
    encode: Callable[[VideoRequest, str], Encoded]
    read_accepted: Callable[[bytes], str]
    seconds: int
    lengths: Callable[[str], Collection[int]] = any_length
    content_path: str = ""
    remix_path: str = ""
    spoken_by: frozenset[str] = frozenset()
    edit: Callable[[VideoRequest, str], Encoded] | None = None
    path: Callable[[VideoRequest, str], str] = _no_path
    prefix: Callable[[VideoRequest, str], str] = _no_path
    read_link: Callable[[bytes], str] | None = None
    errors: Codec[Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    callback: str = ""
    external: str = ""

    def segments(self, upstream_id: str) -> list[str]:
        several = self.prefix is not _no_path or self.tasks is not None
        return upstream_id.split("/") if several else [upstream_id]
