"""Write one batch in one transaction, and handle a batch that the database refuses.

refused because of a lock: write the part of each organisation separately
refused for a value it cannot store: write each request and each settlement separately
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from dialects.errors.errors import KINDS, message_of
from dialects.errors.kinds import ErrorKind
from lib.id_types import ChannelId
from relay.database.database import PipelinedConnection, Row, Statement
from relay.errors import DatabaseAway, DatabaseFailed, DatabaseRefused
from relay.ledger import admission, settlement
from relay.ledger.admission import AdmissionRequest, Verdict
from relay.ledger.batching import Batch, LedgerMarks, LedgerQueue, Waiting
from relay.ledger.crash_recovery import LedgerRecovery
from relay.ledger.settlement import AnySettlement, Settlement
from usage.records.sql import Ending, Refusal

log = logging.getLogger(__name__)

# Errors that a retry may cure: serialization failure and deadlock, lack of resources, locks,
# cancelled statements, an administrator's shutdown, a server that became read-only.
_PASSING: Final = ("40", "53", "55", "57", "25")
_LOCKED: Final = "55P03"
# Serialization failure, deadlock, lock timeout: a conflict with another transaction.
_CONFLICTS: Final = ("40", "55")


class BatchWriter:
    """Writes batches of holds, attempts, postings and records on one connection. High-water marks
    and the process's lease are written together with other data."""

    def __init__(
        self,
        connection: PipelinedConnection,
        queue: LedgerQueue,
        marks: LedgerMarks,
        recovery: LedgerRecovery,
    ) -> None:
        self._connection = connection
        self._queue = queue
        self._marks = marks
        self._recovery = recovery
        # No hold without a lease: the first transaction includes the first heartbeat.
        self.lease_due = connection.process_id is not None

    def renew_lease(self) -> None:
        """Include a heartbeat of this process in the next transaction."""
        self.lease_due = self._connection.process_id is not None

    async def write(self, batch: Batch) -> None:
        """Commit a batch, and give the verdicts to the callers. An admission is tried again with
        the next batch if a settlement in that batch may release the money that it lacked. Raises
        DatabaseFailed if a retry may succeed."""
        behind, releasing = tuple(batch.behind), None
        try:
            verdicts = await self._commit(
                [request for request, _ in batch.admissions], batch.settlements
            )
        except DatabaseRefused as error:
            if error.sqlstate == _LOCKED and (parts := _group_by_organisation(batch)):
                await self._write_each(parts)
            elif error.sqlstate.startswith(_PASSING):
                raise
            else:
                await self._write_apart(batch, error)
            return
        again = []
        for (request, future), verdict in zip(batch.admissions, verdicts, strict=True):
            question = None
            if verdict.word != "admitted" and not future.done():
                if releasing is None:
                    releasing = {item.organisation_id for item in behind}
                question = admission.ask_again(request, verdict, releasing)
            if question is not None:
                again.append((question, verdict, future))
            elif future.done():
                self._abandon(request, verdict)
            else:
                future.set_result(verdict)
        if again:
            await self._ask_again(again)

    def fail(self, admissions: Sequence[Waiting], error: Exception) -> None:
        """Give an error to the callers of these requests, and undo whatever the database may have
        written for them. Requests that were rolled back by a conflict with another transaction are
        tried once more instead."""
        asked_again = {future for _, future in self._queue.admissions}
        rolled_back = isinstance(error, DatabaseRefused) and error.sqlstate.startswith(_CONFLICTS)
        again, failed = list[Waiting](), 0
        for request, future in admissions:
            if future in asked_again:
                # From a part that was written while another one failed.
                continue
            if rolled_back and not request.rolled_back and not future.done():
                again.append((msgspec.structs.replace(request, rolled_back=True), future))
                continue
            if not future.done():
                future.set_exception(error)
                failed += 1
            elif not future.cancelled() and future.exception() is None:
                # The request was decided before the failure, so it runs, and settles itself.
                continue
            # The commit may have succeeded although no response arrived. A record is written only
            # if an attempt exists.
            self._queue.settlements.append(_void(request, "overloaded"))
            if future.cancelled() and request.attempt.n > 1:
                self._queue.settlements += _abandoned_settlements(request)
        self._queue.ask_again(again)
        if failed:
            log.warning("requests refused: %d, because of %s", failed, error)

    def take_back(self, request: AdmissionRequest, verdict: "asyncio.Future[Verdict]") -> None:
        """Undo an admission whose caller was gone before it received the verdict."""
        if verdict.exception() is None:
            self._abandon(request, verdict.result())
        elif request.attempt.n > 1:
            self._queue.settlements += _abandoned_settlements(request)

    async def _commit(
        self, requests: Sequence[AdmissionRequest], settlements: Sequence[AnySettlement]
    ) -> Sequence[Verdict]:
        """Run one transaction. Settlements come first, so that the admissions after them can hold
        the money that the settlements release."""
        # By `UUID.int`, because a UUID's hash is computed in Python each time.
        settlements, organisations = list(settlements), dict[int, UUID]()
        for request in requests:
            organisation_id = request.attempt.organisation_id
            organisations[organisation_id.int] = organisation_id
            if request.replaces:
                settlements.append(request.replaces)
        for item in settlements:
            if type(item) is Settlement or (type(item) is Refusal and item.window_id is not None):
                # Writing it requires the lock of its organisation's accounts.
                organisations[item.organisation_id.int] = item.organisation_id
        statements = settlement.statements(settlements) if settlements else []
        locks = list[Statement]()
        if organisations:
            locks = [settlement.lock(organisations.values())]
            if channels := _limited_channels(requests, settlements):
                locks.append(settlement.lock_limited(channels))
            statements = [*locks, *statements]
        at = len(statements)
        if requests:
            statements += admission.statements(requests)
        marks = self._marks.take()
        lease_due, self.lease_due = self.lease_due, False
        if marks:
            statements.append(settlement.marks(marks))
        if lease_due and self._connection.process_id is not None:
            statements.append(settlement.lease(self._connection.process_id))
        try:
            rows = await self._connection.run(statements)
        except DatabaseAway:
            self.lease_due = lease_due
            self._marks.put_back(marks)
            raise
        except DatabaseRefused:
            # The marks may be the cause; later ones will replace them.
            self.lease_due = lease_due
            raise
        if marks:
            self._recovery.forget_marks(marks)
        if settlements:
            self._note_late(settlements, rows[len(locks) : at])
        return admission.verdicts(rows[at]) if requests else ()

    def _note_late(
        self, settlements: Sequence[AnySettlement], written: Sequence[Sequence[Row]]
    ) -> None:
        """Write the settlements that came too late as late usage. `written` are the rows of
        `settlement.statements`."""
        resolved = [
            item for item in settlements if type(item) is Settlement and item.state != "kept"
        ]
        if resolved and len(settled := written[0]) < len(resolved):
            late = settlement.late(resolved, settled)
            self._queue.settlements += late
            self._recovery.late(late)

    async def _ask_again(
        self, again: Sequence[tuple[AdmissionRequest, Verdict, "asyncio.Future[Verdict]"]]
    ) -> None:
        """Put these admissions first in the next batch, once the rows that they lack exist."""
        waiting = [(request, future) for request, _, future in again]
        prepared = admission.prepare((request, verdict) for request, verdict, _ in again)
        if prepared:
            try:
                await self._connection.run(prepared)
            except DatabaseFailed as error:
                # Fail only these requests, because the rest of their batch is decided.
                self.fail(waiting, error)
                return
        self._queue.ask_again(waiting)

    async def _write_each(self, parts: Sequence[Batch]) -> None:
        """Write the part of each organisation separately, because another process holds the account
        of one of them."""
        failed: Exception | None = None
        for part in parts:
            try:
                await self.write(part)
            except DatabaseFailed as error:
                failed = error
        if failed is not None:
            raise failed

    async def _write_apart(self, batch: Batch, error: DatabaseRefused) -> None:
        """Write each item separately, so that one that the database cannot store does not affect
        the others."""
        admissions, settlements, _ = batch
        if len(admissions) + len(settlements) > 1:
            for waiting in admissions:
                await self.write(Batch([waiting]))
            for item in settlements:
                await self.write(Batch(settlements=[item]))
        elif admissions:
            self.fail(admissions, error)
        elif "unstorable" in settlements[0].ending.flags:
            # The hold stays open; the sweeper releases it and marks the attempt.
            log.error("a settlement cannot be written: %s", error)
        else:
            log.error("a settlement is written without its texts: %s", error)
            await self.write(Batch(settlements=[_strip_texts(settlements[0])]))

    def _abandon(self, request: AdmissionRequest, verdict: Verdict) -> None:
        """Undo an admission whose client left while it was being decided."""
        if verdict.word == "admitted":
            self._queue.settlements.append(_void(request, "client_closed"))
        else:
            self._queue.settlements.append(_refusal(request))


