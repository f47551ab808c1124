"""An operator's view of an organisation as one of its members, which a session carries.

It reads only: whoever views changes nothing anywhere until it ends, by a button or after an hour.
"""

import datetime as dt
from typing import Final, NamedTuple

from django.contrib.sessions.backends.base import SessionBase

from accounts.models import Role
from lib import clock

VIEW_MAX: Final = dt.timedelta(hours=1)
_NAME: Final = "view_as"


class Viewing(NamedTuple):
    """Which organisation, by its slug, in which role, and until when."""

    organisation: str
    role: Role
    until: dt.datetime


def viewing_of(session: SessionBase) -> Viewing | None:
    """What the session views now; None when it views nothing, or did for an hour."""
    viewing = _stored(session)
    return viewing if viewing is not None and viewing.until > clock.now() else None


def begin_viewing(session: SessionBase, organisation: str, role: Role) -> Viewing:
    """Let the session view that organisation from now on."""
    viewing = Viewing(organisation, role, clock.now() + VIEW_MAX)
    session[_NAME] = [organisation, str(role), viewing.until.isoformat()]
    return viewing


def end_viewing(session: SessionBase) -> Viewing | None:
    """Let the session view nothing any more; what it viewed, over or not."""
    viewing = _stored(session)
    session.pop(_NAME, None)
    return viewing


def _stored(session: SessionBase) -> Viewing | None:
    stored = session.get(_NAME)
    if stored is None:
        return None
    organisation, role, until = stored
    return Viewing(organisation, Role(role), dt.datetime.fromisoformat(until))
