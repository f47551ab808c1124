"""Videos in Jimeng's form, whose two actions are named in the query: an order and its result.

{"req_key", "prompt", "image_urls"?, "binary_data_base64"?, "frames"?, "aspect_ratio"?, "seed"?}
    -> {"code": 10000, "data": {"task_id"}, ...}
{"req_key", "task_id"} -> {"code": 10000, "data": {"status", "video_url", ...}, ...}
"""

import re
from typing import Any, Final

from dialects.errors.errors import RequestFault
from dialects.errors.task_errors import Family, FamilyError
from dialects.json.body import Body, read_body
from dialects.json.members import Members, read_max_cost, read_model, read_user, small_members
from dialects.media import videos
from dialects.media.video_fit import size_of, to_url
from dialects.media.videos import Video, VideoRequest, VideoState

SUBMIT: Final = "CVSync2AsyncSubmitTask"
RESULT: Final = "CVSync2AsyncGetResult"
VERSION: Final = "2022-08-31"
FRAMES_A_SECOND: Final = 24
RATIOS: Final = ("16:9", "4:3", "1:1", "3:4", "9:16", "21:9")
_READ: Final = (
    "req_key", "prompt", "image_urls", "binary_data_base64", "frames", "aspect_ratio", "seed",
)  # fmt: skip
_NUMBERED: Final = re.compile(r"1080")
_SUCCESS: Final = 10000
_STATES: Final[dict[VideoState, str]] = {
    "queued": "in_queue",
    "running": "generating",
    "succeeded": "done",
    "failed": "done",
}
# The number for a failure that a provider reports in another form, without a number.
_FAILED: Final = 50500


def asks_for_result(query: dict[str, str]) -> bool:
    """Return whether a query asks for a result and not for a task. Raises RequestFault for an
    unknown action or version."""
    if query.get("Action") not in (SUBMIT, RESULT):
        what = f"Action must be {SUBMIT} or {RESULT}"
        raise RequestFault("malformed_json", "Action", what)
    if query.get("Version", VERSION) != VERSION:
        raise RequestFault("malformed_json", "Version", f"Version must be {VERSION}")
    return query["Action"] == RESULT


def read(raw: bytes) -> VideoRequest:
    """Read an order. Raises RequestFault in the contract's order."""
    body = read_body(raw)
    members = small_members(body, _READ)
    members.value["model"] = members.required("req_key", members.text("req_key") or None)
    model = read_model(members)
    image = _read_image(members)
    prompt = videos.read_prompt(members) if members.text("prompt") or not image else ""
    seconds = _read_seconds(members)
    ratio = members.word("aspect_ratio", RATIOS) or RATIOS[0]
    return VideoRequest(
        body,
        model,
        prompt,
        seconds or videos.SECONDS_UNSAID,
        size_of(ratio, 1080 if _NUMBERED.search(model) or model.endswith("_pro") else 720),
        image,
        read_user(body),
        len(prompt.encode(errors="replace")),
        read_max_cost(body),
        seconds is not None,
        videos.read_options(body, (*(set(_READ) - {"seed"}), "user")),
    )


def read_task(raw: bytes) -> str:
    """Return the id of the task whose result is requested. Raises RequestFault."""
    body: Body = read_body(raw)
    members = small_members(body, ("task_id",))
    return members.required("task_id", members.text("task_id") or None)


def _read_seconds(members: Members) -> int | None:
    """Return the length of the video in seconds, by its frames, of which it has one more than the
    length says."""
    frames = members.integer("frames", 1, FRAMES_A_SECOND * videos.SECONDS_MAX + 1)
    return None if frames is None else max(1, -(-(frames - 1) // FRAMES_A_SECOND))


def _read_image(members: Members) -> str:
    for name in ("image_urls", "binary_data_base64"):
        if pictures := members.texts(name):
            if len(pictures) > 1:
                what = f"{name} may have one picture: a video begins with it"
                raise RequestFault("unsupported_capability", name, what)
            return to_url(pictures[0], name)
    return ""


def write_accepted(video: Video, request_id: str) -> dict[str, Any]:
    """Return the answer for a task that was accepted."""
    return _envelope({"task_id": video.id}, request_id)


def write(video: Video, url: str, request_id: str) -> dict[str, Any]:
    """Return the result of a task. `url` is the address of the video, once it is finished."""
    if video.error is not None:
        code = video.error.code
        number = int(code) if code.isascii() and code.isdigit() and len(code) < 9 else _FAILED
        return _envelope(None, request_id, number, video.error.message)
    data: dict[str, Any] = {
        "status": _STATES[video.state],
        "video_url": url if video.state == "succeeded" else "",
        "image_urls": None,
        "binary_data_base64": [],
        "resp_data": "",
    }
    return _envelope(data, request_id)


def _envelope(
    data: dict[str, Any] | None, request_id: str, code: int = _SUCCESS, message: str = "Success"
) -> dict[str, Any]:
    return {
        "code": code,
        "data": data,
        "message": message,
        "request_id": request_id,
        "status": code,
        "time_elapsed": "0ms",
    }


def _write_error(error: FamilyError) -> dict[str, Any]:
    return {
        "code": error.number,
        "message": error.message,
        "data": None,
        "request_id": error.request_id,
        "status": error.number,
        "error": error.as_ours,
    }


FAMILY: Final = Family(
    "jimeng",
    _write_error,
    numbers={429: 50429, 400: 50400, 500: 50500},
    filtered=50412,
    numbered=True,
)
