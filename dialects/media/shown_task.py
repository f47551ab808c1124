"""The public data of a task, independent of the form it is written in."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from dialects.media.videos import TaskError, VideoState


class ShownTask(NamedTuple):
    """A task as its clients see it. `word` is the provider's name of the state; times are Unix
    milliseconds, None until reached. `detail` are the parameters besides the prompt, `result` the
    output, {} if that is not stored; `link` is the address of the picture, "" without one, or the
    beginning of that of a song's files."""

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
