"""Requests in every state that a list can meet them in, with each nullable column of theirs NULL,
empty and set: what everything is asked beside that reads requests."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from django.db import models

from accounts.models import Key
from billing.models import Hold, PriceVersion
from lib import clock
from lib.ids import new_id
from tests.usage.rows import admit, end, happen, refuse
from usage.models import Attempt, UsageRecord

_NAMED: Final = {"name": "Fix the parser", "source": "x-weir-session", "agent": "a-1"}
_ID: Final = UUID(int=9)

# For each nullable column, what is empty (NULL where nothing is) and what is set. A person and a
# price version stand in the place of VERSION and PERSON.
VERSION: Final = object()
PERSON: Final = object()
OF_BOTH: Final[Mapping[str, tuple[Any, Any]]] = {
    "user_id": (None, PERSON),
    "price_version_id": (None, VERSION),
    "cost_version_id": (None, VERSION),
    "tags": ([], ["nightly"]),
    "session_id": (None, _ID),
    "session": ({}, _NAMED),
    "channel_id": (None, _ID),
    "prompt": ("", "greeting"),
    "prompt_version": (None, 2),
}
OF_ATTEMPTS: Final[Mapping[str, tuple[Any, Any]]] = {
    "skipped": ([], [{"channel": "azure-west", "reason": "unsupported"}]),
    "channel_key_id": (None, _ID),
    "own_fee": (None, {"request_nano": 59}),
}
OF_RECORDS: Final[Mapping[str, tuple[Any, Any]]] = {
    "kind": ("", "upstream_error"),
    "own_nano": (0, 1_000),
    "cost_nano": (0, 100_000),
    "ttft_ms": (0, 400),
    "raw_usage": ({}, {"prompt_tokens": 1000}),
    "dropped": ([], ["logit_bias"]),
    "saved_nano": (0, 1_000),
    "pricing": ({}, {"unknown": ["odd_tokens"]}),
}
OF_HOLDS: Final[Mapping[str, tuple[Any, Any]]] = {
    "resolved_at": (None, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
    "window_ids": ([], [1]),
    "rated_ids": ([], [_ID]),
    "tokens": (0, 100),
    "leased_key_id": (None, _ID),
    "leased_team_id": (None, _ID),
    "leased_organisation_id": (None, _ID),
    "leased_member_id": (None, _ID),
    "leased_channel_id": (None, _ID),
    "process_id": (None, _ID),
    "mark": ({}, {"in_text": 10}),
    "included_nano": (0, 1_000),
    "own_nano": (0, 1_000),
    "quota_ids": ([], [1]),
    "quota_units": ([], [1]),
}


def nullable_columns(model: type[models.Model]) -> set[str]:
    return {field.attname for field in model._meta.concrete_fields if field.null}


def happen_in_every_state(key: Key, version: PriceVersion) -> None:
    """Requests of the key within the last hours: running, answered, failed, stopped by their
    client, refused, under review, and expired; the first of them with each
    nullable column NULL, empty and set."""
    at = clock.now() - dt.timedelta(hours=2)
    people: dict[object, Any] = {VERSION: version.id, PERSON: key.user_id}
    for place in ("null", "empty", "set"):
        values = [_filled(columns, place, people) for columns in
                  (OF_BOTH, OF_ATTEMPTS, OF_RECORDS, OF_HOLDS)]  # fmt: skip
        both, of_attempts, of_records, of_holds = values
        running = admit(key, at, **both, **of_attempts)
        open_ = {name: value for name, value in of_holds.items() if name != "resolved_at"}
        Hold.objects.filter(id=running.id).update(**open_)
        for _ in range(2):
            end(admit(key, at, **both, **of_attempts), **of_records)
    session = new_id()
    for _ in range(2):
        happen(key, at, session_id=session, session=_NAMED)
    admit(key, at, session_id=session, session=_NAMED)
    admit(key, at)
    refuse(key, at)
    happen(key, at, 0, status=502, kind="upstream_error", message="It did not answer.", meters={})
    happen(key, at, status=499, kind=None, finish_reason="")
    happen(key, at, 0, basis="held", flags=["quarantine"])
    happen(key, at, basis="estimated", state="expired")


def _filled(
    columns: Mapping[str, tuple[Any, Any]], place: str, people: Mapping[object, Any]
) -> dict[str, Any]:
    if place == "null":
        return dict.fromkeys(columns)
    values = {name: one[place == "set"] for name, one in columns.items()}
    return {
        name: people[value] if value is VERSION or value is PERSON else value
        for name, value in values.items()
    }


COLUMNS: Final = {
    Attempt: {**OF_BOTH, **OF_ATTEMPTS},
    UsageRecord: {**OF_BOTH, **OF_RECORDS},
    Hold: OF_HOLDS,
}
