"""The pages of Kling."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from extensions.kling.provider import SERVICE
from reference.operations.page import MAX_COST, PASSED, USER, Field, ReferencePage
from reference.operations.service_pages import ServicePages
from reference.operations.video_pages import VIDEO_DROPPED, VIDEO_HELD, VIDEO_TEAM

_KLING_FIELDS: Final = (
    Field("model_name, model", "string", _("The model to use. Default: kling-v1.")),
    Field("duration", "string | integer", _("Length, in seconds. Default: 5."), limits="5, 10"),
    Field(
        "mode", "string", _("Sets the resolution: 720p or 1080p. Default: std."), limits="std, pro"
    ),
    Field(
        "aspect_ratio",
        "string",
        _("Default: 16:9."),
        limits="16:9, 9:16, 1:1, 4:3, 3:4, 3:2, 2:3, 21:9",
    ),
    Field("width, height", "integer", _("In place of aspect_ratio: the nearest one.")),
    Field("negative_prompt", "string", PASSED),
    Field("cfg_scale", "number", PASSED, limits="0–1"),
    Field("camera_control", "object", PASSED),
    Field("seed, fps, response_format", "integer | string", PASSED),
    Field("metadata", "object", _("More parameters of the provider.")),
    Field(
        "callback_url, external_task_id",
        "string",
        _("Not used. Retrieve the video, follow its events, or add a webhook in the settings."),
    ),
    Field("n", "integer", _("Number of videos: 1.")),
    USER,
    MAX_COST,
)
_KLING_ANSWER: Final = """{
  "code": 0, "message": "SUCCEED", "request_id": "019a…",
  "data": {
    "task_id": "task_01k9m2s7c4x8v3b6n1q5w0e9rt", "task_status": "succeed",
    "task_status_msg": "", "task_info": {},
    "created_at": 1767000900000, "updated_at": 1767000990000,
    "task_result": {"videos": [{
      "id": "task_01k9m2s7c4x8v3b6n1q5w0e9rt", "duration": "5",
      "url": "https://weir.example/v1/videos/task_01k9m2s7c4x8v3b6n1q5w0e9rt/content"
    }]}
  },
  "task_id": "task_01k9m2s7c4x8v3b6n1q5w0e9rt", "status": "completed",
  "url": "https://weir.example/v1/videos/task_01k9m2s7c4x8v3b6n1q5w0e9rt/content",
  "format": "mp4", "metadata": {"duration": 5, "width": 1280, "height": 720}, "error": null
}"""
_KLING_STATES: Final = _(
    "task_status: submitted, processing, succeed or failed. A link is retrieved with your API key."
)

KLING_TEXT: Final = ReferencePage(
    slug="kling-text2video",
    title=_("Kling: text to video"),
    summary=_(
        "Orders a video in Kling's format, with every video model, and retrieves it by its ID."
    ),
    operations=("kling_text2video", "kling_video"),
    path="/kling/v1/videos/text2video",
    fields=(
        Field("prompt", "string", _("What the video shows."), True, limits="1–32000"),
        *_KLING_FIELDS,
    ),
    example={
        "model_name": SERVICE.example_model,
        "prompt": "A river at dawn",
        "duration": "5",
        "mode": "std",
    },
    answer=_KLING_ANSWER,
    notes=(VIDEO_HELD, _KLING_STATES, VIDEO_DROPPED, VIDEO_TEAM),
    model_field="model_name",
)
KLING_IMAGE: Final = ReferencePage(
    slug="kling-image2video",
    title=_("Kling: image to video"),
    summary=_(
        "Orders a video that begins with an image, in Kling's format, with every video model."
    ),
    operations=("kling_image2video",),
    path="/kling/v1/videos/image2video",
    fields=(
        Field("image", "string", _("First image: a link, a data URL, or base64 alone."), True),
        Field("image_tail", "string", _("Last image, for providers that support it.")),
        Field("prompt", "string", _("What the video shows."), limits="1–32000"),
        *_KLING_FIELDS,
    ),
    example={
        "model_name": SERVICE.example_model,
        "image": "https://pictures.example/boat.png",
        "prompt": "The boat drifts away",
        "duration": "5",
    },
    answer=_KLING_ANSWER,
    notes=(VIDEO_HELD, _KLING_STATES, VIDEO_DROPPED, VIDEO_TEAM),
    model_field="model_name",
)
PAGES: Final = ServicePages(name="kling", videos=(KLING_TEXT, KLING_IMAGE))
