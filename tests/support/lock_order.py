"""Whoever moves money locks the wallet before looking at what stands there (I23).

A transaction that decides by what it has read, and takes the lock behind it, or none, passes every
test of one process, and spends money twice under two. So the statements of each transaction of a
test are looked at: one that reads a table of the books before the wallet's lock, and writes there
after it, fails the test.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from django.db import connection
from django.db.transaction import Atomic, atomic

from billing import idempotency
from tests.support.stage import stage

# What the lock of a wallet guards.
GUARDED: Final = frozenset(
    f"billing_{table}"
    for table in (
        "account", "budgetwindow", "credit", "includedunits", "invoice", "invoicedue",
        "invoicepayment", "ledgerentry", "posting", "promogrant", "redemption", "subscription",
        "subscriptioncharge", "topup",
    )
)  # fmt: skip
_LOCKED: Final = re.compile(r"FOR NO KEY UPDATE|FOR UPDATE|pg_(try_)?advisory_xact_lock")
_WALLET: Final = re.compile(r"FROM billing_account\s.*FOR NO KEY UPDATE", re.DOTALL)
_WRITTEN: Final = re.compile(r'(?:INSERT INTO|UPDATE|DELETE FROM) "?(billing_\w+)')
_READ: Final = re.compile(r'(?:FROM|JOIN) "?(billing_\w+)')


class _Statement(NamedTuple):
    """Whether a statement writes or reads the books, and what it locks."""

    writes: bool
    reads: bool
    locks_wallet: bool
    locks: bool


# Tests send the same statements again and again.
@lru_cache(maxsize=5_000)
def _statement(text: str) -> _Statement:
    return _Statement(
        writes=bool(GUARDED.intersection(_WRITTEN.findall(text)) - {"billing_account"}),
        reads=not GUARDED.isdisjoint(_READ.findall(text)),
        locks_wallet=bool(_WALLET.search(text)),
        locks=bool(_LOCKED.search(text)) and "FROM" not in text,
    )


class _Transaction:
    """What one transaction has done so far."""

    def __init__(self) -> None:
        self.read = ""
        self.locked = False

    def problem_of(self, text: str) -> str:
        """What is wrong with its next statement; "" of a right one."""
        statement = _statement(text)
        if statement.locks_wallet:
            self.locked = True
            return f"{self.read} comes before the lock of the wallet" if self.read else ""
        if statement.locks:
            self.locked = True  # an advisory lock of what has no wallet yet
        if statement.writes:
            return f"{self.read} comes before {text}" if self.read and not self.locked else ""
        if statement.reads and not self.locked:
            self.read = self.read or text
        return ""


@contextmanager
def wallets_locked_first() -> Iterator[None]:
    """Fail where a transaction of the block reads the books before it locks the wallet."""
    current: tuple[Atomic | None, _Transaction] = (None, _Transaction())
    problems: list[str] = []

    def look(execute: Callable[..., Any], sql: Any, *rest: Any) -> Any:
        nonlocal current
        outermost = next(filter(_is_of_product, connection.atomic_blocks), None)
        if outermost is not current[0]:
            current = outermost, _Transaction()
        if outermost is not None:
            problems.append(current[1].problem_of(str(sql)))
        return execute(sql, *rest)

    # What is done once for a key is done in a transaction around its own, in which the page or the
    # operation has looked up what it is about.
    around = SimpleNamespace(atomic=_around)
    with patch.object(idempotency, "transaction", around), connection.execute_wrapper(look):
        yield
    assert not any(problems), next(filter(None, problems))


def _around() -> Atomic:
    block = atomic()
    block.is_around = True  # type: ignore[attr-defined]
    return block


def _is_of_product(block: Any) -> bool:
    if block._from_testcase or stage.is_around(block):
        return False
    return not getattr(block, "is_around", False)
