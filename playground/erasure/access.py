"""Who may have a person's data erased, and see that it happens.

The person and operators erase the whole account. An owner erases what lies in the organisation
(P12): the account, and what lies in other organisations, stays.
"""

from django.utils.translation import gettext

from accounts.access.access import AccessDenied, get_by_id
from accounts.access.actors import Actor, organisation_of
from accounts.models import Erasure, Membership, Organisation, Role, User


def erasable_part(actor: Actor, person: User) -> Organisation | None:
    """Return the organisation in which the actor may erase the person, or None for the whole
    account: an operator may erase everybody, everybody themselves, and an owner what lies in the
    organisation of a member. Raises AccessDenied."""
    if actor.viewing or actor.model_key:
        raise AccessDenied(gettext("You cannot erase this person."))
    oneself = actor.user == person and actor.key is None
    if oneself or (actor.operator and actor.organisation is None) or actor.installation:
        return None
    if actor.role != Role.OWNER or actor.teams is not None:
        raise AccessDenied(gettext("Only an owner can erase a member."))
    organisation = organisation_of(actor)
    if not Membership.objects.filter(organisation=organisation, user=person).exists():
        raise AccessDenied(gettext("You cannot erase this person."))
    return organisation


def find_erasure(person: User, part: Organisation | None) -> Erasure | None:
    """Return the erasure of a person's account, or the running one in an organisation; None if
    there is none. The caller has checked access to the person."""
    rows = Erasure.objects.filter(user=person, organisation=part)
    return (rows if part is None else rows.filter(done_at=None)).first()


def access_own_erasure(actor: Actor, id: str) -> Erasure:
    """Return an erasure in its organisation that the actor has requested. Raises Http404."""
    rows = Erasure.objects.filter(organisation=organisation_of(actor), asked_by=actor.user)
    return get_by_id(rows, id)
