"""The check of the books of a hub that many tests share."""

import datetime as dt
from collections import Counter

from billing.seals.seals import horizon
from usage.books.invariants import INVARIANTS, Cursor, Span, rows_that_break, sums_of


class GrowingBooks:
    """The books of a hub that many tests use. A check begins where the one before it ended, as
    those of production do (usage/books/walk.py): each would else read what all tests wrote."""

    def __init__(self) -> None:
        self._to_at: dt.datetime | None = None
        self._sums: Counter[tuple[str, int]] = Counter()

    def assert_balance(self, cursor: Cursor) -> None:
        """Every invariant holds over what was written since, and over all sums and balances."""
        settled_at, _ = horizon(cursor)
        parameters = Span(self._to_at).parameters(self._sums)
        results = {name: rows_that_break(cursor, name, parameters, 5) for name in INVARIANTS}
        assert {name: rows for name, rows in results.items() if rows} == {}
        if self._to_at is None or settled_at > self._to_at:
            self._sums.update(sums_of(cursor, Span(self._to_at, settled_at)))
            self._to_at = settled_at
