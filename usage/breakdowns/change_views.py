"""What changed in the cost between two periods, by person, key, model and so on, and in the
durations: a panel of the page of usage (W30). The parts of each line add up exactly to the
change."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from accounts.access.actors import Actor
from accounts.access.guards import organisation_page
from lib import clock
from lib.htmx import render_part
from usage.breakdowns.changes import Part, parts_of
from usage.breakdowns.explorer import Cell, Times, explore
from usage.breakdowns.times import UNTIMED, whole_of
from usage.reports import filters
from usage.reports.filter_bar import GROUPS_SHOWN, dates_of
from usage.reports.filters import UsageFilter
from usage.reports.groupings import GroupBy
from usage.reports.views import all_groups, group_label, over_of_group, rows_url, too_many_text
from usage.rollups.levels import Freshness, read_freshness
from usage.rollups.used_rows import TooManyRecords

_AXES: Final[tuple[GroupBy, ...]] = ("model", "key", "user", "team")


@organisation_page("usage.read")
@require_safe
def changes_panel(request: HttpRequest, actor: Actor) -> HttpResponse:
    usage_filter = filters.from_query(
        dict(request.GET.lists()), clock.now(), channels=actor.operator
    )
    try:
        context = _changes_context(actor, usage_filter)
    except TooManyRecords as error:
        context = {"too_many": too_many_text(error)}
    return render_part(
        request, "usage/breakdowns/changes.html", "usage/breakdowns/_changes_context.html", context
    )


def _changes_context(actor: Actor, usage_filter: UsageFilter) -> dict[str, Any]:
    at = read_freshness()
    earlier = replace(usage_filter, spans=(usage_filter.previous,))
    cells = [whole_of(actor, period, at) for period in (usage_filter, earlier)]
    now, before = (cell.totals for cell in cells)
    change = now.charge_nano - before.charge_nano
    axes = [axis for axis in _AXES if axis in all_groups(actor)] if change else []
    lines = [_change_line(actor, usage_filter, earlier, axis, change, at) for axis in axes]
    return {
        "now": now.charge_nano,
        "before": before.charge_nano,
        "change": change,
        "times": _changed_times(*(cell.times or UNTIMED for cell in cells)),
        "compared": dates_of(usage_filter.previous, usage_filter.zone),
        # A single group that is the whole change explains nothing.
        "lines": [line for line in lines if len(line["parts"]) > 1 or line["axis"] == "model"],
    }


def _changed_times(now: Times, before: Times) -> list[dict[str, Any]]:
    """Return the durations that are known in both periods and differ."""
    lines = [
        (
            gettext("Duration p95"),
            "duration",
            *(one.total and one.total[1] for one in (now, before)),
        ),
        (gettext("TTFT p50"), "duration", *(one.ttft and one.ttft[0] for one in (now, before))),
        (gettext("Tokens per second"), "speed", now.rate_tenths, before.rate_tenths),
    ]
    return [
        {"word": word, "kind": kind, "now": is_now, "before": was}
        for word, kind, is_now, was in lines
        if None not in (is_now, was) and is_now != was
    ]


def _change_line(
    actor: Actor,
    usage_filter: UsageFilter,
    earlier: UsageFilter,
    axis: GroupBy,
    change: int,
    at: Freshness,
) -> dict[str, Any]:
    now, before = ({_group_value(c): c for c in explore(actor, period, [axis], at).cells}
                   for period in (usage_filter, earlier))  # fmt: skip
    parts = parts_of(_charges(now), _charges(before), change)
    labels = {value: cell.groups[0].label for value, cell in {**before, **now}.items()}
    return {
        "axis": axis,
        "word": GROUPS_SHOWN[axis],
        "parts": [_part_context(actor, usage_filter, axis, part, labels) for part in parts],
    }


def _group_value(cell: Cell) -> str:
    return cell.groups[0].value


def _charges(cells: Mapping[str, Cell]) -> dict[str, int]:
    return {value: cell.totals.charge_nano for value, cell in cells.items()}


def _part_context(
    actor: Actor, usage_filter: UsageFilter, axis: GroupBy, part: Part, labels: Mapping[str, str]
) -> dict[str, Any]:
    if part.value is None:
        return {"label": gettext("Others"), "href": "", "change": part.change}
    return {
        "label": group_label(axis, labels[part.value]),
        "href": rows_url(
            actor, usage_filter, None, **over_of_group(usage_filter, axis, part.value)
        ),
        "change": part.change,
    }
