"""Makes the world of the isolation matrix: its cast, and one object of each kind in each place."""

import datetime as dt
from typing import Any

from allauth.usersessions.models import UserSession
from django.test import Client

from accounts.access.actors import LAST_ORGANISATION, SYSTEM
from accounts.custom_roles import custom_roles
from accounts.keys import service_accounts
from accounts.members import members, team_members
from accounts.models import (
    CustomRole,
    Invitation,
    KeyKind,
    Membership,
    Organisation,
    Role,
    ServiceAccount,
    Team,
    User,
)
from accounts.organisations import organisations, teams
from accounts.sessions.store import session_digest
from accounts.sessions.view_as import begin_viewing
from billing.balances import balances
from content.prompts import prompts
from content.prompts.settings import Settings
from gateway.settings.installation import save_settings
from lib import clock
from lib.ids import new_id
from playground.models import Conversation
from tests.isolation.kinds import KINDS
from tests.isolation.who import ROLES, Who, everybody, may_have_model_keys
from tests.isolation.world import NANO, Place, World
from tests.support import cast
from tests.usage.rows import happen
from usage.overview import chart_notes


def build() -> World:
    """Everything but what is somebody's own, which is made when it is first asked for."""
    # As models are: everybody sees it, where the operator says so.
    save_settings(SYSTEM, public_status=True)
    dora = cast.person("dora", operator=True)
    owner, charlie = cast.person("olga"), cast.person("zforeignz")
    acme = organisations.create_organisation("Acme", owner=owner, actor=SYSTEM)
    stranger = organisations.create_organisation("Zforeignz", owner=charlie, actor=SYSTEM)
    core = acme.teams.get()
    side = teams.create_team(acme, "Zsidez", actor=SYSTEM)
    world = World(acme, core, side, stranger, dora)
    for organisation in (acme, stranger):
        balances.add_opening_credit(organisation, 1000 * NANO)
    cora, sid = cast.person("zcolleaguez"), cast.person("zsidez")
    for user, team in ((cora, core), (sid, side)):
        members.set_member(acme, user.email, Role.DEVELOPER, teams=[team], actor=SYSTEM)
    _leave(world, cora)
    _invite(world, sid)
    _place(world, "colleague", core, cora)
    _place(world, "side", side, sid)
    # Its slug is none of Acme's: a slug names a team within an organisation only.
    _place(world, "foreign", teams.create_team(stranger, "Zforeignz", actor=SYSTEM), charlie)
    world.places["there"] = world.places["colleague"]
    for role in ROLES:
        _add_role(world, role)
    for who in everybody():
        world.clients[who] = _client(world, who)
    _end(world)
    for kind in KINDS:
        for where in kind.wheres:
            if where not in ("own", "missing"):
                world.id_of(kind, where, Who("owner"))
        if kind.private:
            for role in (role for role in ROLES if may_have_model_keys(role)):
                world.id_of(kind, "own", Who(role))
    return world


def _place(world: World, name: str, team: Team, user: User) -> None:
    word = f"z{name.replace(' ', '')}z"
    key, _ = cast.make_key(team, f"key {word}", user=user)
    world.places[name] = Place(word, team.organisation, team, user, key)


def _add_role(world: World, role: str) -> None:
    """Somebody of that role, one who will be removed and one who will be deactivated."""
    spec, slug, custom = ROLES[role], role.replace(" ", ""), None
    if spec.permissions:
        custom = custom_roles.create_role(world.acme, role.title(), spec.permissions, actor=SYSTEM)
    for value in ("active", "removed", "deactivated"):
        operator = role == "operator" or spec.viewing
        user = cast.person(f"{value}-z{slug}z", operator=operator)
        world.people[role, value] = user
        if not spec.outside and not spec.viewing:
            members.set_member(
                world.acme, user.email, Role(spec.built_in or Role.CUSTOM), custom_role=custom,
                teams=[world.core] if spec.limited else None, actor=SYSTEM,
            )  # fmt: skip
        # Whoever asks was a member elsewhere, left, and may come back.
        if value == "active" and not operator:
            _leave(world, user)
            _invite(world, user)
        if spec.lead:
            row = Membership.objects.get(user=user, organisation=world.acme)
            team_members.set_lead(SYSTEM, world.core, row, True)
    _place(world, role, world.core, world.people[role, "active"])


