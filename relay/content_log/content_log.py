"""Writes the content log, behind the requests and never in their way.

    settled request --add--> waiting, in memory --one at a time--> redacted --> sealed --> Postgres
                                                          or an object of the store, then Postgres

What waits is bounded. A request that finds no room is not kept, and counted. So is what cannot be
redacted.
"""

import asyncio
import datetime as dt
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeVar
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
from lib.id_types import RequestId
from lib.ids import id_text, new_id
from lib.vault import Vault, VaultError
from relay.credentials.keys import Principal
from relay.database.database import PipelinedConnection
from relay.errors import DatabaseAway, DatabaseFailed
from relay.states.state_store import bytes_of, hex_of

if TYPE_CHECKING:
    from obstore.store import ObjectStore

log = logging.getLogger(__name__)
_Result = TypeVar("_Result")

WAITING_BYTES_MAX: Final = 64 * 1024 * 1024
"""How much may wait in the memory of one process."""
_BATCH_MAX: Final = 32
_BATCH_BYTES_MAX: Final = 2 * 1024 * 1024
# An object is worth a wait: it costs as much as many entries.
_OBJECT_ENTRIES_MAX: Final = 128
_OBJECT_BYTES_MAX: Final = 8 * 1024 * 1024
_OBJECT_AFTER_S: Final = 1.0
# What an entry takes beside its texts.
_ENTRY_BYTES: Final = 2048
# Above this size, texts are redacted, packed and sealed in another thread.
_HERE_MAX: Final = 16 * 1024
_AGAIN_S: Final = 1.0
_DATA_KEYS_MAX: Final = 10_000


class NewEntry(msgspec.Struct, frozen=True):
    """A settled request to keep. `at` is the database's time, in Unix seconds. `redact` are the
    guards whose findings are masked, `masked` the texts that are masked already, by placeholder,
    `cut` those that were cut, as `to_store` has them."""

    request_id: RequestId
    principal: Principal
    session_id: UUID | None
    model: str
    dialect: str
    operation: str
    status: int
    at: float
    epoch: int
    retention_hours: int
    redact: Sequence[str]
    masked: Mapping[str, str]
    kept: Kept
    cut: Mapping[str, str] = msgspec.field(default_factory=dict)

    @property
    def size(self) -> int:
        return _ENTRY_BYTES + len(self.kept.request) + len(self.kept.answer)


class _DataKey(msgspec.Struct, frozen=True):
    id: UUID
    cipher: AESGCM


class SealedEntries(msgspec.Struct):
    """The rows of sealed entries, the partitions that they need, and the object for their texts."""

    rows: list[dict[str, Any]]
    partitions: set[dt.datetime]
    object_id: UUID


