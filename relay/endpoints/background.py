"""Responses and interactions that run in the background: the POST that creates one with
`background: true`, and its stream by its id.

    POST     admit --> answer with the queued response, or follow its stream
                  \\-> Run, in a task of its own, which the client's leaving does not end
    GET      its stream from any event on, from any process (`relay/answers/background.py`)
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import msgspec

from dialects.chat.turns import derive_id
from dialects.errors.errors import RequestFault
from dialects.json.body import Body, read_body
from dialects.json.raw_json import as_text, value_of
from dialects.streams import background
from lib.ids import id_text
from lib.process.log_context import REQUEST_ID
from lib.process.waiting import timeout
from relay.answers.background import AGAIN_S, BackgroundAnswer, BackgroundSink, read_events
from relay.answers.idempotency import IdempotentRequest
from relay.attempts.attempt import Attempt
from relay.attempts.run import Run
from relay.content_log.recorded_answer import RecordedAnswer
from relay.context.context import RequestContext, context_of_task
from relay.context.records import record_refusal
from relay.credentials.keys import Principal
from relay.downstream.downstream import Head, KeepAlive, Sink
from relay.downstream.error_answers import INTERNAL, STOPPING, answer_to
from relay.errors import DatabaseFailed
from relay.front.request import Request, watch_client
from relay.health.channel_health import HealthProbe
from relay.holds.admitted_attempt import AdmittedAttempt
from relay.requests.headers import RequestHeaders
from relay.states.background_forms import BACKGROUND_KINDS, BackgroundKind
from relay.states.state_store import StateStore
from relay.states.stored_response import forget_response

log = logging.getLogger(__name__)

_STREAM_FIELDS: Final = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
_JSON: Final = "application/json"
_FROM_START: Final = -1
_NOT_STORED: Final = "background: true needs a stored response, and store is false"
_NOTHING_STORED: Final = (
    "background: true cannot be used: no responses are stored for this key (its organisation's "
    "retention is 0, or the key stores no content); request a stream instead"
)


def background_body(raw: bytes) -> Body | None:
    """Return the body of a response that is asked to run in the background, None for any other."""
    # Few bodies have the word, so that others are not read twice.
    if b'"background"' not in raw:
        return None
    try:
        body = read_body(raw)
    except RequestFault:
        # Its run refuses it.
        return None
    return body if background.asks_for_background(body) else None


async def answer_in_background(
    request: Request, context: RequestContext, body: Body, headers: RequestHeaders
) -> None:
    """Answer a request that asks to run in the background. Raises RequestFault, DatabaseFailed."""
    stores = headers.stores
    if headers.idempotency_key is None:
        client = _Client()
        with _watching(request, client.leave):
            follower = _Follower(request.sink, lambda: not client.gone, client.leave)
            await _start(request, context, body, follower, stores=stores)
        return
    store, sink = request.life.idempotent_requests, request.sink
    idempotent = IdempotentRequest(store, context, sink, headers.idempotency_key, body.raw)
    try:
        with _watching(request, idempotent.leave):
            if await idempotent.claim():
                # What is stored for a repetition does not end with the client.
                follower = _Follower(idempotent, lambda: True, idempotent.leave)
                await _start(request, context, body, follower, stores=stores)
    finally:
        await idempotent.close()


async def follow_response(request: Request, kind: BackgroundKind, id: str, after: int) -> None:
    """Answer with the events of a response whose number is above `after`. Raises
    DatabaseFailed."""
    client = _Client()
    with _watching(request, client.leave):
        await request.sink.begin_bytes(200, _STREAM_FIELDS)
        follower = _Follower(request.sink, lambda: not client.gone, client.leave)
        await _follow(request, kind, id, after, follower)


class _Client:
    """Whether the client of a request has left."""

    def __init__(self) -> None:
        self.gone = False

    def leave(self) -> None:
        self.gone = True


class _Follower(NamedTuple):
    """Who receives the events of a response: as long as they are `wanted`, or until a client that
    reads nothing has to `leave`."""

    sink: Sink
    wanted: Callable[[], bool]
    leave: Callable[[], None]

    async def write(self, raw: bytes, stall_s: float, *, last: bool = False) -> None:
        """Write more, and let a client leave that has taken nothing for `stall_s`."""
        try:
            async with timeout(stall_s):
                await self.sink.write(raw, last=last)
        except TimeoutError:
            self.leave()


@contextmanager
def _watching(request: Request, leave: Callable[[], None]) -> Iterator[None]:
    watch = watch_client(request, leave)
    try:
        yield
    finally:
        if watch is not None:
            watch.stop()


async def _start(
    request: Request, context: RequestContext, body: Body, follower: _Follower, *, stores: bool
) -> None:
    """Start the run, and answer the client as soon as it is admitted. `stores` is False if the
    content log leaves it out. Raises DatabaseFailed."""
    client = follower.sink
    fault = _refusal(request, body)
    if fault is not None:
        error = answer_to(fault)
        record_refusal(context, error, as_text(value_of(body.value("model"))), stream=False)
        await client.refuse(error)
        return
    life, principal = request.life, request.principal
    kind = BACKGROUND_KINDS[context.invocation.operation]
    id = derive_id(kind.id_prefix, id_text(context.request_id))
    queued = kind.form.queued_response(body, id, int(time.time()))
    events = kind.form.open_events(body, id, queued)
    answer = BackgroundAnswer(life.parts.states, principal, id, context.request_id)
    await answer.begin(queued, events.begin())
    sink = BackgroundSink(answer, events)
    life.background.start(_run(request, context, body, id, answer, sink, stores=stores))
    try:
        # The run goes on if the client leaves.
        head = await asyncio.shield(sink.admitted)
        if not isinstance(head, Head):
            await client.refuse(head)
            return
        # It is listed from the moment on at which the client knows the response.
        await answer.keep_input(sink.take_input())
        if body.value("stream") == b"true":
            await client.begin(head)
            await _follow(request, kind, id, _FROM_START, follower)
        else:
            head = msgspec.structs.replace(head, content_type=_JSON)
            if isinstance(client, IdempotentRequest):
                await client.keep_answer(head, queued)
            await client.answer(head, queued)
    except BaseException:
        # What was not answered to its end is not repeated, and the run does not begin once more.
        await client.cut()
        raise


async def _follow(
    request: Request, kind: BackgroundKind, id: str, after: int, follower: _Follower
) -> None:
    """Send the events of a stored response as they come. Raises DatabaseFailed."""
    life, ping = request.life, request.invocation.codec.ping
    stall_s, wanted = life.config.write_stall_s, follower.wanted
    keep_alive = KeepAlive(lambda: follower.write(ping, stall_s), life.config.keep_alive_s)
    try:
        async for events in read_events(
            kind.form, life.parts.states, request.principal, id, after, wanted
        ):
            keep_alive.heard_at = life.parts.loop.time()
            await follower.write(events, stall_s)
    finally:
        keep_alive.stop()
    if wanted():
        await follower.write(b"", stall_s, last=True)


def _refusal(request: Request, body: Body) -> RequestFault | None:
    """Return why a request cannot run in the background, None if it can."""
    if not request.principal.retention_hours:
        return RequestFault("unsupported_capability", "background", _NOTHING_STORED)
    if body.value("store") == b"false":
        return RequestFault("unsupported_capability", "store", _NOT_STORED)
    return None


async def _run(
    request: Request,
    outer: RequestContext,
    body: Body,
    id: str,
    answer: BackgroundAnswer,
    sink: BackgroundSink,
    *,
    stores: bool,
) -> None:
    """Answer the request into its stored response. Whatever happens, the response ends."""
    life, principal = request.life, outer.principal
    REQUEST_ID.set(outer.request_id)
    # A context belongs to the task that creates it.
    context = context_of_task(
        life.parts,
        outer.snapshot,
        principal,
        sink,
        outer.invocation,
        source=outer.source,
        request_id=outer.request_id,
        options=outer.options,
        began=outer.began,
        response_id=id,
    )
    context.downstream.record(sink)

    def admit(context: RequestContext, admitted: AdmittedAttempt, probe: HealthProbe) -> Attempt:
        continuation = admitted.continuation
        items = () if continuation is None else continuation.input_items()
        head = admitted.head(context, None)
        sink.admit(head if recorded is None else recorded.announced(head), items)
        return Attempt(context, admitted, probe)

    run, error = Run(context, admit), INTERNAL
    sink.stop = run.leave
    recorded: RecordedAnswer | None = None
    if principal.log_rules:
        recorded = RecordedAnswer(sink, context, life.content_log, body.raw, run, stores=stores)
    life.open_requests.enter()
    life.load.count(principal)
    life.running.enter(run, principal)
    life.background.enter(answer, run.leave)
    try:
        outcome = await run.answer(background.request_body(body))
        if recorded is not None:
            await recorded.end(outcome)
    except asyncio.CancelledError:
        error = STOPPING
        raise
    except Exception:
        log.exception("request %s failed by a defect", id_text(context.request_id))
    finally:
        life.running.leave(run)
        try:
            await sink.close(error)
            if not sink.counted:
                # It was cancelled or deleted, and its provider has finished it all the same.
                kind = BACKGROUND_KINDS[context.invocation.operation]
                await _forget(life.parts.states, principal, id, kind)
        finally:
            life.background.leave(answer)
            life.load.leave(principal)
            life.open_requests.leave()


async def _forget(states: StateStore, principal: Principal, id: str, kind: BackgroundKind) -> None:
    """Delete what a later request would continue; wait for a database that is away."""
    while True:
        try:
            await forget_response(states, principal, id, kind.kept_as)
        except DatabaseFailed as error:
            log.warning("a cancelled response is not forgotten: %s", error)
            await asyncio.sleep(AGAIN_S)
        else:
            return
