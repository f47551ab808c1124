"""The management API of roles. Pages call the same functions."""

from typing import Annotated

from ninja import Query, Status
from pydantic import Field

from accounts.access import actors
from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.custom_roles import custom_roles
from accounts.members import access as member_access
from accounts.models import CustomRole, Role
from accounts.roles.rules import PERMISSIONS
from accounts.roles.words import has_permission
from lib.api import pagination
from lib.api.openapi import RequestBody, Schema
from lib.ids import id_text

router = Router(tags=["Members"])

Permission = Annotated[str, Field(max_length=40)]


class RoleIn(RequestBody):
    name: str = Field(min_length=1, max_length=60)
    permissions: list[Permission] = Field(
        max_length=len(PERMISSIONS),
        description="What the role may do. The role `owner` in the list has all names.",
    )


class RoleChange(RequestBody):
    """Changes to a role. Omitted fields stay as they are."""

    name: str | None = Field(None, min_length=1, max_length=60)
    permissions: list[Permission] | None = Field(None, max_length=len(PERMISSIONS))


class RoleOut(Schema):
    """A role; a built-in one has its name as its ID and cannot be changed."""

    id: str
    name: str
    built_in: bool
    permissions: list[str]


class RolePage(Schema):
    items: list[RoleOut]
    next: str | None


@router.get("/roles", response=RolePage, summary="List roles")
def list_roles(actor: Actor, query: Query[pagination.NamedPageQuery]) -> RolePage:
    """The built-in roles, the widest first, and the custom roles of the organisation, by name."""
    custom = member_access.visible_roles(actor)
    built_in = [
        RoleOut(
            id=str(role),
            name=str(role),
            built_in=True,
            permissions=[
                name for name in PERMISSIONS if has_permission(actors.authority_of(role), name)
            ],
        )
        for role in Role
        if role != Role.CUSTOM
    ]
    roles = [*built_in, *(_serialize_role(role) for role in custom)]
    if query.name is not None:
        roles = [role for role in roles if role.name == query.name]
    page = pagination.page_by_key(roles, query.limit, query.cursor, lambda role: role.id)
    return RolePage(items=page.items, next=page.next)


@router.post("/roles", response={201: RoleOut}, summary="Create a role")
@requires("roles.write")
def create_role(actor: Actor, body: RoleIn) -> Status[RoleOut]:
    """Creates a custom role. You cannot include what your own role lacks."""
    organisation = actors.organisation_of(actor)
    role = custom_roles.create_role(organisation, body.name, body.permissions, actor=actor)
    return Status(201, _serialize_role(role))


@router.get("/roles/{id}", response=RoleOut, summary="Show a role")
def show_role(actor: Actor, id: str) -> RoleOut:
    """One custom role."""
    return _serialize_role(member_access.access_role(actor, id))


@router.patch("/roles/{id}", response=RoleOut, summary="Change a role")
@requires("roles.write")
def change_role(actor: Actor, id: str, body: RoleChange) -> RoleOut:
    """Changes a custom role for all members who have it, within a second."""
    role = member_access.access_role(actor, id)
    changed = custom_roles.change_role(
        role, name=body.name, permissions=body.permissions, actor=actor
    )
    return _serialize_role(changed)


@router.delete("/roles/{id}", response={204: None}, summary="Delete a role")
@requires("roles.write")
def remove_role(actor: Actor, id: str) -> Status[None]:
    """Deletes a custom role that no member, open invitation, service account or setting of single
    sign-on has."""
    custom_roles.remove_role(member_access.access_role(actor, id), actor=actor)
    return Status(204, None)


def _serialize_role(role: CustomRole) -> RoleOut:
    return RoleOut(
        id=id_text(role.id), name=role.name, built_in=False, permissions=list(role.permissions)
    )
