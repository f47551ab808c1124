"""The paths of a task service, as its rows of the endpoint table."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.providers.task_service import TaskService
from relay.catalogue.snapshot import Snapshot
from relay.context.context import Parts
from relay.credentials.keys import Principal
from relay.endpoints.generation import generate
from relay.front.request import Endpoint
from relay.media.task_content import VideoContent
from relay.operations.unary import UnaryOperation
from relay.requests.body import BODY_BYTES_MAX

QUESTION_BYTES_MAX: Final = 64 * 1024
"""The maximum body of a query for one task."""

OpenFile = Callable[[Parts, Snapshot, Principal, str, int, bytes], Awaitable[VideoContent]]
"""Opens a file of a task by its number, or the range of it that a `Range` header names. Raises
RequestFault, UpstreamFailed, DatabaseFailed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRows:
    """`exact` are the rows by their paths. `naming` are those whose path has an id, by regular
    expressions in which `{id}` stands for it. `listed` are the paths of both as the reference
    lists them, where they are not the same. `page_paths` are the paths that our own pages call, by
    the name of the operation, and `open_file` opens the files that they play.
    """

    service: TaskService
    exact: Mapping[str, Endpoint]
    naming: Mapping[str, Endpoint] = field(default_factory=dict)
    listed: Mapping[str, Endpoint] | None = None
    page_paths: Mapping[str, str] = field(default_factory=dict)
    open_file: OpenFile | None = None

    @property
    def documented(self) -> Mapping[str, Endpoint]:
        """The rows by the paths that the reference lists."""
        return {**self.exact, **self.naming} if self.listed is None else self.listed


def order_row(service: TaskService, operation: str, unary: UnaryOperation) -> Endpoint:
    """Return the row of a request that starts a task."""
    return Endpoint(
        generate, ("POST",), "openai", operation, BODY_BYTES_MAX, unary=unary, family=service.family
    )
