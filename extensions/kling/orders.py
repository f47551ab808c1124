"""Video requests in Kling's form."""

from typing import Any, Final

from dialects.codec import Target
from dialects.media.videos import Video, VideoRequest
from extensions.kling import dialect as kling
from relay.operations.video_operations import VideoOperation


class _Kling(VideoOperation):
    """A video from a text, or from a picture."""

    default_model = kling.MODEL
    model_fields = ("model_name", "model")

    def __init__(self, *, with_image: bool) -> None:
        self._with_image = with_image

    def request(self, raw: bytes, target: Target) -> VideoRequest:
        return kling.read(raw, with_image=self._with_image)

    def write(self, request_id: str, video: Video) -> dict[str, Any]:
        return kling.write(video, "", request_id)


TEXT_TO_VIDEO: Final = _Kling(with_image=False)
IMAGE_TO_VIDEO: Final = _Kling(with_image=True)
