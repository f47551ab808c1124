"""OpenAI's form, which other servers have adopted. OpenAI's own was shut down on 2026-09-24
(according to its client, openai 3.51), so its provider has no videos.

Source: OpenAI's OpenAPI description 2.3.0, whose examples poll every 10 to 20 seconds.
"""

from typing import Final

from dialects.media import videos
from gateway.providers.task_terms import PollRule, charged_video
from gateway.providers.video_forms.form import VideoForm

FORM: Final = VideoForm(
    operation="videos",
    poll=PollRule(min_s=10, max_s=60),
    charged=charged_video,
    spoken_by=frozenset({"videos"}),
    edit=videos.edit,
    encode=videos.encode,
    read_accepted=videos.read_accepted,
    read_status=videos.read_status,
    seconds=videos.SECONDS,
    # Each video contains its own expiry.
    kept_s=30 * 86400,
    status_path="/{id}",
    content_path="/{id}/content",
    remix_path="/{id}/remix",
)
