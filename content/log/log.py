"""Reading, searching and downloading the content log. Each is one audit event with its reason."""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final, NamedTuple
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext

from accounts.access.access import require
from accounts.access.actors import Actor, organisation_of
from accounts.audit import audit
from accounts.audit.audit import REASON_MAX
from content.access import access_entry
from content.data_keys.data_keys import open_data_key
from content.data_keys.sealing import open_sealed, place_of_entry
from content.log.conversation import conversation_of
from content.log.excerpts import Excerpt, excerpt_of
from content.log.kept import Kept, unpack
from content.log.lines import json_line, line_of
from content.log.names import names_of
from content.log.sealed import TextsAway, take_sealed
from content.models import Entry
from lib.ids import id_text
from lib.refusal import Refused, check_text
from lib.tables.keyset import Order, boundary_of, condition, decode_cursor, encode_cursor
from lib.vault import VaultError

LOOKED_AT_MAX: Final = 2_000
"""How many entries one search opens."""
LOOKED_AT_BYTES_MAX: Final = 64 * 2**20
PASSED_MAX: Final = 200_000
"""How many entries one search or file passes, whether a filter selects them or not. The index has
them; this bounds the time that a filter takes which selects few of them."""
# How many a filter that selects many has to pass.
_FIRST_PASSED: Final = 20_000
HITS_MAX: Final = 50
DOWNLOADED_MAX: Final = 10_000
"""How many entries one file has."""
DOWNLOADED_BYTES_MAX: Final = 256 * 2**20
# What is in memory at a time.
_BATCH: Final = 100
_BATCH_BYTES: Final = 4 * 2**20
_CURSOR: Final = "content-log"
_ORDERS: Final = (Order("created_at", descending=True), Order("request_id", descending=True))
"""The order of `visible_entries`."""


class Planned(NamedTuple):
    """What the index knows of an entry."""

    drop_at: dt.datetime
    request_id: UUID
    created_at: dt.datetime
    team_id: UUID
    key_id: UUID
    user_id: int | None
    content_bytes: int


class _Plan(NamedTuple):
    """Entries to look at, newest first. `edge` is the last one that was passed if there are more:
    how far it looked, and where the next look begins."""

    rows: Sequence[Planned]
    edge: Planned | None


class Hit(NamedTuple):
    """An entry that contains the text, and the place."""

    entry: Entry
    excerpt: Excerpt


class Search(NamedTuple):
    """The result of a search: the entries that contain the text, newest first, how many entries it
    looked at, how far back these go, and the cursor to look further; None if there are no more."""

    hits: list[Hit]
    looked_at: int
    back_to: dt.datetime | None
    next: str | None


def read_entry(actor: Actor, request_id: UUID, reason: str) -> tuple[Entry, Kept]:
    """Return what is kept of a request, and record who read it and why. Raises AccessDenied,
    Http404, Refused without a reason or if it can no longer be read, TextsAway."""
    entry = access_entry(actor, request_id)
    why = check_reason(reason)
    sealed = take_sealed([entry])
    missing = not sealed
    with transaction.atomic():
        audit.record(
            actor, organisation_of(actor), "content.read", entry,
            reason=why, request=id_text(request_id),
        )  # fmt: skip
        opened = try_open(entry, sealed, {})
        if opened is None:
            raise Refused("reason", _unreadable(missing=missing))
    return opened


