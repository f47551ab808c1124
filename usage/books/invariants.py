# ruff: noqa: S608 - only constants are put in
"""The invariants of the books, each as a query for the rows that violate it.

At the end of every money test they run over everything. In production they run span by span, so
that they take no longer as the books grow: each minute over new rows (`check.py`), endlessly over
all rows (`full_walk.py`), and by `manage.py verify`.

A span covers the postings of a period, the holds, attempts and records that they refer to, and the
rows whose ids are of that period, which include holds without a posting. A total since the first
day, such as a balance, is the sum stored before the span plus the sum of the span.
"""

import datetime as dt
from collections import Counter, namedtuple
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

from lib.ids import first_id_at
from usage.records.outcomes import FAILED_SQL
from usage.rollups.sums import MERGED_SAVED, MERGED_TIMES, OWN_SUM, TIME_SUMS, TIMES

Sums = Mapping[tuple[str, int], int]
"""Stored sums: (kind, id of the account or window) -> nano. The kinds are those of `SUMS`."""

_QUARTER: Final = dt.timedelta(minutes=15)
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LAST_ID: Final = (1 << 128) - 1
_FIRST_UUID, _LAST_UUID = UUID(int=0), UUID(int=_LAST_ID)


class Span(NamedTuple):
    """A span from one instant to another; None means that it has no end on that side. With
    `quarters`, the quarter hours that begin in the span are checked too, except those at an open
    end that are not over."""

    from_at: dt.datetime | None = None
    to_at: dt.datetime | None = None
    quarters: bool = True

    def parameters(self, sums: Sums | None = None) -> dict[str, Any]:
        """Return the parameters of every query of this module. `sums` are the sums of everything
        before the span."""
        first = UUID(int=0) if self.from_at is None else first_id_at(self.from_at)
        end = _LAST_ID + 1 if self.to_at is None else first_id_at(self.to_at).int
        rows = [(*subject, nano) for subject, nano in (sums or {}).items()]
        kinds, subjects, nanos = zip(*rows, strict=True) if rows else ((), (), ())
        return {
            "from": _instant(self.from_at, "-infinity"),
            "to": _instant(self.to_at, "infinity"),
            "first": first,
            "last": UUID(int=end - 1),
            "quarter": _instant(_quarter(self.from_at), "-infinity"),
            "quarter_end": _instant(
                _quarter(self.to_at) if self.quarters else _quarter(self.from_at), "infinity"
            ),
            "kinds": list(kinds),
            "subjects": list(subjects),
            "nanos": list(nanos),
        }


def _instant(at: dt.datetime | None, otherwise: str) -> str:
    return otherwise if at is None else at.isoformat()


def _quarter(at: dt.datetime | None) -> dt.datetime | None:
    return None if at is None else at - (at - _EPOCH) % _QUARTER


_SPAN: Final = "p.created_at >= %(from)s::timestamptz AND p.created_at < %(to)s::timestamptz"
_IN_QUARTERS: Final = "{0} >= %(quarter)s::timestamptz AND {0} < %(quarter_end)s::timestamptz"
_IDS: Final = "BETWEEN %(first)s::uuid AND %(last)s::uuid"
# The attempt of a posting: from its column, or from the end of its idempotency id.
_ATTEMPT: Final = """coalesce(p.attempt_id, CASE
            WHEN length(p.idempotency_id) = length(p.kind) + 37
            THEN right(p.idempotency_id, 36)::uuid END)"""
_CORRECTED: Final = "split_part(p.idempotency_id, ':', 2)::uuid"
_ENDS: Final = "p.kind IN ('settle', 'void', 'expire')"
_CHARGES: Final = "p.kind IN ('settle', 'expire')"
# Earlier rows whose hold ended in the span, or whose id was issued by a slow clock.
_OF_BEFORE: Final = f"NOT {_ATTEMPT} {_IDS}"
_TOUCHED: Final = f"""
        SELECT id FROM billing_hold WHERE id {_IDS}
        UNION ALL
        SELECT {_ATTEMPT} FROM billing_posting p
        WHERE {_SPAN} AND p.kind IN ('hold', 'settle', 'void', 'expire') AND {_OF_BEFORE}"""

# Ends a subquery that depends on the rows before it. The planner then reads those first and runs
# the subquery for each of them. Otherwise it chooses the order, and without statistics that order
# may begin with all records of an organisation.
_EACH: Final = "OFFSET 0"


