"""The invariants of the books as one assertion, for the end of every money test."""

from django.db import connection

from usage.invariants import Cursor, broken_invariants


def assert_books_balance(cursor: Cursor | None = None) -> None:
    """Every invariant holds, over everything in the database: Django's, or the cursor's."""
    if cursor is not None:
        assert broken_invariants(cursor) == {}
        return
    with connection.cursor() as django_cursor:
        assert broken_invariants(django_cursor) == {}
