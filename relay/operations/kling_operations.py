"""Video requests in the forms of Kling, Jimeng and Veo."""

from typing import Any, Final

from dialects.codec import Target
from dialects.media import jimeng, kling, veo
from dialects.media.videos import Video, VideoRequest
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


class _Jimeng(VideoOperation):
    model_fields = ("req_key",)
    length_field = "frames"

    def length_word(self, seconds: int) -> int:
        return jimeng.FRAMES_A_SECOND * seconds + 1

    def request(self, raw: bytes, target: Target) -> VideoRequest:
        return jimeng.read(raw)

    def write(self, request_id: str, video: Video) -> dict[str, Any]:
        return jimeng.write_accepted(video, request_id)


class _Veo(VideoOperation):
    """A video in Veo's form; the model is in the path."""

    length_field = "parameters.durationSeconds"

    def request(self, raw: bytes, target: Target) -> VideoRequest:
        return veo.read(raw, target.model)

    def write(self, request_id: str, video: Video) -> dict[str, Any]:
        return veo.write_accepted(video)


TEXT_TO_VIDEO: Final = _Kling(with_image=False)
IMAGE_TO_VIDEO: Final = _Kling(with_image=True)
JIMENG_VIDEOS: Final = _Jimeng()
PREDICT_LONG_RUNNING: Final = _Veo()
