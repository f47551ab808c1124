"""How the provider of a media task is polled: data, and the functions that read its answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dialects.chat.chat import Dialect
from dialects.chat.operation import Operation
from dialects.media.shown_task import ShownTask
from dialects.media.videos import VideoStatus
from gateway.providers.provider import write_segment
from gateway.providers.task_terms import PollRule

Charged = Callable[[Mapping[str, int], str, int, int | None], dict[str, int]]
"""Returns the charge meters of a task that has succeeded, from the rates of its price, the
requested size and length (ms), and the length that its provider reports, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskForm:
    """The API of a task provider.

    `operation` creates a task. The other paths are below its address, or that of `tasks`, with
    `{id}` for the provider's task id. `status_path` is requested by GET, or by POST with the body
    that `ask` builds from the id. `read_status` parses the status, also of an answer with one of
    the statuses in `told_by`, and raises AnswerFault. `kept_s` is how long the provider keeps
    results, 0 if unknown. `write` formats a task for the service's clients, None for videos, whose
    clients use several forms.
    """

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
        """The operation below whose URL tasks are polled."""
        return self.tasks or self.operation

    def below(self, url: str, path: str, upstream_id: str) -> str:
        """Return an address of a task, below the tasks' address. Raises BadModelName for an id that
        cannot be part of a path."""
        return url + path.replace("{id}", "/".join(map(write_segment, self.segments(upstream_id))))

    def segments(self, upstream_id: str) -> list[str]:
        """Return the path segments of a provider's id."""
        return [upstream_id]
