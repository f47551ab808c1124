"""Realtime connections from their first event to their last, for clients and for our own pages."""

import asyncio
from functools import partial

import msgspec

from accounts.limits.data_policy import combine_policies
from content.rules.rules import may_keep
from dialects.errors.errors import RequestFault
from dialects.realtime.fixed_settings import FixedSettings
from lib.process.asgi import Scope
from lib.process.waiting import timeout
from relay.attempts.run import Run
from relay.content_log.recorded_answer import handshake_notice
from relay.content_log.recorded_talk import RecordedTalk
from relay.context.context import RequestContext
from relay.credentials.client_secrets import ClientSecret
from relay.front.lifespan import Lifespan
from relay.front.request import Request
from relay.realtime.attempt import RealtimeAttempt
from relay.realtime.operation import connection_invocation
from relay.realtime.sink import STOPPING_EXTENSION, RealtimeSink
from relay.requests.headers import read_headers
from relay.requests.labels import LABELS_HEADER, NO_LABELS
from relay.requests.options import RequestOptions
from relay.requests.sessions import session_of_connection


async def open_connection(request: Request) -> None:
    """Open a connection and relay it to its end. Raises RequestFault."""
    sink = request.sink
    headers = read_headers(request.scope["headers"], 0)
    options = request.options_of(headers)
    if not isinstance(sink, RealtimeSink):
        raise RequestFault("malformed_json", None, "send Upgrade: websocket to open a session")
    secret = request.client_secret
    invocation = connection_invocation(request.invocation, request.snapshot, request.scope, secret)
    fixed = None
    if secret is not None:
        options = options_within(secret, options)
        fixed = FixedSettings(secret.session)
    options = msgspec.structs.replace(options, session=session_of_connection(sink.request_id))
    sink.listen(request.receive)
    context = request.make_context(invocation, options)
    if request.principal.log_rules:
        at = request.snapshot.now()
        sink.notice = handshake_notice(request.principal, at, stores=headers.stores)
        record_talk(request.life, context, sink, stores=headers.stores)
    await run_connection(request.life, context, sink, request.scope, fixed)


def record_talk(
    life: Lifespan, context: RequestContext, sink: RealtimeSink, *, stores: bool
) -> None:
    """Record what is said on a connection, if something of it may be kept. `stores` is False if a
    header asks to leave it out."""
    at = context.snapshot.now()
    if not may_keep(context.principal.log_rules, opted_out=not stores, at=at, failed=True):
        return
    sink.talk = RecordedTalk(
        context, life.content_log, lambda: life.refresher.snapshot, stores=stores
    )


def options_within(secret: ClientSecret, options: RequestOptions) -> RequestOptions:
    """Return the options of a connection within those of its client secret. Raises RequestFault for
    other labels.
    """
    labels = options.labels
    if secret.labels != NO_LABELS:
        labels = secret.labels
        if options.labels not in (NO_LABELS, labels):
            what = "the client secret has other labels, which cannot be changed"
            raise RequestFault("invalid_value", LABELS_HEADER, what)
    return msgspec.structs.replace(
        options,
        labels=labels,
        data_policy=combine_policies((secret.data_policy, options.data_policy)),
        max_cost_nano=_lower(secret.max_cost_nano, options.max_cost_nano),
        session_cap_nano=_lower(secret.session_cap_nano, options.session_cap_nano),
    )


def _lower(one: int | None, other: int | None) -> int | None:
    return min((nano for nano in (one, other) if nano is not None), default=None)


async def run_connection(
    life: Lifespan,
    context: RequestContext,
    sink: RealtimeSink,
    scope: Scope,
    fixed: FixedSettings | None = None,
) -> None:
    """Open a connection at a channel and run it to its end; `fixed` are the settings that its
    client may not change.
    """
    stopping = scope.get("extensions", {}).get(STOPPING_EXTENSION) or asyncio.Event()
    run = Run(
        context, partial(RealtimeAttempt, sink, lambda: life.refresher.snapshot, stopping, fixed)
    )
    life.running.enter(run, context.principal)
    try:
        await run.answer(b"{}")
    finally:
        life.running.leave(run)


async def first_message(
    request: Request, sink: RealtimeSink, stopping: asyncio.Event, name: str
) -> str | None:
    """Return the first message of an open socket, which has this name; None if the process stops
    before it. Raises RequestFault for one that is not text, or if there is none in time,
    ClientLeft.
    """
    wait_s = request.life.config.body_wait_s
    waiters = [asyncio.create_task(sink.receive()), asyncio.create_task(stopping.wait())]
    receiving = waiters[0]
    try:
        async with timeout(wait_s):
            await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
    except TimeoutError:
        what = f"{name} did not arrive within {int(wait_s)} s; open another connection"
        raise RequestFault("request_timeout", None, what) from None
    finally:
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)
    if receiving.cancelled():
        return None
    text = receiving.result()
    if not isinstance(text, str):
        raise RequestFault("invalid_value", "type", f"the first event must be {name}, in text")
    return text
