"""The pages of Midjourney and of Suno."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from reference.operations.page import MAX_COST, Field, ReferencePage

_HELD: Final = _(
    "The price of the action is reserved when it is submitted, and charged once the task "
    "succeeds. A "
    "failed task costs nothing. A task without an end after 24 hours fails."
)
_TEAM: Final = _("All API keys of the team can use a task; for all others it does not exist.")
_MODES: Final = _(
    "Use /mj-fast/mj, /mj-relax/mj or /mj-turbo/mj in place of /mj to choose the mode. The key can "
    "also be sent in mj-api-secret."
)
_ACCOUNT: Final = _("It is made by the account that made the task it begins with.")
_REFUSED: Final = _(
    "If the provider rejects a task, the status is 200 and the code is not 1, 21 or 22: 23 its "
    "queue is full, 24 the prompt has banned words, 3 not found, 4 not valid, 9 an error. It makes "
    "no task and costs nothing."
)
_CALLED: Final = _(
    "A public https address. When the task has ended, it gets a POST with the task as retrieving "
    "it shows it, in up to three tries. Verify it by webhook-signature: the secret is made of the "
    "API key."
)
_STATE: Final = Field("state", "string", _("Your own text, shown with the task."), limits="≤ 2000")
_HOOK: Final = Field("notifyHook", "string", _CALLED)
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
    notes=(_HELD, _REFUSED, _MODES),
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
    notes=(_HELD, _ACCOUNT, _TEAM),
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
    notes=(_HELD, _ACCOUNT, _TEAM),
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
    notes=(_HELD,),
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
    notes=(_HELD,),
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
    notes=(_HELD,),
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
        _TEAM,
    ),
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
    notes=(_TEAM,),
)

_SONG_HOOK: Final = Field("notify_hook", "string", _CALLED)
_SONG: Final = """{"code": "success", "message": "",
  "data": "736a6f88-bd29-4b1e-b110-37132a5325ac"}"""
_SONG_REFUSED: Final = _(
    "If the provider rejects a task, the status is 200 and the code is the provider's, not "
    "success. It makes no task and costs nothing."
)
MUSIC: Final = ReferencePage(
    slug="suno-music",
    title=_("Make a song"),
    summary=_("Makes songs from lyrics or from an idea. The answer has the ID of the task."),
    operations=("suno_music",),
    path="/suno/submit/music",
    fields=(
        Field(
            "prompt",
            "string",
            _("The lyrics. Required if there is no gpt_description_prompt."),
            limits="≤ 32000",
        ),
        Field("gpt_description_prompt", "string", _("What the song is about."), limits="≤ 32000"),
        Field("tags", "string", _("Styles, such as emotional punk.")),
        Field("title", "string", _("The title.")),
        Field("mv", "string", _("The version of Suno's model, such as chirp-v4.")),
        Field("make_instrumental", "boolean", _("Without singing.")),
        Field(
            "continue_clip_id", "string", _("The clip to go on from. It needs the task_id, too.")
        ),
        Field("continue_at", "number", _("From which second of it."), limits="0–3600"),
        Field("task_id", "string", _("The task that made the clip.")),
        _SONG_HOOK,
        MAX_COST,
    ),
    example={"gpt_description_prompt": "A slow song about rivers", "mv": "chirp-v4"},
    answer=_SONG,
    notes=(_HELD, _SONG_REFUSED, _ACCOUNT),
)
LYRICS: Final = ReferencePage(
    slug="suno-lyrics",
    title=_("Write lyrics"),
    summary=_("Writes the lyrics of a song."),
    operations=("suno_lyrics",),
    path="/suno/submit/lyrics",
    fields=(
        Field("prompt", "string", _("What the song is about."), True, limits="≤ 32000"),
        _SONG_HOOK,
        MAX_COST,
    ),
    example={"prompt": "A slow song about rivers"},
    answer=_SONG,
    notes=(_HELD, _SONG_REFUSED),
)
_SUNO_TOLD: Final = """{
    "task_id": "736a6f88-bd29-4b1e-b110-37132a5325ac", "notify_hook": "", "action": "MUSIC",
    "status": "SUCCESS", "fail_reason": "", "submit_time": 1767000900, "start_time": 1767000937,
    "finish_time": 1767001051, "progress": "100%",
    "data": [{"id": "e9893d04", "title": "Rivers", "status": "complete",
      "audio_url": "https://hub.example/suno/file/736a6f88-bd29-4b1e-b110-37132a5325ac?expires=1767088800&signature=mVq3&clip=0&file=audio_url",
      "video_url": "",
      "image_url": "https://hub.example/suno/file/736a6f88-bd29-4b1e-b110-37132a5325ac?expires=1767088800&signature=mVq3&clip=0&file=image_url",
      "model_name": "chirp-v4",
      "major_model_version": "v4", "metadata": {"tags": "slow", "duration": 121.4}}]
  }"""
_SUNO_STATUS: Final = _(
    "Status: NOT_START, SUBMITTED, QUEUED, IN_PROGRESS, SUCCESS or FAILURE. Ask every 10 to 30 "
    "seconds."
)
SUNO_TASK: Final = ReferencePage(
    slug="suno-task",
    title=_("Retrieve a song"),
    summary=_(
        "The state of a task, as last reported by its provider. Its files are links to "
        "/suno/file/{id} that need no key and expire after a day."
    ),
    operations=("suno_task", "suno_file"),
    path="/suno/fetch/736a6f88-bd29-4b1e-b110-37132a5325ac",
    fields=(Field("id", "string", _("The task ID, in the path."), True),),
    example=None,
    answer=f'{{\n  "code": "success", "message": "",\n  "data": {_SUNO_TOLD}\n}}',
    notes=(_SUNO_STATUS, _TEAM),
)
SUNO_TASKS: Final = ReferencePage(
    slug="suno-tasks",
    title=_("List songs"),
    summary=_("The state of several tasks, in the order of their IDs. Unknown IDs are left out."),
    operations=("suno_tasks",),
    path="/suno/fetch",
    fields=(
        Field("ids", "string[]", _("The task IDs."), True, limits="≤ 100"),
        Field("action", "string", _("Only tasks of this action."), limits="MUSIC, LYRICS"),
    ),
    example={"ids": ["736a6f88-bd29-4b1e-b110-37132a5325ac"], "action": "MUSIC"},
    answer=f'{{\n  "code": "success", "message": "",\n  "data": [{_SUNO_TOLD}]\n}}',
    notes=(_TEAM,),
)
