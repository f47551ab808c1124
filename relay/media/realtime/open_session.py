"""Realtime sessions from their first event to their last, for clients and for our own pages."""

import asyncio
from functools import partial

import msgspec

from dialects.errors.errors import RequestFault
from lib.process.asgi import Scope
from relay.attempts.run import Run
from relay.endpoints.request import Request, read_headers
from relay.lifespan import Lifespan
from relay.media.realtime.attempt import RealtimeAttempt
from relay.media.realtime.operation import session_invocation
from relay.media.realtime.sink import STOPPING_EXTENSION, RealtimeSink
from relay.requests.context import RequestContext
from relay.requests.sessions import realtime_session


async def open_session(request: Request) -> None:
    """Open a session and run it to its end. Raises RequestFault."""
    sink = request.sink
    options = request.options_of(read_headers(request.scope["headers"], 0))
    if not isinstance(sink, RealtimeSink):
        raise RequestFault("malformed_json", None, "send Upgrade: websocket to open a session")
    invocation = session_invocation(request.invocation, request.snapshot, request.scope)
    options = msgspec.structs.replace(options, session=realtime_session(sink.request_id))
    sink.listen(request.receive)
    await run_session(request.life, request.make_context(invocation, options), sink, request.scope)


async def run_session(
    life: Lifespan, context: RequestContext, sink: RealtimeSink, scope: Scope
) -> None:
    """Open a session at a channel and run it to its end."""
    stopping = scope.get("extensions", {}).get(STOPPING_EXTENSION) or asyncio.Event()
    run = Run(context, partial(RealtimeAttempt, sink, lambda: life.snapshot, stopping))
    life.running.enter(run, context.principal)
    try:
        await run.answer(b"{}")
    finally:
        life.running.leave(run)
