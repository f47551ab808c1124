"""The relay's life: what it opens at start, keeps fresh, and lets end at shutdown.

    STARTING --catalogue loaded--> READY --SIGTERM--> DRAINING --nothing runs--> CLOSED

Starting does not wait for the database: a process whose database is away serves 503 and becomes
ready by itself.
"""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import FrameType
from uuid import UUID

import psycopg
from psycopg.conninfo import make_conninfo

from gateway.relay import admission
from gateway.relay import snapshot as catalogue
from gateway.relay.alerts import Alert, statement
from gateway.relay.auth import Authenticator, Principal
from gateway.relay.books import Books
from gateway.relay.call import Parts
from gateway.relay.config import RelayConfig
from gateway.relay.database import DatabaseAway, DatabaseRefused, Lane, Row
from gateway.relay.health import Health
from gateway.relay.journal import Journal
from gateway.relay.keeping import Keeper
from gateway.relay.large import LargeEvents
from gateway.relay.repeats import Repeats
from gateway.relay.revocation import Running
from gateway.relay.snapshot import EMPTY, Snapshot
from gateway.relay.spool import Spool
from gateway.relay.upstream import Upstreams
from lib.ids import id_text, new_id
from lib.vault import Vault, WrongSecret, check_secrets
from usage.sql import key_charges

log = logging.getLogger(__name__)

_LISTEN_RETRY_S = 1.0
_CLOSE_WAIT_S = 5.0
_LEASE_RENEW_S = 1.0
# Ids carry the process's clock, and statements look for them by the database's.
_SKEW_S_MAX = 60.0


