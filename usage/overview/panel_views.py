"""Panels of the page of usage (W30): durations, with cards and a chart; and what changed in the
cost between two periods, by person, key, model and so on. The parts of each line add up exactly
to the change."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from lib import clock
from lib.htmx import render_part
from usage.breakdowns.changes import Part, parts_of
from usage.breakdowns.durations import UNTIMED, Timed, times_over, whole_of
from usage.breakdowns.explorer import Cell, Times, explore
from usage.filter_bar.filter_bar import GROUPS_SHOWN, dates_of, group_label
from usage.filters import filters
from usage.filters.filters import UsageFilter
from usage.filters.groupings import GroupBy
from usage.overview.views import all_groups, over_of_group, rows_url, too_many_text
from usage.reports.too_many_records import TooManyRecords
from usage.rollups.histograms import SHARE_NAMES
from usage.rollups.levels import Freshness, read_freshness

_SHOWN: Final = "times"
"""The query parameter that selects the chart."""


class _Chart(NamedTuple):
    """`short` is its title in the switch. `figures` are those of a bucket in the order of `heads`;
    `scale` of them make one `unit`."""

    title: Promise
    short: Promise
    kind: Literal["duration", "speed"]
    heads: tuple[str | Promise, ...]
    figures: Callable[[Times], tuple[int | None, ...]]
    scale: int
    unit: str | Promise


_SECONDS: Final = pgettext_lazy("unit", "s")
_UNKNOWN: Final = (None, None, None)
_CHARTS: Final[Mapping[str, _Chart]] = {
    "duration": _Chart(
        title=_("Duration"),
        short=_("Duration"),
        kind="duration",
        heads=SHARE_NAMES,
        figures=lambda times: times.total or _UNKNOWN,
        scale=1000,
        unit=_SECONDS,
    ),
    "ttft": _Chart(
        title=_("Time to first token"),
        short=_("TTFT"),
        kind="duration",
        heads=SHARE_NAMES,
        figures=lambda times: times.ttft or _UNKNOWN,
        scale=1000,
        unit=_SECONDS,
    ),
    "speed": _Chart(
        title=_("Tokens per second"),
        short=_("Tokens/s"),
        kind="speed",
        heads=(_("Tokens per second"),),
        figures=lambda times: (times.rate_tenths,),
        scale=10,
        unit="",
    ),
}


@organisation_page("usage.read")
@require_safe
def times_panel(request: HttpRequest, actor: Actor) -> HttpResponse:
    usage_filter = filters.from_query(
        dict(request.GET.lists()), clock.now(), channels=actor.operator, ignored=(_SHOWN,)
    )
    choice = request.GET.get(_SHOWN, "")
    try:
        timed = times_over(actor, usage_filter, read_freshness())
    except TooManyRecords as error:
        context: dict[str, Any] = {"too_many": too_many_text(error)}
    else:
        context = _context(actor, usage_filter, timed, choice if choice in _CHARTS else "duration")
    with timezone.override(usage_filter.zone):
        return render_part(
            request, "usage/breakdowns/times.html", "usage/breakdowns/_times.html", context
        )


def _context(actor: Actor, usage_filter: UsageFilter, timed: Timed, choice: str) -> dict[str, Any]:
    chart = _CHARTS[choice]
    return {
        "asked": usage_filter,
        "compared": dates_of(usage_filter.previous, usage_filter.zone),
        "stats": _stats(timed),
        "saved": (timed.now.totals.saved_nano, timed.before.totals.saved_nano),
        "untimed": any(cell.times is None for cell in (*timed.buckets, timed.now)),
        "chart": chart,
        "switch": [
            {"value": name, "label": one.short, "chosen": name == choice,
             "href": f"{_address(actor)}?{_query(usage_filter, name)}"}
            for name, one in _CHARTS.items()
        ],
        "rows": [
            {
                "at": span.start_at,
                "href": rows_url(actor, usage_filter, span),
                "unfinished": usage_filter.unfinished(span),
                "values": chart.figures(cell.times or UNTIMED),
            }
            for span, cell in zip(usage_filter.spans, timed.buckets, strict=True)
        ],
        "feet": [
            {"now": now, "before": before}
            for now, before in zip(
                *(chart.figures(cell.times or UNTIMED) for cell in (timed.now, timed.before)),
                strict=True,
            )
        ],
    }  # fmt: skip


def _address(actor: Actor) -> str:
    return reverse("usage_times", args=[slug_of(actor)])


def _query(usage_filter: UsageFilter, choice: str) -> str:
    return usage_filter.query(times=choice if choice != "duration" else None)


Figure = Callable[[Times], int | None]


def _share(of: Literal["total", "ttft"], place: int) -> Figure:
    """Return the function for the percentile of `SHARE_NAMES` at this position."""

    def figure(times: Times) -> int | None:
        quantiles = times.total if of == "total" else times.ttft
        return quantiles and quantiles[place]

    return figure


_CARDS: Final[Mapping[str, tuple[Figure, ...]]] = {
    "duration": (_share("total", 1), _share("total", 0), _share("total", 2)),
    "ttft": (_share("ttft", 0), _share("ttft", 1), _share("ttft", 2)),
    "speed": (lambda times: times.rate_tenths,),
}
"""The figure of each card, and the text below it."""


def _stats(timed: Timed) -> list[dict[str, Any]]:
    """Return the cards. A series omits unknown values."""
    now, before = (cell.times or UNTIMED for cell in (timed.now, timed.before))
    return [
        {
            "name": name,
            "now": figure(now),
            "before": figure(before),
            "more": [one(now) for one in more],
            "series": [
                value
                for cell in timed.buckets
                if (value := figure(cell.times or UNTIMED)) is not None
            ],
        }
        for name, (figure, *more) in _CARDS.items()
    ]


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
        request, "usage/breakdowns/changes.html", "usage/breakdowns/_changes.html", context
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
