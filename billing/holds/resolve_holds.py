"""Resolve holds (I6): settle, void or expire them, keep them for an operator, or reopen them.
Record the cost of attempts that no customer pays (I13, I15)."""

from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

import msgspec

from billing.ledger.hold_rules import RESOLVED_BY
from billing.ledger.sql import MOVE_BALANCES
from billing.ledger.sql_statement import Statement
from lib.database.row_arrays import RowArrays, array
from lib.id_types import AttemptId, OrganisationId
from lib.ids import id_array, id_bounds


class HoldResolved(msgspec.Struct, frozen=True, kw_only=True):
    """How one hold ends (`holds/rules.py`): settled (with the charge), voided or expired."""

    attempt_id: AttemptId
    posting_id: UUID
    organisation_id: OrganisationId
    state: str
    # A charge above the hold is cut to the hold (I13).
    charge_nano: int
    # The tokens that the attempt really used of a limit of tokens per minute.
    tokens: int = 0
    # The cost that we owe the provider, without that of a `Loss` (I15).
    cost_nano: int = 0
    # The part of the charge that included units pay, and how many units of each row of the hold.
    included_nano: int = 0
    units: tuple[int, ...] = ()
    # The part that the organisation pays its provider itself; at most what the hold has of it.
    own_nano: int = 0


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """The cost of an attempt that no customer pays, at the price of its admission."""

    attempt_id: AttemptId
    posting_id: UUID
    organisation_id: OrganisationId
    amount_nano: int


def resolve_holds(resolved: Sequence[HoldResolved]) -> Statement:
    """Resolve those holds of a batch that are open; the others stay as they are (I6).

    Held money goes to revenue up to the charge; the rest becomes available again. One posting
    records the charge and the cost; it also reverses what an older process posted to
    `customer:held` when it placed the hold. The budget windows of the hold's admission count the
    charge, and what the organisation pays its provider itself, as spent and release the rest. Held
    units are used or returned; the amount that they pay is taken from `included:units`, and the
    balance never pays more than was held. The cost goes to `provider:payable`.

    Returns one row for each hold that this statement resolved: (attempt_id, charged_nano,
    excess_nano). The excess is the part of the charge above the hold, which nobody pays (I13). Run
    `lock_accounts` before it in the same transaction.
    """
    return _alone(resolved[0]) if len(resolved) == 1 else _in_arrays(resolved)


def _alone(hold: HoldResolved) -> Statement:
    return _RESOLVE_HOLD, {**_RESOLVED_ARRAYS.values(hold), "kind": RESOLVED_BY[hold.state]}


def _in_arrays(resolved: Sequence[HoldResolved]) -> Statement:
    return _RESOLVE_HOLDS, {
        **id_bounds([hold.attempt_id for hold in resolved]),
        **_RESOLVED_ARRAYS.parameters(resolved),
        "kinds": array([RESOLVED_BY[hold.state] for hold in resolved]),
    }


def keep_holds(attempt_ids: Iterable[UUID]) -> Statement:
    """Keep those of these holds that are open until an operator decides on them (I14).

    A kept hold belongs to no process and no longer counts against a limit of concurrent requests.
    """
    return _KEEP_HOLDS, {"attempts": id_array(attempt_ids)}


def reopen_hold(attempt_id: UUID) -> Statement:
    """Reopen a kept hold, so that this transaction can resolve it. No row if the hold is not
    kept."""
    return _REOPEN_HOLD, {"attempt": attempt_id}


def post_losses(losses: Sequence[Loss], state: str = "settled") -> Statement:
    """Book the losses of attempts that this transaction settled or expired, from `platform:loss` to
    `provider:payable` (I13, I15). An attempt whose hold is in another state than `state` was
    resolved elsewhere and is skipped.

    Run this after `resolve_holds`, and `open_accounts` for the two kinds before.
    """
    return _POST_LOSSES, {
        **id_bounds([loss.attempt_id for loss in losses]),
        **_LOSS_ARRAYS.parameters(losses),
        "state": state,
    }


def read_movements(attempt_id: UUID) -> Statement:
    """Select the money that has moved for an attempt until now: (account kind, nano)."""
    return _READ_MOVEMENTS, {"attempt": attempt_id}


_RESOLVED_ARRAYS: Final = RowArrays(HoldResolved)
_LOSS_ARRAYS: Final = RowArrays(Loss)


