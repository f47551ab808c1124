"""Budgets combined with usage: past spending under a budget, and the requests that it would have
refused."""

import datetime as dt
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from accounts.access.actors import Actor
from accounts.models import Organisation
from billing.limits import budget_rules as rules
from billing.limits import budgets
from billing.limits.budgets import Past
from billing.models import Budget, BudgetAction, BudgetScope
from lib import clock
from lib.ids import ID_SLACK, first_id_at
from usage.buckets.buckets import Span
from usage.filters.visibility import Where
from usage.models import DetachedMonth, RollupWatermark
from usage.rollups.levels import Freshness, summed

PREVIEW = dt.timedelta(days=30)
SIMULATED_MAX: Final = 500_000
"""The maximum number of charged requests for which a budget is simulated, as for a report."""
_ROWS: Final = 5_000


_Charge = tuple[dt.datetime, int, UUID | None]
"""When a request was admitted, what it was charged, and its session."""


class WouldHave(NamedTuple):
    """What a budget would have refused in the last thirty days. `too_many` requests are not
    simulated."""

    refused: int
    of: int
    first_at: dt.datetime | None
    too_many: bool = False


def create_budget(actor: Actor, organisation: Organisation, **fields: Any) -> Budget:
    """Create a budget that starts with what was used in its period. See
    `billing.limits.budgets.create_budget`."""
    return budgets.create_budget(actor, organisation, look_back, **fields)


def create_with_past(
    actor: Actor, organisation: Organisation, spent_nano: int, **fields: Any
) -> Budget:
    """Create a budget imported from another installation. Its period starts with what was spent in
    both."""

    def look_back_there(budget: Budget, since: dt.datetime) -> Past:
        past = look_back(budget, since)
        return past._replace(spent_nano=past.spent_nano + spent_nano)

    return budgets.create_budget(actor, organisation, look_back_there, **fields)


def change_budget(actor: Actor, budget: Budget, **fields: Any) -> Budget:
    """Change a budget. See `billing.limits.budgets.change_budget`."""
    return budgets.change_budget(actor, budget, look_back, **fields)


def restore_budget(actor: Actor, id: str, *, enabled: bool = True) -> Budget:
    """Restore a deleted budget. See `billing.limits.budgets.restore_budget`."""
    return budgets.restore_budget(actor, id, look_back, enabled=enabled)


def look_back(budget: Budget, since: dt.datetime) -> Past:
    """Return what requests admitted since `since` were charged under a budget, and what is held for
    running ones.

    The records of detached months are in files, but their sums stay. The corrections of these
    months count only for the organisation's own budget: what else they belong to is in the file."""
    away = _detached_spans(since)
    parameters = _parameters(budget, since) | {
        "away_starts": [span.start_at for span in away],
        "away_ends": [span.end_at for span in away],
        "whole": budget.scope == BudgetScope.ORGANISATION,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SPENT.format(part=_PARTS[budget.scope]), parameters)
        charged_nano, corrected_nano = cursor.fetchone()
        cursor.execute(_OPEN.format(part=_PARTS[budget.scope]), parameters)
        running: list[UUID] = [id for (id,) in cursor.fetchall()]
    spent_nano = charged_nano + corrected_nano
    return Past(spent_nano + _spent_away_nano(budget, since, away), running)


def _detached_spans(since: dt.datetime) -> list[Span]:
    """Return the days of detached months since an instant, each of them once."""
    spans: list[Span] = []
    for month in DetachedMonth.objects.filter(to_at__gt=since).order_by("from_at"):
        start_at = max(month.from_at, spans[-1].end_at if spans else since)
        if start_at < month.to_at:
            spans.append(Span(start_at, month.to_at))
    return spans


def _spent_away_nano(budget: Budget, since: dt.datetime, away: Sequence[Span]) -> int:
    """Return what was spent under a budget on the days of detached months."""
    if not away:
        return 0
    where = Where(
        f"r.organisation_id = %(organisation)s AND {_PARTS_OF_SUMS[budget.scope]}",
        _parameters(budget, since),
    )
    # Reading how far the sinks are could take long, and the caller holds the wallet's lock.
    mark = RollupWatermark.objects.first()
    rows = summed(where, away, Freshness(levels_to=mark.levels_to if mark else None))
    with connection.cursor() as cursor:
        cursor.execute(_SUMMED.format(rows=rows.text), rows.parameters)
        ((spent_nano,),) = cursor.fetchall()
    return int(spent_nano)


