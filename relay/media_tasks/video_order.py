"""The data of a task that was ordered, kept for when its provider has accepted it and for tasks
made from it."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from dialects.media.videos import Video, VideoRequest
from gateway.providers.task_form import TaskForm
from gateway.providers.video_forms.form import VideoForm


class Ordered(NamedTuple):
    """The columns of a task about its order: `seconds` and `size` of a video, and the id of the
    task that it is made from, "" for none. `prompt` and `detail`, the members of a JSON object, are
    its content. At its end it is posted to `hook`, "" for none, signed by `hook_secret`."""

    model: str
    prompt: str
    seconds: int = 0
    size: str = ""
    source_id: str = ""
    detail: dict[str, Any] | None = None
    hook: str = ""
    hook_secret: str = ""


class AcceptedTask(Protocol):
    """An answer by which a provider accepts a task: the task's `public_id`, and the client's
    answer. The provider's answer was parsed before.
    """

    @property
    def form(self) -> TaskForm: ...
    @property
    def public_id(self) -> str: ...
    @property
    def ordered(self) -> Ordered: ...
    def upstream_id(self, raw: bytes) -> str:
        """Return the provider's id of the task."""

    def answer(self, raw: bytes, created_at: int) -> dict[str, Any]:
        """Return the client's answer for a task that was created at `created_at` (Unix seconds)."""


class AcceptedVideo(NamedTuple):
    """An accepted video; `write` is the client's form."""

    request: VideoRequest
    form: VideoForm
    public_id: str
    remixed_from: str
    write: Callable[[Video], dict[str, Any]]
    prefix: str = ""
    callback_token: str = ""

    @property
    def own_id(self) -> str:
        """Return our id of the task, by which the provider can be asked before it has returned its
        own id."""
        return f"{self.prefix}/{self.public_id}"

    @property
    def ordered(self) -> Ordered:
        request = self.request
        return Ordered(
            request.model, request.prompt, request.seconds, request.size, self.remixed_from
        )

    def upstream_id(self, raw: bytes) -> str:
        name = self.form.read_accepted(raw)
        return f"{self.prefix}/{name}" if self.prefix else name

    def answer(self, raw: bytes, created_at: int) -> dict[str, Any]:
        request = self.request
        video = Video(
            id=self.public_id,
            model=request.model,
            state="queued",
            progress=0,
            created_at=created_at,
            completed_at=None,
            expires_at=None,
            seconds=request.seconds,
            size=request.size,
            prompt=request.prompt,
            remixed_from=self.remixed_from or None,
            error=None,
        )
        return self.write(video)


class Source(NamedTuple):
    """A finished task that another one is made from: its channel, and the position of its key
    there."""

    public_id: str
    upstream_id: str
    channel_id: UUID
    channel_key_id: UUID | None
    model: str
    seconds: int
    size: str
