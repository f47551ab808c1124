"""The WebSocket of the realtime page, opened by a ticket. Among the provider's events, two of our
own report holds and charges:

    {"type": "weir.hold", "request": id, "amount": "$0.21", "held": "$0.21", "spent": "$0.00"}
    {"type": "weir.charge", "request": id, "amount": "$0.0012", "held": "$0.00", "spent": "$0.0012"}

`held` and `spent` are the totals of the connection so far.
"""

import json
from typing import Any, Final, Protocol
from urllib.parse import urlsplit
from uuid import UUID

from accounts.access.actors import person_of
from billing.currency.words import charge_text
from lib.database.async_database import run_in_database
from lib.ids import id_text
from lib.process.asgi import Message, Receive, Scope, Send
from playground.media.realtime import claim_ticket
from relay.pages.page_connection import PageConnection
from relay.requests.outcome import Outcome

TICKET_PROTOCOL: Final = "weir-ticket."
_POLICY: Final = 1008


class _Relay(Protocol):
    async def converse(
        self, connection: PageConnection, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Run a connection to its end."""


def shows_ticket(scope: Scope) -> bool:
    """Return whether a WebSocket request contains a ticket, valid or not."""
    return _ticket_of(scope) is not None


async def serve(relay: _Relay, scope: Scope, receive: Receive, send: Send) -> None:
    """Run the connection of a ticket. Refuse the handshake with 403 without a valid ticket, or from
    another site."""
    ticket = _ticket_of(scope)
    claimed = None
    if ticket is not None and _is_from_here(scope):
        claimed = await run_in_database(claim_ticket, ticket)
    if claimed is None:
        await receive()
        await send({"type": "websocket.close", "code": _POLICY})
        return
    actor, payer, model = claimed
    sender = _HoldReporter(send)
    connection = PageConnection(payer.key.id, person_of(actor).id, model, payer.labels, sender)
    await relay.converse(connection, scope, receive, sender.send)


class _HoldReporter:
    """Inserts holds and charges into the events of a connection, before the next event."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._news: list[dict[str, Any]] = []
        self._opened = False
        self._holds: dict[UUID, int] = {}
        self._spent_nano = 0

    def held(self, request_id: UUID, hold_nano: int) -> None:
        self._holds[request_id] = hold_nano
        self._queue_event("weir.hold", request_id, hold_nano)

    def settled(self, outcome: Outcome) -> None:
        self._holds.pop(outcome.request_id, None)
        self._spent_nano += outcome.charge_nano
        self._queue_event("weir.charge", outcome.request_id, outcome.charge_nano)

    def _queue_event(self, kind: str, request_id: UUID, nano: int) -> None:
        self._news.append(
            {
                "type": kind,
                "request": id_text(request_id),
                "amount": charge_text(nano),
                "held": charge_text(sum(self._holds.values())),
                "spent": charge_text(self._spent_nano),
            }
        )

    async def send(self, message: Message) -> None:
        """Send a message, after the pending reports."""
        news, self._news = (self._news, []) if self._opened else ([], self._news)
        for one in news:
            await self._send({"type": "websocket.send", "text": json.dumps(one)})
        await self._send(message)
        self._opened = self._opened or message["type"] == "websocket.accept"


def _ticket_of(scope: Scope) -> str | None:
    offered = (one for one in scope.get("subprotocols", ()) if one.startswith(TICKET_PROTOCOL))
    ticket = next(offered, None)
    return None if ticket is None else ticket.removeprefix(TICKET_PROTOCOL)


def _is_from_here(scope: Scope) -> bool:
    """Return whether the browser's Origin is the site that it connects to."""
    headers = dict(scope["headers"])
    origin = urlsplit(headers.get(b"origin", b"").decode("latin-1")).netloc
    return bool(origin) and origin == headers.get(b"host", b"").decode("latin-1")
