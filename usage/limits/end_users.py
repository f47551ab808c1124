"""What the end users of a budget of each one have, in pages: a budget may have very many."""

import json
from typing import Any, NamedTuple

from billing.limits.budgets import BudgetUsage, present_span
from billing.models import Budget, BudgetWindow
from lib.database.database_time import database_now
from lib.tables.sources import StatementSource


class EndUserRow(NamedTuple):
    """What an end user has in the present period. Amounts are in nano. Without an amount of their
    own, `own_nano` is None."""

    name: str
    own_nano: int | None
    used_nano: int
    usage: BudgetUsage
    spent_nano: int
    held_nano: int
    limit_nano: int


def end_user_rows(budget: Budget, part: str = "") -> StatementSource[EndUserRow]:
    """Return those who used a budget of each end user in the present period or have an amount of
    their own, and whose name contains `part` in any case."""
    now = database_now()
    span = present_span(budget, now)

    def make_row(
        name: str, own_nano: int | None, used_nano: int, spent_nano: int, held_nano: int,
        limit_nano: int,
    ) -> EndUserRow:  # fmt: skip
        usage = BudgetUsage(
            budget, span, spent_nano, held_nano, limit_nano=limit_nano, at=now, end_user=name
        )
        return EndUserRow(
            name, own_nano, used_nano, usage,
            spent_nano=spent_nano, held_nano=held_nano, limit_nano=limit_nano,
        )  # fmt: skip

    limit_nano = budget.limit_nano(now)
    parameters: dict[str, Any] = {
        "budget": budget.id, "now": now, "own": json.dumps(budget.own_amounts), "part": part,
        "limit": limit_nano, "raised": limit_nano - budget.amount_nano,
    }  # fmt: skip
    return StatementSource(_END_USERS, parameters, make_row)


def is_end_user_of(budget: Budget, name: str) -> bool:
    """Return whether an end user of the budget has this name."""
    if name in budget.own_amounts:
        return True
    return BudgetWindow.objects.filter(budget=budget, end_user=name).exists()


_END_USERS = """
    SELECT coalesce(stands.end_user, own.name) COLLATE "C" AS name, own.nano AS own_nano,
           coalesce(stands.held_nano + stands.spent_nano, 0) AS used_nano,
           coalesce(stands.spent_nano, 0) AS spent_nano,
           coalesce(stands.held_nano, 0) AS held_nano,
           coalesce(own.nano + %(raised)s, %(limit)s::bigint) AS limit_nano
    FROM (
        SELECT end_user, held_nano, spent_nano FROM billing_budgetwindow
        WHERE budget_id = %(budget)s AND end_user <> '' AND starts_at <= %(now)s
          AND ends_at > %(now)s
    ) stands
    FULL JOIN (
        SELECT name, nano::bigint FROM jsonb_each_text(%(own)s::jsonb) each (name, nano)
    ) own ON own.name = stands.end_user
    WHERE strpos(lower(coalesce(stands.end_user, own.name)), lower(%(part)s)) > 0
       OR %(part)s = ''"""
