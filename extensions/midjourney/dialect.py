"""Midjourney tasks in the form of midjourney-proxy, which the clients of this family use: requests,
the providers' answers, and tasks as clients read them.

    POST /mj/submit/imagine {"prompt", "botType"?, "base64Array"?, "state"?, "notifyHook"?}
        -> {"code": 1, "description", "properties", "result": "1730621718151844"}
    GET /mj/task/1730621718151844/fetch -> {"id", "action", "status", "progress", "imageUrl", ...}

Midjourney has no API: a provider is a proxy that operates an account. Each action is priced as a
separate model. An action on another task (a change, a button, a dialog) is sent to the account that
has that task.

Sources, read in 2026-11: the API of novicezk/midjourney-proxy at d13e6245, the published
description of midjourney-proxy-plus, and new-api's list of models at 2568c0e9.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

import msgspec

from dialects.chat.chat import Encoded
from dialects.chat.media import read_url
from dialects.errors.errors import RequestFault
from dialects.errors.masking import clean_upstream
from dialects.errors.task_errors import Family, FamilyError
from dialects.json.body import Body, read_body
from dialects.json.members import Members, read_max_cost, read_members
from dialects.json.not_json import NOT_JSON
from dialects.media.shown_task import ShownTask
from dialects.media.videos import TaskError, VideoState, VideoStatus
from dialects.openai.unary import answer_fault

Submitted = Literal[
    "imagine", "change", "simple-change", "describe", "blend", "action", "modal", "shorten"
]
PROMPT_CHARACTERS_MAX: Final = 32_000
IDS_MAX: Final = 100
ACCEPTED: Final = frozenset({1, 21, 22})
"""The codes with which a provider accepts a task: submitted, exists already, queued."""

_REFUSING: Final = frozenset({"3", "4", "9", "23", "24"})
_TEXT_CHARACTERS_MAX: Final = 2_000
_BOTS: Final = ("MID_JOURNEY", "NIJI_JOURNEY")
_DIMENSIONS: Final = ("PORTRAIT", "SQUARE", "LANDSCAPE")
_CHANGES: Final = ("UPSCALE", "VARIATION", "REROLL")
_MODES: Final = ("RELAX", "FAST", "TURBO")
_BLENDED: Final = (2, 5)
_ID: Final = re.compile(r"[!-~]{1,200}")
_SIMPLE: Final = re.compile(r"\s*(\S{1,64})\s+(?:([UV])([1-4])|(R))\s*", re.IGNORECASE)
_PERCENT: Final = re.compile(r"([0-9]{1,3})(?:\.[0-9]+)?%?")
# The actions of buttons, by words in their names: MJ::JOB::upsample::2::… or MJ::Outpaint::50::…
_BUTTONS: Final = (
    ("upsample", "mj_upscale", "UPSCALE"),
    ("high_variation", "mj_high_variation", "HIGH_VARIATION"),
    ("low_variation", "mj_low_variation", "LOW_VARIATION"),
    ("variation", "mj_variation", "VARIATION"),
    ("reroll", "mj_reroll", "REROLL"),
    ("pan_", "mj_pan", "PAN"),
    ("customzoom", "mj_custom_zoom", "CUSTOM_ZOOM"),
    ("outpaint", "mj_zoom", "ZOOM"),
    ("inpaint", "mj_inpaint", "INPAINT"),
)
_READ: Final[Mapping[Submitted, tuple[str, ...]]] = {
    "imagine": ("prompt", "botType", "base64Array", "modes", "state"),
    "change": ("taskId", "action", "index", "state"),
    "simple-change": ("content", "state"),
    "describe": ("base64", "botType", "state"),
    "blend": ("base64Array", "dimensions", "botType", "state"),
    "action": ("taskId", "customId", "state"),
    "modal": ("taskId", "prompt", "maskBase64", "state"),
    "shorten": ("prompt", "botType", "state"),
}


@dataclass(frozen=True, slots=True)
class MidjourneyRequest:
    """The facts about a request. `source_id` is the task that it refers to, "" for none; `sent` is
    the provider's body without that task's id; `detail` is shown to clients later; `hook` is the
    address to notify at the task's end; `pictures` is their number."""

    body: Body
    path: Submitted
    model: str
    prompt: str
    source_id: str
    sent: Mapping[str, Any]
    detail: Mapping[str, Any]
    hook: str
    pictures: int
    max_cost_nano: int | None
    dropped: tuple[str, ...] = field(default=())

    @property
    def text_bytes(self) -> int:
        return len(self.prompt.encode(errors="replace"))


# Reading a request ------------------------------------------------------------------------------


