"""Videos in Veo's form, as the Gemini API and its clients speak it: an operation that runs long.

{"instances": [{"prompt", "image"?, "lastFrame"?, ...}], "parameters"?: {"aspectRatio"?, ...}}
    -> {"name"}; later {"name", "done": true, "response": {"generateVideoResponse": ...} or "error"}

What a video is made of is read by the names that all forms have for it, so that every provider of
videos can be asked. Source: ai.google.dev, "Generate videos with Veo 3.1 in Gemini API", 2026-10,
and google-genai 2.34, the last whose clients of the Gemini API order videos.
"""

import re
from typing import Any, Final

from dialects.chat.chat import Base64
from dialects.errors.errors import RequestFault
from dialects.json.body import read_body
from dialects.json.members import Members, check_model, read_max_cost, small_members
from dialects.media import videos
from dialects.media.media import data_url, read_url
from dialects.media.video_fit import size_of
from dialects.media.videos import Video, VideoOption, VideoRequest

RATIOS: Final = ("16:9", "9:16")
RESOLUTIONS: Final = {"720p": 720, "1080p": 1080, "4k": 2160}
"""How long the shorter side of a video is."""
OPTIONS: Final = {
    "negativePrompt": "negative_prompt",
    "personGeneration": "person_generation",
    "enhancePrompt": "enhance_prompt",
    "lastFrame": "image_tail",
    "referenceImages": "reference_images",
}
"""Options by their names here, with those that all forms have for them."""
FILTERED: Final = "content_filter"
"""The code of a video that was made and is not given."""
_READ: Final = ("prompt", "image", "aspectRatio", "resolution", "durationSeconds", "sampleCount")
_TYPE: Final = "type.googleapis.com/google.ai.generativelanguage.v1beta.PredictLongRunningResponse"
# Codes of google.rpc: the deadline is over, what has no other, and the last one.
_LATE, _INTERNAL, _LAST = 4, 13, 16
_FILE: Final = re.compile(r"(video|task)([0-9a-z]+)")


def read(raw: bytes, model: str) -> VideoRequest:
    """Read an order for the model of its path. Raises RequestFault in the order of the contract."""
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
    """A picture as a data URL, "" for none."""
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
    """What its client asks for it by."""
    return f"models/{video.model}/operations/{video.id}"


def file_name(video_id: str) -> str:
    """The name of its bytes: clients take small letters and digits alone for one."""
    return video_id.replace("_", "", 1)


def id_of_file(name: str) -> str:
    """The id of the video that has its bytes under this name."""
    match = _FILE.fullmatch(name)
    return name if match is None else f"{match[1]}_{match[2]}"


def write_accepted(video: Video) -> dict[str, Any]:
    """Return the answer for a video that was accepted."""
    return {"name": operation_name(video)}


def write(video: Video, uri: str) -> dict[str, Any]:
    """A video in this form; `uri` is where its bytes are, once it is finished."""
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
    """A code of google.rpc for what a provider calls it."""
    if code == "timeout":
        return _LATE
    known = code.isascii() and code.isdigit() and len(code) < 3
    return int(code) if known and 0 < int(code) <= _LAST else _INTERNAL
