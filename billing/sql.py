"""Every money statement as (text, params): the same for sync and async callers.

The order of locks is one for all: first the accounts, by id (`lock_accounts`), then anything else.
A transaction that moves money begins with `lock_accounts`; the statement after it then reads with
a fresh snapshot (READ COMMITTED), so that what it decides on is what it changes. Every statement
works on a whole batch: parameters are arrays, unnested side by side.

Sources: promises.md, "Billing invariants" (I1 to I14) and "Size of a hold".
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

Parameter = str | int | UUID
Statement = tuple[str, dict[str, Parameter]]


class HoldAsked(NamedTuple):
    """One hold to place: `amount_nano` of an organisation's available money, for one attempt.

    `ttl_seconds` is how long the attempt can take at most; after it the sweeper resolves the hold.
    `posting_id` is a fresh id.
    """

    attempt_id: UUID
    posting_id: UUID
    organisation_id: UUID
    key_id: UUID
    amount_nano: int
    ttl_seconds: int


class HoldResolved(NamedTuple):
    """How one hold ends: `state` is settled (with the charge), voided or expired.

    `charge_nano` above the hold is cut to it (I13). `tokens` is what the attempt really took of a
    limit of tokens per minute.
    """

    attempt_id: UUID
    posting_id: UUID
    organisation_id: UUID
    state: str
    charge_nano: int
    tokens: int = 0


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


def id_array(values: Iterable[UUID]) -> str:
    """An array literal of ids, in the form without hyphens, which takes half as long to write."""
    return "{" + ",".join([f"{value.int:032x}" for value in values]) + "}"


def lock_accounts(organisation_ids: Iterable[UUID]) -> Statement:
    """Lock all accounts of these organisations until the transaction ends, in the order of ids."""
    return _LOCK_ACCOUNTS, {"organisations": id_array(set(organisation_ids))}


def open_accounts(organisation_ids: Iterable[UUID], kinds: Iterable[str]) -> Statement:
    """Make the accounts of these kinds that are missing."""
    return _OPEN_ACCOUNTS, {
        "organisations": id_array(set(organisation_ids)),
        "kinds": array(kinds),
    }


def place_holds(asked: Sequence[HoldAsked]) -> Statement:
    """Decide on a batch of holds and place those that are admitted (I5).

    One row per hold that was asked, in their order: (verdict, available_nano). The verdict is
    `admitted`; `key_gone` when the key is not valid any more by the database's clock; `no_wallet`
    when the organisation has no accounts yet; else `insufficient`, and `available_nano` is what
    the wallet still has after this batch.

    Small holds are placed first, so that a sum refuses only what really does not fit.
    Run `lock_accounts` before it in the same transaction.
    """
    attempts, postings, organisations, keys, amounts, ttls = zip(*asked, strict=True)
    return _PLACE_HOLDS, {
        "attempts": id_array(attempts),
        "postings": id_array(postings),
        "organisations": id_array(organisations),
        "keys": id_array(keys),
        "amounts": array(amounts),
        "ttls": array(ttls),
    }


def resolve_holds(resolved: Sequence[HoldResolved]) -> Statement:
    """Resolve those holds of a batch that are open; the others stay as they are (I6).

    The held money goes to revenue up to the charge, the rest back to available; in the budget
    windows of the hold's admission the charge is spent and the rest is free again. One row per
    hold that this statement resolved: (attempt_id, charged_nano, excess_nano); the excess is the
    part of the charge above the hold, which nobody pays (I13).
    Run `lock_accounts` before it in the same transaction.
    """
    attempts, postings, organisations, states, charges, tokens = zip(*resolved, strict=True)
    return _RESOLVE_HOLDS, {
        "attempts": id_array(attempts),
        "postings": id_array(postings),
        "organisations": id_array(organisations),
        "states": array(states),
        "charges": array(charges),
        "tokens": array(tokens),
    }


def correct_windows(corrections: Mapping[UUID, int]) -> Statement:
    """Add what late truth changes in the charge (attempt id -> nano, above or below 0) to the
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


def read_available(organisation_id: UUID) -> Statement:
    """What an organisation could hold now: (available_nano,), no row before its first money."""
    return _READ_AVAILABLE, {"organisation": organisation_id}


def read_balances(organisation_id: UUID) -> Statement:
    """An organisation's accounts: (kind, balance_nano)."""
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
    """(sum,) of the open holds that were placed before an instant (ISO 8601)."""
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

