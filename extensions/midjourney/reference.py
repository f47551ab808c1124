"""The pages of Midjourney."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from reference.operations.page import MAX_COST, Field, Group, ReferencePage
from reference.operations.service_pages import ServicePages
from reference.operations.task_terms import ACCOUNT, CALLED, HELD, TEAM

_MODES: Final = _(
    "Use /mj-fast/mj, /mj-relax/mj or /mj-turbo/mj in place of /mj to choose the mode. The key can "
    "also be sent in mj-api-secret."
)
_REFUSED: Final = _(
    "If the provider rejects a task, the status is 200 and the code is not 1, 21 or 22: 23 its "
    "queue is full, 24 the prompt has banned words, 3 not found, 4 not valid, 9 an error. It makes "
    "no task and costs nothing."
)
_STATE: Final = Field("state", "string", _("Your own text, shown with the task."), limits="≤ 2000")
_HOOK: Final = Field("notifyHook", "string", CALLED)
_BOT: Final = Field(
    "botType",
    "string",
    _("Which bot to ask. Default: MID_JOURNEY."),
    limits="MID_JOURNEY, NIJI_JOURNEY",
)
_TASK: Final = Field("taskId", "string", _("The task to begin with."), True)
_END: Final = (_STATE, _HOOK, MAX_COST)
_SUBMITTED: Final = """{
  "code": 1, "description": "Submitted successfully", "properties": {},
  "result": "4817203956102847"
}"""
_PROMPT: Final = _("The prompt. Empty if your organization keeps no content.")
_MILLISECONDS: Final = _("In milliseconds since 1970.")
_AS_SENT: Final = _("As sent.")
_SUBMITTED_MEMBERS: Final = (
    Field(
        "code", "integer", _("1 submitted, 21 exists already, 22 queued; others are rejections.")
    ),
    Field("description", "string", _("The same in words.")),
    Field("result", "string", _("The task ID: 16 digits. Empty if there is no task.")),
    Field("properties", "object", _("numberOfQueues: how many tasks are ahead.")),
)
_TASK_MEMBERS: Final = (
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
IMAGINE: Final = ReferencePage(
    slug="midjourney-imagine",
    title=_("Imagine"),
    summary=_("Makes a grid of four pictures from a text. The answer has the ID of the task."),
    operations=("midjourney_imagine",),
    path="/mj/submit/imagine",
    fields=(
        Field("prompt", "string", _("What the picture shows."), True, limits="1–32000"),
        _BOT,
        Field("base64Array", "string[]", _("Pictures to go by, as data URLs.")),
        Field("modes", "string[]", _("Modes to choose from."), limits="RELAX, FAST, TURBO"),
        *_END,
    ),
    example={"prompt": "A paper boat on a river --ar 16:9"},
    answer=_SUBMITTED,
    notes=(HELD, _REFUSED, _MODES),
    members=_SUBMITTED_MEMBERS,
)
CHANGE: Final = ReferencePage(
    slug="midjourney-change",
    title=_("Change"),
    summary=_(
        "Upscales or varies one of four pictures, or makes them again. simple-change takes the "
        "task and the action in one text."
    ),
    operations=("midjourney_change", "midjourney_simple_change"),
    path="/mj/submit/change",
    fields=(
        _TASK,
        Field("action", "string", _("What to do."), True, limits="UPSCALE, VARIATION, REROLL"),
        Field("index", "integer", _("Which picture. Not for REROLL."), limits="1–4"),
        Field(
            "content",
            "string",
            _("For simple-change, in place of these: the task ID and U1 to U4, V1 to V4 or R."),
        ),
        *_END,
    ),
    example={"taskId": "4817203956102847", "action": "UPSCALE", "index": 1},
    answer=_SUBMITTED,
    notes=(HELD, ACCOUNT, TEAM),
)
ACTION: Final = ReferencePage(
    slug="midjourney-action",
    title=_("Action and modal"),
    summary=_(
        "Presses a button of a task. A button that opens a dialog, such as Custom Zoom or Vary "
        "Region, makes a task with the status MODAL: answer it at /mj/submit/modal."
    ),
    operations=("midjourney_action", "midjourney_modal"),
    path="/mj/submit/action",
    fields=(
        _TASK,
        Field("customId", "string", _("The customId of the button."), True),
        Field("prompt", "string", _("For modal: the prompt."), limits="≤ 32000"),
        Field("maskBase64", "string", _("For modal: the region to change, as a data URL.")),
        *_END,
    ),
    example={"taskId": "4817203956102847", "customId": "MJ::JOB::upsample::1::82c51c9d"},
    answer=_SUBMITTED,
    notes=(HELD, ACCOUNT, TEAM),
)
DESCRIBE: Final = ReferencePage(
    slug="midjourney-describe",
    title=_("Describe"),
    summary=_(
        "Writes prompts that would make a picture. They are in properties.finalPrompt of the task."
    ),
    operations=("midjourney_describe",),
    path="/mj/submit/describe",
    fields=(Field("base64", "string", _("The picture, as a data URL."), True), _BOT, *_END),
    example={"base64": "data:image/png;base64,iVBORw0KGgo="},
    answer=_SUBMITTED,
    notes=(HELD,),
)
BLEND: Final = ReferencePage(
    slug="midjourney-blend",
    title=_("Blend"),
    summary=_("Makes one picture of several."),
    operations=("midjourney_blend",),
    path="/mj/submit/blend",
    fields=(
        Field("base64Array", "string[]", _("The pictures, as data URLs."), True, limits="2–5"),
        Field("dimensions", "string", _("Its shape."), limits="PORTRAIT, SQUARE, LANDSCAPE"),
        _BOT,
        *_END,
    ),
    example={
        "base64Array": [
            "data:image/png;base64,iVBORw0KGgo=",
            "data:image/png;base64,iVBORw0KGgo=",
        ]
    },
    answer=_SUBMITTED,
    notes=(HELD,),
)
SHORTEN: Final = ReferencePage(
    slug="midjourney-shorten",
    title=_("Shorten"),
    summary=_("Shortens a prompt. The result is in properties.finalPrompt of the task."),
    operations=("midjourney_shorten",),
    path="/mj/submit/shorten",
    fields=(Field("prompt", "string", _("The prompt."), True, limits="1–32000"), _BOT, *_END),
    example={"prompt": "A very small and rather pretty paper boat on a wide river"},
    answer=_SUBMITTED,
    notes=(HELD,),
)
_TOLD: Final = """{
  "id": "4817203956102847", "action": "IMAGINE", "customId": "", "botType": "MID_JOURNEY",
  "prompt": "A paper boat on a river", "promptEn": "A paper boat on a river",
  "description": "", "state": "", "submitTime": 1767000900151, "startTime": 1767000902000,
  "finishTime": 1767000962000, "imageUrl":
    "https://hub.example/mj/image/4817203956102847?expires=1767088800&signature=mVq3",
  "status": "SUCCESS", "progress": "100%", "failReason": "",
  "buttons": [{"customId": "MJ::JOB::upsample::1::82c51c9d", "emoji": "", "label": "U1",
    "type": 2, "style": 2}],
  "properties": {"finalPrompt": "A paper boat on a river --v 6.1"}
}"""
MIDJOURNEY_TASK: Final = ReferencePage(
    slug="midjourney-task",
    title=_("Retrieve a task"),
    summary=_(
        "The state of a task, as last reported by its provider. /mj/image/{id} returns its "
        "picture, or parts of it with Range; imageUrl is a link to it that needs no key and "
        "expires after a day. image-seed returns its seed."
    ),
    operations=("midjourney_task", "midjourney_seed", "midjourney_image"),
    path="/mj/task/4817203956102847/fetch",
    fields=(Field("id", "string", _("The task ID, in the path."), True),),
    example=None,
    answer=_TOLD,
    notes=(
        _(
            "Status: NOT_START, SUBMITTED, IN_PROGRESS, MODAL, SUCCESS, FAILURE or CANCEL. Ask "
            "every 5 to 15 seconds."
        ),
        TEAM,
    ),
    members=_TASK_MEMBERS,
)
MIDJOURNEY_TASKS: Final = ReferencePage(
    slug="midjourney-tasks",
    title=_("List tasks"),
    summary=_("The state of several tasks, in the order of their IDs. Unknown IDs are left out."),
    operations=("midjourney_tasks",),
    path="/mj/task/list-by-condition",
    fields=(Field("ids", "string[]", _("The task IDs."), True, limits="≤ 100"),),
    example={"ids": ["4817203956102847"]},
    answer=f"[{_TOLD}]",
    notes=(TEAM,),
)
PAGES: Final = ServicePages(
    name="midjourney",
    groups=(
        Group(
            _("Midjourney"),
            (IMAGINE, CHANGE, ACTION, DESCRIBE, BLEND, SHORTEN, MIDJOURNEY_TASK, MIDJOURNEY_TASKS),
        ),
    ),
)
