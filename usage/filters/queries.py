"""The query of the management API for requests and sums, and the filter that it is."""

import datetime as dt
from dataclasses import replace
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from accounts.limits.end_users import END_USER_LENGTH
from lib import clock
from lib.api import pagination
from lib.api.openapi import Input
from usage.filters import filters
from usage.filters.filters import RangeRefused, Scope, UsageFilter
from usage.filters.visibility import Period


def _zone(text: str) -> str:
    filters.read_zone(text)
    return text


def _id(text: str) -> str:
    filters.read_id(text)
    return text


Zone = Annotated[str, AfterValidator(_zone)]
Id = Annotated[str, AfterValidator(_id)]
Model = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(filters.read_model)]
Email = Annotated[str, AfterValidator(filters.read_email)]
EndUser = Annotated[
    str, Field(min_length=1, max_length=END_USER_LENGTH), AfterValidator(filters.read_end_user)
]
_LABELS: Final = "Labels."


class Wanted(Input):
    """The requests to select. Several values of a field match any of them."""

    model: list[Model] = Field(default_factory=list, max_length=20, description="Model names.")
    key: list[Id] = Field(default_factory=list, max_length=20, description="IDs of keys.")
    user: list[Email] = Field(default_factory=list, max_length=20, description="Email addresses.")
    team: list[Model] = Field(default_factory=list, max_length=20, description="Slugs of teams.")
    project: list[Model] = Field(default_factory=list, max_length=20, description=_LABELS)
    customer: list[Model] = Field(default_factory=list, max_length=20, description=_LABELS)
    end_user: list[EndUser] = Field(
        default_factory=list, max_length=20, description="End users as requests name them."
    )
    tag: list[Model] = Field(default_factory=list, max_length=20, description=_LABELS)
    app: list[Model] = Field(default_factory=list, max_length=20, description="Applications.")


class FocusQuery(Wanted):
    from_: str | None = Field(
        None,
        alias="from",
        description="A date, or a time with its offset, on a quarter hour; included. Default: 30 "
        "days before the end.",
    )
    to: str | None = Field(
        None,
        description="A date (the whole day is included), or a time with its offset (not "
        "included). Default: the end of today.",
    )
    tz: Zone = Field("UTC", description="The time zone of dates and days.")


class Dated(Input):
    """The period of a list."""

    from_: str | None = Field(
        None, alias="from", description="A date, or a time with its offset; included."
    )
    to: str | None = Field(
        None,
        description=(
            "A date (the whole day is included), or a time with its offset (not included)."
        ),
    )
    tz: Zone = Field("UTC", description="The time zone of dates.")


class PeriodQuery(Dated, pagination.PageQuery, Wanted):
    """A page of the list of items with requests in a period."""


def usage_filter_of(query: FocusQuery) -> UsageFilter:
    zone = filters.read_zone(query.tz)
    now = clock.now()
    today = now.astimezone(zone).date()
    end_at = _edge("to", query.to or today.isoformat(), zone, end=True, summed=True)
    last = (end_at - dt.timedelta(seconds=1)).astimezone(zone).date()
    first = query.from_ or (last - dt.timedelta(days=filters.API_DAYS - 1)).isoformat()
    start_at = _edge("from", first, zone, end=False, summed=True)
    try:
        usage_filter = filters.between(start_at, end_at, zone, now, grain="day")
    except ValueError as error:
        raise RangeRefused("from", str(error)) from None
    return replace(usage_filter, scope=scope_of(query))


def period_of(query: Dated) -> Period:
    """Return the period of a list. Raises RangeRefused."""
    zone = filters.read_zone(query.tz)
    return Period(
        _edge("from", query.from_, zone, end=False) if query.from_ else None,
        _edge("to", query.to, zone, end=True) if query.to else None,
    )


def scope_of(query: Wanted) -> Scope:
    """Return which requests to select."""
    return Scope(
        models=tuple(query.model),
        keys=tuple(filters.read_id(key) for key in query.key),
        users=tuple(query.user),
        teams=tuple(query.team),
        projects=tuple(query.project),
        customers=tuple(query.customer),
        end_users=tuple(query.end_user),
        tags=tuple(query.tag),
        apps=tuple(query.app),
    )


def _edge(field: str, text: str, zone: ZoneInfo, *, end: bool, summed: bool = False) -> dt.datetime:
    read = filters.read_bucket_edge if summed else filters.read_edge
    try:
        return read(text, zone, end=end)
    except ValueError as error:
        raise RangeRefused(field, str(error)) from None
