"""Whether the database is the one that this process was made for: its schema, its secrets, its
clock. What was known stays while it is away."""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from lib.vault import Vault, WrongSecret, check_secrets
from relay.config import RelayConfig
from relay.errors import DatabaseFailed
from relay.ledger.database import Row, Statement
from relay.routing import snapshot_sql as statements

log = logging.getLogger(__name__)

Ask = Callable[[Statement], Awaitable[Sequence[Row]]]
"""Runs one statement; raises DatabaseFailed."""

# Ids carry the process's clock, and statements look for them by the database's.
_SKEW_S_MAX: Final = 60.0


class DatabaseFit:
    """What one process knows of it."""

    def __init__(self, config: RelayConfig, vault: Vault, ask: Ask) -> None:
        self._config = config
        self._vault = vault
        self._ask = ask
        # Migrations that it lacks; None before anybody has looked.
        self._missing: int | None = None
        # What stood for the migrations of the database when they were counted.
        self._counted: str | None = None
        # None before the database was asked.
        self._secrets_fit: bool | None = None
        # By how much its clock is ahead.
        self._skew_s = 0.0

    @property
    def fits(self) -> bool:
        return self._missing == 0 and self._secrets_fit is True and abs(self._skew_s) <= _SKEW_S_MAX

    async def _look_at_schema(self, migrations: str | None) -> None:
        """Count the migrations that the database lacks, where they are not those of the last time:
        to compare all of them takes longer than all else that is asked each second."""
        if not self._config.migrations:
            self._missing = 0
            return
        if migrations == self._counted:
            return
        try:
            ((text,),) = await self._ask(statements.missing_statement(self._config.migrations))
        except DatabaseFailed:
            return
        missing = int(text or 0)
        if missing and missing != self._missing:
            log.error("not ready: the database lacks %d migrations of this code", missing)
        self._missing, self._counted = missing, migrations

    async def look_at_secrets(self) -> None:
        """Compare ours, once, with those that the database was made with, and have it know by which
        KEK we seal. Raises WrongSecret."""
        if self._secrets_fit is not None:
            return
        try:
            rows = await self._ask(statements.secret_check_statement())
            for sealed, kek_ids in rows:
                self._check_secrets(bytes.fromhex(sealed or ""), kek_ids or "")
                await self._ask(statements.needed_kek_statement(self._vault.current.id))
        except DatabaseFailed:
            return
        self._secrets_fit = True

    def _check_secrets(self, sealed: bytes, kek_ids: str) -> None:
        needed = [id for id in kek_ids.split(",") if id]
        try:
            check_secrets(self._config.kek, self._config.pepper, sealed, needed)
        except WrongSecret:
            self._secrets_fit = False
            raise

    async def read_epoch(self) -> int | None:
        """The database's epoch, None while it is away; its clock and its schema are looked at along
        with it."""
        sent_at = time.time()
        try:
            ((epoch, now, migrations),) = await self._ask(statements.epoch_statement())
        except DatabaseFailed:
            return None
        ahead_s = float(now or 0) - (sent_at + time.time()) / 2
        if abs(ahead_s) > _SKEW_S_MAX >= abs(self._skew_s):
            log.error("not ready: the database's clock is %d s ahead of this machine's", ahead_s)
        self._skew_s = ahead_s
        await self._look_at_schema(migrations)
        return int(epoch or 0)
