"""The management API of an organisation, its teams and projects. Pages call the same functions."""

import datetime as dt
from typing import Annotated, Any, Literal

from django.db import transaction
from ninja import Query, Status
from pydantic import Field

from accounts.access import access
from accounts.access.actors import Actor, organisation_of
from accounts.access.operations import Router, requires
from accounts.audit.changes import lock_row
from accounts.keys import keys
from accounts.limits.answer_cache import SECONDS_MAX, SECONDS_MIN
from accounts.limits.data_policy import (
    CLIENT_ADDRESS_DAYS_MAX,
    REGION_MAX,
    REGION_PATTERN,
    REGIONS_MAX,
)
from accounts.models import Organisation, Project, Role, Team
from accounts.names.names import NAME_MAX
from accounts.organisations import organisations, projects, teams
from lib.api import pagination
from lib.api.openapi import RequestBody, Schema
from lib.numbers.whole_numbers import Whole

router = Router(tags=["Organisation"])

Label = Literal["project", "customer", "tags"]
CacheSeconds = Annotated[int, Field(ge=0, le=SECONDS_MAX, strict=True)]
Percent = Annotated[int, Field(ge=0, le=100, strict=True)]
Region = Annotated[str, Field(max_length=REGION_MAX, pattern=REGION_PATTERN)]


class OrganisationOut(Schema):
    slug: str
    name: str
    currency: str
    display_currency: str = Field(
        description="Pages show amounts in it too. Empty: only in `currency`."
    )
    include_cost: bool
    retention_hours: int
    client_address_days: int
    zero_retention: bool
    data_regions: list[str]
    required_labels: list[str]
    second_factor_roles: list[str]
    suspended_at: dt.datetime | None
    suspended_reason: str
    created_at: dt.datetime


class OrganisationChange(RequestBody):
    """Changes to the organisation. Omitted fields stay as they are."""

    name: str | None = Field(None, min_length=1, max_length=NAME_MAX)
    display_currency: str | None = Field(
        None,
        max_length=3,
        description="Such as `EUR`. Pages show amounts in it too; those of the API stay in USD.",
    )
    include_cost: bool | None = Field(None, description="Include the cost in responses.")
    retention_hours: Whole | None = Field(
        None, ge=0, le=24, description="How long answers are kept for later requests."
    )
    client_address_days: Whole | None = Field(
        None,
        ge=0,
        le=CLIENT_ADDRESS_DAYS_MAX,
        description="For how many days the client IP address of each request is kept; 0: not kept.",
    )
    zero_retention: bool | None = Field(
        None, description="Only use providers that keep no data of requests."
    )
    data_regions: list[Region] | None = Field(
        None,
        max_length=REGIONS_MAX,
        description="Only use providers in these regions, such as `eu`. Empty: any.",
    )
    required_labels: list[Label] | None = Field(
        None, description="Labels that every request must have."
    )
    second_factor_roles: list[Role] | None = Field(
        None, description="Roles that must use two-factor authentication."
    )


class TeamIn(RequestBody):
    """A new team."""

    name: str = Field(min_length=1, max_length=NAME_MAX)


class TeamChange(RequestBody):
    """Changes to a team. Omitted fields stay as they are."""

    name: str | None = Field(None, min_length=1, max_length=NAME_MAX)
    required_labels: list[Label] | None = None
    archived: bool | None = Field(None, description="Keys of an archived team do not work.")
    cache_seconds: CacheSeconds | None = Field(
        None,
        description=f"For how many seconds ({SECONDS_MIN} to {SECONDS_MAX:,}) Weir answers "
        "identical requests of the team's keys with a stored answer. 0 or null: never.",
    )
    cache_price_percent: Percent | None = Field(
        None,
        description="What such an answer is charged, as a share of the first request's charge.",
    )


