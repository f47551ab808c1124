"""Realtime connections of a page: each is opened by a ticket that works once.

    POST (session cookie, CSRF token) --> a ticket for one model and payer, for 30 s
    WebSocket with the ticket, from a page of this site --> a connection, metered as over the API

The cookie alone opens no connection, because a page of another site could make a browser send it.
"""

import datetime as dt
import hashlib
import secrets
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from accounts.access.access import AccessDenied, require
from accounts.access.actors import Actor, actor_of_member, memberships, organisation_of, person_of
from lib import clock
from lib.ids import id_text
from lib.refusal import Refused
from playground.models import RealtimeTicket
from playground.payers.paying import Payer, read_payer
from usage.models import UsageRecord

TICKET_S: Final = 30
_TOKEN_BYTES: Final = 32


def issue_ticket(actor: Actor, payer: Payer, model: str) -> str:
    """Create a ticket and return its secret text, which is not stored."""
    require(actor, "playground.use")
    token, now = secrets.token_urlsafe(_TOKEN_BYTES), clock.now()
    with transaction.atomic():
        # Delete unused tickets.
        RealtimeTicket.objects.filter(user=person_of(actor), expires_at__lte=now).delete()
        RealtimeTicket.objects.create(
            organisation=organisation_of(actor),
            user=person_of(actor),
            key=payer.chosen_key,
            project=payer.project,
            model=model,
            digest=_digest(token),
            expires_at=now + dt.timedelta(seconds=TICKET_S),
        )
    return token


def claim_ticket(token: str) -> tuple[Actor, Payer, str] | None:
    """Use a ticket. Return who opens a connection, who pays, and the model. Return None for an
    unknown, used or expired ticket, and if the person may no longer use the playground or the key
    no longer pay."""
    with transaction.atomic():
        rows = RealtimeTicket.objects.select_for_update(of=("self",))
        ticket = rows.select_related("organisation", "user").filter(digest=_digest(token)).first()
        if ticket is None:
            return None
        ticket.delete()
    member = memberships().filter(user=ticket.user, organisation=ticket.organisation).first()
    if ticket.expires_at <= clock.now() or member is None or not ticket.user.is_active:
        return None
    actor = actor_of_member(ticket.user, ticket.organisation, member)
    try:
        require(actor, "playground.use")
        key_id = "" if ticket.key_id is None else id_text(ticket.key_id)
        return actor, read_payer(actor, key_id, ticket.project), ticket.model
    except (AccessDenied, Refused):
        return None


def charges_of(actor: Actor, request_ids: Sequence[UUID]) -> list[dict[str, Any]]:
    """Return `id`, `model` and `charge_nano` of the actor's ended requests from the books, in the
    order in which they ended."""
    require(actor, "playground.use")
    records = UsageRecord.objects.filter(
        organisation=organisation_of(actor),
        user_id=person_of(actor).id,
        request_id__in=request_ids,
        final=True,
    )
    rows = records.order_by("id").values("request_id", "model", "charge_nano")
    return [{**row, "id": id_text(row["request_id"])} for row in rows]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