def search(
    actor: Actor,
    entries: QuerySet[Entry],
    text: str,
    reason: str,
    cursor: str = "",
    *,
    among: QuerySet[Entry] | None = None,
) -> Search:
    """Search the newest `entries`, or those after a cursor, for a text, ignoring case. `among` are
    the entries that a filter selects them from. The event names the requests of which the result
    shows a part. Raises AccessDenied, Refused without a reason or a text, BadCursor (of tables),
    TextsAway."""
    require(actor, "content.read")
    why, wanted = check_reason(reason), _check_wanted(text)
    if not wanted:
        raise Refused("text", gettext("Enter a text to search for."))
    planned, edge = _plan(entries, among, cursor, LOOKED_AT_MAX, LOOKED_AT_BYTES_MAX)
    looked_at, hits = len(planned), list[Hit]()
    for number, opened in enumerate(_open_each(entries, planned), 1):
        if opened and (excerpt := excerpt_of(_text_of(*opened), wanted.casefold())):
            hits.append(Hit(opened[0], excerpt))
        if len(hits) == HITS_MAX:
            if number < len(planned):
                looked_at, edge = number, planned[number - 1]
            break
    with transaction.atomic():
        audit.record(
            actor, organisation_of(actor), "content.searched", organisation_of(actor),
            reason=why, text=wanted, looked_at=looked_at, hits=len(hits),
            requests=[id_text(hit.entry.request_id) for hit in hits],
        )  # fmt: skip
    last = edge or (planned[-1] if planned else None)
    back_to = last.created_at if last else None
    return Search(hits, looked_at, back_to, _cursor_of(edge) if edge else None)


def download(
    actor: Actor,
    entries: QuerySet[Entry],
    reason: str,
    text: str = "",
    cursor: str = "",
    *,
    among: QuerySet[Entry] | None = None,
) -> Iterator[bytes]:
    """Return the newest `entries`, or those after a cursor, as JSON Lines: all, or those that
    contain a text. `among` are the entries that a filter selects them from. It is recorded before
    the first line. The last line has only `next`: the cursor of the next file, or null; or only
    `error`, if the object store stopped answering. Raises AccessDenied, Refused without a reason,
    BadCursor (of tables)."""
    require(actor, "content.read")
    why, wanted = check_reason(reason), _check_wanted(text)
    planned, edge = _plan(entries, among, cursor, DOWNLOADED_MAX, DOWNLOADED_BYTES_MAX)
    with transaction.atomic():
        audit.record(
            actor, organisation_of(actor), "content.downloaded", organisation_of(actor),
            reason=why, entries=len(planned), **({"text": wanted} if wanted else {}),
        )  # fmt: skip
    return _lines(entries, planned, wanted.casefold(), _cursor_of(edge) if edge else None)


def _lines(
    entries: QuerySet[Entry], planned: Sequence[Planned], wanted: str, following: str | None
) -> Iterator[bytes]:
    names = names_of(planned)
    try:
        for opened in _open_each(entries, planned):
            if opened and (not wanted or excerpt_of(_text_of(*opened), wanted)):
                yield json_line(line_of(*opened, names))
    except TextsAway as away:
        yield json_line({"error": away.message})
    else:
        yield json_line({"next": following})


def check_reason(reason: str) -> str:
    """Return why something is read. Raises Refused without it."""
    why = check_text("reason", reason, REASON_MAX)
    if not why:
        raise Refused("reason", gettext("Say why you read this."))
    return why


def _unreadable(*, missing: bool) -> str:
    if missing:
        return gettext("This text is missing from the object store.")
    return gettext("This text can no longer be read. The key that opens it was destroyed.")


def _check_wanted(text: str) -> str:
    return check_text("text", text, REASON_MAX)


def _plan(
    entries: QuerySet[Entry],
    among: QuerySet[Entry] | None,
    cursor: str,
    count_max: int,
    bytes_max: int,
) -> _Plan:
    """Plan the first entries after a cursor within these bounds. Only the index is read: whatever
    the filter, no row of another request is. Raises BadCursor."""
    entries = _after(entries, cursor)
    if among is None:
        return _plan_within(entries, None, count_max, bytes_max)
    for passed in (_FIRST_PASSED, PASSED_MAX):
        edge = _edge_of(_after(among, cursor), passed)
        plan = _plan_within(entries, edge, count_max, bytes_max)
        if edge is None or plan.edge != edge:
            break
    return plan


