"""Statements for the windows of budgets, and for the count of budget changes, by which an admission
notices that its budgets are outdated (I23)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from billing.ledger.sql_statement import Statement, array
from lib.database.row_arrays import quoted_array
from lib.ids import id_array, id_bounds


class WindowOpened(NamedTuple):
    """A budget's window to create. The edges are in Unix seconds. `end_user` is whose window it is,
    under a budget of each."""

    budget_id: int
    starts_at: int
    ends_at: int
    end_user: str = ""


def open_windows(opened: Sequence[WindowOpened]) -> Statement:
    """Create the windows that do not exist yet, with their budgets' amounts as caps."""
    budgets, starts, ends, end_users = zip(*opened, strict=True)
    return _OPEN_WINDOWS, {
        "budgets": array(budgets),
        "starts": array(starts),
        "ends": array(ends),
        "end_users": quoted_array(end_users),
    }


def note_refused(window_ids: Iterable[int]) -> Statement:
    """Record that these budget windows refused a request, for the alerts."""
    return _NOTE_REFUSED, {"windows": array(sorted(set(window_ids)))}


def correct_windows(corrections: Mapping[UUID, int]) -> Statement:
    """Add the change of charges by late usage (attempt id -> nano, above or below 0) to the budget
    windows of the hold, even above their cap (I7, I12). Run `lock_accounts` before it in the same
    transaction."""
    return _CORRECT_WINDOWS, {
        **id_bounds(corrections),
        "attempts": id_array(corrections),
        "changes": array(corrections.values()),
    }


def add_holds_to_window(window_id: int, attempt_ids: Iterable[UUID]) -> Statement:
    """Count unresolved holds that are older than the budget in its window too."""
    return _STAND_IN_WINDOW, {"window": window_id, "attempts": id_array(attempt_ids)}


def count_guards(organisation_ids: Iterable[UUID]) -> Statement:
    """Count a change of these organisations' budgets, so that admissions with outdated budgets
    notice it. Run `open_accounts` and `lock_accounts` before it in the same transaction."""
    return _COUNT_GUARDS, {"organisations": id_array(set(organisation_ids))}


def read_available(
    organisation_id: UUID,
    budget_ids: Iterable[int],
    units: Collection[tuple[int, int]],
    included_nano: int,
) -> Statement:
    """Select (available_nano,), the most that a request under these budgets could hold now: the
    minimum of wallet and budgets, without budgets per session and of each end user. No row before
    the organisation's first money. If the included `units` (id of the row, number) are left, they
    pay `included_nano` in addition to the wallet."""
    rows, counts = zip(*units, strict=True) if units else ((), ())
    return _READ_AVAILABLE, {
        "organisation": organisation_id,
        "budgets": array(budget_ids),
        "quotas": array(rows),
        "units": array(counts),
        "included": included_nano,
    }


# The cap of a window of `end_user`, which is empty for a budget that is not one of each end user.
CAP = """CASE
        WHEN budget.action <> 'block' THEN 4611686018427387904
        ELSE coalesce((budget.own_amounts->>{end_user})::bigint, budget.amount_nano)
            + CASE WHEN budget.raised_until > clock_timestamp()
                THEN budget.raised_nano ELSE 0 END END"""

_OPEN_WINDOWS = f"""
    INSERT INTO billing_budgetwindow (budget_id, end_user, starts_at, ends_at, cap_nano)
    SELECT budget.id, t.end_user,
        -- Where a zone's rules were changed since, it begins where the one before it ended (P17).
        greatest(to_timestamp(t.starts_at), (
            SELECT max(ended.ends_at) FROM billing_budgetwindow ended
            WHERE ended.budget_id = budget.id AND ended.end_user = t.end_user
              AND ended.ends_at <= now())),
        to_timestamp(t.ends_at), {CAP.format(end_user="t.end_user")}
    FROM unnest(%(budgets)s::bigint[], %(starts)s::bigint[], %(ends)s::bigint[],
                %(end_users)s::text[]) AS t (budget_id, starts_at, ends_at, end_user)
    JOIN billing_budget budget ON budget.id = t.budget_id
    ON CONFLICT DO NOTHING"""  # noqa: S608 - only constants are put in

_NOTE_REFUSED = """
    UPDATE billing_budgetwindow SET refused_at = now()
    WHERE id = ANY (%(windows)s::bigint[]) AND refused_at IS NULL"""

_CORRECT_WINDOWS = """
    UPDATE billing_budgetwindow stands
    SET spent_nano = stands.spent_nano + total.change_nano,
        cap_nano = greatest(
            stands.cap_nano, stands.held_nano + stands.spent_nano + total.change_nano)
    FROM (
        SELECT window_id, sum(t.change_nano)::bigint AS change_nano
        FROM unnest(%(attempts)s::uuid[], %(changes)s::bigint[]) AS t (attempt_id, change_nano)
        JOIN billing_hold hold ON hold.id = t.attempt_id
            AND hold.id BETWEEN %(first)s::uuid AND %(last)s::uuid,
        unnest(hold.window_ids) AS window_id
        GROUP BY window_id
    ) total
    WHERE stands.id = total.window_id"""

_STAND_IN_WINDOW = """
    UPDATE billing_hold SET window_ids = array_append(window_ids, %(window)s::bigint)
    WHERE id = ANY (%(attempts)s::uuid[]) AND state IN ('open', 'kept')
      AND NOT coalesce(window_ids @> ARRAY[%(window)s::bigint], false)"""

_COUNT_GUARDS = """
    UPDATE billing_account SET guards = guards + 1
    WHERE organisation_id = ANY (%(organisations)s::uuid[]) AND kind = 'customer:available'"""

_READ_AVAILABLE = """
    SELECT least((
        SELECT greatest(sum(wallet.balance_nano + wallet.overdraft_nano), 0)::bigint + CASE
            WHEN EXISTS (
                SELECT FROM unnest(%(quotas)s::bigint[], %(units)s::bigint[]) AS taken (id, count)
                LEFT JOIN billing_includedunits quota
                    ON quota.id = taken.id AND quota.ends_at > now()
                WHERE quota.id IS NULL OR quota.included - quota.used - quota.held < taken.count
            ) THEN 0 ELSE %(included)s::bigint END
        FROM billing_account wallet
        WHERE wallet.organisation_id = account.organisation_id
          AND wallet.kind IN ('customer:available', 'customer:debt')
    ), (
        SELECT min(greatest(
            budget.amount_nano
            + CASE WHEN budget.raised_until > now() THEN budget.raised_nano ELSE 0 END
            - coalesce(stands.held_nano + stands.spent_nano, 0), 0))
        FROM billing_budget budget
        LEFT JOIN billing_budgetwindow stands ON stands.budget_id = budget.id
            AND stands.starts_at <= now() AND stands.ends_at > now()
        WHERE budget.id = ANY (%(budgets)s::bigint[]) AND budget.enabled
          AND budget.action = 'block' AND budget.period <> 'session'
          AND budget.scope <> 'end_user'))
    FROM billing_account account
    WHERE account.organisation_id = %(organisation)s::uuid
      AND account.kind = 'customer:available'"""
