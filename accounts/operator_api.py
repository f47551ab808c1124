"""The management API of operators on organisations and people. Pages call the same functions."""

import datetime as dt

from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import ConfigDict, Field

from accounts import access, actors, api_auth, members, organisations
from accounts.changes import NAME_MAX
from accounts.models import Organisation, User
from lib import pagination

router = Router(tags=["Organisations"], auth=api_auth.installation_auth)


class OrganisationIn(Schema):
    """An organisation to be made."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=NAME_MAX)


class SuspensionIn(Schema):
    """Why an organisation is suspended."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(
        min_length=1, max_length=organisations.REASON_MAX, description="Its members see it."
    )


class OrganisationStateOut(Schema):
    slug: str
    name: str
    created_at: dt.datetime
    suspended_at: dt.datetime | None
    suspended_reason: str
    archived_at: dt.datetime | None


class OrganisationPage(Schema):
    items: list[OrganisationStateOut]
    next: str | None


class PersonOut(Schema):
    id: str
    email: str
    name: str
    active: bool
    operator: bool
    created_at: dt.datetime
    last_login: dt.datetime | None


class PersonPage(Schema):
    items: list[PersonOut]
    next: str | None


class PersonChange(Schema):
    """What to change of a person."""

    model_config = ConfigDict(extra="forbid")

    active: bool = Field(description="Whether the person can sign in, and their keys work.")


@router.get("/organisations", response=OrganisationPage, summary="List organisations")
def list_organisations(
    request: HttpRequest, query: Query[pagination.PageQuery]
) -> OrganisationPage:
    """Every organisation of the installation, newest first."""
    rows = access.all_organisations(actors.actor_of(request)).order_by("-id")
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    return OrganisationPage(items=[_organisation(row) for row in page.items], next=page.next)


@router.post(
    "/organisations", response={201: OrganisationStateOut}, summary="Create an organisation"
)
def create_organisation(request: HttpRequest, body: OrganisationIn) -> Status[OrganisationStateOut]:
    """Creates an organisation with one team and no members."""
    actor = actors.actor_of(request)
    access.require(actor, "organisations.write")
    row = organisations.create_organisation(body.name, owner=None, actor=actor)
    return Status(201, _organisation(row))


@router.get(
    "/organisations/{slug}", response=OrganisationStateOut, summary="Retrieve an organisation"
)
def read_organisation(request: HttpRequest, slug: str) -> OrganisationStateOut:
    """One organisation of the installation."""
    return _organisation(access.access_organisation(actors.actor_of(request), slug))


@router.post(
    "/organisations/{slug}/suspend",
    response=OrganisationStateOut,
    summary="Suspend an organisation",
)
def suspend_organisation(
    request: HttpRequest, slug: str, body: SuspensionIn
) -> OrganisationStateOut:
    """Stops its keys within a second. Its members can still read and top up."""
    actor = actors.actor_of(request)
    access.require(actor, "organisations.write")
    row = access.access_organisation(actor, slug)
    return _organisation(organisations.suspend_organisation(row, body.reason, actor=actor))


@router.post(
    "/organisations/{slug}/unsuspend", response=OrganisationStateOut, summary="Lift a suspension"
)
def lift_suspension(request: HttpRequest, slug: str) -> OrganisationStateOut:
    """Lets a suspended organisation work again."""
    actor = actors.actor_of(request)
    access.require(actor, "organisations.write")
    row = access.access_organisation(actor, slug)
    return _organisation(organisations.lift_suspension(row, actor=actor))


@router.post(
    "/organisations/{slug}/archive",
    response=OrganisationStateOut,
    summary="Archive an organisation",
)
def archive_organisation(request: HttpRequest, slug: str) -> OrganisationStateOut:
    """Stops its keys and closes its pages. Usage and invoices are kept."""
    actor = actors.actor_of(request)
    access.require(actor, "organisations.write")
    row = access.access_organisation(actor, slug)
    return _organisation(organisations.archive_organisation(row, actor=actor))


@router.post(
    "/organisations/{slug}/restore",
    response=OrganisationStateOut,
    summary="Restore an organisation",
)
def restore_organisation(request: HttpRequest, slug: str) -> OrganisationStateOut:
    """Brings an archived organisation back."""
    actor = actors.actor_of(request)
    access.require(actor, "organisations.write")
    row = access.access_organisation(actor, slug)
    return _organisation(organisations.restore_organisation(row, actor=actor))


@router.get("/people", response=PersonPage, summary="List people")
def list_people(request: HttpRequest, query: Query[pagination.PageQuery]) -> PersonPage:
    """Everyone who can sign in to the installation, oldest first."""
    rows = access.all_people(actors.actor_of(request))
    page = pagination.page_by_number(rows, query.limit, query.cursor)
    return PersonPage(items=[_person(row) for row in page.items], next=page.next)


@router.patch("/people/{id}", response=PersonOut, summary="Change a person")
def change_person(request: HttpRequest, id: str, body: PersonChange) -> PersonOut:
    """Deactivates a person, or lets them in again. Their sessions and keys follow."""
    actor = actors.actor_of(request)
    access.require(actor, "organisations.write")
    person = access.access_person(actor, id)
    members.set_active(person, body.active, actor=actor)
    person.refresh_from_db()
    return _person(person)


def _organisation(row: Organisation) -> OrganisationStateOut:
    return OrganisationStateOut(
        **{name: getattr(row, name) for name in OrganisationStateOut.model_fields}
    )


def _person(row: User) -> PersonOut:
    return PersonOut(
        id=str(row.pk),
        email=row.email,
        name=row.name,
        active=row.is_active,
        operator=row.operator,
        created_at=row.created_at,
        last_login=row.last_login,
    )
