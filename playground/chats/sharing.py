"""Links to a snapshot of one branch: read-only, with an expiry, revocable."""

import datetime as dt
import hashlib
import secrets
from typing import Any, Final

from django.db import transaction
from django.db.models import F
from django.http import Http404

from accounts.access.access import get_by_id, require
from accounts.access.actors import Actor, organisation_of, person_of
from accounts.audit import audit
from accounts.audit.changes import lock_row
from accounts.models import Membership, User
from lib import clock
from lib.ids import id_text
from playground.answers.late_charges import late_charges
from playground.chats.export_import import turn_of
from playground.conversations.conversations import access_conversation, current_path, messages_of
from playground.conversations.message_runs import settings_of
from playground.models import Conversation, ShareLink
from playground.rendering.structured import is_structured

DAYS: Final = {"1": 1, "7": 7, "30": 30, "": None}
"""The possible lifetimes of a link in days; None means no end."""
_TOKEN_BYTES: Final = 24


class Gone(Exception):
    """The link has expired or was revoked."""


def share_branch(
    actor: Actor,
    conversation: Conversation,
    *,
    days: int | None,
    members_only: bool,
    system_shown: bool,
    cost_shown: bool,
) -> tuple[ShareLink, str]:
    """Create a link to the current branch. Return it with its secret text, which is not stored."""
    require(actor, "playground.use")
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    ends = None if days is None else clock.now() + dt.timedelta(days=days)
    with transaction.atomic():
        conversation = lock_row(conversation)
        link = ShareLink.objects.create(
            conversation=conversation,
            user=person_of(actor),
            digest=_digest(token),
            members_only=members_only,
            system_shown=system_shown,
            cost_shown=cost_shown,
            snapshot=_snapshot(conversation, system_shown=system_shown, cost_shown=cost_shown),
            expires_at=ends,
        )
        audit.record(actor, organisation_of(actor), "conversation.shared", link,
                     members_only=members_only)  # fmt: skip
    return link, token


def _snapshot(
    conversation: Conversation, *, system_shown: bool, cost_shown: bool
) -> dict[str, Any]:
    """Copy only the visible content; hidden content is not included."""
    turns, messages = [], messages_of(current_path(conversation))
    late = late_charges(conversation.organisation_id, messages)
    for message in messages:
        turn = turn_of(message, late)
        entry: dict[str, Any] = {"role": turn.role, "content": turn.content, "model": turn.model,
                                 "created_at": turn.created_at, "parts": {}}  # fmt: skip
        for name in ("calls", "results", "sources"):
            if name in turn.parts:
                entry["parts"][name] = turn.parts[name]
        names = [file.get("name", "") for file in turn.parts.get("files", ())]
        if names:
            entry["parts"]["files"] = names
        if message.run and is_structured(message.run.settings):
            entry["json"] = True
        if turn.reasoning:
            entry["reasoning"] = turn.reasoning
        if cost_shown and "charge_nano" in turn.outcome:
            entry["charge_nano"] = turn.outcome["charge_nano"]
        turns.append(entry)
    snapshot: dict[str, Any] = {"title": conversation.title, "turns": turns}
    system = settings_of(messages[-1]).get("system") if messages else ""
    if system_shown and system:
        snapshot["system"] = system
    return snapshot


def links_of(actor: Actor, conversation: Conversation) -> list[ShareLink]:
    """Return the links to a conversation of the actor, newest first."""
    require(actor, "playground.read")
    return list(conversation.shares.all())


def revoke_link(actor: Actor, id: str) -> Conversation:
    """Revoke a link of the actor, with immediate effect. Return its conversation."""
    require(actor, "playground.use")
    link = get_by_id(ShareLink.objects.filter(user=actor.user), id)
    conversation = access_conversation(actor, id_text(link.conversation_id))
    with transaction.atomic():
        if link.revoked_at is None:
            link.revoked_at = clock.now()
            link.save(update_fields=["revoked_at"])
            audit.record(actor, organisation_of(actor), "conversation.unshared", link)
    return conversation


def open_link(token: str, user: User | None) -> ShareLink:
    """Return the content of a link and count the view. Raises Http404 for an unknown link, and Gone
    for an ended one."""
    links = ShareLink.objects.select_related("conversation__organisation")
    link = links.filter(digest=_digest(token)).first()
    if link is None:
        raise Http404
    ended = link.expires_at is not None and link.expires_at <= clock.now()
    if ended or link.revoked_at is not None or link.conversation.deleted_at is not None:
        raise Gone
    if link.members_only:
        organisation = link.conversation.organisation
        member = Membership.objects.filter(user=user, organisation=organisation)
        if user is None or not member.exists():
            raise Http404
    ShareLink.objects.filter(id=link.id).update(views=F("views") + 1)
    return link


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
