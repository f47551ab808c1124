"""The members of the answers of Midjourney's and Suno's tasks."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from reference.operations.fields import Field

_PROMPT: Final = _("The prompt. Empty if your organization keeps no content.")
_MILLISECONDS: Final = _("In milliseconds since 1970.")
_SECONDS: Final = _("In seconds since 1970; 0 until then.")
_AS_SENT: Final = _("As sent.")
_ADDRESS: Final = _("An address of the provider.")

SUBMITTED: Final = (
    Field(
        "code", "integer", _("1 submitted, 21 exists already, 22 queued; others are rejections.")
    ),
    Field("description", "string", _("The same in words.")),
    Field("result", "string", _("The task ID: 16 digits. Empty if there is no task.")),
    Field("properties", "object", _("numberOfQueues: how many tasks are ahead.")),
)
MIDJOURNEY_TASK: Final = (
    Field("id", "string", _("The task ID.")),
    Field(
        "action",
        "string",
        _(
            "IMAGINE, UPSCALE, VARIATION, HIGH_VARIATION, LOW_VARIATION, REROLL, ZOOM, "
            "CUSTOM_ZOOM, PAN, INPAINT, MODAL, DESCRIBE, BLEND or SHORTEN."
        ),
    ),
    Field("customId, botType, state", "string", _AS_SENT),
    Field("prompt", "string", _PROMPT),
    Field("promptEn", "string", _("The prompt in English, if the provider translates it.")),
    Field("description", "string", _("The command that the provider gave.")),
    Field("submitTime, startTime, finishTime", "integer | null", _MILLISECONDS),
    Field("imageUrl", "string", _("Where the picture is served, until its time is over.")),
    Field(
        "status",
        "string",
        _("NOT_START, SUBMITTED, IN_PROGRESS, MODAL, SUCCESS, FAILURE or CANCEL."),
    ),
    Field("progress", "string", _("In percent, such as 42%.")),
    Field("failReason", "string", _("Why it failed.")),
    Field("buttons[].customId", "string", _("What to send to press the button.")),
    Field(
        "buttons[].emoji, buttons[].label, buttons[].type, buttons[].style",
        "string, string, integer, integer",
        _("What the button looks like."),
    ),
    Field("properties", "object", _("finalPrompt: the prompt used, or what was written.")),
)
SUNO_TASK: Final = (
    Field("code", "string", _("success, or why there is no answer.")),
    Field("message", "string", _("The same in words.")),
    Field("data.task_id", "string", _("The task ID.")),
    Field("data.notify_hook", "string", _AS_SENT),
    Field("data.action", "string", _("MUSIC or LYRICS.")),
    Field(
        "data.status",
        "string",
        _("NOT_START, SUBMITTED, QUEUED, IN_PROGRESS, SUCCESS or FAILURE."),
    ),
    Field("data.fail_reason", "string", _("Why it failed.")),
    Field("data.submit_time, data.start_time, data.finish_time", "integer", _SECONDS),
    Field("data.progress", "string", _("In percent, such as 42%.")),
    Field("data.data[].id, data.data[].title", "string", _("Of each clip; lyrics are one object.")),
    Field("data.data[].status", "string", _("complete, if it is.")),
    Field("data.data[].audio_url", "string", _ADDRESS),
    Field(
        "data.data[].video_url, data.data[].image_url, data.data[].image_large_url",
        "string",
        _ADDRESS,
    ),
    Field(
        "data.data[].model_name, data.data[].major_model_version",
        "string",
        _("The version of Suno's model."),
    ),
    Field("data.data[].metadata", "object", _("tags, prompt, duration in seconds and others.")),
)
