"""How the provider of a media task is asked how far it is: data, and what reads its answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dialects.operation import Operation
from dialects.videos import VideoStatus
from gateway.providers.provider import write_segment
from gateway.rules.task_life import PollRule

Charged = Callable[[Mapping[str, int], str, int, int | None], dict[str, int]]
"""The meters of a task that has succeeded: by the rates of its price, the size and the length (ms)
that were asked for, and the length that its provider tells, None where it tells none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskForm:
    """`operation` accepts a task; `status_path` stands below its address, with `{id}` for the
    provider's id of the task. `read_status` reads what is told there of the task of an id, and
    raises AnswerFault."""

    operation: Operation
    poll: PollRule
    charged: Charged
    read_status: Callable[[bytes, str], VideoStatus]
    status_path: str

    def below(self, url: str, path: str, upstream_id: str) -> str:
        """An address of a task, of the one that accepts tasks. Raises BadModelName for an id that
        cannot stand in a path."""
        return url + path.replace("{id}", write_segment(upstream_id))
