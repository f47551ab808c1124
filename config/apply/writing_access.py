"""Carry out the changes of people and their access with the write functions of `accounts`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final, cast

from django.db import transaction

from accounts.access.actors import SYSTEM, actor_of_member
from accounts.custom_roles import custom_roles
from accounts.keys import keys, service_accounts
from accounts.members import invitations, members, team_members
from accounts.members.invitation_letters import send_letters
from accounts.members.invitations import Offer
from accounts.models import (
    CustomRole,
    Invitation,
    Key,
    Membership,
    Organisation,
    Role,
    ServiceAccount,
    Team,
    User,
)
from accounts.organisations import organisations, projects, teams
from accounts.single_sign_on import single_sign_on
from billing.price_plans import price_plans
from config.apply.difference import Change, Kind, Secret, Value
from config.apply.item_fields import CACHING, LIMITS
from lib.ids import id_text
from playground.models import PayerRule
from playground.payers.payer_rules import change_rules


class ChangeRefused(ValueError):
    """The change is not possible; the text says why and what to do instead."""


def counts_of(change: Change) -> dict[str, int | None]:
    """Return a change's limits for an organisation, a team or a member."""
    names = [name for name in (*LIMITS, *CACHING) if name in change.after]
    return {name: cast(int | None, change.after[name]) for name in names}


def write_person(change: Change) -> None:
    (email,) = change.id.name
    after = cast(dict[str, Any], change.after)
    user = members.add_person(
        email,
        actor=SYSTEM,
        name=after.get("name") or "",
        operator=after.get("operator", False),
    )
    if "active" in after:
        members.set_active(user, after["active"], actor=SYSTEM)


def write_states(organisation: Organisation, after: Mapping[str, Any]) -> None:
    """Set an organisation's requirements for members and requests, what it stores and shows, and
    whether it is suspended or archived."""
    if "required_labels" in after:
        organisations.require_labels(organisation, after["required_labels"], actor=SYSTEM)
    if "zero_retention" in after or "data_regions" in after:
        organisations.set_data_policy(
            organisation,
            zero_retention=after.get("zero_retention", organisation.zero_retention),
            regions=after.get("data_regions", organisation.data_regions),
            actor=SYSTEM,
        )
    if "second_factor_roles" in after:
        roles = after["second_factor_roles"]
        organisations.force_second_factor(organisation, roles, actor=SYSTEM)
    if "client_address_days" in after:
        days = after["client_address_days"]
        organisations.set_client_address_days(organisation, days, actor=SYSTEM)
    if "display_currency" in after:
        code = after["display_currency"]
        organisations.set_display_currency(organisation, code, actor=SYSTEM)
    if after.get("suspended") is not None:
        organisations.suspend_organisation(organisation, after["suspended"], actor=SYSTEM)
    elif "suspended" in after:
        organisations.lift_suspension(organisation, actor=SYSTEM)
    if "archived" in after:
        archive = organisations.archive_organisation
        write = archive if after["archived"] else organisations.restore_organisation
        write(organisation, actor=SYSTEM)


def _role(organisation: Organisation, change: Change) -> None:
    name = change.id.name[1]
    row = CustomRole.objects.filter(organisation=organisation, name=name).first()
    permissions = cast(tuple[str, ...], change.after.get("permissions", ()))
    if row is None:
        custom_roles.create_role(organisation, name, permissions, actor=SYSTEM)
    elif change.action == "remove":
        custom_roles.remove_role(row, actor=SYSTEM)
    else:
        custom_roles.change_role(row, name=name, permissions=permissions, actor=SYSTEM)


def _team(organisation: Organisation, change: Change) -> None:
    name = change.id.name[1]
    after = cast(dict[str, Any], change.after)
    if change.action == "change" and "slug" in after:
        raise ChangeRefused("the slug of a team cannot change")
    team = _create_team(organisation, name, after.get("slug", ""))
    keys.change_limits(SYSTEM, team, **counts_of(change))
    if "required_labels" in after:
        organisations.require_labels(team, after["required_labels"], actor=SYSTEM)
    if after.get("plan") or (change.action == "change" and "plan" in after):
        price_plans.assign_plan(SYSTEM, team, after["plan"])
    if "archived" in after:
        write = teams.archive_team if after["archived"] else teams.restore_team
        write(team, actor=SYSTEM)


def _create_team(organisation: Organisation, name: str, slug: str) -> Team:
    """Return the team by name or slug, or create it. A new organisation has a first team
    already."""
    team = organisation.teams.filter(name=name).first()
    if team is None and slug:
        team = organisation.teams.filter(slug=slug).first()
    if team is None:
        return teams.create_team(organisation, name, slug=slug, actor=SYSTEM)
    return teams.rename_team(team, name, actor=SYSTEM)