def read(path: Submitted, raw: bytes, mode: str) -> MidjourneyRequest:
    """Read a request to `/mj/submit/{path}`. `mode` is the speed in the path ("fast"), "" for none.
    Raises RequestFault."""
    body = read_body(raw)
    members = read_members(raw)
    max_cost = read_max_cost(body)
    hook = _hook(members)
    state = _text(members, "state") or ""
    sent, prompt, action, model, source_id = _READERS[path](members)
    if mode and path not in ("change", "simple-change", "modal"):
        # Send both names that versions of the proxy use for the mode.
        sent |= {"modes": [mode.upper()], "accountFilter": {"modes": [mode.upper()]}}
    if state:
        sent["state"] = state
    detail = {
        "action": action,
        "botType": sent.get("botType", _BOTS[0]),
        "customId": sent.get("customId", ""),
        "state": state,
        "notifyHook": hook,
    }
    known = (*_READ[path], "max_cost", "notifyHook")
    dropped = tuple(name for name in body.members if name not in known)
    pictures = len(sent.get("base64Array", ())) + ("base64" in sent) + ("maskBase64" in sent)
    return MidjourneyRequest(
        body=body,
        path=path,
        model=model,
        prompt=prompt,
        source_id=source_id,
        sent=sent,
        detail=detail,
        hook=hook,
        pictures=pictures,
        max_cost_nano=max_cost,
        dropped=dropped,
    )


class _Order(NamedTuple):
    sent: dict[str, Any]
    prompt: str
    action: str
    model: str
    source_id: str = ""


def _imagine(members: Members) -> _Order:
    prompt = _prompt(members)
    sent: dict[str, Any] = {"prompt": prompt, **_bot(members)}
    if pictures := _pictures(members, "base64Array"):
        sent["base64Array"] = pictures
    if modes := members.texts("modes"):
        if not set(modes) <= set(_MODES):
            members.refuse_value("modes", "must be of " + ", ".join(_MODES))
        sent |= {"modes": list(modes), "accountFilter": {"modes": list(modes)}}
    return _Order(sent, prompt, "IMAGINE", "mj_imagine")


def _change(members: Members) -> _Order:
    source_id = _source_id(members)
    action = members.required("action", members.word("action", _CHANGES))
    index = members.integer("index", 1, 4)
    if action != "REROLL":
        members.required("index", index)
    return _order_change(source_id, action, index)


def _order_change(source_id: str, action: str, index: int | None) -> _Order:
    sent: dict[str, Any] = {"action": action}
    if action != "REROLL":
        sent["index"] = index
    return _Order(sent, "", action, f"mj_{action.lower()}", source_id)


def _simple_change(members: Members) -> _Order:
    content = members.required("content", members.text("content"))
    match = _SIMPLE.fullmatch(content)
    if match is None:
        members.refuse_value("content", "must be a task ID and U1 to U4, V1 to V4 or R")
    source_id, letter, index, reroll = match.groups()
    if reroll:
        return _order_change(source_id, "REROLL", None)
    return _order_change(source_id, "UPSCALE" if letter in "Uu" else "VARIATION", int(index))


def _describe(members: Members) -> _Order:
    picture = _picture(members.required("base64", members.text("base64")), members.at("base64"))
    return _Order({"base64": picture, **_bot(members)}, "", "DESCRIBE", "mj_describe")


def _blend(members: Members) -> _Order:
    members.required("base64Array", members.array("base64Array"))
    pictures = _pictures(members, "base64Array")
    low, high = _BLENDED
    if not low <= len(pictures) <= high:
        members.refuse_value("base64Array", f"must have {low} to {high} pictures")
    dimensions = members.word("dimensions", _DIMENSIONS)
    sent = {"base64Array": pictures, **_bot(members)}
    if dimensions:
        sent["dimensions"] = dimensions
    return _Order(sent, "", "BLEND", "mj_blend")


def _action(members: Members) -> _Order:
    source_id = _source_id(members)
    button = members.required("customId", _text(members, "customId"))
    lower = button.lower()
    button_row = next((row for row in _BUTTONS if row[0] in lower), None)
    if not button.startswith("MJ::") or button_row is None:
        members.refuse_value("customId", "must be that of a button of the task")
    return _Order({"customId": button}, "", button_row[2], button_row[1], source_id)


def _modal(members: Members) -> _Order:
    source_id, prompt = _source_id(members), members.text("prompt") or ""
    if len(prompt) > PROMPT_CHARACTERS_MAX:
        members.refuse_value("prompt", f"must have at most {PROMPT_CHARACTERS_MAX} characters")
    sent: dict[str, Any] = {"prompt": prompt}
    mask = members.text("maskBase64")
    if mask:
        sent["maskBase64"] = _picture(mask, members.at("maskBase64"))
    return _Order(sent, prompt, "MODAL", "mj_modal", source_id)


