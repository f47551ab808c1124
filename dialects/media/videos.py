"""Videos in OpenAI's form: requests, the provider's answers, and videos as clients read them.

    {"model"?, "prompt", "seconds"?, "size"?, "input_reference"?}
        -> {"id", "object": "video", "status", "progress", ...}

A video takes minutes: the answer contains its id, by which its state is polled. Requests in other
forms are converted to the same `VideoRequest`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, DecimalException
from typing import Any, Final, Literal, NamedTuple

import msgspec

from dialects.chat.chat import Encoded
from dialects.chat.media import read_url
from dialects.errors.errors import RequestFault
from dialects.errors.masking import clean_upstream
from dialects.json.body import Body, read_body
from dialects.json.members import (
    OWN_FIELDS,
    Members,
    edit_body,
    read_max_cost,
    read_model,
    read_user,
    small_members,
)
from dialects.json.not_json import NOT_JSON
from dialects.json.raw_json import value_of
from dialects.openai.unary import answer_fault, member_bytes, open_answer

MODEL: Final = "sora-2"
SECONDS: Final = 4
SECONDS_UNSAID: Final = 8
"""The maximum length of a video without a given length: the provider's form determines it."""
SIZE: Final = "720x1280"
PROMPT_CHARACTERS_MAX: Final = 32_000
SECONDS_MAX: Final = 600

VideoState = Literal["queued", "running", "succeeded", "failed"]
# The year 10000: no later time is a date.
_INSTANT_MAX: Final = 253_402_300_800
_NUMBER_MAX: Final = 10**15
_DIGITS_MAX: Final = 40
_SIZE: Final = re.compile(r"[1-9][0-9]{1,3}x[1-9][0-9]{1,3}")
_ID: Final = re.compile(r"[!-~]{1,160}")
_ADDRESS: Final = re.compile(r"https?://[!-~]{1,4000}")
_READ: Final = ("model", "prompt", "seconds", "size", "input_reference")


class VideoOption(NamedTuple):
    """An option that not all providers support: its value, and its path in the request."""

    value: Any
    path: str


@dataclass(frozen=True, slots=True)
class VideoRequest:
    """The facts that the gateway needs about a video request. `image` is the address or data URL of
    the first frame, "" for none. `seconds` is only an upper bound unless `length_given`. `options`
    are named as in Kling's and the generic form."""

    body: Body
    model: str
    prompt: str
    seconds: int
    size: str
    image: str
    user: str
    text_bytes: int
    max_cost_nano: int | None
    length_given: bool = True
    options: Mapping[str, VideoOption] = field(default_factory=dict)

    def rename_options(self, names: Mapping[str, str]) -> dict[str, Any]:
        """Return the options that a provider knows, by its own names."""
        return {names[name]: option.value for name, option in self.options.items() if name in names}

    def dropped(self, names: Iterable[str] = ()) -> tuple[str, ...]:
        """Return the paths of the options that are not in `names`."""
        known = frozenset(names)
        return tuple(option.path for name, option in self.options.items() if name not in known)


class TaskError(NamedTuple):
    """Why a task failed, as its provider says."""

    code: str
    message: str


class VideoStatus(NamedTuple):
    """The state of a video at its provider. `seconds` and `expires_at` (Unix) are None if unknown.
    `content` is the address of the bytes, if that does not follow from the id. For other tasks
    `word` is the provider's name of the state, and `result` the output, which is stored with the
    task: the members of a JSON object; `echo` in it repeats the request."""

    state: VideoState
    progress: int
    seconds: int | None = None
    expires_at: int | None = None
    error: TaskError | None = None
    content: str = ""
    word: str = ""
    result: Mapping[str, Any] | None = None


class Video(NamedTuple):
    """A video as a client sees it. Times are Unix seconds."""

    id: str
    model: str
    state: VideoState
    progress: int
    created_at: int
    completed_at: int | None
    expires_at: int | None
    seconds: int
    size: str
    prompt: str | None
    remixed_from: str | None
    error: TaskError | None


# Reading a request ------------------------------------------------------------------------------


