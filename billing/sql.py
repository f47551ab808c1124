"""Every money statement as (text, params): the same for sync and async callers.

The order of locks is one for all: first the accounts, by id (`lock_accounts`), then anything else.
A transaction that moves money begins with `lock_accounts`; the statement after it then reads with
a fresh snapshot (READ COMMITTED), so that what it decides on is what it changes. Every statement
works on a whole batch: parameters are arrays, unnested side by side.

What it keeps: docs/promises.md, "Invariants", and docs/promises.md, "Size of a hold".
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from accounts.sql import person_stands
from billing.rules.hold_life import RESOLVED_BY
from lib.ids import id_array

Parameter = str | int | UUID
Statement = tuple[str, dict[str, Parameter]]

WALLET_KINDS = (
    "customer:available", "customer:held", "revenue", "provider:payable", "provider:cost",
)  # fmt: skip
"""The accounts that every request moves: an organisation has all of them or none."""
LOSS_KINDS = ("platform:loss", "provider:payable")


class HoldAsked(NamedTuple):
    """One hold to place: `amount_nano` of an organisation's available money, for one attempt.

    `ttl_seconds` is how long the attempt can take at most; after it the sweeper resolves the hold.
    `posting_id` is a fresh id. `guards` is the count of budget changes that the caller knows of.

    `budget_ids` are the budgets that the request falls under, `tokens` what it takes of a limit of
    tokens per minute; `counted` says that it takes one of the requests per minute, which a further
    attempt of the same request does not; `user_id` is who asks, if anybody does. Where `guarded` is
    False none of this is looked at: nobody here has limits, and no budget applies.
    """

    attempt_id: UUID
    posting_id: UUID
    organisation_id: UUID
    key_id: UUID
    amount_nano: int
    ttl_seconds: int
    guards: int = 0
    guarded: bool = False
    budget_ids: tuple[int, ...] = ()
    tokens: int = 0
    counted: bool = True
    user_id: int | None = None


class WindowOpened(NamedTuple):
    """A budget's window to be made: the edges in Unix seconds."""

    budget_id: int
    starts_at: int
    ends_at: int


class HoldResolved(NamedTuple):
    """How one hold ends (`rules/hold_life.py`): settled (with the charge), voided or expired.

    `charge_nano` above the hold is cut to it (I13). `tokens` is what the attempt really took of a
    limit of tokens per minute. `cost_nano` is what we owe its provider beside a `Loss` (I15).
    """

    attempt_id: UUID
    posting_id: UUID
    organisation_id: UUID
    state: str
    charge_nano: int
    tokens: int = 0
    cost_nano: int = 0


class Loss(NamedTuple):
    """What an attempt may have cost us and nobody pays, at the price of its admission."""

    attempt_id: UUID
    posting_id: UUID
    organisation_id: UUID
    amount_nano: int


class EntryAsked(NamedTuple):
    """One line of a posting, by the kind of the account."""

    organisation_id: UUID
    account_kind: str
    amount_nano: int


def array(values: Iterable[object]) -> str:
    """An array literal of values whose text needs no quoting: numbers, plain words.

    Written here because the driver's own writer of lists looks at every item several times, and
    these statements are the hot path.
    """
    return "{" + ",".join(map(str, values)) + "}"


def lock_accounts(organisation_ids: Iterable[UUID]) -> Statement:
    """Lock all accounts of these organisations until the transaction ends, in the order of ids."""
    return _LOCK_ACCOUNTS, {"organisations": id_array(set(organisation_ids))}


def open_accounts(organisation_ids: Iterable[UUID], kinds: Iterable[str]) -> Statement:
    """Make the accounts of these kinds that are missing."""
    return _OPEN_ACCOUNTS, {
        "organisations": id_array(set(organisation_ids)),
        "kinds": array(kinds),
    }


def place_holds(holds: Sequence[HoldAsked]) -> Statement:
    """Decide on a batch of holds and place those that are admitted (I5, I23).

    One row per hold that was asked, in their order: (verdict, available_nano, told). The verdict:

        admitted      the hold is placed
        key_gone      the key is not valid any more by the database's clock
        no_wallet     the organisation has not all its accounts yet: `open_accounts`, ask again
        stale         its budgets are other ones than the caller knows: read them, ask again
        no_window     a budget has no window for this instant: `open_windows`, ask again
        again         it fits, but not beside others of this batch that were refused: ask again
        insufficient  the wallet or a budget has too little
        limited       a limit of requests, tokens or requests at once is reached

    `available_nano` is what the wallet, or the budget that has less, still has after this batch;
    what the organisation owes is not in it (I12).
    `told` is JSON, null where there is nothing to tell; see `_PLACE_GUARDED_HOLDS`.

    Small holds are placed first, so that a sum refuses only what really does not fit. The clock is
    read after the lock, so that what one organisation is admitted is in the order of its instants.
    Run `lock_accounts` before it in the same transaction.
    """
    attempts, postings, organisations, keys, amounts, ttls, guards, *_ = zip(*holds, strict=True)
    parameters: dict[str, Parameter] = {
        "attempts": id_array(attempts),
        "postings": id_array(postings),
        "organisations": id_array(organisations),
        "keys": id_array(keys),
        "amounts": array(amounts),
        "ttls": array(ttls),
        "guards": array(guards),
    }
    if not any(hold.guarded for hold in holds):
        return _PLACE_HOLDS, parameters
    return _PLACE_GUARDED_HOLDS, {
        **parameters,
        "guarded": array([hold.guarded for hold in holds]),
        "budgets": array(['"' + array(hold.budget_ids) + '"' for hold in holds]),
        "tokens": array([hold.tokens for hold in holds]),
        "counted": array([hold.counted for hold in holds]),
        "users": array(["NULL" if hold.user_id is None else hold.user_id for hold in holds]),
    }