def _plan_within(
    entries: QuerySet[Entry], edge: Planned | None, count_max: int, bytes_max: int
) -> _Plan:
    """Plan the first entries, none of them behind an edge."""
    if edge:
        # The scan of the index ends there. Of one instant, those behind the edge are left out.
        entries = entries.filter(created_at__gte=edge.created_at)
        entries = entries.exclude(condition(Entry, _ORDERS, boundary_of(edge, _ORDERS)))
    planned, size = list[Planned](), 0
    rows = entries.values_list(*Planned._fields)[: count_max + 1]
    for row in map(Planned._make, rows):
        size += row.content_bytes
        if len(planned) == count_max or (planned and size > bytes_max):
            return _Plan(planned, planned[-1])
        planned.append(row)
    return _Plan(planned, edge)


def _edge_of(among: QuerySet[Entry], passed: int) -> Planned | None:
    """Return the last of so many entries, None if there are no more behind it."""
    rows = among.values_list(*Planned._fields)[passed - 1 : passed + 1]
    both = [Planned._make(row) for row in rows]
    return both[0] if len(both) > 1 else None


def _open_each(
    entries: QuerySet[Entry], planned: Sequence[Planned]
) -> Iterator[tuple[Entry, Kept] | None]:
    """Open the planned entries in their order. One that can no longer be read is None. Raises
    TextsAway."""
    data_keys: dict[UUID, AESGCM | None] = {}
    for batch in _batches(planned):
        rows = entries.filter(
            drop_at__in={row.drop_at for row in batch},
            request_id__in=[row.request_id for row in batch],
        ).order_by()
        by_id = {entry.request_id: entry for entry in rows}
        sealed = take_sealed(by_id.values())
        for row in batch:
            entry = by_id.pop(row.request_id, None)
            yield try_open(entry, sealed, data_keys) if entry else None


def try_open(
    entry: Entry, sealed: dict[UUID, bytes], data_keys: dict[UUID, AESGCM | None]
) -> tuple[Entry, Kept] | None:
    """Return an entry with what it contains; None if it can no longer be read. Its text is taken
    from `sealed`. `data_keys` are those that were opened before."""
    text = sealed.pop(entry.request_id, None)
    if entry.data_key_id not in data_keys:
        data_keys[entry.data_key_id] = None
        with suppress(VaultError):
            data_keys[entry.data_key_id] = open_data_key(entry.data_key_id)
    data_key = data_keys[entry.data_key_id]
    with suppress(VaultError):
        return (entry, _open(entry, text, data_key)) if text and data_key else None
    return None


def _batches(planned: Sequence[Planned]) -> Iterator[list[Planned]]:
    batch, size = list[Planned](), 0
    for row in planned:
        if len(batch) == _BATCH or (batch and size + row.content_bytes > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += row.content_bytes
    if batch:
        yield batch


def _after(entries: QuerySet[Entry], cursor: str) -> QuerySet[Entry]:
    """Return the entries after a cursor. Raises BadCursor."""
    if not cursor:
        return entries
    return entries.filter(condition(Entry, _ORDERS, decode_cursor(cursor, _CURSOR)))


def _cursor_of(row: Planned) -> str:
    return encode_cursor(boundary_of(row, _ORDERS), _CURSOR)


def _text_of(entry: Entry, kept: Kept) -> str:
    """Return what a search looks at: the texts of a conversation, else the bodies as they are."""
    turns = conversation_of(kept, entry.dialect, entry.model)
    if turns is None:
        return b"\n".join((kept.request, kept.answer, kept.final)).decode(errors="replace")
    pieces = (piece for turn in turns for piece in turn.pieces)
    texts = [text for piece in pieces for text in (piece.name, piece.text)]
    return "\n".join(filter(None, (*texts, kept.error, *kept.failures)))


def _open(entry: Entry, sealed: bytes, data_key: AESGCM) -> Kept:
    """Return what an entry contains. Raises VaultError."""
    place = place_of_entry(entry.organisation_id, entry.request_id)
    return unpack(open_sealed(data_key, sealed, place))
