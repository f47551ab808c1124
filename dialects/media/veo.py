"""Videos in Veo's form, as the Gemini API and its clients use it: a long-running operation.

{"instances": [{"prompt", "image"?, "lastFrame"?, ...}], "parameters"?: {"aspectRatio"?, ...}}
    -> {"name"}; later {"name", "done": true, "response": {"generateVideoResponse": ...} or "error"}

Parameters are read by the names that all forms share, so that any provider of videos can serve the
request. Source: ai.google.dev, "Generate videos with Veo 3.1 in Gemini API", 2026-10, and
google-genai 2.34, the last version whose Gemini API clients order videos.
"""

import re
from typing import Any, Final

from dialects.chat.chat import Base64
from dialects.chat.media import data_url, read_url
from dialects.errors.errors import RequestFault
from dialects.json.body import read_body
from dialects.json.members import Members, check_model, read_max_cost, small_members
from dialects.media import videos
from dialects.media.video_fit import size_of
from dialects.media.videos import Video, VideoOption, VideoRequest

RATIOS: Final = ("16:9", "9:16")
RESOLUTIONS: Final = {"720p": 720, "1080p": 1080, "4k": 2160}
"""The shorter side of a video."""
OPTIONS: Final = {
    "negativePrompt": "negative_prompt",
    "personGeneration": "person_generation",
    "enhancePrompt": "enhance_prompt",
    "lastFrame": "image_tail",
    "referenceImages": "reference_images",
}
"""Options by their names here, with the names that all forms share."""
FILTERED: Final = "content_filter"
"""The code for a video that was made but withheld."""
_READ: Final = ("prompt", "image", "aspectRatio", "resolution", "durationSeconds", "sampleCount")
_TYPE: Final = "type.googleapis.com/google.ai.generativelanguage.v1beta.PredictLongRunningResponse"
# Codes of google.rpc: deadline exceeded, unknown, and the last one.
_LATE, _INTERNAL, _LAST = 4, 13, 16
_FILE: Final = re.compile(r"(video|task)([0-9a-z]+)")


def read(raw: bytes, model: str) -> VideoRequest:
    """Read an order for the model in its path. Raises RequestFault in the contract's order."""
    body = read_body(raw)
    members = small_members(body, ("instances", "parameters"))
    check_model(model)
    instance = _read_instance(members)
    parameters = members.object("parameters") or Members({}, "parameters")
    image = _read_image(instance, "image")
    prompt = videos.read_prompt(instance) if instance.text("prompt") or not image else ""
    ratio = parameters.word("aspectRatio", RATIOS) or RATIOS[0]
    resolution = parameters.word("resolution", tuple(RESOLUTIONS)) or "720p"
    # A task is one video.
    parameters.integer("sampleCount", 1, 1)
    seconds = videos.read_seconds(parameters, "durationSeconds")
    return VideoRequest(
        body,
        model,
        prompt,
        seconds or videos.SECONDS_UNSAID,
        size_of(ratio, RESOLUTIONS[resolution]),
        image,
        "",
        len(prompt.encode(errors="replace")),
        read_max_cost(body),
        seconds is not None,
        _read_options(instance) | _read_options(parameters),
    )


def _read_instance(members: Members) -> Members:
    instances = members.objects("instances")
    if not instances:
        members.required("instances", None)
    if len(instances) != 1:
        members.refuse_value("instances", "must have one item: a task is one video")
    if instances[0].has("video"):
        what = "instances[0].video is not supported: a video cannot be extended"
        raise RequestFault("unsupported_capability", "instances[0].video", what)
    return instances[0]


def _read_image(instance: Members, name: str) -> str:
    """Return a picture as a data URL, "" for none."""
    image = instance.object(name)
    if image is None:
        return ""
    inline = image.object("inlineData")
    source, content = (image, "bytesBase64Encoded") if inline is None else (inline, "data")
    data = source.required(content, source.text(content) or None)
    url = data_url(Base64(data, source.text("mimeType") or "image/png"))
    read_url(url, source.at(content))
    return url


def _read_options(members: Members) -> dict[str, VideoOption]:
    options: dict[str, VideoOption] = {}
    for name, value in members.rest(_READ).items():
        shown = _read_image(members, name) if name == "lastFrame" else value
        options[OPTIONS.get(name, name)] = VideoOption(shown, members.at(name))
    return options


def operation_name(video: Video) -> str:
    """Return the name by which the client asks for a video."""
    return f"models/{video.model}/operations/{video.id}"


def file_name(video_id: str) -> str:
    """Return the file name of a video's bytes, in small letters and digits only, which clients
    require."""
    return video_id.replace("_", "", 1)


def id_of_file(name: str) -> str:
    """Return the id of the video whose bytes have this file name."""
    match = _FILE.fullmatch(name)
    return name if match is None else f"{match[1]}_{match[2]}"


def write_accepted(video: Video) -> dict[str, Any]:
    """Return the answer for a video that was accepted."""
    return {"name": operation_name(video)}


def write(video: Video, uri: str) -> dict[str, Any]:
    """Return a video in Veo's form. `uri` is the address of its bytes, once the video is
    finished."""
    name = {"name": operation_name(video)}
    if video.state in ("queued", "running"):
        return name
    error = video.error
    if error is not None and error.code != FILTERED:
        return name | {"done": True, "error": {"code": _code(error.code), "message": error.message}}
    response: dict[str, Any] = {"generatedSamples": [{"video": {"uri": uri}}]}
    if error is not None:
        response = {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": [error.message]}
    return name | {"done": True, "response": {"@type": _TYPE, "generateVideoResponse": response}}


def _code(code: str) -> int:
    """Return the google.rpc code for a provider's error code."""
    if code == "timeout":
        return _LATE
    known = code.isascii() and code.isdigit() and len(code) < 3
    return int(code) if known and 0 < int(code) <= _LAST else _INTERNAL
