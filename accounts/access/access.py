"""Access checks: every object passes through here.

An object comes only from an `access_*` function, which starts from the actor's organisation.
Objects of others look exactly like missing ones (404). The table of roles and actions itself is
pure: `accounts/roles/rules.py`.
"""

import uuid
from typing import TypeVar, get_args

from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import Http404
from django.utils.translation import gettext, gettext_lazy

from accounts.access.actors import Actor
from accounts.models import Key, KeyKind, Organisation, Project, ServiceAccount, Team, User
from accounts.roles import rules as roles
from lib import clock
from lib.ids import parse_id, parse_number
from lib.sentences import join_sentences

Row = TypeVar("Row", bound=Model)


MODEL_KEY_ACTIONS: frozenset[roles.Action] = frozenset(
    {"keys.read", "usage.read", "requests.read", "models.read", "budgets.read", "prompts.read"}
)
"""What a key that calls models may read about itself."""

_WHILE_SUSPENDED: frozenset[roles.Action] = frozenset(
    {
        *(action for action in get_args(roles.Action) if action.endswith(".read")),
        "topups.write",
    }
)

ROLE_NAMES = {
    "owner": gettext_lazy("owner"),
    "admin": gettext_lazy("admin"),
    "billing": gettext_lazy("billing"),
    "developer": gettext_lazy("developer"),
    "viewer": gettext_lazy("viewer"),
    "custom": gettext_lazy("custom"),
    "operator": gettext_lazy("operator"),
}


class AccessDenied(PermissionDenied):
    """The actor's role does not allow the action; the text names the roles that do."""


def scope_of(actor: Actor, action: roles.Action) -> roles.Scope | None:
    """Return how far the actor may do `action`: in the whole organisation, in the teams that the
    actor is limited to, only for its own objects, or None."""
    if actor.model_key:
        return "own" if action in MODEL_KEY_ACTIONS else None
    # An operator sees what is needed to run the installation, never prompts.
    if actor.viewing and action.startswith(("playground.", "prompts.", "content.")):
        return None
    as_member = actor.authority.scope_of(action)
    if actor.organisation is not None and not _is_open(actor.organisation, action):
        as_member = None
    as_operator = roles.scope_of("operator", action) if actor.operator else None
    return roles.widest_scope([as_member, as_operator])


def reaches_team(actor: Actor, action: roles.Action, team_id: uuid.UUID) -> bool:
    """Return whether the actor may do `action` for everything in a team that it sees."""
    scope = scope_of(actor, action)
    return scope == "all" or (scope == "teams" and team_id in actor.authority.teams_of(action))


def sees_own_besides(actor: Actor, action: roles.Action) -> bool:
    """Return whether the actor's role allows `action` for its own objects in every team, beside the
    teams where the actor may do it as a lead."""
    return actor.authority.scope_by_role(action) == "own"


def _is_open(organisation: Organisation, action: roles.Action) -> bool:
    """Return whether members may do the action now. A suspended organisation can only be read and
    pay its debts."""
    return organisation.suspended_at is None or action in _WHILE_SUSPENDED


def require(actor: Actor, action: roles.Action) -> None:
    """Raise AccessDenied unless the actor may do `action`. Its text names the roles that may."""
    if scope_of(actor, action) is not None:
        return
    if actor.model_key:
        raise AccessDenied(
            gettext("A model key can only read its own usage. Use a management key instead.")
        )
    if actor.organisation is not None and not _is_open(actor.organisation, action):
        raise AccessDenied(suspension_text(actor.organisation))
    if action in roles.CUSTOM_ALONE:
        raise AccessDenied(
            gettext(
                "You need a role with the permission “Read contents” for this. "
                "An owner of the organisation can create one."
            )
        )
    # An owner grants every role except the installation's.
    granted = [role for role in roles.roles_with(action) if role != "operator"]
    raise AccessDenied(
        gettext("You need the %(role)s role for this. An owner of the organisation can grant it.")
        % {"role": ROLE_NAMES[granted[-1]]}
        if granted
        else gettext("Only an operator can do this.")
    )


def suspension_text(organisation: Organisation) -> str:
    """Return the message for members of a suspended organisation."""
    text = gettext("%(organisation)s is suspended.") % {"organisation": organisation.name}
    reason = organisation.suspended_reason
    ask = gettext("Contact the operator of this installation.")
    return join_sentences(text, reason, ask)


def get_by_id(rows: QuerySet[Row], id: str | uuid.UUID | int | None) -> Row:
    """Return the row with that id, which may be a text. Raises Http404."""
    wanted = parse_id(id) if isinstance(id, str) else id
    row = rows.filter(pk=wanted).first() if wanted else None
    if row is None:
        raise Http404
    return row


