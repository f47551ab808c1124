"""What happens to the keys of a member who leaves: one function per write.

A model key that is transferred to another member or to a service account of its team keeps working.
A management key is not transferred: it would act with its new owner's role for whoever has its
text. It is disabled instead when a member leaves, and revoked when a person is erased.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext

from accounts.access import access
from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.epoch import bump_epoch
from accounts.keys import keys
from accounts.members import access as member_access
from accounts.members import invitations, members
from accounts.models import Key, KeyKind, Membership, Organisation, ServiceAccount
from lib.ids import id_text
from lib.refusal import Refused

Fate = Literal["revoke", "disable", "transfer"]
Receiver = Membership | ServiceAccount


@dataclass(frozen=True)
class KeyFate:
    """What happens to a key. `to` is its new holder if it is transferred."""

    what: Fate
    to: Receiver | None = None


DISABLE: Final = KeyFate("disable")


def access_leaving(actor: Actor, id: str) -> Membership:
    """Return the membership that the actor may end: its own, or that of a member with less
    authority. Raises Http404, or AccessDenied if the actor may only see it."""
    mine = Membership.objects.filter(organisation=actor.organisation, user=actor.user)
    member = mine.select_related("user", "organisation", "custom_role").first()
    if actor.user is not None and member is not None and str(member.pk) == id:
        return member
    return member_access.writable_member(actor, id)


def keys_left_by(member: Membership) -> list[Key]:
    """Return the keys of a member that are not revoked, oldest first."""
    rows = Key.objects.filter(
        organisation=member.organisation_id, user=member.user_id, revoked_at=None
    )
    return list(rows.select_related("team", "organisation").order_by("id"))


def receivers(actor: Actor, key: Key) -> list[Receiver]:
    """Return who can receive a key from the actor: members who may have keys in its team, and its
    service accounts. Empty if the actor may not manage the key."""
    if key.kind != KeyKind.RELAY or not access.reaches_team(actor, "keys.write", key.team_id):
        return []
    rows = Membership.objects.filter(organisation=key.organisation_id, user__is_active=True)
    rows = rows.exclude(user=key.user_id).select_related("user", "custom_role")
    rows = rows.order_by("user__email")
    people = [member for member in rows.prefetch_related("teams") if _may_have(member, key)]
    accounts = ServiceAccount.objects.filter(team=key.team_id, disabled=False).order_by("name")
    return [*people, *accounts]


def end_membership(
    actor: Actor, member: Membership, fates: Mapping[UUID, KeyFate], otherwise: KeyFate
) -> None:
    """Remove a member, or leave. The member's keys are handled as `fates` says, else as
    `otherwise`; invitations that the member sent end. Raises Refused as `members.remove_member`
    does, and for a key that cannot be transferred as requested."""
    with transaction.atomic():
        # Lock the organisation before its keys, in the same order as the other ways to remove a
        # member.
        Organisation.objects.select_for_update(no_key=True).get(id=member.organisation_id)
        for key in keys_left_by(member):
            fate = fates.get(key.id, otherwise)
            if fate.what == "transfer" and key.id not in fates and not receivers(actor, key):
                fate = DISABLE
            _settle(actor, key, fate)
        invitations.withdraw_all_of(member.user, member.organisation, actor=actor)
        members.remove_member(member.organisation, member.user.email, actor=actor)


def transfer_key(actor: Actor, key: Key, to: Receiver) -> Key:
    """Transfer a key to another member or to a service account. Everything else stays. Raises
    Refused if it cannot belong to the receiver."""
    with transaction.atomic():
        # Nobody leaves before the transfer ends.
        Organisation.objects.select_for_update(no_key=True).get(id=key.organisation_id)
        locked = Key.objects.select_for_update(of=("self",)).select_related("user").get(id=key.id)
        present = next((one for one in receivers(actor, locked) if one == to), None)
        if present is None:
            text = gettext(
                "Key %(name)s cannot be transferred to %(to)s. Disable or revoke it instead."
            )
            raise Refused("keys", text % {"name": locked.name, "to": name_of(to)})
        to = present
        before = {"owner": locked.user.email if locked.user else None}
        locked.user = to.user if isinstance(to, Membership) else None
        locked.service_account = to if isinstance(to, ServiceAccount) else None
        locked.save(update_fields=["user", "service_account"])
        audit.record(
            actor, locked.organisation, "key.transferred", locked,
            before=before, after={"owner": name_of(to)},
        )  # fmt: skip
        bump_epoch()
    return locked


def name_of(receiver: Receiver) -> str:
    """Return a person's address, or the name of a service account."""
    return receiver.user.email if isinstance(receiver, Membership) else receiver.name


def value_of(receiver: Receiver) -> str:
    """Return the receiver's value in the form."""
    if isinstance(receiver, Membership):
        return f"member:{receiver.pk}"
    return f"account:{id_text(receiver.pk)}"


def _settle(actor: Actor, key: Key, fate: KeyFate) -> None:
    if fate.what == "revoke":
        keys.revoke_key(actor, key)
    elif fate.what == "disable":
        keys.change_key(actor, key, disabled=True)
    elif fate.to is not None:
        transfer_key(actor, key, fate.to)
    else:
        raise Refused("keys", gettext("Choose who gets the keys."))


def _may_have(member: Membership, key: Key) -> bool:
    authority = members.authority_of(member)
    in_team = authority.teams is None or key.team_id in authority.teams
    return in_team and keys.may_have_keys(member)
