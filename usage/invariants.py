"""The invariants of the books, each as a query for the rows that break it.

They run at the end of every money test, every minute in production, and by `manage.py verify`.
"""

from typing import Any, Final, Protocol

# docs/promises.md, "Invariants". The first column of each is the id of the row.
INVARIANTS: Final = {
    "I1 every posting sums to 0": """
        SELECT posting_id, sum(amount_nano) FROM billing_ledgerentry
        GROUP BY posting_id HAVING sum(amount_nano) <> 0 OR count(*) < 2""",
    "I1 every posting has its lines": """
        SELECT id FROM billing_posting p
        WHERE NOT EXISTS (SELECT FROM billing_ledgerentry e WHERE e.posting_id = p.id)""",
    "I2 what is written once is guarded": """
        SELECT guarded.name, trigger.name FROM unnest(ARRAY[
            'billing_posting', 'billing_ledgerentry', 'billing_seal', 'accounts_auditevent',
            'usage_attempt', 'usage_usagerecord', 'usage_review']) AS guarded (name)
        CROSS JOIN unnest(ARRAY['written_once', 'never_emptied']) AS trigger (name)
        WHERE NOT EXISTS (
            SELECT FROM pg_trigger t WHERE t.tgrelid = guarded.name::regclass
            AND t.tgname = trigger.name AND t.tgenabled IN ('O', 'A'))""",
    "I3 a cached balance is the sum of its lines": """
        SELECT a.id, a.balance_nano FROM billing_account a
        WHERE a.balance_nano <> coalesce(
            (SELECT sum(e.amount_nano) FROM billing_ledgerentry e WHERE e.account_id = a.id), 0)""",
    "I4 no customer's balance is below its credit line": """
        SELECT id FROM billing_account
        WHERE kind IN ('customer:available', 'customer:held')
        AND balance_nano < -overdraft_nano""",
    "I5 every hold has its attempt, every attempt its hold": """
        SELECT h.id, a.id FROM billing_hold h FULL JOIN usage_attempt a USING (id)
        WHERE h.id IS NULL OR a.id IS NULL OR h.amount_nano <> a.hold_nano""",
    "I5 every hold has its posting": """
        SELECT h.id FROM billing_hold h WHERE NOT EXISTS (
            SELECT FROM billing_posting p WHERE p.idempotency_id = 'hold:' || h.id)""",
    "I6 a hold is resolved by exactly one posting": """
        SELECT h.id, h.state FROM billing_hold h WHERE (h.state NOT IN ('open', 'kept'))::int <> (
            SELECT count(*) FROM billing_posting p WHERE p.idempotency_id IN (
                'settle:' || h.id, 'void:' || h.id, 'expire:' || h.id))""",
    "what is held is the sum of the holds that are not resolved": """
        SELECT a.organisation_id FROM billing_account a
        LEFT JOIN (SELECT organisation_id, sum(amount_nano) AS nano
                   FROM billing_hold WHERE state IN ('open', 'kept')
                   GROUP BY organisation_id) h USING (organisation_id)
        WHERE a.kind = 'customer:held' AND a.balance_nano <> coalesce(h.nano, 0)""",
    "I10 every ended attempt has one record, and no open one has": """
        SELECT h.id, h.state FROM billing_hold h WHERE (h.state <> 'open')::int <> (
            SELECT count(*) FROM usage_usagerecord r
            WHERE r.organisation_id = h.organisation_id AND r.id = h.id)""",
    "I10 revenue is the sum of the records": """
        WITH corrected AS (
            SELECT e.account_id, sum(e.amount_nano) AS nano FROM billing_posting p
            JOIN billing_ledgerentry e ON e.posting_id = p.id
            WHERE p.kind = 'correct' GROUP BY e.account_id)
        SELECT a.organisation_id, a.balance_nano FROM billing_account a
        LEFT JOIN corrected c ON c.account_id = a.id
        WHERE a.kind = 'revenue'
        AND a.balance_nano <> coalesce(c.nano, 0) + coalesce((SELECT sum(r.charge_nano)
            FROM usage_usagerecord r WHERE r.organisation_id = a.organisation_id), 0)""",
    "I10 revenue of a record is its charge": """
        SELECT r.id, r.charge_nano FROM usage_usagerecord r
        JOIN billing_hold h ON h.id = r.id
        JOIN billing_posting p ON p.idempotency_id IN ('settle:' || r.id, 'expire:' || r.id)
        JOIN billing_account a ON a.organisation_id = r.organisation_id AND a.kind = 'revenue'
        LEFT JOIN billing_ledgerentry e ON e.posting_id = p.id AND e.account_id = a.id
        WHERE coalesce(e.amount_nano, 0) <> r.charge_nano""",
    "I7 every late truth is posted once, and linked to its attempt": """
        SELECT p.id FROM billing_posting p WHERE p.kind IN ('correct', 'loss') AND NOT EXISTS (
            SELECT FROM billing_hold h WHERE h.id::text = split_part(p.idempotency_id, ':', 2)
            AND h.state NOT IN ('open', 'kept'))""",
    "I14 a hold is kept until it is decided on what has no charge": """
        SELECT h.id, h.state FROM billing_hold h JOIN usage_usagerecord r
            ON r.organisation_id = h.organisation_id AND r.id = h.id
        WHERE (h.state = 'kept') <> (r.basis = 'held'
            AND NOT EXISTS (SELECT FROM usage_review v WHERE v.attempt_id = h.id))""",
    "I15 what an attempt cost is owed to its provider": """
        WITH first AS (
            SELECT a.organisation_id, a.id AS account_id, min(e.id) AS entry_id
            FROM billing_account a JOIN billing_ledgerentry e ON e.account_id = a.id
            WHERE a.kind = 'provider:cost' GROUP BY a.organisation_id, a.id)
        SELECT r.id, e.amount_nano FROM usage_usagerecord r
        JOIN first ON first.organisation_id = r.organisation_id
        JOIN billing_hold h ON h.id = r.id AND h.state IN ('settled', 'expired')
        JOIN billing_posting p ON p.idempotency_id IN ('settle:' || r.id, 'expire:' || r.id)
        LEFT JOIN billing_ledgerentry e ON e.posting_id = p.id AND e.account_id = first.account_id
        WHERE -coalesce(e.amount_nano, 0) <> CASE
            WHEN r.basis = 'held' THEN 0
            WHEN r.cost_nano IS NULL THEN r.charge_nano
            ELSE r.cost_nano - coalesce((
                SELECT max(l.amount_nano) FROM billing_posting lost
                JOIN billing_ledgerentry l ON l.posting_id = lost.id
                WHERE lost.idempotency_id = 'loss:' || r.id), 0) END
        AND EXISTS (SELECT FROM billing_ledgerentry since
            WHERE since.posting_id = p.id AND since.id >= first.entry_id)""",
    "I15 what we owe is what was sold and what we bear": """
        SELECT organisation_id FROM billing_account
        WHERE kind IN ('platform:loss', 'provider:cost', 'provider:payable')
        GROUP BY organisation_id HAVING sum(balance_nano) <> 0""",
    "I16 a rollup is the sum of its records": """
        WITH mark AS (SELECT xid::text::xid8 AS xid FROM usage_rollupwatermark),
        summed AS (
            SELECT organisation_id, date_bin('15 minutes', admitted_at, 'epoch'::timestamptz) AS at,
                   sum(charge_nano) AS nano, count(*) FILTER (WHERE final) AS requests,
                   bool_or(r.xid >= mark.xid) AS moves
            FROM usage_usagerecord r, mark GROUP BY 1, 2
        ),
        rolled AS (
            SELECT organisation_id, bucket_at AS at, sum(charge_nano) AS nano,
                   sum(requests) AS requests
            FROM usage_rollup GROUP BY 1, 2
        )
        SELECT organisation_id, at, summed.nano, rolled.nano
        FROM summed FULL JOIN rolled USING (organisation_id, at)
        WHERE moves IS NOT TRUE
        AND (summed.nano, summed.requests) IS DISTINCT FROM (rolled.nano, rolled.requests)""",
    "I13 nothing is charged above its hold": """
        SELECT id FROM usage_usagerecord WHERE charge_nano > hold_nano""",
    "I19 the total of a closed invoice is the sum of its lines, and of what it posted": """
        SELECT i.id, i.number FROM billing_invoice i WHERE i.state = 'closed' AND (
            i.total_nano <> (SELECT coalesce(sum(l.amount_nano), 0) FROM billing_invoiceline l
                             WHERE l.invoice_id = i.id)
            OR i.tax_nano + i.rounding_nano <> coalesce((
                SELECT sum(e.amount_nano) FROM billing_posting p
                JOIN billing_ledgerentry e ON e.posting_id = p.id
                JOIN billing_account a ON a.id = e.account_id
                    AND a.kind IN ('tax:payable', 'rounding')
                WHERE p.idempotency_id = 'invoice:' || i.id), 0))""",
    "I20 what is left of promo stands on its account": """
        SELECT a.organisation_id, a.balance_nano FROM billing_account a
        WHERE a.kind = 'promo:available' AND a.balance_nano <> coalesce((
            SELECT sum(g.amount_nano - g.consumed_nano - g.expired_nano) FROM billing_promogrant g
            WHERE g.organisation_id = a.organisation_id), 0)""",
    "I20 nothing is left of a grant that expired a minute ago and that nobody may use": """
        SELECT g.id FROM billing_promogrant g
        WHERE g.expires_at < now() - interval '1 minute'
        AND g.amount_nano > g.consumed_nano + g.expired_nano
        AND EXISTS (SELECT FROM billing_account a WHERE a.organisation_id = g.organisation_id
            AND a.kind = 'customer:available' AND a.balance_nano > 0)
        AND NOT EXISTS (SELECT FROM billing_hold h WHERE h.organisation_id = g.organisation_id
            AND h.state IN ('open', 'kept') AND h.opened_at < g.expires_at)""",
    "I21 a top-up is paid by exactly one posting of its amount": """
        SELECT t.id, t.state FROM billing_topup t WHERE (t.state = 'paid')::int <> (
            SELECT count(*) FROM billing_posting p
            JOIN billing_ledgerentry e ON e.posting_id = p.id AND e.amount_nano = -t.amount_nano
            JOIN billing_account a ON a.id = e.account_id
                AND a.kind = 'processor:received:' || t.processor
            WHERE t.payment_id <> ''
            AND p.idempotency_id = 'pay:' || t.processor || ':' || t.payment_id)""",
    "I24 no payment that fits no top-up waits for more than a day": """
        SELECT a.id, a.balance_nano FROM billing_account a
        WHERE starts_with(a.kind, 'processor:clearing:') AND a.balance_nano <> 0
        AND NOT EXISTS (SELECT FROM billing_ledgerentry e JOIN billing_posting p
            ON p.id = e.posting_id WHERE e.account_id = a.id
            AND p.created_at > now() - interval '24 hours')""",
    "I24 no hold is open a minute after its time": """
        SELECT id, expires_at FROM billing_hold
        WHERE state = 'open' AND expires_at < now() - interval '1 minute'""",
    "I22 a code is used as often as it was redeemed, and not too often": """
        SELECT c.id, c.uses FROM billing_code c JOIN billing_codebatch b ON b.id = c.batch_id
        WHERE c.uses > b.max_uses
        OR c.uses <> (SELECT count(*) FROM billing_redemption r WHERE r.code_id = c.id)""",
    "I23 what a budget window holds is the sum of its holds that are not resolved": """
        SELECT w.id, w.held_nano FROM billing_budgetwindow w
        LEFT JOIN (SELECT window_id, sum(amount_nano) AS nano
                   FROM billing_hold, unnest(window_ids) AS window_id
                   WHERE state IN ('open', 'kept') GROUP BY window_id) h ON h.window_id = w.id
        WHERE w.held_nano <> coalesce(h.nano, 0)""",
    "I23 what a budget window has spent is in the records and corrections": """
        SELECT w.id, w.spent_nano FROM billing_budgetwindow w
        LEFT JOIN (SELECT window_id, sum(r.charge_nano + coalesce(c.nano, 0)) AS nano
                   FROM billing_hold h, unnest(h.window_ids) AS window_id, usage_usagerecord r
                   LEFT JOIN LATERAL (
                       SELECT sum(e.amount_nano) AS nano FROM billing_posting p
                       JOIN billing_ledgerentry e ON e.posting_id = p.id
                       JOIN billing_account a ON a.id = e.account_id AND a.kind = 'revenue'
                       WHERE p.idempotency_id IN (
                           'adjust:' || r.id || ':late', 'adjust:' || r.id || ':look_up',
                           'adjust:' || r.id || ':review')
                   ) c ON true
                   WHERE r.organisation_id = h.organisation_id AND r.id = h.id
                   GROUP BY window_id) s ON s.window_id = w.id
        WHERE w.spent_nano <> w.brought_nano + coalesce(s.nano, 0)""",
    "P2 nothing stands above a budget's cap": """
        SELECT id FROM billing_budgetwindow WHERE held_nano + spent_nano > cap_nano""",
    "a request has one final record at most": """
        SELECT request_id FROM usage_usagerecord WHERE final
        GROUP BY request_id HAVING count(*) > 1""",
}


class Cursor(Protocol):
    """A cursor of Django or of psycopg."""

    def execute(self, query: Any, params: Any = None) -> Any: ...

    def fetchmany(self, size: int) -> list[Any]: ...


def broken_invariants(cursor: Cursor, rows_max: int = 5) -> dict[str, list[Any]]:
    """The first rows that break an invariant, by invariant; empty when the books are right."""
    broken = {}
    for name, query in INVARIANTS.items():
        cursor.execute(query)
        rows = cursor.fetchmany(rows_max)
        if rows:
            broken[name] = rows
    return broken
