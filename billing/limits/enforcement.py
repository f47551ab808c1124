"""Admission: one statement decides on a batch of holds and places the admitted ones.

The statement has three forms, built from the same parts. The short form checks only keys and
wallets; it is used if no hold of the batch has a limit or a budget. The shortest form is the short
one for a single hold, which takes the database half as long.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Final
from uuid import UUID

import msgspec

from accounts.keys.sql import holder_is_active
from billing.ledger.sql import MOVE_BALANCES
from billing.ledger.sql_statement import Parameter, Statement
from billing.limits.channel_limits import ChannelLimits
from lib.database.row_arrays import RowArrays, array, numbers_array, optional_id_array
from lib.id_types import AttemptId, KeyId, OrganisationId, UserId
from lib.ids import id_array, id_before


class HoldRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One hold to place: `amount_nano` of an organisation's available money, for one attempt. The
    attempt may be charged `included_nano` more, which included units pay."""

    attempt_id: AttemptId
    organisation_id: OrganisationId
    key_id: KeyId
    amount_nano: int
    # The longest duration of the attempt. After it the sweeper resolves the hold.
    ttl_seconds: int
    # The number of budget changes that the caller knows.
    guards: int = 0
    # False if the request has no limit and no budget: the fields below are then ignored.
    guarded: bool = False
    # The budgets that apply to the request.
    budget_ids: tuple[int, ...] = ()
    # The tokens that it takes of a limit of tokens per minute.
    tokens: int = 0
    # Whether the attempt counts as a request per minute. Further attempts of a request do not.
    counted: bool = True
    # The user who sends the request, if known.
    user_id: UserId | None = None
    # The request's session, if any, and the client's limit for the cost of that session.
    session_id: UUID | None = None
    session_cap_nano: int | None = None
    # The limits of the channel, if it has any. Each attempt counts as a request to the channel.
    channel: ChannelLimits | None = None
    # The included units that it takes: (id of the row, number).
    units: tuple[tuple[int, int], ...] = ()
    included_nano: int = 0
    # The part that the organisation may pay its provider itself; None for the installation's keys.
    # Budgets and the client's limit for its session count this part too.
    own_nano: int | None = None
    # The end user, for budgets of each one; "" if there are none.
    end_user: str = ""


def place_holds(holds: Sequence[HoldRequest]) -> Statement:
    """Decide on a batch of holds and place the admitted ones (I5, I23).

    Returns one row per hold, in their order: (verdict, available_nano, details). The verdict:

        admitted      the hold is placed
        key_gone      the key is not valid any more by the database's clock
        no_wallet     the organisation lacks some accounts: call `open_accounts` and try again
        session_ended the session was ended
        stale         the caller's budgets are outdated: read them and try again
        no_window     a budget has no window for this instant or this session: call
                      `open_windows` or `usage.sessions.windows.open_session_windows`, try again
        again         it fits, but not together with refused holds of this batch: try again
        no_units      too few included units are left: try again with fewer or none
        insufficient  the wallet or a budget has too little
        limited       a limit of requests, tokens or concurrent requests is reached; with the scope
                      "channel", other channels may still admit it

    `available_nano` is the amount that the wallet, or the tightest budget, has left after this
    batch, without the organisation's debt (I12). `details` is JSON or null; see
    `_PLACE_GUARDED_HOLDS`.

    Small holds are placed first, so that only holds that really do not fit are refused. The clock
    is read after the lock, so that an organisation's admissions are in the order of their instants.
    Run `lock_accounts` before it in the same transaction, then `lock_channels` if there are limits.
    """
    if True not in [hold.guarded for hold in holds]:
        return _PLACE_HOLDS, {**_PLAIN_ARRAYS.parameters(holds)}
    attempts = [hold.attempt_id for hold in holds]
    channels = [hold.channel for hold in holds]
    return _PLACE_GUARDED_HOLDS, {
        **_GUARDED_ARRAYS.parameters(holds),
        "quotas": numbers_array([[id for id, _ in hold.units] for hold in holds]),
        "units": numbers_array([[count for _, count in hold.units] for hold in holds]),
        "channels": optional_id_array([one and one.channel_id for one in channels]),
        "channel_rpms": array([one and one.rpm for one in channels]),
        "channel_tpms": array([one and one.tpm for one in channels]),
        "channel_parallels": array([one and one.parallel for one in channels]),
        # Only the months in which an attempt may still run are read.
        "leased_from": id_before(min(attempts), _LEASE_LIFE),
        "leased_to": id_before(max(attempts), -_CLOCKS_APART),
    }


def place_hold(hold: HoldRequest, opening: tuple[str, Mapping[str, Parameter]]) -> Statement:
    """Decide on a single hold without a limit and without a budget, exactly as `place_holds`, and
    place it.

    `opening` is run in the same statement: its table `held` has one row, (opened_at,), if the hold
    was placed, and none otherwise.
    """
    text, parameters = opening
    return _place_hold_text(text), {**_PLAIN_ARRAYS.values(hold), **parameters}


