"""Requests for a chat that are not turns, each charged and recorded like any other."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from accounts.access.actors import Actor
from playground.payers.paying import Payer
from playground.relaying.relaying import ChatRelay
from relay.requests.outcome import Outcome


class AsideRefused(Exception):
    """The request was refused or did not finish. `outcome` says why."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.kind)
        self.outcome = outcome


class Answered(NamedTuple):
    """An answer and its cost."""

    text: str
    charge_nano: int


async def ask_aside(
    actor: Actor,
    relay: ChatRelay,
    payer: Payer,
    body: Mapping[str, Any],
    request_id: UUID,
    *,
    purpose: str,
) -> Answered:
    """Send the request and charge it. Lists, filters, files and the receipt name it by its
    `purpose`, one of `usage.requests.words.SIDE_REQUESTS`. Raises AsideRefused, RequestFault,
    DatabaseAway, and ValueError or LookupError for an unusable answer."""
    principal = await payer.principal(actor, relay)
    pieces, charge_nano = [], 0
    async for item in relay.chat(
        principal,
        json.dumps(body).encode(),
        source="playground",
        request_id=request_id,
        labels=payer.labels,
        client_app=purpose,
    ):
        if isinstance(item, bytes):
            pieces.append(item)
        elif isinstance(item, Outcome):
            charge_nano = item.charge_nano
            if item.kind is not None:
                raise AsideRefused(item)
    answer = json.loads(b"".join(pieces))
    return Answered(str(answer["choices"][0]["message"].get("content") or ""), charge_nano)


async def most_nano(actor: Actor, relay: ChatRelay, payer: Payer, body: Mapping[str, Any]) -> int:
    """Return the maximum cost. Raises RequestFault, DatabaseAway."""
    principal = await payer.principal(actor, relay)
    bound = await relay.bound(principal, json.dumps(body).encode(), labels=payer.labels)
    return bound.hold_nano
