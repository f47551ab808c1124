"""Open a Live connection: the client's WebSocket is accepted, and its first event names the
model."""

import asyncio
from functools import partial

import msgspec

from dialects.errors.errors import RequestFault
from dialects.realtime import live
from relay.attempts.run import Run
from relay.content_log.recorded_answer import handshake_notice
from relay.downstream.error_answers import STOPPING
from relay.front.request import Request
from relay.realtime.live.attempt import LiveAttempt
from relay.realtime.live.operation import live_invocation
from relay.realtime.live.stretches import FULL_STRETCH
from relay.realtime.open_connection import first_message, record_talk
from relay.realtime.sink import STOPPING_EXTENSION, RealtimeSink
from relay.requests.headers import read_headers
from relay.requests.sessions import session_of_connection


async def open_live(request: Request) -> None:
    """Open a connection and relay it to its end. Raises RequestFault."""
    sink = request.sink
    headers = read_headers(request.scope["headers"], 0)
    options = request.options_of(headers)
    if not isinstance(sink, RealtimeSink):
        raise RequestFault("malformed_json", None, "send Upgrade: websocket to open a session")
    if "model" in request.query:
        what = "the model of a Live session belongs in session.start, not in the query"
        raise RequestFault("invalid_value", "model", what)
    sink.write_error = live.error_event
    sink.listen(request.receive)
    stopping = request.scope.get("extensions", {}).get(STOPPING_EXTENSION) or asyncio.Event()
    if request.principal.log_rules:
        at = request.snapshot.now()
        sink.notice = handshake_notice(request.principal, at, stores=headers.stores)
    await sink.open()
    text = await first_message(request, sink, stopping, live.START)
    if text is None:
        await sink.refuse(STOPPING)
        return
    raw = text.encode()
    settings = live.read_start(raw)
    await request.refresh()
    options = msgspec.structs.replace(options, session=session_of_connection(sink.request_id))
    invocation = live_invocation(request.invocation, settings.model, FULL_STRETCH)
    context = request.make_context(invocation, options)
    life = request.life
    if sink.notice and request.principal.log_rules:
        record_talk(life, context, sink, stores=headers.stores)
    attempt = partial(LiveAttempt, sink, lambda: life.refresher.snapshot, stopping, raw, settings)
    run = Run(context, attempt)
    life.running.enter(run, context.principal)
    try:
        await run.answer(b"{}")
    finally:
        life.running.leave(run)
