"""Margin by model, channel and customer, for operators (W79)."""

from typing import Any, get_args

from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from accounts.preferences.table_preferences import read_table
from lib import clock
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Column, Filter, Table
from usage.margin.margin import MarginBy, MarginRow, first_day, margin, total
from usage.months.detached import detached_on, file_suffix, names_of, notice_text

# Requests that were refused before a model or a channel was known.
_NAMELESS = _("Refused beforehand")
MARGIN = Table(
    "margin",
    _("Margin"),
    (
        Column("name", _("Name"), sort=True, card="title"),
        Column("requests", _("Requests"), "number", sort=True, priority=3),
        Column("revenue", _("Revenue"), "total", sort=True, priority=2, card="second"),
        Column("cost", _("Cost"), "total", sort=True, priority=2),
        Column("margin", _("Margin"), "total", sort=True, card="money"),
        Column("share", _("Margin rate"), "number", sort="share_ppm", priority=3, card="first"),
        Column("unpriced", _("Revenue without a cost price"), "total", sort=True, priority=4),
    ),
    default_sort="margin",
    filters=(
        Filter(
            "by",
            _("Group by"),
            choices=(
                ("model", _("Model")),
                ("channel", _("Channel")),
                ("customer", _("Organisation")),
            ),
            default="model",
        ),
        Filter("since", _("From"), "date"),
        Filter("until", _("To"), "date"),
    ),
)


@operator_page("credits.read")
@require_safe
def margin_page(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(MARGIN, request, actor)
    today = clock.now().date()
    until = state.day("until") or today
    since = state.day("since") or first_day(until)
    by: MarginBy = state.value("by") if state.value("by") in get_args(MarginBy) else "model"  # type: ignore[assignment]
    refused = ""
    try:
        rows = margin(actor, by, since, until)
    except Refused as error:
        rows, refused = [], error.message
    detached = detached_on(since, until)
    context = {
        "sum": total(rows),
        "since": since,
        "until": until,
        "refused": refused,
        "detached": notice_text(detached),
    }
    templates = ("usage/margin/margin.html", "usage/margin/_margin.html")
    return answer_table(
        request=request,
        state=state,
        source=ListSource([_margin_row(row) for row in rows]),
        templates=templates,
        context=context,
        suffix=file_suffix(names_of(detached)),
    )


def _margin_row(row: MarginRow) -> dict[str, Any]:
    ppm = row.share_ppm
    return {
        "id": row.id,
        "name": row.name or _NAMELESS,
        "requests": row.requests,
        "revenue": row.revenue_nano,
        "cost": row.cost_nano,
        "margin": row.margin_nano,
        "share": None if ppm is None else round(ppm / 10_000, 1),
        "share_ppm": ppm,
        "unpriced": row.unpriced_nano,
    }
