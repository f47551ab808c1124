"""The explorer: usage by any one or two groupings, each row with the requests behind it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.access import access
from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from accounts.preferences.table_preferences import read_table
from billing.currency.money import round_half_even
from lib import clock
from lib.files.csv_file import CSV_TYPE, stream
from lib.numbers.formatting import group_digits, percent
from lib.tables.filter_bar import Field
from lib.tables.pages import answer_table, iterate_in_locale
from lib.tables.sources import ListSource
from lib.tables.table import OWN_PARAMETERS, Column, Table
from usage.breakdowns.explorer import CELLS_MAX, Cell, Explored, Group, Times, explore
from usage.exports import exports
from usage.exports.focus import focus_csv, focus_lacks
from usage.filter_bar.filter_bar import STATUS_WORDS, group_label, usage_bar
from usage.filters import filters
from usage.filters.filters import UsageFilter
from usage.filters.groupings import GroupBy
from usage.months.detached import file_suffix, names_of, notice_text
from usage.overview.views import (
    all_groups,
    dropped_of,
    over_of_group,
    rows_url,
    too_many_text,
)
from usage.records.counted_meters import tokens_of
from usage.reports.missing_months import missing_months
from usage.reports.reports import Totals
from usage.reports.too_many_records import TooManyRecords
from usage.requests.words import duration_text, moved_text, speed_text
from usage.rollups.histograms import SHARE_NAMES
from usage.rollups.levels import Freshness, read_freshness
from usage.saved_views.views import menu_of

_BEFORE: Final = _("In the period that this one is compared with")
_SAVED_HINT: Final = _(
    "Cached input at the difference between the prices of plain and cached input"
)
_TTFT, _DURATION = _("Time to first token"), _("Duration")
_TIMES: Final = {
    "p50": _("Duration p50"),
    "p95": _("Duration p95"),
    "p99": _("Duration p99"),
    "ttft_p50": _("TTFT p50"),
    "ttft_p95": _("TTFT p95"),
    "ttft_p99": _("TTFT p99"),
}
_SPEED: Final = _("Tokens per second")
_MOVED: Final = tuple(
    Column(f"{name}_change", format_lazy(_("Change in {figure}"), figure=word),
           sort=f"{name}_moved", chosen=False, hint=_BEFORE)
    for name, word in {**_TIMES, "speed": _SPEED}.items()
)  # fmt: skip
EXPLORE = Table(
    "explore",
    _("Explore usage"),
    (
        Column("group", _("Group"), sort=True, card="title"),
        Column("subgroup", _("Subgroup"), sort=True, card="first"),
        Column("cost", _("Cost"), "total", sort=True, card="money"),
        Column("share", _("Share of charges"), sort="cost", priority=3),
        Column("before", _("Cost before"), "total", sort=True, chosen=False, hint=_BEFORE),
        Column("change", _("Change in cost"), "total", sort=True, chosen=False, hint=_BEFORE),
        Column("requests", _("Requests"), "number", sort=True, card="second"),
        Column("errors", _("Errors"), "number", sort=True, priority=2),
        Column("tokens_in", _("Input tokens"), "number", sort=True, priority=3),
        Column("cached", _("Cached tokens"), "number", sort=True, chosen=False),
        Column("saved", _("Saved by cache"), "total", sort=True, chosen=False, hint=_SAVED_HINT),
        Column("tokens_out", _("Output tokens"), "number", sort=True, priority=3),
        Column("reasoning", _("Reasoning tokens"), "number", sort=True, chosen=False),
        Column("per_request", _("Cost per request"), "money", sort=True, priority=4),
        Column("p50", _TIMES["p50"], "duration", sort=True, priority=4, hint=_DURATION),
        Column("p95", _TIMES["p95"], "duration", sort=True, priority=4, hint=_DURATION),
        Column("p99", _TIMES["p99"], "duration", sort=True, chosen=False, hint=_DURATION),
        Column("ttft_p50", _TIMES["ttft_p50"], "duration", sort=True, chosen=False, hint=_TTFT),
        Column("ttft_p95", _TIMES["ttft_p95"], "duration", sort=True, chosen=False, hint=_TTFT),
        Column("ttft_p99", _TIMES["ttft_p99"], "duration", sort=True, chosen=False, hint=_TTFT),
        Column("speed", _SPEED, sort="speed_tenths", chosen=False),
        *_MOVED,
    ),
    default_sort="-cost",
    key="n",
    href="href",
)
Names = tuple[str, ...]
_MOVED_NAMES: Final = frozenset(column.name for column in _MOVED)
_COMPARED: Final = frozenset({"before", "change"}) | _MOVED_NAMES
_TIMED: Final = frozenset({*_TIMES, "speed"}) | _MOVED_NAMES


@organisation_page("usage.read")
@require_safe
def explore_page(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    usage_filter = filters.from_query(
        dict(request.GET.lists()),
        clock.now(),
        channels=actor.operator,
        ignored=OWN_PARAMETERS,
        explored=True,
    )
    by = [usage_filter.group_by, *([usage_filter.then_by] if usage_filter.then_by else [])]
    hidden = () if usage_filter.then_by else ("subgroup",)
    state = read_table(EXPLORE, request, actor, hidden=hidden, others=usage_filter.pairs())
    column_names = {column.name for column in state.columns}
    timed = bool(column_names & _TIMED)
    at = read_freshness()
    explored, too_many, before = Explored([], Totals()), "", dict[Names, Cell]()
    try:
        explored = explore(actor, usage_filter, by, at, timed=timed)
        if column_names & _COMPARED:
            timed_before = bool(column_names & _MOVED_NAMES)
            before = _cells_before(actor, usage_filter, by, at, timed=timed_before)
    except TooManyRecords as error:
        too_many = too_many_text(error)
    whole = explored.total
    rows = [
        _cell_row(actor, usage_filter, by, n, cell, whole) | _compare_cell(cell, before)
        for n, cell in enumerate(explored.cells)
    ]
    detached = missing_months(usage_filter, by, at)
    context = {
        "asked": usage_filter,
        "too_many": too_many,
        "detached": notice_text(detached),
        "cut_off": group_digits(CELLS_MAX) if explored.more else "",
        "overlaps": "tag" in by,
        "untimed": timed and any(cell.times is None for cell in explored.cells),
        "total": whole,
        "saved": menu_of(actor, "explore", state.query()),
        "dropped": dropped_of(actor, usage_filter, explored=True),
        "own_only": access.scope_of(actor, "usage.read") == "own",
        "overview_query": usage_filter.query(group_by=None, then_by=None),
        "focus_query": usage_filter.query(**dict.fromkeys(filters.OF_SUMS)),
    }
    bar = usage_bar(
        actor, usage_filter, kept=tuple(state.kept), at=at, before=_axis_fields(actor, usage_filter)
    )
    templates = ("usage/breakdowns/explore.html", "usage/breakdowns/_explore.html")
    with timezone.override(usage_filter.zone):
        return answer_table(
            request=request,
            state=state,
            source=ListSource(rows),
            templates=templates,
            context=context,
            bar=bar,
            suffix=file_suffix(names_of(detached)),
        )


def _cells_before(
    actor: Actor, usage_filter: UsageFilter, by: Sequence[GroupBy], at: Freshness, *, timed: bool
) -> dict[Names, Cell]:
    """Return the cells of the previous period by their groups."""
    earlier = replace(usage_filter, spans=(usage_filter.previous,))
    return {
        _group_values(cell): cell for cell in explore(actor, earlier, by, at, timed=timed).cells
    }


def _group_values(cell: Cell) -> Names:
    return tuple(group.value for group in cell.groups)


def _compare_cell(cell: Cell, before: Mapping[Names, Cell]) -> dict[str, Any]:
    was = before.get(_group_values(cell))
    was_nano = was.totals.charge_nano if was else 0
    now, then = _times(cell.times), _times(was.times if was else None)
    moved: dict[str, Any] = {}
    for name in _TIMES:
        moved |= _change_context(name, now[name], then[name], duration_text)
    moved |= _change_context("speed", now["speed_tenths"], then["speed_tenths"], speed_text)
    return {"before": was_nano, "change": cell.totals.charge_nano - was_nano, **moved}


def _change_context(
    name: str, now: int | None, then: int | None, text_of: Callable[[int], str]
) -> dict[str, Any]:
    return {
        f"{name}_change": moved_text(now, then, text_of) or None,
        f"{name}_moved": None if now is None or then is None else now - then,
    }


def _axis_fields(actor: Actor, usage_filter: UsageFilter) -> list[Field]:
    choices = [(name, str(word)) for name, word in all_groups(actor).items()]
    then = [("", gettext("No second group")), *choices]
    return [
        Field("group_by", gettext("Group by"), value=usage_filter.group_by, choices=choices),
        Field("then_by", gettext("Then by"), value=usage_filter.then_by or "", choices=then),
    ]


def _cell_row(
    actor: Actor,
    usage_filter: UsageFilter,
    by: Sequence[GroupBy],
    n: int,
    cell: Cell,
    whole: Totals,
) -> dict[str, Any]:
    names = [
        group_label(axis, _label(axis, group)) for axis, group in zip(by, cell.groups, strict=True)
    ]
    tokens, totals = tokens_of(cell.totals.meters), cell.totals
    return {
        "n": n,
        "href": rows_url(actor, usage_filter, None, **_cell_query(usage_filter, by, cell)),
        "group": names[0],
        "subgroup": names[1] if names[1:] else "",
        "cost": totals.charge_nano,
        "share": percent(totals.charge_nano, whole.charge_nano),
        "requests": totals.requests,
        "errors": totals.errors,
        "tokens_in": tokens.read,
        "cached": tokens.cached,
        "saved": totals.saved_nano,
        "tokens_out": tokens.written,
        "reasoning": tokens.reasoning,
        "per_request": _per_request(totals),
        **_times(cell.times),
    }


def _label(axis: GroupBy, group: Group) -> str:
    return str(STATUS_WORDS.get(group.label, group.label)) if axis == "status" else group.label


def _per_request(totals: Totals) -> int | None:
    if not totals.requests:
        return None
    return round_half_even(totals.charge_nano, totals.requests)


def _cell_query(usage_filter: UsageFilter, by: Sequence[GroupBy], cell: Cell) -> dict[str, object]:
    """Return the replacements in the filter's query that select the requests of a cell."""
    over: dict[str, object] = {}
    without = list(usage_filter.scope.without)
    for axis, group in zip(by, cell.groups, strict=True):
        if group.value:
            over |= over_of_group(usage_filter, axis, group.value)
        else:
            without.append(axis)
    return {**over, "without": without}


