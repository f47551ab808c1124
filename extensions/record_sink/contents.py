"""Sends what the content log keeps to the record sink, in rounds of batches as usage records.

An entry is opened when it is sent, so the sink gets nothing that has expired, or whose data key was
destroyed. The entry that the end of a media task changes is sent again.
"""

import datetime as dt
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet

from content.log.kept import Kept
from content.log.lines import json_line, line_of
from content.log.log import try_open
from content.log.names import names_of
from content.log.sealed import TextsAway, take_sealed
from content.models import DataKey, Entry
from content.sinks.sinks import ContentBacklog
from extensions.record_sink import stream
from extensions.record_sink.models import ContentSinkCursor
from extensions.record_sink.receiver import Receiver
from lib import clock
from lib.database.advisory_locks import AdvisoryLock
from lib.ids import id_text
from usage.filters.visibility import run
from usage.sinks import rounds
from usage.sinks.usage_sink import SinkError

log = logging.getLogger(__name__)

LOCK: Final = AdvisoryLock.RECORD_SINK_TEXTS
# mypy knows only the settings of config/settings.py.
_SETTINGS: Final[Any] = settings
_Id = tuple[dt.datetime, UUID]


class _Place(msgspec.Struct):
    """Where a row of a round is, when it expires, and how large its texts are."""

    drop_at: dt.datetime
    expires_at: dt.datetime
    bytes: int


_place_of: Final[Callable[[str], _Place]] = msgspec.json.Decoder(_Place).decode


def is_used() -> bool:
    """Return whether the installation sends what the content log keeps."""
    return bool(_SETTINGS.RECORD_SINK_URL and _SETTINGS.RECORD_SINK_CONTENT)


def backlog() -> ContentBacklog:
    """Return the state of sending."""
    cursor = ContentSinkCursor.objects.first()
    state = rounds.backlog_of(cursor, rounds.ENTRIES)
    return ContentBacklog(*state, expired=cursor.expired if cursor else 0)


def send() -> int:
    """Send new entries for at most about twenty seconds. Return how many; 0 if contents are not
    sent, or if another process is sending. Raises SinkError."""
    return stream.send(_ENTRIES) if is_used() else 0


def send_all_again() -> int:
    """Send all entries, from the first. Return how many; 0 if contents are not sent. Raises
    SinkError."""
    return stream.send_again(_ENTRIES) if is_used() else 0


def count_expired(drop_at: dt.datetime) -> None:
    """Count the entries that are dropped then and were not sent. Those of erased people are not
    missed."""
    ContentSinkCursor.objects.get_or_create(id=1)
    cursor = ContentSinkCursor.objects.select_for_update().get()
    where, parameters = rounds.unsent(cursor, rounds.ENTRIES)
    text = _COUNT_UNSENT.format(where=where)
    _add_expired(run(text, {**parameters, "drop_at": drop_at})[0][0])


def _send_batch(receiver: Receiver, cursor: ContentSinkCursor) -> tuple[int, bool]:
    """Send one batch of the current round, or of a new round. Return the number of entries, and
    whether more may be waiting: after a round that began earlier, another one."""
    is_new = not cursor.target
    if is_new:
        rounds.begin_entries(cursor)
    waiting = rounds.read_batch(cursor, _PLACE, receiver.records_max, rounds.ENTRIES)
    places = [_place_of(row.text) for row in waiting]
    fitting = _fitting(places, receiver.content_bytes_max)
    rows, places = waiting[:fitting], places[:fitting]
    if rows and is_new:
        rounds.store_target(cursor)
    now = clock.now()
    live, expired = list[_Id](), list[_Id]()
    for row, place in zip(rows, places, strict=True):
        (live if place.expires_at > now else expired).append((place.drop_at, row.id))
    lines = list(_lines(live))
    if lines:
        receiver.put(stream.batch_of("contents", cursor, rows, b"".join(lines)))
    more = len(rows) < len(waiting) or len(waiting) == receiver.records_max
    with transaction.atomic():
        # Who drops a partition counts what is unsent in it, under the same lock.
        ContentSinkCursor.objects.select_for_update().get()
        missed = _entries(expired).filter(data_key_id__in=DataKey.objects.values("id"))
        _add_expired(missed.count())
        more = rounds.step(cursor, rows, more=more)
    return len(lines), more or not is_new


def _fitting(places: Sequence[_Place], bytes_max: int) -> int:
    """Return how many of the first rows a batch has. The first one always fits."""
    size = 0
    for number, place in enumerate(places):
        size += place.bytes
        if number and size > bytes_max:
            return number
    return len(places)


def _lines(ids: Sequence[_Id]) -> Iterator[bytes]:
    """Yield the lines of entries in this order, without those that can no longer be read. Raises
    SinkError."""
    by_id = {entry.request_id: entry for entry in _entries(ids)}
    names, data_keys = names_of(by_id.values()), dict[UUID, AESGCM | None]()
    try:
        sealed = take_sealed(by_id.values())
    except TextsAway as away:
        raise SinkError("the object store of the content log cannot be read") from away
    for _, id in ids:
        # Its partition may have been dropped meanwhile.
        if id in by_id and (opened := _open(by_id[id], sealed, data_keys)):
            yield json_line({"type": "content", **line_of(*opened, names)})


def _open(
    entry: Entry, sealed: dict[UUID, bytes], data_keys: dict[UUID, AESGCM | None]
) -> tuple[Entry, Kept] | None:
    """Return an entry with what it contains; None if it can no longer be read. Raises SinkError if
    only this process cannot open it."""
    opened = try_open(entry, sealed, data_keys)
    if opened is None and DataKey.objects.filter(id=entry.data_key_id).exists():
        if data_keys[entry.data_key_id] is None:
            raise SinkError("a data key of the content log does not open here")
        text = "request %s is not sent: its text is missing or damaged"
        log.warning(text, id_text(entry.request_id))
    return opened


def _entries(ids: Sequence[_Id]) -> QuerySet[Entry]:
    return Entry.objects.filter(
        drop_at__in={at for at, _ in ids}, request_id__in=[id for _, id in ids]
    )


def _add_expired(number: int) -> None:
    if number:
        ContentSinkCursor.objects.update(expired=F("expired") + number)
        log.warning("%d entries of the content log expired before they were sent", number)


_ENTRIES: Final = stream.Stream(ContentSinkCursor, LOCK, _send_batch)
_PLACE: Final = """json_build_object(
        'drop_at', r.drop_at, 'expires_at', r.expires_at, 'bytes', r.content_bytes)::text"""
_COUNT_UNSENT: Final = """
    SELECT count(*) FROM content_entry r
    WHERE r.drop_at = %(drop_at)s AND {where}
      AND EXISTS (SELECT FROM content_datakey k WHERE k.id = r.data_key_id)"""