def _limited_channels(
    requests: Sequence[AdmissionRequest], settlements: Sequence[AnySettlement]
) -> set[UUID]:
    """Return the channels whose counts this transaction reads and writes."""
    channels = set[UUID]()
    for request in requests:
        if request.guarded is not None and request.guarded.channel is not None:
            channels.add(request.guarded.channel.channel_id)
    for item in settlements:
        if type(item) is Settlement and item.limited_channel_id is not None:
            channels.add(item.limited_channel_id)
    return channels


def _limited_channel(request: AdmissionRequest) -> ChannelId | None:
    guarded = request.guarded
    return None if guarded is None or guarded.channel is None else guarded.channel.channel_id


def _group_by_organisation(batch: Batch) -> Sequence[Batch]:
    """Split a batch by organisation. Return nothing if the batch has only one."""
    admissions: defaultdict[UUID, list[Waiting]] = defaultdict(list)
    settlements: defaultdict[UUID, list[AnySettlement]] = defaultdict(list)
    for waiting in batch.admissions:
        admissions[waiting[0].attempt.organisation_id].append(waiting)
    for item in batch.settlements:
        settlements[item.organisation_id].append(item)
    ids = dict.fromkeys((*admissions, *settlements))
    return (
        [Batch(admissions[id_], settlements[id_], batch.behind) for id_ in ids]
        if len(ids) > 1
        else ()
    )