class Lifespan:
    """Everything of the relay that lives longer than a request."""

    def __init__(self, config: RelayConfig) -> None:
        self.config = config
        self.snapshot: Snapshot = EMPTY
        self.draining = False
        self._missing: int | None = None  # migrations; None before anybody has looked
        self._secrets_fit: bool | None = None  # None before the database was asked
        self._skew_s = 0.0  # by how much the database's clock is ahead
        self._entered = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._vault = Vault(config.kek)
        self._look_ups = Lane(config.dsn, config.database_wait_s)
        process_id = new_id()
        self._writes = Lane(config.dsn, config.database_wait_s, process_id)
        spool = journal = None
        if config.spool_folder is not None:
            spool = Spool(config.spool_folder, process_id, config.spool_bytes_max)
            journal = Journal(config.spool_folder, process_id)
        self._states = Lane(config.dsn, config.database_wait_s)
        keeper = Keeper(self._states, self._vault)
        self.repeats = Repeats(keeper)
        self.authenticator = Authenticator(config.pepper, self._ask)
        self.running = Running(self._ask)
        self._looked_at = -1  # the epoch as of which all that runs may run
        books = Books(self._writes, spool, journal)
        self.parts = Parts(
            config,
            books,
            Upstreams(),
            Health(),
            LargeEvents(config.large_events_bytes_max),
            keeper,
            self._renew,
        )
        self._changed = asyncio.Event()
        self._loading = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    def usable(self) -> bool:
        """Whether a paid request can be taken now: the database can be written and has what this
        code expects, the catalogue is loaded, no ending waits on the disk, its clock is that of the
        database, and the process is not about to end."""
        return (
            not self.draining
            and self._missing == 0
            and self._secrets_fit is True
            and self.snapshot.epoch >= 0
            and self._writes.usable
            and self.parts.books.ready
            and abs(self._skew_s) <= _SKEW_S_MAX
        )

    def enter(self) -> None:
        """A request begins; `leave` is called at its end, whatever happens."""
        self._entered += 1
        if self._entered == 1:
            self._quiet.clear()

    def leave(self) -> None:
        self._entered -= 1
        if self._entered == 0:
            self._quiet.set()

    # ---- start and end

    async def start(self) -> None:
        """Open the connections and load the catalogue, as far as the database lets us. Raises
        WrongSecret where it was made with others than ours."""
        for lane in (self._look_ups, self._writes, self._states):
            try:
                await lane.open()
            except DatabaseAway as error:
                log.warning("the database is away: %s", error)
                lane.open_later()
        await self.parts.books.open_spool()
        await self._look_at_schema()
        await self._look_at_secrets()
        await self._look_at_epoch()
        await self._refresh()
        self._tasks = [
            asyncio.create_task(self._poll()),
            asyncio.create_task(self._listen()),
            asyncio.create_task(self._live()),
        ]
        self._hear_sigterm()

    async def stop(self) -> None:
        """Let running requests end, write every settlement, close."""
        self.draining = True
        loop = asyncio.get_running_loop()
        until = loop.time() + self.config.drain_s
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._quiet.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(_CLOSE_WAIT_S, until - loop.time())):
                await self.parts.books.join()
                await self.parts.keeper.join()
        self.parts.books.close_spool()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.parts.upstreams.close()
        for lane in (self._look_ups, self._writes, self._states):
            await lane.close()

    def _hear_sigterm(self) -> None:
        """Turn readiness off at once and go on accepting for a while: load balancers need a few
        seconds to notice. Then the server's own handler stops it; a second signal does at once."""
        loop = asyncio.get_running_loop()
        server = signal.getsignal(signal.SIGTERM)
        wait_s = self.config.accept_while_draining_s
        if not callable(server) or not wait_s:
            return

        def hear(number: int, frame: FrameType | None) -> None:
            if self.draining:
                server(number, frame)
                return
            self.draining = True
            loop.call_soon_threadsafe(loop.call_later, wait_s, server, number, frame)

        with contextlib.suppress(ValueError):  # Not the main thread: there is no signal to hear.
            signal.signal(signal.SIGTERM, hear)

    async def available_nano(self, principal: Principal, budget_ids: Iterable[int]) -> int:
        """What a request under these budgets could hold now. Raises DatabaseAway."""
        asked = admission.read_available(principal.organisation_id, budget_ids)
        rows = await self._ask(asked)
        return int(rows[0][0] or 0) if rows else 0

    async def charges(
        self, principal: Principal, days: tuple[str, str] | None
    ) -> list[tuple[str, str, int]]:
        """What the principal's key was charged: (day, model, nano), of some days or in all."""
        rows = await self._ask(key_charges(principal.organisation_id, principal.key_id, days))
        return [(day or "", model or "", int(nano or 0)) for day, model, nano in rows]

    async def _renew(self, principal: Principal) -> Principal:
        """Somebody whose budgets are other ones than was known; so are those of others."""
        self.authenticator.forget()
        found = await self.authenticator.principal_of_key(principal.key_id, self.snapshot.now())
        # The playground's key stands for the person who is signed in.
        return replace(found, user_id=principal.user_id)

    # ---- the catalogue

    async def _ask(self, statement: tuple[str, Mapping[str, object]]) -> Sequence[Row]:
        # A transaction that is left in the middle costs its connection, which others wait for.
        running = asyncio.ensure_future(self._look_ups.run([statement]))
        return (await asyncio.shield(running))[0]

    async def _refresh(self) -> None:
        """Load the catalogue; the old one stays when that fails."""
        async with self._loading:
            try:
                ((text,),) = await self._ask(catalogue.load_statement())
            except (DatabaseAway, DatabaseRefused) as error:
                log.warning("the catalogue cannot be loaded: %s", error)
                return
            self.snapshot = catalogue.build(text or "", self._vault)
            self.authenticator.forget()
            self.parts.health.keep(self.snapshot)
            self.parts.upstreams.retire(self.snapshot)
            for channel_id, name in self.snapshot.unusable:
                alert = Alert(id_text(UUID(channel_id)), name, "unusable")
                self.parts.health.alerts.tell(alert)

    async def _poll(self) -> None:
        """The floor under the notifications: look at the epoch each second, or when told."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self.config.epoch_poll_s)
            self._changed.clear()
            await self._look_at_schema()
            try:
                await self._look_at_secrets()
            except WrongSecret as error:
                log.error("not ready: %s", error)
            epoch = await self._look_at_epoch()
            if epoch is not None and epoch != self.snapshot.epoch:
                await self._refresh()
            await self._end_revoked(epoch)

    async def _end_revoked(self, epoch: int | None) -> None:
        """End what runs under keys that have ended; while the database is away, those by time."""
        self.running.end_expired(self.snapshot.now())
        if epoch is None or epoch == self._looked_at:
            return
        with contextlib.suppress(DatabaseAway, DatabaseRefused):
            await self.running.end_revoked()
            self._looked_at = epoch

    async def _look_at_epoch(self) -> int | None:
        """The database's epoch, None while it is away; and how far our clocks are apart."""
        asked = time.time()
        try:
            ((epoch, now),) = await self._ask(catalogue.epoch_statement())
        except (DatabaseAway, DatabaseRefused):
            return None
        ahead_s = float(now or 0) - (asked + time.time()) / 2
        if abs(ahead_s) > _SKEW_S_MAX >= abs(self._skew_s):
            log.error("not ready: the database's clock is %d s ahead of this machine's", ahead_s)
        self._skew_s = ahead_s
        return int(epoch or 0)

    async def _look_at_schema(self) -> None:
        """Count the migrations that the database lacks; what was known stays when that fails."""
        if not self.config.migrations:
            self._missing = 0
            return
        try:
            ((text,),) = await self._ask(catalogue.missing_statement(self.config.migrations))
        except (DatabaseAway, DatabaseRefused):
            return
        missing = int(text or 0)
        if missing and missing != self._missing:
            log.error("not ready: the database lacks %d migrations of this code", missing)
        self._missing = missing

    async def _look_at_secrets(self) -> None:
        """Compare ours, once, with those that the database was made with. Raises WrongSecret."""
        if self._secrets_fit is not None:
            return
        try:
            ((kept,),) = await self._ask(catalogue.secret_check_statement())
        except (DatabaseAway, DatabaseRefused):
            return
        self._secrets_fit = False
        if kept is not None:
            check_secrets(self.config.kek, self.config.pepper, bytes.fromhex(kept))
        self._secrets_fit = True

    async def _live(self) -> None:
        """Say that this process lives, and that its holds are not to be resolved by others; and
        tell the operators what they must see to."""
        while True:
            await self.parts.books.open_spool()
            self.parts.books.renew()
            await self._tell_operators()
            await asyncio.sleep(_LEASE_RENEW_S)

    async def _tell_operators(self) -> None:
        alerts = self.parts.health.alerts
        waiting = alerts.take()
        if not waiting:
            return
        try:
            await self._ask(statement(waiting))
        except (DatabaseAway, DatabaseRefused) as error:
            alerts.put_back(waiting)
            log.warning("operators cannot be told: %s", error)

    async def _listen(self) -> None:
        """Hear of changes at their commit."""
        dsn = make_conninfo(self.config.dsn, application_name="weir relay bell", connect_timeout=2)
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
                async with connection:
                    await connection.execute("LISTEN weir_epoch")
                    # What changed while nobody listened is found by the poll.
                    async for _ in connection.notifies():
                        self._changed.set()
            except (psycopg.Error, OSError):
                await asyncio.sleep(_LISTEN_RETRY_S)