def open_windows(opened: Sequence[WindowOpened]) -> Statement:
    """Make those of these windows that are missing, with their budgets' amounts as caps."""
    budgets, starts, ends = zip(*opened, strict=True)
    return _OPEN_WINDOWS, {
        "budgets": array(budgets),
        "starts": array(starts),
        "ends": array(ends),
    }


def note_refused(window_ids: Iterable[int]) -> Statement:
    """Note of budget windows that they refused a request, for the people who want to hear of it."""
    return _NOTE_REFUSED, {"windows": array(sorted(set(window_ids)))}


def resolve_holds(resolved: Sequence[HoldResolved]) -> Statement:
    """Resolve those holds of a batch that are open; the others stay as they are (I6).

    The held money goes to revenue up to the charge, the rest back to available; in the budget
    windows of the hold's admission the charge is spent and the rest is free again. What it cost is
    put on `provider:payable`. One row per hold that this statement resolved: (attempt_id,
    charged_nano, excess_nano); the excess is the part of the charge above the hold, which nobody
    pays (I13).
    Run `lock_accounts` before it in the same transaction.
    """
    attempts, postings, organisations, states, charges, tokens, costs = zip(*resolved, strict=True)
    kinds = [RESOLVED_BY[state] for state in states]
    return _RESOLVE_HOLDS, {
        "attempts": id_array(attempts),
        "postings": id_array(postings),
        "organisations": id_array(organisations),
        "states": array(states),
        "kinds": array(kinds),
        "charges": array(charges),
        "tokens": array(tokens),
        "costs": array(costs),
    }


def keep_holds(attempt_ids: Iterable[UUID]) -> Statement:
    """Keep those of these holds that are open until an operator decides on them (I14).

    They belong to no process any more, and take no place of a limit of requests at once.
    """
    return _KEEP_HOLDS, {"attempts": id_array(attempt_ids)}


def reopen_hold(attempt_id: UUID) -> Statement:
    """Let a kept hold be resolved, in this transaction; no row where it is not kept."""
    return _REOPEN_HOLD, {"attempt": attempt_id}


def post_losses(losses: Sequence[Loss], state: str = "settled") -> Statement:
    """Book what nobody pays of attempts that this transaction settled, or expired: taken off
    `platform:loss`, put on `provider:payable` (I13, I15). One that is in another `state` was
    resolved by somebody else, and is left alone.

    Run it after `resolve_holds`, and `open_accounts` for the two kinds before it.
    """
    attempts, postings, organisations, amounts = zip(*losses, strict=True)
    return _POST_LOSSES, {
        "state": state,
        "attempts": id_array(attempts),
        "postings": id_array(postings),
        "organisations": id_array(organisations),
        "amounts": array(amounts),
    }


def read_movements(attempt_id: UUID) -> Statement:
    """What the ends of an attempt came to so far: (account kind, nano)."""
    return _READ_MOVEMENTS, {"attempt": attempt_id}


def correct_windows(corrections: Mapping[UUID, int]) -> Statement:
    """Add what late usage changes in the charge (attempt id -> nano, above or below 0) to the
    budget windows that its hold stood in, whatever their cap says (I7, I12).

    Run `lock_accounts` before it in the same transaction.
    """
    return _CORRECT_WINDOWS, {
        "attempts": id_array(corrections),
        "changes": array(corrections.values()),
    }


class Mark(NamedTuple):
    """How far one attempt surely is: JSON text of meters, of which a provider counts no less."""

    attempt_id: UUID
    meters: str


def mark_holds(marks: Sequence[Mark]) -> Statement:
    """Note how far these attempts are; a hold that is resolved keeps the mark it had."""
    attempts, meters = zip(*marks, strict=True)
    quoted = [text.replace('"', '\\"') for text in meters]
    return _MARK_HOLDS, {
        "attempts": id_array(attempts),
        "meters": "{" + ",".join([f'"{text}"' for text in quoted]) + "}",
    }


def renew_lease(process_id: UUID, seconds: int) -> Statement:
    """Say that a process lives, and will say so again within these seconds."""
    return _RENEW_LEASE, {"process": process_id, "seconds": seconds}


def suspect_processes() -> Statement:
    """Suspect the processes that did not say in time that they live."""
    return _SUSPECT_PROCESSES, {}


def forget_processes() -> Statement:
    """Drop the processes that died long ago and hold nothing."""
    return _FORGET_PROCESSES, {}


def due_holds(limit: int, silence_s: int) -> Statement:
    """Open holds that nobody will settle, oldest first: (attempt_id, organisation_id, amount_nano,
    mark).

    They are past their time, or their process has been suspected for `silence_s`. They are not
    locked here, for accounts come first; `resolve_holds` looks again.
    """
    return _DUE_HOLDS, {"limit": limit, "silence": silence_s}


def try_sweep_lock() -> Statement:
    """(true,) for the one transaction that may sweep; the lock ends with it."""
    return _TRY_SWEEP_LOCK, {}


def insert_posting(
    posting_id: UUID, idempotency_id: str, kind: str, organisation_id: UUID, cause: str, actor: str
) -> Statement:
    """Write a posting's head; no row comes back when its idempotency id is taken (I8).

    `cause` is JSON text.
    """
    return _INSERT_POSTING, {
        "id": posting_id,
        "idempotency_id": idempotency_id,
        "kind": kind,
        "organisation": organisation_id,
        "cause": cause,
        "actor": actor,
    }


def insert_entries(posting_id: UUID, entries: Sequence[EntryAsked]) -> Statement:
    """Write a posting's lines and move the cached balances by them (I3).

    Run `open_accounts` and `lock_accounts` before it in the same transaction.
    """
    organisations, kinds, amounts = zip(*entries, strict=True)
    return _INSERT_ENTRIES, {
        "posting": posting_id,
        "organisations": id_array(organisations),
        "kinds": array(kinds),
        "amounts": array(amounts),
    }


