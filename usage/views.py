"""Pages of usage and of the request log (W30, W32)."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.views.decorators.http import require_safe

from accounts import access
from accounts.access import Actor, organisation_page, slug_of
from billing.rules.meters import find_meter
from billing.rules.money import round_half_even
from billing.templatetags.money import money_total
from lib import clock
from lib.formatting import grouped
from lib.htmx import render_part
from lib.ids import id_text, parse_id
from usage import filters, reports, words
from usage.filters import Dropped, UsageFilter
from usage.reports import RequestRow, Series, Totals
from usage.rules.buckets import Span
from usage.zones import ZONES

_ROWS = 50
_TOP = 8
_CURSORS = ("after", "before")
_METRICS: dict[str, Promise] = {
    "cost": gettext_lazy("Cost"),
    "requests": gettext_lazy("Requests"),
    "tokens": gettext_lazy("Tokens"),
    "errors": gettext_lazy("Errors"),
}
_GROUPS: dict[str, Promise] = {
    "model": gettext_lazy("Model"),
    "key": gettext_lazy("Key"),
    "user": gettext_lazy("Person"),
    "channel": gettext_lazy("Channel"),
}
_GRAINS: dict[str, Promise] = {
    "15min": gettext_lazy("quarter of an hour"),
    "hour": gettext_lazy("hour"),
    "day": gettext_lazy("day"),
    "week": gettext_lazy("week"),
    "month": gettext_lazy("month"),
}
_SEEN_BY: dict[str, Callable[[Actor], bool]] = {
    "user": lambda actor: access.scope_of(actor, "usage.read") == "all",
    "channel": lambda actor: actor.operator,
}


# Usage (W30) ------------------------------------------------------------------------------------


@organisation_page("usage.read")
@require_safe
def usage_page(request: HttpRequest, actor: Actor) -> HttpResponse:
    asked = _asked(request, actor)
    # Read before the figures: what it says of them then holds.
    complete_to = reports.complete_to()
    totals = reports.usage_by_bucket(actor, asked)
    total = reports.sum_of(totals)
    before = reports.usage_totals(actor, asked.previous, asked.scope)
    context = {
        "complete_to": complete_to,
        "stats": _stats(actor, asked, totals, before),
        "error_points": _error_points(total, before),
        "total": total,
        "compared": _dates(asked.previous, asked.zone),
        **_filter_bar(actor, asked),
    }
    if total.requests or total.charge_nano:
        context |= {
            "chart": _chart(asked, reports.series(actor, asked), actor),
            "chart_title": _chart_title(asked),
            "metrics": _switch(asked, "metric", _METRICS),
            "groups": _switch(asked, "group_by", _groups(actor)),
            "refresh_url": request.get_full_path(),
            "top": _top(actor, asked, total),
            "meters": _meters(total),
        }
    else:
        context["latest"] = _latest_day(actor, asked)
    return _answer(request, actor, asked, "usage/usage", "usage", context)


def _stats(
    actor: Actor, asked: UsageFilter, totals: list[Totals], before: Totals
) -> list[dict[str, Any]]:
    total = reports.sum_of(totals)
    rows = _rows_url(actor, asked)
    failed = _rows_url(actor, asked, status="error")
    return [
        {
            "metric": metric,
            "now": total.metric(metric),
            "before": before.metric(metric),
            "href": failed if metric == "errors" else rows,
            "series": [bucket.metric(metric) for bucket in totals],
        }
        for metric in ("cost", "requests", "tokens", "errors")
    ]


def _error_points(now: Totals, before: Totals) -> str:
    """How the share of errors moved, in points: a share's change is never a share itself."""
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


def _chart(asked: UsageFilter, found: Series, actor: Actor) -> dict[str, Any]:
    # A part is what the rows can be filtered by: not the rest, not what nobody owns.
    by = asked.group_by
    parts = [
        {
            "label": part.label or (gettext("Other") if part.id is None else _nobody(by)),
            "slot": part.slot,
            "value": (_filter_value(by, part.id) if part.id else None),
            "total": part.total,
        }
        for part in found.parts
    ]
    return {
        "parts": parts,
        "rows": [
            {
                "at": bucket.span.start_at,
                "href": _rows_url(actor, asked, bucket.span),
                "unfinished": asked.unfinished(bucket.span),
                "total": bucket.total,
                "cells": [
                    {
                        "value": value,
                        "href": _rows_url(actor, asked, bucket.span, **{by: part["value"]})
                        if value and part["value"]
                        else "",
                    }
                    for part, value in zip(parts, bucket.values, strict=True)
                ],
            }
            for bucket in found.buckets
        ],
        "total": found.total,
    }


