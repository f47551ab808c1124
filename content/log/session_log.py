"""Reading what is kept of a session: the newest requests, one audit event for all of them."""

from typing import Any, Final, NamedTuple
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404

from accounts.access.actors import Actor, organisation_of
from accounts.audit import audit
from content.access import visible_entries
from content.log.kept import Kept
from content.log.lines import line_of
from content.log.log import check_reason, try_open
from content.log.names import names_of
from content.log.sealed import take_sealed
from content.models import Entry
from lib.ids import id_text

ENTRIES_MAX: Final = 200
"""How many requests one reading has at most."""
BYTES_MAX: Final = 32 * 1024 * 1024
"""How large their texts are together at most."""


class SessionLog(NamedTuple):
    """The kept requests of a session, the oldest first. `older` says whether there are older ones
    that one reading has no room for, `unreadable` how many cannot be opened any more."""

    entries: list[tuple[Entry, Kept]]
    older: bool
    unreadable: int

    def lines(self) -> list[dict[str, Any]]:
        """Return the requests as the values of JSON Lines."""
        names = names_of(entry for entry, _ in self.entries)
        return [line_of(entry, kept, names) for entry, kept in self.entries]


def session_entries(actor: Actor, session_id: UUID) -> QuerySet[Entry]:
    """Return a session's entries that the actor may read now, newest first. Raises AccessDenied."""
    return visible_entries(actor).filter(session_id=session_id)


def read_session_log(actor: Actor, session_id: UUID, reason: str) -> SessionLog:
    """Return what is kept of a session, at most ENTRIES_MAX requests and BYTES_MAX, and record who
    read it, of which requests, and why. Raises AccessDenied, Http404 if nothing is kept, Refused
    without a reason, TextsAway."""
    entries, older = _newest(session_entries(actor, session_id))
    if not entries:
        raise Http404
    why, data_keys = check_reason(reason), dict[UUID, AESGCM | None]()
    sealed = take_sealed(entries)
    with transaction.atomic():
        audit.record(
            actor, organisation_of(actor), "content.session_read", entries[0],
            reason=why, session=id_text(session_id), entries=len(entries),
            requests=[id_text(entry.request_id) for entry in entries],
        )  # fmt: skip
        opened = (try_open(entry, sealed, data_keys) for entry in reversed(entries))
        read = [one for one in opened if one]
    return SessionLog(read, older, len(entries) - len(read))


def _newest(wanted: QuerySet[Entry]) -> tuple[list[Entry], bool]:
    """Return the newest entries that one reading has room for, and whether there are others."""
    entries, size = list[Entry](), 0
    for entry in wanted[: ENTRIES_MAX + 1].iterator(chunk_size=20):
        size += entry.content_bytes
        if entries and (size > BYTES_MAX or len(entries) == ENTRIES_MAX):
            return entries, True
        entries.append(entry)
    return entries, False
