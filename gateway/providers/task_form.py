"""How the provider of a media task is asked how far it is: data, and what reads its answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dialects.chat.chat import Dialect
from dialects.endpoints.operation import Operation
from dialects.media.shown_task import ShownTask
from dialects.media.videos import VideoStatus
from gateway.media_tasks.rules import PollRule
from gateway.providers.provider import write_segment

Charged = Callable[[Mapping[str, int], str, int, int | None], dict[str, int]]
"""The meters of a task that has succeeded: by the rates of its price, the size and the length (ms)
that were asked for, and the length that its provider tells, None where it tells none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskForm:
    """`operation` accepts a task. The other paths stand below its address, or that of `tasks`, with
    `{id}` for the provider's id of the task: `status_path` is asked by GET, or by POST with what
    `ask` makes of the id. `read_status` reads what is told there of the task of an id, also by an
    answer whose status is one of `told_by`, and raises AnswerFault. `kept_s` is for how long the
    provider keeps what it made, 0 where that is not known. `write` is how the clients of a service
    are shown a task of it, None for videos, which have clients of several forms."""

    operation: Operation
    poll: PollRule
    charged: Charged
    read_status: Callable[[bytes, str], VideoStatus]
    status_path: str = ""
    tasks: Operation | None = None
    ask: Callable[[str], bytes] | None = None
    told_by: frozenset[int] = frozenset({200})
    dialect: Dialect = "openai"
    kept_s: int = 0
    write: Callable[[ShownTask], dict[str, Any]] | None = None

    @property
    def tasks_operation(self) -> Operation:
        """Below whose address a task is asked for."""
        return self.tasks or self.operation

    def below(self, url: str, path: str, upstream_id: str) -> str:
        """An address of a task, of the one that tasks are below. Raises BadModelName for an id that
        cannot stand in a path."""
        return url + path.replace("{id}", "/".join(map(write_segment, self.segments(upstream_id))))

    def segments(self, upstream_id: str) -> list[str]:
        """The segments of a path that a provider's id is."""
        return [upstream_id]