def _hold(which: str) -> str:
    return f"CROSS JOIN LATERAL (SELECT * FROM billing_hold WHERE {which} {_EACH}) h"


def _account(kind: str, which: str = "organisation_id = p.organisation_id") -> str:
    return f"""CROSS JOIN LATERAL (
            SELECT * FROM billing_account WHERE {which} AND kind = '{kind}' {_EACH}) a"""


_HOLDS: Final = f"({_TOUCHED}) touched {_hold('id = touched.id')}"


def _of_each_organisation(table: str, which: str) -> str:
    """Return the rows of a table whose indexes begin with the organisation: one organisation at a
    time, because before version 18 Postgres reads the whole index otherwise."""
    return f"""(
        SELECT r.* FROM accounts_organisation o CROSS JOIN LATERAL (
            SELECT * FROM {table} WHERE organisation_id = o.id AND {which} {_EACH}) r)"""


def _of_none(table: str, which: str) -> str:
    """Return a query for the organisations that such a table names and that do not exist. It looks
    between the ids of existing ones, where nothing is, so that it reads nothing else."""
    return f"""
        SELECT DISTINCT r.organisation_id, '{table}' AS named_in FROM (
            SELECT coalesce(lag(id) OVER (ORDER BY id), '{_FIRST_UUID}') AS after, id AS before
            FROM accounts_organisation
            UNION ALL
            SELECT coalesce((SELECT id FROM accounts_organisation ORDER BY id DESC LIMIT 1),
                            '{_FIRST_UUID}'), '{_LAST_UUID}'
        ) gap CROSS JOIN LATERAL (
            SELECT organisation_id FROM {table}
            WHERE organisation_id > gap.after AND organisation_id < gap.before AND {which} {_EACH}
        ) r"""


_RECORDS_BY_ID: Final = f"{_of_each_organisation('usage_usagerecord', f'id {_IDS}')} r"
_ATTEMPTS_BY_ID: Final = f"{_of_each_organisation('usage_attempt', f'id {_IDS}')} a"
_RECORD_OF_POSTING: Final = f"""CROSS JOIN LATERAL (
            SELECT * FROM usage_usagerecord
            WHERE organisation_id = p.organisation_id AND id = {_ATTEMPT} {_EACH}) r"""
_LINE_OF_POSTING: Final = f"""CROSS JOIN LATERAL (
            SELECT account_id, amount_nano FROM billing_ledgerentry
            WHERE posting_id = p.id {_EACH}) e"""
# The lines of a posting come first, because the index of an account's lines would return all of
# them.
_LINE_OF_ACCOUNT: Final = f"""LEFT JOIN LATERAL (
            SELECT amount_nano FROM (
                SELECT account_id, amount_nano FROM billing_ledgerentry
                WHERE posting_id = p.id {_EACH}) line
            WHERE account_id = a.id) e ON true"""
_RECORDS: Final = f"""(
        SELECT * FROM {_RECORDS_BY_ID}
        UNION ALL
        SELECT r.* FROM billing_posting p {_RECORD_OF_POSTING}
        WHERE {_SPAN} AND {_ENDS} AND {_OF_BEFORE}) r"""
# Read each state by its own partial index, which contains only the few unresolved rows.
_UNRESOLVED: Final = """(
        SELECT * FROM billing_hold WHERE state = 'open'
        UNION ALL
        SELECT * FROM billing_hold WHERE state = 'kept') h"""

# The sums of a span: (subject_id, nano).
_BY_ACCOUNT: Final = f"""
        SELECT e.account_id AS subject_id, e.amount_nano AS nano
        FROM billing_posting p {_LINE_OF_POSTING}
        WHERE {_SPAN}"""
_SOLD: Final = f"""
        SELECT a.id AS subject_id, r.charge_nano AS nano
        FROM billing_posting p {_RECORD_OF_POSTING} {_account("revenue")}
        WHERE {_SPAN} AND {_CHARGES}
        UNION ALL
        SELECT e.account_id, e.amount_nano FROM billing_posting p {_LINE_OF_POSTING}
        {_account("revenue", "id = e.account_id")}
        WHERE {_SPAN} AND p.kind = 'correct'"""