class TeamOut(Schema):
    slug: str
    name: str
    required_labels: list[str]
    cache_seconds: int | None
    cache_price_percent: int
    created_at: dt.datetime
    archived: bool
    archived_at: dt.datetime | None


class TeamPage(Schema):
    items: list[TeamOut]
    next: str | None


class ProjectIn(RequestBody):
    """A new project."""

    name: str = Field(min_length=1, max_length=NAME_MAX)
    team: str = Field(max_length=60, description="Slug of its team.")


class ProjectChange(RequestBody):
    """Changes to a project. Omitted fields stay as they are."""

    name: str | None = Field(None, min_length=1, max_length=NAME_MAX)
    team: str | None = Field(
        None, max_length=60, description="Slug of the team to move it to, with its keys."
    )
    archived: bool | None = Field(None, description="No key can be added to an archived project.")


class ProjectOut(Schema):
    slug: str = Field(description="Also the `project` label of the requests of its keys.")
    name: str
    team: str
    created_at: dt.datetime
    archived: bool
    archived_at: dt.datetime | None


class ProjectPage(Schema):
    items: list[ProjectOut]
    next: str | None


@router.get("/organisation", response=OrganisationOut, summary="Show the organisation")
@requires("organisation.read")
def read_organisation(actor: Actor) -> OrganisationOut:
    """The organisation the key belongs to, or the one whose page you saw last."""
    return _organisation(organisation_of(actor))


@router.patch("/organisation", response=OrganisationOut, summary="Change the organisation")
@requires("organisation.write")
def change_organisation(actor: Actor, body: OrganisationChange) -> OrganisationOut:
    """Changes the given settings."""
    with transaction.atomic():
        organisation = lock_row(organisation_of(actor))
        if body.name is not None:
            organisations.rename_organisation(organisation, body.name, actor=actor)
        if body.display_currency is not None:
            organisations.set_display_currency(organisation, body.display_currency, actor=actor)
        if body.include_cost is not None:
            organisations.set_include_cost(organisation, body.include_cost, actor=actor)
        if body.retention_hours is not None:
            organisations.set_retention(organisation, body.retention_hours, actor=actor)
        if body.client_address_days is not None:
            organisations.set_client_address_days(
                organisation, body.client_address_days, actor=actor
            )
        if body.zero_retention is not None or body.data_regions is not None:
            zero, regions = body.zero_retention, body.data_regions
            organisations.set_data_policy(
                organisation,
                zero_retention=organisation.zero_retention if zero is None else zero,
                regions=organisation.data_regions if regions is None else regions,
                actor=actor,
            )
        if body.required_labels is not None:
            organisations.require_labels(organisation, body.required_labels, actor=actor)
        if body.second_factor_roles is not None:
            access.require(actor, "sign_in.write")
            organisations.force_second_factor(organisation, body.second_factor_roles, actor=actor)
    organisation.refresh_from_db()
    return _organisation(organisation)


@router.get("/teams", response=TeamPage, summary="List teams")
@requires("teams.read")
def list_teams(actor: Actor, query: Query[pagination.NamedPageQuery]) -> TeamPage:
    """Your teams, newest first, including archived ones."""
    rows = access.visible_teams(actor).order_by("-id")
    page = pagination.page_by_id(query.filter_by_name(rows), query.limit, query.cursor)
    return TeamPage(items=[_team(row) for row in page.items], next=page.next)


@router.post("/teams", response={201: TeamOut}, summary="Create a team")
@requires("teams.write")
def create_team(actor: Actor, body: TeamIn) -> Status[TeamOut]:
    """Creates a team. Members limited to other teams are not in it."""
    access.require_all_teams(actor)
    return Status(201, _team(teams.create_team(organisation_of(actor), body.name, actor=actor)))


@router.get("/teams/{team}", response=TeamOut, summary="Show a team")
def read_team(actor: Actor, team: str) -> TeamOut:
    """One of your teams."""
    return _team(access.access_any_team(actor, team))


