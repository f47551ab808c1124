"""Members of usage that an operator counts as free from now on (P28). Requests whose usage contains
them are charged for the rest of it, and their receipts say so.

Nothing is ever charged for such a member, and accepting it accepts no other unknown member.
"""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext

from accounts.access import access
from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.epoch import bump_epoch
from dialects.usage.usage_members import may_be_accepted
from lib import clock
from lib.ids import parse_number
from lib.refusal import Refused
from usage.models import AcceptedMember


def accepted_members(actor: Actor) -> QuerySet[AcceptedMember]:
    """Return the accepted members."""
    access.require(actor, "credits.read")
    return AcceptedMember.objects.filter(revoked_at=None).select_related("accepted_by")


def accept_members(
    actor: Actor, provider: str, wire: str, members: Sequence[str], *, reason: str
) -> list[AcceptedMember]:
    """Count members of a provider's usage as free from now on; members that are accepted already
    are unchanged. Raises Refused if one cannot be accepted, and then accepts none."""
    access.require(actor, "credits.write")
    if actor.user is None:
        raise Refused("reason", gettext("Only a person can make this decision."))
    if not reason.strip():
        raise Refused("reason", gettext("Enter why these members cost nothing."))
    for member in members:
        if not may_be_accepted(wire, member):
            text = gettext("%(member)s cannot be counted as free: it is no member of usage alone.")
            raise Refused("accept", text % {"member": member})
    accepted = []
    with transaction.atomic():
        for member in members:
            stored, is_new = AcceptedMember.objects.get_or_create(
                provider=provider,
                wire=wire,
                member=member,
                revoked_at=None,
                defaults={"reason": reason.strip(), "accepted_by": actor.user},
            )
            if is_new:
                audit.record(
                    actor, None, "usage_member.accepted", stored, provider=provider, wire=wire,
                    member=member, reason=stored.reason,
                )  # fmt: skip
            accepted.append(stored)
        bump_epoch()
    return accepted


def revoke_member(actor: Actor, id: str) -> AcceptedMember:
    """Put later requests with this member under review again. Raises Http404 if the member is not
    accepted."""
    access.require(actor, "credits.write")
    if actor.user is None:
        raise Refused("id", gettext("Only a person can make this decision."))
    with transaction.atomic():
        accepted = AcceptedMember.objects.select_for_update().filter(revoked_at=None)
        stored = accepted.filter(pk=parse_number(id) or 0).first()
        if stored is None:
            raise Http404
        stored.revoked_at, stored.revoked_by = clock.now(), actor.user
        stored.save(update_fields=["revoked_at", "revoked_by"])
        audit.record(
            actor, None, "usage_member.revoked", stored, provider=stored.provider, wire=stored.wire,
            member=stored.member, before=stored.reason,
        )  # fmt: skip
        bump_epoch()
    return stored
