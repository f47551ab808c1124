"""Video requests in Veo's form."""

from typing import Any, Final

from dialects.codec import Target
from dialects.media import veo
from dialects.media.videos import Video, VideoRequest
from relay.operations.video_operations import VideoOperation


class _Veo(VideoOperation):
    """A video in Veo's form; the model is in the path."""

    length_field = "parameters.durationSeconds"

    def request(self, raw: bytes, target: Target) -> VideoRequest:
        return veo.read(raw, target.model)

    def write(self, request_id: str, video: Video) -> dict[str, Any]:
        return veo.write_accepted(video)


PREDICT_LONG_RUNNING: Final = _Veo()