def read_posting(idempotency_id: str) -> Statement:
    """A posting's lines: (kind, organisation_id, account_kind, amount_nano), sorted."""
    return _READ_POSTING, {"idempotency_id": idempotency_id}


def stand_in_window(window_id: int, attempt_ids: Iterable[UUID]) -> Statement:
    """Let unresolved holds, placed before the budget was made, stand in its window too."""
    return _STAND_IN_WINDOW, {"window": window_id, "attempts": id_array(attempt_ids)}


def count_guards(organisation_ids: Iterable[UUID]) -> Statement:
    """Count a change of these organisations' budgets: admissions that know of the former ones are
    told so. Run `open_accounts` and `lock_accounts` before it in the same transaction."""
    return _COUNT_GUARDS, {"organisations": id_array(set(organisation_ids))}


def read_available(organisation_id: UUID, budget_ids: Iterable[int]) -> Statement:
    """What a request under these budgets could hold now: (available_nano,), the least of wallet and
    budgets; no row before the organisation's first money."""
    return _READ_AVAILABLE, {"organisation": organisation_id, "budgets": array(budget_ids)}


def read_balances(organisation_id: UUID) -> Statement:
    """An organisation's accounts: (kind, balance_nano, overdraft_nano)."""
    return _READ_BALANCES, {"organisation": organisation_id}


def database_time() -> Statement:
    """(instant,) by the one clock that money goes by."""
    return _DATABASE_TIME, {}


def last_entry() -> Statement:
    """(id,) of the newest ledger entry, 0 without one.

    Under the lock of an organisation's accounts every later entry of them has a higher id.
    """
    return _LAST_ENTRY, {}


def spent_since(organisation_id: UUID, entry_id: int, edges: Sequence[str]) -> Statement:
    """What was charged after a ledger entry: (step, spent_nano), by how many of the instants
    `edges` (ISO 8601) lay at or before the admission of what was charged.

    Run `lock_accounts` before it in the same transaction.
    """
    return _SPENT_SINCE, {
        "organisation": organisation_id,
        "entry": entry_id,
        "edges": "{" + ",".join(f'"{edge}"' for edge in edges) + "}",
    }


def held_since_before(organisation_id: UUID, instant: str) -> Statement:
    """(sum,) of the unresolved holds that were placed before an instant (ISO 8601)."""
    return _HELD_SINCE_BEFORE, {"organisation": organisation_id, "instant": instant}


def in_debt(limit: int) -> Statement:
    """Organisations that owe while something is available: (organisation_id,)."""
    return _IN_DEBT, {"limit": limit}


_LOCK_ACCOUNTS = """
    SELECT id FROM billing_account
    WHERE organisation_id = ANY (%(organisations)s::uuid[])
    ORDER BY id FOR NO KEY UPDATE"""

_OPEN_ACCOUNTS = """
    INSERT INTO billing_account (organisation_id, kind, currency, balance_nano)
    SELECT o.id, kind, o.currency, 0
    FROM accounts_organisation o, unnest(%(kinds)s::text[]) AS kind
    WHERE o.id = ANY (%(organisations)s::uuid[])
    ORDER BY o.id, kind
    ON CONFLICT DO NOTHING"""

# P11: what ended since the relay heard of the key is refused here.
_PERSON_STANDS = person_stands("key.user_id", "key.organisation_id")
_PLACE_HOLDS = f"""
    WITH asked AS (
        SELECT * FROM unnest(
            %(attempts)s::uuid[], %(postings)s::uuid[], %(organisations)s::uuid[],
            %(keys)s::uuid[], %(amounts)s::bigint[], %(ttls)s::int[], %(guards)s::bigint[]
        ) WITH ORDINALITY AS t
            (attempt_id, posting_id, organisation_id, key_id, amount_nano, ttl, guards, place)
    ),
    -- One row per wallet of the batch; a join to accounts per hold would read them once each.
    -- What is owed, below 0 on its account, is not there to be held (I12); a credit line is (I4).
    wallet AS (
        SELECT organisation_id,
               max(id) FILTER (WHERE kind = 'customer:available') AS available_id,
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
        WHERE organisation_id = ANY (%(organisations)s::uuid[])
        GROUP BY organisation_id
    ),
    judged AS (
        SELECT asked.*, wallet.available_id, wallet.held_id, wallet.available_nano,
               wallet.owed_nano,
               key.id IS NOT NULL AND {_PERSON_STANDS} AS key_valid,
               wallet.whole IS TRUE AS wallet_open,
               wallet.guards IS DISTINCT FROM asked.guards AS stale
        FROM asked
        LEFT JOIN accounts_key key
            ON key.id = asked.key_id AND key.organisation_id = asked.organisation_id
            -- Not IS NULL, by which the planner would take the index of live keys' names.
            AND num_nonnulls(key.revoked_at) = 0 AND NOT key.disabled
            AND (key.expires_at IS NULL OR key.expires_at > now())
        LEFT JOIN wallet ON wallet.organisation_id = asked.organisation_id
    ),
    fitted AS (
        SELECT judged.*,
               key_valid AND wallet_open AND NOT stale AND available_nano >= sum(
                   CASE WHEN key_valid AND NOT stale THEN amount_nano ELSE 0 END
               ) OVER (PARTITION BY organisation_id ORDER BY amount_nano, place) AS admitted
        FROM judged
    ),
    held AS (
        INSERT INTO billing_hold (id, organisation_id, amount_nano, state, expires_at)
        SELECT attempt_id, organisation_id, amount_nano, 'open', now() + ttl * interval '1 second'
        FROM fitted WHERE admitted
    ),
    posted AS (
        INSERT INTO billing_posting (id, idempotency_id, kind, organisation_id, cause, actor)
        SELECT posting_id, 'hold:' || attempt_id, 'hold', organisation_id, '{{}}', ''
        FROM fitted WHERE admitted
    ),
    line AS (
        SELECT posting_id, available_id AS account_id, -amount_nano AS amount_nano
        FROM fitted WHERE admitted
        UNION ALL
        SELECT posting_id, held_id, amount_nano FROM fitted WHERE admitted
    ),
    entered AS (
        INSERT INTO billing_ledgerentry (posting_id, account_id, amount_nano)
        SELECT posting_id, account_id, amount_nano FROM line
    ),
    moved AS (
        UPDATE billing_account account
        SET balance_nano = account.balance_nano + total.amount_nano
        FROM (
            SELECT account_id, sum(amount_nano)::bigint AS amount_nano FROM line GROUP BY account_id
        ) total
        WHERE account.id = total.account_id
    )
    SELECT CASE WHEN admitted THEN 'admitted'
                WHEN NOT key_valid THEN 'key_gone'
                WHEN NOT wallet_open THEN 'no_wallet'
                WHEN stale THEN 'stale'
                ELSE 'insufficient' END,
           (coalesce(available_nano, 0) - coalesce(sum(amount_nano) FILTER (WHERE admitted)
               OVER (PARTITION BY organisation_id), 0))::bigint,
           CASE WHEN NOT admitted AND owed_nano > 0
                THEN json_build_object('gate', 'wallet', 'owed', owed_nano) END
    FROM fitted ORDER BY place"""  # noqa: S608 - only constants are put in

