"""The log of requests (W32)."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.access import access
from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from accounts.preferences.table_preferences import read_table
from lib import clock
from lib.ids import id_text
from lib.numbers.formatting import group_digits
from lib.tables.pages import answer_table
from lib.tables.sources import START
from lib.tables.table import OWN_PARAMETERS, Badge, State
from usage.buckets.buckets import Span
from usage.exports.exports import DIRECT_ROWS
from usage.filter_bar.filter_bar import usage_bar
from usage.filters import filters
from usage.filters.filters import UsageFilter
from usage.months.detached import detached_within, notice_text
from usage.overview.views import dropped_of
from usage.records.counted_meters import tokens_of
from usage.records.outcomes import CLIENT_STOPPED
from usage.reports import reports
from usage.reports.reports import Totals
from usage.requests import log as request_log
from usage.requests import words
from usage.requests.columns import REQUESTS, LogSource, hidden_columns
from usage.requests.guard_uses import guards_that
from usage.requests.histogram import Bar, histogram, sums_of_bars
from usage.requests.log import RequestRow
from usage.requests.refusals import is_rejected, is_unanswered
from usage.rollups.levels import read_freshness
from usage.saved_views.views import menu_of

_DAY = dt.timedelta(hours=23)


@organisation_page("requests.read")
@require_safe
def request_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    usage_filter = read_filter(request, actor)
    hidden, others = hidden_columns(actor), usage_filter.pairs(log=True)
    state = read_table(REQUESTS, request, actor, hidden=hidden, others=others)
    at = read_freshness()
    totals = sums_of_bars(actor, usage_filter, at)
    source = LogSource(actor, usage_filter.span, usage_filter.scope, reports.sum_of(totals))
    start = f"{reverse('export_start', args=[slug_of(actor)])}?"
    detached = detached_within(usage_filter.span)
    # A file that lacks months is sent only after the page has said so.
    if state.export and (detached or source.is_longer_than(DIRECT_ROWS)):
        return redirect(f"{start}{request.GET.urlencode()}")
    first = state.position == START and state.sort == (("time", True),) and not state.export

    # Taken before the rows are read, so that rows that arrive in between are announced, not missed.
    live = first and usage_filter.end_at > usage_filter.now
    place = request_log.place_now().name if live else ""
    log = reverse("requests", args=[slug_of(actor)])

    def make(rows: list[RequestRow]) -> list[dict[str, Any]]:
        running = source.running() if first else []
        return [cells_of(log, usage_filter, row) for row in (*running, *rows)]

    context = {
        "asked": usage_filter,
        "place": place,
        "own_only": access.scope_of(actor, "usage.read") == "own",
        "dropped": dropped_of(actor, usage_filter),
        "detached": notice_text(detached),
        "total_nano": source.charged_nano(),
        "saved": menu_of(actor, "requests", state.query()),
        "oldest": request_log.oldest_request_at(actor),
        **_histogram(actor, usage_filter, state, totals),
    }
    bar = usage_bar(actor, usage_filter, log=True, kept=tuple(state.kept), at=at)
    templates = ("usage/requests/requests.html", "usage/requests/_requests.html")
    files = start if detached or source.may_be_longer_than(DIRECT_ROWS) else ""
    with timezone.override(usage_filter.zone):
        return answer_table(
            request=request,
            state=state,
            source=source,
            templates=templates,
            context=context,
            make=make,
            bar=bar,
            files=files,
        )


def read_filter(request: HttpRequest, actor: Actor) -> UsageFilter:
    """Return the filter of the log's address."""
    return filters.from_query(
        dict(request.GET.lists()),
        clock.now(),
        channels=actor.operator,
        log=True,
        ignored=OWN_PARAMETERS,
    )


def _histogram(
    actor: Actor, usage_filter: UsageFilter, state: State, totals: list[Totals]
) -> dict[str, Any]:
    """Return the bars above the log, each with the address of the log of its time."""
    if state.export:
        return {}
    kept = dict(state.kept)
    bars = histogram(actor, usage_filter, totals)
    return {
        "bars": [_bar(usage_filter, bar, kept) for bar in bars],
        "most": max((bar.requests for bar in bars), default=0),
    }


