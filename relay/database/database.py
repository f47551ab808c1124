"""One connection to Postgres that runs whole transactions in one round trip.

The hot path speaks to libpq directly (psycopg.pq): prepared statements, pipelined, results read
when the socket has them. A cursor per statement costs ten times the CPU of the statement itself.

    CLOSED --open--> IDLE --run--> BUSY --response--> IDLE
      IDLE, BUSY --connection lost, or timeout--> CLOSED (reopened in the background)

While it is closed, `run` fails immediately: an unavailable Postgres means 503 within milliseconds,
not a queue (docs/promises.md, "State when something is gone")."""

import asyncio
import contextlib
import logging
import random
import re
from collections.abc import Mapping, Sequence
from contextvars import Context
from uuid import UUID

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGconn, PGresult

from lib.ids import id_text, new_id
from lib.process.waiting import TimeLimit, timeout
from relay.errors import DatabaseAway, DatabaseRefused

log = logging.getLogger(__name__)

Statement = tuple[str, Mapping[str, object]]
Row = tuple[str | None, ...]

_PARAMETER = re.compile(r"%\((\w+)\)s")
_CONNECT_S = 2
_RETRY_S_MIN, _RETRY_S_MAX = 0.05, 1.0
_END_BACKEND = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = %s AND usename = current_user"""
# All our statements are look-ups by key. The planner would choose scans while the tables are empty,
# and keep that plan when they grow; a generic plan is the same for every batch.
SESSION = {
    "statement_timeout": "2000",
    "lock_timeout": "1000",
    "idle_in_transaction_session_timeout": "5000",
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}


class Prepared:
    """A statement with numbered placeholders, and the order of the parameters."""

    __slots__ = ("name", "names", "text")

    def __init__(self, number: int, text: str) -> None:
        self.names: list[str] = []

        def place(match: re.Match[str]) -> str:
            if match[1] not in self.names:
                self.names.append(match[1])
            return f"${self.names.index(match[1]) + 1}"

        self.text = _PARAMETER.sub(place, text).encode()
        self.name = b"s%d" % number


class _Statements:
    """The statements of a connection, and which of them the backend has prepared."""

    def __init__(self) -> None:
        self._of_text: dict[str, Prepared] = {}
        self._prepared: set[bytes] = set()

    def forget(self) -> None:
        """Record that the backend has no prepared statements, as after a new connection."""
        self._prepared.clear()

    def send(self, pgconn: PGconn, text: str, parameters: Mapping[str, object]) -> None:
        statement = self._of_text.get(text)
        if statement is None:
            statement = self._of_text[text] = Prepared(len(self._of_text), text)
        if statement.name not in self._prepared:
            pgconn.send_prepare(statement.name, statement.text)
            self._prepared.add(statement.name)
        values = map(parameters.__getitem__, statement.names)
        try:
            encoded = [None if value is None else str(value).encode() for value in values]
        except UnicodeEncodeError:
            # A half of a surrogate pair. To allow for it in each value takes twice as long.
            values = map(parameters.__getitem__, statement.names)
            encoded = [
                None if value is None else str(value).encode(errors="replace") for value in values
            ]
        pgconn.send_query_prepared(statement.name, encoded)


# The future of the running transaction, and its results so far.
_Pending = tuple["asyncio.Future[None]", list[PGresult]]


class PipelinedConnection:
    """One connection, which runs one transaction at a time. `process_id` owns the holds that are
    placed on it."""

    def __init__(self, dsn: str, wait_s: float, process_id: UUID | None = None) -> None:
        session = SESSION if process_id is None else {**SESSION, "weir.process": process_id}
        options = " ".join(f"-c {name}={value}" for name, value in session.items())
        self.process_id = process_id
        self._dsn = make_conninfo(
            dsn,
            options=options,
            connect_timeout=_CONNECT_S,
            # Refuse a standby, which could take no hold.
            target_session_attrs="read-write",
        )
        self._wait_s = wait_s
        self._connection: psycopg.AsyncConnection[object] | None = None
        self._pgconn: PGconn | None = None
        self._statements = _Statements()
        self._pending: _Pending | None = None
        self._lock = asyncio.Lock()
        self._reopening: asyncio.Task[None] | None = None
        self._closing = False
        self._fd = -1
        # The database's names of the backends that did not respond, and of the current one.
        self._backends: list[str] = []

    @property
    def usable(self) -> bool:
        """Whether the connection is open, so that a transaction can be tried."""
        return self._pgconn is not None

    async def open(self) -> None:
        """Connect. Raises DatabaseAway."""
        name = f"weir relay {id_text(new_id())}"
        dsn = make_conninfo(self._dsn, application_name=name)
        try:
            connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
            for unanswered in self._backends:
                # A backend that only hung could still commit our transaction after we have undone
                # it on this connection.
                await connection.execute(_END_BACKEND, [unanswered])
        except (psycopg.Error, OSError) as error:
            raise DatabaseAway(str(error)) from error
        self._backends = [name]
        if self._closing:
            await connection.close()
            return
        self._connection = connection
        self._pgconn = connection.pgconn
        self._pgconn.nonblocking = 1
        self._pgconn.enter_pipeline_mode()
        self._statements.forget()
        self._fd = self._pgconn.socket
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def open_later(self) -> None:
        """Try to connect again and again until that succeeds."""
        if self._reopening is None and not self._closing:
            self._reopening = asyncio.create_task(self._reopen(), context=Context())

    async def close(self) -> None:
        self._closing = True
        if self._reopening is not None:
            self._reopening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reopening
        self._lose("closing")

    async def run(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Run statements as one transaction; return the rows of each, as texts. Raises
        DatabaseRefused if a statement failed, DatabaseAway if no response came: the transaction may
        or may not have been committed then. It takes at most the time limit, and after a failed
        statement twice that."""
        await self._lock.acquire()
        try:
            pgconn = self._pgconn
            if pgconn is None:
                raise DatabaseAway("no connection to the database")
            try:
                results = await self._exchange(pgconn, statements)
                failed = _failure(results)
                if failed is not None:
                    # Forget the prepared statements, because it is unknown which were prepared
                    # before the failure.
                    self._statements.forget()
                    await self._exchange(pgconn, [("DEALLOCATE ALL", {})])
                    self._statements.forget()
                    raise failed
            except TimeoutError as error:
                self._lose("no answer in time")
                raise DatabaseAway("the database gave no answer in time") from error
            except (psycopg.Error, OSError) as error:
                self._lose(str(error))
                raise DatabaseAway(str(error)) from error
            except asyncio.CancelledError:
                self._lose("left while waiting")
                raise
        finally:
            self._lock.release()
        return [_read_rows(result) for result in results]

    async def _exchange(self, pgconn: PGconn, statements: Sequence[Statement]) -> list[PGresult]:
        """Send the statements before one sync message, which makes them one transaction without
        BEGIN and COMMIT, and return the results. Raises TimeoutError."""
        results: list[PGresult] = []
        answer = asyncio.get_running_loop().create_future()
        # The response may arrive, and complete the future, before the last bytes are reported as
        # written.
        self._pending = answer, results
        for text, parameters in statements:
            self._statements.send(pgconn, text, parameters)
        pgconn.pipeline_sync()
        if pgconn.flush():
            async with timeout(self._wait_s):
                await self._flush(pgconn)
                await answer
            return results
        # The database works meanwhile.
        limit = TimeLimit(answer, self._wait_s)
        try:
            await answer
        finally:
            limit.stop()
        return results

    async def _flush(self, pgconn: PGconn) -> None:
        """Write what the socket did not accept immediately, and read responses in the meantime."""
        loop = asyncio.get_running_loop()
        while pgconn.flush():
            writable = loop.create_future()
            loop.add_writer(self._fd, _wake, writable)
            try:
                await writable
            finally:
                loop.remove_writer(self._fd)

    def _read(self) -> None:
        """Read the results that have arrived. Called when the socket is readable."""
        pgconn, pending = self._pgconn, self._pending
        if pgconn is None:
            return
        try:
            pgconn.consume_input()
            if pending is None:
                # What arrived is no response, but a notice or the end of the connection
                # (consume_input raises).
                return
            answer, results = pending
            while not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    continue
                if result.status == pq.ExecStatus.PIPELINE_SYNC:
                    self._pending = None
                    if not answer.done():
                        answer.set_result(None)
                    return
                if result.status != pq.ExecStatus.COMMAND_OK or result.command_status:
                    results.append(result)
        except (psycopg.Error, OSError) as error:
            self._lose(str(error))

    def _lose(self, why: str) -> None:
        """Close the connection, and fail a waiting transaction."""
        if self._pgconn is None:
            return
        if not self._closing:
            log.warning("the connection to the database was lost: %s", why)
        asyncio.get_running_loop().remove_reader(self._fd)
        self._pgconn.finish()
        self._pgconn = self._connection = None
        pending, self._pending = self._pending, None
        if pending is None:
            self._backends.pop()
        elif not pending[0].done():
            pending[0].set_exception(psycopg.OperationalError(why))
        self.open_later()

    async def _reopen(self) -> None:
        wait_s = _RETRY_S_MIN
        while True:
            try:
                await self.open()
            except DatabaseAway:
                await asyncio.sleep(wait_s * random.uniform(0.5, 1))
                wait_s = min(wait_s * 2, _RETRY_S_MAX)
            else:
                self._reopening = None
                return


def hex_of(content: bytes) -> str:
    """Encode bytes as hexadecimal text, which a statement takes as a parameter."""
    return "\\x" + content.hex()


def bytes_of(value: str | None) -> bytes:
    """Decode bytes from a hexadecimal column."""
    return bytes.fromhex((value or "\\x")[2:])


def _wake(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


def _failure(results: Sequence[PGresult]) -> DatabaseRefused | None:
    for result in results:
        if result.status == pq.ExecStatus.FATAL_ERROR:
            state = result.error_field(pq.DiagnosticField.SQLSTATE) or b""
            message = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b""
            return DatabaseRefused(state.decode(), message.decode(errors="replace"))
    return None


def _read_rows(result: PGresult) -> list[Row]:
    if result.status != pq.ExecStatus.TUPLES_OK:
        return []
    columns, value_of, rows = range(result.nfields), result.get_value, list[Row]()
    for row in range(result.ntuples):
        values = list[str | None]()
        for column in columns:
            value = value_of(row, column)
            values.append(None if value is None else value.decode())
        rows.append(tuple(values))
    return rows