class ContentLog:
    """The content log of one process. With a store, sealed texts are put there."""

    def __init__(
        self, connection: PipelinedConnection, vault: Vault, store: "ObjectStore | None" = None
    ) -> None:
        self._connection = connection
        self._vault = vault
        self._store = store
        self._batch_max, self._batch_bytes_max = _BATCH_MAX, _BATCH_BYTES_MAX
        if store is not None:
            self._batch_max, self._batch_bytes_max = _OBJECT_ENTRIES_MAX, _OBJECT_BYTES_MAX
        self._waiting = deque[NewEntry]()
        self._bytes = 0
        self._dropped = 0
        self._opened = False
        self._stopping = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._data_keys: dict[tuple[UUID, str], _DataKey] = {}
        self._partitions = set[dt.datetime]()
        self._epoch = -1

    def add(self, entry: NewEntry) -> bool:
        """Keep a request, unless too much waits already. Return whether it is kept."""
        if self._bytes + entry.size > WAITING_BYTES_MAX:
            self.count_dropped(1)
            return False
        self._waiting.append(entry)
        self._bytes += entry.size
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), context=Context())
        return True

    def count_dropped(self, number: int) -> None:
        """Count requests that should have been kept and are not."""
        self._dropped += number

    def take_dropped(self) -> int:
        """Return how many requests were not kept since the last call."""
        dropped, self._dropped = self._dropped, 0
        return dropped

    async def stop(self) -> None:
        """Write what waits, as far as the database and the store are available."""
        self._stopping.set()
        while self._worker is not None:
            await asyncio.wait([self._worker])
        await self._connection.close()

    async def _work(self) -> None:
        while self._waiting:
            if self._store is not None and not self._has_batch():
                await self._pause(_OBJECT_AFTER_S)
            batch = await self._redact(self._next_batch())
            try:
                await self._write_patiently(batch)
            except (DatabaseAway, StoreAway) as error:
                self._drop([*batch, *self._waiting], error)
                self._waiting.clear()
                break
            except DatabaseFailed:
                await self._write_each(batch)
            self._bytes -= sum(entry.size for entry in batch)
        self._worker = None

    def _has_batch(self) -> bool:
        return len(self._waiting) >= self._batch_max or self._bytes >= self._batch_bytes_max

    async def _pause(self, seconds: float) -> None:
        """Wait that long, or until the process stops."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _write_patiently(self, batch: list[NewEntry]) -> None:
        """Write entries as soon as the database and the store are available. Raises DatabaseFailed;
        DatabaseAway and StoreAway only if the process stops."""
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

    def _next_batch(self) -> list[NewEntry]:
        batch, size = [self._waiting.popleft()], 0
        while self._waiting and len(batch) < self._batch_max and size < self._batch_bytes_max:
            batch.append(self._waiting.popleft())
            size += batch[-1].size
        return batch

    async def _redact(self, batch: list[NewEntry]) -> list[NewEntry]:
        """Return the entries as they are stored, without those that cannot be redacted."""
        redacted = list[NewEntry]()
        for entry in batch:
            self._bytes -= entry.size
            after = await self._redact_one(entry)
            if after is None:
                continue
            self.count_dropped(len(after.kept.left_out))
            self._bytes += after.size
            redacted.append(after)
            # No request waits for more than one entry.
            await asyncio.sleep(0)
        return redacted

    async def _redact_one(self, entry: NewEntry) -> NewEntry | None:
        """Return an entry as it is stored, None if it cannot be redacted."""
        try:
            return await near_or_far(entry, partial(_redacted, entry))
        except Exception as error:
            # No text may stop the log. The error is not logged: it may contain the text.
            self._drop([entry], type(error).__name__)
            return None

    async def _write_each(self, batch: list[NewEntry]) -> None:
        """Write entries one by one, so that one that the database refuses affects no other."""
        self._data_keys.clear()
        self._partitions.clear()
        for entry in batch:
            try:
                await self._write(await self._seal([entry]))
            except (DatabaseFailed, StoreAway) as failed:
                self._drop([entry], failed)

    def _drop(self, entries: list[NewEntry], error: Exception | str) -> None:
        self.count_dropped(len(entries))
        log.warning("%d requests are missing from the content log: %s", len(entries), error)

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
            row = partial(_row, entry, created_at, dropped_at, data_key, encode)
            sealed.rows.append(await near_or_far(entry, row))
            # No request waits for more than one entry.
            await asyncio.sleep(0)
        return sealed

    async def _write(self, sealed: SealedEntries) -> None:
        """Write sealed entries; called again, go on where it failed. Raises DatabaseFailed,
        StoreAway."""
        if self._store is not None:
            await _put(self._store, sealed)
        statements = [make_partition(at.isoformat()) for at in sealed.partitions]
        await self._connection.run([*statements, *map(add_entry, sealed.rows)])
        self._partitions |= sealed.partitions

    async def _data_key(self, entry: NewEntry) -> _DataKey | None:
        """Return the data key of the caller, None if the person has left. Raises DatabaseFailed."""
        principal = entry.principal
        if entry.epoch != self._epoch:
            # Who was erased and came back has another key.
            self._epoch = entry.epoch
            self._data_keys.clear()
        organisation = principal.organisation_id
        owner = owner_of(principal.user_id, principal.key_id)
        known = self._data_keys.get((organisation, owner))
        if known is not None:
            return known
        id, fresh = new_id(), new_data_key()
        sealed = hex_of(self._vault.seal_bytes(fresh, place_of_key(id)))
        user = "" if principal.user_id is None else principal.user_id
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
    principal = entry.principal
    place = place_of_entry(principal.organisation_id, entry.request_id)
    expires_at = created_at + dt.timedelta(hours=entry.retention_hours)
    return {
        "drop_at": dropped_at.isoformat(),
        "request": entry.request_id,
        "created_at": created_at.isoformat(),
        "expires_at": expires_at.isoformat(),
        "organisation": principal.organisation_id,
        "team": principal.team_id,
        "key": principal.key_id,
        "user": "" if principal.user_id is None else principal.user_id,
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


async def near_or_far(entry: NewEntry, work: Callable[[], _Result]) -> _Result:
    """Do work on an entry; on a large one in another thread, so that no request waits for it."""
    return work() if entry.size <= _HERE_MAX else await asyncio.to_thread(work)


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
    rules = redacting_rules(entry.principal.guard_rules, entry.redact)
    kept = to_store(entry.kept, fold, Redaction(rules, entry.masked), entry.cut)
    return msgspec.structs.replace(entry, kept=kept, masked={}, cut={})
