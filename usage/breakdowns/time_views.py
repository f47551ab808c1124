"""Durations on the page of usage (W30): a panel with cards and a chart."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from django.views.decorators.http import require_safe

from accounts.access.actors import Actor, slug_of
from accounts.access.guards import organisation_page
from lib import clock
from lib.htmx import render_part
from usage.breakdowns.explorer import Times
from usage.breakdowns.times import UNTIMED, Timed, times_over
from usage.reports import filters
from usage.reports.filter_bar import dates_of
from usage.reports.filters import UsageFilter
from usage.reports.views import rows_url, too_many_text
from usage.rollups.histograms import SHARE_NAMES
from usage.rollups.levels import read_freshness
from usage.rollups.used_rows import TooManyRecords

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
