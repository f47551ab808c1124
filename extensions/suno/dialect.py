"""Suno tasks in the form of Suno-API, which the clients of this family use: requests, the
providers' answers, and tasks as clients read them.

    POST /suno/submit/music {"prompt" or "gpt_description_prompt", "tags"?, "title"?, "mv"?, ...}
        -> {"code": "success", "message": "", "data": "736a6f88-bd29-4b1e-b110-37132a5325ac"}
    GET /suno/fetch/736a6f88-… -> {"code": "success", "message": "", "data": {"task_id", ...}}

Suno has no API: a provider is a server that operates an account. Songs and lyrics are each priced
as a model. A continuation of a clip is sent to the account that has the clip.

Source, read in 2026-11: new-api's description of Suno-API at 60609d2e.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeGuard

import msgspec

from dialects.chat.chat import Encoded
from dialects.errors.masking import clean_upstream
from dialects.errors.task_errors import Family, FamilyError
from dialects.json.body import Body, read_body
from dialects.json.members import Members, read_max_cost, read_members
from dialects.json.not_json import NOT_JSON
from dialects.media.shown_task import ShownTask
from dialects.media.videos import TaskError, VideoState, VideoStatus
from dialects.openai.unary import answer_fault

Action = Literal["music", "lyrics"]
MODEL_OF: Final[Mapping[Action, str]] = {"music": "suno_music", "lyrics": "suno_lyrics"}
"""The names under which the actions are priced and routed."""
PROMPT_CHARACTERS_MAX: Final = 32_000
IDS_MAX: Final = 100
SUCCESS: Final = "success"

_TEXT_CHARACTERS_MAX: Final = 2_000
_SECONDS_MAX: Final = 3_600
_ID: Final = re.compile(r"[!-~]{1,200}")
# audio_url, video_url, image_url, image_large_url, and what a provider adds.
_FILE: Final = re.compile(r"[a-z0-9_]{1,40}_url")
_PERCENT: Final = re.compile(r"([0-9]{1,3})(?:\.[0-9]+)?%?")
_READ: Final[Mapping[Action, tuple[str, ...]]] = {
    "music": (
        "prompt", "gpt_description_prompt", "tags", "title", "mv", "make_instrumental",
        "continue_clip_id", "continue_at", "task_id",
    ),
    "lyrics": ("prompt",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SunoRequest:
    """The facts about a request. `source_id` is the task whose clip it continues, "" for none.
    `sent` is the provider's body without that task's id. `detail` is shown to clients later. `hook`
    is the address to notify at the task's end."""

    body: Body
    action: Action
    prompt: str
    source_id: str
    sent: Mapping[str, Any]
    detail: Mapping[str, Any]
    hook: str
    max_cost_nano: int | None
    dropped: tuple[str, ...]

    @property
    def model(self) -> str:
        return MODEL_OF[self.action]

    @property
    def pictures(self) -> int:
        return 0

    @property
    def text_bytes(self) -> int:
        return len(self.prompt.encode(errors="replace"))


# Reading a request ------------------------------------------------------------------------------


def read(action: Action, raw: bytes) -> SunoRequest:
    """Read a request to `/suno/submit/{action}`. Raises RequestFault."""
    body = read_body(raw)
    members = read_members(raw)
    max_cost = read_max_cost(body)
    hook = _text(members, "notify_hook") or ""
    if hook and not hook.lower().startswith(("https://", "http://")):
        members.refuse_value("notify_hook", "must be an http or https address")
    if action == "music":
        sent, prompt, source_id = _music(members)
    else:
        prompt, source_id = members.required("prompt", _prompt(members, "prompt") or None), ""
        sent = {"prompt": prompt}
    detail = {"action": action.upper(), "notify_hook": hook}
    known = (*_READ[action], "max_cost", "notify_hook")
    dropped = tuple(name for name in body.members if name not in known)
    return SunoRequest(body, action, prompt, source_id, sent, detail, hook, max_cost, dropped)


