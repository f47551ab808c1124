"""The list of sessions, and the page of one."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final, cast
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from accounts.access import access, actors
from accounts.access.access import AccessDenied
from accounts.access.actors import Actor, organisation_of, slug_of
from accounts.guards.guards import organisation_page, signed_in_view
from accounts.models import User
from accounts.preferences.table_preferences import read_table
from billing.limits import ended_sessions
from content.log.session_log import session_entries
from lib import clock
from lib.htmx import back_to, redirect_to
from lib.ids import id_text, parse_id
from lib.tables.pages import answer_table
from lib.tables.table import OWN_PARAMETERS, Badge, Column, Table
from usage.filter_bar.filter_bar import usage_bar
from usage.filters import filters
from usage.limits.budget_forms import SCOPE_NAMES
from usage.log.log_views import status_badge
from usage.months.detached import detached_within, file_suffix, names_of, notice_text
from usage.overview.views import dropped_of, usage_tabs
from usage.records.counted_meters import Tokens
from usage.requests import words
from usage.rollups.levels import read_freshness
from usage.sessions import endings
from usage.sessions.cache_use import read_cache_use
from usage.sessions.limits import SessionLimit, read_limits
from usage.sessions.sessions import (
    Agent,
    SessionRow,
    SessionSource,
    Turn,
    list_turns,
    read_agents,
    read_session,
)
from usage.sessions.sources import CAP_HEADER
from usage.sessions.words import source_text

_TOKENS: Final = (
    Column("tokens_in", _("In"), "number", priority=2, hint=_("Input tokens, including cached")),
    Column(
        "cached",
        _("Cached"),
        "number",
        priority=3,
        unit="%",
        hint=_("The share of input tokens read from cache"),
    ),
    Column(
        "cache_written",
        _("Cache writes"),
        "number",
        chosen=False,
        in_files=True,
        hint=_("Input tokens written to the provider's cache, part of the input"),
    ),
    Column(
        "tokens_out", _("Out"), "number", priority=2, hint=_("Output tokens, including reasoning")
    ),
)
_OWN: Final = Column(
    "own",
    _("Paid to your provider"),
    "money",
    chosen=False,
    hint=_("By your own provider key, at the model's price here"),
)
SESSIONS: Final = Table(
    "sessions",
    _("Sessions"),
    (
        Column("name", _("Session"), card="title"),
        Column("state", _("Status"), "badge", card="first"),
        Column("last", _("Last turn"), "ago", value="last_at", sort="last_at", card="last"),
        Column("person", _("Person"), priority=3),
        Column("key", _("Key"), chosen=False),
        Column("app", _("Agent"), priority=2, card="second"),
        Column("models", _("Models"), priority=2),
        Column("turns", _("Turns"), "number", sort="turns"),
        Column("agents", _("Sub-agents"), "number", chosen=False),
        Column("failed", _("Failed"), "number", chosen=False),
        Column("total", _("Duration"), "duration", chosen=False),
        *_TOKENS,
        Column("cost", _("Cost"), "money", value="charge_nano", sort="charge_nano", card="money"),
        _OWN,
        Column("limit", _("Limit"), "money", chosen=False, hint=_("The session's tightest limit")),
        Column("left", _("Left"), "money", priority=2, hint=_("Of the session's tightest limit")),
        Column("started", _("Started"), "time", chosen=False),
        Column("source", _("Named by"), "code", chosen=False),
        Column("id", _("Session ID"), "code", value="sid", chosen=False),
    ),
    default_sort="-last",
    href="href",
)
TURNS: Final = Table(
    "session_turns",
    _("Turns"),
    (
        Column("time", _("Time"), "time", value="admitted_at", sort="id", card="last"),
        Column("status", _("Status"), "badge", card="first"),
        Column("agent", _("Sub-agent"), priority=3),
        Column("model", _("Model"), card="title"),
        Column("total", _("Duration"), "duration", value="total_ms", priority=2, card="second"),
        *_TOKENS,
        Column("cost", _("Cost"), "money", value="charge_nano", card="money"),
        _OWN,
        Column("id", _("Request ID"), "code", value="rid", chosen=False),
    ),
    default_sort="time",
    href="href",
)


@organisation_page("requests.read")
@require_safe
def session_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    usage_filter = filters.from_query(
        dict(request.GET.lists()), clock.now(), channels=actor.operator, ignored=OWN_PARAMETERS
    )
    hidden = ["person"] if access.scope_of(actor, "usage.read") == "own" else []
    others = usage_filter.pairs(log=True)
    state = read_table(SESSIONS, request, actor, hidden=hidden, others=others)
    source = SessionSource(actor, usage_filter.span, usage_filter.scope)
    path = reverse("sessions", args=[slug_of(actor)])

    def make(rows: list[SessionRow]) -> list[dict[str, Any]]:
        limits = read_limits([row.id for row in rows])
        return [_cells(path, row, limits.get(row.id, ())) for row in rows]

    detached = detached_within(usage_filter.span)
    context = {
        "tabs": usage_tabs(actor, usage_filter, "sessions"),
        "dropped": dropped_of(actor, usage_filter),
        # Offer to end all sessions only if all are listed. Otherwise, each is ended on its own
        # page.
        "may_end": access.scope_of(actor, "sessions.write")
        == access.scope_of(actor, "requests.read"),
        "detached": notice_text(detached),
        "total_nano": None if state.export else source.charged_nano(),
    }
    at = read_freshness()
    bar = usage_bar(actor, usage_filter, log=True, single=False, kept=tuple(state.kept), at=at)
    templates = ("usage/sessions/sessions.html", "usage/sessions/_sessions.html")
    with timezone.override(usage_filter.zone):
        return answer_table(
            request=request,
            state=state,
            source=source,
            templates=templates,
            context=context,
            make=make,
            bar=bar,
            suffix=file_suffix(names_of(detached)),
        )


@organisation_page("requests.read")
@require_safe
def session_page(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    row = read_session(actor, parse_id(id))
    session_id = row.id
    agents = read_agents(actor, session_id)
    hidden = [] if agents else ["agent"]
    state = read_table(TURNS, request, actor, hidden=hidden)
    log = reverse("requests", args=[slug_of(actor)])

    def make(rows: list[Turn]) -> list[dict[str, Any]]:
        return [_turn_cells(log, turn) for turn in rows]

    context = {
        "row": row,
        "id": id_text(session_id),
        "badge": state_badge(row),
        "name": row.name or id_text(session_id),
        "named_by": source_text(row.source),
        "key": words.key_name(row.key_name),
        "key_id": id_text(row.key_id) if row.key_name else "",
        "tokens": sum(row.tokens),
        "cache": read_cache_use(actor, session_id, row.turns),
        "log_query": _log_query(row),
        "agents": [_agent(one) for one in agents],
        "may_end": _may_end(actor, session_id),
        "conversation_kept": access.scope_of(actor, "content.read") is not None
        and session_entries(actor, session_id).exists(),
        "limits": [
            {"of": _limit_name(limit), "limit": limit}
            for limit in read_limits([session_id]).get(session_id, ())
        ],
    }
    templates = ("usage/sessions/session.html", "usage/sessions/_turns.html")
    turns = list_turns(actor, session_id)
    return answer_table(request, state, turns, templates, context, make=make)


@organisation_page("sessions.write")
@require_POST
def session_end(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    session = endings.access_endable(actor, parse_id(id))
    ended_sessions.end_session(actor, organisation_of(actor), *session)
    undo = reverse("agent_session_reopen", args=[slug_of(actor), id_text(session.id)])
    messages.success(request, gettext("Session ended. Its requests are rejected."), extra_tags=undo)
    return _redirect_to_session(request, actor, session)


@organisation_page("sessions.write")
@require_POST
def session_reopen(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    session = endings.access_endable(actor, parse_id(id))
    ended_sessions.reopen_session(actor, organisation_of(actor), *session)
    messages.success(request, gettext("Session reopened. It continues with its next request."))
    return _redirect_to_session(request, actor, session)


def _redirect_to_session(
    request: HttpRequest, actor: Actor, session: endings.Endable
) -> HttpResponseBase:
    page = reverse("session", args=[slug_of(actor), id_text(session.id)])
    return redirect_to(request, back_to(request, page))


@signed_in_view
@require_safe
def session_link(request: HttpRequest, id: str) -> HttpResponseBase:
    """Redirect the link of an error to the page of the session that was ended, or that has reached
    a limit."""
    organisation = endings.organisation_of_session(cast(User, request.user), parse_id(id))
    actor = actors.linked_actor(request, organisation)
    return redirect("session", slug_of(actor), id)


def _may_end(actor: Actor, session_id: UUID) -> bool:
    try:
        endings.access_endable(actor, session_id)
    except (AccessDenied, Http404):
        return False
    return True


def _limit_name(limit: SessionLimit) -> str:
    """Return the name of what sets a limit."""
    if limit.budget_id is None:
        return CAP_HEADER
    return gettext("Budget, %(scope)s") % {"scope": SCOPE_NAMES[limit.scope]}


def state_badge(row: SessionRow) -> Badge:
    """Return the state of a session: ended by a person, running, or else the outcome of its last
    turn."""
    if row.ended_at is not None:
        return Badge(pgettext_lazy("state of a session", "Ended"), icon="ban")
    if row.running:
        return Badge(_("Running"), "info", "circle-dashed")
    last = status_badge(row.status, row.kind)
    return (
        last if last.tone in ("bad", "warn") else Badge(pgettext_lazy("state of a session", "Idle"))
    )


def _log_query(row: SessionRow) -> str:
    """Return the query of the log of all its requests."""
    first, last = (at.astimezone(dt.UTC).date().isoformat() for at in (row.first_at, row.last_at))
    query = {"range": "custom", "from": first, "to": last, "session": id_text(row.id)}
    return urlencode(query)


def _cells(path: str, row: SessionRow, limits: Sequence[SessionLimit]) -> dict[str, Any]:
    id = id_text(row.id)
    return {
        "href": f"{path}/{id}",
        "id": row.id,
        "name": row.name or id,
        "state": state_badge(row),
        "last_at": row.last_at,
        "started": row.first_at,
        "person": row.user,
        "key": words.key_name(row.key_name),
        "app": row.app or None,
        "models": ", ".join(row.models),
        "turns": row.turns,
        "agents": row.agents,
        "failed": row.failed,
        "total": row.total_ms,
        "charge_nano": row.charge_nano,
        "own": row.own_nano,
        "limit": limits[0].limit_nano if limits else None,
        "left": limits[0].left_nano if limits else None,
        "ended": row.ended_at is not None,
        "sid": id,
        "source": row.source,
        **_token_cells(row),
    }


def _turn_cells(log: str, turn: Turn) -> dict[str, Any]:
    id = id_text(turn.request_id)
    return {
        "href": f"{log}/{id}",
        "id": turn.id,
        "rid": id,
        "admitted_at": turn.admitted_at,
        "status": status_badge(turn.status, turn.kind, turn.flags),
        "agent": turn.agent or None,
        "model": turn.model,
        "total_ms": turn.total_ms,
        "charge_nano": turn.charge_nano,
        "own": turn.own_nano,
        **_token_cells(turn),
    }


def _token_cells(row: SessionRow | Turn) -> dict[str, Any]:
    tokens = row.tokens
    return {
        "tokens_in": tokens.read,
        "cached": _cached(tokens),
        "cache_written": row.cache_written,
        "tokens_out": tokens.written,
    }


def _cached(tokens: Tokens) -> int | None:
    """Return the percentage of the input that was read from cache."""
    return round(100 * tokens.cached / tokens.read) if tokens.read else None


def _agent(agent: Agent) -> dict[str, Any]:
    return {
        "indent": "\u2003" * (agent.depth - 1) + "└ " if agent.depth else "",
        "agent": agent,
        "tokens": agent.tokens,
    }