def _shorten(members: Members) -> _Order:
    prompt = _prompt(members)
    return _Order({"prompt": prompt, **_bot(members)}, prompt, "SHORTEN", "mj_shorten")


_READERS: Final = {
    "imagine": _imagine,
    "change": _change,
    "simple-change": _simple_change,
    "describe": _describe,
    "blend": _blend,
    "action": _action,
    "modal": _modal,
    "shorten": _shorten,
}


def _prompt(members: Members) -> str:
    prompt = members.required("prompt", members.text("prompt"))
    if not 1 <= len(prompt) <= PROMPT_CHARACTERS_MAX:
        members.refuse_value("prompt", f"must have 1 to {PROMPT_CHARACTERS_MAX} characters")
    return prompt


def _source_id(members: Members) -> str:
    return members.required("taskId", _text(members, "taskId") or None)


def _bot(members: Members) -> dict[str, str]:
    bot = members.word("botType", _BOTS)
    return {} if bot is None else {"botType": bot}


def _text(members: Members, name: str) -> str | None:
    text = members.text(name)
    if text is not None and len(text) > _TEXT_CHARACTERS_MAX:
        members.refuse_value(name, f"must have at most {_TEXT_CHARACTERS_MAX} characters")
    return text


def _hook(members: Members) -> str:
    hook = _text(members, "notifyHook") or ""
    if hook and not hook.lower().startswith(("https://", "http://")):
        members.refuse_value("notifyHook", "must be an http or https address")
    return hook


def _pictures(members: Members, name: str) -> list[str]:
    return [_picture(url, f"{members.at(name)}[{i}]") for i, url in enumerate(members.texts(name))]


def _picture(url: str, path: str) -> str:
    if not url.lower().startswith("data:image/"):
        raise RequestFault("invalid_value", path, f"{path} must be the data URL of a picture")
    read_url(url, path)
    return url


def read_ids(raw: bytes) -> tuple[str, ...]:
    """Return the ids of a list by condition. Raises RequestFault."""
    read_body(raw)
    members = read_members(raw)
    members.required("ids", members.array("ids"))
    ids = members.texts("ids")
    if len(ids) > IDS_MAX:
        members.refuse_value("ids", f"must have at most {IDS_MAX} IDs")
    return ids


# To the provider ----------------------------------------------------------------------------------


def encode(request: MidjourneyRequest, upstream_id: str) -> Encoded:
    """Return the body for the provider. `upstream_id` is the provider's id of the task that this
    one refers to. The body contains no hook, because a hook would reveal the provider's ids."""
    sent = dict(request.sent)
    if request.path == "simple-change":
        letter, state = sent["action"][0], sent.get("state")
        sent = {"content": f"{upstream_id} {letter}{sent.get('index', '')}"}
        if state:
            sent["state"] = state
    elif request.source_id:
        sent["taskId"] = upstream_id
    return Encoded(msgspec.json.encode(sent), request.dropped)


class Submission(NamedTuple):
    """A provider's answer to an order: `upstream_id` is "" if it was not accepted."""

    code: int
    description: str
    upstream_id: str
    queued_before: int | None


class _Submitted(msgspec.Struct):
    code: int
    description: str | None = None
    result: str | int | None = None
    properties: dict[str, Any] | None = None


_submitted = msgspec.json.Decoder(_Submitted)


def read_submission(raw: bytes) -> Submission:
    """Read a submission. Raises AnswerFault for any other answer."""
    try:
        answer = _submitted.decode(raw)
    except NOT_JSON:
        raise answer_fault("F15") from None
    id_ = "" if answer.result is None else str(answer.result)
    if answer.code in ACCEPTED and not _ID.fullmatch(id_):
        raise answer_fault("F15")
    before = (answer.properties or {}).get("numberOfQueues")
    queued = before if isinstance(before, int) and not isinstance(before, bool) else None
    return Submission(answer.code, clean_upstream(answer.description or ""), id_, queued)


class _Button(msgspec.Struct, rename="camel"):
    custom_id: str | None = None
    emoji: str | None = None
    label: str | None = None
    type: int | None = None
    style: int | None = None


class _Status(msgspec.Struct, rename="camel"):
    id: str | int
    status: str | None = None
    action: str | None = None
    progress: str | int | None = None
    prompt_en: str | None = None
    description: str | None = None
    image_url: str | None = None
    fail_reason: str | None = None
    buttons: list[_Button] | None = None
    properties: dict[str, Any] | None = None