def _music(members: Members) -> tuple[dict[str, Any], str, str]:
    prompt, idea = _prompt(members, "prompt"), _prompt(members, "gpt_description_prompt")
    if not prompt and not idea and not members.has("continue_clip_id"):
        members.refuse("missing_parameter", "prompt", "or gpt_description_prompt is required")
    clip = _text(members, "continue_clip_id")
    source_id = _text(members, "task_id") or ""
    if clip:
        # Require the task, because only the account that has the clip can continue it.
        members.required("task_id", source_id or None)
    sent = {
        "prompt": prompt,
        "gpt_description_prompt": idea,
        "tags": _text(members, "tags"),
        "title": _text(members, "title"),
        "mv": _text(members, "mv"),
        "make_instrumental": members.boolean("make_instrumental"),
        "continue_clip_id": clip,
        "continue_at": members.number("continue_at", 0, _SECONDS_MAX),
    }
    present = {name: value for name, value in sent.items() if value is not None}
    return present, prompt or idea or "", source_id


def _prompt(members: Members, name: str) -> str | None:
    text = members.text(name)
    if text is not None and len(text) > PROMPT_CHARACTERS_MAX:
        members.refuse_value(name, f"must have at most {PROMPT_CHARACTERS_MAX} characters")
    return text


def _text(members: Members, name: str) -> str | None:
    text = members.text(name)
    if text is not None and len(text) > _TEXT_CHARACTERS_MAX:
        members.refuse_value(name, f"must have at most {_TEXT_CHARACTERS_MAX} characters")
    return text


def read_ids(raw: bytes) -> tuple[tuple[str, ...], str]:
    """Return the ids of a batch, and the action that they must have, "" for any. Raises
    RequestFault.
    """
    read_body(raw)
    members = read_members(raw)
    members.required("ids", members.array("ids"))
    ids = members.texts("ids")
    if len(ids) > IDS_MAX:
        members.refuse_value("ids", f"must have at most {IDS_MAX} IDs")
    return ids, members.word("action", ("MUSIC", "LYRICS", "")) or ""


# To the provider ----------------------------------------------------------------------------------


def encode(request: SunoRequest, upstream_id: str) -> Encoded:
    """Return the body for the provider. `upstream_id` is the provider's id of the task that this
    one continues. The body contains no hook, because a hook would reveal the provider's ids."""
    sent = dict(request.sent)
    if request.source_id:
        sent["task_id"] = upstream_id
    return Encoded(msgspec.json.encode(sent), request.dropped)


class Submission(NamedTuple):
    """A provider's answer to an order: `upstream_id` is "" if it was not accepted."""

    code: str
    message: str
    upstream_id: str


class _Envelope(msgspec.Struct):
    code: str | int
    message: str | None = None
    data: msgspec.Raw = msgspec.Raw()


_envelope = msgspec.json.Decoder(_Envelope)
_id = msgspec.json.Decoder(str)


def _parse_envelope(raw: bytes) -> _Envelope:
    try:
        return _envelope.decode(raw)
    except NOT_JSON:
        raise answer_fault("F15") from None


def read_submission(raw: bytes) -> Submission:
    """Read a submission. Raises AnswerFault for any other answer."""
    answer = _parse_envelope(raw)
    message = clean_upstream(answer.message or "")
    if answer.code != SUCCESS:
        return Submission(clean_upstream(str(answer.code))[:64], message, "")
    try:
        id_ = _id.decode(answer.data)
    except NOT_JSON:
        raise answer_fault("F15") from None
    if not _ID.fullmatch(id_):
        raise answer_fault("F15")
    return Submission(SUCCESS, message, id_)


class _Task(msgspec.Struct):
    task_id: str
    status: str
    progress: str | int | None = None
    fail_reason: str | None = None
    data: msgspec.Raw = msgspec.Raw()


_task = msgspec.json.Decoder(_Task)
_clips = msgspec.json.Decoder(list[dict[str, Any]])
_lyrics = msgspec.json.Decoder(dict[str, Any])
_STATES: Final[Mapping[str, VideoState]] = {
    "NOT_START": "queued",
    "SUBMITTED": "queued",
    "QUEUED": "queued",
    "IN_PROGRESS": "running",
    "SUCCESS": "succeeded",
    "FAILURE": "failed",
}