def count_request(key_id: KeyId, user_id: UserId | None) -> Statement:
    """Count a request that holds nothing for the limits of its key, its team, its organisation and
    its user.

    Returns no row if it was counted. Otherwise nothing is counted, and it returns one row: the
    details of the limit that is reached longest, as `place_holds` has them. Run `lock_accounts`
    before it in the same transaction, so that requests of an organisation do not pass each other.
    """
    return _COUNT_REQUEST, {"key": key_id, "user": "" if user_id is None else user_id}


def lock_channels(channel_ids: Iterable[UUID]) -> Statement:
    """Lock the counts of limited channels until the transaction ends, in the order of ids, because
    organisations share channels. Run it after `lock_accounts`, before `place_holds` and
    `resolve_holds`."""
    return _LOCK_CHANNELS, {"channels": id_array(set(channel_ids))}


# Ids use the clocks of processes. An attempt takes at most a day, and so does the margin of its
# hold.
_CLOCKS_APART = dt.timedelta(days=1)
_LEASE_LIFE = dt.timedelta(days=2) + _CLOCKS_APART

_PLAIN_ARRAYS: Final = RowArrays(
    HoldRequest,
    only=[
        "attempt_id", "organisation_id", "key_id", "amount_nano", "ttl_seconds", "guards",
        "session_id",
    ],
)  # fmt: skip
_GUARDED_ARRAYS: Final = RowArrays(HoldRequest, without=["channel", "units"])

# Two channels whose ids give the same number only wait for each other.
_LOCK_CHANNELS = """
    SELECT pg_advisory_xact_lock(key) FROM (
        SELECT DISTINCT hashtextextended('channel ' || id, 0) AS key
        FROM unnest(%(channels)s::uuid[]) AS id ORDER BY 1
    ) AS limited"""

# P11: keys that ended after the relay last read them are refused here. Not `IS NULL`: the planner
# would use the index of live keys' names.
_KEY_STANDS = f"""num_nonnulls(key.revoked_at) = 0 AND NOT key.disabled
          AND (key.expires_at IS NULL OR key.expires_at > now())
          AND {holder_is_active("key", "key.user_id")}"""

# One row per key, because many requests of a batch share a key.
_KEYS = f"""standing_key AS MATERIALIZED (
        SELECT id, organisation_id, team_id, rpm, tpm, parallel FROM accounts_key key
        WHERE id = ANY (%(key_id)s::uuid[])
          AND {_KEY_STANDS}
    )"""  # noqa: S608 - only constants are put in

# The ended sessions of the batch.
_SESSIONS = """ended_session AS MATERIALIZED (
        SELECT session_id FROM billing_endedsession
        WHERE session_id = ANY (%(session_id)s::uuid[])
    )"""

# Debt, below 0 on its account, cannot be held (I12); a credit line can (I4).
_READ_WALLET = """max(id) FILTER (WHERE kind = 'customer:available') AS available_id,
               max(id) FILTER (WHERE kind = 'customer:held') AS held_id,
               greatest(sum(balance_nano + overdraft_nano) FILTER (
                   WHERE kind IN ('customer:available', 'customer:debt')), 0)::bigint
                   AS available_nano,
               -coalesce(sum(balance_nano) FILTER (WHERE kind = 'customer:debt'), 0)::bigint
                   AS owed_nano,
               max(guards) FILTER (WHERE kind = 'customer:available') AS guards,
               count(*) FILTER (WHERE kind IN (
                   'customer:available', 'customer:held', 'revenue', 'provider:payable',
                   'provider:cost')) = 5 AS whole
        FROM billing_account
        WHERE organisation_id"""

# One row per wallet of the batch: a join per hold would read an account once per hold.
_WALLET = f"""wallet AS (
        SELECT organisation_id, {_READ_WALLET} = ANY (%(organisation_id)s::uuid[])
        GROUP BY organisation_id
    )"""


def _move(decided: str) -> str:
    """Return the SQL that moves the money of the admitted holds. Only the wallet's balances change:
    nothing is posted before a hold ends (docs/adr/0018)."""
    return f"""move AS (
        SELECT available_id AS account_id, -amount_nano AS amount_nano
        FROM {decided} WHERE admitted
        UNION ALL
        SELECT held_id, amount_nano FROM {decided} WHERE admitted
    ),
    {MOVE_BALANCES}"""  # noqa: S608


_PLACE = """INSERT INTO billing_hold (id, organisation_id, amount_nano, state, expires_at, posted)
        SELECT attempt_id, organisation_id, amount_nano, 'open',
               now() + ttl_seconds * interval '1 second', false"""

_VERDICT = """CASE WHEN admitted THEN 'admitted'
                WHEN NOT key_valid THEN 'key_gone'
                WHEN NOT wallet_open THEN 'no_wallet'
                WHEN session_ended THEN 'session_ended'
                WHEN stale THEN 'stale'
                ELSE 'insufficient' END"""