def read(raw: bytes) -> VideoRequest:
    """Read a request in this form. Raises RequestFault in the contract's order."""
    body = read_body(raw)
    members = small_members(body, _READ)
    model = read_model(members, otherwise=MODEL)
    prompt = read_prompt(members)
    image, seconds = _read_reference(members), read_seconds(members, "seconds")
    return VideoRequest(
        body,
        model,
        prompt,
        seconds or SECONDS_UNSAID,
        read_size(members),
        image,
        read_user(body),
        len(prompt.encode(errors="replace")),
        read_max_cost(body),
        seconds is not None,
        read_options(body, (*_READ, "user")),
    )


def read_prompt(members: Members) -> str:
    """Return the prompt; not empty. Raises RequestFault."""
    prompt = members.required("prompt", members.text("prompt"))
    if not 1 <= len(prompt) <= PROMPT_CHARACTERS_MAX:
        members.refuse_value("prompt", f"must have 1 to {PROMPT_CHARACTERS_MAX} characters")
    return prompt


def read_options(body: Body, read: Iterable[str]) -> dict[str, VideoOption]:
    """Return the other members of a body as options. The members of an object `metadata` are
    options too."""
    read = frozenset((*read, *OWN_FIELDS))
    options: dict[str, VideoOption] = {}
    for name in body.members:
        value = None if name in read else value_of(body.value(name))
        if name == "metadata" and isinstance(value, dict):
            options |= {
                inner: VideoOption(one, f"metadata.{inner}")
                for inner, one in value.items()
                if one is not None and inner not in options
            }
        elif value is not None:
            options[name] = VideoOption(value, name)
    return options


def read_seconds(members: Members, name: str) -> int | None:
    """Return the length of the video in seconds, from a number or digits. Raises RequestFault."""
    value = members.value.get(name)
    if isinstance(value, str):
        digits = value.isascii() and value.isdigit() and len(value) < 10
        if not digits or not 1 <= int(value) <= SECONDS_MAX:
            members.refuse_value(name, f"must be between 1 and {SECONDS_MAX}")
        return int(value)
    return members.integer(name, 1, SECONDS_MAX)


def read_size(members: Members) -> str:
    """Return the size of a video, `1280x720`. Raises RequestFault."""
    size = members.text("size") or SIZE
    if not _SIZE.fullmatch(size):
        members.refuse_value("size", "must be a width and a height, such as 1280x720")
    return size


def read_image(url: str, path: str) -> str:
    """Return the address or data URL of a picture. Raises RequestFault."""
    if url:
        read_url(url, path)
    return url


def _read_reference(members: Members) -> str:
    if isinstance(members.value.get("input_reference"), str):
        return read_image(members.value["input_reference"], "input_reference")
    reference = members.object("input_reference")
    if reference is None:
        return ""
    if reference.has("file_id"):
        what = "input_reference.file_id is not supported: send input_reference.image_url"
        raise RequestFault("unsupported_capability", "input_reference.file_id", what)
    return read_image(reference.text("image_url") or "", "input_reference.image_url")


def read_remix(raw: bytes) -> tuple[Body, str]:
    """Return the prompt of a remix. Raises RequestFault."""
    body = read_body(raw)
    return body, read_prompt(small_members(body, ("prompt",)))


# To the provider ----------------------------------------------------------------------------------


def edit(request: VideoRequest, upstream_model: str) -> Encoded:
    """Return the body for a provider in OpenAI's form, from a request in this form: unchanged
    except for members that the provider would interpret differently."""
    wanted: dict[str, Any] = {"seconds": str(request.seconds), "size": request.size}
    if request.image:
        wanted["input_reference"] = {"image_url": request.image}
    edits = {
        name: msgspec.json.encode(value)
        for name, value in wanted.items()
        if value_of(request.body.value(name)) != value
    }
    return Encoded(edit_body(request.body, upstream_model, edits))


def encode(request: VideoRequest, upstream_model: str) -> Encoded:
    """Return the body for a request in another form."""
    body: dict[str, Any] = {
        "model": upstream_model,
        "prompt": request.prompt,
        "seconds": str(request.seconds),
        "size": request.size,
    }
    if request.image:
        body["input_reference"] = {"image_url": request.image}
    return Encoded(msgspec.json.encode(body), request.dropped())


def read_accepted(raw: bytes) -> str:
    """Return the provider's id of an accepted video. Raises AnswerFault."""
    return check_id(value_of(member_bytes(open_answer(raw), "id")))


