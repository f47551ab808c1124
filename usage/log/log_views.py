"""The log of requests (W32).

The live log: the requests that end while its page is open, as server-sent events.

    event: rows      the new rows of the list, newest first, rendered as in the list
    event: skipped   a text: there were more rows than are shown
    event: place     nothing new up to this place
    event: behind    too much has happened since the page's place; it must reload the list
    event: ended     a text: the stream will not continue

Each message except the last has the page's new place as its id. A page that reconnects sends it, to
any process, because the place describes the position completely. A stream holds no resources
between two queries, and the writers of records know nothing of it.
"""

import asyncio
import datetime as dt
import logging
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from django.db import Error
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_safe

from accounts.access import access
from accounts.access.access import scope_of
from accounts.access.actors import Actor, person_of, slug_of
from accounts.guards.guards import organisation_page
from accounts.guards.stream_access import CHECK_S, present_actor
from accounts.preferences.table_preferences import read_table
from billing.currency.display import PLACES_MAX, TOTAL_PLACES
from lib import clock
from lib.database.async_database import run_in_database
from lib.ids import id_text
from lib.numbers.formatting import group_digits
from lib.process.asgi import STOPPING
from lib.process.server_sent import PING_S, event_stream, server_sent
from lib.tables.pages import answer_table
from lib.tables.sources import START
from lib.tables.table import OWN_PARAMETERS, Badge, State
from usage.buckets.buckets import Span
from usage.exports.exports import DIRECT_ROWS
from usage.filter_bar.filter_bar import usage_bar
from usage.filters import filters
from usage.filters.filters import UsageFilter
from usage.filters.visibility import Period, seen_by
from usage.months.detached import detached_within, notice_text
from usage.overview.views import dropped_of
from usage.records.counted_meters import tokens_of
from usage.records.outcomes import CLIENT_STOPPED, has_failed
from usage.records.partitions import ID_SLACK
from usage.reports import reports
from usage.reports.reports import Totals
from usage.requests import log as request_log
from usage.requests import words
from usage.requests.columns import REQUESTS, LogSource, hidden_columns
from usage.requests.histogram import Bar, histogram, sums_of_bars
from usage.requests.log import RequestRow
from usage.requests.log_position import Place, read_place
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
        "status": status_badge(row.status, row.display_kind),
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
        "app": words.app_name(row.app),
        "session": row.session_id and id_text(row.session_id),
    }


def _key_text(row: RequestRow) -> str:
    """Return the key, and what a request of the playground was for if it was no turn of a chat."""
    name = words.key_name(row.key_name)
    return f"{name} · {words.app_name(row.app)}" if row.app in words.SIDE_REQUESTS else name


def status_badge(status: int | None, kind: str | None) -> Badge:
    """Return a badge with the outcome of a request; one without a status is running."""
    if status is None:
        return Badge(_("Running"), "info", "circle-dashed")
    if status == CLIENT_STOPPED:
        return Badge(_("Stopped"))
    text = words.status_text(status, kind)
    if has_failed(status):
        return Badge(text, "bad", hint=words.kind_text(kind or ""))
    return Badge(text, "ok")


logger = logging.getLogger(__name__)

LOOK_S: Final = 1.0
"""How often a stream queries for new rows."""
ROWS_MAX: Final = 50
"""The maximum number of rows sent for one query."""
STREAMS_MAX: Final = 3
"""The maximum number of streams of a person in one web process."""
# The page then reconnects and its filter is parsed again, because "today" may be another day by
# then.
_TOTAL_S: Final = 600.0
_RETRY_MS: Final = 1000

_streams: Counter[int] = Counter()


