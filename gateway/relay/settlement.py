"""The end of attempts: the hold resolved, the posting and the usage record, in one transaction.

Nothing waits for a settlement: the client has its answer. A settlement that the database did not
take is tried again until it is through; trying twice changes nothing, for a hold is resolved once
(I6) and a record is written once (I10).
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple
from uuid import UUID

from billing import sql as money
from gateway.relay.batch import Batcher
from gateway.relay.database import DatabaseAway, DatabaseRefused, Lane, Statement
from lib.ids import new_id
from usage import sql as usage

log = logging.getLogger(__name__)

_RETRY_S_MIN, _RETRY_S_MAX = 0.05, 2.0
# What another try may cure: serialization and deadlock, lack of resources, locks, cancelled
# statements, an administrator's shutdown, a server that became read-only.
_PASSING = ("40", "53", "55", "57", "25")


class Resolved(NamedTuple):
    """How one attempt ended; `state` is settled (with the ending's charge) or voided."""

    organisation_id: UUID
    attempt_id: UUID
    state: str
    ending: usage.Ending


Settled = Resolved | usage.Refusal


class Settlement:
    """Takes endings at once and writes them in batches."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._batcher: Batcher[Settled, None] = Batcher(self._commit, lambda item, answer: None)

    def settle(self, item: Settled) -> None:
        """Write this ending; returns before it is written."""
        self._batcher.submit(item)

    async def join(self) -> None:
        """Wait until everything is written."""
        await self._batcher.join()

    async def _commit(self, batch: list[Settled]) -> list[None]:
        wait_s = _RETRY_S_MIN
        while True:
            try:
                await self._lane.run(statements(batch))
                return [None] * len(batch)
            except DatabaseRefused as error:
                if not error.sqlstate.startswith(_PASSING):
                    await self._commit_apart(batch, error)
                    return [None] * len(batch)
                log.warning("settlement is tried again: %s", error)
            except DatabaseAway as error:
                log.warning("settlement waits for the database: %s", error)
            await asyncio.sleep(wait_s * random.uniform(0.5, 1))
            wait_s = min(wait_s * 2, _RETRY_S_MAX)

    async def _commit_apart(self, batch: list[Settled], error: DatabaseRefused) -> None:
        """One ending that the database cannot store must not keep the others from their money."""
        if len(batch) > 1:
            for item in batch:
                await self._commit([item])
            return
        (item,) = batch
        if "unstorable" in item.ending.flags:
            # The hold stays open; the sweeper releases it and marks the attempt.
            log.error("an ending cannot be written: %s", error)
            return
        ending = replace(
            item.ending, message="", raw_usage=None, flags=(*item.ending.flags, "unstorable")
        )
        log.error("an ending is written without its texts: %s", error)
        await self._commit([item._replace(ending=ending)])


def statements(batch: Sequence[Settled]) -> list[Statement]:
    """The transaction that writes a batch of endings."""
    resolved = [item for item in batch if isinstance(item, Resolved)]
    refused = [item for item in batch if not isinstance(item, Resolved)]
    found: list[Statement] = []
    if resolved:
        found = [
            money.lock_accounts(item.organisation_id for item in resolved),
            *resolve(resolved),
        ]
    if refused:
        found.append(usage.write_refusals(refused))
    return found


def resolve(resolved: Sequence[Resolved]) -> list[Statement]:
    """The statements for endings of attempts, to be run after the accounts are locked."""
    return [
        money.resolve_holds(
            [
                money.HoldResolved(
                    item.attempt_id,
                    new_id(),
                    item.organisation_id,
                    item.state,
                    item.ending.charge_nano,
                )
                for item in resolved
            ]
        ),
        usage.write_records(
            [
                usage.RecordWritten(item.organisation_id, item.attempt_id, item.ending)
                for item in resolved
            ]
        ),
    ]
