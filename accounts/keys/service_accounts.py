"""Programs that belong to a team instead of a person: one function per write.

A service account has a role, which limits its management keys. Nobody can give it more authority
than they have (P23).
"""

from django.db import IntegrityError, transaction
from django.utils.translation import gettext

from accounts.access.actors import Actor, authority_of_member
from accounts.audit import audit
from accounts.audit.changes import change_row, lock_row, read_again
from accounts.members.members import check_change, check_grant
from accounts.models import CustomRole, Role, ServiceAccount, Team
from accounts.names.names import check_name
from lib.refusal import Refused


def create_service_account(
    team: Team,
    name: str,
    role: Role = Role.DEVELOPER,
    *,
    custom_role: CustomRole | None = None,
    actor: Actor,
) -> ServiceAccount:
    """Create a service account of that team. Raises Refused for a taken or invalid name, and for a
    role that exceeds the actor's own."""
    checked = check_name(name)
    _check_role(role)
    try:
        with transaction.atomic():
            custom_role = custom_role and read_again(custom_role)
            account = ServiceAccount(
                organisation=team.organisation,
                team=team,
                name=checked,
                role=role,
                custom_role=custom_role,
                created_by=actor.user,
            )
            check_grant(actor, authority_of_member(account, {team.id}))
            account.save(force_insert=True)
            audit.record(
                actor,
                team.organisation,
                "service_account.created",
                account,
                name=account.name,
                team=team.slug,
                role=custom_role.name if custom_role else str(role),
            )
    except IntegrityError as error:
        text = gettext("Another service account is already named %(name)s.")
        raise Refused("name", text % {"name": checked}, already_exists=True) from error
    return account


def change_service_account(
    account: ServiceAccount,
    *,
    role: Role,
    custom_role: CustomRole | None = None,
    disabled: bool,
    actor: Actor,
) -> ServiceAccount:
    """Change the role of a service account, or disable all its keys. Raises Refused if its role is
    not below the actor's own, and for a new role that exceeds the actor's."""
    _check_role(role)
    with transaction.atomic():
        locked = lock_row(account)
        custom_role = custom_role and read_again(custom_role)
        before = authority_of_member(locked, {locked.team_id})
        changed = ServiceAccount(team=locked.team, role=role, custom_role=custom_role)
        check_change(actor, None, before, authority_of_member(changed, {locked.team_id}))
        return change_row(
            locked,
            "service_account.changed",
            actor,
            role=role,
            custom_role=custom_role,
            disabled=disabled,
        )


def _check_role(role: Role) -> None:
    if role == Role.OWNER:
        raise Refused("role", gettext("A service account cannot be an owner."))
