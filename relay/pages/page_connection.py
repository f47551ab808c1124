"""Realtime connections of our own pages, with the same holds and records as over the API, and with
a key whose text the page never has."""

from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from accounts.key_uses.last_uses import LAST_USES, PLAYGROUND
from dialects.codec import Target
from dialects.errors.errors import RequestFault
from lib.id_types import RequestId
from lib.ids import new_id
from lib.process.asgi import Receive, Scope, Send
from lib.process.log_context import REQUEST_ID
from relay.context.context import RequestContext, context_of_task
from relay.credentials.keys import Principal
from relay.downstream.downstream import ErrorAnswer, Sink
from relay.downstream.error_answers import too_busy
from relay.endpoints.table import find_endpoint, read_invocation
from relay.errors import DatabaseFailed
from relay.front.lifespan import Lifespan
from relay.guarding.operations import unguarded
from relay.hold_sizes.bound import Bound
from relay.pages.queue_sink import QueueSink
from relay.previews.expected_cost import read_bound
from relay.realtime.hold_sizes import first_bound
from relay.realtime.open_connection import run_connection
from relay.realtime.operation import Realtime
from relay.realtime.sink import ConnectionListener, RealtimeSink
from relay.requests.labels import Labels
from relay.requests.options import NO_OPTIONS, RequestOptions
from relay.requests.sessions import session_of_connection

_PATH: Final = "/v1/realtime"
_INVOCATION: Final = read_invocation(find_endpoint(_PATH), _PATH, (), b"")


class PageConnection(NamedTuple):
    """A connection that a page opens: the payer, the caller, the model, and a listener."""

    key_id: UUID
    user_id: int
    model: str
    labels: Labels
    listener: ConnectionListener


class _PageSink(RealtimeSink):
    """Reports a refusal inside the connection, because browsers do not show pages the response of a
    refused handshake."""

    __slots__ = ()

    async def refuse(self, error: ErrorAnswer, *fields: tuple[bytes, bytes]) -> None:
        if not self.accepted:
            await self.open()
        await super().refuse(error, *fields)


async def attach_connection(
    life: Lifespan, connection: PageConnection, scope: Scope, receive: Receive, send: Send
) -> None:
    """Run a connection to its end. Nothing that the page, its key or a provider does makes it
    raise."""
    sink = _PageSink(scope, send, RequestId(new_id()), _INVOCATION)
    sink.listen(receive)
    sink.listener = connection.listener
    REQUEST_ID.set(sink.request_id)
    life.open_requests.enter()
    try:
        principal = await life.authenticator.principal_of_key(
            connection.key_id, life.refresher.snapshot.now(), connection.user_id
        )
        if not life.load.enter(principal):
            await sink.refuse(too_busy(life.load.come_again_ms()))
            return
        try:
            if principal.endpoints and not principal.may_call(_INVOCATION.operation):
                raise RequestFault("permission", None, f"endpoint {_INVOCATION.operation}")
            if principal.guard_rules:
                raise unguarded(f"WebSockets of {_INVOCATION.operation}")
            LAST_USES.note(principal.key_id, principal.digest, "", PLAYGROUND)
            await _converse(life, principal, connection, sink, scope)
        finally:
            life.load.leave(principal)
    except RequestFault as fault:
        await sink.fault(fault)
    except DatabaseFailed:
        await sink.overloaded()
    finally:
        life.open_requests.leave()


async def _converse(
    life: Lifespan,
    principal: Principal,
    connection: PageConnection,
    sink: RealtimeSink,
    scope: Scope,
) -> None:
    options = RequestOptions(
        labels=connection.labels,
        client_app=PLAYGROUND,
        session=session_of_connection(sink.request_id),
    )
    context = _context(life, principal, sink, connection.model, sink.request_id, options)
    await run_connection(life, context, sink, scope)


async def read_connection_bound(life: Lifespan, principal: Principal, model: str) -> Bound:
    """Return what the first response of a connection would hold now. Raises RequestFault,
    DatabaseAway.
    """
    context = _context(life, principal, QueueSink(), model, RequestId(new_id()), NO_OPTIONS)
    return await read_bound(context, b"{}", life.available_nano)


def _context(
    life: Lifespan,
    principal: Principal,
    sink: Sink,
    model: str,
    request_id: RequestId,
    options: RequestOptions,
) -> RequestContext:
    snapshot = life.refresher.snapshot
    unary = Realtime(first_bound(snapshot, model))
    invocation = msgspec.structs.replace(_INVOCATION, target=Target(model), unary=unary)
    return context_of_task(
        life.parts,
        snapshot,
        principal,
        sink,
        invocation,
        request_id=request_id,
        source="playground",
        options=options,
    )
