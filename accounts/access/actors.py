"""The caller: a person, a key or the installation itself, and the organisation. An actor is built
from a membership, a session or the text of a key."""

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import cast

from django.db.models import QuerySet
from django.http import Http404, HttpRequest

from accounts.models import HasRole, Key, KeyKind, Membership, Organisation, Role, User
from accounts.roles import rules as roles
from accounts.roles.authority import Authority
from accounts.secrets import key_format
from accounts.secrets.key_lookup import find_key_of, key_state
from lib import clock

LAST_ORGANISATION = "organisation"


@dataclass(frozen=True)
class Actor:
    """The caller: a person or a key (with its holder), and the organisation.

    `role` is the role in `organisation`. It is None for a model key, which reads only its own
    scope, and for an operator who is not a member. `permissions` are those of a custom role.
    `teams` are the teams that the role is limited to; None means all. `leads` are the teams that
    the person leads. `ends_at` is the end of the
    former secret that a key used. `viewing` marks an operator who views the organisation in that
    role.
    """

    user: User | None
    key: Key | None
    organisation: Organisation | None
    role: Role | None
    operator: bool
    ends_at: dt.datetime | None = None
    permissions: tuple[roles.Permission, ...] = ()
    teams: frozenset[uuid.UUID] | None = None
    leads: frozenset[uuid.UUID] = frozenset()
    viewing: bool = False

    @property
    def authority(self) -> Authority:
        """Return the actor's authority in the organisation as its member."""
        return replace(authority_of(self.role, self.permissions, self.teams), leads=self.leads)

    @property
    def installation(self) -> bool:
        """Whether the actor is the installation itself, which no authority limits."""
        return self.operator and self.user is None and self.key is None

    @property
    def model_key(self) -> Key | None:
        """The key that limits this actor to the key's own rows, if there is one."""
        return self.key if self.key and self.key.kind != KeyKind.MANAGEMENT else None


SYSTEM = Actor(user=None, key=None, organisation=None, role=None, operator=True)
"""The installation itself: its command line, its configuration as code, and sign-up."""


def authority_of(
    role: str | None,
    permissions: Iterable[roles.Permission] = (),
    teams: Iterable[uuid.UUID] | None = None,
) -> Authority:
    """Return the authority of a role. A custom role consists of its permissions."""
    built_in = cast(roles.Role, str(role)) if role and role != Role.CUSTOM else None
    return Authority(built_in, tuple(permissions), None if teams is None else frozenset(teams))


def authority_of_member(member: HasRole, teams: Iterable[uuid.UUID] | None) -> Authority:
    """Return the authority of a membership's role in these teams."""
    permissions = member.custom_role.permissions if member.custom_role else ()
    return authority_of(member.role, permissions, teams)


def actor_of_member(
    user: User,
    organisation: Organisation | None,
    membership: Membership | None,
    key: Key | None = None,
) -> Actor:
    """Return the actor for a person, or for a key of theirs, in an organisation. Without a
    membership the actor is not a member."""
    if membership is None:
        return Actor(user, key, organisation, None, user.operator)
    permissions = membership.custom_role.permissions if membership.custom_role else ()
    teams = teams_of(membership)
    return Actor(
        user,
        key,
        organisation,
        Role(membership.role),
        user.operator,
        permissions=tuple(permissions),
        teams=teams,
        leads=leads_within(membership, teams),
    )


def teams_of(membership: Membership) -> frozenset[uuid.UUID] | None:
    """Return the teams that a member is limited to, or None for all teams."""
    if membership.all_teams:
        return None
    return frozenset(team.pk for team in membership.teams.all())


def leads_within(
    membership: Membership, teams: frozenset[uuid.UUID] | None
) -> frozenset[uuid.UUID]:
    """Return the teams that a member leads and still belongs to."""
    leads = frozenset(membership.leads)
    return leads if teams is None else leads & teams


def memberships() -> QuerySet[Membership]:
    """Return memberships with the rows that an actor is built from."""
    return Membership.objects.select_related("organisation", "custom_role")


def organisation_of(actor: Actor) -> Organisation:
    """Return the organisation that the actor acts in. Raises Http404 without one."""
    if actor.organisation is None:
        raise Http404
    return actor.organisation


def slug_of(actor: Actor) -> str:
    """Return the slug of the actor's organisation."""
    return organisation_of(actor).slug


def person_of(actor: Actor) -> User:
    """Return the person behind an actor that `organisation_page` admitted."""
    return cast(User, actor.user)