def _strip_texts(item: AnySettlement) -> AnySettlement:
    flags = (*item.ending.flags, "unstorable")
    ending = msgspec.structs.replace(
        item.ending, message="", raw_usage=None, dropped=None, pricing=None, flags=flags
    )
    return msgspec.structs.replace(item, ending=ending)


def _void(request: AdmissionRequest, kind: ErrorKind) -> Settlement:
    return Settlement(
        organisation_id=request.attempt.organisation_id,
        attempt_id=request.attempt.id,
        state="voided",
        ending=_ending(kind),
        limited_channel_id=_limited_channel(request),
    )


def _refusal(request: AdmissionRequest, *, after_attempts: bool = False) -> Refusal:
    """Return the record of a request whose client has left."""
    attempt = request.attempt
    return Refusal(
        organisation_id=attempt.organisation_id,
        request_id=attempt.request_id,
        team_id=attempt.team_id,
        key_id=attempt.key_id,
        user_id=attempt.user_id,
        model=attempt.model,
        dialect=attempt.dialect,
        operation=attempt.operation,
        stream=attempt.stream,
        source=attempt.source,
        ending=_ending("client_closed"),
        after_attempts=after_attempts,
        project=attempt.project,
        tags=attempt.tags,
        customer=attempt.customer,
        client_app=attempt.client_app,
        end_user=attempt.end_user,
        session_id=attempt.session_id,
        session=attempt.session,
        prompt=attempt.prompt,
        prompt_version=attempt.prompt_version,
    )


def _abandoned_settlements(request: AdmissionRequest) -> list[AnySettlement]:
    """Return the settlements of a request whose client left after the previous attempt had failed:
    the settlement of that attempt's hold, if still open, and the record of the request, if there is
    none."""
    last = _refusal(request, after_attempts=True)
    if request.replaces is None:
        return [last]
    closed = _ending("client_closed")
    ending = msgspec.structs.replace(
        request.replaces.ending,
        final=True,
        status=closed.status,
        kind=closed.kind,
        message=closed.message,
    )
    return [msgspec.structs.replace(request.replaces, ending=ending), last]


def _ending(kind: ErrorKind) -> Ending:
    return Ending(final=True, status=KINDS[kind].status, kind=kind, message=message_of(kind))