def would_have(budget: Budget) -> WouldHave | None:
    """Simulate the last thirty days under a budget, saved or not. A request is refused when its
    charge does not fit the rest of its window. None for a budget that blocks nothing, or of each
    end user, whose past is not known."""
    if budget.action != BudgetAction.BLOCK or budget.scope == BudgetScope.END_USER:
        return None
    since = clock.now() - PREVIEW
    parameters = _parameters(budget, since) | {"most": SIMULATED_MAX + 1}
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_COUNTED.format(part=_PARTS[budget.scope]), parameters)
            ((count,),) = cursor.fetchall()
        if count > SIMULATED_MAX:
            return WouldHave(0, SIMULATED_MAX, None, too_many=True)
        with connection.chunked_cursor() as cursor:
            cursor.execute(_CHARGES.format(part=_PARTS[budget.scope]), parameters)
            rows = chain.from_iterable(iter(lambda: cursor.fetchmany(_ROWS), []))
            if budget.period == "session":
                return _would_have_by_session(budget, rows, count)
            return _would_have_by_period(budget, rows, count)


def _would_have_by_period(budget: Budget, rows: Iterable[_Charge], count: int) -> WouldHave:
    refused, spent_nano, first_at = 0, 0, None
    ends_at = None
    for at, charge_nano, _ in rows:
        if ends_at is None or at >= ends_at:
            span = rules.window(
                budget.period,  # type: ignore[arg-type]
                budget.anchor,
                budget.timezone,
                at,
            )
            ends_at, spent_nano = span.end_at, 0
        if spent_nano + charge_nano <= budget.amount_nano:
            spent_nano += charge_nano
        else:
            refused += 1
            first_at = first_at or at
    return WouldHave(refused, count, first_at)


def _would_have_by_session(budget: Budget, rows: Iterable[_Charge], count: int) -> WouldHave:
    refused, first_at = 0, None
    spent: dict[UUID, int] = {}
    for at, charge_nano, session_id in rows:
        if session_id is None:
            continue
        if spent.get(session_id, 0) + charge_nano <= budget.amount_nano:
            spent[session_id] = spent.get(session_id, 0) + charge_nano
        else:
            refused += 1
            first_at = first_at or at
    return WouldHave(refused, count, first_at)


def spent_by_bucket(budget: Budget, spans: Sequence[Span]) -> list[int]:
    """Return the charges under a budget in each of these spans, in nano. Each span consists of
    whole buckets."""
    where = Where(
        f"r.organisation_id = %(organisation)s AND {_PARTS_OF_SUMS[budget.scope]}",
        _parameters(budget, spans[0].start_at),
    )
    rows = summed(where, spans)
    parameters = {**rows.parameters, "starts": [span.start_at for span in spans]}
    with connection.cursor() as cursor:
        cursor.execute(_BY_BUCKET.format(rows=rows.text), parameters)
        spent = dict(cursor.fetchall())
    return [spent.get(n, 0) for n in range(1, len(spans) + 1)]


def _parameters(budget: Budget, since: dt.datetime) -> dict[str, Any]:
    try:
        first_id = first_id_at(since - ID_SLACK)
    except (OverflowError, ValueError):
        first_id = UUID(int=0)
    return {
        "organisation": budget.organisation_id,
        "subject": budget.subject,
        "pattern": _like_pattern(budget.subject),
        "since": since,
        "first_id": first_id,
    }


def _like_pattern(pattern: str) -> str:
    """Convert a pattern of model names, in which * stands for any text, to SQL's LIKE."""
    escaped = pattern.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    return escaped.replace("*", "%")


