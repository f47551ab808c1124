"""Sends usage records to the record sink, in rounds of batches (`usage/sinks/rounds.py`).

A round's end is stored before its first batch is sent. So a batch that is sent again after a crash
has the same records and the same id, unless the sink is filled for the first time: then it may also
have records that were written meanwhile.
"""

import datetime as dt
import hashlib
import time
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec
from django.conf import settings

from extensions.record_sink.models import RecordSinkCursor
from extensions.record_sink.receiver import Batch, Receiver, open_receiver
from extensions.record_sink.records import ROW, line_of
from lib.ids import id_text, new_id
from usage.filters.visibility import NIL, run
from usage.rollups.rollups import SETTLED_AT
from usage.sinks import rounds
from usage.sinks.usage_sink import Backlog, SinkError

# mypy knows only the settings of config/settings.py.
_SETTINGS: Final[Any] = settings
_LOCK: Final = 8113072043
_RUN_S: Final = 20.0
_DELIVER_S: Final = 60.0


def is_used() -> bool:
    """Return whether the installation has a record sink."""
    return bool(_SETTINGS.RECORD_SINK_URL)


def backlog() -> Backlog:
    """Return the state of the sink."""
    return rounds.backlog_of(RecordSinkCursor.objects.first())


def send() -> int:
    """Send new records for at most about twenty seconds. Return how many; 0 without a record sink,
    or if another process is sending. Raises SinkError."""
    return _send()


def send_all_again() -> int:
    """Send all records, from the first. Return how many. Raises SinkError."""
    if not is_used():
        raise SinkError("RECORD_SINK_URL is not set")
    with rounds.try_lock(_LOCK, wait=True):
        RecordSinkCursor.objects.update(receiver="")
    sent = _send(wait=True)
    while RecordSinkCursor.objects.get().complete_to is None:
        sent += _send(wait=True)
    return sent


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
    # What is being sent may still be of before.
    with rounds.try_lock(_LOCK, wait=True), open_receiver(_DELIVER_S) as receiver:
        receiver.put(Batch(id, "erasures/person", msgspec.json.encode(notice) + b"\n"))


def _send(*, wait: bool = False) -> int:
    if not is_used():
        return 0
    RecordSinkCursor.objects.get_or_create(id=1)
    with rounds.try_lock(_LOCK, wait=wait) as alone:
        if not alone:
            return 0
        try:
            with open_receiver(_RUN_S + _DELIVER_S) as receiver:
                sent = _send_batches(receiver)
        except SinkError as error:
            RecordSinkCursor.objects.update(error=str(error)[:200])
            raise
    RecordSinkCursor.objects.exclude(error="").update(error="")
    return sent


def _send_batches(receiver: Receiver) -> int:
    _restart_if_other()
    sent, more, until = 0, True, time.monotonic() + _RUN_S
    while more and time.monotonic() < until:
        rows, more = _send_batch(receiver, RecordSinkCursor.objects.get())
        sent += rows
    return sent


def _restart_if_other() -> None:
    """Begin with the first record if the address, or the database's server, is another one."""
    cursor = RecordSinkCursor.objects.get()
    receiver = hashlib.sha256(_SETTINGS.RECORD_SINK_URL.encode()).hexdigest()
    if cursor.receiver != receiver or rounds.is_ahead(cursor):
        rounds.restart(RecordSinkCursor, new_id(), receiver=receiver)


def _send_batch(receiver: Receiver, cursor: RecordSinkCursor) -> tuple[int, bool]:
    """Send one batch of the current round, or of a new round. Return the number of records, and
    whether more may be waiting: after a round that began earlier, another one."""
    is_new = not cursor.target
    if is_new:
        rounds.begin(cursor, run(SETTLED_AT, {})[0][0])
    rows = rounds.read_batch(cursor, ROW, receiver.records_max)
    if rows:
        if is_new:
            RecordSinkCursor.objects.filter(id=1).update(
                target=cursor.target, target_to=cursor.target_to
            )
        receiver.put(_batch_of(cursor, rows))
    more = rounds.step(cursor, rows, receiver.records_max)
    return len(rows), more or not is_new


def _batch_of(cursor: RecordSinkCursor, rows: Sequence[rounds.Row]) -> Batch:
    first, last = rows[0], rows[-1]
    id = uuid5(cursor.fill, f"{first.xid}:{first.id} to {last.xid}:{last.id}")
    day = dt.datetime.fromtimestamp((first.id.int >> 80) / 1000, dt.UTC)
    name = f"records/{day:%Y-%m-%d}/{cursor.batches + 1:012}"
    return Batch(id, name, b"".join(line_of(row.text) for row in rows))
