"""The lifespan of the relay: what it opens at start, refreshes, and closes at shutdown.

    STARTING --catalogue loaded--> READY --SIGTERM--> DRAINING --no running requests--> CLOSED

The start does not wait for the database: a process whose database is away answers 503, and becomes
ready by itself.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Protocol

import msgspec

from accounts.key_uses.last_uses import LAST_USES, write_last_uses
from accounts.keys.sql import count_use
from gateway.health.sql import Family, add_to_total
from lib.ids import new_id
from lib.process.ticks import next_tick
from lib.vault import Vault
from relay.answers.background import BackgroundResponses
from relay.answers.idempotency import IdempotentRequests
from relay.attempts.shadow_traffic import ShadowTraffic
from relay.config import RelayConfig
from relay.content_log.content_log import ContentLog
from relay.content_log.entry import Setup
from relay.context.context import Parts
from relay.counting.tokenizer import read_vocabulary
from relay.credentials.client_secrets import AuthTokenTerms
from relay.credentials.keys import Authenticator, Principal
from relay.credentials.revocation import Running
from relay.database.database import PipelinedConnection, Row, Statement
from relay.downstream.limit_answers import LimitReached
from relay.errors import DatabaseAway, DatabaseFailed
from relay.front.readiness import Readiness
from relay.front.refresher import Refresher
from relay.guarding.calls import GuardCalls, report_passed
from relay.health.channel_health import Health
from relay.health.health_sharing import QUIET_TICKS, TICK_S, HealthSharing
from relay.health.health_sharing import read as read_reports
from relay.health.health_sharing import statement as report_statement
from relay.health.operator_alerts import DamagedRecords, damaged_statement, statement
from relay.health.spend_caps import apply_spend_caps
from relay.holds.place_hold import NOTHING_TAKEN, Taken
from relay.ledger import admission
from relay.ledger.journal import Journal
from relay.ledger.spool import Spool
from relay.ledger.writer import LedgerWriter
from relay.load.load import Load, Turns
from relay.states.state_store import StateStore
from relay.upstream.large_events import LargeEvents
from relay.upstream.upstream import Upstreams
from usage.records.sql import key_charges

log = logging.getLogger(__name__)

_CLOSE_WAIT_S = 5.0
# Alerts wait a second at most. A lease outlasts four renewals that fail.
_ALERT_S = 1.0
_LEASE_RENEW_TICKS = 2


class NewLedgerWriter(Protocol):
    """Creates the ledger writer of a process."""

    def __call__(
        self,
        connection: PipelinedConnection,
        spool: Spool | None,
        journal: Journal | None,
        *,
        is_shared: Callable[[], bool],
        of_few: PipelinedConnection,
    ) -> LedgerWriter: ...


class Lifespan:
    """Everything in the relay that outlives a request."""

    def __init__(
        self,
        config: RelayConfig,
        *,
        ledger_writer: NewLedgerWriter,
        upstreams: Upstreams,
        content_log: Callable[[Setup], ContentLog] = ContentLog,
        open_requests: "OpenRequests | None" = None,
    ) -> None:
        self.config = config
        self.open_requests = open_requests or OpenRequests()
        under_way = self.open_requests.count
        self.load = Load(config.wait_s_max, under_way, lambda: self.turns.longest_wait_s())
        self.turns = Turns(under_way, self.load.is_shared)
        self._connections = _Connections(config)
        vault = Vault(config.kek)
        states = StateStore(self._connections.states, vault)
        self.idempotent_requests = IdempotentRequests(states)
        self.background = BackgroundResponses(states, self.idempotent_requests)
        self.content_log = content_log(
            Setup(config.dsn, config.kek, config.database_wait_s, config.content_store)
        )
        self.authenticator = Authenticator(config.pepper, self._run_one)
        self.running = Running(self._run_one)
        self._shadows = ShadowTraffic()
        self.ledger = ledger_writer(
            self._connections.ledger,
            *_kept_files(config, self._connections.ledger),
            is_shared=self.load.is_shared,
            of_few=self._connections.of_few,
        )
        self.parts = Parts(
            loop=asyncio.get_running_loop(),
            config=config,
            ledger=self.ledger,
            upstreams=upstreams,
            health=Health(),
            large=LargeEvents(config.large_events_bytes_max),
            states=states,
            renew=self._renew,
            available_nano=self.available_nano,
            shadows=self._shadows,
            turns=self.turns,
            guard_calls=GuardCalls(vault, config.hook_networks),
        )
        self.refresher = Refresher(
            config, self._run_one, vault, self.authenticator, self.running, self.parts
        )
        self.readiness = Readiness(self.refresher, self._connections.ledger, self.ledger)
        self._health_sharing = HealthSharing(self.parts.health)
        self._tasks: list[asyncio.Task[None]] = []
        # Damaged records that were not yet reported to the operators.
        self._damaged: list[DamagedRecords] = []

    # ---- start and end

    async def start(self) -> None:
        """Open the connections and load the catalogue, as far as the database is available. Raises
        WrongSecret if it was created with other secrets.
        """
        await self._connections.open()
        await self.ledger.open_spool()
        await self.refresher.start()
        await self._exchange_reports()
        await self._apply_spend_caps()
        await self._measure()
        await self._exchange_shadows()
        read_vocabulary()
        self._tasks = [
            asyncio.create_task(self.refresher.poll()),
            asyncio.create_task(self.refresher.listen()),
            asyncio.create_task(self._keep_alive()),
            asyncio.create_task(self._write_uses_each()),
            asyncio.create_task(self._share_health()),
            asyncio.create_task(self.load.watch(self.ledger.serve_apart)),
        ]
        self.readiness.drain_at_sigterm(self.config.accept_while_draining_s)

    async def stop(self) -> None:
        """Let running requests finish, write every settlement, and close the connections."""
        self.readiness.draining = True
        loop = asyncio.get_running_loop()
        until = loop.time() + max(_CLOSE_WAIT_S, self.readiness.left_of(self.config.drain_s))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self.open_requests.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(_CLOSE_WAIT_S, until - loop.time())):
                await self.ledger.join()
                await self.parts.states.join()
                await self._write_uses()
                await self.content_log.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_WAIT_S):
                await self._write_counts()
        self.ledger.close_spool()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # A cancelled connection attempt keeps its socket as long as it is referenced, and the
        # server waits for the password on it.
        self._tasks.clear()
        with contextlib.suppress(DatabaseFailed):
            await self._shadows.stop(self._run_one)
        self.parts.upstreams.close()
        await self.parts.guard_calls.close()
        await self._connections.close()

    # ---- look-ups

    async def available_nano(
        self, principal: Principal, budget_ids: Iterable[int], taken: Taken = NOTHING_TAKEN
    ) -> int:
        """Return what a request under these budgets could hold now, including what its included
        units would pay. Raises DatabaseAway.
        """
        owner = principal.organisation_id
        rows = await self._run_one(
            admission.read_available(owner, budget_ids, taken.rows, taken.nano)
        )
        return int(rows[0][0] or 0) if rows else 0

    async def charges(
        self, principal: Principal, days: tuple[str, str] | None
    ) -> list[tuple[str, str, int]]:
        """Return the charges of the key as (day, model, nano), of all days if `days` is None."""
        rows = await self._run_one(key_charges(principal.organisation_id, principal.key_id, days))
        return [(day or "", model or "", int(nano or 0)) for day, model, nano in rows]

    async def count_request(self, principal: Principal) -> None:
        """Count a request that holds nothing for the limits on requests per minute. Raises
        LimitReached, DatabaseFailed."""
        if not principal.limited:
            return
        owner, key_id, user_id = principal.organisation_id, principal.key_id, principal.user_id
        *_, rows = await self._run(admission.count_request(owner, key_id, user_id))
        if rows:
            raise LimitReached(msgspec.json.decode(rows[0][0] or ""), self.config.public_url)

    async def use_token(self, principal: Principal, token: AuthTokenTerms) -> bool:
        """Count a use of an ephemeral token of the principal's key. Return False if it has none
        left. Raises DatabaseFailed.
        """
        return bool(
            await self._run_one(count_use(principal.key_id, token.id, token.uses, token.ends_at))
        )

    async def _renew(self, principal: Principal) -> Principal:
        """Read a principal again, because its budgets have changed; those of others may have
        changed too."""
        self.authenticator.clear()
        return await self.authenticator.principal_of_key(
            principal.key_id, self.refresher.snapshot.now(), principal.user_id
        )

    async def _run_one(self, statement: Statement) -> Sequence[Row]:
        return (await self._run([statement]))[0]

    async def _run(self, statements: Sequence[Statement]) -> Sequence[Sequence[Row]]:
        # An unfinished transaction costs its connection, which others wait for.
        running = asyncio.ensure_future(self._connections.look_ups.run(statements))
        return await asyncio.shield(running)

    # ---- periodic work

    async def _keep_alive(self) -> None:
        """Renew this process's lease, so that others do not resolve its holds, and alert the
        operators about what they must fix.
        """
        for tick in count():
            if tick % _LEASE_RENEW_TICKS == 0:
                await self.ledger.open_spool()
                self.ledger.renew()
            await self._publish_alerts()
            await next_tick(_ALERT_S)

    async def _write_uses_each(self) -> None:
        while True:
            await asyncio.sleep(self.config.last_uses_s)
            await self._write_uses()
            await self._write_counts()

    async def _write_uses(self) -> None:
        """Write which keys were used in this process since the last call."""
        waiting = LAST_USES.take()
        if not waiting:
            return
        try:
            await self._run_one(write_last_uses(waiting))
        except DatabaseFailed as error:
            LAST_USES.put_back(waiting)
            log.warning("the last uses of keys cannot be written: %s", error)

    async def _write_counts(self) -> None:
        """Write the number of requests that were refused because this process was too busy, and of
        those that are missing from the content log."""
        log = self.content_log
        await self._add_to_total("shed", self.load.take_refused(), self.load.put_back)
        await self._add_to_total("content_dropped", log.take_dropped(), log.count_dropped)

    async def _add_to_total(
        self, family: Family, number: int, put_back: Callable[[int], None]
    ) -> None:
        if number:
            try:
                await self._run_one(add_to_total(family, number))
            except DatabaseFailed:
                put_back(number)

    async def _share_health(self) -> None:
        """Share what this process knows about the channels, and read what others know: each second
        while there is something to report, otherwise every few seconds."""
        delivered = False
        for tick in count():
            if delivered or tick % QUIET_TICKS == 0 or self._health_sharing.report():
                delivered = await self._exchange_reports()
            await self._apply_spend_caps()
            await self._measure()
            await self._exchange_shadows()
            await self._health_sharing.reconnect(self.parts.upstreams, self.refresher.snapshot)
            await next_tick(TICK_S)

    async def _exchange_reports(self) -> bool:
        """Exchange reports with the other processes. Return whether another process has problems to
        report."""
        process_id, epoch = self._connections.ledger.process_id, self.refresher.snapshot.epoch
        if process_id is None or epoch < 0:
            return False
        reports = self._health_sharing.report()
        with contextlib.suppress(DatabaseFailed):
            rows = await self._run_one(report_statement(process_id, epoch, reports))
            for age_s, others in read_reports(rows):
                self._health_sharing.adopt(others, age_s, self.refresher.snapshot)
            return bool(rows)
        return False

    async def _apply_spend_caps(self) -> None:
        with contextlib.suppress(DatabaseFailed):
            await apply_spend_caps(self.parts.health, self.refresher.snapshot, self._run_one)

    async def _measure(self) -> None:
        with contextlib.suppress(DatabaseFailed):
            await self.parts.health.measures.refresh(self.refresher.snapshot, self._run_one)

    async def _exchange_shadows(self) -> None:
        with contextlib.suppress(DatabaseFailed):
            await self._shadows.exchange(self.refresher.snapshot, self._run_one)

    async def _report_damage(self) -> None:
        """Alert the operators about unreadable records."""
        records = self.ledger.take_damaged()
        if records:
            self._damaged.append(DamagedRecords(new_id(), records))
        try:
            while self._damaged:
                await self._run_one(damaged_statement(self._damaged[0]))
                self._damaged.pop(0)
        except DatabaseFailed as error:
            log.warning("operators cannot be told of damaged records: %s", error)

    async def _report_guards(self) -> None:
        """Tell owners about guards that fail while texts pass unchecked."""
        calls = self.parts.guard_calls
        if not (passed := calls.take_passed()):
            return
        try:
            await self._run([add_to_total("guards_passed", passed.total()), report_passed(passed)])
        except DatabaseFailed as error:
            calls.put_back(passed)
            log.warning("owners cannot be told of failing guards: %s", error)

    async def _publish_alerts(self) -> None:
        await self._report_damage()
        await self._report_guards()
        alerts = self.parts.health.alerts
        waiting = alerts.take()
        if not waiting:
            return
        try:
            await self._run_one(statement(waiting))
        except DatabaseFailed as error:
            alerts.put_back(waiting)
            log.warning("operators cannot be told: %s", error)


class _Connections:
    """The database connections of one process, one for each kind of work that must not wait for the
    others."""

    def __init__(self, config: RelayConfig) -> None:
        self.look_ups = PipelinedConnection(config.dsn, config.database_wait_s)
        self.ledger = PipelinedConnection(config.dsn, config.database_wait_s, new_id())
        # For organisations with few requests beside a crowd; opened for the first of them (P35).
        self.of_few = PipelinedConnection(
            config.dsn, config.database_wait_s, self.ledger.process_id
        )
        self.states = PipelinedConnection(config.dsn, config.database_wait_s)

    async def open(self) -> None:
        for connection in (self.look_ups, self.ledger, self.states):
            try:
                await connection.open()
            except DatabaseAway as error:
                log.warning("the database is away: %s", error)
                connection.open_later()

    async def close(self) -> None:
        for connection in (self.look_ups, self.ledger, self.of_few, self.states):
            await connection.close()


class OpenRequests:
    """Counts the running requests of the process."""

    def __init__(self) -> None:
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()

    def enter(self) -> None:
        """Register a request. The caller calls `leave` at the request's end in every case."""
        self._count += 1
        if self._count == 1:
            self._none.clear()

    def count(self) -> int:
        return self._count

    def leave(self) -> None:
        self._count -= 1
        if self._count == 0:
            self._none.set()

    async def wait(self) -> None:
        """Wait until no request is running."""
        await self._none.wait()


def _kept_files(
    config: RelayConfig, connection: PipelinedConnection
) -> tuple[Spool, Journal] | tuple[None, None]:
    """Return the files that keep a process's unwritten ledger entries when the process dies."""
    if config.spool_folder is None or connection.process_id is None:
        return None, None
    return (
        Spool(config.spool_folder, connection.process_id, config.spool_bytes_max),
        Journal(config.spool_folder, connection.process_id),
    )
