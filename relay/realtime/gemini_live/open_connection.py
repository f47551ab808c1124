"""Live connections in Google's form, from their first message to their last. The client's WebSocket
is accepted before the model is known, because the first message names the model."""

import asyncio
from functools import partial

import msgspec

from dialects.codec import Target
from dialects.errors.errors import RequestFault
from dialects.realtime.fixed_setup import FixedSetup
from dialects.realtime.gemini_live import read_setup
from relay.attempts.run import Run
from relay.content_log.recorded_answer import handshake_notice
from relay.credentials.client_secrets import ClientSecret, SecretRefused
from relay.downstream.error_answers import STOPPING
from relay.front.request import Request
from relay.realtime.gemini_live.attempt import LiveAttempt
from relay.realtime.gemini_live.handles import open_handle
from relay.realtime.gemini_live.operation import Live, LiveOrder
from relay.realtime.gemini_live.sink import LiveSink
from relay.realtime.open_connection import first_message, options_within, record_talk
from relay.realtime.sink import STOPPING_EXTENSION
from relay.requests.headers import read_headers
from relay.requests.sessions import session_of_connection


async def open_live_connection(request: Request) -> None:
    """Open a connection and run it to its end. Raises RequestFault, ClientGone, DatabaseAway."""
    sink, life = request.sink, request.life
    headers = read_headers(request.scope["headers"], 0)
    options = request.options_of(headers)
    if not isinstance(sink, LiveSink):
        raise RequestFault("malformed_json", None, "send Upgrade: websocket to open a session")
    options = msgspec.structs.replace(options, session=session_of_connection(sink.request_id))
    sink.listen(request.receive)
    stopping = request.scope.get("extensions", {}).get(STOPPING_EXTENSION) or asyncio.Event()
    if request.principal.log_rules:
        at = request.snapshot.now()
        sink.notice = handshake_notice(request.principal, at, stores=headers.stores)
    await sink.open()
    raw = await first_message(request, sink, stopping, "the setup")
    if raw is None:
        await sink.refuse(STOPPING)
        return
    order = _read_order(request, raw.encode())
    await request.refresh()
    if (secret := request.client_secret) is not None:
        options = options_within(secret, options)
        await _count_use(request, secret, order)
    model = order.setup.model
    invocation = msgspec.structs.replace(
        request.invocation,
        target=Target(model),
        unary=Live(order.bound(request.snapshot, model), order),
    )
    context = request.make_context(invocation, options)
    if sink.notice and request.principal.log_rules:
        record_talk(life, context, sink, stores=headers.stores)
    run = Run(context, partial(LiveAttempt, sink, lambda: life.refresher.snapshot, stopping, order))
    ends_at = None if order.token is None else order.token.ends_at
    life.running.enter(run, context.principal, ends_at)
    try:
        await run.answer(msgspec.json.encode(order.setup.members))
    finally:
        life.running.leave(run)


def _read_order(request: Request, raw: bytes) -> LiveOrder:
    """Return what the client's first message asks for. Raises RequestFault."""
    setup, size = read_setup(raw), len(raw)
    token, is_fixed, secret = None, False, request.client_secret
    if secret is not None and secret.token is not None:
        token, fixed = secret.token, FixedSetup(secret.session, secret.token.paths)
        is_fixed, setup = fixed.fixes, fixed.apply(setup)
        size += len(msgspec.json.encode(secret.session))
    resumed = None
    if setup.handle is not None:
        team_id = request.principal.team_id
        resumed = open_handle(request.life.config.pepper, setup.handle, team_id)
    return LiveOrder(setup, size, resumed, token, is_fixed)


async def _count_use(request: Request, secret: ClientSecret, order: LiveOrder) -> None:
    """Count a use of an ephemeral token; a conversation that it opened may be resumed. Raises
    SecretRefused if it has none left, DatabaseFailed.
    """
    token, resumed = order.token, order.resumed
    if token is None or token.uses == 0:
        return
    if resumed is not None and resumed.token_id == token.id:
        return
    if not await request.life.use_token(request.principal, token):
        what = f"the ephemeral token is used up (uses: {token.uses}), create another one"
        raise SecretRefused(what)
