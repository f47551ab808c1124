"""Veo's form in the Gemini API: a long-running operation. Source: ai.google.dev, "Generate videos
with Veo 3.1 in Gemini API", as of 2026-10; videos are stored for two days."""

from collections.abc import Collection
from typing import Any, Final

import msgspec

from dialects.chat.chat import Encoded
from dialects.chat.cloud_names import bare_names
from dialects.json.not_json import NOT_JSON
from dialects.media.veo import FILTERED, OPTIONS, RATIOS, RESOLUTIONS
from dialects.media.video_fit import aspect_ratio, require_base64, resolution, to_url, without_none
from dialects.media.videos import VideoRequest, VideoStatus, check_id, check_url, task_error
from dialects.openai.unary import answer_fault
from gateway.providers.task_terms import PollRule
from gateway.providers.video_forms.form import VideoForm

_UNASKED: Final = 720
# Veo's names for the options that all forms have.
_NAMES: Final = {ours: theirs for theirs, ours in OPTIONS.items()} | {"seed": "seed"}
_OF_INSTANCE: Final = frozenset({"image_tail", "reference_images"})


def encode(request: VideoRequest, model: str) -> Encoded:
    """Return the body that creates a task. Raises RequestFault for a picture that would have to be
    fetched."""
    instance: dict[str, Any] = {"prompt": request.prompt}
    if request.image:
        instance["image"] = _picture(request.image, "image")
    options = {name: option.value for name, option in request.options.items() if name in _NAMES}
    for name in _OF_INSTANCE & options.keys():
        value = options.pop(name)
        instance[_NAMES[name]] = _picture(value, name) if name == "image_tail" else value
    shorter = resolution(request.size, tuple(RESOLUTIONS.values()))
    parameters = {
        "aspectRatio": aspect_ratio(request.size, RATIOS),
        "durationSeconds": request.seconds,
        # The minimum is its default; Veo 2 supports no other.
        "resolution": next(
            (word for word, length in RESOLUTIONS.items() if length == shorter > _UNASKED), None
        ),
    } | {_NAMES[name]: value for name, value in options.items()}
    body = {"instances": [without_none(instance)], "parameters": without_none(parameters)}
    return Encoded(msgspec.json.encode(body), request.dropped(_NAMES))


def lengths(model: str) -> Collection[int]:
    """Return how long the videos of a model can be, according to Google's pages of Veo 2 and 3."""
    names = bare_names(model)
    if any(name.startswith("veo-3") for name in names):
        return (4, 6, 8)
    return range(5, 9) if any(name.startswith("veo-2") for name in names) else ()


def _picture(image: object, path: str) -> dict[str, str]:
    picture = require_base64(to_url(str(image), path), path)
    return {"bytesBase64Encoded": picture.data, "mimeType": picture.media_type}


class _Video(msgspec.Struct):
    uri: str = ""


class _Sample(msgspec.Struct):
    video: _Video | None = None


class _Videos(msgspec.Struct, rename="camel"):
    generated_samples: list[_Sample] = []
    rai_media_filtered_reasons: list[str] = []


class _Response(msgspec.Struct, rename="camel"):
    generate_video_response: _Videos | None = None


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Operation(msgspec.Struct):
    name: str
    done: bool = False
    response: _Response | None = None
    error: _Error | None = None


_operation = msgspec.json.Decoder(_Operation)


def _read(raw: bytes) -> _Operation:
    try:
        return _operation.decode(raw)
    except NOT_JSON:
        raise answer_fault("F15") from None


def read_accepted(raw: bytes) -> str:
    """Return the provider's name of an accepted operation. Raises AnswerFault."""
    return check_id(_read(raw).name)


def read_status(raw: bytes, upstream_id: str) -> VideoStatus:
    """Return the status of an operation. Raises AnswerFault."""
    operation = _read(raw)
    if operation.name != upstream_id:
        raise answer_fault("F15")
    if not operation.done:
        return VideoStatus("running", 0)
    if operation.error is not None:
        return VideoStatus(
            "failed", 0, error=task_error(operation.error.code, operation.error.message)
        )
    answer = operation.response.generate_video_response if operation.response is not None else None
    if answer is None:
        raise answer_fault("F15")
    video = next((one.video for one in answer.generated_samples if one.video is not None), None)
    if video is None:
        reason = next(iter(answer.rai_media_filtered_reasons), None)
        return VideoStatus("failed", 0, error=task_error(FILTERED, reason))
    return VideoStatus("succeeded", 100, content=check_url(video.uri))


FORM: Final = VideoForm(
    operation="veo_videos",
    poll=PollRule(min_s=10, max_s=60),
    encode=encode,
    read_accepted=read_accepted,
    read_status=read_status,
    seconds=8,
    lengths=lengths,
    kept_s=2 * 86400,
    tasks="video_tasks",
    status_path="/{id}",
    dialect="gemini",
)