def actor_of(request: HttpRequest) -> Actor:
    """Return the actor that API authentication attached to the request."""
    return cast(Actor, request.auth)  # type: ignore[attr-defined]


def key_actor(text: str) -> Actor | None:
    """Return the actor for the text of a key, or None if the key is not usable.

    A key is usable while its holder is: a person who is deactivated, or who left the organisation
    or the key's team, has no usable key there. A model key also requires a role that may have keys,
    as for model calls.
    """
    if key_format.check(text) not in (key_format.KeyForm.OWN, key_format.KeyForm.FOREIGN):
        return None
    key, ends_at = find_key_of(text)
    return None if key is None else actor_of_key(key, ends_at)


def actor_of_key(key: Key, ends_at: dt.datetime | None = None) -> Actor | None:
    """Return the actor for a key as of now, or None if the key is no longer usable. `ends_at` is
    the end of the secret that was presented."""
    if key_state(key, clock.now()) != "active" or not _place_is_active(key):
        return None
    if key.user is None:
        return _program(key, ends_at)
    membership = _living_membership(key)
    if membership is None:
        return None
    actor = replace(actor_of_member(key.user, key.organisation, membership, key), ends_at=ends_at)
    if key.kind == KeyKind.MANAGEMENT:
        return actor
    has_keys = actor.authority.scope_of(roles.HAS_KEYS) is not None
    model_key = Actor(key.user, key, key.organisation, role=None, operator=False)
    return model_key if has_keys else None


def _program(key: Key, ends_at: dt.datetime | None) -> Actor | None:
    """Return the actor for a key that belongs to no person."""
    account = key.service_account
    if key.kind != KeyKind.MANAGEMENT:
        return Actor(None, key, key.organisation, role=None, operator=False)
    if account is None:
        return None
    permissions = account.custom_role.permissions if account.custom_role else ()
    return Actor(
        None,
        key,
        key.organisation,
        Role(account.role),
        operator=False,
        ends_at=ends_at,
        permissions=tuple(permissions),
        teams=frozenset({account.team_id}),
    )


def _place_is_active(key: Key) -> bool:
    """Return whether the key's team and organisation are in use, as
    `accounts.keys.sql.holder_is_active` does."""
    organisation, account = key.organisation, key.service_account
    ended = organisation.suspended_at or organisation.archived_at or key.team.archived_at
    return not (ended or (account and account.disabled))


def _living_membership(key: Key) -> Membership | None:
    membership = (
        memberships()
        .filter(user=key.user_id, user__is_active=True, organisation=key.organisation_id)
        .first()
    )
    teams = teams_of(membership) if membership else None
    return membership if teams is None or key.team_id in teams else None


def linked_actor(request: HttpRequest, organisation: Organisation) -> Actor:
    """Return the signed-in person as an actor in an organisation whose name is not in the link: as
    its member, or as an operator. Raises Http404 for anybody else."""
    user = cast(User, request.user)
    membership = (
        memberships()
        .filter(user=user, organisation=organisation, organisation__archived_at=None)
        .first()
    )
    if membership is None and (not user.operator or organisation.archived_at is not None):
        raise Http404
    return actor_of_member(user, organisation, membership)


def actor_in_organisation(actor: Actor, slug: str) -> Actor:
    """Return the operator as an actor in another organisation: with the role that they have there
    as a member, or else with an operator's rights alone. Raises Http404 for anybody else and for an
    unknown organisation, which look the same."""
    organisation = Organisation.objects.filter(slug=slug, archived_at=None).first()
    if not actor.operator or actor.user is None or actor.viewing or organisation is None:
        raise Http404
    membership = memberships().filter(user=actor.user, organisation=organisation).first()
    there = actor_of_member(actor.user, organisation, membership, actor.key)
    return replace(there, ends_at=actor.ends_at)


def session_actor(request: HttpRequest, user: User) -> Actor | None:
    """Return the person as an actor in the organisation last visited, or None."""
    membership = last_membership(request, user)
    if membership is None and not user.operator:
        return None
    return actor_of_member(user, membership.organisation if membership else None, membership)


def last_membership(request: HttpRequest, user: User) -> Membership | None:
    """Return the person's membership in the organisation that this session last visited, or else
    the first membership."""
    mine = list(
        memberships().filter(user=user, organisation__archived_at=None).order_by("created_at", "id")
    )
    last = request.session.get(LAST_ORGANISATION)
    return next(
        (membership for membership in mine if membership.organisation.slug == last), None
    ) or next(iter(mine), None)
