"""The hub with failpoints at the named steps of the life of an attempt (docs/promises.md, "Life
of an attempt").

A request is struck once, at the step and in the way that its header `x-failpoint: <mode> <point>`
says; what struck stands in the log as `failpoint: <mode> <point>`.

    kill     the process is gone, as by `kill -9`
    raise    an exception that nobody expects
    freeze   the process stands still until somebody lets it go on (SIGCONT)

`GET /_joined` answers when everything that was to be written is written, and that the process lives
where it was taken for dead. Only tests start this; the product has nothing of it.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from inspect import iscoroutinefunction
from types import ModuleType
from typing import Any

from lib.process.asgi import Receive, Scope, Send
from relay.answers import whole_answer
from relay.answers.answer_cache import AnswerCache
from relay.answers.stream import StreamRelay
from relay.answers.whole_answer import WholeRelay
from relay.attempts.cached_run import CachedRun
from relay.attempts.request_reader import RequestReader
from relay.credentials.keys import Authenticator
from relay.downstream import http_sink
from relay.ledger import writer as ledger_writer
from relay.ledger.admission import AdmissionRequest, Verdict
from relay.ledger.settlement import AnySettlement, Settlement
from relay.ledger.transaction import BatchWriter
from relay.metering.usage_meter import UsageMeter
from relay.upstream.http1 import Connection, State
from relay.upstream.upstream import Upstreams


class Defect(Exception):
    """What nobody expects."""


class _Armed:
    mode = ""
    point = ""


def reach(point: str) -> None:
    """The life of an attempt is here: strike, if the request is to be struck here."""
    if point != _Armed.point:
        return
    _Armed.point = ""
    sys.stderr.write(f"failpoint: {_Armed.mode} {point}\n")
    sys.stderr.flush()
    if _Armed.mode == "raise":
        raise Defect(point)
    os.kill(os.getpid(), signal.SIGKILL if _Armed.mode == "kill" else signal.SIGSTOP)


class FailingBatchWriter(BatchWriter):
    """The points that are commits: what stands before and behind one."""

    async def _commit(
        self, requests: Sequence[AdmissionRequest], settlements: Sequence[AnySettlement]
    ) -> Sequence[Verdict]:
        ended = any(type(item) is Settlement for item in settlements)
        marked = bool(self._marks.waiting)
        if ended:
            reach("settling")
        verdicts = await super()._commit(requests, settlements)
        if any(verdict.word == "admitted" for verdict in verdicts):
            reach("admitted")
        if marked:
            reach("high-water-mark")
        if ended:
            reach("settled")
        return verdicts


def _behind(
    owner: type | ModuleType, name: str, point: str, holds: Callable[..., bool] = lambda **_: True
) -> None:
    """Reach the point whenever this method has returned, if it was called so."""
    method = getattr(owner, name)

    @wraps(method)
    async def later(*args: Any, **named: Any) -> Any:
        result = await method(*args, **named)
        if holds(**named):
            reach(point)
        return result

    @wraps(method)
    def at_once(*args: Any, **named: Any) -> Any:
        result = method(*args, **named)
        reach(point)
        return result

    setattr(owner, name, later if iscoroutinefunction(method) else at_once)


_wait = Connection._wait


def _unanswered(connection: Connection) -> bool:
    return connection._response.state in (State.AWAITING, State.HEADERS)


async def _wait_once_written(connection: Connection) -> None:
    """The request is written when the event loop has come by again."""
    if _Armed.point == "dispatched" and _unanswered(connection):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reach("dispatched")
        if not _unanswered(connection):
            return
    await _wait(connection)


vars(ledger_writer)["BatchWriter"] = FailingBatchWriter
_behind(Authenticator, "principal", "authenticated")
_behind(RequestReader, "read_facts", "parsed")
_behind(Upstreams, "post", "upstream-headers")
_behind(StreamRelay, "_commit", "first-content")
_behind(WholeRelay, "_body", "first-content")
_behind(whole_answer, "begin_task", "task-begun")
_behind(UsageMeter, "bill", "terminal-usage")
_behind(http_sink.HttpSink, "answer", "client-finished")
_behind(http_sink.HttpSink, "write", "client-finished", lambda *, last: last)
_behind(AnswerCache, "find", "looked-up")
_behind(AnswerCache, "storing", "sealed")
_behind(AnswerCache, "store", "stored")
_behind(CachedRun, "_settle_hit", "noted")
_behind(http_sink.HttpSink, "begin", "begun")
Connection._wait = _wait_once_written  # type: ignore[assignment, method-assign]

# It makes the relay when it is imported.
from config.asgi import application as product  # noqa: E402
from config.asgi import relay  # noqa: E402


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        if scope["path"] == "/_joined":
            ledger = relay._require_lifespan().ledger
            ledger.renew()
            await ledger.join()
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        response = dict(scope["headers"]).get(b"x-failpoint")
        if response is not None:
            _Armed.mode, _Armed.point = response.decode().split(" ")
            reach("received")
    await product(scope, receive, send)