def _project(organisation: Organisation, change: Change) -> None:
    after = cast(dict[str, Any], change.after)
    if change.action == "create":
        team, slug = find_team(organisation, after["team"]), after.get("slug", "")
        project = projects.create_project(team, after["name"], slug=slug, actor=SYSTEM)
    else:
        project = organisation.projects.get(slug=change.id.name[1])
        name = after.get("name", project.name)
        team = find_team(organisation, after["team"]) if "team" in after else project.team
        project = projects.change_project(project, name=name, team=team, actor=SYSTEM)
    if "archived" in after:
        write = projects.archive_project if after["archived"] else projects.restore_project
        write(project, actor=SYSTEM)


def _service_account(organisation: Organisation, change: Change) -> None:
    name = change.id.name[1]
    after = cast(dict[str, Any], change.after)
    account = ServiceAccount.objects.filter(organisation=organisation, name=name).first()
    if account is None:
        team = find_team(organisation, after["team"])
        account = service_accounts.create_service_account(team, name, actor=SYSTEM)
    elif "team" in after:
        raise ChangeRefused(f"this service account belongs to team {account.team.name!r}")
    role, custom_role = Role(account.role), account.custom_role
    if "role" in after:
        role, custom_role = _find_role(organisation, after["role"])
    service_accounts.change_service_account(
        account,
        role=role,
        custom_role=custom_role,
        disabled=after.get("disabled", account.disabled),
        actor=SYSTEM,
    )


def _member(organisation: Organisation, change: Change) -> None:
    email = change.id.name[1]
    after = cast(dict[str, Any], change.after)
    if change.action == "remove":
        members.remove_member(organisation, email, actor=SYSTEM)
        return
    if "role" in after or "teams" in after:
        _set_member(organisation, email, after)
    membership = organisation.memberships.get(user__email__iexact=email)
    if "leads" in after:
        _set_leads(membership, _find_teams(organisation, after["leads"]) or [])
    keys.change_limits(SYSTEM, membership, **counts_of(change))
    if after.get("plan") or (change.action == "change" and "plan" in after):
        price_plans.assign_plan(SYSTEM, membership, after["plan"])
    if after.get("operator"):
        members.add_person(email, actor=SYSTEM, operator=True)


def _set_member(organisation: Organisation, email: str, after: Mapping[str, Any]) -> None:
    if "role" in after:
        role, custom_role = _find_role(organisation, after["role"])
    else:
        present = organisation.memberships.get(user__email__iexact=email)
        role, custom_role = Role(present.role), present.custom_role
    limited = _find_teams(organisation, after["teams"]) if "teams" in after else ...
    members.set_member(
        organisation, email, role, actor=SYSTEM, custom_role=custom_role, teams=limited
    )


def _set_leads(membership: Membership, led: list[Team]) -> None:
    for team in Team.objects.filter(organisation=membership.organisation):
        lead = team in led
        if lead != (team.pk in membership.leads):
            if not team_members.members_of(team).filter(pk=membership.pk).exists():
                raise ChangeRefused(f"{membership.user.email} is not in the team {team.name}")
            team_members.set_lead(SYSTEM, team, membership, lead)
            membership.refresh_from_db()


def _invitation(organisation: Organisation, change: Change) -> None:
    email = change.id.name[1]
    open_one = Invitation.objects.filter(
        organisation=organisation, email__iexact=email, accepted_at=None, withdrawn_at=None
    ).first()
    if open_one is not None:
        invitations.withdraw(open_one, actor=SYSTEM)
    if change.action != "remove":
        _invite(
            organisation, email, {**change.before, **_invitation_fields(open_one), **change.after}
        )


def _invitation_fields(invitation: Invitation | None) -> dict[str, Any]:
    """Return the terms of an invitation that is replaced by another one."""
    if invitation is None:
        return {}
    custom = invitation.custom_role
    return {
        "role": custom.name if custom else str(invitation.role),
        "teams": None if invitation.all_teams else [team.name for team in invitation.teams.all()],
        "message": invitation.message,
        "invited_by": invitation.invited_by.email if invitation.invited_by else "",
    }


def _invite(organisation: Organisation, email: str, fields: Mapping[str, Any]) -> None:
    """Invite in the name of the person in the file, who must have the right to. The email is sent
    after everything is written."""
    inviter = fields["invited_by"]
    membership = organisation.memberships.filter(user__email__iexact=inviter).first()
    if membership is None:
        raise ChangeRefused(f"{inviter} is not a member of this organisation and cannot invite")
    role, custom_role = _find_role(organisation, fields["role"])
    limited = _find_teams(organisation, fields["teams"])
    offer = Offer(role, custom_role, limited, message=fields["message"])
    actor = actor_of_member(membership.user, organisation, membership)
    sendables = invitations.invite(organisation, [email], offer, actor=actor)
    transaction.on_commit(partial(send_letters, sendables))