_BY_WINDOW: Final = f"""
        SELECT window_id AS subject_id, r.charge_nano + coalesce(r.own_nano, 0) AS nano
        FROM billing_posting p {_hold(f"id = {_ATTEMPT} AND window_ids IS NOT NULL")}
        {_RECORD_OF_POSTING}, unnest(h.window_ids) AS window_id
        WHERE {_SPAN} AND {_CHARGES}
        UNION ALL
        SELECT window_id, e.amount_nano FROM billing_posting p {_LINE_OF_POSTING}
        {_account("revenue", "id = e.account_id")} {_hold(f"id = {_CORRECTED}")},
        unnest(h.window_ids) AS window_id
        WHERE {_SPAN} AND p.kind = 'correct'
        UNION ALL
        -- What an organisation pays its provider itself is in no posting.
        SELECT window_id, late.own_change_nano FROM usage_latetruth late
        {_hold("id = late.attempt_id")}, unnest(h.window_ids) AS window_id
        WHERE late.own_change_nano IS NOT NULL
          AND late.posted_at >= %(from)s::timestamptz AND late.posted_at < %(to)s::timestamptz"""


def _detached_sums_sql(kind: str) -> str:
    """Return SQL for the sums of detached months at the start of each month. A walk is always
    further than those months."""
    return f"""
        UNION ALL
        SELECT (one ->> 1)::bigint, (one ->> 2)::numeric
        FROM usage_detachedmonth m JOIN usage_monthfile f ON f.month_id = m.month,
        jsonb_array_elements(f.sums) AS one
        WHERE one ->> 0 = '{kind}'
          AND m.month::timestamp AT TIME ZONE 'UTC' >= %(from)s::timestamptz
          AND m.month::timestamp AT TIME ZONE 'UTC' < %(to)s::timestamptz"""


_SUMMED: Final = {
    "account": _BY_ACCOUNT,
    "sold": _SOLD + _detached_sums_sql("sold"),
    "window": _BY_WINDOW + _detached_sums_sql("window"),
}
SUMS: Final = " UNION ALL ".join(
    f"SELECT '{kind}', subject_id, sum(nano) FROM ({rows}) summed GROUP BY subject_id"
    for kind, rows in _SUMMED.items()
)
"""What a span adds to the sums: (kind, subject_id, nano)."""


def _total(kind: str) -> str:
    """Return the sums of a kind up to the end of the span, by `subject_id`."""
    return f"""(
        SELECT subject_id, sum(nano) AS nano FROM ({_SUMMED[kind]}
            UNION ALL
            SELECT subject_id, nano FROM unnest(
                %(kinds)s::text[], %(subjects)s::bigint[], %(nanos)s::numeric[])
                AS before (kind, subject_id, nano) WHERE kind = '{kind}'
        ) summed GROUP BY subject_id)"""


def _differ(fine: str, coarse: str) -> str:
    """Return a condition that is true if two sums differ. A coarse sum that was written before a
    column existed has null there, and is not compared."""

    def columns(of: str, names: Sequence[str]) -> str:
        return f"({', '.join(f'{of}.{name}' for name in names)})"

    counts, saved = ("nano", "requests", "errors", "own_nano"), ("saved_nano",)
    texts = [f"{columns(fine, counts)} IS DISTINCT FROM {columns(coarse, counts)}"]
    for known, names in (("saved_nano", saved), ("total_histogram", TIMES)):
        differs = f"{columns(fine, names)} IS DISTINCT FROM {columns(coarse, names)}"
        texts.append(f"({coarse}.{known} IS NOT NULL AND {differs})")
    return f"({' OR '.join(texts)})"


def _levels(level: str, table: str, finer: str) -> str:
    """Return a query for sums of one level that differ from the sums of the finer level. A sum is
    checked in the span in which its period ends. Hours and days are written together with their
    quarters."""
    start = f"date_bin('1 {level}', bucket_at, 'epoch'::timestamptz)"
    ended = f"""{start} > %(quarter)s::timestamptz - interval '1 {level}'
              AND {start} <= %(quarter_end)s::timestamptz - interval '1 {level}'
              AND {start} < date_trunc('{level}', mark.levels_to, 'UTC')"""
    # Conditions that an index can answer come first; the others are evaluated row by row.
    near = f"""bucket_at > %(quarter)s::timestamptz - interval '1 {level}'
              AND bucket_at < %(quarter_end)s::timestamptz"""
    return f"""
        WITH mark AS (SELECT levels_to FROM usage_rollupwatermark),
        coarse AS (
            SELECT organisation_id, bucket_at AS at, {_ROLLED}
            FROM {_of_each_organisation(table, near)} r, mark
            WHERE {ended} GROUP BY 1, 2
        ),
        fine AS (
            SELECT organisation_id, {start} AS at, {_ROLLED}
            FROM {_of_each_organisation(finer, near)} r, mark
            WHERE {ended} GROUP BY 1, 2
        )
        SELECT organisation_id, at, fine.nano AS expected, coarse.nano AS found
        FROM fine FULL JOIN coarse USING (organisation_id, at)
        WHERE {_differ("fine", "coarse")}"""


