"""The management API of operators on organisations and people. Pages call the same functions."""

import datetime as dt

from django.http import HttpRequest
from ninja import Query, Status
from pydantic import Field

from accounts.access import access
from accounts.access.actors import Actor
from accounts.access.entry_requirements import has_factor, people_with_factor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from accounts.guards.reauthentication import check_signed_in_recently
from accounts.members import members
from accounts.models import Organisation, User
from accounts.names.names import NAME_MAX
from accounts.organisations import organisations
from accounts.second_factor import second_factor
from accounts.sessions import sessions
from lib.api import pagination
from lib.api.openapi import RequestBody, Schema

router = Router(tags=["Organisations"], auth=api_auth.installation_auth)


class OrganisationIn(RequestBody):
    """A new organisation."""

    name: str = Field(min_length=1, max_length=NAME_MAX)
    owner: str = Field(
        "",
        max_length=254,
        description="Email of the owner, who has an account. Empty: you own it, and can invite "
        "others with `X-Weir-Organisation`.",
    )


class OrganisationRename(RequestBody):
    """Changes to an organisation. Omitted fields stay as they are."""

    name: str | None = Field(None, min_length=1, max_length=NAME_MAX)


class SuspensionIn(RequestBody):
    """The reason for a suspension."""

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
    second_factor: bool = Field(description="Whether signing in asks for more than a password.")
    created_at: dt.datetime
    last_login: dt.datetime | None


class PersonPage(Schema):
    items: list[PersonOut]
    next: str | None


class PersonQuery(pagination.NamedPageQuery):
    email: str | None = Field(None, max_length=254, description="Only the one with this address.")


class PersonChange(RequestBody):
    """Changes to a person."""

    active: bool = Field(description="Whether the person can sign in, and their keys work.")


@router.get("/organisations", response=OrganisationPage, summary="List organisations")
def list_organisations(actor: Actor, query: Query[pagination.NamedPageQuery]) -> OrganisationPage:
    """Every organisation of the installation, newest first."""
    rows = access.all_organisations(actor).order_by("-id")
    page = pagination.page_by_id(query.filter_by_name(rows), query.limit, query.cursor)
    return OrganisationPage(items=[_organisation(row) for row in page.items], next=page.next)


@router.post(
    "/organisations", response={201: OrganisationStateOut}, summary="Create an organisation"
)
@requires("organisations.write")
def create_organisation(actor: Actor, body: OrganisationIn) -> Status[OrganisationStateOut]:
    """Creates an organisation with one team and its owner. Send `X-Weir-Organisation` with its
    slug to act there as its owner: to add members, teams, invitations, keys and budgets."""
    row = organisations.create_for(body.name, body.owner, actor=actor)
    return Status(201, _organisation(row))


@router.get("/organisations/{slug}", response=OrganisationStateOut, summary="Show an organisation")
def show_organisation(actor: Actor, slug: str) -> OrganisationStateOut:
    """One organisation of the installation."""
    return _organisation(access.access_organisation(actor, slug))


@router.patch(
    "/organisations/{slug}", response=OrganisationStateOut, summary="Rename an organisation"
)
@requires("organisations.write")
def rename_organisation(actor: Actor, slug: str, body: OrganisationRename) -> OrganisationStateOut:
    """Its slug stays. Its other settings are `/organisation` with `X-Weir-Organisation`."""
    row = access.access_organisation(actor, slug)
    if body.name is not None:
        row = organisations.rename_organisation(row, body.name, actor=actor)
    return _organisation(row)


@router.post(
    "/organisations/{slug}/suspend",
    response=OrganisationStateOut,
    summary="Suspend an organisation",
)
@requires("organisations.write")
def suspend_organisation(actor: Actor, slug: str, body: SuspensionIn) -> OrganisationStateOut:
    """Stops its keys within a second. Its members can still read and top up."""
    row = access.access_organisation(actor, slug)
    return _organisation(organisations.suspend_organisation(row, body.reason, actor=actor))