# Everything that a request must fit is a gate: so much room, so much needed. The wallet is one; so
# is each budget window, and each limit of the key, its team, its organisation and who asks. A
# request is admitted when at each of its gates it fits together with all those before it in the
# batch that are not hopeless, which is to say that they fit no gate of theirs even alone. What is
# then left over but would fit after the admitted ones is asked again, without the refused that
# stood in its way: each round admits at least the smallest, and nobody is refused for another's
# sake.
#
# A budget whose action is warn has room for everything. One whose action is slow has room above its
# limit as well, but only for one request: while something is held under it, the next one waits.
#
# No gate is shared by two organisations, and the lock of the organisation's accounts stands over
# all of them: there is one order of locks, and it is that of the accounts (I23).
#
# A minute slides over whole seconds: those that any of the last sixty seconds fell in, so that no
# sixty seconds ever hold more than the limit, and a sixty-first part of it is lost at most.
#
# `told` of an admitted request: {"requests" | "tokens": [limit, left, ms until all is free again]},
# those of the key. Of a refused one: the gate that is the most limiting.
#    {"gate": "wallet"}
#    {"gate": "budget" | "slow", "budget": id, "window": id, "scope", "subject", "period", "limit",
#     "spent", "held", "reset": Unix s, "wait_ms": null for the gate budget}
#    {"gate": "requests" | "tokens" | "parallel", "scope", "limit", "used", "need", "wait_ms"}
# Of one without a window: {"now": Unix s, "windows": [[budget, period, anchor, zone], ...]}
_PLACE_GUARDED_HOLDS = f"""
    WITH clock AS MATERIALIZED (
        SELECT at, floor(extract(epoch FROM at))::bigint AS second,
               floor(extract(epoch FROM at) * 1000)::bigint AS ms
        FROM (SELECT clock_timestamp() AS at OFFSET 0) read
    ),
    asked AS (
        SELECT * FROM unnest(
            %(attempts)s::uuid[], %(postings)s::uuid[], %(organisations)s::uuid[],
            %(keys)s::uuid[], %(amounts)s::bigint[], %(ttls)s::int[], %(guards)s::bigint[],
            %(guarded)s::boolean[], %(budgets)s::text[], %(tokens)s::bigint[],
            %(counted)s::boolean[], %(users)s::bigint[]
        ) WITH ORDINALITY AS t
            (attempt_id, posting_id, organisation_id, key_id, amount_nano, ttl, guards, guarded,
             budgets, tokens, counted, user_id, place)
    ),
    wallet AS (
        SELECT organisation_id,
               max(id) FILTER (WHERE kind = 'customer:available') AS available_id,
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
        WHERE organisation_id = ANY (%(organisations)s::uuid[])
        GROUP BY organisation_id
    ),
    known AS MATERIALIZED (
        SELECT asked.place, asked.attempt_id, asked.posting_id, asked.organisation_id,
               asked.amount_nano, asked.ttl, asked.tokens, asked.counted, asked.budgets,
               wallet.available_id, wallet.held_id, wallet.available_nano, wallet.owed_nano,
               CASE WHEN key.id IS NULL THEN 'key_gone'
                    WHEN wallet.whole IS NOT TRUE THEN 'no_wallet'
                    WHEN wallet.guards IS DISTINCT FROM asked.guards THEN 'stale'
               END AS unsound,
               asked.guarded AND key.id IS NOT NULL AS guarded,
               key.id AS key_id, key.rpm, key.tpm, key.parallel,
               team.id AS team_id, team.rpm AS team_rpm, team.tpm AS team_tpm,
               team.parallel AS team_parallel,
               owner.rpm AS owner_rpm, owner.tpm AS owner_tpm, owner.parallel AS owner_parallel,
               member.limit_id AS member_id, member.rpm AS member_rpm, member.tpm AS member_tpm,
               member.parallel AS member_parallel
        FROM asked
        -- There is one at the most; saying so keeps the planner from reading all of them in order.
        LEFT JOIN LATERAL (
            SELECT * FROM accounts_key key
            WHERE key.id = asked.key_id
              -- Neither = nor IS NULL, by which the planner would take the index of an
              -- organisation's keys, or of the names of live ones.
              AND key.organisation_id IS NOT DISTINCT FROM asked.organisation_id
              AND num_nonnulls(key.revoked_at) = 0 AND NOT key.disabled
              AND (key.expires_at IS NULL OR key.expires_at > now())
              AND {_PERSON_STANDS}
            LIMIT 1
        ) key ON true
        LEFT JOIN accounts_team team ON team.id = key.team_id
        LEFT JOIN accounts_organisation owner ON owner.id = key.organisation_id
        LEFT JOIN LATERAL (
            SELECT limit_id, rpm, tpm, parallel FROM accounts_membership
            WHERE user_id = asked.user_id AND organisation_id = key.organisation_id
            LIMIT 1
        ) member ON true
        LEFT JOIN wallet ON wallet.organisation_id = asked.organisation_id
    ),
    -- One row per limited organisation, team, member or key of the batch, with what it has used.
    subject AS MATERIALIZED (
        SELECT named.*, rate.requests, rate.tokens,
               CASE WHEN named.parallel IS NULL THEN 0 WHEN named.scope = 'key' THEN (
                   SELECT count(*) FROM billing_hold hold
                   WHERE hold.leased_key_id = named.id AND hold.state = 'open'
                     AND hold.expires_at > clock.at)
               WHEN named.scope = 'team' THEN (
                   SELECT count(*) FROM billing_hold hold
                   WHERE hold.leased_team_id = named.id AND hold.state = 'open'
                     AND hold.expires_at > clock.at)
               WHEN named.scope = 'organisation' THEN (
                   SELECT count(*) FROM billing_hold hold
                   WHERE hold.leased_organisation_id = named.id AND hold.state = 'open'
                     AND hold.expires_at > clock.at)
               ELSE (
                   SELECT count(*) FROM billing_hold hold
                   WHERE hold.leased_member_id = named.id AND hold.state = 'open'
                     AND hold.expires_at > clock.at) END AS running
        FROM clock, (
            SELECT DISTINCT limited.* FROM known, LATERAL (VALUES
                ('key', key_id, rpm, tpm, parallel),
                ('team', team_id, team_rpm, team_tpm, team_parallel),
                ('organisation', organisation_id, owner_rpm, owner_tpm, owner_parallel),
                ('user', member_id, member_rpm, member_tpm, member_parallel)
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
               CASE WHEN stands.id IS NULL THEN json_build_array(
                   budget.id, budget.period, budget.anchor, budget.timezone) END,
               allowed.nano, stands.held_nano + stands.spent_nano,
               CASE budget.action
                   WHEN 'warn' THEN 4611686018427387904
                   WHEN 'slow' THEN greatest(
                       allowed.nano - stands.held_nano - stands.spent_nano,
                       CASE WHEN stands.held_nano = 0 THEN known.amount_nano ELSE 0 END)
                   ELSE greatest(least(allowed.nano, stands.cap_nano)
                                 - stands.held_nano - stands.spent_nano, 0) END,
               known.amount_nano
        FROM clock, known, unnest(known.budgets::bigint[]) AS falls_under (budget_id)
        JOIN billing_budget budget ON budget.id = falls_under.budget_id AND budget.enabled
        CROSS JOIN LATERAL (
            SELECT budget.amount_nano + CASE WHEN budget.raised_until > clock.at
                THEN budget.raised_nano ELSE 0 END AS nano
        ) allowed
        LEFT JOIN LATERAL (
            SELECT * FROM (
                SELECT id, ends_at, cap_nano, held_nano, spent_nano FROM billing_budgetwindow
                WHERE budget_id = budget.id AND starts_at <= clock.at
                ORDER BY starts_at DESC LIMIT 1
            ) latest WHERE ends_at > clock.at
        ) stands ON true
        WHERE unsound IS NULL
        UNION ALL
        SELECT known.*, limited.kind, limited.kind || ' ' || subject.id, subject.scope,
               subject.id, NULL, NULL, limited.most, limited.used,
               greatest(limited.most - limited.used, 0), limited.need
        FROM known JOIN subject ON subject.id IN (
            known.key_id, known.team_id, known.organisation_id, known.member_id),
        LATERAL (VALUES
            ('requests', subject.rpm::bigint, subject.requests, known.counted::int::bigint),
            ('tokens', subject.tpm, subject.tokens, known.tokens),
            ('parallel', subject.parallel, subject.running, 1)
        ) AS limited (kind, most, used, need)
        WHERE unsound IS NULL AND guarded AND limited.most IS NOT NULL
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
        SELECT place, attempt_id, posting_id, organisation_id, amount_nano, ttl, tokens,
               available_id, held_id, unsound, admitted,
               min(left_over) FILTER (WHERE kind IN ('wallet', 'budget')) AS available_nano,
               bool_or(need > left_over) AS short,
               bool_or(need > left_over
                   AND kind IN ('requests', 'tokens', 'parallel', 'slow')) AS limited,
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
                   AS leased_member_id
        FROM judged
        GROUP BY place, attempt_id, posting_id, organisation_id, amount_nano, ttl, tokens,
                 available_id, held_id, unsound, admitted
    ),
    held AS (
        INSERT INTO billing_hold (
            id, organisation_id, amount_nano, state, opened_at, expires_at, window_ids, rated_ids,
            tokens, leased_key_id, leased_team_id, leased_organisation_id, leased_member_id)
        SELECT attempt_id, organisation_id, amount_nano, 'open', clock.at,
               clock.at + ttl * interval '1 second', window_ids, rated_ids,
               CASE WHEN rated_ids IS NOT NULL THEN tokens END, leased_key_id, leased_team_id,
               leased_organisation_id, leased_member_id
        FROM decided, clock WHERE admitted
    ),
    budgeted AS (
        UPDATE billing_budgetwindow stands SET held_nano = stands.held_nano + total.held_nano
        FROM (
            SELECT window_id, sum(need)::bigint AS held_nano FROM judged
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
    posted AS (
        INSERT INTO billing_posting (id, idempotency_id, kind, organisation_id, cause, actor)
        SELECT posting_id, 'hold:' || attempt_id, 'hold', organisation_id, '{{}}', ''
        FROM decided WHERE admitted
    ),
    line AS (
        SELECT posting_id, available_id AS account_id, -amount_nano AS amount_nano
        FROM decided WHERE admitted
        UNION ALL
        SELECT posting_id, held_id, amount_nano FROM decided WHERE admitted
    ),
    entered AS (
        INSERT INTO billing_ledgerentry (posting_id, account_id, amount_nano)
        SELECT posting_id, account_id, amount_nano FROM line
    ),
    moved AS (
        UPDATE billing_account account
        SET balance_nano = account.balance_nano + total.amount_nano
        FROM (
            SELECT account_id, sum(amount_nano)::bigint AS amount_nano FROM line GROUP BY account_id
        ) total
        WHERE account.id = total.account_id
    ),
    -- What is told of a request, gate by gate: the most limiting of those that refuse it.
    refusing AS (
        SELECT DISTINCT ON (place) place, CASE
            WHEN kind = 'wallet' THEN json_build_object('gate', kind, 'owed', owed_nano)
            WHEN kind IN ('budget', 'slow') THEN (
                SELECT json_build_object(
                    'gate', judged.kind, 'budget', budget.id, 'window', stands.id,
                    'scope', budget.scope, 'subject', budget.subject,
                    'period', budget.period, 'limit', judged.most,
                    'wait_ms', judged.wait_ms, 'spent', stands.spent_nano, 'held',
                    judged.used + judged.room - judged.left_over - stands.spent_nano,
                    'reset', extract(epoch FROM stands.ends_at)::bigint)
                FROM billing_budgetwindow stands JOIN billing_budget budget
                    ON budget.id = stands.budget_id
                WHERE stands.id = judged.window_id)
            ELSE json_build_object(
                'gate', kind, 'scope', scope, 'limit', most, 'used', used + room - left_over,
                'need', need, 'wait_ms', wait_ms)
            END AS told
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
        SELECT place, json_object_agg(kind, json_build_array(
            most, left_over, (clock.second + 61) * 1000 - clock.ms)) AS told
        FROM judged, clock
        WHERE admitted AND kind IN ('requests', 'tokens') AND scope = 'key' GROUP BY place
    )
    SELECT CASE WHEN unsound IS NOT NULL THEN unsound
                WHEN admitted THEN 'admitted'
                WHEN missing IS NOT NULL THEN 'no_window'
                WHEN NOT short THEN 'again'
                WHEN limited THEN 'limited'
                ELSE 'insufficient' END,
           coalesce(available_nano, 0),
           CASE WHEN unsound IS NOT NULL THEN NULL
                WHEN admitted THEN (SELECT told FROM headroom WHERE headroom.place = decided.place)
                WHEN missing IS NOT NULL THEN
                    json_build_object('now', clock.second, 'windows', missing)
                ELSE (SELECT told FROM refusing WHERE refusing.place = decided.place) END
    FROM decided, clock ORDER BY place"""  # noqa: S608 - only constants are put in