_ROLLED: Final = f"""sum(charge_nano) AS nano, sum(requests) AS requests, sum(errors) AS errors,
        {MERGED_SAVED}, {OWN_SUM}, {MERGED_TIMES}"""
# docs/promises.md, "Invariants". The first column of each query is the id of the row.
INVARIANTS: Final = {
    "I1 every posting sums to 0": f"""
        SELECT p.id, 0 AS expected, lines.nano AS found FROM billing_posting p CROSS JOIN LATERAL (
            SELECT sum(amount_nano) AS nano, count(*) AS n FROM billing_ledgerentry
            WHERE posting_id = p.id) lines
        WHERE {_SPAN} AND (lines.nano <> 0 OR lines.n = 1)""",
    "I1 every posting has its lines": f"""
        SELECT p.id FROM billing_posting p
        WHERE {_SPAN} AND NOT EXISTS (
            SELECT FROM billing_ledgerentry e WHERE e.posting_id = p.id {_EACH})""",
    "I1 every line has its posting": f"""
        SELECT line.id, line.posting_id FROM billing_ledgerline line
        WHERE line.posting_id {_IDS} AND NOT EXISTS (
            SELECT FROM billing_posting p
            WHERE p.id = line.posting_id AND p.account_ids IS NULL {_EACH})""",
    "I1 every line has its account": f"""
        SELECT p.id, e.account_id FROM billing_posting p {_LINE_OF_POSTING}
        WHERE {_SPAN} AND NOT EXISTS (
            SELECT FROM billing_account a WHERE a.id = e.account_id {_EACH})""",
    # The others read these tables one existing organisation at a time.
    "every row has its organisation": f"""
        {_of_none("usage_attempt", f"id {_IDS}")}
        UNION ALL {_of_none("usage_usagerecord", f"id {_IDS}")}
        UNION ALL {_of_none("usage_rollup", _IN_QUARTERS.format("bucket_at"))}
        UNION ALL {_of_none("usage_hourrollup", _IN_QUARTERS.format("bucket_at"))}
        UNION ALL {_of_none("usage_dayrollup", _IN_QUARTERS.format("bucket_at"))}""",
    "I2 what is written once is guarded": """
        SELECT guarded.name, trigger.name FROM unnest(ARRAY[
            'billing_posting', 'billing_ledgerline', 'billing_seal', 'accounts_auditevent',
            'usage_attempt', 'usage_usagerecord', 'usage_review', 'billing_invoice',
            'billing_invoiceline']) AS guarded (name)
        CROSS JOIN unnest(ARRAY['written_once', 'never_emptied']) AS trigger (name)
        WHERE NOT EXISTS (
            SELECT FROM pg_trigger t WHERE t.tgrelid = guarded.name::regclass
            AND t.tgname = trigger.name AND t.tgenabled IN ('O', 'A'))""",
    # And of the held sum, which is posted when the hold ends.
    "I3 a cached balance is the sum of its lines": f"""
        SELECT a.id, coalesce(lines.nano, 0) + coalesce(h.nano, 0) AS expected,
            a.balance_nano AS found
        FROM billing_account a
        LEFT JOIN {_total("account")} lines ON lines.subject_id = a.id
        LEFT JOIN (
            SELECT organisation_id, moved.kind, moved.sign * sum(amount_nano) AS nano
            FROM {_UNRESOLVED},
            (VALUES ('customer:available', -1), ('customer:held', 1)) AS moved (kind, sign)
            WHERE NOT posted GROUP BY 1, 2, moved.sign) h USING (organisation_id, kind)
        WHERE a.balance_nano <> coalesce(lines.nano, 0) + coalesce(h.nano, 0)""",
    "I4 no customer's balance is below its credit line": """
        SELECT id, -overdraft_nano AS expected, balance_nano AS found FROM billing_account
        WHERE kind IN ('customer:available', 'customer:held')
        AND balance_nano < -overdraft_nano""",
    "I5 every hold has its attempt, every attempt its hold": f"""
        SELECT coalesce(h.id, a.id), h.amount_nano AS expected, a.hold_nano AS found FROM (
            SELECT id, amount_nano + coalesce(included_nano, 0) AS amount_nano
            FROM billing_hold WHERE id {_IDS}) h
        FULL JOIN {_ATTEMPTS_BY_ID} USING (id)
        WHERE h.id IS NULL OR a.id IS NULL OR h.amount_nano <> a.hold_nano""",
    "I5 a hold has a posting of its own where it says so": f"""
        SELECT h.id FROM {_HOLDS} WHERE h.posted <> EXISTS (
            SELECT FROM billing_posting p WHERE p.idempotency_id = 'hold:' || h.id {_EACH})""",
    "I6 a hold is resolved by exactly one posting": f"""
        SELECT h.id, h.state AS found FROM {_HOLDS}
        WHERE (h.state NOT IN ('open', 'kept'))::int <> (
            SELECT count(*) FROM billing_posting p WHERE p.attempt_id = h.id
            OR p.idempotency_id IN ('settle:' || h.id, 'void:' || h.id, 'expire:' || h.id))""",
    "what is held is the sum of the holds that are not resolved": f"""
        SELECT a.organisation_id, coalesce(h.nano, 0) AS expected, a.balance_nano AS found
        FROM billing_account a
        LEFT JOIN (SELECT organisation_id, sum(amount_nano) AS nano
                   FROM {_UNRESOLVED} GROUP BY organisation_id) h USING (organisation_id)
        WHERE a.kind = 'customer:held' AND a.balance_nano <> coalesce(h.nano, 0)""",
    "I10 every ended attempt has one record, and no open one has": f"""
        SELECT h.id, h.state AS found FROM {_HOLDS} WHERE (h.state <> 'open')::int <> (
            SELECT count(*) FROM usage_usagerecord r
            WHERE r.organisation_id = h.organisation_id AND r.id = h.id)""",
    "I10 revenue is the sum of the records": f"""
        SELECT a.organisation_id, coalesce(sold.nano, 0) AS expected, a.balance_nano AS found
        FROM billing_account a
        LEFT JOIN {_total("sold")} sold ON sold.subject_id = a.id
        WHERE a.kind = 'revenue' AND a.balance_nano <> coalesce(sold.nano, 0)""",
    "I10 revenue of a record is its charge": f"""
        SELECT r.id, r.charge_nano AS expected, e.amount_nano AS found
        FROM billing_posting p {_RECORD_OF_POSTING} {_account("revenue")} {_LINE_OF_ACCOUNT}
        WHERE {_SPAN} AND {_CHARGES} AND coalesce(e.amount_nano, 0) <> r.charge_nano""",
    "I10 what a record is charged is posted": f"""
        SELECT r.id, r.charge_nano AS expected FROM {_RECORDS_BY_ID}
        WHERE r.charge_nano <> 0 AND NOT EXISTS (
            SELECT FROM billing_posting p WHERE p.attempt_id = r.id AND {_CHARGES}
            OR p.idempotency_id IN ('settle:' || r.id, 'expire:' || r.id) {_EACH})""",
    "I7 every late truth is posted once, and linked to its attempt": f"""
        SELECT p.id FROM billing_posting p
        WHERE {_SPAN} AND p.kind IN ('correct', 'loss') AND NOT EXISTS (
            SELECT FROM billing_hold h WHERE h.id = {_CORRECTED}
            AND h.state NOT IN ('open', 'kept') {_EACH})
        AND NOT EXISTS (
            SELECT FROM usage_detachedmonth m
            WHERE {_CORRECTED} >= m.first_id AND {_CORRECTED} < m.end_id)""",
    "I14 a hold is kept until it is decided on what has no charge": f"""
        SELECT h.id, h.state AS found FROM {_RECORDS} {_hold("id = r.id")}
        WHERE r.basis = 'held' AND h.state <> 'kept'
        AND NOT EXISTS (SELECT FROM usage_review v WHERE v.attempt_id = h.id {_EACH})
        UNION ALL
        SELECT h.id, h.state AS found FROM billing_hold h CROSS JOIN LATERAL (
            SELECT basis FROM usage_usagerecord
            WHERE organisation_id = h.organisation_id AND id = h.id {_EACH}) r
        WHERE h.state = 'kept' AND (r.basis <> 'held'
            OR EXISTS (SELECT FROM usage_review v WHERE v.attempt_id = h.id {_EACH}))""",
    "I15 what an attempt cost is owed to its provider": f"""
        SELECT r.id, r.cost_nano AS expected, -e.amount_nano AS found
        FROM billing_posting p {_RECORD_OF_POSTING} {_account("provider:cost")}
        {_LINE_OF_ACCOUNT}
        WHERE {_SPAN} AND {_CHARGES} AND -coalesce(e.amount_nano, 0) <> CASE
            WHEN r.basis = 'held' THEN 0
            WHEN r.cost_nano IS NULL THEN r.charge_nano
            ELSE r.cost_nano - coalesce((
                SELECT max(l.amount_nano) FROM billing_posting lost CROSS JOIN LATERAL (
                    SELECT amount_nano FROM billing_ledgerentry
                    WHERE posting_id = lost.id {_EACH}) l
                WHERE lost.idempotency_id = 'loss:' || r.id), 0) END
        -- Since there is that account; its index gives the oldest line first.
        AND (p.account_ids IS NOT NULL OR (
            SELECT id FROM billing_ledgerline WHERE account_id = a.id LIMIT 1) <= (
            SELECT max(id) FROM (
                SELECT id FROM billing_ledgerline WHERE posting_id = p.id {_EACH}) line))""",
    "I15 what we owe is what was sold and what we bear": """
        SELECT organisation_id, 0 AS expected, sum(balance_nano) AS found FROM billing_account
        WHERE kind IN ('platform:loss', 'provider:cost', 'provider:payable')
        GROUP BY organisation_id HAVING sum(balance_nano) <> 0""",
    "I16 a rollup is the sum of its records": f"""
        WITH mark AS (SELECT xid::text::xid8 AS xid FROM usage_rollupwatermark),
        summed AS (
            SELECT organisation_id, date_bin('15 minutes', admitted_at, 'epoch'::timestamptz) AS at,
                   sum(charge_nano) AS nano, count(*) FILTER (WHERE final) AS requests,
                   count(*) FILTER (WHERE final AND {FAILED_SQL}) AS errors, {MERGED_SAVED},
                   {OWN_SUM}, {TIME_SUMS}, bool_or(r.xid >= mark.xid) AS moves
            FROM {_of_each_organisation("usage_usagerecord", _IN_QUARTERS.format("admitted_at"))} r,
                 mark
            GROUP BY 1, 2
        ),
        rolled AS (
            SELECT organisation_id, bucket_at AS at, {_ROLLED}
            FROM {_of_each_organisation("usage_rollup", _IN_QUARTERS.format("bucket_at"))} r
            GROUP BY 1, 2
        )
        SELECT organisation_id, at, summed.nano AS expected, rolled.nano AS found
        FROM summed FULL JOIN rolled USING (organisation_id, at)
        WHERE moves IS NOT TRUE
        AND {_differ("summed", "rolled")}
        AND NOT EXISTS (
            SELECT FROM usage_detachedmonth m WHERE at >= m.from_at AND at < m.to_at)""",
    "I16 the rollups of a detached month are what was signed": """
        WITH due AS (
            SELECT * FROM usage_detachedmonth m JOIN usage_monthfile f ON f.month_id = m.month
            WHERE m.to_at > %(quarter)s::timestamptz AND m.to_at <= %(quarter_end)s::timestamptz
        ),
        signed AS (
            SELECT month, (one ->> 0)::uuid AS organisation_id, (one ->> 1)::numeric AS requests,
                   (one ->> 2)::numeric AS nano
            FROM due, jsonb_array_elements(rolled) AS one
        ),
        summed AS (
            SELECT month, o.id AS organisation_id, sum(r.requests) AS requests,
                   sum(r.charge_nano) AS nano
            FROM due CROSS JOIN accounts_organisation o JOIN usage_dayrollup r
                ON r.organisation_id = o.id AND r.bucket_at >= due.from_at
                AND r.bucket_at < due.to_at
            GROUP BY 1, 2
        )
        SELECT organisation_id, month, signed.nano AS expected, summed.nano AS found
        FROM signed FULL JOIN summed USING (month, organisation_id)
        WHERE (signed.requests, signed.nano) IS DISTINCT FROM (summed.requests, summed.nano)""",
    "I16 an hour is the sum of its quarters": _levels("hour", "usage_hourrollup", "usage_rollup"),
    "I16 a day is the sum of its hours": _levels("day", "usage_dayrollup", "usage_hourrollup"),
    "I13 nothing is charged above its hold": f"""
        SELECT DISTINCT r.id, r.hold_nano AS expected, r.charge_nano AS found
        FROM {_RECORDS} WHERE r.charge_nano > r.hold_nano""",
    "I19 the total of a closed invoice is the sum of its lines, and of what it posted": f"""
        SELECT i.id, i.number FROM billing_invoice i WHERE i.state = 'closed' AND (
            i.total_nano <> (SELECT coalesce(sum(l.amount_nano), 0) FROM billing_invoiceline l
                             WHERE l.invoice_id = i.id)
            OR i.tax_nano + i.rounding_nano <> coalesce((
                SELECT sum(e.amount_nano) FROM billing_posting p {_LINE_OF_POSTING}
                JOIN billing_account a ON a.id = e.account_id
                    AND a.kind IN ('tax:payable', 'rounding')
                WHERE p.idempotency_id = 'invoice:' || i.id), 0))""",
    "I20 what is left of promo stands on its account": """
        SELECT a.organisation_id, a.balance_nano AS found FROM billing_account a
        WHERE a.kind = 'promo:available' AND a.balance_nano <> coalesce((
            SELECT sum(g.amount_nano - g.consumed_nano - g.expired_nano) FROM billing_promogrant g
            WHERE g.organisation_id = a.organisation_id), 0)""",
    "I20 nothing is left of a grant that expired a minute ago and that nobody may use": f"""
        SELECT g.id FROM billing_promogrant g
        WHERE g.expires_at < now() - interval '1 minute'
        AND g.amount_nano > g.consumed_nano + g.expired_nano
        AND EXISTS (SELECT FROM billing_account a WHERE a.organisation_id = g.organisation_id
            AND a.kind = 'customer:available' AND a.balance_nano > 0)
        AND NOT EXISTS (SELECT FROM {_UNRESOLVED} WHERE h.organisation_id = g.organisation_id
            AND h.opened_at < g.expires_at)""",
    "I19 what subscriptions were charged, and what that includes, is in the ledger": """
        SELECT c.organisation_id FROM (
            SELECT organisation_id, sum(charge_nano) AS fees_nano,
                   sum(greatest(included_nano, 0)) AS granted_nano
            FROM billing_subscriptioncharge GROUP BY 1
        ) c
        LEFT JOIN (
            SELECT organisation_id, sum(amount_nano) AS granted_nano,
                   sum(amount_nano - expired_nano) AS issued_nano
            FROM billing_promogrant WHERE charge_id IS NOT NULL GROUP BY 1
        ) g USING (organisation_id)
        LEFT JOIN billing_account fees ON fees.organisation_id = c.organisation_id
            AND fees.kind = 'subscription:fees'
        LEFT JOIN billing_account issued ON issued.organisation_id = c.organisation_id
            AND issued.kind = 'included:issued'
        WHERE c.fees_nano <> coalesce(fees.balance_nano, 0)
        OR c.granted_nano <> coalesce(g.granted_nano, 0)
        OR coalesce(g.issued_nano, 0) <> -coalesce(issued.balance_nano, 0)""",
    "I23 what is held of included units is the sum of the holds that are not resolved": f"""
        SELECT u.id, coalesce(h.held, 0) AS expected, u.held AS found FROM billing_includedunits u
        LEFT JOIN (SELECT taken.id, sum(taken.count) AS held
                   FROM {_UNRESOLVED}, unnest(h.quota_ids, h.quota_units) AS taken (id, count)
                   GROUP BY taken.id) h ON h.id = u.id
        WHERE u.held <> coalesce(h.held, 0)""",
    "I21 a top-up is paid by exactly one posting of its amount": f"""
        SELECT t.id, t.state AS found FROM billing_topup t WHERE (t.state = 'paid')::int <> (
            SELECT count(*) FROM billing_posting p {_LINE_OF_POSTING}
            JOIN billing_account a ON a.id = e.account_id
                AND a.kind = 'processor:received:' || t.processor
            WHERE t.payment_id <> '' AND e.amount_nano = -t.amount_nano
            AND p.idempotency_id = 'pay:' || t.processor || ':' || t.payment_id)""",
    "I24 no payment that fits no top-up waits for more than a day": f"""
        SELECT a.id, 0 AS expected, a.balance_nano AS found FROM billing_account a
        WHERE starts_with(a.kind, 'processor:clearing:') AND a.balance_nano <> 0
        AND NOT EXISTS (SELECT FROM billing_posting p {_LINE_OF_POSTING}
            WHERE p.organisation_id = a.organisation_id AND e.account_id = a.id
            AND p.created_at > now() - interval '24 hours')""",
    "I24 no hold is open a minute after its time": """
        SELECT id, expires_at AS found FROM billing_hold
        WHERE state = 'open' AND expires_at < now() - interval '1 minute'""",
    "I22 a code is used as often as it was redeemed, and not too often": """
        SELECT c.id, c.uses AS found
        FROM billing_code c JOIN billing_codebatch b ON b.id = c.batch_id
        WHERE c.uses > b.max_uses
        OR c.uses <> (SELECT count(*) FROM billing_redemption r WHERE r.code_id = c.id)""",
    "I23 what a budget window holds is the sum of its holds that are not resolved": f"""
        SELECT w.id, coalesce(h.nano, 0) AS expected, w.held_nano AS found
        FROM billing_budgetwindow w
        LEFT JOIN (SELECT window_id,
                       sum(amount_nano + coalesce(included_nano, 0) + coalesce(own_nano, 0)) AS nano
                   FROM {_UNRESOLVED}, unnest(window_ids) AS window_id
                   GROUP BY window_id) h ON h.window_id = w.id
        WHERE w.held_nano <> coalesce(h.nano, 0)""",
    "I23 what a budget window has spent is in the records and corrections": f"""
        SELECT w.id, w.brought_nano + coalesce(spent.nano, 0) AS expected, w.spent_nano AS found
        FROM billing_budgetwindow w
        LEFT JOIN {_total("window")} spent ON spent.subject_id = w.id
        WHERE w.spent_nano <> w.brought_nano + coalesce(spent.nano, 0)""",
    "P2 nothing stands above a budget's cap": """
        SELECT id, cap_nano AS expected, held_nano + spent_nano AS found
        FROM billing_budgetwindow WHERE held_nano + spent_nano > cap_nano""",
    "a request has one final record at most": f"""
        SELECT DISTINCT r.request_id FROM {_RECORDS} WHERE r.final AND EXISTS (
            SELECT FROM usage_usagerecord other
            WHERE other.organisation_id = r.organisation_id AND other.request_id = r.request_id
            AND other.final AND other.id <> r.id {_EACH})""",
}
_BOUNDS: Final = ("%(from)s", "%(first)s", "%(quarter)s")


