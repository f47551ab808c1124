"""The windows of sessions under budgets. The first request of a session under a budget opens one,
with what the session has used so far."""

from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

from lib.database.row_arrays import array
from lib.ids import id_array
from usage.records.sql import Statement


class SessionWindow(NamedTuple):
    """The window of one session under a budget; without a budget, under the limit that its client
    sends.
    """

    organisation_id: UUID
    session_id: UUID
    budget_id: int | None


def open_session_windows(opened: Collection[SessionWindow]) -> Statement:
    """Create the windows that are missing. The session's records count as spent and its unresolved
    holds as held, so that a budget, or a client's limit, that begins in the middle of a session
    counts all of it. Earlier corrections are not included.

    Run `lock_accounts` before it in the same transaction.
    """
    organisations, sessions, budgets = zip(*opened, strict=True)
    return _OPEN, {
        "organisations": id_array(organisations),
        "sessions": id_array(sessions),
        "budgets": array(budgets),
    }


_OPEN = """
    WITH wanted AS (
        SELECT * FROM unnest(%(organisations)s::uuid[], %(sessions)s::uuid[], %(budgets)s::bigint[])
            AS t (organisation_id, session_id, budget_id)
    ),
    session AS MATERIALIZED (
        SELECT named.organisation_id, named.session_id, coalesce((
            SELECT sum(r.charge_nano + coalesce(r.own_nano, 0)) FROM usage_usagerecord r
            WHERE r.organisation_id = named.organisation_id AND r.session_id = named.session_id
              AND r.final
        ), 0)::bigint AS spent_nano
        FROM (SELECT DISTINCT organisation_id, session_id FROM wanted) named
    ),
    running AS MATERIALIZED (
        SELECT hold.id, attempt.session_id,
               hold.amount_nano + coalesce(hold.included_nano, 0) + coalesce(hold.own_nano, 0)
                   AS whole_nano
        FROM session
        JOIN billing_hold hold ON hold.organisation_id = session.organisation_id
            AND (hold.state = 'open' OR hold.state = 'kept')
        JOIN usage_attempt attempt ON attempt.organisation_id = hold.organisation_id
            AND attempt.id = hold.id AND attempt.session_id = session.session_id
    ),
    opened AS (
        INSERT INTO billing_budgetwindow (
            budget_id, session_id, starts_at, ends_at, cap_nano, held_nano, spent_nano,
            brought_nano)
        SELECT wanted.budget_id, wanted.session_id, now(), '9999-01-01 00:00:00+00',
               greatest(held.nano + session.spent_nano, CASE
                   WHEN budget.action <> 'block' THEN 4611686018427387904
                   WHEN budget.raised_until > now() THEN budget.amount_nano + budget.raised_nano
                   ELSE budget.amount_nano END),
               held.nano, session.spent_nano, session.spent_nano
        FROM wanted
        JOIN session ON session.session_id = wanted.session_id
        LEFT JOIN billing_budget budget ON budget.id = wanted.budget_id
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(whole_nano), 0)::bigint AS nano FROM running
            WHERE running.session_id = wanted.session_id
        ) held
        ON CONFLICT DO NOTHING
        RETURNING id, session_id
    )
    UPDATE billing_hold hold SET window_ids = hold.window_ids || added.window_ids
    FROM (
        SELECT running.id, array_agg(opened.id) AS window_ids
        FROM running JOIN opened ON opened.session_id = running.session_id
        GROUP BY running.id
    ) added
    WHERE hold.id = added.id"""
