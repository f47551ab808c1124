"""Kling's form. Source: its reference ("Text to Video", "Image to Video", "General Information"),
as of 2026-03, and `external_task_id` as of 2024-11-15; results are kept for 30 days
(2024-10-25)."""

import re
from collections.abc import Collection
from typing import Any, Final

import msgspec

from dialects.chat.chat import Encoded
from dialects.json.not_json import NOT_JSON
from dialects.media.task_upstream_errors import failure_of_code
from dialects.media.video_fit import aspect_ratio, resolution, strip_data_url, without_none
from dialects.media.videos import (
    TaskError,
    VideoRequest,
    VideoState,
    VideoStatus,
    check_id,
    check_url,
    task_error,
)
from dialects.openai.unary import answer_fault
from extensions.kling.dialect import MODES, RATIOS
from extensions.kling.errors import MEANINGS, KlingErrors
from gateway.providers.task_terms import PollRule
from gateway.providers.video_forms.form import VideoForm

# Kling's members in addition to those of every form, without the members that set the price: length
# and mode.
_OPTIONS: Final = (
    "negative_prompt", "cfg_scale", "camera_control", "image_tail", "static_mask", "dynamic_masks",
    "watermark_info",
)  # fmt: skip
_NAMES: Final = {name: name for name in _OPTIONS}
_LENGTHS: Final = (5, 10)
_VERSION: Final = re.compile(r"-v([0-9]{1,3})(?![0-9])")
_MISSING: Final = 1203
_STATES: Final[dict[str, VideoState]] = {
    "submitted": "queued",
    "processing": "running",
    "succeed": "succeeded",
    "failed": "failed",
}


def encode(request: VideoRequest, model: str) -> Encoded:
    """Return the body that creates a task."""
    shorter = resolution(request.size, tuple(MODES.values()))
    body: dict[str, Any] = {
        "model_name": model,
        "prompt": request.prompt,
        "duration": str(request.seconds),
        "mode": next(mode for mode, length in MODES.items() if length == shorter),
    }
    if request.image:
        body["image"] = strip_data_url(request.image)
    else:
        body["aspect_ratio"] = aspect_ratio(request.size, RATIOS)
    options = request.rename_options(_NAMES)
    tail = options.get("image_tail")
    if isinstance(tail, str) and tail[:5].lower() == "data:":
        options["image_tail"] = strip_data_url(tail)
    return Encoded(msgspec.json.encode(without_none(body) | options), request.dropped(_NAMES))


class _Videos(msgspec.Struct):
    url: str = ""


class _Result(msgspec.Struct):
    videos: list[_Videos] = []


class _Info(msgspec.Struct):
    external_task_id: str | None = None


class _Data(msgspec.Struct):
    task_id: str
    task_status: str = ""
    task_info: _Info | None = None
    task_status_msg: str | None = None
    task_result: _Result | None = None


class _Answer(msgspec.Struct):
    code: int
    message: str = ""
    data: _Data | None = None


_answer = msgspec.json.Decoder(_Answer)


def _decode_answer(raw: bytes) -> _Answer:
    try:
        return _answer.decode(raw)
    except NOT_JSON:
        raise answer_fault("F15") from None


def _data_of(answer: _Answer) -> _Data:
    if answer.code != 0:
        raise failure_of_code(MEANINGS, answer.code, answer.message)
    if answer.data is None:
        raise answer_fault("F15")
    return answer.data


def read_accepted(raw: bytes) -> str:
    """Return the provider's id of an accepted task. Raises AnswerFault."""
    return check_id(_data_of(_decode_answer(raw)).task_id)


def read_status(raw: bytes, upstream_id: str) -> VideoStatus:
    """Return the status of a task. Raises AnswerFault."""
    answer, name = _decode_answer(raw), upstream_id.rpartition("/")[2]
    # Kling's own ids are numbers. If it has no task with our id, it has never accepted one.
    if answer.code == _MISSING and not name.isdigit():
        return VideoStatus("failed", 0, error=TaskError("not_accepted", "It was not accepted."))
    data = _data_of(answer)
    state = _STATES.get(data.task_status)
    ours = None if data.task_info is None else data.task_info.external_task_id
    if state is None or name not in (data.task_id, ours):
        raise answer_fault("F15")
    if state == "failed":
        return VideoStatus(state, 0, error=task_error("failed", data.task_status_msg))
    if state != "succeeded":
        return VideoStatus(state, 0)
    videos = data.task_result.videos if data.task_result is not None else []
    # A video may be a few frames longer than the billed length, which is the requested one.
    return VideoStatus(state, 100, content=check_url(videos[0].url if videos else None))


def lengths(model: str) -> Collection[int]:
    """Return how long the videos of a model can be: 3.0 took to 15 seconds, 4.0 to 30."""
    match = _VERSION.search(model)
    version = 0 if match is None else int(match[1])
    if version < 3:
        return _LENGTHS
    return range(3, 16) if version == 3 else range(3, 31)


def _kind(request: VideoRequest, model: str) -> str:
    return "image2video" if request.image else "text2video"


FORM: Final = VideoForm(
    operation="kling_videos",
    # The reference states no limit; its own samples poll every 10 seconds.
    poll=PollRule(min_s=10, max_s=60),
    encode=encode,
    read_accepted=read_accepted,
    read_status=read_status,
    seconds=5,
    lengths=lengths,
    kept_s=30 * 86400,
    path=lambda request, model: "/" + _kind(request, model),
    prefix=_kind,
    status_path="/{id}",
    errors=KlingErrors(),
    told_by=frozenset({200, 404}),
    callback="callback_url",
    external="external_task_id",
)
