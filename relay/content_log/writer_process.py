"""The process that writes the content log of one web process.

    python -m relay.content_log.writer_process

Its standard input is a socket to the web process, which sends all it needs. It ends when the web
process does, having written what waits, and when no entry has come for a while. Signals to stop do
not end it: they are sent to all processes of an installation at once, and the web process still
hands over what it has.
"""

import asyncio
import gc
import logging
import signal
import socket
import sys

from lib.network.store_address import make_store
from lib.vault import Vault
from relay.content_log.entry import (
    Connection,
    Ended,
    Line,
    Ready,
    Setup,
    frame,
    read_for_writer,
)
from relay.content_log.entry_writer import Describe, EntryWriter
from relay.database.database import PipelinedConnection

log = logging.getLogger(__name__)


def main(describe: Describe | None = None) -> None:
    """Run until the work is done. Exits with 1 after a defect, which is logged."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # What is loaded lives as long as the process.
    gc.freeze()
    sys.exit(asyncio.run(_serve(describe)))


async def _serve(describe: Describe | None) -> int:
    arrival: asyncio.Future[Setup] = asyncio.get_running_loop().create_future()
    writer: EntryWriter | None = None
    ended = False

    def receive(raw: bytes) -> None:
        message = read_for_writer(raw)
        if isinstance(message, Setup):
            arrival.set_result(message)
        elif writer is not None:
            writer.add(message)

    def stop() -> None:
        nonlocal ended
        ended = True
        if writer is not None:
            writer.stop()
        elif not arrival.done():
            arrival.cancel()

    connection = Connection(receive, stop)
    await asyncio.get_running_loop().connect_accepted_socket(
        lambda: connection, socket.socket(fileno=sys.stdin.fileno())
    )
    root = logging.getLogger()
    root.addHandler(_LogOfWebProcess(connection))
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        setup = await arrival
    except asyncio.CancelledError:
        return 0
    database = PipelinedConnection(setup.dsn, setup.database_wait_s)
    store = make_store(setup.store) if setup.store else None

    def report(over: Ended) -> None:
        connection.send(frame(over))

    writer = EntryWriter(database, Vault(setup.kek), report, store, describe)
    if ended:
        writer.stop()
    connection.send(frame(Ready()))
    code = 0
    try:
        await writer.run()
    except Exception:
        log.exception("the content log's writer failed by a defect")
        code = 1
    connection.close()
    await connection.closed.wait()
    return code


class _LogOfWebProcess(logging.Handler):
    """Sends lines to the web process, which writes all of them. If that is gone, they are written
    here."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if self._connection.closed.is_set():
            sys.stderr.write(f"{record.levelname} {record.name}: {text}\n")
        else:
            self._connection.send(frame(Line(record.levelno, record.name, text)))


if __name__ == "__main__":
    main()