def _resolve(endings: str, of_ending: str, of_organisation: str) -> str:
    """Return the statement that resolves the holds of `endings`, whose columns are those of a
    HoldResolved and `kind`. `of_ending` is the condition on the id of the hold of an `ending`,
    `of_organisation` that on an organisation of any of them."""
    return f"""
    WITH ending AS (
        {endings}
    ),
    ended AS (
        UPDATE billing_hold hold SET state = ending.state, resolved_at = now()
        FROM ending
        -- Open, in words that do not lead the planner to the index of all that is open.
        WHERE hold.id {of_ending} AND hold.resolved_at IS NULL
        RETURNING hold.id, hold.organisation_id, hold.amount_nano, ending.kind, ending.posting_id,
                  hold.amount_nano + coalesce(hold.included_nano, 0) AS whole_nano,
                  least(ending.charge_nano, hold.amount_nano + coalesce(hold.included_nano, 0))
                      AS charged_nano,
                  greatest(ending.charge_nano - hold.amount_nano - coalesce(hold.included_nano, 0),
                      0) AS excess_nano,
                  coalesce(hold.own_nano, 0) AS own_held_nano,
                  least(ending.own_nano, coalesce(hold.own_nano, 0)) AS own_nano,
                  ending.included_nano AS offered_nano, hold.quota_ids, hold.quota_units,
                  ending.units::bigint[] AS used_units,
                  ending.cost_nano, hold.posted, hold.window_ids, hold.rated_ids, hold.opened_at,
                  ending.tokens - hold.tokens AS more_tokens
    ),
    resolved AS MATERIALIZED (
        SELECT ended.*,
               greatest(least(offered_nano, charged_nano), charged_nano - amount_nano) AS paid_nano
        FROM ended
    ),
    -- What was not used is included again, under the same lock as the windows.
    given_back AS (
        UPDATE billing_includedunits quota
        SET held = quota.held - total.held, used = quota.used + total.used
        FROM (
            SELECT quota_id, sum(units.held)::bigint AS held,
                   sum(least(coalesce(units.used, 0), units.held))::bigint AS used
            FROM resolved, unnest(quota_ids, quota_units, used_units)
                AS units (quota_id, held, used)
            WHERE quota_id IS NOT NULL GROUP BY quota_id
        ) total
        WHERE quota.id = total.quota_id
    ),
    -- The windows of the hold, which are those of its admission, and no other budget row: the lock
    -- of the organisation's accounts stands over them (I23).
    budgeted AS (
        UPDATE billing_budgetwindow stands
        SET held_nano = stands.held_nano - total.held_nano,
            spent_nano = stands.spent_nano + total.charged_nano
        FROM (
            SELECT window_id, sum(whole_nano + own_held_nano)::bigint AS held_nano,
                   sum(charged_nano + own_nano)::bigint AS charged_nano
            FROM resolved, unnest(window_ids) AS window_id GROUP BY window_id
        ) total
        WHERE stands.id = total.window_id
    ),
    rated AS (
        UPDATE billing_ratesecond rate SET tokens = rate.tokens + total.more_tokens
        FROM (
            SELECT subject_id, floor(extract(epoch FROM opened_at))::bigint AS second,
                   sum(more_tokens)::bigint AS more_tokens
            FROM resolved, unnest(rated_ids) AS subject_id GROUP BY subject_id, second
        ) total
        WHERE rate.subject_id = total.subject_id AND rate.second = total.second
    ),
    wallet AS (
        SELECT organisation_id,
               max(id) FILTER (WHERE kind = 'customer:available') AS available_id,
               max(id) FILTER (WHERE kind = 'customer:held') AS held_id,
               max(id) FILTER (WHERE kind = 'revenue') AS revenue_id,
               max(id) FILTER (WHERE kind = 'provider:payable') AS payable_id,
               max(id) FILTER (WHERE kind = 'provider:cost') AS cost_id,
               max(id) FILTER (WHERE kind = 'included:units') AS included_id
        FROM billing_account
        WHERE organisation_id {of_organisation}
        GROUP BY organisation_id
    ),
    posted AS (
        INSERT INTO billing_posting (
            id, attempt_id, kind, organisation_id, cause, actor, account_ids, amounts_nano)
        SELECT posting_id, resolved.id, kind, organisation_id, '{{}}', '',
               ARRAY[available_id]
               || CASE WHEN charged_nano > 0 THEN ARRAY[revenue_id] END
               || CASE WHEN cost_nano <> 0 THEN ARRAY[payable_id, cost_id] END
               || CASE WHEN paid_nano > 0 THEN ARRAY[included_id] END
               || CASE WHEN posted OR charged_nano = 0 THEN ARRAY[held_id] END,
               ARRAY[posted_nano - charged_nano + paid_nano]
               || CASE WHEN charged_nano > 0 THEN ARRAY[charged_nano] END
               || CASE WHEN cost_nano <> 0 THEN ARRAY[cost_nano, -cost_nano] END
               || CASE WHEN paid_nano > 0 THEN ARRAY[-paid_nano] END
               || CASE WHEN posted OR charged_nano = 0 THEN ARRAY[-posted_nano] END
        FROM resolved JOIN wallet USING (organisation_id),
        LATERAL (SELECT CASE WHEN posted THEN amount_nano ELSE 0 END AS posted_nano) held
    ),
    move AS (
        SELECT account_id, total.amount_nano
        FROM (
            SELECT organisation_id, sum(amount_nano)::bigint AS held_nano,
                   sum(charged_nano)::bigint AS charged_nano, sum(cost_nano)::bigint AS cost_nano,
                   sum(paid_nano)::bigint AS paid_nano
            FROM resolved GROUP BY organisation_id
        ) ended JOIN wallet USING (organisation_id),
        LATERAL (VALUES
            (held_id, -held_nano), (available_id, held_nano - charged_nano + paid_nano),
            (included_id, -paid_nano), (revenue_id, charged_nano), (payable_id, cost_nano),
            (cost_id, -cost_nano)
        ) AS total (account_id, amount_nano)
    ),
    {MOVE_BALANCES}
    SELECT id, charged_nano, excess_nano FROM resolved"""  # noqa: S608 - only constants are put in


