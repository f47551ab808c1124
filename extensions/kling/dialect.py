"""Videos in Kling's form: requests, and videos as its clients read them.

    {"model_name", "prompt", "image"?, "duration"?, "mode"?, "aspect_ratio"?, ...}
        -> {"code": 0, "message", "request_id", "data": {"task_id", "task_status", ...}, ...}

An answer has Kling's own members and those of the generic form.
"""

from typing import Any, Final

from dialects.errors.task_errors import Family, FamilyError
from dialects.json.body import read_body
from dialects.json.members import Members, read_max_cost, read_model, read_user, small_members
from dialects.media import video_generations, videos
from dialects.media.video_fit import aspect_ratio, size_of, to_url
from dialects.media.videos import Video, VideoRequest, VideoState

MODEL: Final = "kling-v1"
RATIOS: Final = ("16:9", "9:16", "1:1", "4:3", "3:4", "3:2", "2:3", "21:9")
MODES: Final = {"std": 720, "pro": 1080}
"""The shorter side of a video, by the mode (Kling's "Capability Map", 2026-03)."""
_READ: Final = (
    "model", "model_name", "prompt", "image", "duration", "mode", "aspect_ratio", "width", "height",
    "n",
)  # fmt: skip
_PIXELS_MAX: Final = 9999
_STATES: Final[dict[VideoState, str]] = {
    "queued": "submitted",
    "running": "processing",
    "succeeded": "succeed",
    "failed": "failed",
}


def read(raw: bytes, *, with_image: bool) -> VideoRequest:
    """Read a request in this form; `with_image` requires a picture. Raises RequestFault in the
    contract's order.
    """
    body = read_body(raw)
    members = small_members(body, _READ)
    named = Members({"model": members.text("model_name") or members.text("model")})
    model = read_model(named, otherwise=MODEL)
    image = to_url(members.text("image") or "", "image")
    if with_image:
        members.required("image", image or None)
    has_prompt = not with_image or bool(members.text("prompt"))
    prompt = videos.read_prompt(members) if has_prompt else ""
    seconds = videos.read_seconds(members, "duration")
    # A task is one video.
    members.integer("n", 1, 1)
    return VideoRequest(
        body,
        model,
        prompt,
        seconds or videos.SECONDS_UNSAID,
        _read_size(members),
        image if with_image else "",
        read_user(body),
        len(prompt.encode(errors="replace")),
        read_max_cost(body),
        seconds is not None,
        videos.read_options(body, (*_READ, "user")),
    )


def _read_size(members: Members) -> str:
    mode = members.word("mode", tuple(MODES)) or "std"
    ratio = members.word("aspect_ratio", RATIOS) or RATIOS[0]
    width, height = (members.integer(name, 10, _PIXELS_MAX) for name in ("width", "height"))
    if width is not None and height is not None and not members.has("aspect_ratio"):
        ratio = aspect_ratio(f"{width}x{height}", RATIOS)
    return size_of(ratio, MODES[mode])


def write(video: Video, url: str, request_id: str) -> dict[str, Any]:
    """Return a video in Kling's form. `url` is the address of its content, once the video is
    finished."""
    generic = video_generations.write(video, url)
    data: dict[str, Any] = {
        "task_id": video.id,
        "task_status": _STATES[video.state],
        "task_status_msg": "" if video.error is None else video.error.message,
        "task_info": {},
        "created_at": 1000 * video.created_at,
        "updated_at": 1000
        * (video.created_at if video.completed_at is None else video.completed_at),
    }
    if video.state == "succeeded":
        result = {"id": video.id, "url": url, "duration": str(video.seconds)}
        data["task_result"] = {"videos": [result]}
    return {
        "code": 0,
        "message": "SUCCEED",
        "request_id": request_id,
        "data": data,
        **generic,
    }


def _write_error(error: FamilyError) -> dict[str, Any]:
    return {
        "code": error.number,
        "message": error.message,
        "request_id": error.request_id,
        "error": error.as_ours,
    }


FAMILY: Final = Family(
    "kling",
    _write_error,
    numbers={
        401: 1002, 402: 1102, 403: 1103, 404: 1203, 429: 1302, 503: 5001, 504: 5002, 400: 1201,
        500: 5000,
    },
    filtered=1301,
    numbered=True,
)  # fmt: skip
