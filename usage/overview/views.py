"""The page of usage (W30), and notes on its charts: the dialog that adds one, and its deletion."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.translation import gettext, gettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import access
from accounts.access.access import visible_teams
from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from billing.currency.money import round_half_even
from billing.prices.meters import find_meter
from lib import clock
from lib.forms.date_and_file_fields import MomentInput
from lib.htmx import is_htmx, redirect_to, render_dialog, render_part, see_other
from lib.ids import id_text
from lib.numbers.formatting import group_digits
from lib.refusal import Refused
from usage.breakdowns.failures import failure_series, rejections
from usage.buckets.buckets import Span
from usage.filter_bar.filter_bar import GROUPS_SHOWN, dates_of, group_label, usage_bar
from usage.filters import filters
from usage.filters.filters import Dropped, UsageFilter
from usage.filters.groupings import GROUPINGS, GroupBy
from usage.filters.visibility import sees_requests
from usage.months.detached import detached_within, notice_text
from usage.overview import chart_notes
from usage.overview.overview import Overview, overview
from usage.records.counted_meters import tokens_of
from usage.reports import reports
from usage.reports.missing_months import missing_months
from usage.reports.reports import Series, SeriesPart, Totals
from usage.reports.too_many_records import RECORDS_MAX, TooManyRecords
from usage.requests import log as request_log
from usage.requests import words
from usage.rollups.levels import read_freshness
from usage.saved_views.views import menu_of

_TOP = 8
_METRICS: dict[str, Promise] = {
    "cost": gettext_lazy("Cost"),
    "requests": gettext_lazy("Requests"),
    "tokens": gettext_lazy("Tokens"),
    "errors": gettext_lazy("Errors"),
}
_TABS: dict[str, Promise] = {
    "": gettext_lazy("Overview"),
    "keys": gettext_lazy("Keys and meters"),
    "times": gettext_lazy("Times"),
    "errors": gettext_lazy("Errors"),
    "changes": gettext_lazy("Changes"),
}
# Parameters for sums that the list of requests does not have.
_OF_SUMS: dict[str, object] = dict.fromkeys(filters.OF_SUMS)
_GRAINS: dict[str, Promise] = {
    "15min": gettext_lazy("quarter of an hour"),
    "hour": gettext_lazy("hour"),
    "day": gettext_lazy("day"),
    "week": gettext_lazy("week"),
    "month": gettext_lazy("month"),
}
_SEEN_BY: dict[str, Callable[[Actor], bool]] = {
    "user": lambda actor: access.scope_of(actor, "usage.read") != "own",
    "channel": lambda actor: actor.operator,
}


# Usage (W30) ------------------------------------------------------------------------------------


@organisation_page("usage.read")
@require_safe
def usage_page(request: HttpRequest, actor: Actor) -> HttpResponse:
    query = dict(request.GET.lists())
    usage_filter = filters.from_query(query, clock.now(), channels=actor.operator, ignored=("tab",))
    asked_tab = request.GET.get("tab", "")
    tab = asked_tab if asked_tab in _tabs(actor) else ""
    # Read before the figures, so that it holds for them.
    at = read_freshness()
    too_many = ""
    try:
        seen = overview(actor, usage_filter, at, keys=_TOP)
    except TooManyRecords as error:
        too_many = too_many_text(error)
        if usage_filter.scope.picks_records:
            seen = Overview([], Totals(), Series((), ()), [])
        else:
            usage_filter = replace(usage_filter, group_by="model")
            seen = overview(actor, usage_filter, at, keys=_TOP)
    total = reports.sum_of(seen.buckets)
    context: dict[str, Any] = {
        "too_many": too_many,
        "detached": notice_text(missing_months(usage_filter, [usage_filter.group_by], at)),
        "complete_to": at.complete_until([usage_filter.previous, *usage_filter.spans]),
        "stats": _stats(actor, usage_filter, seen),
        "error_points": _error_points(total, seen.before),
        "total": total,
        "own_nano": total.own_nano,
        "compared": dates_of(usage_filter.previous, usage_filter.zone),
        "asked": usage_filter,
        "bar": usage_bar(actor, usage_filter, kept=(("tab", tab),) if tab else (), at=at),
        "tab": tab,
        "tabs": usage_tabs(actor, usage_filter, tab),
        "own_only": access.scope_of(actor, "usage.read") == "own",
        "dates": usage_filter.on or dates_of(usage_filter.span, usage_filter.zone),
        "filtered": usage_filter.scope != filters.EVERYTHING,
        "dropped": dropped_of(actor, usage_filter),
        "page_url": request.path,
        "saved": menu_of(actor, "usage", usage_filter.query()),
    }
    if total.requests or total.charge_nano:
        context |= {
            "chart": chart_of(usage_filter, seen.series, actor),
            "chart_title": _chart_title(usage_filter),
            "metrics": _switch(usage_filter, "metric", _METRICS),
            "groups": _switch(usage_filter, "group_by", _groups(actor)),
            "grouped_by": GROUPS_SHOWN[usage_filter.group_by],
            "refresh_url": request.get_full_path(),
            "top": _top(usage_filter, seen, total),
            "meters": _meters(total),
        }
        if tab == "errors":
            context["rejected"] = rejections(actor, usage_filter.span, usage_filter.scope)
            context["rejected_url"] = rows_url(actor, usage_filter, guards="rejected")
        if tab == "errors" and total.errors:
            context["failures"] = {
                "chart": _failure_chart(usage_filter, actor),
                "asked": replace(usage_filter, metric="errors"),
                "detached": notice_text(detached_within(usage_filter.span)),
            }
    elif not too_many:
        context["latest"] = _latest_day(actor, usage_filter)
    with timezone.override(usage_filter.zone):
        response = render_part(
            request, "usage/reports/usage.html", "usage/reports/_usage.html", context
        )
    if is_htmx(request):
        # A form also sends its empty fields. The address bar shows only the filled ones.
        parameters = usage_filter.query(tab=tab)
        response["HX-Push-Url"] = f"{request.path}{'?' if parameters else ''}{parameters}"
    return response


def _tabs(actor: Actor) -> dict[str, Promise]:
    """Return the tabs by their name in the address. Only readers of single requests see causes."""
    return {name: word for name, word in _TABS.items() if name != "errors" or sees_requests(actor)}


def usage_tabs(actor: Actor, usage_filter: UsageFilter, current: str) -> list[dict[str, Any]]:
    """Return the tabs of the page, and those of sessions and feedback, which are separate
    pages."""
    here = reverse("usage", args=[slug_of(actor)])
    tabs = [(name, word, here, {"tab": name}) for name, word in _tabs(actor).items()]
    if sees_requests(actor):
        sessions = reverse("sessions", args=[slug_of(actor)])
        tabs.append(("sessions", gettext_lazy("Sessions"), sessions, {}))
        feedback = reverse("feedback", args=[slug_of(actor)])
        tabs.append(("feedback", gettext_lazy("Feedback"), feedback, {}))
    return [
        {"name": word, "url": f"{url}?{usage_filter.query(**own)}", "current": name == current}
        for name, word, url, own in tabs
    ]


def _stats(actor: Actor, usage_filter: UsageFilter, seen: Overview) -> list[dict[str, Any]]:
    total = reports.sum_of(seen.buckets)
    rows = rows_url(actor, usage_filter)
    failed = rows_url(actor, usage_filter, status="error")
    return [
        {
            "metric": metric,
            "now": total.metric(metric),
            "before": seen.before.metric(metric),
            "href": failed if metric == "errors" else rows,
            "series": [bucket.metric(metric) for bucket in seen.buckets],
        }
        for metric in ("cost", "requests", "tokens", "errors")
    ]


def _error_points(now: Totals, before: Totals) -> str:
    """Return the change of the error rate in percentage points."""
    if not before.requests or not now.requests:
        return ""
    tenths = _per_mille(now) - _per_mille(before)
    points = gettext("%(n)s pt") % {"n": f"{abs(tenths) // 10}.{abs(tenths) % 10}"}
    if not tenths:
        return points
    return format_html(
        '<span class="delta" data-tone="{}"><span aria-hidden="true">{}</span>'
        '<span class="sr">{}</span> {}</span>',
        "bad" if tenths > 0 else "ok",
        "▲" if tenths > 0 else "▼",
        gettext("up") if tenths > 0 else gettext("down"),
        points,
    )


def _per_mille(totals: Totals) -> int:
    return round_half_even(totals.errors * 1000, totals.requests)


def chart_of(usage_filter: UsageFilter, series: Series, actor: Actor) -> dict[str, Any]:
    """Return a series for its table, each figure with the address of the rows behind it."""
    by = usage_filter.group_by

    def over_of(part: SeriesPart) -> dict[str, object]:
        # The rows of a named part can be filtered, those of the combined rest cannot.
        return {} if part.id is None else over_of_group(usage_filter, by, part.id)

    words_of = {
        part.slot: group_label(by, part.label) for part in series.parts if part.id is not None
    }
    return _chart(usage_filter, series, actor, words_of, over_of)


def _failure_chart(usage_filter: UsageFilter, actor: Actor) -> dict[str, Any]:
    """Return the failed requests by their cause, for the table of a chart."""

    def over_of(part: SeriesPart) -> dict[str, object]:
        return {"status": "error", "cause": part.id} if part.id else {}

    series = failure_series(actor, usage_filter)
    words_of = {
        part.slot: str(words.KINDS.get(part.label, part.label)) or gettext("Unknown cause")
        for part in series.parts
        if part.id is not None
    }
    return _chart(usage_filter, series, actor, words_of, over_of, status="error")


def _chart(
    usage_filter: UsageFilter,
    series: Series,
    actor: Actor,
    words_of: Mapping[int, str],
    over_of: Callable[[SeriesPart], dict[str, object]],
    **rows: object,
) -> dict[str, Any]:
    """Build the table of a chart. `words_of` are the names of the parts by their slot. `over_of`
    returns the query parameters that select the rows of a part, and `rows` are those for all
    parts."""
    overs = [over_of(part) for part in series.parts]
    # A chart of a quarter has a thousand addresses, so their common part is built once.
    log = _url(actor, "requests") if sees_requests(actor) else ""
    spans = [usage_filter.within(bucket.span) for bucket in series.buckets]

    def href(within: Mapping[str, object], over: Mapping[str, object]) -> str:
        parameters: dict[str, object] = {**_OF_SUMS, **within, **over}
        return f"{log}?{usage_filter.query(**parameters)}" if log else ""

    return {
        "parts": [
            {
                "label": words_of.get(part.slot) or gettext("Other"),
                "slot": part.slot,
                "total": part.total,
            }
            for part in series.parts
        ],
        "rows": [
            {
                "at": bucket.span.start_at,
                "href": href(within, rows),
                "unfinished": usage_filter.unfinished(bucket.span),
                "total": bucket.total,
                "cells": [
                    {
                        "value": value,
                        "href": href(within, over) if value and over else "",
                    }
                    for over, value in zip(overs, bucket.values, strict=True)
                ],
            }
            for bucket, within in zip(series.buckets, spans, strict=True)
        ],
        "total": series.total,
    }


def _chart_title(usage_filter: UsageFilter) -> str:
    return gettext("%(metric)s per %(time)s by %(group)s") % {
        "metric": _METRICS[usage_filter.metric],
        "time": _GRAINS[usage_filter.grain],
        "group": str(GROUPS_SHOWN[usage_filter.group_by]).lower(),
    }


def _groups(actor: Actor) -> dict[str, Any]:
    """Return the available groupings of a chart."""
    return {name: word for name, word in all_groups(actor).items() if name in filters.CHARTED}


def all_groups(actor: Actor) -> dict[str, Any]:
    """Return all available groupings. A person's own rows need no grouping by person; channels are
    for operators."""
    hidden = {name for name, may in _SEEN_BY.items() if not may(actor)}
    return {name: GROUPS_SHOWN[name] for name in GROUPINGS if name not in hidden}


def _switch(
    usage_filter: UsageFilter, name: str, values: Mapping[str, Promise]
) -> list[dict[str, Any]]:
    """Return the links of a switch, the current value marked."""
    current = getattr(usage_filter, name)
    first = next(iter(values))
    return [
        {
            "value": value,
            "label": word,
            "chosen": value == current,
            "href": f"?{usage_filter.query(**{name: value if value != first else None})}",
        }
        for value, word in values.items()
    ]


def _top(usage_filter: UsageFilter, seen: Overview, total: Totals) -> list[dict[str, Any]]:
    return [
        {
            "label": group_label("key", group.label),
            "href": f"?{usage_filter.query(key=_filter_value('key', group.id))}",
            "totals": group.totals,
            "before": before,
            "whole": total.charge_nano,
        }
        for group, before in seen.keys
    ]


def _meters(total: Totals) -> dict[str, Any]:
    counted = {name: units for name, units in total.meters.items() if units}
    rows = [
        {"word": words.meter_word(name), "units": units, "token": find_meter(name).unit == "token"}
        for name, units in counted.items()
    ]
    tokens = tokens_of(total.meters)
    return {
        "rows": rows,
        "most": max(counted.values(), default=0),
        "sent": tokens.read,
        "cached": tokens.cached,
    }


def _latest_day(actor: Actor, usage_filter: UsageFilter) -> dict[str, Any] | None:
    """Return the latest day with data, if the requested range has none."""
    at = request_log.newest_request_at(actor, usage_filter.scope) if sees_requests(actor) else None
    if at is None:
        return None
    day = at.astimezone(usage_filter.zone).date().isoformat()
    return {"at": at, "href": f"?{usage_filter.query(range='custom', from_=day, to=day)}"}


# Shared by the pages ----------------------------------------------------------------------------


def too_many_text(error: TooManyRecords) -> str:
    """Return why there are no figures."""
    text = gettext(
        "This period has %(n)s requests. Labels, applications and statuses are counted for up to"
        " %(most)s: choose a shorter period."
    )
    return text % {"n": group_digits(error.requests), "most": group_digits(RECORDS_MAX)}


def dropped_of(actor: Actor, usage_filter: UsageFilter, *, explored: bool = False) -> list[str]:
    """Return texts about the ignored parts of an address. `explored` allows any grouping."""
    return [_dropped_text(actor, part, explored=explored) for part in usage_filter.dropped]


def _dropped_text(actor: Actor, part: Dropped, *, explored: bool) -> str:
    """Describe an ignored parameter; for a grouping and a figure, with the available ones."""
    value_text = f"{part.name}={part.value}"[:80]
    groups = _groups(actor) if not explored else all_groups(actor)
    known = {"group_by": groups, "then_by": groups, "metric": _METRICS}.get(part.name)
    if not known:
        return value_text
    return gettext("%(said)s (available: %(known)s)") % {
        "said": value_text,
        "known": ", ".join(known),
    }


def over_of_group(usage_filter: UsageFilter, by: GroupBy, value: str) -> dict[str, object]:
    """Return the replacements in the filter's query that select one group."""
    if value:
        return {by: _filter_value(by, value)}
    return {"without": (*usage_filter.scope.without, by)}


