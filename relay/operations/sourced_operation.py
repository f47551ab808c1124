"""Operations on an earlier task of a provider. They are sent to the channel that has the task, with
the same key."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Self

from dialects.errors.errors import RequestFault
from lib.network.egress import EgressPolicy
from notify.endpoints.signing import key_secret
from relay.credentials.keys import Principal
from relay.media_tasks import media_tasks
from relay.media_tasks.media_tasks import Task, TaskKind
from relay.media_tasks.video_order import Source
from relay.operations.unary import UnaryOperation
from relay.states.state_store import StateStore


class SourcedOperation(UnaryOperation):
    """An operation on an earlier task. `kind` is the kind of task that it accepts, `id_field` the
    member of the body that names the task."""

    kind: TaskKind
    id_field: str

    def __init__(self) -> None:
        self.source: Source | None = None
        # The secret that signs the hook in its body.
        self.hook_secret = ""
        # The networks in which that address may be.
        self.hook_policy = EgressPolicy()

    @abstractmethod
    def source_id(self, raw: bytes) -> str:
        """Return the id of the task that a body refers to, "" for none. Raises RequestFault."""

    @abstractmethod
    def bare(self) -> Self:
        """Return an instance of the same operation without a task."""

    def check(self, task: Task) -> None:
        """Check that the task's state permits the operation. Raises RequestFault."""
        if task.video.state != "succeeded":
            what = f"task {task.video.id} has not succeeded: only then can another be made of it"
            raise RequestFault("conflict", self.id_field, what)

    def upstream_id(self, task_id: str) -> str:
        """Return the provider's id of the task that a body refers to, once the task was loaded; ""
        without a reference. Raises RequestFault if the task was not found."""
        if not task_id:
            return ""
        if self.source is None:
            raise RequestFault("task_not_found", self.id_field, task_id)
        return self.source.upstream_id


async def about_its_source(
    operation: SourcedOperation,
    states: StateStore,
    principal: Principal,
    raw: bytes,
    key: str = "",
    hook_networks: Sequence[str] = (),
) -> SourcedOperation:
    """Return the operation for one request, with the team's task that the body refers to, and with
    the secret that signs hooks for this key ("" for a page of ours). Hooks may be at public
    addresses and in `hook_networks`. Raises RequestFault, DatabaseFailed."""
    bound = operation.bare()
    bound.hook_secret = key_secret(key)
    bound.hook_policy = EgressPolicy(hook_networks)
    task_id = operation.source_id(raw)
    if not task_id:
        return bound
    tasks = await media_tasks.find(states, principal, [task_id], operation.kind)
    task = tasks.get(task_id)
    if task is None:
        raise RequestFault("task_not_found", operation.id_field, task_id)
    operation.check(task)
    bound.source = Source(
        public_id=task_id,
        upstream_id=task.upstream_id,
        channel_id=task.channel_id,
        channel_key_id=task.channel_key_id,
        model=task.video.model,
        seconds=0,
        size="",
    )
    return bound