def read_status(raw: bytes, upstream_id: str) -> VideoStatus:
    """Read the status of a task. Raises AnswerFault if the answer has none."""
    answer = _parse_envelope(raw)
    try:
        task = _task.decode(answer.data)
    except NOT_JSON:
        raise answer_fault("F15") from None
    state = _STATES.get(task.status)
    if state is None or task.task_id != upstream_id:
        raise answer_fault("F15")
    progress = 100 if state == "succeeded" else min(_percent(task.progress), 99)
    if state == "failed":
        why = clean_upstream(task.fail_reason or "") or "The task failed."
        return VideoStatus(state, progress, error=TaskError(task.status, why), word=task.status)
    result = {"data": _read_results(bytes(task.data))} if state == "succeeded" else None
    return VideoStatus(state, progress, word=task.status, result=result)


def _read_results(raw: bytes) -> Any:
    """Return the clips of a song, or its lyrics. Raises AnswerFault if it has neither."""
    try:
        return _clips.decode(raw) if raw.startswith(b"[") else _lyrics.decode(raw)
    except NOT_JSON:
        raise answer_fault("F15") from None


def _percent(value: str | int | None) -> int:
    match = _PERCENT.fullmatch(str(value or "0").strip())
    return int(match[1]) if match else 0


# To the client ------------------------------------------------------------------------------------

_SHOWN: Final[Mapping[VideoState, str]] = {
    "queued": "SUBMITTED",
    "running": "IN_PROGRESS",
    "succeeded": "SUCCESS",
    "failed": "FAILURE",
}


def write_envelope(data: Any) -> dict[str, Any]:
    """Return a successful answer of this family."""
    return {"code": SUCCESS, "message": "", "data": data}


def write(task: ShownTask) -> dict[str, Any]:
    """Return a task in this form."""
    word = task.word if _STATES.get(task.word) == task.state else _SHOWN[task.state]
    return {
        "task_id": task.id,
        "notify_hook": task.detail.get("notify_hook", ""),
        "action": task.model.removeprefix("suno_").upper(),
        "status": word,
        "fail_reason": "" if task.error is None else task.error.message,
        "submit_time": task.submitted_ms // 1000,
        "start_time": (task.started_ms or 0) // 1000,
        "finish_time": (task.ended_ms or 0) // 1000,
        "progress": f"{task.progress}%",
        "data": _with_own_links(task.result.get("data"), task.link),
    }


def file_address(result: Mapping[str, Any], clip: str, member: str) -> str:
    """Return where the provider stores a file of a song; "" if it has none. `clip` and `member` are
    those of the link that a client was given."""
    clips = result.get("data")
    number = int(clip) if clip.isascii() and clip.isdigit() and len(clip) < 4 else -1
    if not isinstance(clips, list) or not 0 <= number < len(clips):
        return ""
    address = clips[number].get(member)
    return address if _is_file(member, address) else ""


def _with_own_links(data: Any, link: str) -> Any:
    """Return the results with our links to their files: the provider's would tell who it is, and
    need no key of ours."""
    if not isinstance(data, list):
        return data
    return [
        {
            name: f"{link}&clip={number}&file={name}" if _is_file(name, value) else value
            for name, value in clip.items()
        }
        for number, clip in enumerate(data)
    ]


def _is_file(name: str, value: Any) -> TypeGuard[str]:
    """Return whether a member of a clip is the address of one of its files."""
    return (
        _FILE.fullmatch(name) is not None
        and isinstance(value, str)
        and value.startswith(("https://", "http://"))
    )


def _write_error(error: FamilyError) -> dict[str, Any]:
    return {
        "code": error.code or error.own_code,
        "message": error.message,
        "data": None,
        "request_id": error.request_id,
    }


FAMILY: Final = Family("suno", _write_error, is_own=lambda code: code is not None)