def _leave(world: World, user: User) -> None:
    """Let somebody do in the other organisation what names them there, and leave it."""
    stranger, word = world.stranger, f"{user.pk} zforeignz"
    members.set_member(stranger, user.email, Role.ADMIN, actor=SYSTEM)
    actor, team = cast.actor(user, stranger), stranger.teams.earliest("id")
    key, _ = cast.make_key(team, f"left {word}", user=user)
    happen(key, clock.now() - dt.timedelta(hours=1), model="left-zforeignz", user_id=user.pk)
    chart_notes.add_note(actor, clock.now(), f"left {word}")
    prompts.save_prompt(actor, f"left {word}", "m-1", Settings(), note=word, shared=True)
    Conversation.objects.create(
        organisation=stranger, team=team, user=user, title=f"Left {word}", model="m"
    )
    members.remove_member(stranger, user.email, actor=SYSTEM)


def _invite(world: World, user: User) -> None:
    """Let an invitation to the other organisation wait for somebody."""
    Invitation.objects.create(
        organisation=world.stranger, email=user.email, role=Role.VIEWER, message="zforeignz",
        digest=new_id().bytes, expires_at=clock.now() + dt.timedelta(days=7),
    )  # fmt: skip


def _client(world: World, who: Who) -> Client:
    """What that one asks with: a browser, or a program with a key."""
    user = world.asker(who)
    if who.carrier == "session":
        client = cast.signed_in(user, raise_request_exception=False)
        if who.spec.viewing:
            _view(world, client)
        open_first_page(client, user, world.acme)
        return client
    kind = KeyKind.RELAY if who.carrier == "model key" else KeyKind.MANAGEMENT
    account = _account(world, who) if who.carrier == "service account key" else None
    holder: dict[str, Any] = {"service_account": account} if account else {"user": user}
    _, text = cast.make_key(world.core, f"by {who}", kind=kind, **holder)
    client = cast.with_key(text)
    client.raise_request_exception = False
    return client


def open_first_page(client: Client, user: User, organisation: Organisation) -> None:
    """Leave a session as a first page does: each later one would write it again, where what it
    writes is taken back. It was used in a moment that is to come, for the next note of its use is
    due a minute later."""
    session = client.session
    session[LAST_ORGANISATION] = organisation.slug
    session.save()
    UserSession.objects.create(
        user=user, ip="127.0.0.1", session_key=session_digest(str(session.session_key)),
        last_seen_at=clock.now() + dt.timedelta(hours=1),
    )  # fmt: skip


def _view(world: World, client: Client) -> None:
    session = client.session
    begin_viewing(session, world.acme.slug, Role.ADMIN)
    session.save()


def _account(world: World, who: Who) -> ServiceAccount:
    spec = who.spec
    custom = CustomRole.objects.filter(organisation=world.acme, name=who.role.title()).first()
    return service_accounts.create_service_account(
        world.core, str(who), Role(spec.built_in or Role.CUSTOM), custom_role=custom, actor=SYSTEM
    )


def _end(world: World) -> None:
    """Take away what is to be taken away, now that the sessions and keys are there."""
    for (role, usage), user in world.people.items():
        spec = ROLES[role]
        if usage == "removed" and not (spec.outside or spec.viewing):
            members.remove_member(world.acme, user.email, actor=SYSTEM)
        if usage == "deactivated":
            members.set_active(user, False, actor=SYSTEM)
    for who in everybody():
        if (who.carrier, who.standing) == ("service account key", "deactivated"):
            account = ServiceAccount.objects.get(organisation=world.acme, name=str(who))
            service_accounts.change_service_account(
                account, role=Role(account.role), custom_role=account.custom_role, disabled=True,
                actor=SYSTEM,
            )  # fmt: skip