_OPEN_WINDOWS = """
    INSERT INTO billing_budgetwindow (budget_id, starts_at, ends_at, cap_nano)
    SELECT budget.id,
        -- Where a zone's rules were changed since, it begins where the one before it ended (P17).
        greatest(to_timestamp(t.starts_at), (
            SELECT max(ended.ends_at) FROM billing_budgetwindow ended
            WHERE ended.budget_id = budget.id AND ended.ends_at <= now())),
        to_timestamp(t.ends_at), CASE
        WHEN budget.action <> 'block' THEN 4611686018427387904
        WHEN budget.raised_until > now() THEN budget.amount_nano + budget.raised_nano
        ELSE budget.amount_nano END
    FROM unnest(%(budgets)s::bigint[], %(starts)s::bigint[], %(ends)s::bigint[])
        AS t (budget_id, starts_at, ends_at)
    JOIN billing_budget budget ON budget.id = t.budget_id
    ON CONFLICT DO NOTHING"""

_NOTE_REFUSED = """
    UPDATE billing_budgetwindow SET refused_at = now()
    WHERE id = ANY (%(windows)s::bigint[]) AND refused_at IS NULL"""

_RESOLVE_HOLDS = """
    WITH told AS (
        SELECT * FROM unnest(
            %(attempts)s::uuid[], %(postings)s::uuid[], %(states)s::text[], %(kinds)s::text[],
            %(charges)s::bigint[], %(tokens)s::bigint[], %(costs)s::bigint[]
        ) AS t (attempt_id, posting_id, state, kind, charge_nano, tokens, cost_nano)
    ),
    resolved AS (
        UPDATE billing_hold hold SET state = told.state, resolved_at = now()
        FROM told
        -- Open, in words that do not lead the planner to the index of all that is open.
        WHERE hold.id = told.attempt_id AND hold.resolved_at IS NULL
        RETURNING hold.id, hold.organisation_id, hold.amount_nano, told.kind, told.posting_id,
                  least(told.charge_nano, hold.amount_nano) AS charged_nano,
                  greatest(told.charge_nano - hold.amount_nano, 0) AS excess_nano,
                  told.cost_nano, hold.window_ids, hold.rated_ids, hold.opened_at,
                  told.tokens - hold.tokens AS more_tokens
    ),
    -- The windows of the hold, which are those of its admission, and no other budget row: the lock
    -- of the organisation's accounts stands over them (I23).
    budgeted AS (
        UPDATE billing_budgetwindow stands
        SET held_nano = stands.held_nano - total.held_nano,
            spent_nano = stands.spent_nano + total.charged_nano
        FROM (
            SELECT window_id, sum(amount_nano)::bigint AS held_nano,
                   sum(charged_nano)::bigint AS charged_nano
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
    posted AS (
        INSERT INTO billing_posting (id, idempotency_id, kind, organisation_id, cause, actor)
        SELECT posting_id, kind || ':' || id, kind, organisation_id, '{}', '' FROM resolved
    ),
    wallet AS (
        SELECT organisation_id,
               max(id) FILTER (WHERE kind = 'customer:available') AS available_id,
               max(id) FILTER (WHERE kind = 'customer:held') AS held_id,
               max(id) FILTER (WHERE kind = 'revenue') AS revenue_id,
               max(id) FILTER (WHERE kind = 'provider:payable') AS payable_id,
               max(id) FILTER (WHERE kind = 'provider:cost') AS cost_id
        FROM billing_account
        WHERE organisation_id = ANY (%(organisations)s::uuid[])
        GROUP BY organisation_id
    ),
    line AS (
        SELECT posting_id, held_id AS account_id, -amount_nano AS amount_nano
        FROM resolved JOIN wallet USING (organisation_id)
        UNION ALL
        SELECT posting_id, revenue_id, charged_nano
        FROM resolved JOIN wallet USING (organisation_id) WHERE charged_nano > 0
        UNION ALL
        SELECT posting_id, available_id, amount_nano - charged_nano
        FROM resolved JOIN wallet USING (organisation_id)
        WHERE charged_nano < amount_nano OR charged_nano = 0
        UNION ALL
        SELECT posting_id, payable_id, cost_nano
        FROM resolved JOIN wallet USING (organisation_id) WHERE cost_nano <> 0
        UNION ALL
        SELECT posting_id, cost_id, -cost_nano
        FROM resolved JOIN wallet USING (organisation_id) WHERE cost_nano <> 0
    ),
    entered AS (
        INSERT INTO billing_ledgerentry (posting_id, account_id, amount_nano)
        SELECT posting_id, account_id, amount_nano FROM line
    ),
    moved AS (
        UPDATE billing_account account
        SET balance_nano = account.balance_nano + total.amount_nano
        FROM (
            SELECT account_id, sum(amount_nano)::bigint AS amount_nano FROM line GROUP BY account_id
        ) total
        WHERE account.id = total.account_id
    )
    SELECT id, charged_nano, excess_nano FROM resolved"""

