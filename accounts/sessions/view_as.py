"""An operator's view of an organisation in the role of a member, stored in the session.

It is read-only: the operator can change nothing anywhere until it ends, by a button or after an
hour. Its start is audited and reported to the owners; its end is audited.
"""

import datetime as dt
from dataclasses import replace
from typing import Final, NamedTuple

from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext

from accounts.access.access import AccessDenied
from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.changes import read_again
from accounts.models import Organisation, Role
from lib import clock
from outbox.facts import put

VIEW_MAX: Final = dt.timedelta(hours=1)
_NAME: Final = "view_as"
_SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")


class Viewing(NamedTuple):
    """The viewed organisation's slug, the role, and the end of the view."""

    organisation: str
    role: Role
    until: dt.datetime


def viewing_of(session: SessionBase) -> Viewing | None:
    """Return the session's current view, or None if there is none or its hour has passed."""
    viewing = _stored_viewing(session)
    return viewing if viewing is not None and viewing.until > clock.now() else None


def actor_viewing(actor: Actor, session: SessionBase) -> Actor:
    """Return the actor in the role that the session views the organisation in, or the actor
    unchanged."""
    viewing = viewing_of(session) if actor.operator else None
    if viewing is None or actor.organisation is None:
        return actor
    if viewing.organisation != actor.organisation.slug:
        return actor
    return replace(
        actor, role=viewing.role, operator=False, viewing=True, permissions=(), teams=None
    )


def refuse_while_viewing(request: HttpRequest) -> None:
    """Raise AccessDenied if a session that views an organisation would change anything."""
    if request.method not in _SAFE_METHODS and viewing_of(request.session) is not None:
        raise AccessDenied(
            gettext("Nothing can be changed while you view an organisation. End the view first.")
        )


def begin_view(
    actor: Actor, session: SessionBase, organisation: Organisation, role: Role, reason: str
) -> Viewing:
    """View an organisation as a member of that role, for an hour. This replaces another view."""
    with transaction.atomic():
        organisation = read_again(organisation)
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
    """End the view and return it, or None. An expired one is reported as such."""
    with transaction.atomic():
        expired = viewing_of(session) is None
        viewing = _end(session)
        organisation = (
            Organisation.objects.filter(slug=viewing.organisation).first() if viewing else None
        )
        if viewing is not None and organisation is not None:
            audit.record(
                actor, organisation, "view_as.ended", organisation,
                name=organisation.name, role=str(viewing.role), expired=expired,
            )  # fmt: skip
    return viewing


def begin_viewing(session: SessionBase, organisation: str, role: Role) -> Viewing:
    viewing = Viewing(organisation, role, clock.now() + VIEW_MAX)
    session[_NAME] = [organisation, str(role), viewing.until.isoformat()]
    return viewing


def _end(session: SessionBase) -> Viewing | None:
    """Remove the view from the session, expired or not."""
    viewing = _stored_viewing(session)
    session.pop(_NAME, None)
    return viewing


def _stored_viewing(session: SessionBase) -> Viewing | None:
    stored = session.get(_NAME)
    if stored is None:
        return None
    organisation, role, until = stored
    return Viewing(organisation, Role(role), dt.datetime.fromisoformat(until))
