"""What is known of a video that was ordered: once its provider has accepted it, and as the source
of another one."""

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

from dialects.videos import Video, VideoRequest
from gateway.providers.video_forms.form import VideoForm


class AcceptedVideo(NamedTuple):
    """What becomes of an answer by which a provider has accepted a video: its `public_id`, and how
    its client is told."""

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

    def upstream_id(self, raw: bytes) -> str:
        """The provider's name of it; of an answer that was read before."""
        name = self.form.read_accepted(raw)
        return f"{self.prefix}/{name}" if self.prefix else name


class Source(NamedTuple):
    """A finished video that another one is made of, and where its provider has it."""

    public_id: str
    upstream_id: str
    channel_id: UUID
    channel_key: str
    model: str
    seconds: int
    size: str