def _chart_title(asked: UsageFilter) -> str:
    return gettext("%(metric)s per %(time)s by %(group)s") % {
        "metric": _METRICS[asked.metric],
        "time": _GRAINS[asked.grain],
        "group": str(_GROUPS[asked.group_by]).lower(),
    }


def _groups(actor: Actor) -> dict[str, Promise]:
    """What a chart can be split by: one's own rows have one person, channels are for operators."""
    hidden = {name for name, may in _SEEN_BY.items() if not may(actor)}
    return {name: word for name, word in _GROUPS.items() if name not in hidden}


def _switch(asked: UsageFilter, name: str, values: Mapping[str, Promise]) -> list[dict[str, Any]]:
    """The links of a switch; the value in force is marked."""
    current = getattr(asked, name)
    first = next(iter(values))
    return [
        {
            "value": value,
            "label": word,
            "chosen": value == current,
            "href": f"?{asked.query(**{name: value if value != first else None})}",
        }
        for value, word in values.items()
    ]


def _top(actor: Actor, asked: UsageFilter, total: Totals) -> list[dict[str, Any]]:
    found = reports.usage_by(actor, asked.span, "key", asked.scope, limit=_TOP, metered=False)
    ids = tuple(UUID(group.id) for group in found)
    before = {
        group.id: group.totals
        for group in reports.usage_by(
            actor, asked.previous, "key", filters.of_keys(asked.scope, ids), metered=False
        )
    }
    return [
        {
            "label": group.label or _nobody("key"),
            "href": f"?{asked.query(key=_filter_value('key', group.id))}",
            "totals": group.totals,
            "before": before.get(group.id, Totals()),
            "whole": total.charge_nano,
        }
        for group in found
    ]


def _meters(total: Totals) -> dict[str, Any]:
    counted = {name: units for name, units in total.meters.items() if units}
    rows = [
        {"word": words.meter_word(name), "units": units, "token": find_meter(name).unit == "token"}
        for name, units in counted.items()
    ]
    tokens = reports.tokens_of(total.meters)
    return {
        "rows": rows,
        "most": max(counted.values(), default=0),
        "sent": tokens.read,
        "cached": tokens.cached,
    }


def _latest_day(actor: Actor, asked: UsageFilter) -> dict[str, Any] | None:
    """Where there is something to see, when the asked range holds nothing."""
    at = reports.newest_request_at(actor, asked.scope)
    if at is None:
        return None
    day = at.astimezone(asked.zone).date().isoformat()
    return {"at": at, "href": f"?{asked.query(range='custom', from_=day, to=day)}"}


# The request log (W32) --------------------------------------------------------------------------


@organisation_page("requests.read")
@require_safe
def request_list(request: HttpRequest, actor: Actor) -> HttpResponse:
    asked = _asked(request, actor, log=True)
    after, before = (parse_id(request.GET.get(name, "")) for name in _CURSORS)
    page = reports.request_page(
        actor,
        asked.span,
        asked.scope,
        limit=_ROWS,
        older_than=after,
        newer_than=before,
        running=True,
    )
    rows = [*page.running, *page.rows]
    context = {
        "rows": [_request_row(actor, asked, row) for row in rows],
        "summary": _summary(actor, asked),
        "first_href": f"?{asked.query()}" if after or before else "",
        "previous_href": f"?{asked.query(before=id_text(page.newer))}" if page.newer else "",
        "next_href": f"?{asked.query(after=id_text(page.older))}" if page.older else "",
        "oldest": None if rows else reports.oldest_request_at(actor),
        **_filter_bar(actor, asked),
    }
    return _answer(request, actor, asked, "usage/requests", "requests", context)


def _request_row(actor: Actor, asked: UsageFilter, row: RequestRow) -> dict[str, Any]:
    zone = {"tz": asked.zone.key} if asked.zone.key != "UTC" else {}
    return {
        "row": row,
        "href": _request_url(actor, row.request_id, zone),
        "basis": words.BASES.get(row.basis, row.basis),
        "kind": words.KINDS.get(row.kind or "", row.kind or ""),
        "tokens": reports.tokens_of(row.meters),
    }


def _summary(actor: Actor, asked: UsageFilter) -> str:
    """The sums over the whole range, where the rollups know them."""
    if asked.scope.status or asked.scope.request_id:
        return ""
    totals = reports.usage_totals(actor, asked.span, asked.scope)
    counted = ngettext("%(n)s request", "%(n)s requests", totals.requests) % {
        "n": grouped(totals.requests)
    }
    return f"{counted} · {money_total(totals.charge_nano)}"