def get_by_slug(rows: QuerySet[Row], slug: str) -> Row:
    """Return the row with that slug. Raises Http404, also for a slug with a zero byte."""
    row = rows.filter(slug=slug).first() if "\0" not in slug else None
    if row is None:
        raise Http404
    return row


def visible_keys(actor: Actor) -> QuerySet[Key]:
    """Return the keys that the actor may list, newest first, without the playground's own key."""
    require(actor, "keys.read")
    keys = (
        Key.objects.filter(organisation=actor.organisation)
        .exclude(kind=KeyKind.PLAYGROUND)
        .select_related("user", "team", "organisation", "service_account", "project")
        .prefetch_related("former_secrets")
        .order_by("-id")
    )
    if actor.model_key:
        return keys.filter(id=actor.model_key.id)
    scope = scope_of(actor, "keys.read")
    if scope == "own":
        return keys.filter(own_keys(actor))
    if scope != "teams":
        return keys
    reached = Q(team__in=actor.authority.teams_of("keys.read"))
    if sees_own_besides(actor, "keys.read"):
        reached |= own_keys(actor)
    return keys.filter(reached)


def own_keys(actor: Actor) -> Q:
    """Select the actor's own keys: those of the person, or of the service account whose key
    calls. A key without a holder belongs to no actor."""
    if actor.user is not None:
        return Q(user=actor.user)
    account = account_of(actor)
    return Q(pk__in=[]) if account is None else Q(service_account=account)


def account_of(actor: Actor) -> ServiceAccount | None:
    """Return the service account whose key calls."""
    return actor.key.service_account if actor.key else None


def works_now(path: str = "") -> Q:
    """Return the condition of the keys that are neither revoked, nor disabled, nor expired. `path`
    leads from the rows to their keys, such as `keys__`."""
    unexpired = Q(**{f"{path}expires_at": None}) | Q(**{f"{path}expires_at__gt": clock.now()})
    return Q(**{f"{path}revoked_at": None, f"{path}disabled": False}) & unexpired


def living_keys(actor: Actor) -> QuerySet[Key]:
    """Return the keys that the actor may list and that work now, newest first."""
    return visible_keys(actor).filter(works_now())


def payable_keys(actor: Actor) -> QuerySet[Key]:
    """Return the keys that a page's chats may be charged to: active model keys that belong to
    the actor, or to nobody if the actor may list them. A key limited to networks is for servers and
    is left out."""
    require(actor, "playground.use")
    keys = living_keys(actor).filter(kind=KeyKind.RELAY, networks=[])
    calls = Q(endpoints=[]) | Q(endpoints__contains=["chat_completions"])
    return keys.filter(calls, Q(user=None) | Q(user=actor.user))


def access_key(actor: Actor, id: str | uuid.UUID) -> Key:
    """Return one key that the actor may see. Raises Http404."""
    return get_by_id(visible_keys(actor), id)


def any_key(actor: Actor, id: str) -> Key:
    """Return a key of any organisation, for operators. Raises Http404."""
    return get_by_id(any_keys(actor), id)


def any_keys(actor: Actor) -> QuerySet[Key]:
    """Return all keys of the installation, for operators, newest first."""
    require(actor, "organisations.read")
    return Key.objects.order_by("-id")


def may_write_key(actor: Actor, key: Key) -> bool:
    """Return whether the actor may change or revoke a key that it sees: its own, or all of them."""
    if reaches_team(actor, "keys.write", key.team_id):
        return True
    if actor.user is not None:
        own = key.user_id == actor.user.id
    else:
        account = account_of(actor)
        own = account is not None and key.service_account_id == account.id
    return own and scope_of(actor, "keys.write_own") is not None


def may_see_address(actor: Actor, key: Key) -> bool:
    """Return whether the actor may see the address from which a visible key was used. Those may who
    can change the key, or read the audit trail, which contains addresses too."""
    return may_write_key(actor, key) or reaches_team(actor, "audit.read", key.team_id)


def writable_key(actor: Actor, id: str | uuid.UUID) -> Key:
    """Return one key that the actor may change or revoke. Raises Http404, or AccessDenied if the
    actor may only see it."""
    key = access_key(actor, id)
    if not may_write_key(actor, key):
        require(actor, "keys.write")
    return key


def visible_teams(actor: Actor) -> QuerySet[Team]:
    """Return the actor's teams in the organisation, archived ones too, oldest first."""
    teams = Team.objects.filter(organisation=actor.organisation).order_by("created_at", "id")
    if actor.key and actor.key.kind != KeyKind.MANAGEMENT:
        return teams.filter(id=actor.key.team_id)
    return teams if actor.teams is None else teams.filter(id__in=actor.teams)