# The condition for attempts and records `r` under a budget. A budget of each end user starts empty.
_PARTS = {
    "organisation": "true",
    "team": "r.team_id = %(subject)s::uuid",
    "key": "r.key_id = %(subject)s::uuid",
    "user": "r.user_id = %(subject)s::bigint",
    "model": "r.model LIKE %(pattern)s",
    "tag": "r.tags ? %(subject)s",
    "project": "r.project = %(subject)s",
    "customer": "r.customer = %(subject)s",
    "end_user": "false",
}
# The condition for sums, which have no labels of requests: a tag is that of a key.
_PARTS_OF_SUMS = _PARTS | {
    "tag": "r.key_id IN (SELECT id FROM accounts_key WHERE organisation_id = %(organisation)s"
    " AND %(subject)s = ANY (tags))",
    "project": "false",
    "customer": "false",
}

# Under row-level security, a join on a concatenated text uses no index, but a look-up for each row
# does, because concatenation is not leakproof (docs/adr/0013).
_SPENT = """
    SELECT coalesce(sum(r.charge_nano + coalesce(r.own_nano, 0)), 0)::bigint, (
        SELECT coalesce(sum((
            SELECT sum(e.amount_nano) FROM billing_posting p
            JOIN billing_ledgerentry e ON e.posting_id = p.id
            JOIN billing_account a ON a.id = e.account_id AND a.kind = 'revenue'
            WHERE p.idempotency_id IN (
                'adjust:' || corrected.attempt_id || ':late',
                'adjust:' || corrected.attempt_id || ':look_up',
                'adjust:' || corrected.attempt_id || ':review'))), 0)::bigint
            + coalesce(sum(corrected.own_change_nano), 0)::bigint
        FROM (
            SELECT attempt_id, sum(own_change_nano) AS own_change_nano FROM (
                SELECT attempt_id, own_change_nano FROM usage_latetruth
                WHERE organisation_id = %(organisation)s AND posted_at IS NOT NULL
                UNION ALL
                SELECT attempt_id, NULL FROM usage_review
                WHERE organisation_id = %(organisation)s
            ) known GROUP BY attempt_id
        ) corrected
        LEFT JOIN usage_usagerecord r
            ON r.organisation_id = %(organisation)s AND r.id = corrected.attempt_id
            AND r.id >= %(first_id)s
            AND r.admitted_at >= %(since)s AND {part}
        WHERE r.id IS NOT NULL OR %(whole)s AND EXISTS (
               SELECT FROM usage_detachedmonth away WHERE away.from_at >= %(since)s
                 AND corrected.attempt_id >= away.first_id AND corrected.attempt_id < away.end_id))
    FROM usage_usagerecord r
    WHERE r.organisation_id = %(organisation)s AND r.id >= %(first_id)s
      AND r.admitted_at >= %(since)s AND {part} AND NOT EXISTS (
          SELECT FROM unnest(%(away_starts)s::timestamptz[], %(away_ends)s::timestamptz[])
              AS away (start_at, end_at)
          WHERE r.admitted_at >= away.start_at AND r.admitted_at < away.end_at)"""

_SUMMED = """
    SELECT coalesce(sum(r.charge_nano + coalesce(r.own_nano, 0)), 0)::bigint FROM {rows} r"""

_OPEN = """
    SELECT r.id FROM billing_hold hold
    JOIN usage_attempt r ON r.organisation_id = hold.organisation_id AND r.id = hold.id
    WHERE hold.organisation_id = %(organisation)s AND (hold.state = 'open' OR hold.state = 'kept')
      AND hold.opened_at >= %(since)s AND {part}"""

_CHARGED = """
    FROM usage_usagerecord r
    WHERE r.organisation_id = %(organisation)s AND r.id >= %(first_id)s
      AND r.admitted_at >= %(since)s AND r.charge_nano + coalesce(r.own_nano, 0) > 0 AND {part}"""
_COUNTED = f"SELECT count(*) FROM (SELECT {_CHARGED} LIMIT %(most)s) counted"  # noqa: S608
_CHARGES = f"""
    SELECT r.admitted_at, r.charge_nano + coalesce(r.own_nano, 0), r.session_id {_CHARGED}
    ORDER BY r.admitted_at"""

_BY_BUCKET = """
    SELECT width_bucket(r.bucket_at, %(starts)s::timestamptz[]),
           sum(r.charge_nano + coalesce(r.own_nano, 0))::bigint
    FROM {rows} r GROUP BY 1"""
