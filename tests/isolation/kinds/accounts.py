"""Whatever of accounts an address names: teams, people, keys."""

import datetime as dt
from typing import Final

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession

from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.keys import keys, service_accounts
from accounts.models import AuditEvent, Invitation, Membership, Role
from accounts.organisations import projects
from accounts.sessions.store import session_digest
from lib import clock
from lib.ids import id_text, new_id
from tests.isolation.world import (
    IN_ORGANISATION,
    OF_ONE_SELF,
    Kind,
    Place,
    World,
    no_number,
    no_slug,
    of_installation,
    personal,
)
from tests.support import cast


def _member(at: Place) -> Membership:
    return Membership.objects.get(user=at.user, organisation=at.organisation)


def _team(world: World, at: Place) -> str:
    return at.team.slug


def _team_member(world: World, at: Place) -> str:
    return f"{at.team.slug}/{_membership(world, at)}"


def _project(world: World, at: Place) -> str:
    return projects.create_project(at.team, f"Project {at.word}", actor=SYSTEM).slug


def _key(world: World, at: Place) -> str:
    key, _ = cast.make_key(
        at.team, f"touched {at.word}", user=at.user, end_user_header="x-user", end_users_signed=True
    )
    keys.rotate_key(SYSTEM, key, 24)
    return id_text(key.id)


def _service_account(world: World, at: Place) -> str:
    service_account = service_accounts.create_service_account(
        at.team, f"program {at.word}", actor=SYSTEM
    )
    return id_text(service_account.id)


def _membership(world: World, at: Place) -> str:
    return str(_member(at).pk)


def _invitation(world: World, at: Place) -> str:
    invitation = Invitation.objects.create(
        organisation=at.organisation, email=f"{at.word}@invited.example", role=Role.VIEWER,
        all_teams=False, invited_by=at.user, digest=new_id().bytes,
        expires_at=clock.now() + dt.timedelta(days=7),
    )  # fmt: skip
    invitation.teams.set([at.team])
    return id_text(invitation.id)


def _custom_role(world: World, at: Place) -> str:
    role = custom_roles.create_role(
        at.organisation, f"Role {at.word}", ["models.read"], actor=SYSTEM
    )
    return id_text(role.id)


def _audit_event(world: World, at: Place) -> str:
    names = (str(at.key.id), id_text(at.key.id))
    return id_text(AuditEvent.objects.get(object_id__in=names, action="key.created").id)


def _limit(world: World, at: Place) -> str:
    return f"team/{at.team.slug}"


def _session(world: World, at: Place) -> str:
    client = cast.signed_in(at.user)
    row = UserSession.objects.create(
        user=at.user, session_key=session_digest(str(client.session.session_key)),
        ip="127.0.0.1", user_agent=at.word,
    )  # fmt: skip
    return str(row.pk)


def _passkey(world: World, at: Place) -> str:
    data = {"name": f"Passkey {at.word}", "credential": {}}
    authenticator = Authenticator.objects.create(
        user=at.user, type=Authenticator.Type.WEBAUTHN, data=data
    )
    return str(authenticator.pk)


def _person(world: World, at: Place) -> str:
    return str(at.user.pk)


def _organisation(world: World, at: Place) -> str:
    return world.stranger.slug


# Of an organisation or a team.
TEAM: Final = Kind("team", "teams.read", _team, missing=no_slug, shared=True)
TEAM_MEMBER: Final = Kind(
    "team member", "teams.read", _team_member, missing=lambda: "no-such-one/1", shared=True
)
PROJECT: Final = Kind("project", "teams.read", _project, missing=no_slug, shared=True)
SERVICE_ACCOUNT: Final = Kind("service account", "keys.read", _service_account)
INVITATION: Final = Kind("invitation", "members.read", _invitation)
CUSTOM_ROLE: Final = Kind("role", "members.read", _custom_role, wheres=IN_ORGANISATION)
AUDIT_EVENT: Final = Kind("audit event", "audit.read", _audit_event)
LIMIT: Final = Kind(
    "limit", "budgets.write", _limit, missing=lambda: "team/no-such-one", by_role=True
)
# Of a person, in an organisation.
KEY: Final = personal("key", "keys.read", _key)
MEMBER: Final = personal("member", "members.read", _membership, missing=no_number)
# Of a person alone.
SESSION: Final = Kind("session", None, _session, no_number, OF_ONE_SELF, personal=True)
# Its data opens nothing: whose own it is could not sign in with it.
PASSKEY: Final = Kind("passkey", None, _passkey, no_number, ("colleague", "missing"))
# Of the installation.
ANY_AUDIT_EVENT: Final = of_installation("audit event of all", "audit.read", _audit_event)
PERSON: Final = of_installation("person", "organisations.read", _person, missing=no_number)
ORGANISATION: Final = of_installation(
    "organisation", "organisations.read", _organisation, missing=no_slug
)
