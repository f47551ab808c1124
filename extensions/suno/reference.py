"""The pages of Suno."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from reference.operations.page import MAX_COST, Field, Group, ReferencePage
from reference.operations.service_pages import ServicePages
from reference.operations.task_terms import ACCOUNT, CALLED, HELD, TEAM

_SECONDS: Final = _("In seconds since 1970; 0 until then.")
_AS_SENT: Final = _("As sent.")
_ADDRESS: Final = _("An address of the provider.")
_TASK_MEMBERS: Final = (
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
_SONG_HOOK: Final = Field("notify_hook", "string", CALLED)
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
    notes=(HELD, _SONG_REFUSED, ACCOUNT),
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
    notes=(HELD, _SONG_REFUSED),
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
    notes=(_SUNO_STATUS, TEAM),
    members=_TASK_MEMBERS,
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
    notes=(TEAM,),
)
PAGES: Final = ServicePages(
    name="suno", groups=(Group(_("Suno"), (MUSIC, LYRICS, SUNO_TASK, SUNO_TASKS)),)
)
