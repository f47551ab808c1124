"""What happens to everything that a leaving member owns, in all rooms: keys (accounts), budget
requests (billing), and chats, media, private prompts and presets (here). What they shared with the
organisation stays."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext

from accounts.access.access import scope_of
from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.keys import departures
from accounts.keys.departures import DISABLE, KeyFate
from accounts.members import access as member_access
from accounts.models import Invitation, Key, Membership, Organisation, User
from accounts.names.names import first_free_name
from billing.limits import budget_increases
from content.models import Prompt
from lib import clock
from lib.refusal import Refused
from playground.media.media import delete_media
from playground.models import (
    Attachment,
    Conversation,
    MediaFile,
    MediaRun,
    Message,
    PaymentPreference,
    Preset,
    Run,
    ShareLink,
)
from playground.panel.presets import NAME_MAX as _PRESET_NAME_MAX


@dataclass(frozen=True)
class Departure:
    """What happens to a leaving member's property. `keys` decides for each key, else `other_keys`.
    Chats, media, private prompts and presets go to `chats_to`, or are deleted if it is None."""

    keys: Mapping[UUID, KeyFate] = field(default_factory=dict)
    other_keys: KeyFate = DISABLE
    chats_to: Membership | None = None


class Left(NamedTuple):
    """A leaving member's property."""

    keys: list[Key]
    chats: int
    prompts: int
    media: int
    requests: int
    invitations: int


def left_by(member: Membership) -> Left:
    """Return what the member would leave behind now."""
    user, organisation = member.user, member.organisation
    invited = Invitation.objects.filter(
        organisation=organisation, invited_by=user, accepted_at=None, withdrawn_at=None
    )
    return Left(
        departures.keys_left_by(member),
        _chats(member).count(),
        _prompts(member).count() + _presets(member).count(),
        _media(member).count(),
        budget_increases.waiting_of(user, organisation).count(),
        invited.count(),
    )


def chat_receivers(actor: Actor, member: Membership) -> list[Membership]:
    """Return the members who can receive a member's chats from the actor."""
    if scope_of(actor, "members.read") is None:
        return []
    rows = member_access.named_members(actor).filter(user__is_active=True)
    return list(rows.exclude(pk=member.pk).order_by("user__email"))


def depart(actor: Actor, member: Membership, departure: Departure) -> None:
    """Remove a member, or leave, with all consequences, in one transaction. Raises Refused for a
    member whom the actor may not remove, and for keys or chats that the receiver cannot take.
    Raises LastOwner for the only owner."""
    with transaction.atomic():
        # The lock that every write of members takes.
        Organisation.objects.select_for_update(no_key=True).get(id=member.organisation_id)
        budget_increases.deny_all_of(actor, member.user, member.organisation)
        leave_chats(actor, member, departure.chats_to)
        departures.end_membership(actor, member, departure.keys, departure.other_keys)


def leave_chats(actor: Actor, member: Membership, to: Membership | None) -> None:
    """Transfer the chats, media, private prompts and presets of a member to another one, or delete
    them. A temporary chat is deleted in any case. Raises Refused if the receiver cannot have
    them."""
    if to is not None and (to.pk == member.pk or to.organisation_id != member.organisation_id):
        raise Refused("chats_to", gettext("Choose another member of this organisation."))
    with transaction.atomic():
        active = Membership.objects.filter(user__is_active=True)
        if to is not None and not active.filter(pk=to.pk).exists():
            raise Refused("chats_to", gettext("Choose another member of this organisation."))
        counts = {
            "chats": _chats(member).count(),
            "prompts": _prompts(member).count(),
            "media": _media(member).count(),
        }
        if to is None:
            _delete(member)
        else:
            _transfer_work(member, to.user)
        PaymentPreference.objects.filter(
            user=member.user, organisation=member.organisation
        ).delete()
        if any(counts.values()):
            after = to.user.email if to else "deleted"
            audit.record(
                actor, member.organisation, "chats.left", member.user,
                email=member.user.email, after=after, **counts,
            )  # fmt: skip


def _delete(member: Membership) -> None:
    now = clock.now()
    # As if the person had deleted them: they are removed a day later, with their messages.
    _chats(member).update(deleted_at=now)
    _prompts(member).delete()
    _presets(member).delete()
    _temporary(member).update(ends_at=now)
    delete_media(_media(member))


def _transfer_work(member: Membership, user: User) -> None:
    chats = list(_chats(member).values_list("id", flat=True))
    Run.objects.filter(conversation__in=chats).update(user=user)
    ShareLink.objects.filter(conversation__in=chats).update(user=user)
    # The payer was the leaving member's choice.
    Conversation.objects.filter(id__in=chats).update(user=user, key=None)
    Attachment.objects.filter(id__in=_files_in(chats), user=member.user).update(user=user)
    named = MediaFile.objects.filter(run__in=_media(member)).values("file")
    Attachment.objects.filter(id__in=named, user=member.user).update(user=user)
    _media(member).update(user=user, key=None)
    _prompts(member).update(user=user)
    theirs = Preset.objects.filter(organisation=member.organisation, user=user)
    taken = set(theirs.values_list("name", flat=True))
    for preset in _presets(member):
        if preset.name in taken:
            whose = f"{preset.name} ({member.user.email})"
            preset.name = first_free_name(whose, taken, length_max=_PRESET_NAME_MAX)
        taken.add(preset.name)
        preset.user = user
        preset.save(update_fields=["user", "name"])
    _temporary(member).update(ends_at=clock.now())


def _files_in(chats: list[UUID]) -> list[str]:
    """Return the files referred to by messages of these chats."""
    all_parts = Message.objects.filter(conversation__in=chats).values_list("parts", flat=True)
    return [
        file["id"] for parts in all_parts for kind in ("files", "media")
        for file in parts.get(kind, ())
    ]  # fmt: skip


def _chats(member: Membership) -> QuerySet[Conversation]:
    return Conversation.objects.filter(
        organisation=member.organisation, user=member.user, ends_at=None, deleted_at=None
    )


def _media(member: Membership) -> QuerySet[MediaRun]:
    return MediaRun.objects.filter(organisation=member.organisation, user=member.user)


def _temporary(member: Membership) -> QuerySet[Conversation]:
    rows = Conversation.objects.filter(organisation=member.organisation, user=member.user)
    return rows.exclude(ends_at=None)


def _prompts(member: Membership) -> QuerySet[Prompt]:
    return Prompt.objects.filter(organisation=member.organisation, user=member.user, shared=False)


def _presets(member: Membership) -> QuerySet[Preset]:
    return Preset.objects.filter(organisation=member.organisation, user=member.user, shared=False)
