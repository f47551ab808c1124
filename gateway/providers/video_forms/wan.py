"""Wan's form at Alibaba Cloud (DashScope). Source: "Wan - text-to-video API reference" and
"image-to-video", as of 2026-06-16: links are valid for 24 hours, and polls should be 15 s apart."""

from typing import Any, Final

import msgspec

from dialects.chat.chat import Encoded
from dialects.chat.cloud_names import bare_names
from dialects.json.not_json import NOT_JSON
from dialects.media.video_fit import aspect_ratio, resolution, without_none
from dialects.media.videos import (
    VideoRequest,
    VideoState,
    VideoStatus,
    check_id,
    check_url,
    task_error,
)
from dialects.openai.unary import answer_fault
from gateway.providers.task_terms import PollRule
from gateway.providers.video_forms.form import VideoForm

_NAMES: Final = {name: name for name in ("seed", "prompt_extend", "watermark")}
_IN_INPUT: Final = {"negative_prompt": "negative_prompt"}
_RATIOS: Final = ("16:9", "9:16", "1:1", "4:3", "3:4")
_NEWER: Final = ("wan2.7", "wan3")
_STATES: Final[dict[str, VideoState]] = {
    "PENDING": "queued",
    "RUNNING": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "CANCELED": "failed",
}


def encode(request: VideoRequest, model: str) -> Encoded:
    """Return the body that creates a task. From 2.7 on, pictures are in a list, and a size is given
    by two members."""
    newer = any(name.startswith(_NEWER) for name in bare_names(model))
    sent: dict[str, Any] = {"prompt": request.prompt}
    parameters: dict[str, Any] = {"duration": request.seconds}
    if request.image and newer:
        sent["media"] = [{"type": "first_frame", "url": request.image}]
    elif request.image:
        sent["img_url"] = request.image
    if request.image or newer:
        parameters["resolution"] = f"{resolution(request.size)}P"
    if not request.image:
        ratio = aspect_ratio(request.size, _RATIOS)
        parameters |= {"ratio": ratio} if newer else {"size": request.size.replace("x", "*")}
    body = {
        "model": model,
        "input": without_none(sent) | request.rename_options(_IN_INPUT),
        "parameters": parameters | request.rename_options(_NAMES),
    }
    return Encoded(msgspec.json.encode(body), request.dropped((*_NAMES, *_IN_INPUT)))


class _Output(msgspec.Struct):
    task_id: str = ""
    task_status: str = ""
    video_url: str = ""
    code: str | None = None
    message: str | None = None


class _Answer(msgspec.Struct):
    output: _Output


_answer = msgspec.json.Decoder(_Answer)


def _read(raw: bytes) -> _Output:
    try:
        return _answer.decode(raw).output
    except NOT_JSON:
        raise answer_fault("F15") from None


def read_accepted(raw: bytes) -> str:
    """Return the provider's id of an accepted task. Raises AnswerFault."""
    return check_id(_read(raw).task_id)


def read_status(raw: bytes, upstream_id: str) -> VideoStatus:
    """Return the status of a task. Raises AnswerFault."""
    output = _read(raw)
    state = _STATES.get(output.task_status)
    if state is None or output.task_id != upstream_id:
        raise answer_fault("F15")
    if state == "failed":
        code = output.code or output.task_status.lower()
        return VideoStatus(state, 0, error=task_error(code, output.message))
    if state != "succeeded":
        return VideoStatus(state, 0)
    return VideoStatus(state, 100, content=check_url(output.video_url))


FORM: Final = VideoForm(
    operation="wan_videos",
    poll=PollRule(min_s=15, max_s=60),
    encode=encode,
    read_accepted=read_accepted,
    read_status=read_status,
    seconds=5,
    kept_s=86400,
    tasks="video_tasks",
    status_path="/{id}",
    headers={"x-dashscope-async": "enable"},
)
