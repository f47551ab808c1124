"""Who has which right at an instant, read from the rows alone.

This is an oracle of P23: it shares nothing with `accounts/roles/authority.py` but the table of
roles. A right is an action and where it holds: in the organisation as a whole, in one team, or for
what is one's own in one team.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from accounts.models import (
    CustomRole,
    Invitation,
    Key,
    KeyKind,
    Membership,
    Organisation,
    Project,
    ServiceAccount,
    Team,
)
from accounts.roles.rules import _SHARED, CUSTOM_ALONE, LEAD_ACTIONS, TABLE, TEAM_ACTIONS
from billing.models import Budget

Right = tuple[str, object]
WHOLE: Final = "the organisation"


@dataclass(frozen=True)
class Holder:
    """Somebody or some program with a role: a built-in one, or the permissions of a custom one."""

    role: str
    permissions: frozenset[str]
    teams: frozenset[UUID] | None
    leads: frozenset[UUID] = frozenset()


@lru_cache(maxsize=10_000)
def rights_of(holder: Holder, teams: frozenset[UUID]) -> frozenset[Right]:
    """Every right of a holder, in an organisation of these teams."""
    result = set[Right]()
    mine = teams if holder.teams is None else holder.teams
    for action, row in TABLE.items():
        if holder.role == "custom":
            given = action in CUSTOM_ALONE or row.get("owner") == "all"
            whole = action in holder.permissions and given
            own = whole or action in holder.permissions or f"{action}:own" in holder.permissions
        else:
            whole = row.get(holder.role) == "all"  # type: ignore[call-overload]
            own = holder.role in row
        if whole and (holder.teams is None or action in _SHARED):
            result.add((action, WHOLE))
        if whole and (holder.teams is None or action in TEAM_ACTIONS):
            result |= {(action, team) for team in mine}
        lost = (
            holder.teams is not None
            and whole
            and not (action in _SHARED or action in TEAM_ACTIONS or "own" in row.values())
        )
        if own and not lost:
            result |= {(action, ("own", team)) for team in mine}
    for team in holder.leads & mine:
        result |= {(action, place) for action in LEAD_ACTIONS for place in (team, ("own", team))}
    return frozenset(result)


@dataclass(frozen=True)
class Secret:
    """A secret that a key had at some time."""

    key: UUID
    generation: int


@dataclass
class State:
    """The rows of an organisation at an instant. `rows` holds what can be changed, by its kind and
    its id, with where it belongs."""

    teams: frozenset[UUID]
    members: dict[int, Holder]
    member_ids: dict[int, int]
    accounts: dict[UUID, Holder]
    keys: dict[UUID, Any]
    rows: dict[tuple[str, object], tuple[object, object]] = field(default_factory=dict)

    def of_person(self, user: int) -> frozenset[Right]:
        """What a person may do as a member."""
        return rights_of(self.members[user], self.teams) if user in self.members else frozenset()

    def of_secret(self, secret: Secret, living: Mapping[UUID, Collection[int]]) -> frozenset[Right]:
        """What somebody may do who knows a secret of a management key; `living` are the secrets of
        each key that still work."""
        key = self.keys.get(secret.key)
        if key is None or not key["lives"] or secret.generation not in living[secret.key]:
            return frozenset()
        if key["kind"] != KeyKind.MANAGEMENT:
            return frozenset()
        if key["service_account"] is not None:
            holder = self.accounts.get(key["service_account"])
            return rights_of(holder, self.teams) if holder else frozenset()
        member = self.members.get(key["user"])
        if member is None or (member.teams is not None and key["team"] not in member.teams):
            return frozenset()
        return rights_of(member, self.teams)


NO_LIMITS: Final = (None, None, None)
"""What a member or a team has until somebody limits it."""


def read_state(organisation: Organisation) -> State:
    """The organisation as its rows have it now."""
    roles = dict(
        CustomRole.objects.filter(organisation=organisation).values_list("id", "permissions")
    )

    def holder(
        role: str, custom: UUID | None, teams: frozenset[UUID] | None, leads: Collection[UUID] = ()
    ) -> Holder:
        return Holder(role, frozenset(roles[custom] if custom else ()), teams, frozenset(leads))

    state = State(frozenset(), {}, {}, {}, {})
    _read_teams(state, organisation)
    in_teams = dict[int, set[UUID]]()
    through = Membership.teams.through.objects.filter(membership__organisation=organisation)
    for membership, team in through.values_list("membership_id", "team_id"):
        in_teams.setdefault(membership, set()).add(team)
    members = Membership.objects.filter(organisation=organisation, user__is_active=True)
    for row in members.values(
        *("id", "user_id", "role", "custom_role_id", "all_teams", "leads", "rpm", "tpm", "parallel")
    ):
        teams = None if row["all_teams"] else frozenset(in_teams.get(row["id"], ()))
        state.members[row["user_id"]] = holder(
            row["role"], row["custom_role_id"], teams, row["leads"]
        )
        state.member_ids[row["id"]] = row["user_id"]
        state.rows["member", row["user_id"]] = (
            (row["role"], row["custom_role_id"], teams is None),
            WHOLE,
        )
        for team in teams or ():
            state.rows["in team", (row["user_id"], team)] = (True, team)
        for team in row["leads"]:
            state.rows["lead", (row["user_id"], team)] = (True, team)
        limits = (row["rpm"], row["tpm"], row["parallel"])
        if limits != NO_LIMITS:
            state.rows["limit", ("member", row["id"])] = (limits, WHOLE)
    for role, permissions in roles.items():
        state.rows["role", role] = (tuple(permissions), WHOLE)
    for account in ServiceAccount.objects.filter(organisation=organisation):
        inputs = (account.role, account.custom_role_id, account.disabled)
        if not account.disabled:
            state.accounts[account.id] = holder(*inputs[:2], frozenset({account.team_id}))
        state.rows["service account", account.id] = (inputs, account.team_id)
    _read_keys(state, organisation)
    _read_budgets(state, organisation)
    return state


def _read_teams(state: State, organisation: Organisation) -> None:
    teams = list(Team.objects.filter(organisation=organisation).values())
    state.teams = frozenset(row["id"] for row in teams)
    for row in teams:
        named = (row["name"], row["archived_at"], tuple(row["required_labels"]))
        state.rows["team", row["id"]] = (named, row["id"])
        limits = (row["rpm"], row["tpm"], row["parallel"])
        if limits != NO_LIMITS:
            state.rows["limit", ("team", row["id"])] = (limits, row["id"])
    for project in Project.objects.filter(organisation=organisation):
        place = (project.name, project.archived_at, project.team_id)
        state.rows["project", project.id] = (place, project.team_id)


def _read_keys(state: State, organisation: Organisation) -> None:
    for row in Key.objects.filter(organisation=organisation).values():
        lives = not row["disabled"] and row["revoked_at"] is None
        state.keys[row["id"]] = {
            "kind": row["kind"], "lives": lives, "team": row["team_id"], "user": row["user_id"],
            "service_account": row["service_account_id"],
        }  # fmt: skip
        inputs = (row["name"], lives, row["digest"], row["user_id"], row["service_account_id"])
        state.rows["key", row["id"]] = (inputs, row["team_id"])


def _read_budgets(state: State, organisation: Organisation) -> None:
    for row in Budget.objects.filter(organisation=organisation).values():
        place: object = WHOLE
        if row["scope"] == "team":
            place = UUID(row["subject"])
        elif row["scope"] == "key":
            place = state.keys[UUID(row["subject"])]["team"]
        elif row["scope"] == "user":
            member = state.members.get(int(row["subject"]))
            place = (member and member.teams) or WHOLE
        state.rows["budget", row["id"]] = ((row["amount_nano"], row["enabled"]), place)
    invitations = Invitation.objects.filter(organisation=organisation)
    for invitation in invitations.select_related("custom_role").prefetch_related("teams"):
        teams = None
        if not invitation.all_teams:
            teams = frozenset(team.id for team in invitation.teams.all())
        permissions = invitation.custom_role.permissions if invitation.custom_role else ()
        offered = Holder(invitation.role, frozenset(permissions), teams)
        state.rows["invitation", invitation.id] = (offered, WHOLE)