@router.patch("/teams/{team}", response=TeamOut, summary="Change a team")
def change_team(actor: Actor, team: str, body: TeamChange) -> TeamOut:
    """Renames, archives or restores a team, or changes its required labels or its cache."""
    row = access.writable_team(actor, team)
    with transaction.atomic():
        if body.name is not None:
            teams.rename_team(row, body.name, actor=actor)
        if body.required_labels is not None:
            organisations.require_labels(row, body.required_labels, actor=actor)
        if body.archived is not None:
            write = teams.archive_team if body.archived else teams.restore_team
            write(row, actor=actor)
        cache = body.dict(exclude_unset=True, include={"cache_seconds", "cache_price_percent"})
        if cache.get("cache_price_percent", 0) is None:
            del cache["cache_price_percent"]
        keys.change_limits(actor, row, **cache)
    row.refresh_from_db()
    return _team(row)


@router.delete("/teams/{team}", response=TeamOut, summary="Archive a team")
def archive_team(actor: Actor, team: str) -> TeamOut:
    """Its keys stop working. The team stays, because records name it; it can be restored by
    `archived`."""
    return _team(teams.archive_team(access.writable_team(actor, team), actor=actor))


@router.get("/projects", response=ProjectPage, summary="List projects")
def list_projects(actor: Actor, query: Query[pagination.NamedPageQuery]) -> ProjectPage:
    """Projects of your teams, newest first, including archived ones."""
    rows = access.visible_projects(actor).order_by("-id")
    page = pagination.page_by_id(query.filter_by_name(rows), query.limit, query.cursor)
    return ProjectPage(items=[_project(row) for row in page.items], next=page.next)


@router.post("/projects", response={201: ProjectOut}, summary="Create a project")
@requires("teams.write")
def create_project(actor: Actor, body: ProjectIn) -> Status[ProjectOut]:
    """Creates a project in a team."""
    team = access.access_team(actor, body.team)
    return Status(201, _project(projects.create_project(team, body.name, actor=actor)))


@router.get("/projects/{project}", response=ProjectOut, summary="Show a project")
def read_project(actor: Actor, project: str) -> ProjectOut:
    """One project of your teams."""
    return _project(access.access_project(actor, project))


@router.patch("/projects/{project}", response=ProjectOut, summary="Change a project")
def change_project(actor: Actor, project: str, body: ProjectChange) -> ProjectOut:
    """Renames, moves, archives or restores a project."""
    row = access.writable_project(actor, project)
    # The present team may be archived, and then no project can be moved into it.
    moves = body.team is not None and body.team != row.team.slug
    new_team = access.access_team(actor, body.team) if moves else None
    with transaction.atomic():
        row = lock_row(row)
        team = new_team or row.team
        projects.change_project(row, name=body.name or row.name, team=team, actor=actor)
        if body.archived is not None:
            write = projects.archive_project if body.archived else projects.restore_project
            write(row, actor=actor)
    row.refresh_from_db()
    return _project(row)


@router.delete("/projects/{project}", response=ProjectOut, summary="Archive a project")
def archive_project(actor: Actor, project: str) -> ProjectOut:
    """No key can be added to it. The project stays, because records name it; it can be restored by
    `archived`."""
    row = projects.archive_project(access.writable_project(actor, project), actor=actor)
    return _project(row)


def _organisation(row: Organisation) -> OrganisationOut:
    return OrganisationOut(**_fields(row, OrganisationOut))


def _team(row: Team) -> TeamOut:
    return TeamOut(**_fields(row, TeamOut), archived=row.archived_at is not None)


def _project(row: Project) -> ProjectOut:
    fields = {**_fields(row, ProjectOut), "team": row.team.slug}
    return ProjectOut(**fields, archived=row.archived_at is not None)


def _fields(row: Organisation | Team | Project, schema: type[Schema]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in schema.model_fields if name != "archived"}
