"""Video requests in Jimeng's form."""

from typing import Any, Final

from dialects.codec import Target
from dialects.media.videos import Video, VideoRequest
from extensions.jimeng import dialect as jimeng
from relay.operations.video_operations import VideoOperation


class _Jimeng(VideoOperation):
    model_fields = ("req_key",)
    length_field = "frames"

    def length_word(self, seconds: int) -> int:
        return jimeng.FRAMES_A_SECOND * seconds + 1

    def request(self, raw: bytes, target: Target) -> VideoRequest:
        return jimeng.read(raw)

    def write(self, request_id: str, video: Video) -> dict[str, Any]:
        return jimeng.write_accepted(video, request_id)


JIMENG_VIDEOS: Final = _Jimeng()