def _single_sign_on(organisation: Organisation, change: Change) -> None:
    row = single_sign_on.single_sign_on_of(organisation)
    if change.action == "remove" and row is not None:
        single_sign_on.remove_single_sign_on(SYSTEM, row)
        return
    after = dict(change.after)
    secret = cast(Secret | None, after.pop("secret", None))
    fields: dict[str, Any] = single_sign_on.describe_settings(row) if row else {}
    if "group_rules" in after:
        rules = cast(tuple[dict[str, Any], ...], after["group_rules"])
        after["group_rules"] = [_stored_rule(organisation, rule) for rule in rules]
    fields |= {
        name: list(value) if isinstance(value, tuple) else value for name, value in after.items()
    }
    confirmed = fields.pop("domains_confirmed")
    saved = single_sign_on.save_single_sign_on(
        SYSTEM, organisation, secret=secret.text if secret else "", **fields
    )
    if not confirmed:
        single_sign_on.unconfirm_domains(SYSTEM, saved)


def _stored_rule(organisation: Organisation, rule: Mapping[str, Any]) -> dict[str, Any]:
    limited = _find_teams(organisation, rule["teams"]) or []
    return {**rule, "teams": [team.slug for team in limited]}


def held_by(key: Key) -> dict[str, Value]:
    """Return the holder of a key, as a file writes it."""
    return {
        "user": key.user.email if key.user else "",
        "service_account": key.service_account.name if key.service_account else "",
        "project": key.project.slug if key.project else "",
    }


def holder_of_key(
    organisation: Organisation, fields: Mapping[str, Value]
) -> tuple[User | None, ServiceAccount | None]:
    """Return the holder of a key, creating the person if needed. A key of a person who is not a
    member is stored but refused. Raises ChangeRefused if there is no such service account."""
    email, name = cast(str, fields.get("user", "")), fields.get("service_account", "")
    user = members.add_person(email, actor=SYSTEM) if email else None
    if not name:
        return user, None
    account = ServiceAccount.objects.filter(organisation=organisation, name=name).first()
    if account is None:
        raise ChangeRefused(f"there is no service account named {name!r}")
    return user, account


def place_key(key: Key, fields: Mapping[str, Value]) -> None:
    """Move a key to its project."""
    if "project" in fields:
        slug = fields["project"]
        project = key.organisation.projects.filter(slug=slug).first() if slug else None
        if slug and project is None:
            raise ChangeRefused(f"there is no project {slug!r}")
        keys.change_key(SYSTEM, key, project=project)


def find_team(organisation: Organisation, name: str) -> Team:
    """Return the team with this name. Raises ChangeRefused if there is none, or more than one."""
    named = organisation.teams.filter(name=name)[:2]
    if not named:
        raise ChangeRefused(f"there is no team named {name!r}")
    if len(named) > 1:
        raise ChangeRefused(f"there are several teams named {name!r}: rename one of them")
    return named[0]


def _find_teams(organisation: Organisation, names: Any) -> list[Team] | None:
    """Return the named teams; None means all teams."""
    return None if names is None else [find_team(organisation, name) for name in names]


def _find_role(organisation: Organisation, name: str) -> tuple[Role, CustomRole | None]:
    if name in Role.values and name != Role.CUSTOM:
        return Role(name), None
    custom = CustomRole.objects.filter(organisation=organisation, name=name).first()
    if custom is None:
        built_in = ", ".join(role for role in Role.values if role != Role.CUSTOM)
        raise ChangeRefused(
            f"there is no role named {name!r}: expected {built_in}, or a role of this organisation"
        )
    return Role.CUSTOM, custom


def _payer_rule(organisation: Organisation, change: Change) -> None:
    name = change.id.name[1]
    role, custom_role = _find_role(organisation, name)
    rule = PayerRule.ANY if change.action == "remove" else cast(str, change.after["rule"])
    at = id_text(custom_role.id) if custom_role else role.value
    change_rules(replace(SYSTEM, organisation=organisation), {at: rule})


ACCESS_WRITES: Final[dict[Kind, Callable[[Organisation, Change], None]]] = {
    "role": _role,
    "team": _team,
    "project": _project,
    "service_account": _service_account,
    "member": _member,
    "invitation": _invitation,
    "single_sign_on": _single_sign_on,
    "payer_rule": _payer_rule,
}
