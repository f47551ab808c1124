"""The management API of saved views of usage and of their reports by email. Pages call the same
functions."""

import datetime as dt
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.utils.translation import gettext
from ninja import Query, Status
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router
from lib.api import pagination
from lib.api.openapi import RequestBody, Schema
from lib.ids import id_text
from lib.numbers.whole_numbers import Whole
from lib.refusal import Refused
from usage.models import ReportSchedule, SavedView
from usage.saved_views import saved_views, scheduled_reports

router = Router(tags=["Usage"])

PageName = Literal["usage", "explore", "requests"]
_QUERY = "The query of the page's address, such as `range=30d&group=model`."


class SavedViewIn(RequestBody):
    """A new saved view: a page's filters under a name. It belongs to the person of the key."""

    page: PageName
    name: str = Field(min_length=1, max_length=saved_views.NAME_MAX)
    query: str = Field("", max_length=4000, description=_QUERY)
    shared: bool = Field(False, description="Whether the whole organisation sees it.")


class SavedViewChange(RequestBody):
    """Changes to a view. Omitted fields stay as they are."""

    name: str | None = Field(None, min_length=1, max_length=saved_views.NAME_MAX)
    query: str | None = Field(None, max_length=4000, description=_QUERY)
    shared: bool | None = None


class SavedViewOut(Schema):
    id: str
    page: PageName
    name: str
    query: str
    shared: bool
    owner: str = Field(description="Email address of the person it belongs to.")
    created_at: dt.datetime


class SavedViewPage(Schema):
    items: list[SavedViewOut]
    next: str | None


class ReportIn(RequestBody):
    """When the view is sent by email, and to whom."""

    every: Literal["week", "month"] = Field(
        description="`week`: on Mondays, the week before. `month`: on the 1st, the month before."
    )
    hour: Whole = Field(8, ge=0, le=23)
    timezone: str = Field("UTC", max_length=64, description="IANA name of the time zone.")
    people: list[Annotated[str, Field(max_length=254)]] = Field(
        min_length=1,
        max_length=scheduled_reports.RECEIVERS_MAX,
        description="Email addresses of members who can see usage.",
        examples=[["ana@example.com"]],
    )


class ReportOut(Schema):
    every: Literal["week", "month"]
    hour: int
    timezone: str
    people: list[str]
    due_at: dt.datetime = Field(description="When it is sent next.")


@router.get("/saved-views", response=SavedViewPage, summary="List saved views")
def list_saved_views(actor: Actor, query: Query[pagination.NamedPageQuery]) -> SavedViewPage:
    """Your own views and those that are shared, newest first."""
    rows = query.filter_by_name(saved_views.visible_views(actor))
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    return SavedViewPage(items=[_view(row) for row in page.items], next=page.next)


@router.post("/saved-views", response={201: SavedViewOut}, summary="Save a view")
def create_saved_view(actor: Actor, body: SavedViewIn) -> Status[SavedViewOut]:
    """Keeps the filters of a page."""
    view = saved_views.save_view(actor, **body.model_dump(), replace=False)
    return Status(201, _view(view))


@router.get("/saved-views/{id}", response=SavedViewOut, summary="Show a saved view")
def show_saved_view(actor: Actor, id: str) -> SavedViewOut:
    """One of your own views, or one that is shared."""
    return _view(saved_views.access_view(actor, id))


@router.patch("/saved-views/{id}", response=SavedViewOut, summary="Change a saved view")
def change_saved_view(actor: Actor, id: str, body: SavedViewChange) -> SavedViewOut:
    """Only the person it belongs to can change it."""
    view = saved_views.own_view(actor, id)
    changed = saved_views.change_view(actor, view, body.name, shared=body.shared, query=body.query)
    return _view(changed)


@router.delete("/saved-views/{id}", response={204: None}, summary="Delete a saved view")
def delete_saved_view(actor: Actor, id: str) -> Status[None]:
    """Deletes the view and its report."""
    saved_views.delete_view(actor, saved_views.own_view(actor, id))
    return Status(204, None)


@router.get("/saved-views/{id}/report", response=ReportOut, summary="Show a report")
def show_report(actor: Actor, id: str) -> ReportOut:
    """When one of your views is sent by email, and to whom."""
    return _report(saved_views.access_schedule(actor, id))


@router.put("/saved-views/{id}/report", response=ReportOut, summary="Schedule a report")
def set_report(actor: Actor, id: str, body: ReportIn) -> ReportOut:
    """Sends one of your views by email, instead of what was scheduled before. Each receiver gets
    the figures that they may see."""
    view = saved_views.own_view(actor, id)
    try:
        zone = ZoneInfo(body.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Refused("timezone", gettext("This time zone does not exist.")) from error
    ids = {
        member.user.email.lower(): member.user_id
        for member in scheduled_reports.receivers_of(actor, view)
    }
    # The write refuses an unknown member like one who may not see usage.
    people = {ids.get(email.lower(), 0) for email in body.people}
    schedule = scheduled_reports.set_schedule(actor, view, body.every, body.hour, zone, people)
    return _report(schedule)


@router.delete("/saved-views/{id}/report", response={204: None}, summary="End a report")
def end_report(actor: Actor, id: str) -> Status[None]:
    """The view stays."""
    scheduled_reports.end_schedule(actor, saved_views.access_schedule(actor, id))
    return Status(204, None)


def _view(view: SavedView) -> SavedViewOut:
    return SavedViewOut(
        id=id_text(view.id),
        page=view.page,  # type: ignore[arg-type]
        name=view.name,
        query=view.query,
        shared=view.shared,
        owner=view.user.email,
        created_at=view.created_at,
    )


def _report(schedule: ReportSchedule) -> ReportOut:
    receivers = schedule.receivers.select_related("user").order_by("user__email")
    return ReportOut(
        every=schedule.every,  # type: ignore[arg-type]
        hour=schedule.hour,
        timezone=schedule.zone,
        people=[receiver.user.email for receiver in receivers],
        due_at=schedule.due_at,
    )
