"""Statements that fail: the n-th one, for n = 1, 2, … until a run has no failure.

in the relay:        FailingConnection(dsn), `connection.fail_at(n)`
in Django's code:    with nth_statement_fails(n) as failing: …; failing.struck
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import OperationalError, connection

from relay.database.database import PipelinedConnection, Row, Statement
from relay.errors import DatabaseRefused

# Failures that another try may cure: two transactions met, and a statement took too long.
MET, CANCELLED = "40001", "57014"


class FailingConnection(PipelinedConnection):
    """A connection of which one transaction fails at its n-th statement, once."""

    _n = 0
    struck = False

    def fail_at(self, n: int, then: Callable[[], None], sqlstate: str = MET) -> None:
        """Let the n-th statement (from 1) of the next transaction fail; `then` looks around."""
        self._n, self._then, self.struck = n, then, False
        text = f"RAISE EXCEPTION 'as the test wants it' USING ERRCODE = '{sqlstate}'"
        self._fails: Statement = (f"DO $$ BEGIN {text}; END $$", {})

    async def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        n, self._n = self._n, 0
        if not 0 < n <= len(statements):
            return await super().run(statements)
        self.struck = True
        try:
            return await super().run([*statements[: n - 1], self._fails, *statements[n - 1 :]])
        except DatabaseRefused:
            self._then()
            raise


@dataclass
class Failing:
    """Whether the failure was reached."""

    struck: bool = False


@contextmanager
def nth_statement_fails(n: int) -> Iterator[Failing]:
    """Let the n-th statement (from 1) on Django's connection raise OperationalError."""
    failing, count = Failing(), 0

    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal count
        count += 1
        if count == n:
            failing.struck = True
            raise OperationalError("as the test wants it")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(wrapper):
        yield failing
