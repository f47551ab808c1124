"""Names of chats that a model makes, for people who chose one and were told what it costs.

Without a choice a chat keeps its first words, which cost nothing; a name that a person wrote is
never changed. A name is a request of its own, with its hold, its record and its charge.
"""

import logging
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import Error
from django.db.models import Sum

from accounts.access.actors import Actor, organisation_of, person_of
from dialects.errors.errors import RequestFault
from lib.database.async_database import in_database
from lib.ids import new_id
from playground.chats.conversations import name_by_model
from playground.chats.title_rules import ANSWER_MAX, QUESTION_MAX, title_in, title_request
from playground.models import Conversation, Message, NamedBy, RunState
from playground.models_offered.offered_models import capabilities_of_model, chat_models
from playground.payers.paying import default_payer, payer_of_chat
from playground.preferences.preferences import preference_of
from playground.runs.relaying import ChatRelay
from playground.turns import side_requests
from playground.turns.side_requests import AsideRefused, ask_aside
from relay.errors import DatabaseAway
from usage.models import UsageRecord

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NamingTotals:
    """How many chats of a person a model has named, and for how much."""

    count: int
    charge_nano: int


async def most_nano(actor: Actor, relay: ChatRelay, model: str) -> int:
    """What one name can cost at most. Raises RequestFault, DatabaseAway."""
    can = await in_database(capabilities_of_model, model)
    body = title_request(model, "x" * QUESTION_MAX, "x" * ANSWER_MAX, can)
    return await side_requests.most_nano(
        actor, relay, await in_database(default_payer, actor), body
    )


def naming_totals(actor: Actor) -> NamingTotals:
    """What names have cost the person's organisation, by the books."""
    chats = Conversation.objects.filter(
        organisation=actor.organisation, user=actor.user, title_request_id__isnull=False
    )
    ids = [id for id in chats.values_list("title_request_id", flat=True) if id is not None]
    records = UsageRecord.objects.filter(organisation=organisation_of(actor), request_id__in=ids)
    charged: int | None = records.aggregate(sum=Sum("charge_nano"))["sum"]
    return NamingTotals(len(ids), charged or 0)


async def name_chat(answer_id: UUID, actor: Actor, relay: ChatRelay) -> None:
    """Have the chat named that begins with this answer, if its person chose so. Never raises for
    what may go wrong: the chat then keeps its first words."""
    chat = request_id = None
    title = ""
    try:
        pending = await in_database(_to_name, answer_id, actor)
        if pending is None:
            return
        chat, body = pending
        if body is not None:
            request_id = new_id()
            payer = await in_database(payer_of_chat, actor, chat)
            title = title_in((await ask_aside(actor, relay, payer, body, request_id)).text)
    except (AsideRefused, RequestFault, DatabaseAway, Error, ValueError, LookupError) as error:
        log.warning("a chat could not be named: %s", error)
    if chat is not None:
        await in_database(name_by_model, chat, title, request_id)


def _to_name(answer_id: UUID, actor: Actor) -> tuple[Conversation, dict[str, Any] | None] | None:
    """The chat that waits for its name, and the request for it; None for the request where its
    first answer came to no end, or its model is no longer offered."""
    answers = Message.objects.select_related("conversation", "parent")
    answer = answers.filter(id=answer_id).first()
    if answer is None or answer.conversation.named_by != NamedBy.PENDING:
        return None
    model = preference_of(person_of(actor)).title_model
    offered = {offered_model.name for offered_model in chat_models(actor)}
    question = answer.parent.content if answer.parent else ""
    if answer.state != RunState.DONE or model not in offered:
        return answer.conversation, None
    can = capabilities_of_model(model)
    return answer.conversation, title_request(model, question, answer.content, can)
