"""The shape of a form of video tasks: data, and the functions that read and write it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from dialects.chat.chat import Encoded
from dialects.codec import Codec
from dialects.media.videos import VideoRequest
from gateway.providers.task_form import Charged, TaskForm
from gateway.providers.task_terms import charged_video


def any_length(model: str) -> Collection[int]:
    return ()


def _no_path(request: VideoRequest, model: str) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoForm(TaskForm):
    """`encode` writes a client's request. `edit`, if set, writes it instead when the client uses
    this form itself, as clients of the operations in `spoken_by` do.

    `content_path` and `remix_path` are relative to the same URL as `status_path`. `content_path` is
    "" if the status contains the URL of the video; with `read_link`, its response contains that
    URL. `remix_path` is "" if remixes are not supported.

    `path` is appended to the URL that creates a task. `prefix` is prepended to the provider's id
    with what is needed, besides the id, to poll the task later. Such an id consists of several path
    segments.

    `read_accepted` returns the provider's id, and raises AnswerFault. `seconds` is the default
    length of a video, at most SECONDS_UNSAID. `lengths` returns all possible lengths in seconds of
    one of its models, or none if they are unknown. `callback` is the request's member for the
    callback address. `external` is the member that sets an id of ours, by which the task can be
    polled too. Its row is then written before the request is sent, so that no crash loses it.
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