_RESOLVE_HOLDS = _resolve(
    f"""SELECT * FROM unnest({_RESOLVED_ARRAYS.arrays}, %(kinds)s::text[])
            AS t ({_RESOLVED_ARRAYS.names}, kind)""",  # noqa: S608 - only constants are put in
    of_ending="= ending.attempt_id AND hold.id BETWEEN %(first)s::uuid AND %(last)s::uuid",
    of_organisation="= ANY (%(organisation_id)s::uuid[])",
)

# That of a single hold, which takes the database less time.
_RESOLVE_HOLD = _resolve(
    f"SELECT t.*, %(kind)s::text AS kind FROM {_RESOLVED_ARRAYS.one_row}",  # noqa: S608
    of_ending="= %(attempt_id)s::uuid",
    of_organisation="= %(organisation_id)s::uuid",
)

_KEEP_HOLDS = """
    UPDATE billing_hold
    SET state = 'kept', resolved_at = now(), process_id = NULL, leased_key_id = NULL,
        leased_team_id = NULL, leased_organisation_id = NULL, leased_member_id = NULL,
        leased_channel_id = NULL
    WHERE id = ANY (%(attempts)s::uuid[]) AND resolved_at IS NULL"""

_REOPEN_HOLD = """
    UPDATE billing_hold SET state = 'open', resolved_at = NULL
    WHERE id = %(attempt)s AND state = 'kept' RETURNING id"""

_POST_LOSSES = f"""
    WITH lost AS (
        SELECT t.attempt_id, t.posting_id, t.amount_nano, hold.organisation_id
        FROM unnest({_LOSS_ARRAYS.arrays}) AS t ({_LOSS_ARRAYS.names})
        JOIN billing_hold hold ON hold.id = t.attempt_id AND hold.state = %(state)s::text
            AND hold.id BETWEEN %(first)s::uuid AND %(last)s::uuid
    ),
    wallet AS (
        SELECT organisation_id,
               max(id) FILTER (WHERE kind = 'platform:loss') AS loss_id,
               max(id) FILTER (WHERE kind = 'provider:payable') AS payable_id
        FROM billing_account
        WHERE organisation_id = ANY (%(organisation_id)s::uuid[])
        GROUP BY organisation_id
    ),
    posted AS (
        INSERT INTO billing_posting (
            id, idempotency_id, kind, organisation_id, cause, actor, account_ids, amounts_nano)
        SELECT posting_id, 'loss:' || attempt_id, 'loss', organisation_id, '{{}}', '',
               ARRAY[loss_id, payable_id], ARRAY[-amount_nano, amount_nano]
        FROM lost JOIN wallet USING (organisation_id)
        ON CONFLICT (idempotency_id) DO NOTHING
        RETURNING id, account_ids, amounts_nano
    ),
    move AS (
        SELECT line.account_id, line.amount_nano
        FROM posted, unnest(posted.account_ids, posted.amounts_nano)
            AS line (account_id, amount_nano)
    ),
    {MOVE_BALANCES}
    SELECT count(*) FROM posted"""  # noqa: S608 - only constants are put in

_READ_MOVEMENTS = """
    SELECT account.kind, sum(entry.amount_nano)::bigint
    FROM billing_posting posting
    JOIN billing_ledgerentry entry ON entry.posting_id = posting.id
    JOIN billing_account account ON account.id = entry.account_id
    WHERE posting.attempt_id = %(attempt)s::uuid OR posting.idempotency_id IN (
        'settle:' || %(attempt)s::uuid, 'expire:' || %(attempt)s::uuid,
        'loss:' || %(attempt)s::uuid, 'adjust:' || %(attempt)s::uuid || ':late',
        'adjust:' || %(attempt)s::uuid || ':look_up', 'adjust:' || %(attempt)s::uuid || ':review')
    GROUP BY account.kind"""