def _filter_value(by: GroupBy, value: str) -> str:
    return id_text(UUID(value)) if by in ("key", "channel") else value


def rows_url(
    actor: Actor, usage_filter: UsageFilter, span: Span | None = None, **over: object
) -> str:
    """Return the address of the requests behind a sum, or "" for readers without access."""
    if not sees_requests(actor):
        return ""
    over = {**_OF_SUMS, **over}
    query = usage_filter.query_of_span(span, **over) if span else usage_filter.query(**over)
    return f"{_url(actor, 'requests')}?{query}"


def _url(actor: Actor, name: str, *arguments: str) -> str:
    return reverse(name, args=[slug_of(actor), *arguments])


class NoteForm(forms.Form):
    at = forms.DateTimeField(
        label=_("Time (UTC)"),
        widget=MomentInput(),
    )
    team = forms.ChoiceField(label=_("Visible to"), required=False)
    text = forms.CharField(label=_("Text"), max_length=chart_notes.TEXT_MAX)

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        teams = visible_teams(actor).filter(archived_at=None)
        everyone = [("", _("Everyone"))] if actor.teams is None else []
        self.fields["team"].choices = [*everyone, *((team.slug, team.name) for team in teams)]  # type: ignore[attr-defined]


@organisation_page("teams.write")
@require_http_methods(["GET", "HEAD", "POST"])
def note_new(request: HttpRequest, actor: Actor) -> HttpResponse:
    with timezone.override(timezone.get_fixed_timezone(0)):
        form = NoteForm(actor, request.POST or None, initial={"at": clock.now()})
        if form.is_valid():
            try:
                chart_notes.add_note(actor, **form.cleaned_data)
            except Refused as refused:
                refused.add_to(form)
            else:
                messages.success(request, gettext("Note added."))
                return redirect_to(request, "usage", slug_of(actor))
        context = {"form": form}
        return render_dialog(request, "usage/reports/note_new.html", context, refused=form.is_bound)


@organisation_page("teams.write")
@require_POST
def note_delete(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    chart_notes.delete_note(actor, chart_notes.writable_note(actor, id))
    messages.success(request, gettext("Note deleted."))
    return see_other("usage", slug_of(actor))
