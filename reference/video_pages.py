"""The pages of videos."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from gateway.examples import VIDEO_MODEL
from reference.fields import Field
from reference.page import MAX_COST, MODEL_FIELD, ReferencePage

_ID: Final = Field("id", "string", _("The video ID, in the path."), True)
_HELD: Final = _(
    "The price of the whole video is held when it is ordered, and charged once it is completed. A "
    "failed video costs nothing. A video without an end after 24 hours fails."
)
_TEAM: Final = _("All API keys of the team can use a video; for all others it does not exist.")

VIDEOS: Final = ReferencePage(
    "videos",
    _("Create a video"),
    _(
        "Orders a video. The answer has its ID; it is made in the background. GET lists the team's "
        "videos, with limit, after and order. Send a prompt to /remix to make another video from a "
        "completed one."
    ),
    ("videos",),
    "/v1/videos",
    (
        Field("prompt", "string", _("What the video shows."), True, limits="1–32000"),
        Field("model", "string", _("The model to use. Default: sora-2.")),
        Field("seconds", "string | integer", _("Length. Default: 4."), limits="1–600"),
        Field("size", "string", _("Width and height, such as 1280x720. Default: 720x1280.")),
        Field(
            "input_reference",
            "file | object",
            _("First picture: a file of a form, or image_url with an address or a data URL."),
        ),
        MAX_COST,
    ),
    {"model": VIDEO_MODEL, "prompt": "A river at dawn", "seconds": "4", "size": "1280x720"},
    """{
  "id": "video_7d1f0c5b2a9e4f6c8d3b1a0e5f7c9d2b", "object": "video", "model": "sora-2",
  "status": "queued", "progress": 0, "created_at": 1767000900, "completed_at": null,
  "expires_at": null, "seconds": "4", "size": "1280x720", "prompt": "A river at dawn",
  "remixed_from_video_id": null, "error": null
}""",
    (_HELD, _TEAM),
)
VIDEO: Final = ReferencePage(
    "video",
    _("Retrieve a video"),
    _(
        "The state of a video, as last reported by its provider. /content returns its bytes, or "
        "parts of them with Range. DELETE deletes a video that is completed or failed."
    ),
    ("video", "video_content"),
    "/v1/videos/video_1",
    (
        _ID,
        Field(
            "variant",
            "video | thumbnail | spritesheet",
            _("Of the content, in the query. Default: video."),
        ),
    ),
    None,
    """{
  "id": "video_1", "object": "video", "model": "sora-2", "status": "completed", "progress": 100,
  "created_at": 1767000900, "completed_at": 1767000990, "expires_at": 1767605790,
  "seconds": "4", "size": "1280x720", "prompt": "A river at dawn",
  "remixed_from_video_id": null, "error": null
}""",
    (
        _("Status: queued, in_progress, completed or failed. Ask every 10 to 20 seconds."),
        _("The content is there until expires_at, unless the provider deletes it earlier."),
        _TEAM,
    ),
    argument="video_1",
)
GENERATIONS: Final = ReferencePage(
    "video-generations",
    _("Video generations"),
    _("Orders a video and retrieves it, in the format that several hubs share."),
    ("video_generations", "video_generation"),
    "/v1/video/generations",
    (
        MODEL_FIELD,
        Field("prompt", "string", _("What the video shows."), True, limits="1–32000"),
        Field("image", "string", _("First picture: an address or a data URL.")),
        Field("duration", "integer", _("Length, in seconds. Default: 4."), limits="1–600"),
        Field("width, height", "integer", _("Size. Default: 720 and 1280."), limits="10–9999"),
        Field("size", "string", _("Both in one, such as 1280x720.")),
        Field("n", "integer", _("Number of videos: 1.")),
        MAX_COST,
    ),
    {"model": VIDEO_MODEL, "prompt": "A river at dawn", "duration": 4},
    """{"task_id": "task_01k9m2s7c4x8v3b6n1q5w0e9rt", "status": "queued"}""",
    (_HELD, _TEAM),
)
