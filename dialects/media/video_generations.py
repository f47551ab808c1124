"""Videos in the generic form, which several hubs share.

{"model", "prompt", "image"?, "duration"?, "width"?, "height"? or "size"?, ...}
    -> {"task_id", "status"}; later {"task_id", "status", "url", "format", "metadata", "error"}
"""

from typing import Any, Final

from dialects.json.body import read_body
from dialects.json.members import read_max_cost, read_model, read_user, small_members
from dialects.media import videos
from dialects.media.videos import Video, VideoRequest

_READ: Final = ("model", "prompt", "image", "duration", "width", "height", "size", "n")
_PIXELS_MAX: Final = 9999
# The code of a failure for which the provider gives no number.
_FAILED: Final = 500


def read(raw: bytes) -> VideoRequest:
    """Read a request in this form. Raises RequestFault in the contract's order."""
    body = read_body(raw)
    members = small_members(body, _READ)
    model = read_model(members)
    prompt = videos.read_prompt(members)
    image = videos.read_image(members.text("image") or "", "image")
    seconds = videos.read_seconds(members, "duration")
    width, height = (members.integer(name, 10, _PIXELS_MAX) for name in ("width", "height"))
    size = videos.read_size(members)
    if not members.has("size") and width is not None and height is not None:
        size = f"{width}x{height}"
    # A task is one video.
    members.integer("n", 1, 1)
    return VideoRequest(
        body,
        model,
        prompt,
        seconds or videos.SECONDS_UNSAID,
        size,
        image,
        read_user(body),
        len(prompt.encode(errors="replace")),
        read_max_cost(body),
        seconds is not None,
        videos.read_options(body, (*_READ, "user")),
    )


def write_accepted(video: Video) -> dict[str, Any]:
    """Return the answer for a task that was accepted."""
    return {"task_id": video.id, "status": videos.state_word(video.state)}


def write(video: Video, url: str) -> dict[str, Any]:
    """Return a task in the generic form. `url` is the address of its content, once the task is
    finished."""
    width, _, height = video.size.partition("x")
    error = None
    if video.error is not None:
        code = video.error.code
        number = int(code) if code.isascii() and code.isdigit() else _FAILED
        error = {"code": number, "message": video.error.message}
    return {
        "task_id": video.id,
        "status": videos.state_word(video.state),
        "url": url if video.state == "succeeded" else "",
        "format": "mp4",
        "metadata": {"duration": video.seconds, "width": int(width), "height": int(height)},
        "error": error,
    }
