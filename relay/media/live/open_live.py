"""Open a Live session: the client's WebSocket is accepted, and its first event names the model."""

import asyncio
from functools import partial

import msgspec

from dialects.errors.errors import RequestFault
from dialects.streams import live
from lib.process.waiting import timeout
from relay.attempts.run import Run
from relay.endpoints.request import Request, read_headers
from relay.front.error_answers import STOPPING
from relay.media.live.attempt import LiveAttempt
from relay.media.live.operation import live_invocation
from relay.media.realtime.sink import STOPPING_EXTENSION, RealtimeSink
from relay.requests.sessions import realtime_session


async def open_live(request: Request) -> None:
    """Open a session and relay it to its end. Raises RequestFault."""
    sink = request.sink
    options = request.options_of(read_headers(request.scope["headers"], 0))
    if not isinstance(sink, RealtimeSink):
        raise RequestFault("malformed_json", None, "send Upgrade: websocket to open a session")
    if "model" in request.query:
        what = "the model of a Live session belongs in session.start, not in the query"
        raise RequestFault("invalid_value", "model", what)
    sink.write_error = live.error_event
    sink.listen(request.receive)
    stopping = request.scope.get("extensions", {}).get(STOPPING_EXTENSION) or asyncio.Event()
    await sink.open()
    raw = await _first_event(request, sink, stopping)
    if raw is None:
        await sink.refuse(STOPPING)
        return
    settings = live.read_start(raw)
    await request.refresh()
    options = msgspec.structs.replace(options, session=realtime_session(sink.request_id))
    context = request.make_context(live_invocation(request.invocation, settings.model), options)
    life = request.life
    attempt = partial(LiveAttempt, sink, lambda: life.snapshot, stopping, raw, settings)
    run = Run(context, attempt)
    life.running.enter(run, context.principal)
    try:
        await run.answer(b"{}")
    finally:
        life.running.leave(run)


async def _first_event(
    request: Request, sink: RealtimeSink, stopping: asyncio.Event
) -> bytes | None:
    """Return the client's first event; None if the process stops before it arrives. Raises
    RequestFault if it does not arrive in time, ClientLeft."""
    wait_s = request.life.config.body_wait_s
    waiters = [asyncio.create_task(sink.receive()), asyncio.create_task(stopping.wait())]
    receiving = waiters[0]
    try:
        async with timeout(wait_s):
            await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
    except TimeoutError:
        what = f"{live.START} did not arrive within {int(wait_s)} s; open another connection"
        raise RequestFault("request_timeout", None, what) from None
    finally:
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)
    if receiving.cancelled():
        return None
    text = receiving.result()
    if not isinstance(text, str):
        raise RequestFault(
            "invalid_value", "type", f"the first event must be {live.START}, in text"
        )
    return text.encode()