_KEEP_HOLDS = """
    UPDATE billing_hold
    SET state = 'kept', resolved_at = now(), process_id = NULL, leased_key_id = NULL,
        leased_team_id = NULL, leased_organisation_id = NULL, leased_member_id = NULL
    WHERE id = ANY (%(attempts)s::uuid[]) AND resolved_at IS NULL"""

_REOPEN_HOLD = """
    UPDATE billing_hold SET state = 'open', resolved_at = NULL
    WHERE id = %(attempt)s AND state = 'kept' RETURNING id"""

_POST_LOSSES = """
    WITH told AS (
        SELECT t.* FROM unnest(
            %(attempts)s::uuid[], %(postings)s::uuid[], %(amounts)s::bigint[]
        ) AS t (attempt_id, posting_id, amount_nano)
        JOIN billing_hold hold ON hold.id = t.attempt_id AND hold.state = %(state)s::text
    ),
    wallet AS (
        SELECT organisation_id,
               max(id) FILTER (WHERE kind = 'platform:loss') AS loss_id,
               max(id) FILTER (WHERE kind = 'provider:payable') AS payable_id
        FROM billing_account
        WHERE organisation_id = ANY (%(organisations)s::uuid[])
        GROUP BY organisation_id
    ),
    posted AS (
        INSERT INTO billing_posting (id, idempotency_id, kind, organisation_id, cause, actor)
        SELECT told.posting_id, 'loss:' || hold.id, 'loss', hold.organisation_id, '{}', ''
        FROM told JOIN billing_hold hold ON hold.id = told.attempt_id
        ON CONFLICT (idempotency_id) DO NOTHING
        RETURNING id, organisation_id
    ),
    line AS (
        SELECT posted.id AS posting_id, wallet.loss_id AS account_id,
               -told.amount_nano AS amount_nano
        FROM posted JOIN told ON told.posting_id = posted.id JOIN wallet USING (organisation_id)
        UNION ALL
        SELECT posted.id, wallet.payable_id, told.amount_nano
        FROM posted JOIN told ON told.posting_id = posted.id JOIN wallet USING (organisation_id)
    ),
    entered AS (
        INSERT INTO billing_ledgerentry (posting_id, account_id, amount_nano)
        SELECT posting_id, account_id, amount_nano FROM line
    ),
    moved AS (
        UPDATE billing_account account
        SET balance_nano = account.balance_nano + total.amount_nano
        FROM (
            SELECT account_id, sum(amount_nano)::bigint AS amount_nano FROM line GROUP BY account_id
        ) total
        WHERE account.id = total.account_id
    )
    SELECT count(*) FROM posted"""

