"""A stream of batches to the receiver: usage records, or what the content log keeps."""

import datetime as dt
import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar
from uuid import uuid5

from django.conf import settings

from extensions.record_sink.models import ReceiverCursor
from extensions.record_sink.receiver import Batch, Receiver, open_receiver
from lib.database.advisory_locks import AdvisoryLock
from lib.ids import new_id
from usage.sinks import rounds
from usage.sinks.usage_sink import SinkError

_Cursor = TypeVar("_Cursor", bound=ReceiverCursor)

# mypy knows only the settings of config/settings.py.
_SETTINGS: Final[Any] = settings
_RUN_S: Final = 20.0
DELIVER_S: Final = 60.0


class Stream(NamedTuple, Generic[_Cursor]):
    """What is sent, by the cursor that has its progress. Only the process that holds the lock
    sends. `send_batch` sends one batch of the current round, or of a new round, and returns how
    many it has, and whether more may be waiting. It raises SinkError."""

    cursors: type[_Cursor]
    lock: AdvisoryLock
    send_batch: Callable[[Receiver, _Cursor], tuple[int, bool]]


def send(stream: Stream[_Cursor], *, wait: bool = False) -> int:
    """Send what is new for at most about twenty seconds. Return how many; 0 if another process is
    sending, unless it waits for that. Raises SinkError."""
    cursors = stream.cursors._default_manager
    cursors.get_or_create(id=1)
    with rounds.try_lock(stream.lock, wait=wait) as alone:
        if not alone:
            return 0
        try:
            with open_receiver(_RUN_S + DELIVER_S) as receiver:
                sent = _send_batches(stream, receiver)
        except SinkError as error:
            cursors.update(error=str(error)[:200])
            raise
    cursors.exclude(error="").update(error="")
    return sent


def send_again(stream: Stream[_Cursor]) -> int:
    """Send everything, from the first. Return how many. Raises SinkError."""
    cursors = stream.cursors._default_manager
    with rounds.try_lock(stream.lock, wait=True):
        cursors.update(receiver="")
    sent = send(stream, wait=True)
    while cursors.get().complete_to is None:
        sent += send(stream, wait=True)
    return sent


def batch_of(
    folder: str, cursor: ReceiverCursor, rows: Sequence[rounds.Row], lines: bytes
) -> Batch:
    """Return the batch of these rows, which has the same id whenever it is sent again."""
    first, last = rows[0], rows[-1]
    id = uuid5(cursor.fill, f"{first.xid}:{first.id} to {last.xid}:{last.id}")
    day = dt.datetime.fromtimestamp((first.id.int >> 80) / 1000, dt.UTC)
    return Batch(id, f"{folder}/{day:%Y-%m-%d}/{cursor.batches + 1:012}", lines)


def _send_batches(stream: Stream[_Cursor], receiver: Receiver) -> int:
    _restart_if_other(stream)
    sent, more, until = 0, True, time.monotonic() + _RUN_S
    while more and time.monotonic() < until:
        number, more = stream.send_batch(receiver, stream.cursors._default_manager.get())
        sent += number
    return sent


def _restart_if_other(stream: Stream[_Cursor]) -> None:
    """Begin with the first row if the address, or the database's server, is another one."""
    cursor = stream.cursors._default_manager.get()
    receiver = hashlib.sha256(_SETTINGS.RECORD_SINK_URL.encode()).hexdigest()
    if cursor.receiver != receiver or rounds.is_ahead(cursor):
        rounds.restart(stream.cursors, new_id(), receiver=receiver)
