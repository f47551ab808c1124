"""The management API of service accounts. Pages call the same functions."""

import datetime as dt

from django.http import HttpRequest
from ninja import Query, Router, Status
from pydantic import Field

from accounts.access import access, actors
from accounts.keys import service_accounts
from accounts.members.access import find_role, role_name
from accounts.models import CustomRole, Role, ServiceAccount
from accounts.organisations.names import NAME_MAX
from lib.api import pagination
from lib.api.openapi import RequestBody, Schema
from lib.ids import id_text
from lib.refusal import Refused

router = Router(tags=["Keys"])


class ServiceAccountIn(RequestBody):
    """A new service account."""

    name: str = Field(min_length=1, max_length=NAME_MAX)
    team: str = Field(max_length=60, description="Slug of its team.")
    role: str = Field(
        "developer", max_length=60, description="A built-in role or the name of a custom role."
    )


class ServiceAccountChange(RequestBody):
    """Changes to a service account. Omitted fields stay as they are."""

    role: str | None = Field(
        None, max_length=60, description="A built-in role or the name of a custom role."
    )
    disabled: bool | None = Field(None, description="Keys of a disabled account are rejected.")


class ServiceAccountOut(Schema):
    id: str
    name: str
    team: str
    role: str
    disabled: bool
    created_at: dt.datetime


class ServiceAccountPage(Schema):
    items: list[ServiceAccountOut]
    next: str | None


@router.get("/service-accounts", response=ServiceAccountPage, summary="List service accounts")
def list_service_accounts(
    request: HttpRequest, query: Query[pagination.NamedPageQuery]
) -> ServiceAccountPage:
    """Service accounts of your teams, newest first."""
    rows = access.visible_service_accounts(actors.actor_of(request)).order_by("-id")
    page = pagination.page_by_id(query.filter_by_name(rows), query.limit, query.cursor)
    return ServiceAccountPage(items=[_serialize_account(row) for row in page.items], next=page.next)


@router.post(
    "/service-accounts", response={201: ServiceAccountOut}, summary="Create a service account"
)
def create_service_account(
    request: HttpRequest, body: ServiceAccountIn
) -> Status[ServiceAccountOut]:
    """Creates a holder of keys that belongs to a team and to no person."""
    actor = actors.actor_of(request)
    team = access.keyed_team(actor, body.team)
    role, custom_role = _role(actor, body.role)
    account = service_accounts.create_service_account(
        team, body.name, role, custom_role=custom_role, actor=actor
    )
    return Status(201, _serialize_account(account))


@router.get("/service-accounts/{id}", response=ServiceAccountOut, summary="Show a service account")
def show_service_account(request: HttpRequest, id: str) -> ServiceAccountOut:
    """One service account of your teams."""
    return _serialize_account(access.access_service_account(actors.actor_of(request), id))


@router.delete(
    "/service-accounts/{id}", response=ServiceAccountOut, summary="Disable a service account"
)
def disable_service_account(request: HttpRequest, id: str) -> ServiceAccountOut:
    """Its keys are rejected from now on. The account stays, because records name it; it can be
    enabled again."""
    actor = actors.actor_of(request)
    account = access.writable_service_account(actor, id)
    changed = service_accounts.change_service_account(
        account,
        role=Role(account.role),
        custom_role=account.custom_role,
        disabled=True,
        actor=actor,
    )
    return _serialize_account(changed)


@router.patch(
    "/service-accounts/{id}", response=ServiceAccountOut, summary="Change a service account"
)
def change_service_account(
    request: HttpRequest, id: str, body: ServiceAccountChange
) -> ServiceAccountOut:
    """Changes its role, disables or enables it."""
    actor = actors.actor_of(request)
    account = access.writable_service_account(actor, id)
    role, custom_role = Role(account.role), account.custom_role
    if body.role is not None:
        role, custom_role = _role(actor, body.role)
    changed = service_accounts.change_service_account(
        account,
        role=role,
        custom_role=custom_role,
        disabled=account.disabled if body.disabled is None else body.disabled,
        actor=actor,
    )
    return _serialize_account(changed)


def _role(actor: actors.Actor, name: str) -> tuple[Role, CustomRole | None]:
    """Return the role with that name. Raises Refused if the organisation has no such role."""
    role = find_role(actor, name)
    if role is None:
        raise Refused("role", f"There is no role named {name}.")
    return role


def _serialize_account(account: ServiceAccount) -> ServiceAccountOut:
    return ServiceAccountOut(
        id=id_text(account.id),
        name=account.name,
        team=account.team.slug,
        role=role_name(account),
        disabled=account.disabled,
        created_at=account.created_at,
    )