_READ_MOVEMENTS = """
    SELECT account.kind, sum(entry.amount_nano)::bigint
    FROM billing_posting posting
    JOIN billing_ledgerentry entry ON entry.posting_id = posting.id
    JOIN billing_account account ON account.id = entry.account_id
    WHERE posting.idempotency_id IN (
        'settle:' || %(attempt)s::uuid, 'expire:' || %(attempt)s::uuid,
        'loss:' || %(attempt)s::uuid, 'adjust:' || %(attempt)s::uuid || ':late',
        'adjust:' || %(attempt)s::uuid || ':look_up', 'adjust:' || %(attempt)s::uuid || ':review')
    GROUP BY account.kind"""

_CORRECT_WINDOWS = """
    UPDATE billing_budgetwindow stands
    SET spent_nano = stands.spent_nano + total.change_nano,
        cap_nano = greatest(
            stands.cap_nano, stands.held_nano + stands.spent_nano + total.change_nano)
    FROM (
        SELECT window_id, sum(t.change_nano)::bigint AS change_nano
        FROM unnest(%(attempts)s::uuid[], %(changes)s::bigint[]) AS t (attempt_id, change_nano)
        JOIN billing_hold hold ON hold.id = t.attempt_id,
        unnest(hold.window_ids) AS window_id
        GROUP BY window_id
    ) total
    WHERE stands.id = total.window_id"""

