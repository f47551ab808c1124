"""The management API of sessions."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

from ninja import Query
from pydantic import Field

from accounts.access.actors import Actor, organisation_of
from accounts.access.operations import Router
from billing.currency.money import format_usd
from billing.limits import ended_sessions
from lib.api import pagination
from lib.api.openapi import Schema
from lib.ids import id_text, parse_id
from lib.tables import keyset
from lib.tables.keyset import Order, Values, boundary_of, decode_cursor, encode_cursor
from usage.filters.queries import PeriodQuery, period_of, scope_of
from usage.months.detached import detached_within, names_of
from usage.overview.api import PAID, Meters
from usage.sessions import endings
from usage.sessions.cache_use import CacheUse, read_cache_use
from usage.sessions.limits import SessionLimit, read_limits
from usage.sessions.sessions import AGENTS_MAX, SessionRow, SessionSource, read_agents, read_session
from usage.sessions.sources import CAP_HEADER

router = Router(tags=["Sessions"])
_ORDERS: Final = (Order("last_at", descending=True), Order("id"))
_CURSOR: Final = "sessions"
_CACHE_WRITTEN: Final = (
    "Tokens of input that were written to a provider's cache: the sum of those meters."
)


class SessionOut(Schema):
    id: str = Field(description="As in the `session` of a request.")
    name: str | None = Field(description="What its client calls it; null for a realtime one.")
    source: str | None = Field(
        description="The header or member that names it, such as `x-weir-session`; `realtime` for "
        "a realtime connection."
    )
    key: str
    user: str | None = Field(description="Email address.")
    app: str | None = Field(description="The agent, or another application.")
    models: list[str]
    turns: int = Field(description="Requests.")
    failed: int = Field(description="Failed turns, without those that a guard rejected.")
    sub_agents: int
    running: bool = Field(description="Whether a turn of it runs now.")
    started_at: dt.datetime
    last_at: dt.datetime = Field(description="The end of its last turn.")
    meters: Meters
    cache_written: int = Field(description=_CACHE_WRITTEN)
    charge: str = Field(description="USD, exact.")
    paid_to_provider: str | None = Field(description=PAID)
    ended_at: dt.datetime | None = Field(
        description="When it was ended: its requests are rejected until it is reopened."
    )
    limit: str | None = Field(
        description="The tightest limit of this session: a budget per session, or what its client "
        f"sends in `{CAP_HEADER}`. null without one."
    )
    left: str | None = Field(description="What of that limit is neither spent nor reserved.")


class SessionLimitOut(Schema):
    budget: str | None = Field(
        description=f"The budget's ID; null for what its client sends in `{CAP_HEADER}`."
    )
    limit: str
    spent: str
    held: str = Field(description="Held for running requests.")
    left: str


class EndedSessionOut(Schema):
    id: str
    name: str | None = Field(description="What its client calls it; null for a realtime one.")
    ended_at: dt.datetime | None = Field(description="null once it is reopened.")


class SessionQuery(PeriodQuery):
    """Which sessions to list."""

    name: str | None = Field(None, max_length=254, description="Only those with exactly this name.")


class AgentOut(Schema):
    name: str | None = Field(description="null for the main agent.")
    depth: int = Field(description="How many agents are above it.")
    turns: int
    meters: Meters
    cache_written: int = Field(description=_CACHE_WRITTEN)
    charge: str
    paid_to_provider: str | None = Field(description=PAID)


class CacheUseOut(Schema):
    """Tokens of input, and what the cached ones saved."""

    read: int = Field(description="All input.")
    cached: int = Field(description="Of it, what came from cache.")
    reachable: int = Field(
        description="What would have come from cache if each turn had found what the turn before "
        "it had read and written, as long as providers keep that: 5 minutes, or an hour where it "
        "was written for an hour."
    )
    saved: str = Field(description="USD, exact: how much less was charged than without a cache.")


class SessionDetailOut(SessionOut):
    cache: CacheUseOut | None = Field(description="None for a session of more than 100,000 turns.")
    agents: list[AgentOut] = Field(
        description=f"Each behind the one above it; empty without sub-agents. At most {AGENTS_MAX}."
    )
    limits: list[SessionLimitOut] = Field(description="All its limits, the tightest first.")


class SessionList(Schema):
    items: list[SessionOut]
    next: str | None
    detached_months: list[str] = Field(
        description="Months of the period whose requests are not counted: an operator detached "
        "them into a file."
    )


@router.get("/sessions", response=SessionList, summary="List sessions")
def list_sessions(actor: Actor, query: Query[SessionQuery]) -> dict[str, Any]:
    """Sessions with completed requests in a period, the latest first; counted are the requests of
    the period that the filters leave. A developer sees their own."""
    period = period_of(query)
    source = SessionSource(actor, period, scope_of(query), name=query.name)
    rows = source.fetch(_ORDERS, _boundary(query.cursor), backwards=False, limit=query.limit + 1)
    page = rows[: query.limit]
    more = len(rows) > query.limit
    limits = read_limits([row.id for row in page])
    return {
        "items": [_serialize(row, limits.get(row.id, ())) for row in page],
        "next": encode_cursor(boundary_of(page[-1], _ORDERS), _CURSOR) if more else None,
        "detached_months": names_of(detached_within(period)),
    }


@router.get("/sessions/{id}", response=SessionDetailOut, summary="Show a session")
def show_session(actor: Actor, id: str) -> dict[str, Any]:
    """One session with all its completed turns that you have access to. `GET /requests?session=`
    lists them."""
    row = read_session(actor, parse_id(id))
    limits = read_limits([row.id]).get(row.id, ())
    return {
        **_serialize(row, limits),
        "cache": _cache_use(read_cache_use(actor, row.id, row.turns)),
        "agents": _agents(actor, row),
        "limits": [_limit(limit) for limit in limits],
    }


@router.post("/sessions/{id}/end", response=EndedSessionOut, summary="End a session")
def end_session(actor: Actor, id: str) -> dict[str, Any]:
    """Its requests are rejected from now on with the error `session_ended`, and those that run end
    within a second. A developer ends their own. Repeating it changes nothing."""
    session = endings.access_endable(actor, parse_id(id))
    return _serialize_ended(
        session, ended_sessions.end_session(actor, organisation_of(actor), *session).ended_at
    )


@router.post("/sessions/{id}/reopen", response=EndedSessionOut, summary="Reopen a session")
def reopen_session(actor: Actor, id: str) -> dict[str, Any]:
    """The session continues with its next request. Repeating it changes nothing."""
    session = endings.access_endable(actor, parse_id(id))
    ended_sessions.reopen_session(actor, organisation_of(actor), *session)
    return _serialize_ended(session, None)


def _serialize_ended(session: endings.Endable, ended_at: dt.datetime | None) -> dict[str, Any]:
    return {"id": id_text(session.id), "name": session.name or None, "ended_at": ended_at}


def _boundary(cursor: str | None) -> Values | None:
    """Return the row that a page continues after; None for the first page. Raises BadCursor."""
    try:
        return None if cursor is None else decode_cursor(cursor, _CURSOR)
    except keyset.BadCursor:
        raise pagination.BadCursor from None


def _limit(limit: SessionLimit) -> dict[str, Any]:
    return {
        "budget": None if limit.budget_id is None else str(limit.budget_id),
        "limit": format_usd(limit.limit_nano),
        "spent": format_usd(limit.spent_nano),
        "held": format_usd(limit.held_nano),
        "left": format_usd(limit.left_nano),
    }


def _cache_use(use: CacheUse | None) -> dict[str, Any] | None:
    if use is None:
        return None
    values = use._asdict()
    return {**values, "saved": format_usd(values.pop("saved_nano"))}


def _agents(actor: Actor, row: SessionRow) -> list[dict[str, Any]]:
    return [
        {
            "name": agent.name or None,
            "depth": agent.depth,
            "turns": agent.turns,
            "meters": agent.meters,
            "cache_written": agent.cache_written,
            "charge": format_usd(agent.charge_nano),
            "paid_to_provider": _usd(agent.own_nano),
        }
        for agent in read_agents(actor, row.id)
    ]


def _usd(nano: int | None) -> str | None:
    return None if nano is None else format_usd(nano)


def _serialize(row: SessionRow, limits: Sequence[SessionLimit]) -> dict[str, Any]:
    return {
        "id": id_text(row.id),
        "name": row.name or None,
        "source": row.source or None,
        "key": id_text(row.key_id),
        "user": row.user,
        "app": row.app or None,
        "models": list(row.models),
        "turns": row.turns,
        "failed": row.failed,
        "sub_agents": row.agents,
        "running": row.running,
        "started_at": row.first_at,
        "last_at": row.last_at,
        "meters": row.meters,
        "cache_written": row.cache_written,
        "charge": format_usd(row.charge_nano),
        "paid_to_provider": _usd(row.own_nano),
        "ended_at": row.ended_at,
        "limit": format_usd(limits[0].limit_nano) if limits else None,
        "left": format_usd(limits[0].left_nano) if limits else None,
    }
