"""The fixed cast: alice owns acme, bob develops there, charlie is a stranger, dora operates."""

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

from django.test import Client

from accounts.access import actors
from accounts.access.actors import SYSTEM, Actor
from accounts.keys import keys
from accounts.members import members
from accounts.models import Key, KeyKind, Organisation, Role, Team, User
from accounts.organisations import organisations
from lib import clock

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Cast:
    """People with two organisations; `stranger` is charlie's."""

    acme: Organisation
    core: Team
    stranger: Organisation
    alice: User
    bob: User
    charlie: User
    dora: User


def person(name: str, *, operator: bool = False) -> User:
    user = members.add_person(
        f"{name}@example.org", name=name.title(), operator=operator, actor=SYSTEM
    )
    user.set_password(PASSWORD)
    user.save(update_fields=["password"])
    return user


def member(organisation: Organisation, name: str, role: Role) -> User:
    """One more person of that role in the organisation."""
    user = person(name)
    members.set_member(organisation, user.email, role, actor=SYSTEM)
    return user


BUILT_IN: Final = [role for role in Role if role != Role.CUSTOM]


def assemble() -> Cast:
    """Put the whole cast into the database."""
    alice, charlie = person("alice"), person("charlie")
    acme = organisations.create_organisation("Acme", owner=alice, actor=SYSTEM)
    stranger = organisations.create_organisation("Stranger", owner=charlie, actor=SYSTEM)
    return Cast(
        acme=acme,
        core=acme.teams.get(),
        stranger=stranger,
        alice=alice,
        bob=member(acme, "bob", Role.DEVELOPER),
        charlie=charlie,
        dora=person("dora", operator=True),
    )


def actor(user: User, organisation: Organisation | None = None) -> Actor:
    """The person, acting in the organisation in the role that they have there."""
    membership = user.memberships.filter(organisation=organisation).first()
    return actors.actor_of_member(user, organisation, membership)


def make_key(
    team: Team, name: str = "ci", *, user: User | None = None, **over: Any
) -> tuple[Key, str]:
    """A key of that team and its text; `over` is as for `accounts.keys.keys.mint_key`."""
    return keys.mint_key(SYSTEM, team, name, user=user, **{"kind": KeyKind.RELAY, **over})


def signed_in(user: User, **client_options: Any) -> Client:
    """A browser in which that person signed in just now, by password."""
    client = Client(**client_options)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    confirmed(client, user, clock.now())
    return client


def confirmed(client: Client, user: User, at: dt.datetime) -> None:
    """Let it be at that moment that whoever is signed in last showed who they are."""
    session = client.session
    session["account_authentication_methods"] = [{"method": "password", "at": at.timestamp()}]
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()


def with_key(text: str) -> Client:
    """A program that presents that key."""
    return Client(headers={"authorization": f"Bearer {text}"})
