"""Writes the entries of the content log, in a process of its own (`writer_process.py`).

    entry --add--> waiting, in memory --in batches--> redacted --> sealed --> Postgres
                                                         or an object of the store, then Postgres

What cannot be redacted is not kept, and counted.
"""

import asyncio
import datetime as dt
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from content.data_keys.sealing import new_data_key, owner_of, place_of_entry, place_of_key, seal
from content.log.folding import fold_stream
from content.log.kept import Kept, pack
from content.log.objects import StoreAway, put_texts
from content.log.redaction import Redaction, redacting_rules
from content.log.sql import add_entry, find_data_key, make_partition
from content.log.stored import to_store
from content.rules.rules import drop_at
from lib.ids import id_text, new_id
from lib.vault import Vault, VaultError
from relay.content_log.entry import Ended, NewEntry, SpanContent, Submitted
from relay.database.database import PipelinedConnection, bytes_of, hex_of
from relay.errors import DatabaseAway, DatabaseFailed

if TYPE_CHECKING:
    from obstore.store import ObjectStore

log = logging.getLogger(__name__)

Describe = Callable[[Kept, str, str], SpanContent]
"""Returns what a span says of a stored request, from it, its dialect and its model."""

_BATCH_MAX: Final = 32
_BATCH_BYTES_MAX: Final = 2 * 1024 * 1024
# An object is worth a wait: it costs as much as many entries.
_OBJECT_ENTRIES_MAX: Final = 128
_OBJECT_BYTES_MAX: Final = 8 * 1024 * 1024
_OBJECT_AFTER_S: Final = 1.0
_AGAIN_S: Final = 1.0
_DATA_KEYS_MAX: Final = 10_000
# How long a writer waits for the next entry before it ends.
IDLE_S: Final = 300.0


class _DataKey(msgspec.Struct, frozen=True):
    id: UUID
    cipher: AESGCM


class SealedEntries(msgspec.Struct):
    """The rows of sealed entries, the partitions that they need, and the object for their texts."""

    rows: list[dict[str, Any]]
    partitions: set[dt.datetime]
    object_id: UUID