def _bar(usage_filter: UsageFilter, bar: Bar, kept: dict[str, str]) -> dict[str, Any]:
    start_at, end_at = (at.astimezone(usage_filter.zone) for at in bar.span)
    daily = end_at - start_at >= _DAY
    short = date_format(start_at, "MONTH_DAY_FORMAT" if daily else "MONTH_DAY_TIME_FORMAT")
    text = f"{short}: " + ngettext("%(n)s request", "%(n)s requests", bar.requests) % {
        "n": group_digits(bar.requests)
    }
    if bar.failed:
        text += ", " + gettext("%(n)s failed") % {"n": group_digits(bar.failed)}
    unfinished = usage_filter.unfinished(bar.span)
    if unfinished:
        text += ", " + gettext("so far")
    return {
        "short": short,
        "text": text,
        "requests": bar.requests,
        "failed": bar.failed,
        "unfinished": unfinished,
        "start": start_at.isoformat(),
        "end": end_at.isoformat(),
        "href": f"?{_query_of(usage_filter, bar.span, kept)}",
    }


def _query_of(usage_filter: UsageFilter, span: Span, kept: dict[str, str]) -> str:
    over = {**kept, **dict.fromkeys(filters.OF_SUMS)}
    return usage_filter.query_of_span(span, **over)


def cells_of(log: str, usage_filter: UsageFilter, row: RequestRow) -> dict[str, Any]:
    """Return the values of a row's columns for the log at this address."""
    tokens = tokens_of(row.meters)
    counted = None if row.running else tokens
    zone, id = usage_filter.zone.key, id_text(row.request_id)
    # The page of a request is below the page of the log.
    href = f"{log}/{id}"
    return {
        "href": f"{href}?tz={zone}" if zone != "UTC" else href,
        "id": id,
        "time": row.admitted_at,
        "status": outcome_badge(row),
        "model": row.model,
        "key": _key_text(row),
        "person": row.user,
        "channel": row.channel_name,
        "upstream": row.upstream_model,
        "ttft": row.ttft_ms,
        "total": row.total_ms,
        "tokens_in": counted and counted.read,
        "cached": counted and counted.cached,
        "saved": row.saved_nano,
        "own": row.own_nano,
        "tokens_out": counted and counted.written,
        "reasoning": counted and counted.reasoning,
        "cost": None if row.running else row.charge_nano,
        "basis": words.BASES.get(row.basis, row.basis),
        "attempts": row.attempts,
        "source": words.source_name(row.source, row.app),
        "team": row.team_name,
        "project": row.project,
        "customer": row.customer,
        "tags": ", ".join(row.tags),
        "end_user": row.end_user,
        "prompt": row.prompt,
        "prompt_version": row.prompt_version,
        "app": words.app_name(row.app),
        "session": row.session_id and id_text(row.session_id),
    }


def _key_text(row: RequestRow) -> str:
    """Return the key, and what a request of the playground was for if it was no turn of a chat."""
    name = words.key_name(row.key_name)
    return f"{name} · {words.app_name(row.app)}" if row.app in words.SIDE_REQUESTS else name


def outcome_badge(row: RequestRow) -> Badge:
    return status_badge(row.status, row.display_kind, row.flags)


def status_badge(status: int | None, kind: str | None, flags: Sequence[str] = ()) -> Badge:
    """Return a badge with the outcome of a request, and beside it what guards did; one without a
    status is running."""
    if status is None:
        return Badge(_("Running"), "info", "circle-dashed")
    beside = _masked_badge(flags) if "masked" in flags else None
    if status == CLIENT_STOPPED:
        return Badge(_("Stopped"), beside=beside)
    text = words.status_text(status, kind)
    if is_rejected(status, kind):
        guards = ", ".join(guards_that(words.GUARD_REFUSED, flags))
        if guards:
            text = gettext("%(status)s Rejected: %(guard)s") % {"status": status, "guard": guards}
        return Badge(text, "warn", "shield", hint=words.kind_text(kind or ""), beside=beside)
    if is_unanswered(status):
        return Badge(text, "bad", hint=words.kind_text(kind or ""), beside=beside)
    return Badge(text, "ok", beside=beside)


def _masked_badge(flags: Sequence[str]) -> Badge:
    """Return the badge of a masked request. It names the guards, those after the first as a
    number."""
    guards = guards_that(words.GUARD_MASKED, flags)
    if not guards:
        return Badge(_("Masked"), "info", "shield", hint=_("Masked by a guard"))
    text = gettext("Masked: %(guard)s") % {"guard": guards[0]}
    if len(guards) > 1:
        text += f" +{len(guards) - 1}"
    return Badge(text, "info", "shield", hint=", ".join(guards))
