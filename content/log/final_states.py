"""The final state of a media task, beside its request in the content log.

The request is kept when it is answered, which is long before its task ends: it is sealed anew, with
its end."""

import logging
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec
from django.db import DatabaseError, connection
from django.db.models import F

from content.data_keys.data_keys import open_data_key
from content.data_keys.sealing import place_of_entry, seal
from content.guards.rules import GuardRule
from content.log.kept import pack
from content.log.log import try_open
from content.log.redaction import Redaction, Unredactable, redacting_rules
from content.log.sealed import TextsAway, place_sealed, take_sealed
from content.models import Entry, LogRule
from content.policies.sql import RULES_OF_KEY
from content.rules.log_rules import stored_rules
from content.rules.rules import REDACTED, rule_for
from lib import clock
from lib.ids import id_text
from lib.vault import VaultError

log = logging.getLogger(__name__)

_JSON: Final = "application/json"
_guard_rules: Final = msgspec.json.Decoder(list[GuardRule])


def keep_final_state(organisation_id: UUID, request_id: UUID, state: Mapping[str, Any]) -> None:
    """Add the final state of a task, members of a JSON object, to what is kept of its request, if
    anything is. It never raises: the task has ended whatever is kept of it."""
    try:
        if LogRule.objects.filter(organisation=organisation_id).exists():
            _add(request_id, state)
    except (DatabaseError, VaultError, Unredactable, TextsAway) as error:
        name = type(error).__name__
        log.warning("the end of request %s is not kept: %s", id_text(request_id), name)


def _add(request_id: UUID, state: Mapping[str, Any]) -> None:
    entry = Entry.objects.filter(request_id=request_id, expires_at__gt=clock.now()).first()
    opened = None if entry is None else try_open(entry, take_sealed([entry]), {})
    if opened is None:
        return
    entry, kept = opened
    redaction = Redaction(_rules_of(entry), {})
    redaction.reserve(kept.request.decode(errors="replace"))
    final = redaction.body(msgspec.json.encode(state), _JSON)
    kept = msgspec.structs.replace(kept, final=final)
    place = place_of_entry(entry.organisation_id, entry.request_id)
    Entry.objects.filter(drop_at=entry.drop_at, request_id=entry.request_id).update(
        **place_sealed(entry, seal(open_data_key(entry.data_key_id), pack(kept), place)),
        content_bytes=F("content_bytes") + len(final),
    )


def _rules_of(entry: Entry) -> tuple[GuardRule, ...]:
    """Return what is masked: by the rule and the policies of now, and everything that a rule can
    mask if the rule is gone."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {RULES_OF_KEY} FROM accounts_key key WHERE key.id = %s",  # noqa: S608
            [entry.key_id],
        )
        row = cursor.fetchone()
    policies = _guard_rules.decode(row[0]) if row else []
    rule = rule_for(
        stored_rules(entry.organisation),
        team=str(entry.team_id),
        key=str(entry.key_id),
        model=entry.model,
    )
    return redacting_rules(policies, REDACTED if rule is None else rule.redact)