class Cursor(Protocol):
    """A cursor of Django or of psycopg."""

    def execute(self, query: Any, params: Any = None) -> Any: ...

    def fetchmany(self, size: int) -> list[Any]: ...

    @property
    def description(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...


def span_invariants() -> list[str]:
    """Return the names of the invariants that look only at a span."""
    return [
        name
        for name, query in INVARIANTS.items()
        if "%(kinds)s" not in query and any(bound in query for bound in _BOUNDS)
    ]


def present_invariants() -> list[str]:
    """Return the names of all other invariants: of the present state, and of sums since the first
    day."""
    return [name for name in INVARIANTS if name not in span_invariants()]


def timed_invariants() -> list[str]:
    """Return the names of the invariants that can break although nobody writes anything."""
    return [name for name, query in INVARIANTS.items() if "now()" in query]


def rows_that_break(
    cursor: Cursor, name: str, parameters: Mapping[str, Any], rows_max: int
) -> list[Any]:
    """Return the first rows that violate an invariant, as named tuples. `expected` and `found` are
    the two figures that differ; the other columns identify the object."""
    cursor.execute(INVARIANTS[name], parameters)
    rows = cursor.fetchmany(rows_max)
    if not rows:
        # The usual case. A class costs more than most of these statements.
        return []
    columns = [column[0] for column in cursor.description or ()]
    row_of = namedtuple("row_of", columns, rename=True)  # type: ignore[misc]
    return [row_of(*row) for row in rows]


def sums_of(cursor: Cursor, span: Span) -> Counter[tuple[str, int]]:
    """Return the amounts that a span adds to the sums. The cursor must return tuples."""
    cursor.execute(SUMS, span.parameters())
    return Counter({(kind, subject): int(nano) for kind, subject, nano in cursor.fetchall()})


def broken_invariants(cursor: Cursor, rows_max: int = 5) -> dict[str, list[Any]]:
    """Return the first rows that violate an invariant, by invariant; empty if the books are right.

    This checks everything in one statement for each invariant, so it is only for small books.
    """
    everything = Span().parameters()
    broken = {}
    for name in INVARIANTS:
        rows = rows_that_break(cursor, name, everything, rows_max)
        if rows:
            broken[name] = rows
    return broken
