"""The final state of a media task, beside its request in the content log.

The request is kept when it is answered, which is long before its task ends: it is sealed anew, with
its end."""

import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection, transaction
from django.db.models import F

from content.data_keys.data_keys import open_data_key
from content.data_keys.sealing import place_of_entry, seal
from content.guards.rules import GuardRule
from content.log.kept import pack
from content.log.log import try_open
from content.log.redaction import Redaction, redacting_rules
from content.log.sealed import TextsAway, place_sealed, take_sealed
from content.models import Entry, LogRule
from content.policies.limits import read_limits, retention_max
from content.policies.sql import LIMITS_OF_KEY, RULES_OF_KEY
from content.rules.log_rules import stored_rules
from content.rules.rules import REDACTED_BY_DEFAULT, keeps, limit_rule, rule_for
from lib import clock
from lib.ids import id_text

log = logging.getLogger(__name__)

_JSON: Final = "application/json"
_STORE_S: Final = 5.0
# For all ends of a round.
_ROUND_S: Final = 20.0
_guard_rules: Final = msgspec.json.Decoder(list[GuardRule])


class FinalState(NamedTuple):
    """The end of a request's task: `state` are members of a JSON object, with `error` if the task
    failed."""

    organisation_id: UUID
    request_id: UUID
    state: Mapping[str, Any]


def keep_final_states(ends: Sequence[FinalState]) -> None:
    """Add the ends of tasks to what is kept of their requests, if anything is. It never raises: the
    tasks have ended whatever is kept of them. While the object store is away or slow, it gives up
    those that are left."""
    waiting, until = deque(ends), time.monotonic() + _ROUND_S
    with suppress(TextsAway):
        while waiting and time.monotonic() < until:
            _keep(waiting[0])
            waiting.popleft()
    if waiting:
        text = "the content log is away or slow: the ends of at most %s requests are not kept"
        log.warning(text, len(waiting))


def _keep(end: FinalState) -> None:
    """Raises TextsAway."""
    try:
        if LogRule.objects.filter(organisation=end.organisation_id).exists():
            _add(end)
    except TextsAway:
        raise
    except Exception as error:
        name = type(error).__name__
        log.warning("the end of request %s is not kept: %s", id_text(end.request_id), name)


def _add(end: FinalState) -> None:
    entry = Entry.objects.filter(request_id=end.request_id, expires_at__gt=clock.now()).first()
    if entry is None:
        # It is not known whether it is still to be written, or was left out.
        text = "nothing is kept of request %s, or not yet: its end is not kept"
        log.info(text, id_text(end.request_id))
        return
    masked = _masked(entry, failed="error" in end.state)
    opened = None if masked is None else try_open(entry, take_sealed([entry], _STORE_S), {})
    if masked is None or opened is None:
        return
    entry, kept = opened
    redaction = Redaction(masked, {})
    redaction.reserve(kept.request.decode(errors="replace"))
    final = redaction.body(msgspec.json.encode(end.state), _JSON)
    kept = msgspec.structs.replace(kept, final=final)
    place = place_of_entry(entry.organisation_id, entry.request_id)
    sealed = seal(open_data_key(entry.data_key_id), pack(kept), place)
    placed = place_sealed(entry, sealed, _STORE_S)
    with transaction.atomic(), connection.cursor() as cursor:
        Entry.objects.filter(drop_at=entry.drop_at, request_id=entry.request_id).update(
            **placed, content_bytes=F("content_bytes") + len(final)
        )
        cursor.execute(_MARK_CHANGED, [entry.drop_at, entry.request_id])


def _masked(entry: Entry, *, failed: bool) -> tuple[GuardRule, ...] | None:
    """Return what is masked by the rule and the policies of now, and by default, because a rule may
    have changed since the request; None if nothing is to be kept now."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {RULES_OF_KEY}, {LIMITS_OF_KEY} "  # noqa: S608
            "FROM accounts_key key WHERE key.id = %s",
            [entry.key_id],
        )
        guards, limits = cursor.fetchone() or ("[]", [])
    rule = rule_for(
        stored_rules(entry.organisation),
        team=str(entry.team_id),
        key=str(entry.key_id),
        model=entry.model,
        at=clock.now().timestamp(),
    )
    hours_max = retention_max(read_limits(*each) for each in limits)
    if rule is None or not keeps(
        limit_rule(rule, hours_max), failed=failed, opted_out=False, drawn=0
    ):
        return None
    return redacting_rules(
        _guard_rules.decode(guards), list(dict.fromkeys((*REDACTED_BY_DEFAULT, *rule.redact)))
    )


# Sinks find what they do not have by the transaction that wrote it.
_MARK_CHANGED: Final = """
    UPDATE content_entry SET xid = pg_current_xact_id() WHERE drop_at = %s AND request_id = %s"""