def access_team(actor: Actor, slug: str | None = None) -> Team:
    """Return an active team of the actor, by default the first. Raises Http404."""
    teams = visible_teams(actor).filter(archived_at=None)
    team = (teams.filter(slug=slug) if slug else teams).first()
    if team is None:
        raise Http404
    return team


def require_all_teams(actor: Actor) -> None:
    """Raise AccessDenied if the actor is limited to teams, because a new team would not belong to
    these."""
    if actor.teams is not None:
        raise AccessDenied(gettext("Only members with access to every team can do this."))


def access_any_team(actor: Actor, slug: str) -> Team:
    """Return a team of the actor, active or archived. Raises Http404."""
    require(actor, "teams.read")
    return get_by_slug(visible_teams(actor), slug)


def writable_team(actor: Actor, slug: str) -> Team:
    """Return a team that the actor may change, active or archived. Raises Http404."""
    require(actor, "teams.write")
    return access_any_team(actor, slug)


def team_to_staff(actor: Actor, slug: str) -> Team:
    """Return a team whose members the actor may add and remove. Raises Http404."""
    require(actor, "team_members.write")
    team = access_any_team(actor, slug)
    _check_reach(actor, "team_members.write", team)
    return team


def keyed_teams(actor: Actor) -> QuerySet[Team]:
    """Return the active teams whose keys and service accounts the actor manages, oldest first."""
    require(actor, "keys.write")
    teams = visible_teams(actor).filter(archived_at=None)
    if scope_of(actor, "keys.write") == "teams":
        teams = teams.filter(id__in=actor.authority.teams_of("keys.write"))
    return teams


def keyed_team(actor: Actor, slug: str) -> Team:
    """Return an active team whose keys the actor manages. Raises Http404, or AccessDenied if the
    actor may only see it."""
    require(actor, "keys.write")
    team = access_team(actor, slug)
    _check_reach(actor, "keys.write", team)
    return team


def visible_projects(actor: Actor) -> QuerySet[Project]:
    """Return the projects of the actor's teams, archived ones too, by name."""
    require(actor, "teams.read")
    projects = Project.objects.filter(team__in=visible_teams(actor))
    return projects.select_related("team", "organisation").order_by("name", "id")


def access_project(actor: Actor, slug: str) -> Project:
    """Return a project of the actor's teams. Raises Http404."""
    return get_by_slug(visible_projects(actor), slug)


def writable_project(actor: Actor, slug: str) -> Project:
    """Return a project that the actor may change. Raises Http404."""
    require(actor, "teams.write")
    return access_project(actor, slug)


def visible_service_accounts(actor: Actor) -> QuerySet[ServiceAccount]:
    """Return the service accounts of the actor's teams, by name; a developer sees none."""
    require(actor, "keys.read")
    accounts = ServiceAccount.objects.filter(team__in=visible_teams(actor))
    scope = scope_of(actor, "keys.read")
    if scope == "own":
        accounts = accounts.none()
    elif scope == "teams":
        accounts = accounts.filter(team__in=actor.authority.teams_of("keys.read"))
    return accounts.select_related("team", "custom_role", "organisation").order_by("name", "id")


def access_service_account(actor: Actor, id: str) -> ServiceAccount:
    """Return a service account of the actor's teams. Raises Http404."""
    return get_by_id(visible_service_accounts(actor), id)


def writable_service_account(actor: Actor, id: str) -> ServiceAccount:
    """Return a service account that the actor may change and make keys for. Raises Http404."""
    require(actor, "keys.write")
    account = get_by_id(visible_service_accounts(actor), id)
    _check_reach(actor, "keys.write", account.team)
    return account


def _check_reach(actor: Actor, action: roles.Action, team: Team) -> None:
    if not reaches_team(actor, action, team.id):
        text = gettext("You cannot do this in the team %(team)s.") % {"team": team.name}
        raise AccessDenied(text)


def all_organisations(actor: Actor) -> QuerySet[Organisation]:
    """Return every organisation of the installation, for operators, by name."""
    require(actor, "organisations.read")
    return Organisation.objects.order_by("name", "id")


def access_organisation(actor: Actor, slug: str) -> Organisation:
    """Return any organisation of the installation, for operators. Raises Http404."""
    return get_by_slug(all_organisations(actor), slug)


def all_people(actor: Actor) -> QuerySet[User]:
    """Return every person of the installation, for operators, by address."""
    require(actor, "organisations.read")
    return User.objects.order_by("email", "id")


def access_person(actor: Actor, id: str) -> User:
    """Return any person of the installation, for operators. Raises Http404."""
    return get_by_id(all_people(actor), parse_number(id))
