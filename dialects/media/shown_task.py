"""What a client may see of a task, independent of the form it is written in."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from dialects.media.videos import TaskError, VideoState


class ShownTask(NamedTuple):
    """A task; `word` is its provider's own for its state, times are Unix milliseconds, None until
    then. `detail` is what was asked beside the prompt, `result` what was made, {} where that is not
    kept; at `link` its picture can be fetched, "" where it has none."""

    id: str
    model: str
    state: VideoState
    word: str
    progress: int
    prompt: str
    submitted_ms: int
    started_ms: int | None
    ended_ms: int | None
    error: TaskError | None
    detail: Mapping[str, Any]
    result: Mapping[str, Any]
    link: str = ""
