"""What tests have made beside the running hub: people with a session each, and what befalls one."""

from typing import Any

from allauth.mfa.models import Authenticator

from accounts.access.actors import SYSTEM
from accounts.members import members
from accounts.models import Organisation, Role, User
from accounts.organisations import organisations
from accounts.second_factor import second_factor
from accounts.sessions import sessions
from accounts.sessions.store import SessionStore
from playground.models import Preference


def assemble() -> dict[str, Any]:
    """alice, who owns Acme and Poor, bob (developer) and vera (viewer)."""
    alice = members.add_person("alice@example.org", name="Alice Ng", actor=SYSTEM)
    acme = organisations.create_organisation("Acme", owner=alice, actor=SYSTEM)
    members.set_member(acme, "bob@example.org", Role.DEVELOPER, actor=SYSTEM)
    members.set_member(acme, "vera@example.org", Role.VIEWER, actor=SYSTEM)
    organisations.create_organisation("Poor", owner=alice, actor=SYSTEM)
    people = User.objects.filter(memberships__organisation=acme)
    # Chats have their first words as names but where that is tested.
    Preference.objects.bulk_create(Preference(user=user, title_model="") for user in people)
    return {
        "organisation": acme.id,
        "team": acme.teams.get().id,
        "sessions": {user.email.split("@")[0]: _session(user) for user in people},
    }


def add_secured(name: str) -> str:
    """The session of a new developer of Acme who has an authenticator app."""
    acme = Organisation.objects.get(slug="acme")
    user = members.set_member(acme, f"{name}@example.org", Role.DEVELOPER, actor=SYSTEM).user
    Authenticator.objects.create(user=user, type="totp", data={})
    return _session(user)


def befall(name: str, event: str) -> None:
    """What an owner or operator does to that person of Acme."""
    acme = Organisation.objects.get(slug="acme")
    user = User.objects.get(email=f"{name}@example.org")
    if event == "removed":
        members.remove_member(acme, user.email, actor=SYSTEM)
    elif event == "deactivated":
        members.set_active(user, False, actor=SYSTEM)
    elif event == "sessions ended":
        sessions.end(user, "test")
    else:
        second_factor.reset_factors(SYSTEM, user)


def _session(user: User) -> str:
    store = SessionStore()
    store["_auth_user_id"] = str(user.id)
    store["_auth_user_backend"] = "django.contrib.auth.backends.ModelBackend"
    store["_auth_user_hash"] = user.get_session_auth_hash()
    store.create()
    return str(store.session_key)
