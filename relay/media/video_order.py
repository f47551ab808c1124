"""What is known of a task that was ordered: once its provider has accepted it, and as the source
of another one."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from dialects.media.videos import Video, VideoRequest
from gateway.providers.task_form import TaskForm
from gateway.providers.video_forms.form import VideoForm


class Ordered(NamedTuple):
    """What the row of a task says of the order: `seconds` and `size` of a video, the id of the task
    that it is made of, "" for none; `prompt` and `detail`, the members of a JSON object, are its
    content. `hook` is called with it at its end, signed by `hook_secret`; "" for none."""

    model: str
    prompt: str
    seconds: int = 0
    size: str = ""
    source_id: str = ""
    detail: dict[str, Any] | None = None
    hook: str = ""
    hook_secret: str = ""


class AcceptedTask(Protocol):
    """What becomes of an answer by which a provider has accepted a task: its `public_id`, and how
    its client is told. The answer was read before."""

    @property
    def form(self) -> TaskForm: ...
    @property
    def public_id(self) -> str: ...
    @property
    def ordered(self) -> Ordered: ...
    def upstream_id(self, raw: bytes) -> str:
        """The provider's name of it."""

    def answer(self, raw: bytes, created_at: int) -> dict[str, Any]:
        """What the client is told, of a task that was written then (Unix seconds)."""


class AcceptedVideo(NamedTuple):
    """The same of a video; `write` is the form of its client."""

    request: VideoRequest
    form: VideoForm
    public_id: str
    remixed_from: str
    write: Callable[[Video], dict[str, Any]]
    prefix: str = ""
    callback_token: str = ""

    @property
    def own_id(self) -> str:
        """What its provider can be asked by before it has told of an id of its own."""
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
    """A finished task that another one is made of, and where its provider has it: on which channel,
    and by which of its keys."""

    public_id: str
    upstream_id: str
    channel_id: UUID
    channel_key_id: UUID | None
    model: str
    seconds: int
    size: str