class EntryWriter:
    """Writes entries in their order. With a store, sealed texts are put there. `report` is told
    what becomes of each batch; `describe` is asked for what spans say."""

    def __init__(
        self,
        connection: PipelinedConnection,
        vault: Vault,
        report: Callable[[Ended], None],
        store: "ObjectStore | None" = None,
        describe: Describe | None = None,
    ) -> None:
        self._connection = connection
        self._vault = vault
        self._report = report
        self._store = store
        self._describe = describe
        self._batch_max, self._batch_bytes_max = _BATCH_MAX, _BATCH_BYTES_MAX
        if store is not None:
            self._batch_max, self._batch_bytes_max = _OBJECT_ENTRIES_MAX, _OBJECT_BYTES_MAX
        self._waiting = deque[Submitted]()
        self._bytes = 0
        self._added = asyncio.Event()
        self._stopping = asyncio.Event()
        self._opened = False
        self._data_keys: dict[tuple[UUID, str], _DataKey] = {}
        self._partitions = set[dt.datetime]()
        self._epoch = -1
        # Of the batch that is written: what is not kept of it, and what its spans say.
        self._dropped = 0
        self._contents: dict[UUID, SpanContent] = {}
        self._written: dict[UUID, SpanContent] = {}

    def add(self, submitted: Submitted) -> None:
        """Write an entry after those that wait."""
        self._waiting.append(submitted)
        self._bytes += submitted.entry.size
        self._added.set()

    def stop(self) -> None:
        """Let `run` return when what waits is written, as far as the database and the store are
        available."""
        self._stopping.set()
        self._added.set()

    async def run(self) -> None:
        """Write entries until `stop`, or until none has come for a while."""
        while await self._wait_for_entries():
            if self._store is not None and not self._has_batch():
                await self._pause(_OBJECT_AFTER_S)
            submitted = self._next_batch()
            ended = len(submitted)
            self._dropped, self._contents, self._written = 0, {}, {}
            batch = self._redact(submitted)
            try:
                await self._write_patiently(batch)
            except (DatabaseAway, StoreAway) as error:
                ended += len(self._waiting)
                self._drop(len(batch) + len(self._waiting), error)
                self._waiting.clear()
                self._bytes = 0
            except DatabaseFailed:
                await self._write_each(batch)
            self._report(Ended(ended, self._dropped, self._written))
        await self._connection.close()

    async def _wait_for_entries(self) -> bool:
        """Return whether an entry waits; wait for one, unless the writer stops."""
        with suppress(TimeoutError):
            async with asyncio.timeout(IDLE_S):
                while not self._waiting and not self._stopping.is_set():
                    self._added.clear()
                    await self._added.wait()
        return bool(self._waiting)

    def _has_batch(self) -> bool:
        return len(self._waiting) >= self._batch_max or self._bytes >= self._batch_bytes_max

    async def _pause(self, seconds: float) -> None:
        """Wait that long, or until the writer stops."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _write_patiently(self, batch: list[NewEntry]) -> None:
        """Write entries as soon as the database and the store are available. Raises DatabaseFailed;
        DatabaseAway and StoreAway only if the writer stops."""
        sealed, warned = None, False
        while True:
            try:
                sealed = sealed or await self._seal(batch)
                await self._write(sealed)
                return
            except (DatabaseAway, StoreAway) as error:
                if self._stopping.is_set():
                    raise
                if isinstance(error, StoreAway) and not warned:
                    log.warning("the store of the content log cannot be written: %s", error)
                    warned = True
            await self._pause(_AGAIN_S)

    def _next_batch(self) -> list[Submitted]:
        batch, size = list[Submitted](), 0
        while self._waiting and len(batch) < self._batch_max and size < self._batch_bytes_max:
            batch.append(self._waiting.popleft())
            size += batch[-1].entry.size
        self._bytes -= size
        return batch

    def _redact(self, batch: list[Submitted]) -> list[NewEntry]:
        """Return the entries as they are stored, without those that cannot be redacted."""
        stored = list[NewEntry]()
        for submitted in batch:
            entry = submitted.entry
            try:
                after = _redacted(entry)
            except Exception as error:
                # No text may stop the log. The error is not logged: it may contain the text.
                self._drop(1, type(error).__name__)
                continue
            self._dropped += len(after.kept.left_out)
            stored.append(after)
            if submitted.described and self._describe is not None:
                content = self._describe(after.kept, entry.dialect, entry.model)
                self._contents[entry.request_id] = content
        return stored

    async def _write_each(self, batch: list[NewEntry]) -> None:
        """Write entries one by one, so that one that the database refuses affects no other."""
        self._data_keys.clear()
        self._partitions.clear()
        for entry in batch:
            try:
                await self._write(await self._seal([entry]))
            except (DatabaseFailed, StoreAway) as failed:
                self._drop(1, failed)

    def _drop(self, number: int, error: Exception | str) -> None:
        self._dropped += number
        log.warning("%d requests are missing from the content log: %s", number, error)

    async def _seal(self, batch: list[NewEntry]) -> SealedEntries:
        """Raises DatabaseFailed."""
        if not self._opened:
            await self._connection.open()
            self._opened = True
        sealed = SealedEntries([], set(), new_id())
        for entry in batch:
            created_at = dt.datetime.fromtimestamp(entry.at, dt.UTC)
            dropped_at = drop_at(created_at, entry.retention_hours)
            if dropped_at not in self._partitions:
                sealed.partitions.add(dropped_at)
            data_key = await self._data_key(entry)
            if data_key is None:
                continue
            encode = hex_of if self._store is None else bytes
            sealed.rows.append(_row(entry, created_at, dropped_at, data_key, encode))
        return sealed

    async def _write(self, sealed: SealedEntries) -> None:
        """Write sealed entries; called again, go on where it failed. Raises DatabaseFailed,
        StoreAway."""
        if self._store is not None:
            await _put(self._store, sealed)
        statements = [make_partition(at.isoformat()) for at in sealed.partitions]
        await self._connection.run([*statements, *map(add_entry, sealed.rows)])
        self._partitions |= sealed.partitions
        for row in sealed.rows:
            if (content := self._contents.get(row["request"])) is not None:
                self._written[row["request"]] = content

    async def _data_key(self, entry: NewEntry) -> _DataKey | None:
        """Return the data key of the caller, None if the person has left. Raises DatabaseFailed."""
        caller = entry.caller
        if entry.epoch != self._epoch:
            # Who was erased and came back has another key.
            self._epoch = entry.epoch
            self._data_keys.clear()
        organisation = caller.organisation_id
        owner = owner_of(caller.user_id, caller.key_id)
        known = self._data_keys.get((organisation, owner))
        if known is not None:
            return known
        id, fresh = new_id(), new_data_key()
        sealed = hex_of(self._vault.seal_bytes(fresh, place_of_key(id)))
        user = "" if caller.user_id is None else caller.user_id
        statements = find_data_key(organisation, owner, user, id, sealed)
        *_, rows = await self._connection.run(statements)
        if not rows:
            return None
        stored_id, stored = rows[0]
        key_id = UUID(stored_id)
        try:
            opened = self._vault.open_bytes(bytes_of(stored), place_of_key(key_id))
        except VaultError as error:
            raise DatabaseFailed(f"the data key {key_id} does not open") from error
        if len(self._data_keys) >= _DATA_KEYS_MAX:
            self._data_keys.clear()
        data_key = self._data_keys[organisation, owner] = _DataKey(key_id, AESGCM(opened))
        return data_key


def _row(
    entry: NewEntry,
    created_at: dt.datetime,
    dropped_at: dt.datetime,
    data_key: _DataKey,
    encode: Callable[[bytes], object],
) -> dict[str, Any]:
    caller = entry.caller
    place = place_of_entry(caller.organisation_id, entry.request_id)
    expires_at = created_at + dt.timedelta(hours=entry.retention_hours)
    return {
        "drop_at": dropped_at.isoformat(),
        "request": entry.request_id,
        "created_at": created_at.isoformat(),
        "expires_at": expires_at.isoformat(),
        "organisation": caller.organisation_id,
        "team": caller.team_id,
        "key": caller.key_id,
        "user": "" if caller.user_id is None else caller.user_id,
        "session": entry.session_id or "",
        "model": entry.model,
        "dialect": entry.dialect,
        "operation": entry.operation,
        "status": entry.status,
        "data_key": data_key.id,
        "bytes": len(entry.kept.request) + len(entry.kept.answer),
        "sealed": encode(seal(data_key.cipher, pack(entry.kept), place)),
        "object": None,
        "offset": None,
        "length": None,
    }


async def _put(store: "ObjectStore", sealed: SealedEntries) -> None:
    """Put the texts that are not in the store yet there, those of each `drop_at` into an object of
    its own, and their places into the rows. Raises StoreAway."""
    by_time = itemgetter("drop_at")
    rows = sorted((row for row in sealed.rows if row["sealed"] is not None), key=by_time)
    for at, same in groupby(rows, by_time):
        of_object = list(same)
        texts = [row["sealed"] for row in of_object]
        places = await put_texts(store, dt.datetime.fromisoformat(at), sealed.object_id, texts)
        for row, place in zip(of_object, places, strict=True):
            row |= {
                "sealed": None,
                "object": place.object_id,
                "offset": place.offset,
                "length": place.length,
            }


def _redacted(entry: NewEntry) -> NewEntry:
    """Return an entry with what is stored of it."""
    fold = partial(
        fold_stream,
        request=entry.kept.request,
        dialect=entry.dialect,
        operation=entry.operation,
        model=entry.model,
        request_id=id_text(entry.request_id),
        received_at=int(entry.at),
    )
    rules = redacting_rules(entry.caller.guard_rules, entry.redact)
    kept = to_store(entry.kept, fold, Redaction(rules, entry.masked), entry.cut)
    return msgspec.structs.replace(entry, kept=kept, masked={}, cut=())
