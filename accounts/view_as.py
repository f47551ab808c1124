"""Beginning and ending an operator's view of an organisation: audited, and told to its owners."""

from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction

from accounts import audit
from accounts.actors import Actor
from accounts.models import Organisation, Role
from accounts.viewing import Viewing, begin_viewing, end_viewing, viewing_of
from lib import clock
from outbox.facts import put


def begin_view(
    actor: Actor, session: SessionBase, organisation: Organisation, role: Role, reason: str
) -> Viewing:
    """View an organisation as a member of that role, for an hour; another view ends by it."""
    with transaction.atomic():
        end_view(actor, session)
        viewing = begin_viewing(session, organisation.slug, role)
        until = clock.rfc3339(viewing.until)
        audit.record(
            actor, organisation, "view_as.began", organisation,
            reason=reason, name=organisation.name, role=str(role), until=until,
        )  # fmt: skip
        put(
            "view_as.began", organisation.id,
            operator=actor.user.email if actor.user else "", role=str(role), reason=reason,
            until=until,
        )  # fmt: skip
    return viewing


def end_view(actor: Actor, session: SessionBase) -> Viewing | None:
    """End what the session views; None when it views nothing. One that was over is told so."""
    with transaction.atomic():
        expired = viewing_of(session) is None
        viewing = end_viewing(session)
        organisation = (
            Organisation.objects.filter(slug=viewing.organisation).first() if viewing else None
        )
        if viewing is not None and organisation is not None:
            audit.record(
                actor, organisation, "view_as.ended", organisation,
                name=organisation.name, role=str(viewing.role), expired=expired,
            )  # fmt: skip
    return viewing
