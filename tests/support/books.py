"""The books in tests: their invariants as one assertion, and books of an older form."""

from uuid import UUID

from django.db import connection

from billing.ledger.posting import Entry, Posting
from usage.books.invariants import Cursor, broken_invariants


def assert_books_balance(cursor: Cursor | None = None) -> None:
    """Every invariant holds, over everything in the database: Django's, or the cursor's."""
    if cursor is not None:
        assert broken_invariants(cursor) == {}
        return
    with connection.cursor() as django_cursor:
        assert broken_invariants(django_cursor) == {}


def post_as_before(organisation_id: UUID | None = None) -> None:
    """Let the books of everybody, or of one organisation, be as they were before postings held
    their own lines: holds were posted when they were placed as well."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(_AS_BEFORE, {"organisation": organisation_id})
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


_AS_BEFORE = """
    INSERT INTO billing_ledgerline (posting_id, account_id, amount_nano)
    SELECT entry.posting_id, entry.account_id, entry.amount_nano
    FROM billing_ledgerentry entry JOIN billing_posting posting ON posting.id = entry.posting_id
    WHERE account_ids IS NOT NULL
      AND posting.organisation_id = coalesce(%(organisation)s, posting.organisation_id);
    UPDATE billing_posting SET account_ids = NULL, amounts_nano = NULL, entry_id = NULL,
        idempotency_id = coalesce(idempotency_id, kind || ':' || attempt_id), attempt_id = NULL
    WHERE account_ids IS NOT NULL
      AND organisation_id = coalesce(%(organisation)s, organisation_id);
    INSERT INTO billing_posting (id, idempotency_id, kind, organisation_id, cause, actor, entry_id)
    SELECT (left(id::text, 24) || right(gen_random_uuid()::text, 12))::uuid, 'hold:' || id, 'hold',
           organisation_id, '{}', '', NULL
    FROM billing_hold
    WHERE NOT posted AND organisation_id = coalesce(%(organisation)s, organisation_id);
    INSERT INTO billing_ledgerline (posting_id, account_id, amount_nano)
    SELECT posting.id, account.id, hold.amount_nano
        * CASE account.kind WHEN 'customer:held' THEN 1 ELSE -1 END
        * CASE posting.kind WHEN 'hold' THEN 1 ELSE -1 END
    FROM billing_hold hold
    JOIN billing_posting posting ON posting.idempotency_id IN (
        'hold:' || hold.id, 'settle:' || hold.id, 'void:' || hold.id, 'expire:' || hold.id)
    JOIN billing_account account ON account.organisation_id = hold.organisation_id
        AND account.kind IN ('customer:available', 'customer:held')
    WHERE NOT hold.posted
      AND hold.organisation_id = coalesce(%(organisation)s, hold.organisation_id);
    UPDATE billing_hold SET posted = true
    WHERE organisation_id = coalesce(%(organisation)s, organisation_id)"""


def held(attempt_id: UUID, organisation_id: UUID, amount_nano: int) -> Posting:
    """What older processes posted when they placed a hold."""
    return Posting(
        f"hold:{attempt_id}",
        "hold",
        (
            Entry("customer:available", organisation_id, -amount_nano),
            Entry("customer:held", organisation_id, amount_nano),
        ),
    )
