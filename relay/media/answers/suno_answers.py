"""What is told of tasks of Suno: their state as it is stored. For every other team, and of what
never was, there is no task. No provider is asked for it."""

import msgspec

from dialects.errors.errors import RequestFault
from dialects.media import suno
from relay.answers.state_store import StateStore
from relay.credentials.keys import Principal
from relay.media import media_tasks
from relay.media.media_tasks import Task


async def one(states: StateStore, principal: Principal, task_id: str) -> bytes:
    """The body that tells of a task. Raises RequestFault, DatabaseAway, DatabaseRefused."""
    found = await media_tasks.find(states, principal, [task_id], "suno")
    if task_id not in found:
        raise RequestFault("task_not_found", "id", task_id)
    return msgspec.json.encode(suno.write_envelope(_shown(found[task_id])))


async def several(states: StateStore, principal: Principal, raw: bytes) -> bytes:
    """The body that tells of those tasks that there are, in the order in which they are asked for.
    Raises RequestFault, DatabaseAway, DatabaseRefused."""
    ids, action = suno.read_ids(raw)
    found = await media_tasks.find(states, principal, ids, "suno")
    shown = [_shown(found[id_]) for id_ in dict.fromkeys(ids) if id_ in found]
    kept = [task for task in shown if action in ("", task["action"])]
    return msgspec.json.encode(suno.write_envelope(kept))


def _shown(task: Task) -> dict[str, object]:
    return suno.write(media_tasks.shown(task, ""))
