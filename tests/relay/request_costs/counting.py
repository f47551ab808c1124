"""The hub that counts what it does, for `Hub(application=…)`: `GET /_counts` answers what its event
loop has done since it was last asked, as JSON; `GET /_counts/opcodes` counts opcodes from then on,
in the tasks of requests alone, which is too slow to be done beside the rest. `GET /_counts/writes`
settles what waits first, and adds what has been written to the database.

A stream is marked for its length alone, not for its age: that is up to the machine. What the
process does by the clock is not counted either: a slow machine does more of it beside each request.
"""

import json
import sys
from collections import Counter
from contextvars import ContextVar
from types import FrameType
from typing import Any

from uvicorn import Server

from config.jobs import sweeping
from lib.process.asgi import Receive, Scope, Send
from relay import asgi
from relay.database import database
from relay.front import lifespan
from relay.front.refresher import Refresher
from relay.ledger import batching
from relay.ledger.writer import LedgerWriter
from tests.support.from_source import application as product

vars(batching)["_CHECK_S"] = 3600.0
# What the writer of the ledger calls once for each statement, and once for each transaction.
_WRITES = {
    database._Statements.send.__code__: "statements",
    database._failure.__code__: "transactions",
}
# What runs by the clock, and whatever it calls.
_BY_THE_CLOCK = {
    one.__code__
    for one in (
        Server.serve, sweeping.LoopLag.measure_for_ever, Refresher.poll,
        lifespan.Lifespan._keep_alive, lifespan.Lifespan._share_health,
        lifespan.Lifespan._write_uses_each,
    )
}  # fmt: skip
# Rows of all tables; log of the ledger's backend alone, because one of other connections does not
# tell what it has written before a second has passed.
_WRITTEN = """
    SELECT (SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables),
           (SELECT wal_bytes FROM pg_stat_get_backend_wal(pg_backend_pid()))"""
_counts: Counter[str] = Counter()
_ledgers: list["_Ledger"] = []
_opcodes = False
# What runs by the clock just now.
_beside: FrameType | None = None
# Whether what runs is the task of a request. Tracing opcodes slows the hub so much that timers run
# beside each request.
_asked: ContextVar[bool] = ContextVar("asked", default=False)


class _Ledger(LedgerWriter):
    """The writer of the ledger, which counts what it has written."""

    _before: Counter[str] = Counter()

    def __init__(self, *parts: Any, **more: Any) -> None:
        super().__init__(*parts, **more)
        _ledgers.append(self)

    async def count_written(self) -> None:
        """Write all that waits, and count the rows and the log since the last count."""
        await self.join()
        sys.setprofile(None)
        # A backend tells what it has done once a second, or when it is asked to.
        await self._connection.run([("SELECT pg_stat_force_next_flush()", {})])
        (((rows, wal_bytes),),) = await self._connection.run([(_WRITTEN, {})])
        written = Counter(rows=int(rows or 0), wal_bytes=int(wal_bytes or 0))
        _counts.update(written - self._before)
        self._before = written


vars(asgi)["LedgerWriter"] = _Ledger


def _count(frame: FrameType, event: str, argument: Any) -> None:
    global _beside
    if _beside is not None:
        if event == "return" and frame is _beside:
            _beside = None
    elif event == "call" and frame.f_code in _BY_THE_CLOCK:
        _beside = frame
    elif event == "call":
        # A coroutine that goes on is entered again.
        _counts["functions"] += 1
        if (write := _WRITES.get(frame.f_code)) is not None:
            _counts[write] += 1
    elif event == "c_call":
        _counts["c_calls"] += 1


def _trace(frame: FrameType, event: str, argument: Any) -> Any:
    if not _asked.get():
        return None
    frame.f_trace_opcodes = True
    frame.f_trace_lines = False
    if event == "opcode":
        _counts["opcodes"] += 1
    return _trace


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    global _opcodes
    if scope["type"] != "http" or not scope["path"].startswith("/_counts"):
        _asked.set(True)
        await product(scope, receive, send)
        return
    if scope["path"] == "/_counts/writes":
        (ledger,) = _ledgers
        await ledger.count_written()
    sys.setprofile(None)
    sys.settrace(None)
    _opcodes = scope["path"] == "/_counts/opcodes"
    body = json.dumps(_counts).encode()
    _counts.clear()
    fields = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})
    if _opcodes:
        sys.settrace(_trace)
    else:
        sys.setprofile(_count)
