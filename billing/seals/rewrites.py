"""Remove an erased person from sealed rows: the audit log and the ledger (docs/adr/0022).

Each seal is checked first. A valid seal then covers its rewritten rows; a broken seal stays as it
is, so that it is still found to be broken. Each seal has its own transaction, and rewritten rows
are skipped, so an interrupted run can start again.
"""

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from accounts.members.pseudonym import Traces, address_pattern, replace_person, searched_in_json
from accounts.models import Erasure
from billing.models import Seal, SealKind
from billing.seals.seals import LOCK, read_sealed, seal_rewritten

OPEN: Final = "SELECT set_config('weir.erasure', %s, true)"
"""Lets the current transaction rewrite texts in write-once rows, for a running erasure."""


class _Row(NamedTuple):
    """A sealed row that mentions the person, and the statement that removes the person."""

    at: dt.datetime
    text: str
    parameters: Mapping[str, Any]


def rewrite_sealed(erasure: Erasure, traces: Traces, key: bytes) -> int:
    """Remove the person from all sealed rows, or from those of the erasure's organisation. Return
    how many rows were rewritten."""
    return sum(
        _rewrite(erasure, key, kind, rows)
        for kind, rows in (
            (SealKind.TRAIL, list(_events(erasure, traces))),
            (SealKind.LEDGER, list(_postings(erasure, traces))),
        )
    )


def _rewrite(erasure: Erasure, key: bytes, kind: str, rows: list[_Row]) -> int:
    rows.sort(key=lambda row: row.at)
    rest = rows
    while rest:
        first = rest[0].at
        with transaction.atomic(), connection.cursor() as cursor:
            # The lock prevents new seals and cuts meanwhile.
            cursor.execute(LOCK)
            cursor.execute(OPEN, [str(erasure.pk)])
            seal = Seal.objects.filter(kind=kind, from_at__lte=first, to_at__gt=first).first()
            until = seal.to_at if seal else _next_seal(kind, first)
            now = [row for row in rest if until is None or row.at < until]
            sealed = read_sealed(cursor, key, seal) if seal else None
            for row in now:
                cursor.execute(row.text, row.parameters)
            if seal is not None and sealed is not None:
                seal_rewritten(cursor, key, seal, sealed)
        rest = rest[len(now) :]
    return len(rows)


def _next_seal(kind: str, after: dt.datetime) -> dt.datetime | None:
    """Return the start of the next seal, if unsealed rows precede it."""
    later = Seal.objects.filter(kind=kind, from_at__gt=after).order_by("from_at").first()
    return later.from_at if later else None


def _events(erasure: Erasure, traces: Traces) -> Iterator[_Row]:
    with connection.cursor() as cursor:
        cursor.execute(_EVENTS, _parameters(erasure, traces))
        for id, at, own, about, reason, detail, origin in cursor.fetchall():
            stored_detail = json.loads(detail) if isinstance(detail, str) else detail
            new = replace_person(stored_detail, traces, about=about)
            new_reason = replace_person(reason, traces, about=about)
            if (new, new_reason) == (stored_detail, reason) and not (own and origin):
                continue
            text = _CHANGE_OWN_EVENT if own else _CHANGE_EVENT
            yield _Row(at, text, {"id": id, "detail": json.dumps(new), "reason": new_reason[:500]})


def _postings(erasure: Erasure, traces: Traces) -> Iterator[_Row]:
    with connection.cursor() as cursor:
        cursor.execute(_POSTINGS, _parameters(erasure, traces))
        for id, at, actor, cause in cursor.fetchall():
            stored_cause = json.loads(cause) if isinstance(cause, str) else cause
            new = replace_person(stored_cause, traces, about=False)
            new_actor = replace_person(actor, traces, about=False)
            if (new, new_actor) != (stored_cause, actor):
                changed = {"id": id, "cause": json.dumps(new), "actor": new_actor[:80]}
                yield _Row(at, _CHANGE_POSTING, changed)


def _parameters(erasure: Erasure, traces: Traces) -> dict[str, Any]:
    organisations: list[UUID] = list(erasure.organisations)
    return {
        "user": erasure.user_id,
        "part": erasure.organisation_id,
        "objects": erasure.objects_named,
        "organisations": organisations,
        "pattern": address_pattern(traces.addresses),
        "words": searched_in_json((*traces.names, *traces.texts)),
    }


_PART: Final = "(%(part)s::uuid IS NULL OR organisation_id = %(part)s)"
_HERE: Final = "(organisation_id IS NULL OR organisation_id = ANY(%(organisations)s::uuid[]))"
# An event about a person without an actor belongs to that person: a sign-up, or an opened link.
_OWN: Final = """(actor_user_id = %(user)s OR (actor_user_id IS NULL AND actor_key IS NULL
        AND object_type = 'user' AND object_id = %(user)s::text))"""
_ABOUT: Final = f"({_OWN} OR object_type || ':' || object_id = ANY(%(objects)s::text[]))"
_EVENTS: Final = f"""
    SELECT id, at, {_OWN} AS own, {_ABOUT} OR detail::text ~* %(pattern)s AS about, reason,
           detail::text, address || client || session <> '' AS origin
    FROM accounts_auditevent
    WHERE {_PART} AND (
        ({_OWN} AND address || client || session <> '')
        OR ({_HERE} AND (detail::text ~* %(pattern)s OR reason ~* %(pattern)s))
        OR ({_ABOUT} AND EXISTS (
            SELECT FROM unnest(%(words)s::text[]) word
            WHERE strpos(lower(detail::text || reason), word) > 0)))
    ORDER BY at, id"""  # noqa: S608 - only constants are put in
_POSTINGS: Final = f"""
    SELECT id, created_at, actor, cause::text FROM billing_posting
    WHERE {_PART} AND {_HERE} AND (actor ~* %(pattern)s OR cause::text ~* %(pattern)s)
    ORDER BY created_at, id"""  # noqa: S608
_CHANGE_EVENT: Final = """
    UPDATE accounts_auditevent SET detail = %(detail)s::jsonb, reason = %(reason)s
    WHERE id = %(id)s"""
_CHANGE_OWN_EVENT: Final = """
    UPDATE accounts_auditevent SET detail = %(detail)s::jsonb, reason = %(reason)s,
        address = '', client = '', session = ''
    WHERE id = %(id)s"""
_CHANGE_POSTING: Final = """
    UPDATE billing_posting SET cause = %(cause)s::jsonb, actor = %(actor)s WHERE id = %(id)s"""
