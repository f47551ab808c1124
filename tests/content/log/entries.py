"""Entries of the content log, as the relay writes them."""

import asyncio
import datetime as dt
import json
from itertools import groupby
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.db import connection

from accounts.secrets.sealing import vault
from content.data_keys.sealing import (
    new_data_key,
    owner_of,
    place_of_entry,
    place_of_key,
    seal,
)
from content.log.kept import Kept, pack
from content.log.objects import put_texts
from content.log.sealed import content_store
from content.models import DataKey, Entry
from content.rules.rules import drop_at
from lib.ids import new_id
from usage.models import UsageRecord

REQUEST: dict[str, Any] = {
    "model": "gpt-5",
    "messages": [
        {"role": "system", "content": "Answer in one word."},
        {"role": "user", "content": "What is <b>the capital</b> of France?"},
    ],
}
ANSWER: dict[str, Any] = {
    "id": "a", "object": "chat.completion", "created": 1, "model": "gpt-5",
    "choices": [
        {"index": 0, "finish_reason": "stop",
         "message": {"role": "assistant", "content": "It is Paris."}}
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
}  # fmt: skip


def keep(record: UsageRecord, kept: Kept | None = None, *, hours: int = 24, **over: Any) -> Entry:
    """Keep a request that happened."""
    kept = kept or Kept(json.dumps(REQUEST).encode(), json.dumps(ANSWER).encode())
    owner = owner_of(record.user_id, record.key_id)
    data_key = DataKey.objects.filter(organisation=record.organisation, owner=owner).first()
    if data_key is None:
        id = new_id()
        sealed = vault().seal_bytes(new_data_key(), place_of_key(id))
        data_key = DataKey.objects.create(
            id=id, organisation=record.organisation, owner=owner, sealed=sealed
        )
    secret = vault().open_bytes(bytes(data_key.sealed), place_of_key(data_key.id))
    at = record.ended_at
    dropped_at = drop_at(at, hours)
    with connection.cursor() as cursor:
        cursor.execute("SELECT content_make_partition(%s)", [dropped_at])
    place = place_of_entry(record.organisation_id, record.request_id)
    row = {
        "created_at": at, "expires_at": at + dt.timedelta(hours=hours), "drop_at": dropped_at,
        "request_id": record.request_id, "organisation": record.organisation,
        "team_id": record.team_id, "key_id": record.key_id, "user_id": record.user_id,
        "session_id": None, "model": record.model, "dialect": "openai",
        "operation": "chat_completions", "status": 200, "data_key_id": data_key.id,
        "content_bytes": len(kept.request) + len(kept.answer),
        "sealed": seal(AESGCM(secret), pack(kept), place),
    } | over  # fmt: skip
    return Entry.objects.create(**row)


def put_in_store(*entries: Entry) -> UUID:
    """Put the sealed texts of entries into the store of the settings, as the relay does: those of
    one time of dropping into one object. Return the id of the last object."""
    store, id = content_store(), new_id()
    assert store is not None
    for dropped_at, group in groupby(entries, key=lambda entry: entry.drop_at):
        id, together = new_id(), list(group)
        texts = [bytes(entry.sealed or b"") for entry in together]
        places = asyncio.run(put_texts(store, dropped_at, id, texts))
        for entry, place in zip(together, places, strict=True):
            Entry.objects.filter(request_id=entry.request_id).update(
                sealed=None,
                object_id=place.object_id,
                object_offset=place.offset,
                object_bytes=place.length,
            )
    return id