_MARK_HOLDS = """
    UPDATE billing_hold hold SET mark = told.meters
    FROM unnest(%(attempts)s::uuid[], %(meters)s::jsonb[]) AS told (attempt_id, meters)
    WHERE hold.id = told.attempt_id AND hold.resolved_at IS NULL"""

_RENEW_LEASE = """
    INSERT INTO billing_process (id, alive_until)
    VALUES (%(process)s::uuid, now() + %(seconds)s::int * interval '1 second')
    ON CONFLICT (id) DO UPDATE SET alive_until = excluded.alive_until, suspected_at = NULL"""

_SUSPECT_PROCESSES = """
    UPDATE billing_process SET suspected_at = now()
    WHERE alive_until < now() AND suspected_at IS NULL"""

_FORGET_PROCESSES = """
    DELETE FROM billing_process process
    WHERE suspected_at < now() - interval '1 hour' AND NOT EXISTS (
        SELECT FROM billing_hold hold WHERE hold.state = 'open' AND hold.process_id = process.id)"""

_DUE_HOLDS = """
    SELECT hold.id, hold.organisation_id, hold.amount_nano, hold.mark FROM billing_hold hold
    LEFT JOIN billing_process process ON process.id = hold.process_id
    WHERE hold.state = 'open' AND (
        hold.expires_at < now()
        OR process.suspected_at < now() - %(silence)s * interval '1 second')
    ORDER BY hold.expires_at LIMIT %(limit)s"""

# Any fixed number serves; it must only differ from other advisory locks of the product.
_TRY_SWEEP_LOCK = "SELECT pg_try_advisory_xact_lock(8113072025)"

_INSERT_POSTING = """
    INSERT INTO billing_posting (id, idempotency_id, kind, organisation_id, cause, actor)
    VALUES (%(id)s, %(idempotency_id)s, %(kind)s, %(organisation)s, %(cause)s::jsonb, %(actor)s)
    ON CONFLICT (idempotency_id) DO NOTHING RETURNING id"""

_INSERT_ENTRIES = """
    WITH line AS (
        SELECT account.id AS account_id, t.amount_nano
        FROM unnest(%(organisations)s::uuid[], %(kinds)s::text[], %(amounts)s::bigint[])
            AS t (organisation_id, kind, amount_nano)
        JOIN billing_account account USING (organisation_id, kind)
    ),
    entered AS (
        INSERT INTO billing_ledgerentry (posting_id, account_id, amount_nano)
        SELECT %(posting)s, account_id, amount_nano FROM line
    ),
    moved AS (
        UPDATE billing_account account
        SET balance_nano = account.balance_nano + total.amount_nano
        FROM (
            SELECT account_id, sum(amount_nano)::bigint AS amount_nano FROM line GROUP BY account_id
        ) total
        WHERE account.id = total.account_id
    )
    SELECT 1"""

_READ_POSTING = """
    SELECT posting.kind, account.organisation_id, account.kind, entry.amount_nano
    FROM billing_posting posting
    JOIN billing_ledgerentry entry ON entry.posting_id = posting.id
    JOIN billing_account account ON account.id = entry.account_id
    WHERE posting.idempotency_id = %(idempotency_id)s
    ORDER BY account.organisation_id, account.kind, entry.amount_nano"""

_READ_BALANCES = """
    SELECT kind, balance_nano, overdraft_nano FROM billing_account
    WHERE organisation_id = %(organisation)s"""

_STAND_IN_WINDOW = """
    UPDATE billing_hold SET window_ids = array_append(window_ids, %(window)s::bigint)
    WHERE id = ANY (%(attempts)s::uuid[]) AND state IN ('open', 'kept')
      AND NOT coalesce(window_ids @> ARRAY[%(window)s::bigint], false)"""

_COUNT_GUARDS = """
    UPDATE billing_account SET guards = guards + 1
    WHERE organisation_id = ANY (%(organisations)s::uuid[]) AND kind = 'customer:available'"""

_READ_AVAILABLE = """
    SELECT least((
        SELECT greatest(sum(wallet.balance_nano + wallet.overdraft_nano), 0)::bigint
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
          AND budget.action = 'block'))
    FROM billing_account account
    WHERE account.organisation_id = %(organisation)s::uuid
      AND account.kind = 'customer:available'"""

_DATABASE_TIME = "SELECT statement_timestamp()"

_LAST_ENTRY = "SELECT coalesce(max(id), 0) FROM billing_ledgerentry"

_SPENT_SINCE = """
    SELECT step, sum(amount_nano)::bigint FROM (
        SELECT entry.amount_nano, (
            SELECT count(*) FROM unnest(%(edges)s::timestamptz[]) AS edge
            WHERE edge <= coalesce(hold.opened_at, posting.created_at)
        ) AS step
        FROM billing_ledgerentry entry
        JOIN billing_posting posting ON posting.id = entry.posting_id
        LEFT JOIN billing_hold hold ON hold.id = CASE WHEN posting.kind IN ('settle', 'expire')
            THEN split_part(posting.idempotency_id, ':', 2)::uuid END
        WHERE entry.id > %(entry)s AND entry.account_id = (
            SELECT id FROM billing_account
            WHERE organisation_id = %(organisation)s AND kind = 'revenue')
    ) spent
    GROUP BY step"""

_HELD_SINCE_BEFORE = """
    SELECT coalesce(sum(amount_nano), 0)::bigint FROM billing_hold
    WHERE organisation_id = %(organisation)s AND state IN ('open', 'kept')
    AND opened_at < %(instant)s::timestamptz"""

_IN_DEBT = """
    SELECT debt.organisation_id FROM billing_account debt
    JOIN billing_account available USING (organisation_id)
    WHERE debt.kind = 'customer:debt' AND debt.balance_nano < 0
    AND available.kind = 'customer:available' AND available.balance_nano > 0
    LIMIT %(limit)s"""
