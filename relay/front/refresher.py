"""What a process caches from the database, refreshed at each new epoch: the catalogue, the keys,
and the running requests of keys that have ended. The database sends a notification when a change
commits; in addition, the epoch is read each second.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final
from uuid import UUID

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGconn

from lib.ids import id_text
from lib.process.ticks import seconds_to_next
from lib.vault import Vault, WrongSecret
from relay.catalogue import snapshot_sql as statements
from relay.catalogue.snapshot import EMPTY, Snapshot
from relay.catalogue.snapshot_build import build
from relay.config import RelayConfig
from relay.context.context import Parts
from relay.credentials.keys import Authenticator
from relay.credentials.revocation import Running
from relay.errors import DatabaseFailed
from relay.front.database_fit import Ask, DatabaseFit
from relay.health.operator_alerts import Alert

log = logging.getLogger(__name__)

_LISTEN_RETRY_S = 1.0
# A silent connection counts as lost after half a minute, not after hours.
_KEPT_ALIVE: Final = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3}


class Refresher:
    """Keeps one process's snapshot current, and calls its observers."""

    def __init__(
        self,
        config: RelayConfig,
        ask: Ask,
        vault: Vault,
        authenticator: Authenticator,
        running: Running,
        parts: Parts,
    ) -> None:
        self.snapshot: Snapshot = EMPTY
        self.fit = DatabaseFit(config, vault, ask)
        self._config = config
        self._ask = ask
        self._vault = vault
        self._authenticator = authenticator
        self._running = running
        self._parts = parts
        # The epoch at which all running requests were last checked.
        self._looked_at = -1
        self._changed = asyncio.Event()

    async def start(self) -> None:
        """Load everything once, as far as the database is available. Raises WrongSecret if it was
        created with other secrets.
        """
        await self.fit.compare_secrets()
        await self.fit.read_epoch()
        await self._refresh()

    async def poll(self) -> None:
        """Read the epoch each second, or when notified."""
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(TimeoutError):
                wait_s = seconds_to_next(self._config.epoch_poll_s, loop.time())
                await asyncio.wait_for(self._changed.wait(), wait_s)
            self._changed.clear()
            try:
                await self.fit.compare_secrets()
            except WrongSecret as error:
                log.error("not ready: %s", error)
            epoch = await self.fit.read_epoch()
            if epoch is not None and epoch != self.snapshot.epoch:
                await self._refresh()
            await self._end_revoked(epoch)

    async def listen(self) -> None:
        """Receive notifications of changes when they commit."""
        dsn = make_conninfo(
            self._config.dsn,
            application_name="weir relay notifications",
            connect_timeout=2,
            **_KEPT_ALIVE,
        )
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
                async with connection:
                    await connection.execute("LISTEN weir_epoch")
                    # The poll finds changes that were made while nobody listened.
                    await _listen_once(connection.pgconn, self._changed.set)
            except (psycopg.Error, OSError):
                await asyncio.sleep(_LISTEN_RETRY_S)

    async def _refresh(self) -> None:
        """Load the catalogue; keep the old one if that fails."""
        try:
            ((text,),) = await self._ask(statements.load_statement())
        except DatabaseFailed as error:
            log.warning("the catalogue cannot be loaded: %s", error)
            return
        self.snapshot = build(text or "", self._vault, self.fit.clock)
        self._authenticator.clear()
        self._parts.health.keep(self.snapshot)
        self._parts.upstreams.retire(self.snapshot)
        for channel_id, name in self.snapshot.unusable:
            self._parts.health.alerts.report(Alert(id_text(UUID(channel_id)), name, "unusable"))

    async def _end_revoked(self, epoch: int | None) -> None:
        """End the running requests of keys that have ended. While the database is away, end those
        of expired keys."""
        self._running.end_expired(self.snapshot.now())
        if epoch is None or epoch == self._looked_at:
            return
        with contextlib.suppress(DatabaseFailed):
            await self._running.end_revoked()
            self._looked_at = epoch


async def _listen_once(pgconn: PGconn, hear: Callable[[], None]) -> None:
    """Call `hear` for each notification until the connection is lost. psycopg's own loop would wake
    ten times a second to look for notifications. Raises psycopg.Error."""
    loop, socket = asyncio.get_running_loop(), pgconn.socket
    lost: asyncio.Future[None] = loop.create_future()

    def read() -> None:
        try:
            pgconn.consume_input()
            while pgconn.notifies() is not None:
                hear()
        except psycopg.Error as error:
            # The socket is closed, so its number may belong to another one.
            loop.remove_reader(socket)
            if not lost.done():
                lost.set_exception(error)

    loop.add_reader(socket, read)
    try:
        await lost
    except asyncio.CancelledError:
        loop.remove_reader(socket)
        raise
