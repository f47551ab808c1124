"""Sends usage records to the record sink, in rounds of batches (`usage/sinks/rounds.py`).

A round's end is stored before its first batch is sent. So a batch that is sent again after a crash
has the same records and the same id, unless the sink is filled for the first time: then it may also
have records that were written meanwhile.
"""

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec
from django.conf import settings

from extensions.record_sink import contents, stream
from extensions.record_sink.models import ContentSinkCursor, RecordSinkCursor
from extensions.record_sink.receiver import Batch, Receiver, open_receiver
from extensions.record_sink.records import ROW, line_of
from lib.database.advisory_locks import AdvisoryLock
from lib.ids import id_text
from usage.filters.visibility import NIL, run
from usage.rollups.rollups import SETTLED_AT
from usage.sinks import rounds
from usage.sinks.usage_sink import Backlog, SinkError

# mypy knows only the settings of config/settings.py.
_SETTINGS: Final[Any] = settings
_LOCK: Final = AdvisoryLock.RECORD_SINK


def is_used() -> bool:
    """Return whether the installation has a record sink."""
    return bool(_SETTINGS.RECORD_SINK_URL)


def was_used() -> bool:
    """Return whether records or contents were ever sent to a record sink."""
    return RecordSinkCursor.has_sent() or ContentSinkCursor.has_sent()


def backlog() -> Backlog:
    """Return the state of the sink."""
    return rounds.backlog_of(RecordSinkCursor.objects.first())


def send() -> int:
    """Send new records for at most about twenty seconds. Return how many; 0 without a record sink,
    or if another process is sending. Raises SinkError."""
    return stream.send(_RECORDS) if is_used() else 0


def send_all_again() -> int:
    """Send all records, from the first. Return how many. Raises SinkError."""
    if not is_used():
        raise SinkError("RECORD_SINK_URL is not set")
    return stream.send_again(_RECORDS)


def forget_person(
    user_id: int, addresses: Sequence[str], pseudonym: str, organisations: Sequence[UUID]
) -> None:
    """Ask the sink to erase a user: Weir cannot change what was sent. Raises SinkError."""
    if not is_used():
        return
    here = sorted(map(id_text, organisations))
    notice = {
        "type": "person_erased",
        "user_id": user_id,
        "organisation_ids": here,
        "pseudonym": pseudonym,
        # The address itself must not stay in the sink.
        "address_sha256": [
            hashlib.sha256(address.lower().encode()).hexdigest() for address in addresses
        ],
    }
    # Each erasure has a pseudonym of its own, and keeps it when it is tried again.
    id = uuid5(NIL, f"erasure as {pseudonym}")
    with ExitStack() as stack:
        # What is being sent may still be of before.
        for lock in (_LOCK, contents.LOCK):
            stack.enter_context(rounds.try_lock(lock, wait=True))
        receiver = stack.enter_context(open_receiver(stream.DELIVER_S))
        receiver.put(Batch(id, "erasures/person", msgspec.json.encode(notice) + b"\n"))


def _send_batch(receiver: Receiver, cursor: RecordSinkCursor) -> tuple[int, bool]:
    """Send one batch of the current round, or of a new round. Return the number of records, and
    whether more may be waiting: after a round that began earlier, another one."""
    is_new = not cursor.target
    if is_new:
        rounds.begin(cursor, run(SETTLED_AT, {})[0][0])
    rows = rounds.read_batch(cursor, ROW, receiver.records_max)
    if rows:
        if is_new:
            rounds.store_target(cursor)
        lines = b"".join(line_of(row.text) for row in rows)
        receiver.put(stream.batch_of("records", cursor, rows, lines))
    more = rounds.step(cursor, rows, more=len(rows) == receiver.records_max)
    return len(rows), more or not is_new


_RECORDS: Final = stream.Stream(RecordSinkCursor, _LOCK, _send_batch)
