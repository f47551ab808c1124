"""The n-th statement of a write fails, for n = 1, 2, … until a run has no failure.

The state must then be the one before: nothing of a write that failed stays behind.
"""

from collections.abc import Callable
from typing import Any

from django.db import connection


class Failed(Exception):
    """The statement that was made to fail."""


class FailAt:
    """Fails the n-th statement that a connection executes."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self, execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            raise Failed
        return execute(sql, params, many, context)


def books() -> Any:
    tables = ("billing_posting", "billing_ledgerentry", "billing_account", "billing_topup",
              "billing_processorevent", "billing_redemption", "billing_code", "billing_promogrant",
              "outbox_fact", "accounts_auditevent")  # fmt: skip
    with connection.cursor() as cursor:
        results = {}
        for table in tables:
            cursor.execute(f"SELECT count(*), sum(hashtext(t::text)) FROM {table} t")
            results[table] = cursor.fetchone()
    return results


def fail_each_statement(act: Callable[[], Any]) -> int:
    """Run `act` with its n-th statement failing, n = 1, 2, …; the books are those before each
    time, until one run has no failure. How many statements it has."""
    before = books()
    for n in range(1, 500):
        try:
            with connection.execute_wrapper(FailAt(n)):
                act()
        except Failed:
            assert books() == before, f"statement {n} left something behind"
            continue
        return n
    raise AssertionError("never done")
