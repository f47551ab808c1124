"""The books in tests: their invariants as one assertion, and money that is held by no request."""

from uuid import UUID

from django.db import connection

from billing.rules.posting import Entry, Posting
from usage.invariants import Cursor, broken_invariants


def assert_books_balance(cursor: Cursor | None = None) -> None:
    """Every invariant holds, over everything in the database: Django's, or the cursor's."""
    if cursor is not None:
        assert broken_invariants(cursor) == {}
        return
    with connection.cursor() as django_cursor:
        assert broken_invariants(django_cursor) == {}


def held(attempt_id: UUID, organisation_id: UUID, amount_nano: int) -> Posting:
    """What the batch posts when it places a hold."""
    return Posting(
        f"hold:{attempt_id}",
        "hold",
        (
            Entry("customer:available", organisation_id, -amount_nano),
            Entry("customer:held", organisation_id, amount_nano),
        ),
    )
