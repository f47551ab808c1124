"""Jimeng's form at Volcengine: two actions of one URL. Source: its reference ("Jimeng AI video 3.0
Pro", volcengine.com/docs/85621), as of 2026-02: a link is valid for an hour, a task for 12
hours."""

from typing import Any, Final

import msgspec

from dialects.chat.chat import Encoded
from dialects.json.not_json import NOT_JSON
from dialects.media.task_upstream_errors import failure_of_code
from dialects.media.video_fit import aspect_ratio, strip_data_url, without_none
from dialects.media.videos import (
    VideoRequest,
    VideoState,
    VideoStatus,
    check_id,
    check_url,
    task_error,
)
from dialects.openai.unary import answer_fault
from extensions.jimeng.dialect import FRAMES_A_SECOND, RATIOS
from extensions.jimeng.errors import MEANINGS, JimengErrors
from gateway.providers.task_terms import PollRule
from gateway.providers.video_forms.form import VideoForm

_NAMES: Final = {name: name for name in ("seed", "negative_prompt", "template_id")}
_SUCCESS: Final = 10000
_STATES: Final[dict[str, VideoState]] = {
    "in_queue": "queued",
    "generating": "running",
    "done": "succeeded",
    "not_found": "failed",
    "expired": "failed",
}
# Codes that end a task: its prompt or its result is not allowed, or it cannot be created.
_ENDS: Final = frozenset({50215, 50411, 50412, 50413, 50500, 50501, 50511, 50512, 50518, 50519})


def encode(request: VideoRequest, model: str) -> Encoded:
    """Return the body that creates a task."""
    body: dict[str, Any] = {
        "req_key": model,
        "prompt": request.prompt,
        "frames": FRAMES_A_SECOND * request.seconds + 1,
        "aspect_ratio": aspect_ratio(request.size, RATIOS),
    }
    if request.image:
        is_data = request.image[:5].lower() == "data:"
        name = "binary_data_base64" if is_data else "image_urls"
        body[name] = [strip_data_url(request.image)]
    body = without_none(body) | request.rename_options(_NAMES)
    return Encoded(msgspec.json.encode(body), request.dropped(_NAMES))


class _Data(msgspec.Struct):
    task_id: str = ""
    status: str = ""
    video_url: str | None = None


class _Answer(msgspec.Struct):
    code: int
    message: str | None = ""
    data: _Data | None = None


_answer = msgspec.json.Decoder(_Answer)


def _read(raw: bytes) -> _Answer:
    try:
        return _answer.decode(raw)
    except NOT_JSON:
        raise answer_fault("F15") from None


def read_accepted(raw: bytes) -> str:
    """Return the provider's id of an accepted task. Raises AnswerFault."""
    answer = _read(raw)
    if answer.code != _SUCCESS:
        raise failure_of_code(MEANINGS, answer.code, answer.message or "")
    return check_id(answer.data.task_id if answer.data is not None else None)


def read_status(raw: bytes, upstream_id: str) -> VideoStatus:
    """Return the status of a task. Raises AnswerFault."""
    answer = _read(raw)
    if answer.code in _ENDS:
        return VideoStatus("failed", 0, error=task_error(answer.code, answer.message))
    state = _STATES.get(answer.data.status) if answer.data is not None else None
    if answer.code != _SUCCESS or answer.data is None or state is None:
        raise answer_fault("F15")
    if state == "failed":
        return VideoStatus(state, 0, error=task_error(answer.data.status, None))
    if state != "succeeded":
        return VideoStatus(state, 0)
    return VideoStatus(state, 100, content=check_url(answer.data.video_url))


def ask(upstream_id: str) -> bytes:
    """Return the body that polls a task."""
    model, _, task_id = upstream_id.rpartition("/")
    return msgspec.json.encode({"req_key": model, "task_id": task_id})


FORM: Final = VideoForm(
    operation="jimeng_videos",
    poll=PollRule(min_s=10, max_s=60),
    encode=encode,
    read_accepted=read_accepted,
    read_status=read_status,
    seconds=5,
    lengths=lambda model: (5, 10),
    kept_s=3600,
    tasks="video_tasks",
    ask=ask,
    prefix=lambda request, model: model,
    told_by=frozenset({200, 400, 500}),
    errors=JimengErrors(),
)
