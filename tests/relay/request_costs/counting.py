"""The hub that counts what it does, for `Hub(application=…)`: `GET /_counts` answers what its event
loop has done since it was last asked, as JSON; `GET /_counts/opcodes` counts opcodes from then on,
in the tasks of requests alone, which is too slow to be done beside the rest.

A stream is marked for its length alone, not for its age: that is up to the machine."""

import json
import sys
from collections import Counter
from contextvars import ContextVar
from types import FrameType
from typing import Any

from lib.process.asgi import Receive, Scope, Send
from relay.database import database
from relay.ledger import queue as ledger_queue
from tests.support.from_source import application as product

vars(ledger_queue)["_CHECK_S"] = 3600.0
# What the writer of the ledger calls once for each statement, and once for each transaction.
_WRITES = {
    database._Statements.send.__code__: "statements",
    database._failure.__code__: "transactions",
}
_counts: Counter[str] = Counter()
_opcodes = False
# Whether what runs is the task of a request. Tracing opcodes slows the hub so much that timers run
# beside each request.
_asked: ContextVar[bool] = ContextVar("asked", default=False)


def _count(frame: FrameType, event: str, argument: Any) -> None:
    if event == "call":
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