_DEBT = """CASE WHEN NOT admitted AND owed_nano > 0
                THEN json_build_object('gate', 'wallet', 'owed', owed_nano) END"""

_PLACE_HOLDS = f"""
    WITH request AS (
        SELECT * FROM unnest({_PLAIN_ARRAYS.arrays}) WITH ORDINALITY
            AS t ({_PLAIN_ARRAYS.names}, place)
    ),
    {_KEYS},
    {_SESSIONS},
    {_WALLET},
    judged AS (
        SELECT request.*, ended.session_id IS NOT NULL AS session_ended,
               wallet.available_id, wallet.held_id, wallet.available_nano,
               wallet.owed_nano,
               key.id IS NOT NULL AS key_valid,
               wallet.whole IS TRUE AS wallet_open,
               wallet.guards IS DISTINCT FROM request.guards AS stale
        FROM request
        LEFT JOIN standing_key key
            ON key.id = request.key_id AND key.organisation_id = request.organisation_id
        LEFT JOIN ended_session ended ON ended.session_id = request.session_id
        LEFT JOIN wallet ON wallet.organisation_id = request.organisation_id
    ),
    fitted AS (
        SELECT judged.*,
               key_valid AND wallet_open AND NOT session_ended AND NOT stale
               AND available_nano >= sum(
                   CASE WHEN key_valid AND NOT session_ended AND NOT stale
                       THEN amount_nano ELSE 0 END
               ) OVER (PARTITION BY organisation_id ORDER BY amount_nano, place) AS admitted
        FROM judged
    ),
    held AS (
        {_PLACE}
        FROM fitted WHERE admitted
    ),
    {_move("fitted")}
    SELECT {_VERDICT},
           (coalesce(available_nano, 0) - coalesce(sum(amount_nano) FILTER (WHERE admitted)
               OVER (PARTITION BY organisation_id), 0))::bigint,
           {_DEBT}
    FROM fitted ORDER BY place"""  # noqa: S608 - only constants are put in


@cache
def _place_hold_text(opening: str) -> str:
    """Return the short form for a single hold: without windows over holds and without joins."""
    return f"""
    WITH wallet AS (
        SELECT {_READ_WALLET} = %(organisation_id)s::uuid
    ),
    -- Materialized, so that each look-up is made once.
    judged AS MATERIALIZED (
        SELECT t.*, available_id, held_id, available_nano, owed_nano, whole AS wallet_open,
               wallet.guards IS DISTINCT FROM t.guards AS stale,
               (SELECT true FROM accounts_key key
                WHERE id = %(key_id)s::uuid AND organisation_id = %(organisation_id)s::uuid
                  AND {_KEY_STANDS}) IS TRUE AS key_valid,
               (SELECT true FROM billing_endedsession
                WHERE session_id = %(session_id)s::uuid) IS TRUE AS session_ended
        FROM wallet, {_PLAIN_ARRAYS.one_row}
    ),
    fitted AS MATERIALIZED (
        SELECT judged.*, key_valid AND wallet_open AND NOT session_ended AND NOT stale
               AND available_nano >= amount_nano AS admitted
        FROM judged
    ),
    held AS (
        {_PLACE}
        FROM fitted WHERE admitted RETURNING opened_at
    ),
    opened AS (
        {opening}
    ),
    moved AS (
        UPDATE billing_account account
        SET balance_nano = account.balance_nano
            + CASE account.id WHEN held_id THEN amount_nano ELSE -amount_nano END
        FROM fitted
        WHERE admitted AND amount_nano <> 0 AND account.id IN (available_id, held_id)
    )
    SELECT {_VERDICT},
           coalesce(available_nano, 0) - CASE WHEN admitted THEN amount_nano ELSE 0 END,
           {_DEBT}
    FROM fitted"""  # noqa: S608 - only constants are put in


