"""The pages of Jimeng."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from extensions.jimeng.provider import SERVICE
from reference.operations.page import MAX_COST, PASSED, Field, ReferencePage
from reference.operations.service_pages import ServicePages
from reference.operations.video_pages import VIDEO_DROPPED, VIDEO_HELD, VIDEO_TEAM

JIMENG: Final = ReferencePage(
    slug="jimeng",
    title=_("Jimeng videos"),
    summary=_(
        "Orders a video in Jimeng's format, with every video model. Send the answer's task_id with "
        "Action=CVSync2AsyncGetResult to retrieve it. Requests are not signed: send your API key."
    ),
    operations=("jimeng_videos",),
    path="/jimeng?Action=CVSync2AsyncSubmitTask&Version=2022-08-31",
    fields=(
        Field(
            "Action",
            "string",
            _("In the query: CVSync2AsyncSubmitTask or CVSync2AsyncGetResult."),
            True,
        ),
        Field("Version", "string", _("In the query. Default: 2022-08-31."), limits="2022-08-31"),
        Field("req_key", "string", _("The model to use. See GET /v1/models."), True),
        Field("prompt", "string", _("What the video shows. Required without an image.")),
        Field(
            "image_urls, binary_data_base64",
            "string[]",
            _("First image: a link, or base64."),
            limits="≤ 1",
        ),
        Field(
            "frames", "integer", _("Length: 24 frames a second, and one more."), limits="121, 241"
        ),
        Field(
            "aspect_ratio", "string", _("Default: 16:9."), limits="16:9, 4:3, 1:1, 3:4, 9:16, 21:9"
        ),
        Field("seed", "integer", PASSED),
        Field("task_id", "string", _("Of the video, to retrieve it.")),
        MAX_COST,
    ),
    example={"req_key": SERVICE.example_model, "prompt": "A river at dawn", "frames": 121},
    answer="""CVSync2AsyncSubmitTask
{
  "code": 10000, "message": "Success", "request_id": "019a…", "status": 10000,
  "time_elapsed": "0ms", "data": {"task_id": "task_01k9m2s7c4x8v3b6n1q5w0e9rt"}
}

CVSync2AsyncGetResult
{
  "code": 10000, "message": "Success", "request_id": "019a…", "status": 10000,
  "time_elapsed": "0ms", "data": {
    "status": "done", "image_urls": null, "binary_data_base64": [], "resp_data": "",
    "video_url": "https://weir.example/v1/videos/task_01k9m2s7c4x8v3b6n1q5w0e9rt/content"
  }
}""",
    notes=(
        VIDEO_HELD,
        _("Status: in_queue, generating or done. A failed video has a code other than 10000."),
        VIDEO_DROPPED,
        VIDEO_TEAM,
    ),
    model_field="req_key",
)
PAGES: Final = ServicePages(name="jimeng", videos=(JIMENG,))
