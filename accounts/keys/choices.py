"""Teams and API keys as the choices of a field that names what a budget or a rule applies to, and
the people for whom an actor may create a key."""

from collections.abc import Sequence

from django.db.models import Q

from accounts.access import access
from accounts.access.actors import Actor
from accounts.keys.keys import may_have_keys
from accounts.members.access import visible_members
from accounts.members.team_members import members_led_by
from accounts.models import Key, KeyKind, Membership
from lib.forms.picker import CHOICES_MAX, Choice
from lib.ids import id_text, parse_id


def team_choices(actor: Actor, text: str) -> list[Choice]:
    """Return the active teams whose name contains the text, by slug."""
    teams = access.visible_teams(actor).filter(archived_at=None, name__icontains=text)
    return [
        Choice(team.slug, team.name, "" if team.slug == team.name else team.slug)
        for team in teams[:CHOICES_MAX]
    ]


def key_choices(actor: Actor, text: str) -> list[Choice]:
    """Return the keys that call models and match the text by name or secret, by id."""
    keys = access.visible_keys(actor).filter(revoked_at=None, kind=KeyKind.RELAY)
    if text:
        keys = keys.filter(Q(name__icontains=text) | Q(prefix__startswith=text) | Q(last4=text))
    rows = keys.prefetch_related(None)[:CHOICES_MAX]
    return [Choice(id_text(key.id), key.name, _place(key)) for key in rows]


def team_names(actor: Actor, slugs: Sequence[str]) -> dict[str, str]:
    """Return the names of these teams, by slug."""
    teams = access.visible_teams(actor).filter(slug__in=slugs)
    return dict(teams.values_list("slug", "name"))


def key_names(actor: Actor, ids: Sequence[str]) -> dict[str, str]:
    """Return the names of these keys, by id, as far as the actor may list keys."""
    if access.scope_of(actor, "keys.read") is None:
        return {}
    known = [id for text in ids if (id := parse_id(text))]
    keys = access.visible_keys(actor).filter(id__in=known)
    return {id_text(key.id): key.name for key in keys}


def colleagues_of(actor: Actor) -> list[Membership]:
    """Return the members other than the actor who can sign in and have a key."""
    if access.scope_of(actor, "members.read") in (None, "own"):
        members = members_led_by(actor)
    else:
        members = visible_members(actor).filter(user__is_active=True)
    members = members.exclude(user=actor.user).select_related("user", "custom_role")
    return [member for member in members if may_have_keys(member)]


def _place(key: Key) -> str:
    """Return the team and the end of the secret, by which a key is known elsewhere."""
    return f"{key.team.name} · {key.prefix}…{key.last4}"
