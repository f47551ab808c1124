"""Detached months for readers of single requests. Their requests are in a file, while sums still
include them (`detaching.py` detaches, docs/adr/0019)."""

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from django.conf import settings
from django.http import Http404
from django.utils.formats import date_format
from django.utils.translation import gettext

from usage.buckets.buckets import Span
from usage.filters.visibility import Period
from usage.models import DetachedMonth

ATTACH: Final = f"{settings.COMMAND} month attach"


class RequestDetached(Http404):
    """The request is not in the database; it may be in the file of its detached month. The text
    says so."""


def in_detached_months(request_ids: Collection[UUID]) -> set[UUID]:
    """Return those ids of requests that lie in detached months, whether there are such requests or
    not."""
    months = list(DetachedMonth.objects.values_list("first_id", "end_id"))
    return {id for id in request_ids if any(first <= id < end for first, end in months)}


def refuse_detached(request_id: UUID) -> None:
    """Raise RequestDetached for an id of a detached month, whether a request has this id or not."""
    month = DetachedMonth.objects.filter(first_id__lte=request_id, end_id__gt=request_id).first()
    if month is not None:
        raise RequestDetached(notice_text([month]))


def count_detached() -> int:
    """Count the months whose records are in files."""
    return DetachedMonth.objects.count()


def detached_within(period: Period | Span) -> list[DetachedMonth]:
    """Return the detached months with requests in a period, oldest first."""
    months = DetachedMonth.objects.order_by("month")
    if period.start_at is not None:
        months = months.filter(to_at__gt=period.start_at)
    if period.end_at is not None:
        months = months.filter(from_at__lt=period.end_at)
    return list(months)


def detached_on(first_on: dt.date, last_on: dt.date) -> list[DetachedMonth]:
    """Return the detached months with requests on these UTC days, including the last one."""
    begin, end = (
        dt.datetime.combine(first_on, dt.time.min),
        dt.datetime.combine(last_on, dt.time.max),
    )
    return detached_within(Span(begin.replace(tzinfo=dt.UTC), end.replace(tzinfo=dt.UTC)))


def file_suffix(names: Sequence[str]) -> str:
    """Return what the name of a file says about the detached months that the file lacks."""
    if len(names) > 1:
        return f"-without-{len(names)}-months"
    return "".join(f"-without-{name}" for name in names)


def names_of(months: Sequence[DetachedMonth]) -> list[str]:
    """Return the months as in the API."""
    return [str(month) for month in months]


def notice_text(months: Sequence[DetachedMonth]) -> str:
    """Return the notice about missing months for a page, or ""."""
    if not months:
        return ""
    if len(months) == 1:
        text = gettext(
            "The requests of %(month)s have been in a file since %(date)s. An operator can bring"
            " them back with %(command)s."
        )
        date = date_format(months[0].detached_at, "DATE_FORMAT")
        return text % {"month": _month_name(months[0]), "date": date, "command": ATTACH}
    text = gettext(
        "The requests of these months are in files: %(months)s. An operator can bring them back"
        " with %(command)s."
    )
    return text % {"months": ", ".join(map(_month_name, months)), "command": ATTACH}


def _month_name(month: DetachedMonth) -> str:
    return date_format(month.month, "YEAR_MONTH_FORMAT")