# A gate compares the room that is left with the room that a request needs. Gates are the wallet,
# each budget window, each row of included units, the client's limit for its session, and each
# limit of the key, its team, its organisation and its user. A request is admitted if it fits all
# its gates together with the earlier requests of the batch. Earlier requests that do not fit even
# alone are ignored. A request that would fit without the refused ones is tried again in the next
# round.
# Each round admits at least the smallest request, so none is refused because of another one.
#
# A budget with the action warn has room for everything. A budget with the action slow has room
# above its limit for one request at a time: while something is held under it, the next one waits.
#
# The limits of a channel are the only gates that organisations share; they have their own lock. The
# lock of the organisation's accounts protects all other gates. Accounts are locked first, by id,
# then channels (I23).
#
# A minute is a sliding window of whole seconds. It counts every second that the last sixty seconds
# touch, so no sixty seconds exceed the limit; at most a sixty-first of the limit is lost.
#
# `details` of an admitted request, for the limits of its key, and for the fullest of the budgets of
# its key and its person that block, by day, week or month:
#    {"requests" | "tokens": [limit, left, ms until the whole limit is free]}
#    {"budget": [limit, unspent, reset: Unix s]}
# `details` of a refused request, for the gate that limits it most:
#    {"gate": "wallet"}
#    {"gate": "budget" | "slow", "budget": id, "window": id, "scope", "subject", "period", "limit",
#     "spent", "held", "reset": Unix s, "wait_ms": null for the gate budget}; "subject" is the name
#     of a team, key or end user, or a person's email address; "budget", "scope" and "subject" are
#     null for the client's limit for its session
#    {"gate": "requests" | "tokens" | "parallel", "scope", "limit", "used", "need", "wait_ms"},
#     whose scope may be "channel"
# `details` if too few included units are left: {"left": {id of the row: units}}
# `details` without a window: {"now": Unix s, "windows": [
#     [budget, period, anchor, zone, end user], ...]}; for the period session, the session and the
#     organisation follow; the budget is null for the client's limit for its session
_PLACE_GUARDED_HOLDS = f"""
    WITH clock AS MATERIALIZED (
        SELECT at, floor(extract(epoch FROM at))::bigint AS second,
               floor(extract(epoch FROM at) * 1000)::bigint AS ms
        FROM (SELECT clock_timestamp() AS at OFFSET 0) read
    ),
    request AS (
        SELECT * FROM unnest(
            {_GUARDED_ARRAYS.arrays}, %(channels)s::uuid[], %(channel_rpms)s::bigint[],
            %(channel_tpms)s::bigint[], %(channel_parallels)s::bigint[],
            %(quotas)s::text[], %(units)s::text[]
        ) WITH ORDINALITY AS t (
            {_GUARDED_ARRAYS.names}, channel_id, channel_rpm, channel_tpm, channel_parallel, quotas,
            units, place)
    ),
    {_KEYS},
    {_SESSIONS},
    {_WALLET},
    known AS MATERIALIZED (
        SELECT request.place, request.attempt_id, request.organisation_id,
               request.amount_nano, request.ttl_seconds, request.tokens, request.counted,
               request.budget_ids, request.end_user, request.session_id, request.session_cap_nano,
               nullif(request.quotas, '{{}}')::bigint[] AS quotas,
               nullif(request.units, '{{}}')::bigint[] AS units,
               nullif(request.included_nano, 0) AS included_nano,
               request.own_nano,
               request.amount_nano + request.included_nano + coalesce(request.own_nano, 0)
                   AS whole_nano,
               wallet.available_id, wallet.held_id, wallet.available_nano, wallet.owed_nano,
               CASE WHEN key.id IS NULL THEN 'key_gone'
                    WHEN wallet.whole IS NOT TRUE THEN 'no_wallet'
                    WHEN ended.session_id IS NOT NULL THEN 'session_ended'
                    WHEN wallet.guards IS DISTINCT FROM request.guards THEN 'stale'
               END AS unsound,
               request.guarded AND key.id IS NOT NULL AS guarded,
               key.id AS key_id, key.rpm, key.tpm, key.parallel,
               team.id AS team_id, team.rpm AS team_rpm, team.tpm AS team_tpm,
               team.parallel AS team_parallel,
               owner.rpm AS owner_rpm, owner.tpm AS owner_tpm, owner.parallel AS owner_parallel,
               member.limit_id AS member_id, member.rpm AS member_rpm, member.tpm AS member_tpm,
               member.parallel AS member_parallel,
               request.channel_id, request.channel_rpm, request.channel_tpm,
               request.channel_parallel
        FROM request
        LEFT JOIN standing_key key
            ON key.id = request.key_id AND key.organisation_id = request.organisation_id
        LEFT JOIN accounts_team team ON team.id = key.team_id
        LEFT JOIN accounts_organisation owner ON owner.id = key.organisation_id
        LEFT JOIN LATERAL (
            SELECT limit_id, rpm, tpm, parallel FROM accounts_membership
            WHERE user_id = request.user_id AND organisation_id = key.organisation_id
            LIMIT 1
        ) member ON true
        LEFT JOIN ended_session ended ON ended.session_id = request.session_id
        LEFT JOIN wallet ON wallet.organisation_id = request.organisation_id
    ),
    -- One row per limited organisation, team, member, key or channel of the batch, with what it has
    -- used. Of a channel whose limits are just being changed the batch may know two.
    subject AS MATERIALIZED (
        SELECT named.*, rate.requests, rate.tokens,
               CASE WHEN named.parallel IS NULL THEN 0 WHEN named.scope = 'key' THEN (
                   SELECT count(*) FROM billing_hold hold
                   WHERE hold.leased_key_id = named.id AND hold.state = 'open'
                     AND hold.id BETWEEN %(leased_from)s::uuid AND %(leased_to)s::uuid
                     AND hold.expires_at > clock.at)
               WHEN named.scope = 'team' THEN (
                   SELECT count(*) FROM billing_hold hold
                   WHERE hold.leased_team_id = named.id AND hold.state = 'open'
                     AND hold.id BETWEEN %(leased_from)s::uuid AND %(leased_to)s::uuid
                     AND hold.expires_at > clock.at)
               WHEN named.scope = 'organisation' THEN (
                   SELECT count(*) FROM billing_hold hold
                   WHERE hold.leased_organisation_id = named.id AND hold.state = 'open'
                     AND hold.id BETWEEN %(leased_from)s::uuid AND %(leased_to)s::uuid
                     AND hold.expires_at > clock.at)
               WHEN named.scope = 'channel' THEN (
                   SELECT count(*) FROM billing_hold hold
                   WHERE hold.leased_channel_id = named.id AND hold.state = 'open'
                     AND hold.id BETWEEN %(leased_from)s::uuid AND %(leased_to)s::uuid
                     AND hold.expires_at > clock.at)
               ELSE (
                   SELECT count(*) FROM billing_hold hold
                   WHERE hold.leased_member_id = named.id AND hold.state = 'open'
                     AND hold.id BETWEEN %(leased_from)s::uuid AND %(leased_to)s::uuid
                     AND hold.expires_at > clock.at) END AS running
        FROM clock, (
            SELECT DISTINCT ON (limited.scope, limited.id) limited.* FROM known, LATERAL (VALUES
                ('key', key_id, rpm, tpm, parallel),
                ('team', team_id, team_rpm, team_tpm, team_parallel),
                ('organisation', organisation_id, owner_rpm, owner_tpm, owner_parallel),
                ('user', member_id, member_rpm, member_tpm, member_parallel),
                ('channel', channel_id, channel_rpm, channel_tpm, channel_parallel)
            ) AS limited (scope, id, rpm, tpm, parallel)
            WHERE guarded AND num_nonnulls(limited.rpm, limited.tpm, limited.parallel) > 0
        ) named,
        LATERAL (
            SELECT coalesce(sum(requests), 0)::bigint AS requests,
                   coalesce(sum(tokens), 0)::bigint AS tokens
            FROM billing_ratesecond
            WHERE subject_id = named.id AND second >= clock.second - 60
        ) rate
    ),
    gate AS (
        SELECT known.*, 'wallet' AS kind, available_id::text AS gate_id, NULL AS scope,
               NULL::uuid AS subject_id, NULL::bigint AS window_id, NULL::json AS missing,
               available_nano AS most, 0::bigint AS used, available_nano AS room,
               amount_nano AS need
        FROM known
        UNION ALL
        SELECT known.*, CASE budget.action WHEN 'slow' THEN 'slow' ELSE 'budget' END,
               'window ' || stands.id, budget.scope, NULL, stands.id,
               CASE WHEN stands.id IS NOT NULL THEN NULL
                   WHEN of_session.id IS NULL THEN json_build_array(
                       budget.id, budget.period, budget.anchor, budget.timezone, whose.end_user)
                   ELSE json_build_array(
                       budget.id, budget.period, budget.anchor, budget.timezone, '',
                       of_session.id, known.organisation_id) END,
               allowed.nano, stands.held_nano + stands.spent_nano,
               CASE budget.action
                   WHEN 'warn' THEN 4611686018427387904
                   WHEN 'slow' THEN greatest(
                       allowed.nano - stands.held_nano - stands.spent_nano,
                       CASE WHEN stands.held_nano = 0 THEN known.whole_nano ELSE 0 END)
                   ELSE greatest(least(allowed.nano, stands.cap_nano)
                                 - stands.held_nano - stands.spent_nano, 0) END,
               known.whole_nano
        FROM clock, known, unnest(known.budget_ids::bigint[]) AS falls_under (budget_id)
        JOIN billing_budget budget ON budget.id = falls_under.budget_id AND budget.enabled
        CROSS JOIN LATERAL (
            SELECT CASE budget.period WHEN 'session' THEN known.session_id END AS id
        ) of_session
        CROSS JOIN LATERAL (
            SELECT CASE budget.scope WHEN 'end_user' THEN known.end_user ELSE '' END AS end_user
        ) whose
        CROSS JOIN LATERAL (
            SELECT coalesce((budget.own_amounts->>whose.end_user)::bigint, budget.amount_nano)
                + CASE WHEN budget.raised_until > clock.at
                THEN budget.raised_nano ELSE 0 END AS nano
        ) allowed
        LEFT JOIN LATERAL (
            SELECT * FROM (
                SELECT id, ends_at, cap_nano, held_nano, spent_nano FROM billing_budgetwindow
                WHERE budget_id = budget.id AND end_user = whose.end_user
                  AND starts_at <= clock.at AND session_id IS NULL
                ORDER BY starts_at DESC LIMIT 1
            ) latest WHERE ends_at > clock.at AND of_session.id IS NULL
            UNION ALL
            SELECT id, ends_at, cap_nano, held_nano, spent_nano FROM billing_budgetwindow
            WHERE budget_id = budget.id AND session_id = of_session.id
        ) stands ON true
        -- What names no session is in none.
        WHERE unsound IS NULL AND (budget.period <> 'session' OR of_session.id IS NOT NULL)
        UNION ALL
        SELECT known.*, 'budget', 'window ' || stands.id, NULL, NULL, stands.id,
               CASE WHEN stands.id IS NULL THEN json_build_array(
                   NULL, 'session', 0, 'UTC', '', known.session_id, known.organisation_id) END,
               known.session_cap_nano, stands.held_nano + stands.spent_nano,
               greatest(known.session_cap_nano - stands.held_nano - stands.spent_nano, 0),
               known.whole_nano
        FROM known LEFT JOIN billing_budgetwindow stands
            ON stands.session_id = known.session_id AND stands.budget_id IS NULL
        WHERE unsound IS NULL AND known.session_cap_nano IS NOT NULL
        UNION ALL
        SELECT known.*, limited.kind, limited.kind || ' ' || subject.id, subject.scope,
               subject.id, NULL, NULL, limited.most, limited.used,
               greatest(limited.most - limited.used, 0), limited.need
        FROM known JOIN subject ON subject.id IN (
            known.key_id, known.team_id, known.organisation_id, known.member_id,
            known.channel_id),
        LATERAL (VALUES
            ('requests', subject.rpm::bigint, subject.requests,
             (known.counted OR subject.scope = 'channel')::int::bigint),
            ('tokens', subject.tpm, subject.tokens, known.tokens),
            ('parallel', subject.parallel, subject.running, 1)
        ) AS limited (kind, most, used, need)
        WHERE unsound IS NULL AND guarded AND limited.most IS NOT NULL
        UNION ALL
        SELECT known.*, 'units', 'units ' || quota.id, NULL, NULL, NULL, NULL,
               quota.included, quota.used + quota.held,
               CASE WHEN quota.ends_at > clock.at
                   THEN greatest(quota.included - quota.used - quota.held, 0) ELSE 0 END,
               taken.count
        FROM clock, known, unnest(known.quotas, known.units) AS taken (quota_id, count)
        JOIN billing_includedunits quota ON quota.id = taken.quota_id
        WHERE unsound IS NULL
    ),
    tried AS (
        SELECT gate.*, bool_or(need > room OR missing IS NOT NULL OR unsound IS NOT NULL)
            OVER (PARTITION BY place) AS hopeless
        FROM gate
    ),
    summed AS (
        SELECT tried.*, sum(CASE WHEN hopeless THEN 0 ELSE need END)
            OVER (PARTITION BY gate_id ORDER BY amount_nano, place) AS together
        FROM tried
    ),
    fitted AS (
        SELECT summed.*, bool_and(NOT hopeless AND together <= room)
            OVER (PARTITION BY place) AS admitted
        FROM summed
    ),
    judged AS MATERIALIZED (
        SELECT fitted.*, (room - coalesce(sum(need) FILTER (WHERE admitted)
            OVER (PARTITION BY gate_id), 0))::bigint AS left_over
        FROM fitted
    ),
    decided AS MATERIALIZED (
        SELECT place, attempt_id, organisation_id, amount_nano, ttl_seconds, tokens,
               available_id, held_id, unsound, admitted, included_nano, own_nano, quotas, units,
               min(left_over) FILTER (WHERE kind IN ('wallet', 'budget')) AS available_nano,
               bool_or(need > left_over) AS short,
               bool_or(need > left_over
                   AND kind IN ('requests', 'tokens', 'parallel', 'slow')) AS limited,
               json_object_agg(substr(gate_id, 7), left_over) FILTER (
                   WHERE kind = 'units' AND need > left_over) AS units_left,
               json_agg(missing) FILTER (WHERE missing IS NOT NULL) AS missing,
               array_agg(window_id) FILTER (WHERE window_id IS NOT NULL) AS window_ids,
               array_agg(DISTINCT subject_id) FILTER (WHERE kind IN ('requests', 'tokens'))
                   AS rated_ids,
               max(subject_id::text) FILTER (WHERE kind = 'parallel' AND scope = 'key')::uuid
                   AS leased_key_id,
               max(subject_id::text) FILTER (WHERE kind = 'parallel' AND scope = 'team')::uuid
                   AS leased_team_id,
               max(subject_id::text) FILTER (WHERE kind = 'parallel' AND scope = 'organisation')
                   ::uuid AS leased_organisation_id,
               max(subject_id::text) FILTER (WHERE kind = 'parallel' AND scope = 'user')::uuid
                   AS leased_member_id,
               max(subject_id::text) FILTER (WHERE kind = 'parallel' AND scope = 'channel')::uuid
                   AS leased_channel_id
        FROM judged
        GROUP BY place, attempt_id, organisation_id, amount_nano, ttl_seconds, tokens,
                 available_id, held_id, unsound, admitted, included_nano, own_nano, quotas, units
    ),
    held AS (
        INSERT INTO billing_hold (
            id, organisation_id, amount_nano, state, opened_at, expires_at, window_ids, rated_ids,
            tokens, leased_key_id, leased_team_id, leased_organisation_id, leased_member_id,
            leased_channel_id, posted, included_nano, own_nano, quota_ids, quota_units)
        SELECT attempt_id, organisation_id, amount_nano, 'open', clock.at,
               clock.at + ttl_seconds * interval '1 second', window_ids, rated_ids,
               CASE WHEN rated_ids IS NOT NULL THEN tokens END, leased_key_id, leased_team_id,
               leased_organisation_id, leased_member_id, leased_channel_id, false,
               included_nano, own_nano, quotas, units
        FROM decided, clock WHERE admitted
    ),
    taken AS (
        UPDATE billing_includedunits quota SET held = quota.held + total.count
        FROM (
            SELECT substr(gate_id, 7)::bigint AS quota_id, sum(need)::bigint AS count FROM judged
            WHERE admitted AND kind = 'units' GROUP BY 1
        ) total
        WHERE quota.id = total.quota_id
    ),
    budgeted AS (
        UPDATE billing_budgetwindow stands
        SET held_nano = stands.held_nano + total.held_nano,
            cap_nano = CASE WHEN stands.budget_id IS NOT NULL THEN stands.cap_nano
                ELSE greatest(total.most,
                              stands.held_nano + stands.spent_nano + total.held_nano) END
        FROM (
            SELECT window_id, sum(need)::bigint AS held_nano, max(most) AS most FROM judged
            WHERE admitted AND window_id IS NOT NULL GROUP BY window_id
        ) total
        WHERE stands.id = total.window_id
    ),
    rated AS (
        INSERT INTO billing_ratesecond AS rate (subject_id, second, requests, tokens)
        SELECT subject_id, clock.second,
               coalesce(sum(need) FILTER (WHERE kind = 'requests'), 0),
               coalesce(sum(need) FILTER (WHERE kind = 'tokens'), 0)
        FROM judged, clock WHERE admitted AND kind IN ('requests', 'tokens')
        GROUP BY subject_id, clock.second
        ON CONFLICT (subject_id, second) DO UPDATE
            SET requests = rate.requests + excluded.requests, tokens = rate.tokens + excluded.tokens
    ),
    forgotten AS (
        DELETE FROM billing_ratesecond rate USING subject, clock
        WHERE rate.subject_id = subject.id AND rate.second < clock.second - 120
    ),
    {_move("decided")},
    -- What is told of a request, gate by gate: the most limiting of those that refuse it.
    refusing AS (
        SELECT DISTINCT ON (place) place, CASE
            WHEN kind = 'wallet' THEN json_build_object('gate', kind, 'owed', owed_nano)
            WHEN kind IN ('budget', 'slow') THEN (
                SELECT json_build_object(
                    'gate', judged.kind, 'budget', budget.id, 'window', stands.id,
                    'scope', budget.scope, 'subject', CASE budget.scope
                        WHEN 'team' THEN (
                            SELECT name FROM accounts_team WHERE id = budget.subject::uuid)
                        WHEN 'key' THEN (
                            SELECT name FROM accounts_key WHERE id = budget.subject::uuid)
                        WHEN 'user' THEN (
                            SELECT email FROM accounts_user WHERE id = budget.subject::bigint)
                        WHEN 'end_user' THEN stands.end_user
                        ELSE budget.subject END,
                    'policy', budget.policy_name,
                    'period', coalesce(budget.period, 'session'), 'limit', judged.most,
                    'wait_ms', judged.wait_ms, 'spent', stands.spent_nano, 'held',
                    judged.used + judged.room - judged.left_over - stands.spent_nano,
                    'reset', extract(epoch FROM stands.ends_at)::bigint)
                FROM billing_budgetwindow stands LEFT JOIN billing_budget budget
                    ON budget.id = stands.budget_id
                WHERE stands.id = judged.window_id)
            ELSE json_build_object(
                'gate', kind, 'scope', scope, 'limit', most, 'used', used + room - left_over,
                'need', need, 'wait_ms', wait_ms)
            END AS details
        FROM (
            SELECT judged.*, CASE
                WHEN kind IN ('parallel', 'slow') THEN 1000
                WHEN kind IN ('requests', 'tokens') THEN (CASE
                    WHEN room - left_over > most - need THEN clock.second
                    ELSE coalesce((
                        SELECT max(second) FROM (
                            SELECT second, sum(
                                CASE WHEN kind = 'requests' THEN rate.requests ELSE rate.tokens END
                            ) OVER (ORDER BY second DESC) AS newer
                            FROM billing_ratesecond rate
                            WHERE rate.subject_id = judged.subject_id
                              AND second >= clock.second - 60
                        ) back WHERE newer + room - left_over > most - need
                    ), clock.second) END + 61) * 1000 - clock.ms
                END AS wait_ms
            FROM judged, clock WHERE need > left_over AND NOT admitted
        ) judged
        ORDER BY place, wait_ms DESC NULLS LAST, left_over, kind
    ),
    headroom AS (
        SELECT place, json_object_agg(kind, gate) AS details FROM (
            SELECT place, kind, json_build_array(
                most, left_over, (clock.second + 61) * 1000 - clock.ms) AS gate
            FROM judged, clock
            WHERE admitted AND kind IN ('requests', 'tokens') AND scope = 'key'
            UNION ALL
            SELECT * FROM (
                SELECT DISTINCT ON (judged.place) judged.place, 'budget', json_build_array(
                    judged.most, greatest(judged.most - stands.spent_nano, 0),
                    CASE WHEN budget.period NOT IN ('total', 'session')
                        THEN extract(epoch FROM stands.ends_at)::bigint END)
                FROM judged
                JOIN billing_budgetwindow stands ON stands.id = judged.window_id
                LEFT JOIN billing_budget budget ON budget.id = stands.budget_id
                WHERE judged.admitted AND judged.kind = 'budget'
                  -- What the client itself allows its session, or what its person has alone.
                  AND (budget.id IS NULL OR budget.action = 'block' AND (
                      budget.period = 'session' OR budget.scope IN ('user', 'key')))
                ORDER BY judged.place,
                         coalesce(stands.spent_nano / nullif(judged.most, 0)::numeric, 1) DESC,
                         stands.ends_at DESC
            ) fullest
        ) standing
        GROUP BY place
    )
    SELECT CASE WHEN unsound IS NOT NULL THEN unsound
                WHEN admitted THEN 'admitted'
                WHEN missing IS NOT NULL THEN 'no_window'
                WHEN NOT short THEN 'again'
                WHEN units_left IS NOT NULL THEN 'no_units'
                WHEN limited THEN 'limited'
                ELSE 'insufficient' END,
           coalesce(available_nano, 0),
           CASE WHEN unsound IS NOT NULL THEN NULL
                WHEN admitted THEN (
                    SELECT details FROM headroom WHERE headroom.place = decided.place)
                WHEN missing IS NOT NULL THEN
                    json_build_object('now', clock.second, 'windows', missing)
                WHEN units_left IS NOT NULL THEN json_build_object('left', units_left)
                ELSE (SELECT details FROM refusing WHERE refusing.place = decided.place) END
    FROM decided, clock ORDER BY place"""  # noqa: S608 - only constants are put in