@router.post(
    "/organisations/{slug}/unsuspend", response=OrganisationStateOut, summary="Lift a suspension"
)
@requires("organisations.write")
def lift_suspension(actor: Actor, slug: str) -> OrganisationStateOut:
    """Lets a suspended organisation work again."""
    row = access.access_organisation(actor, slug)
    return _organisation(organisations.lift_suspension(row, actor=actor))


@router.post(
    "/organisations/{slug}/archive",
    response=OrganisationStateOut,
    summary="Archive an organisation",
)
@requires("organisations.write")
def archive_organisation(actor: Actor, slug: str) -> OrganisationStateOut:
    """Stops its keys and closes its pages. Usage and billing records are kept."""
    row = access.access_organisation(actor, slug)
    return _organisation(organisations.archive_organisation(row, actor=actor))


@router.post(
    "/organisations/{slug}/restore",
    response=OrganisationStateOut,
    summary="Restore an organisation",
)
@requires("organisations.write")
def restore_organisation(actor: Actor, slug: str) -> OrganisationStateOut:
    """Brings an archived organisation back."""
    row = access.access_organisation(actor, slug)
    return _organisation(organisations.restore_organisation(row, actor=actor))


@router.get("/people", response=PersonPage, summary="List people")
def list_people(actor: Actor, query: Query[PersonQuery]) -> PersonPage:
    """Everyone who can sign in to the installation, oldest first."""
    rows = query.filter_by_name(access.all_people(actor))
    if query.email is not None:
        rows = rows.filter(email__iexact=query.email)
    page = pagination.page_by_number(rows, query.limit, query.cursor)
    secured = people_with_factor(row.pk for row in page.items)
    items = [_person(row, second_factor=row.pk in secured) for row in page.items]
    return PersonPage(items=items, next=page.next)


@router.patch("/people/{id}", response=PersonOut, summary="Change a person")
@requires("organisations.write")
def change_person(actor: Actor, id: str, body: PersonChange) -> PersonOut:
    """Deactivates or reactivates a person. While deactivated, they have no sessions and their
    keys do not work."""
    person = access.access_person(actor, id)
    members.set_active(person, body.active, actor=actor)
    person.refresh_from_db()
    return _person(person, second_factor=has_factor(person))


class EndedOut(Schema):
    ended: int = Field(description="How many sessions were ended.")


@router.post("/people/{id}/end-sessions", response=EndedOut, summary="End a person's sessions")
@requires("organisations.write")
def end_sessions(actor: Actor, id: str) -> EndedOut:
    """Signs the person out everywhere. Their keys keep working."""
    person = access.access_person(actor, id)
    return EndedOut(ended=sessions.end(person, "session.ended", actor=actor))


@router.post(
    "/people/{id}/reset-second-factor",
    response=PersonOut,
    summary="Reset two-factor authentication",
)
@requires("organisations.write")
def reset_second_factor(request: HttpRequest, actor: Actor, id: str) -> PersonOut:
    """Removes the person's authenticator app, passkeys and recovery codes, ends their sessions
    and emails them. Make sure that the request really comes from them. Operators cannot
    reset each other: that is done on the server by `weir reset_second_factor`."""
    check_signed_in_recently(request)
    person = access.access_person(actor, id)
    second_factor.reset_factors(actor, person)
    return _person(person, second_factor=False)


def _organisation(row: Organisation) -> OrganisationStateOut:
    return OrganisationStateOut(
        **{name: getattr(row, name) for name in OrganisationStateOut.model_fields}
    )


def _person(row: User, *, second_factor: bool) -> PersonOut:
    return PersonOut(
        id=str(row.pk),
        email=row.email,
        name=row.name,
        active=row.is_active,
        operator=row.operator,
        second_factor=second_factor,
        created_at=row.created_at,
        last_login=row.last_login,
    )
