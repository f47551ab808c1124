"""The end of attempts: the hold resolved, the posting and the usage record, in one transaction.

Nothing waits for a settlement: the client has its answer. `books.py` writes it, however often it
must be tried; trying twice changes nothing, for a hold is resolved once (I6) and a record is
written once (I10).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from billing import sql as money
from gateway.relay.database import Statement
from lib.ids import new_ids
from usage import sql as usage


class Resolved(NamedTuple):
    """How one attempt ended; `state` is settled (with the ending's charge) or voided. `tokens` is
    what it took of a limit of tokens per minute, where there is one."""

    organisation_id: UUID
    attempt_id: UUID
    state: str
    ending: usage.Ending
    tokens: int = 0


Settled = Resolved | usage.Refusal


def marks(batch: Mapping[UUID, str]) -> Statement:
    """What notes how far attempts are: the meters of each, as JSON text."""
    return money.mark_holds([money.Mark(attempt, meters) for attempt, meters in batch.items()])


def lease(process_id: UUID, seconds: int) -> Statement:
    """What says that a process lives, for that long."""
    return money.renew_lease(process_id, seconds)


def lock(organisation_ids: Iterable[UUID]) -> Statement:
    """The first statement of every transaction that moves money."""
    return money.lock_accounts(organisation_ids)


def statements(batch: Sequence[Settled]) -> list[Statement]:
    """What writes a batch of endings, to be run after the accounts are locked."""
    resolved = [item for item in batch if type(item) is Resolved]
    found: list[Statement] = []
    if resolved:
        holds = [
            money.HoldResolved(
                item.attempt_id,
                posting_id,
                item.organisation_id,
                item.state,
                item.ending.charge_nano,
                item.tokens,
            )
            for item, posting_id in zip(resolved, new_ids(len(resolved)), strict=True)
        ]
        records = [
            usage.RecordWritten(item.organisation_id, item.attempt_id, item.ending)
            for item in resolved
        ]
        found = [money.resolve_holds(holds), usage.write_records(records)]
    if len(resolved) < len(batch):
        refused = [item for item in batch if type(item) is usage.Refusal]
        found.append(usage.write_refusals(refused))
    return found