def _times(times: Times | None) -> dict[str, Any]:
    total = times and times.total
    ttft = times and times.ttft
    tenths = times and times.rate_tenths
    none = (None,) * len(SHARE_NAMES)
    return {
        **dict(zip(SHARE_NAMES, total or none, strict=True)),
        **dict(zip([f"ttft_{name}" for name in SHARE_NAMES], ttft or none, strict=True)),
        "speed_tenths": tenths,
        "speed": None if tenths is None else speed_text(tenths),
    }


@organisation_page("usage.read")
@require_safe
def focus_file(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Return the costs of the filter's days in the columns of FOCUS. If that takes long, a worker
    creates the file."""
    usage_filter = filters.from_query(
        dict(request.GET.lists()), clock.now(), channels=actor.operator, explored=True
    )
    try:
        pieces = focus_csv(actor, usage_filter)
    except TooManyRecords as error:
        if access.scope_of(actor, "requests.read") is not None:
            start = reverse("export_start", args=[slug_of(actor)])
            return redirect(f"{start}?{usage_filter.query(export=exports.FOCUS)}")
        return HttpResponse(too_many_text(error), status=400, content_type="text/plain")
    suffix = file_suffix(names_of(focus_lacks(usage_filter)))
    name = f"focus-{clock.now():%Y-%m-%d}{suffix}.csv"
    return stream(request, name, CSV_TYPE, iterate_in_locale(pieces))
