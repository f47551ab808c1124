"""Seedance's form at Volcengine Ark. Source: volcengine.com/docs/82379 ("Create a video generation
task", "Retrieve a video generation task"), as of 2026-06: links are valid for 24 hours."""

from typing import Any, Final

import msgspec

from dialects.chat.chat import Encoded
from dialects.json.not_json import NOT_JSON
from dialects.media.video_fit import aspect_ratio, resolution
from dialects.media.videos import (
    VideoRequest,
    VideoState,
    VideoStatus,
    check_url,
    read_accepted,
    task_error,
)
from dialects.openai.unary import answer_fault
from gateway.providers.task_terms import PollRule
from gateway.providers.video_forms.form import VideoForm

_NAMES: Final = {name: name for name in ("seed", "watermark", "camera_fixed")}
_TAIL: Final = "image_tail"
_RATIOS: Final = ("16:9", "9:16", "1:1", "4:3", "3:4", "21:9")
_STATES: Final[dict[str, VideoState]] = {
    "queued": "queued",
    "running": "running",
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "failed",
    "expired": "failed",
}


def encode(request: VideoRequest, model: str) -> Encoded:
    """Return the body that creates a task."""
    content: list[dict[str, Any]] = []
    if request.prompt:
        content.append({"type": "text", "text": request.prompt})
    if request.image:
        content.append(_picture(request.image, "first_frame"))
    tail = request.options.get(_TAIL)
    if tail is not None and isinstance(tail.value, str):
        content.append(_picture(tail.value, "last_frame"))
    body = {
        "model": model,
        "content": content,
        "resolution": f"{resolution(request.size)}p",
        "ratio": "adaptive" if request.image else aspect_ratio(request.size, _RATIOS),
        "duration": request.seconds,
        **request.rename_options(_NAMES),
    }
    return Encoded(msgspec.json.encode(body), request.dropped((*_NAMES, _TAIL)))


def _picture(url: str, role: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, "role": role}


class _Content(msgspec.Struct):
    video_url: str = ""


class _Error(msgspec.Struct):
    code: str | None = None
    message: str | None = None


class _Task(msgspec.Struct):
    id: str
    status: str
    content: _Content | None = None
    error: _Error | None = None


_task = msgspec.json.Decoder(_Task)


def read_status(raw: bytes, upstream_id: str) -> VideoStatus:
    """Return the status of a task. Raises AnswerFault."""
    try:
        task = _task.decode(raw)
    except NOT_JSON:
        raise answer_fault("F15") from None
    state = _STATES.get(task.status)
    if state is None or task.id != upstream_id:
        raise answer_fault("F15")
    if state == "failed":
        error = task.error or _Error()
        return VideoStatus(state, 0, error=task_error(error.code or task.status, error.message))
    if state != "succeeded":
        return VideoStatus(state, 0)
    url = task.content.video_url if task.content is not None else None
    return VideoStatus(state, 100, content=check_url(url))


FORM: Final = VideoForm(
    operation="ark_videos",
    poll=PollRule(min_s=10, max_s=60),
    encode=encode,
    read_accepted=read_accepted,
    read_status=read_status,
    seconds=5,
    kept_s=86400,
    status_path="/{id}",
    callback="callback_url",
)
