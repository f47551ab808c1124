"""Whether the database matches this process: its schema, its secrets, its clock. While the database
is away, the last known values remain."""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from lib.database.database_clock import DatabaseClock
from lib.vault import Vault, WrongSecret, check_secrets
from relay.catalogue import snapshot_sql as statements
from relay.config import RelayConfig
from relay.database.database import Row, Statement
from relay.errors import DatabaseFailed

log = logging.getLogger(__name__)

Ask = Callable[[Statement], Awaitable[Sequence[Row]]]
"""Runs one statement; raises DatabaseFailed."""

# Ids contain the process's clock, and statements search for them by the database's.
_SKEW_S_MAX: Final = 60.0


class DatabaseFit:
    """What one process knows about how well the database matches."""

    def __init__(self, config: RelayConfig, vault: Vault, ask: Ask) -> None:
        self._config = config
        self._vault = vault
        self._ask = ask
        # Missing migrations; None before the first check.
        self._missing: int | None = None
        # The fingerprint of the migrations at the last count.
        self._counted: str | None = None
        # Whether the secrets match; None before the first query.
        self._secrets_fit: bool | None = None
        # How many seconds the database's clock is ahead of ours.
        self._skew_s = 0.0
        self.clock = DatabaseClock()

    @property
    def fits(self) -> bool:
        return self._missing == 0 and self._secrets_fit is True and abs(self._skew_s) <= _SKEW_S_MAX

    async def _check_schema(self, migrations: str | None) -> None:
        """Count the missing migrations if the database's list has changed since the last call.
        Comparing all of them takes longer than everything else that is queried each second."""
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

    async def compare_secrets(self) -> None:
        """Compare our secrets, once, with those that the database was created with, and record the
        KEK that this process seals with. Raises WrongSecret."""
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
        """Return the database's epoch, None while the database is away. Check the clock and the
        schema as well."""
        sent_at, asked_at = time.time(), time.monotonic()
        try:
            ((epoch, now, migrations),) = await self._ask(statements.epoch_statement())
        except DatabaseFailed:
            return None
        self.clock.read(float(now or 0), asked_at, time.monotonic())
        ahead_s = float(now or 0) - (sent_at + time.time()) / 2
        if abs(ahead_s) > _SKEW_S_MAX >= abs(self._skew_s):
            log.error("not ready: the database's clock is %d s ahead of this machine's", ahead_s)
        self._skew_s = ahead_s
        await self._check_schema(migrations)
        return int(epoch or 0)