_PLACE_HOLDS = """
    WITH asked AS (
        SELECT * FROM unnest(
            %(attempts)s::uuid[], %(postings)s::uuid[], %(organisations)s::uuid[],
            %(keys)s::uuid[], %(amounts)s::bigint[], %(ttls)s::int[]
        ) WITH ORDINALITY AS t
            (attempt_id, posting_id, organisation_id, key_id, amount_nano, ttl, place)
    ),
    -- One row per wallet of the batch; a join to accounts per hold would read them once each.
    wallet AS (
        SELECT organisation_id,
               max(id) FILTER (WHERE kind = 'customer:available') AS available_id,
               max(id) FILTER (WHERE kind = 'customer:held') AS held_id,
               max(balance_nano) FILTER (WHERE kind = 'customer:available') AS available_nano
        FROM billing_account
        WHERE organisation_id = ANY (%(organisations)s::uuid[])
        GROUP BY organisation_id
    ),
    judged AS (
        SELECT asked.*, wallet.available_id, wallet.held_id, wallet.available_nano,
               key.id IS NOT NULL AS key_valid,
               wallet.available_id IS NOT NULL AND wallet.held_id IS NOT NULL AS wallet_open
        FROM asked
        LEFT JOIN accounts_key key
            ON key.id = asked.key_id AND key.organisation_id = asked.organisation_id
            AND key.revoked_at IS NULL AND NOT key.disabled
            AND (key.expires_at IS NULL OR key.expires_at > now())
        LEFT JOIN wallet ON wallet.organisation_id = asked.organisation_id
    ),
    fitted AS (
        SELECT judged.*,
               key_valid AND wallet_open AND available_nano >= sum(
                   CASE WHEN key_valid THEN amount_nano ELSE 0 END
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
        SELECT posting_id, 'hold:' || attempt_id, 'hold', organisation_id, '{}', ''
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
                ELSE 'insufficient' END,
           (coalesce(available_nano, 0) - coalesce(sum(amount_nano) FILTER (WHERE admitted)
               OVER (PARTITION BY organisation_id), 0))::bigint
    FROM fitted ORDER BY place"""

_RESOLVE_HOLDS = """
    WITH told AS (
        SELECT * FROM unnest(
            %(attempts)s::uuid[], %(postings)s::uuid[], %(states)s::text[], %(charges)s::bigint[],
            %(tokens)s::bigint[]
        ) AS t (attempt_id, posting_id, state, charge_nano, tokens)
    ),
    resolved AS (
        UPDATE billing_hold hold SET state = told.state, resolved_at = now()
        FROM told
        WHERE hold.id = told.attempt_id AND hold.state = 'open'
        RETURNING hold.id, hold.organisation_id, hold.amount_nano, hold.state, told.posting_id,
                  least(told.charge_nano, hold.amount_nano) AS charged_nano,
                  greatest(told.charge_nano - hold.amount_nano, 0) AS excess_nano,
                  hold.window_ids, hold.rated_ids, hold.opened_at,
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
        SELECT posting_id, kind || ':' || id, kind, organisation_id, '{}', ''
        FROM (
            SELECT *, CASE state WHEN 'settled' THEN 'settle'
                                 WHEN 'voided' THEN 'void' ELSE 'expire' END AS kind
            FROM resolved
        ) named
    ),
    wallet AS (
        SELECT organisation_id,
               max(id) FILTER (WHERE kind = 'customer:available') AS available_id,
               max(id) FILTER (WHERE kind = 'customer:held') AS held_id,
               max(id) FILTER (WHERE kind = 'revenue') AS revenue_id
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
    WHERE hold.id = told.attempt_id AND hold.state = 'open'"""

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
    SELECT kind, balance_nano FROM billing_account WHERE organisation_id = %(organisation)s"""

_READ_AVAILABLE = """
    SELECT balance_nano FROM billing_account
    WHERE organisation_id = %(organisation)s::uuid AND kind = 'customer:available'"""

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
    WHERE organisation_id = %(organisation)s AND state = 'open'
    AND opened_at < %(instant)s::timestamptz"""

_IN_DEBT = """
    SELECT debt.organisation_id FROM billing_account debt
    JOIN billing_account available USING (organisation_id)
    WHERE debt.kind = 'customer:debt' AND debt.balance_nano < 0
    AND available.kind = 'customer:available' AND available.balance_nano > 0
    LIMIT %(limit)s"""
