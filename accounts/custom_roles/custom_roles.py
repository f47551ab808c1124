"""Custom roles of an organisation: one function per write."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from django.db import IntegrityError, transaction
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext

from accounts.access.actors import Actor, authority_of
from accounts.audit import audit
from accounts.audit.changes import change_row, lock_row
from accounts.audit.epoch import bump_epoch
from accounts.members.members import check_change, check_grant
from accounts.models import (
    CustomRole,
    Invitation,
    Membership,
    Organisation,
    Role,
    ServiceAccount,
    SingleSignOn,
)
from accounts.names.names import check_name
from accounts.roles.rules import PERMISSIONS, Permission
from accounts.sign_on_connections.connections import lock_single_sign_on
from lib import clock
from lib.refusal import Refused

_NAME_MAX = 60


def create_role(
    organisation: Organisation, name: str, permissions: Collection[Permission], *, actor: Actor
) -> CustomRole:
    """Create a role. Raises Refused for a name that is taken or invalid, for an unknown permission,
    and for a permission that the actor lacks (P23)."""
    role = CustomRole(
        organisation=organisation,
        name=_check_role_name(name),
        permissions=_check_permissions(permissions),
    )
    check_grant(actor, authority_of(Role.CUSTOM, role.permissions))
    with transaction.atomic():
        with _unique_name(role.name):
            role.save(force_insert=True)
        audit.record(
            actor, organisation, "role.created", role, name=role.name, permissions=role.permissions
        )
    return role


def change_role(
    role: CustomRole,
    *,
    name: str | None,
    permissions: Collection[Permission] | None,
    actor: Actor,
) -> CustomRole:
    """Change the name and the permissions of a role, if given, with immediate effect for everybody
    who has it. Single sign-on names roles, so its settings follow the new name. Raises Refused as
    `create_role` does, and for a role that is not below the actor's own."""
    new_name = None if name is None else _check_role_name(name)
    with _unique_name(new_name or role.name):
        row = lock_single_sign_on(role.organisation)
        before = lock_row(role)
        checked = new_name or before.name
        allowed = _check_permissions(before.permissions if permissions is None else permissions)
        check_change(
            actor,
            None,
            authority_of(Role.CUSTOM, before.permissions),
            authority_of(Role.CUSTOM, allowed),
        )
        changed = change_row(role, "role.changed", actor, name=checked, permissions=allowed)
        if row is not None and before.name != checked:
            _rename_in_single_sign_on(row, before.name, checked)
    return changed


def _rename_in_single_sign_on(row: SingleSignOn, before: str, after: str) -> None:
    if before not in _roles_named_by(row):
        return
    row.group_rules = [
        {**rule, "role": after if rule["role"] == before else rule["role"]}
        for rule in row.group_rules
    ]
    if row.default_role == before:
        row.default_role = after
    row.save(update_fields=["group_rules", "default_role"])


def _roles_named_by(row: SingleSignOn) -> set[str]:
    return {row.default_role, *(rule["role"] for rule in row.group_rules)}


def remove_role(role: CustomRole, *, actor: Actor) -> None:
    """Remove a role. Raises Refused for a role that is not below the actor's own, and while a
    member, a service account, an open invitation or the settings of single sign-on have it. Raises
    Http404 if others have removed it meanwhile."""
    with transaction.atomic():
        row = lock_single_sign_on(role.organisation)
        locked = get_object_or_404(CustomRole.objects.select_for_update(), id=role.id)
        held = authority_of(Role.CUSTOM, locked.permissions)
        check_change(actor, None, held, authority_of(None))
        if (
            Membership.objects.filter(custom_role=locked).exists()
            or ServiceAccount.objects.filter(custom_role=locked).exists()
        ):
            text = gettext("Members still have this role. Give them another role first.")
            raise Refused("role", text)
        open_invitations = Invitation.objects.filter(
            accepted_at=None, withdrawn_at=None, expires_at__gt=clock.now()
        )
        if open_invitations.filter(custom_role=locked).exists():
            text = gettext("Open invitations offer this role. Withdraw them first.")
            raise Refused("role", text)
        if row is not None and locked.name in _roles_named_by(row):
            text = gettext("Single sign-on gives this role. Change the settings there first.")
            raise Refused("role", text)
        # An expired invitation does not keep its role in use.
        Invitation.objects.filter(custom_role=locked).delete()
        audit.record(actor, locked.organisation, "role.removed", locked, name=locked.name)
        locked.delete()
        bump_epoch()


def _check_permissions(permissions: Collection[Permission]) -> list[Permission]:
    """Return the permissions in the order of the table. Raises Refused for an unknown
    permission."""
    for permission in permissions:
        if permission not in PERMISSIONS:
            text = gettext("Unknown permission %(permission)s.")
            raise Refused("permissions", text % {"permission": permission})
    return [permission for permission in PERMISSIONS if permission in permissions]


def _check_role_name(name: str) -> str:
    checked = check_name(name, _NAME_MAX)
    if checked.lower() in Role.values:
        text = gettext("%(name)s is a built-in role. Choose another name.")
        raise Refused("name", text % {"name": checked})
    return checked


@contextmanager
def _unique_name(name: str) -> Iterator[None]:
    """Turn the database's refusal of a duplicate name into Refused. Only the save is undone."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        text = gettext("Another role is already named %(name)s.")
        raise Refused("name", text % {"name": name}, already_exists=True) from error