# Shared by the pages ----------------------------------------------------------------------------


def _asked(request: HttpRequest, actor: Actor, *, log: bool = False) -> UsageFilter:
    return filters.from_query(
        dict(request.GET.lists()),
        clock.now(),
        channels=actor.operator,
        log=log,
        ignored=_CURSORS if log else (),
    )


def _filter_bar(actor: Actor, asked: UsageFilter) -> dict[str, Any]:
    choices = reports.choices(actor, asked.span)
    own_only = access.scope_of(actor, "usage.read") == "own"
    keys = [(id_text(key), label) for key, label in choices.keys]
    channels = [(id_text(channel), label) for channel, label in choices.channels]
    chosen_keys = [id_text(key) for key in asked.scope.keys]
    chosen_channels = [id_text(channel) for channel in asked.scope.channels]
    return {
        "asked": asked,
        "own_only": own_only,
        "choices": {
            "models": _with_chosen([(m, m) for m in choices.models], list(asked.scope.models)),
            "keys": _with_chosen(keys, chosen_keys),
            "users": _with_chosen([(u, u) for u in choices.users], list(asked.scope.users)),
            "channels": _with_chosen(channels, chosen_channels),
            "zones": _with_chosen([(z, z.replace("_", " ")) for z in ZONES], [asked.zone.key]),
        },
        "dates": asked.on or _dates(asked.span, asked.zone),
        "filtered": asked.scope != filters.EVERYTHING,
        "dropped": [_dropped(actor, part) for part in asked.dropped],
        "q": id_text(asked.scope.request_id) if asked.scope.request_id else "",
    }


def _with_chosen(choices: list[tuple[str, str]], chosen: list[str]) -> list[dict[str, Any]]:
    """The choices of a select; what is chosen stays there even if the range has none of it."""
    missing = [(value, value) for value in chosen if value not in dict(choices)]
    return [
        {"value": value, "label": label, "chosen": value in chosen}
        for value, label in [*choices, *missing]
    ]


def _dates(span: Span, zone: ZoneInfo) -> tuple[dt.date, dt.date]:
    """The first and the last day of a span."""
    last = span.end_at - dt.timedelta(seconds=1)
    return span.start_at.astimezone(zone).date(), last.astimezone(zone).date()


def _dropped(actor: Actor, part: Dropped) -> str:
    """What was not used; of a grouping and a figure also what there is."""
    said = f"{part.name}={part.value}"[:80]
    known = {"group_by": _groups(actor), "metric": _METRICS}.get(part.name)
    if not known:
        return said
    return gettext("%(said)s (there is: %(known)s)") % {"said": said, "known": ", ".join(known)}


def _nobody(by: filters.GroupBy) -> str:
    return {
        "model": "–",
        "key": gettext("Deleted key"),
        "user": gettext("Nobody"),
        "channel": gettext("No channel"),
    }[by]


def _filter_value(by: filters.GroupBy, value: str) -> str:
    return id_text(UUID(value)) if by in ("key", "channel") else value


def _rows_url(actor: Actor, asked: UsageFilter, span: Span | None = None, **over: object) -> str:
    over = {"group_by": None, "metric": None, **over}
    query = asked.query_of_span(span, **over) if span else asked.query(**over)
    return f"{_url(actor, 'requests')}?{query}"


def _request_url(actor: Actor, request_id: UUID, query: Mapping[str, str]) -> str:
    url = _url(actor, "request", id_text(request_id))
    return f"{url}?tz={query['tz']}" if query else url


def _url(actor: Actor, name: str, *arguments: str) -> str:
    return reverse(name, args=[slug_of(actor), *arguments])


def _answer(
    request: HttpRequest,
    actor: Actor,
    asked: UsageFilter,
    template: str,
    url_name: str,
    context: dict[str, Any],
) -> HttpResponse:
    room, name = template.split("/")
    context["page_url"] = _url(actor, url_name)
    with timezone.override(asked.zone):
        response = render_part(request, f"{template}.html", f"{room}/_{name}.html", context)
    if request.htmx:  # type: ignore[attr-defined]
        # A form sends its empty fields too; the address bar shows only what was asked.
        cursors = {name: request.GET.get(name) for name in _CURSORS}
        query = asked.query(**cursors)
        response["HX-Push-Url"] = f"{context['page_url']}{'?' if query else ''}{query}"
    return response
