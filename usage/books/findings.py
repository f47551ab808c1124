"""Findings: rows that violate an invariant of the books. Each stays listed until an operator
acknowledges it, and is reported to the operators."""

import datetime as dt
import logging
from collections.abc import Collection, Mapping
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext

from accounts.access import access
from accounts.access.actors import Actor
from accounts.audit import audit
from lib import clock
from lib.database.advisory_locks import AdvisoryLock
from lib.database.code_migrations import schema_difference
from lib.ids import parse_number
from lib.refusal import Refused, check_text
from outbox.facts import put, was_reported_since
from usage.models import Finding

log = logging.getLogger(__name__)

REASON_MAX: Final = 500
LISTED_MAX: Final = 200
"""The maximum number of listed open findings of one invariant."""
# Findings within this time after an email are in the next one.
_GROUP: Final = dt.timedelta(minutes=10)
# A finding that is neither corrected nor acknowledged is reported again after this time.
_REMIND: Final = dt.timedelta(hours=1)
_SHOWN_MAX: Final = 10
_OBJECT_MAX, _FIGURE_MAX = 300, 200
_FIGURES: Final = ("expected", "found")
_NOT_KEY: Final = (*_FIGURES, "problem")


class FindingRefused(Refused):
    """The finding cannot be acknowledged."""


def object_of(row: Any) -> str:
    """Return the key of a row as text: all of its columns except the two figures."""
    names = getattr(row, "_fields", range(len(row)))
    values = [value for name, value in zip(names, row, strict=True) if name not in _NOT_KEY]
    return " ".join(str(value) for value in values)[:_OBJECT_MAX]


def words_of(row: Any) -> str:
    """Return the row as text for a terminal."""
    figures = [f"{name} {getattr(row, name)}" for name in _FIGURES if hasattr(row, name)]
    return ": ".join(text for text in (object_of(row), ", ".join(figures)) if text)


def note(walk: str, broken: Mapping[str, Collection[Any]]) -> None:
    """Store what a check found. A row that is still wrong stays the same finding, even if
    acknowledged; it becomes a new finding when its difference changes from the acknowledged one.
    Findings on a database of another version are ignored, because it may have been migrated since
    the check began."""
    if not any(broken.values()) or schema_difference():
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_advisory_xact_lock({AdvisoryLock.FINDINGS})")
        for invariant, rows in broken.items():
            listed = Finding.objects.filter(invariant=invariant, acknowledged_at=None).count()
            for row in rows:
                listed += _note_one(walk, invariant, row, listed >= LISTED_MAX)


def _note_one(walk: str, invariant: str, row: Any, full: bool) -> int:
    """Store one row. Return 1 if it is new, else 0."""
    expected, actual = (
        str(getattr(row, name, ""))[:_FIGURE_MAX] if hasattr(row, name) else "" for name in _FIGURES
    )
    now = clock.now()
    last = (
        Finding.objects.filter(invariant=invariant, object=object_of(row)).order_by("-id").first()
    )
    if last is not None and (last.acknowledged_at is None or _is_same(last, expected, actual)):
        last.expected, last.found = expected, actual
        last.last_seen_at, last.holds, last.walk = now, True, walk
        last.save(update_fields=["expected", "found", "last_seen_at", "holds", "walk"])
        return 0
    if full:
        return 0
    Finding.objects.create(
        invariant=invariant, object=object_of(row), expected=expected, found=actual, walk=walk,
        first_seen_at=now, last_seen_at=now,
    )  # fmt: skip
    log.critical("a ledger check failed: %s: %s", invariant, row)
    return 1


def _is_same(last: Finding, expected: str, actual: str) -> bool:
    """Return whether the difference is unchanged, so that the acknowledgement still covers it."""
    return last.holds and _difference(last.expected, last.found) == _difference(expected, actual)


def _difference(expected: str, actual: str) -> object:
    try:
        return int(actual) - int(expected)
    except ValueError:
        return expected, actual