def check_id(id_: object) -> str:
    """Check a provider's id of a video and return it. Raises AnswerFault for an invalid id."""
    if not isinstance(id_, str) or not _ID.fullmatch(id_):
        raise answer_fault("F15")
    return id_


def check_url(url: object) -> str:
    """Return the address of a video at its provider. Raises AnswerFault for an invalid one."""
    if not isinstance(url, str) or not _ADDRESS.fullmatch(url):
        raise answer_fault("F15")
    return url


def task_error(code: object, message: object) -> TaskError:
    """Return a provider's reason for a failure, in a form that may be stored."""
    text = message if isinstance(message, str) and message else "The video failed."
    return TaskError(clean_upstream(str(code or "failed"))[:100], clean_upstream(text))


class _Error(msgspec.Struct):
    code: str | None = None
    message: str | None = None


class _Status(msgspec.Struct):
    id: str
    status: str
    progress: msgspec.Raw = msgspec.Raw()
    seconds: msgspec.Raw = msgspec.Raw()
    expires_at: msgspec.Raw = msgspec.Raw()
    error: _Error | None = None


_STATES: Final[dict[str, VideoState]] = {
    "queued": "queued",
    "in_progress": "running",
    "completed": "succeeded",
    "failed": "failed",
    "cancelled": "failed",
    "expired": "failed",
}
_status = msgspec.json.Decoder(_Status)


def read_status(raw: bytes, upstream_id: str) -> VideoStatus:
    """Read the status of a video. Raises AnswerFault for another video, another form or an unknown
    state."""
    try:
        answer = _status.decode(raw)
    except NOT_JSON:
        raise answer_fault("F15") from None
    state = _STATES.get(answer.status)
    if state is None or answer.id != upstream_id:
        raise answer_fault("F15")
    error = None
    if state == "failed":
        given_error = answer.error or _Error()
        error = task_error(given_error.code or answer.status, given_error.message)
    progress = (
        100 if state == "succeeded" else max(0, min(_read_whole_number(answer.progress) or 0, 99))
    )
    seconds, expires_at = _read_whole_number(answer.seconds), _read_whole_number(answer.expires_at)
    if seconds is not None and not 0 < seconds <= SECONDS_MAX:
        seconds = None
    if expires_at is not None and not 0 < expires_at < _INSTANT_MAX:
        expires_at = None
    return VideoStatus(state, progress, seconds, expires_at, error)


def _read_whole_number(raw: msgspec.Raw) -> int | None:
    """Return a number, or one written as digits in a text, without the fraction; None for anything
    else."""
    value = value_of(raw) if bytes(raw) else None
    if value is None or isinstance(value, bool):
        return None
    try:
        number = Decimal(str(value)[:_DIGITS_MAX])
        return int(number) if number.is_finite() and abs(number) < _NUMBER_MAX else None
    except DecimalException:
        return None


# To the client ------------------------------------------------------------------------------------

_SHOWN: Final[dict[VideoState, str]] = {
    "queued": "queued",
    "running": "in_progress",
    "succeeded": "completed",
    "failed": "failed",
}


def write(video: Video) -> dict[str, Any]:
    """Return a video in this form."""
    return {
        "id": video.id,
        "object": "video",
        "model": video.model,
        "status": _SHOWN[video.state],
        "progress": video.progress,
        "created_at": video.created_at,
        "completed_at": video.completed_at,
        "expires_at": video.expires_at,
        "seconds": str(video.seconds),
        "size": video.size,
        "prompt": video.prompt,
        "remixed_from_video_id": video.remixed_from,
        "error": None if video.error is None else video.error._asdict(),
        "task_id": video.id,
    }


def state_word(state: VideoState) -> str:
    """Return the name of a state in this form."""
    return _SHOWN[state]


def write_list(videos: list[Video], *, has_more: bool) -> dict[str, Any]:
    """Return a page of videos."""
    return {
        "object": "list",
        "data": [write(video) for video in videos],
        "first_id": videos[0].id if videos else None,
        "last_id": videos[-1].id if videos else None,
        "has_more": has_more,
    }


def write_deleted(id_: str) -> dict[str, Any]:
    """Return the answer for a deleted video."""
    return {"id": id_, "object": "video.deleted", "deleted": True}
