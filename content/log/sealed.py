"""The sealed texts of entries: in their rows, or in the object store that the settings name."""

import asyncio
import datetime as dt
import logging
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext

from content.log.objects import READ_S, Place, StoreAway, get_texts, put_texts
from content.models import Entry
from lib.ids import new_id
from lib.network.object_store import open_store
from lib.refusal import Refused

if TYPE_CHECKING:
    from obstore.store import ObjectStore

log = logging.getLogger(__name__)
_open_once = cache(open_store)
# The columns of an entry that are the place of its text in a store.
_PLACE: Final = ("object_id", "object_offset", "object_bytes")


class TextsAway(Refused):
    """Texts are in an object store that cannot be read now."""

    def __init__(self) -> None:
        text = gettext(
            "The texts are in an object store that does not answer now. Try again later, or ask an"
            " operator."
        )
        super().__init__("", text)


def content_store() -> "ObjectStore | None":
    """Return the store of the content log, None for Postgres alone. Raises ValueError if it cannot
    be opened."""
    return _open_once(settings.CONTENT_STORE) if settings.CONTENT_STORE else None


def take_sealed(entries: Iterable[Entry], within_s: float = READ_S) -> dict[UUID, bytes]:
    """Return the sealed texts of entries by request, without those that are missing from the store,
    which has `within_s` seconds to answer. Whoever keeps the entries does not keep the texts in
    memory. Raises TextsAway."""
    texts, places = dict[UUID, bytes](), dict[UUID, tuple[dt.datetime, Place]]()
    for entry in entries:
        parts = [getattr(entry, column) for column in _PLACE]
        if entry.sealed is not None:
            texts[entry.request_id] = bytes(entry.sealed)
            del entry.sealed
        else:
            places[entry.request_id] = entry.drop_at, Place._make(parts)
    if places:
        stored = _read(places.values(), within_s)
        texts |= {id: stored[place] for id, (_, place) in places.items() if place in stored}
    return texts


def place_sealed(entry: Entry, text: bytes, within_s: float) -> dict[str, object]:
    """Return the columns of an entry whose sealed text is another one, which is in the store if
    there is one, and if it answers within that many seconds. Raises TextsAway."""
    try:
        if (store := content_store()) is None:
            return {"sealed": text, **dict.fromkeys(_PLACE)}
        [place] = asyncio.run(put_texts(store, entry.drop_at, new_id(), [text], within_s))
    except (StoreAway, ValueError) as error:
        log.warning("the store of the content log cannot be written: %s", error)
        raise TextsAway from error
    return {"sealed": None, **dict(zip(_PLACE, place, strict=True))}


def _read(places: Iterable[tuple[dt.datetime, Place]], within_s: float) -> dict[Place, bytes]:
    try:
        store = content_store()
        if store is None:
            raise StoreAway("CONTENT_STORE is not set")
        return asyncio.run(get_texts(store, places, within_s))
    except (StoreAway, ValueError) as error:
        log.warning("the store of the content log cannot be read: %s", error)
        raise TextsAway from error
