"""The live log: the requests that end while its page is open, as server-sent events.

    event: rows      the new rows of the list, newest first, rendered as in the list, after the
                     number of those that are left out
    event: place     nothing new up to this place
    event: behind    too much has happened since the page's place; it must reload the list
    event: ended     a text: the stream will not continue

Each message except the last has the page's new place as its id. A page that reconnects sends it, to
any process, because the place describes the position completely. A stream holds no resources
between two queries, and the writers of records know nothing of it.
"""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from django.db import Error
from django.http import HttpRequest, HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from accounts.access.access import scope_of
from accounts.access.actors import Actor, person_of, slug_of
from accounts.guards.guards import organisation_page
from accounts.guards.stream_access import CHECK_S, present_actor
from accounts.preferences.table_preferences import read_table
from billing.currency.display import PLACES_MAX, TOTAL_PLACES
from lib import clock
from lib.database.async_database import run_in_database
from lib.ids import ID_SLACK
from lib.process.asgi import STOPPING
from lib.process.server_sent import PING_S, event_stream, server_sent
from lib.tables.table import State
from usage.filters.filters import UsageFilter
from usage.filters.visibility import Period, seen_by
from usage.log.log_views import cells_of, read_filter
from usage.requests import log as request_log
from usage.requests.columns import REQUESTS, hidden_columns
from usage.requests.log_position import Place, read_place

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
        between = (self.actor, period, asked.scope, place, now)
        rows, missed = request_log.requests_since(*between, ROWS_MAX + 1), 0
        if len(rows) > ROWS_MAX:
            count = request_log.count_since(*between)
            if not count.exact:
                return Update(now, behind=True)
            rows, missed = rows[:ROWS_MAX], count.n - ROWS_MAX
        with translation.override(self.language), timezone.override(asked.zone):
            return Update(now, self._html(rows, missed) if rows else "")

    def _html(self, rows: list[request_log.RequestRow], missed: int) -> str:
        log = reverse("requests", args=[slug_of(self.actor)])
        cells = [cells_of(log, self.usage_filter, row) for row in rows]
        return render_to_string(
            "usage/requests/_live_rows.html",
            {"state": self.state, "rows": cells, "places": self.places, "missed": missed},
        )

    def in_language(self, make: Callable[[], str]) -> str:
        """Return a text in the page's language."""
        with translation.override(self.language):
            return make()


class Update(NamedTuple):
    """The place up to which a stream has read, and what is new there."""

    place: Place
    html: str = ""
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


def _ended_text() -> str:
    return gettext("Your access has ended or changed. Reload the page.")


def _too_many_text() -> str:
    return gettext("Live is on in %(n)s other tabs. Turn it off there first.") % {"n": STREAMS_MAX}