_STATES: Final[Mapping[str, VideoState]] = {
    "NOT_START": "queued",
    "SUBMITTED": "queued",
    "MODAL": "running",
    "IN_PROGRESS": "running",
    "SUCCESS": "succeeded",
    "FAILURE": "failed",
    "CANCEL": "failed",
}
_status = msgspec.json.Decoder(_Status)
# The actions whose finalPrompt is the resulting prompt; that of the others is the requested one.
_WORDS_MADE: Final = frozenset({"DESCRIBE", "SHORTEN"})


def read_status(raw: bytes, upstream_id: str) -> VideoStatus:
    """Read the status of a task. Raises AnswerFault if the answer has none."""
    try:
        answer = _status.decode(raw)
    except NOT_JSON:
        raise answer_fault("F15") from None
    word = answer.status or "NOT_START"
    state = _STATES.get(word)
    if state is None or str(answer.id) != upstream_id:
        raise answer_fault("F15")
    progress = 100 if state == "succeeded" else min(_percent(answer.progress), 99)
    if state == "failed":
        why = clean_upstream(answer.fail_reason or "") or "The task failed."
        return VideoStatus(state, progress, error=TaskError(word, why), word=word)
    result = _result(answer) if state == "succeeded" else None
    return VideoStatus(state, progress, word=word, result=result)


def _result(answer: _Status) -> dict[str, Any]:
    echo: dict[str, Any] = {
        "promptEn": answer.prompt_en or "",
        "description": clean_upstream(answer.description or ""),
    }
    properties: dict[str, Any] = {}
    final = (answer.properties or {}).get("finalPrompt")
    if isinstance(final, str):
        writes_words = answer.action in _WORDS_MADE
        (properties if writes_words else echo)["finalPrompt"] = final
    return {
        "imageUrl": answer.image_url or "",
        "buttons": [_write_button(button) for button in answer.buttons or ()],
        "properties": properties,
        "echo": echo,
    }


def _write_button(button: _Button) -> dict[str, Any]:
    return {
        "customId": button.custom_id or "",
        "emoji": button.emoji or "",
        "label": button.label or "",
        "type": button.type or 0,
        "style": button.style or 0,
    }


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


def write_submitted(submission: Submission, id_: str) -> dict[str, Any]:
    """Return the answer for a task that was accepted."""
    queued = submission.queued_before
    properties = {} if queued is None else {"numberOfQueues": queued}
    return {
        "code": submission.code,
        "description": submission.description or "Submitted successfully",
        "properties": properties,
        "result": id_,
    }


def write(task: ShownTask) -> dict[str, Any]:
    """Return a task in this form."""
    detail, result = task.detail, task.result
    echo = result.get("echo", {})
    properties = dict(result.get("properties", {}))
    if "finalPrompt" in echo:
        properties["finalPrompt"] = echo["finalPrompt"]
    word = _SHOWN[task.state]
    if _STATES.get(task.word) == task.state:
        word = task.word
    return {
        "id": task.id,
        "action": detail.get("action") or _ACTIONS.get(task.model, ""),
        "customId": detail.get("customId", ""),
        "botType": detail.get("botType", _BOTS[0]),
        "prompt": task.prompt,
        "promptEn": echo.get("promptEn", ""),
        "description": echo.get("description", ""),
        "state": detail.get("state", ""),
        "submitTime": task.submitted_ms,
        "startTime": task.started_ms,
        "finishTime": task.ended_ms,
        "imageUrl": task.link if result.get("imageUrl") else "",
        "status": word,
        "progress": f"{task.progress}%",
        "failReason": "" if task.error is None else task.error.message,
        "buttons": result.get("buttons", []),
        "properties": properties,
    }


def write_seed(seed: str) -> dict[str, Any]:
    """Return the seed of a picture."""
    return {"code": 1, "description": "success", "result": seed}


_ACTIONS: Final[Mapping[str, str]] = {
    "mj_imagine": "IMAGINE",
    "mj_blend": "BLEND",
    "mj_describe": "DESCRIBE",
    "mj_modal": "MODAL",
    "mj_shorten": "SHORTEN",
    **{model: action for _, model, action in _BUTTONS},
}
MODELS: Final = tuple(sorted(_ACTIONS))
"""The names under which the actions are priced and routed."""


def _write_error(error: FamilyError) -> dict[str, Any]:
    return {
        "code": error.number,
        "description": error.message,
        "type": error.type,
        "result": "",
        "request_id": error.request_id,
    }


FAMILY: Final = Family(
    "mj",
    _write_error,
    numbers={404: 3, 400: 4, 500: 9},
    is_own=lambda code: code in _REFUSING,
)