@organisation_page("requests.read")
@require_GET
async def request_events(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    log = await run_in_database(_log_of, request, actor)
    named = request.headers.get("last-event-id") or request.GET.get("place", "")
    stopping = request.scope.get(STOPPING, lambda: False)  # type: ignore[attr-defined]
    return event_stream(live_events(log, read_place(named), stopping))


@dataclass(frozen=True)
class LiveLog:
    """The log as one page displays it, for its session and in its language."""

    actor: Actor
    session_key: str
    usage_filter: UsageFilter
    state: State
    language: str
    places: dict[str, int]

    def may_read(self) -> bool:
        """Return whether the session would still see the same rows and columns."""
        present = present_actor(self.session_key, self.actor)
        if present is None or scope_of(present, "requests.read") is None:
            return False
        return _sight(present) == _sight(self.actor)

    def read_since(self, place: Place | None) -> "Update":
        """Return what is new since `place`; without it, only the current place of the log."""
        now = request_log.place_now()
        if place is None or not place.can_continue_to(now):
            return Update(now, behind=place is not None)
        if place.text == now.text:
            return Update(now)
        asked = self.usage_filter
        # What ends now may have begun at any time in the filter, and clocks differ.
        until = asked.end_at if asked.range == "custom" else clock.now() + ID_SLACK
        period = Period(asked.start_at, until)
        rows = request_log.requests_since(self.actor, period, asked.scope, place, now, ROWS_MAX + 1)
        with translation.override(self.language), timezone.override(asked.zone):
            html = self._html(rows[:ROWS_MAX]) if rows else ""
            skipped = _skipped_text() if len(rows) > ROWS_MAX else ""
        return Update(now, html, skipped)

    def _html(self, rows: list[request_log.RequestRow]) -> str:
        log = reverse("requests", args=[slug_of(self.actor)])
        cells = [cells_of(log, self.usage_filter, row) for row in rows]
        return render_to_string(
            "usage/requests/_live_rows.html",
            {"state": self.state, "rows": cells, "places": self.places},
        )

    def in_language(self, make: Callable[[], str]) -> str:
        """Return a text in the page's language."""
        with translation.override(self.language):
            return make()


class Update(NamedTuple):
    """The place up to which a stream has read, and what is new there."""

    place: Place
    html: str = ""
    skipped: str = ""
    behind: bool = False


async def live_events(
    log: LiveLog, place: Place | None, stopping: Callable[[], bool]
) -> AsyncIterator[str]:
    """Yield the messages of a stream, until the page leaves, its access ends or the process
    stops."""
    user_id = person_of(log.actor).pk
    if _streams[user_id] >= STREAMS_MAX:
        yield server_sent(log.in_language(_too_many_text), event="ended")
        return
    _streams[user_id] += 1
    try:
        async for message in _messages(log, place, stopping):
            yield message
    except Error as error:
        # The page reconnects with its place.
        logger.warning("a live log cannot be read: %s", error)
    finally:
        _streams[user_id] -= 1
        if not _streams[user_id]:
            del _streams[user_id]


async def _messages(
    log: LiveLog, place: Place | None, stopping: Callable[[], bool]
) -> AsyncIterator[str]:
    time = asyncio.get_running_loop().time
    ends_at, check_at, said_at = time() + _TOTAL_S, -math.inf, -math.inf
    yield f"retry: {_RETRY_MS}\n\n"
    while time() < ends_at and not stopping():
        if time() >= check_at:
            check_at = time() + CHECK_S
            if not await run_in_database(log.may_read):
                yield server_sent(log.in_language(_ended_text), event="ended")
                return
        update = await run_in_database(log.read_since, place)
        if update.html or update.behind or time() >= said_at + PING_S:
            said_at = time()
            event = "behind" if update.behind else "rows" if update.html else "place"
            yield server_sent(update.html, id=update.place.name, event=event)
        if update.skipped:
            yield server_sent(update.skipped, event="skipped")
        place = update.place
        await asyncio.sleep(LOOK_S)


def _log_of(request: HttpRequest, actor: Actor) -> LiveLog:
    usage_filter = read_filter(request, actor)
    hidden = hidden_columns(actor)
    state = read_table(REQUESTS, request, actor, hidden=hidden)
    session_key = request.session.session_key or ""
    language = translation.get_language() or "en"
    return LiveLog(actor, session_key, usage_filter, state, language, _places_of(request))


def _places_of(request: HttpRequest) -> dict[str, int]:
    """Return the decimals of the costs that the page already shows."""
    decimals = request.GET.get("decimals", "")
    known = decimals in {str(places) for places in range(TOTAL_PLACES, PLACES_MAX + 1)}
    return {"cost": int(decimals)} if known else {}


def _sight(actor: Actor) -> tuple[object, ...]:
    picks = [(pick, pick.otherwise) for pick in seen_by(actor, "requests.read")]
    seen = [
        (pick.column, frozenset(pick.values)) for both in picks for pick in both if pick is not None
    ]
    return *seen, *hidden_columns(actor)


def _skipped_text() -> str:
    return gettext("More than %(n)s requests a second: some are not shown.") % {"n": ROWS_MAX}


def _ended_text() -> str:
    return gettext("Your access has ended or changed. Reload the page.")


def _too_many_text() -> str:
    return gettext("Live is on in %(n)s other tabs. Turn it off there first.") % {"n": STREAMS_MAX}
