"""MiniMax's form (Hailuo). Source: its OpenAPI description (platform.minimax.io, "Video generation"
and "Files"), as of 2026-06. A finished video is a file. Its URL is requested each time, because it
is valid for nine hours."""

from typing import Any, Final

import msgspec

from dialects.chat.chat import Encoded
from dialects.json.raw_json import value_of
from dialects.media.task_upstream_errors import MINIMAX, MiniMaxErrors, failure_of_code, read_code
from dialects.media.video_fit import resolution, sides, without_none
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

_NAMES: Final = {"prompt_optimizer": "prompt_optimizer", "image_tail": "last_frame_image"}
_STATES: Final[dict[str, VideoState]] = {
    "Preparing": "queued",
    "Queueing": "queued",
    "Processing": "running",
    "Success": "succeeded",
    "Fail": "failed",
}


def encode(request: VideoRequest, model: str) -> Encoded:
    """Return the body that creates a task. Videos are landscape, or have the format of the
    picture."""
    body = {
        "model": model,
        "prompt": request.prompt,
        "duration": request.seconds,
        "resolution": f"{resolution(request.size, (512, 768, 1080))}P",
        "first_frame_image": request.image,
    }
    width, height = sides(request.size)
    dropped = request.dropped(_NAMES)
    if not request.image and width <= height:
        dropped = ("size", *dropped)
    return Encoded(
        msgspec.json.encode(without_none(body) | request.rename_options(_NAMES)), dropped
    )


def _members(raw: bytes) -> dict[str, Any]:
    members = value_of(raw)
    if not isinstance(members, dict):
        raise answer_fault("F15")
    number, message = read_code(raw)
    if number != 0:
        raise failure_of_code(MINIMAX, number, message)
    return members


def read_accepted(raw: bytes) -> str:
    """Return the provider's id of an accepted task. Raises AnswerFault."""
    return check_id(_members(raw).get("task_id"))


def read_status(raw: bytes, upstream_id: str) -> VideoStatus:
    """Return the status of a task. Raises AnswerFault."""
    members = value_of(raw)
    if not isinstance(members, dict):
        raise answer_fault("F15")
    state = _STATES.get(str(members.get("status")))
    if state is None or members.get("task_id") != upstream_id:
        raise answer_fault("F15")
    if state == "failed":
        number, message = read_code(raw)
        return VideoStatus(state, 0, error=task_error(number, message))
    if state != "succeeded":
        return VideoStatus(state, 0)
    return VideoStatus(state, 100, content=check_id(members.get("file_id")))


def read_link(raw: bytes) -> str:
    """Return the URL of a file. Raises AnswerFault."""
    file = _members(raw).get("file")
    return check_url(file.get("download_url") if isinstance(file, dict) else None)


FORM: Final = VideoForm(
    operation="minimax_videos",
    poll=PollRule(min_s=10, max_s=60),
    encode=encode,
    read_accepted=read_accepted,
    read_status=read_status,
    seconds=6,
    kept_s=7 * 86400,
    tasks="video_tasks",
    status_path="/query/video_generation?task_id={id}",
    content_path="/files/retrieve?file_id={id}",
    read_link=read_link,
    errors=MiniMaxErrors(),
)