# The last sixty seconds are the minute, as above.
_COUNT_REQUEST = """
    WITH clock AS MATERIALIZED (
        SELECT floor(extract(epoch FROM at))::bigint AS second,
               floor(extract(epoch FROM at) * 1000)::bigint AS ms
        FROM (SELECT clock_timestamp() AS at OFFSET 0) read
    ),
    limited AS MATERIALIZED (
        SELECT named.scope, named.id, named.rpm, coalesce((
                   SELECT sum(requests) FROM billing_ratesecond
                   WHERE subject_id = named.id AND second >= clock.second - 60
               ), 0)::bigint AS used
        FROM clock, accounts_key key
        JOIN accounts_team team ON team.id = key.team_id
        JOIN accounts_organisation owner ON owner.id = key.organisation_id
        LEFT JOIN accounts_membership member
            ON member.organisation_id = key.organisation_id
            AND member.user_id = nullif(%(user)s, '')::bigint,
        LATERAL (VALUES
            ('key', key.id, key.rpm), ('team', team.id, team.rpm),
            ('organisation', owner.id, owner.rpm), ('user', member.limit_id, member.rpm)
        ) AS named (scope, id, rpm)
        WHERE key.id = %(key)s::uuid AND named.rpm IS NOT NULL
    ),
    counted AS (
        INSERT INTO billing_ratesecond AS rate (subject_id, second, requests, tokens)
        SELECT id, clock.second, 1, 0 FROM clock, limited
        WHERE NOT EXISTS (SELECT FROM limited WHERE used >= rpm)
        ON CONFLICT (subject_id, second) DO UPDATE SET requests = rate.requests + 1
    ),
    forgotten AS (
        DELETE FROM billing_ratesecond rate USING limited, clock
        WHERE rate.subject_id = limited.id AND rate.second < clock.second - 120
    ),
    reached AS (
        SELECT limited.*, (coalesce((
            SELECT max(second) FROM (
                SELECT second, sum(requests) OVER (ORDER BY second DESC) AS newer
                FROM billing_ratesecond
                WHERE subject_id = limited.id AND second >= clock.second - 60
            ) back WHERE newer >= limited.rpm
        ), clock.second) + 61) * 1000 - clock.ms AS wait_ms
        FROM clock, limited WHERE used >= rpm
    )
    SELECT json_build_object('gate', 'requests', 'scope', scope, 'limit', rpm, 'used', used,
                             'need', 1, 'wait_ms', wait_ms)
    FROM reached ORDER BY wait_ms DESC, used LIMIT 1"""