def end_looked_at(
    walk: str,
    names: Collection[str],
    broken: Mapping[str, Collection[Any]],
    rows_max: int,
) -> None:
    """End the findings of invariants that were checked over everything, if they were not found
    again. An invariant with the maximum number of rows ends none, because more rows may be wrong
    than were read."""
    complete = [name for name in names if len(broken.get(name, ())) < rows_max]
    wrong = {(name, object_of(row)) for name in complete for row in broken.get(name, ())}
    for finding in Finding.objects.filter(walk=walk, invariant__in=complete, holds=True):
        if (finding.invariant, finding.object) not in wrong:
            Finding.objects.filter(id=finding.id).update(holds=False)


def end_unseen(walk: str, since: dt.datetime) -> None:
    """End the findings that a complete walk since `since` did not find again."""
    Finding.objects.filter(walk=walk, holds=True, last_seen_at__lt=since).update(holds=False)


def wrong_now() -> dict[str, list[str]]:
    """Return {invariant: [object, …]} of everything wrong now, whether acknowledged or not."""
    broken: dict[str, list[str]] = {}
    for invariant, row in Finding.objects.filter(holds=True).values_list("invariant", "object"):
        broken.setdefault(invariant, []).append(row)
    return broken


def notify_operators() -> None:
    """Report new findings to the operators in one email; repeat those that are neither resolved nor
    acknowledged each hour."""
    now = clock.now()
    with transaction.atomic():
        open_ = Finding.objects.select_for_update().filter(acknowledged_at=None)
        new = Q(told_at=None)
        due = list(open_.filter(new | Q(holds=True, told_at__lt=now - _REMIND)).order_by("id"))
        if not due or was_reported_since("books.wrong", now - _GROUP):
            return
        rows = [
            {"invariant": one.invariant, "object": one.object,
             "expected": one.expected, "found": one.found}
            for one in due[:_SHOWN_MAX]
        ]  # fmt: skip
        put("books.wrong", None, findings=rows, count=len(due))
        open_.filter(id__in=[one.id for one in due]).update(told_at=now)


# Operators -----------------------------------------------------------------------------------


def all_findings(actor: Actor) -> QuerySet[Finding]:
    """Return every finding, for operators: open ones first, each group newest first."""
    access.require(actor, "channels.read")
    return Finding.objects.select_related("acknowledged_by").order_by(
        F("acknowledged_at").asc(nulls_first=True), "-id"
    )


def open_count() -> int:
    """Return how many findings are not acknowledged."""
    return Finding.objects.filter(acknowledged_at=None).count()


def access_finding(actor: Actor, id: str) -> Finding:
    """Return a finding. Raises Http404."""
    return access.get_by_id(all_findings(actor), parse_number(id))


def acknowledge(actor: Actor, finding: Finding, reason: str) -> Finding:
    """Acknowledge a finding, so that it is no longer open. Raises FindingRefused."""
    access.require(actor, "channels.write")
    reason = check_text("reason", reason, REASON_MAX)
    if not reason:
        raise FindingRefused("reason", gettext("Say what caused it and what was done."))
    with transaction.atomic():
        locked = Finding.objects.select_for_update().get(id=finding.id)
        if locked.acknowledged_at is not None:
            raise FindingRefused("", gettext("It is acknowledged already."))
        locked.acknowledged_at, locked.reason = clock.now(), reason
        locked.acknowledged_by = actor.user
        locked.acknowledged_as = actor.user.email if actor.user else gettext("Management key")
        locked.save(
            update_fields=["acknowledged_at", "acknowledged_by", "acknowledged_as", "reason"]
        )
        audit.record(
            actor, None, "finding.acknowledged", locked, invariant=locked.invariant,
            object=locked.object, expected=locked.expected, found=locked.found,
            holds=locked.holds, reason=reason,
        )  # fmt: skip
    return locked
