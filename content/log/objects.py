"""Sealed texts of the content log in an object store: those of one batch in one object, in a folder
for the time at which they are dropped.

    content/2026-11-30T00/<id of the object>      the time is `drop_at`, in UTC

An object is written before the entries that are in it. One that no entry names, because the process
ended in between, is deleted with its folder."""

import asyncio
import datetime as dt
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_FOLDER: Final = "content"
_TIME: Final = "%Y-%m-%dT%H"
_TIMED: Final = re.compile(rf"{_FOLDER}/(\d{{4}}-\d\d-\d\dT\d\d)")
_WRITE_S: Final = 10.0
READ_S: Final = 30.0
"""How long the objects of one batch of entries may take."""
_READ_AT_ONCE: Final = 16
# Ranges that are not farther apart are read as one.
_GAP_BYTES: Final = 64 * 1024
_DELETED_AT_ONCE: Final = 1_000


class StoreAway(Exception):
    """The object store did not do what it was asked to do; the text says why."""


class Place(NamedTuple):
    """Where a sealed text is: in which object, and from which byte, how many bytes long."""

    object_id: UUID
    offset: int
    length: int


async def put_texts(
    store: "ObjectStore",
    drop_at: dt.datetime,
    id: UUID,
    sealed: Sequence[bytes],
    within_s: float = _WRITE_S,
) -> list[Place]:
    """Write sealed texts as the object with that id, and return their places. Raises StoreAway: the
    object may have been written then."""
    places, offset = list[Place](), 0
    for text in sealed:
        places.append(Place(id, offset, len(text)))
        offset += len(text)
    try:
        async with asyncio.timeout(within_s):
            # In parts, an upload that breaks off would leave them in the store, unseen.
            await store.put_async(_name(drop_at, id), b"".join(sealed), use_multipart=False)
    except Exception as error:
        raise _away(error) from error
    return places


async def get_texts(
    store: "ObjectStore", places: Iterable[tuple[dt.datetime, Place]], within_s: float = READ_S
) -> dict[Place, bytes]:
    """Return the sealed texts at these places, each with its `drop_at`, without those that are
    missing, or cut off in a damaged object. Raises StoreAway."""
    by_object, texts = defaultdict[str, list[Place]](list), dict[Place, bytes]()
    for drop_at, place in places:
        by_object[_name(drop_at, place.object_id)].append(place)
    turns, missing = asyncio.Semaphore(_READ_AT_ONCE), list[str]()

    async def get(name: str, parts: list[Place]) -> None:
        async with turns:
            try:
                texts.update(await _read(store, name, parts))
            except FileNotFoundError:
                missing.append(name)

    try:
        async with asyncio.timeout(within_s):
            await asyncio.gather(*(get(name, parts) for name, parts in by_object.items()))
            listing: Any = missing and await store.list_with_delimiter_async(_FOLDER)
    except Exception as error:
        raise _away(error) from error
    if missing and not listing["common_prefixes"]:
        # A folder that is not mounted looks like one in which nothing was ever written.
        raise StoreAway("it is empty")
    return texts


async def _read(store: "ObjectStore", name: str, parts: Sequence[Place]) -> dict[Place, bytes]:
    """Return those of an object's texts that it has as a whole."""
    try:
        pieces = await store.get_ranges_async(
            name,
            starts=[part.offset for part in parts],
            lengths=[part.length for part in parts],
            coalesce=_GAP_BYTES,
        )
    except FileNotFoundError:
        raise
    except Exception:
        # Errors of texts beyond the end do not say so.
        size = (await store.head_async(name))["size"]
        whole = [part for part in parts if part.offset + part.length <= size]
        if len(whole) == len(parts):
            raise
        return await _read(store, name, whole) if whole else {}
    texts = zip(parts, map(bytes, pieces), strict=True)
    return {part: text for part, text in texts if len(text) == part.length}


def drop_texts(store: "ObjectStore", until: dt.datetime) -> None:
    """Delete the objects that are dropped until then. Raises StoreAway."""
    try:
        folders = store.list_with_delimiter(_FOLDER)["common_prefixes"]
        for folder in folders:
            timed = _TIMED.fullmatch(folder)
            if timed and dt.datetime.strptime(timed[1], _TIME).replace(tzinfo=dt.UTC) <= until:
                _drop_folder(store, folder)
    except Exception as error:
        raise _away(error) from error


def _drop_folder(store: Any, folder: str) -> None:
    if isinstance(root := getattr(store, "prefix", None), Path):
        # A store that is a folder does not list files that it could not write to their end.
        with suppress(FileNotFoundError):
            shutil.rmtree(root / folder)
        return
    for listed in store.list(folder, chunk_size=_DELETED_AT_ONCE):
        # Another run of the job may delete them too.
        with suppress(FileNotFoundError):
            store.delete([one["path"] for one in listed])


def _name(drop_at: dt.datetime, id: UUID) -> str:
    return f"{_FOLDER}/{drop_at.astimezone(dt.UTC):{_TIME}}/{id}"


def _away(error: Exception) -> StoreAway:
    if isinstance(error, TimeoutError):
        return StoreAway("it gave no answer in time")
    # The other lines of an error of obstore repeat the request.
    return StoreAway(str(error).partition("\n")[0])
