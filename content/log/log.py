"""Reading and searching the content log. Each reading and each search is one audit event."""

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
from content.log.kept import Kept, unpack
from content.models import Entry
from lib.ids import id_text
from lib.refusal import Refused, check_text
from lib.vault import VaultError

LOOKED_AT_MAX: Final = 2_000
"""How many entries one search opens."""
HITS_MAX: Final = 50


class Search(NamedTuple):
    """The result of a search: the entries that contain the text, newest first, how many entries
    were opened, and the last of these; None if there were no more."""

    hits: list[Entry]
    looked_at: int
    last: Entry | None


def read_entry(actor: Actor, request_id: UUID, reason: str) -> tuple[Entry, Kept]:
    """Return what is kept of a request, and record who read it and why. Raises AccessDenied,
    Http404, Refused without a reason or if it can no longer be read."""
    entry = access_entry(actor, request_id)
    with transaction.atomic():
        record_reading(actor, "content.read", reason, entry, request=id_text(request_id))
        try:
            return entry, open_entry(entry, {})
        except VaultError:
            text = gettext("This text can no longer be read. The key that opens it was destroyed.")
            raise Refused("reason", text) from None


def search(actor: Actor, entries: QuerySet[Entry], text: str, reason: str) -> Search:
    """Search the newest `entries` for a text, ignoring case, and record who searched and why.
    Raises AccessDenied, Refused without a reason or a text."""
    require(actor, "content.read")
    wanted = check_text("text", text, REASON_MAX).casefold()
    if not wanted:
        raise Refused("text", gettext("Enter a text to search for."))
    with transaction.atomic():
        record_reading(actor, "content.searched", reason, None, text=text)
    data_keys: dict[UUID, AESGCM] = {}
    hits, looked_at, last = list[Entry](), 0, None
    for entry in entries[:LOOKED_AT_MAX].iterator(chunk_size=100):
        looked_at, last = looked_at + 1, entry
        with suppress(VaultError):
            if wanted in _text_of(open_entry(entry, data_keys), entry).casefold():
                hits.append(entry)
        if len(hits) == HITS_MAX:
            break
    ended = looked_at < LOOKED_AT_MAX and len(hits) < HITS_MAX
    return Search(hits, looked_at, None if ended else last)


def _text_of(kept: Kept, entry: Entry) -> str:
    """Return what a search looks at: the texts of a conversation, else the bodies as they are."""
    turns = conversation_of(kept, entry.dialect, entry.model)
    if turns is None:
        return (kept.request + b"\n" + kept.answer).decode(errors="replace")
    return "\n".join(piece.text for turn in turns for piece in turn.pieces)


def open_entry(entry: Entry, data_keys: dict[UUID, AESGCM]) -> Kept:
    """Return what an entry contains. Raises VaultError."""
    if entry.data_key_id not in data_keys:
        data_keys[entry.data_key_id] = open_data_key(entry.data_key_id)
    data_key = data_keys[entry.data_key_id]
    place = place_of_entry(entry.organisation_id, entry.request_id)
    return unpack(open_sealed(data_key, bytes(entry.sealed), place))


def record_reading(
    actor: Actor, action: str, reason: str, entry: Entry | None, **detail: object
) -> None:
    """Record a reading or a search with its reason. Raises Refused without one."""
    cleaned = check_text("reason", reason, REASON_MAX)
    if not cleaned:
        raise Refused("reason", gettext("Say why you read this."))
    organisation = organisation_of(actor)
    audit.record(actor, organisation, action, entry or organisation, reason=cleaned, **detail)
