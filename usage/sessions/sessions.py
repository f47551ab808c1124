"""Sessions and their turns, from the records of requests."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final
from uuid import UUID

from django.http import Http404

from accounts.access.actors import Actor
from lib.tables.keyset import Order, Values, condition_text, ordering_text
from lib.tables.sources import COUNTED_MAX, Count, StatementSource, count_text
from usage.buckets.buckets import Span
from usage.filters.filters import EVERYTHING, Scope
from usage.filters.visibility import Period, Where, run, where_of
from usage.records import outcomes
from usage.records.counted_meters import Tokens, cache_writes_of, read_json, tokens_of
from usage.rollups.sums import SHOWN_OWN
from usage.sessions.sources import FIRST_RESPONSE

AGENTS_MAX: Final = 200


@dataclass(frozen=True)
class SessionRow:
    """One session, restricted to the wanted requests. `name` and `source` are as in
    `relay/requests/sessions.py`. `agents` counts sub-agents, `failed` failed turns. `status` and
    `kind` are those of the last turn. `ended_at` is when a person ended the session. `own_nano` is
    what the organisation paid its providers itself, None if that is nothing."""

    id: UUID
    last_at: dt.datetime
    turns: int
    charge_nano: int
    first_at: dt.datetime
    name: str
    source: str
    app: str
    key_id: UUID
    key_name: str | None
    user: str | None
    models: Sequence[str]
    agents: int
    failed: int
    status: int
    kind: str | None
    meters: Mapping[str, int]
    running: bool
    ended_at: dt.datetime | None
    own_nano: int | None

    @property
    def tokens(self) -> Tokens:
        return tokens_of(self.meters)

    @property
    def cache_written(self) -> int:
        return cache_writes_of(self.meters)

    @property
    def total_ms(self) -> int:
        """The time from the start of the first turn to the end of the last, in milliseconds."""
        return (self.last_at - self.first_at) // dt.timedelta(milliseconds=1)


@dataclass(frozen=True)
class Turn:
    """One request of a session; `agent` is the sub-agent that sent it, "" for the main one."""

    id: UUID
    request_id: UUID
    admitted_at: dt.datetime
    model: str
    agent: str
    status: int
    kind: str | None
    meters: Mapping[str, int]
    charge_nano: int
    total_ms: int
    own_nano: int | None
    flags: Sequence[str]

    @property
    def tokens(self) -> Tokens:
        return tokens_of(self.meters)

    @property
    def cache_written(self) -> int:
        return cache_writes_of(self.meters)


@dataclass(frozen=True)
class Agent:
    """The work of a sub-agent, "" for the main agent. `depth` is how many agents are above it."""

    name: str
    depth: int
    turns: int
    charge_nano: int
    own_nano: int | None
    meters: Mapping[str, int]

    @property
    def tokens(self) -> Tokens:
        return tokens_of(self.meters)

    @property
    def cache_written(self) -> int:
        return cache_writes_of(self.meters)


class SessionSource:
    """The sessions with requests in a period that the actor may see; with `name` only those with
    this name."""

    def __init__(
        self,
        actor: Actor,
        period: Period | Span,
        scope: Scope = EVERYTHING,
        *,
        name: str | None = None,
    ) -> None:
        where = where_of(actor, "requests.read", scope, period)
        # A response that was never continued is not a session yet. Its own page shows it.
        unlisted = FIRST_RESPONSE if scope.session_id is None else ""
        where = Where(where.text, {**where.parameters, "unlisted": unlisted})
        if name is not None:
            where = Where(
                f"{where.text} AND r.session->>'name' = %(session_name)s",
                {**where.parameters, "session_name": name},
            )
        self._where = where

    def fetch(
        self, orders: Sequence[Order], boundary: Values | None, *, backwards: bool, limit: int
    ) -> list[SessionRow]:
        """See `sources.Source`."""
        edge, edges = (
            ("true", dict[str, Any]())
            if boundary is None
            else condition_text(orders, boundary, backwards=backwards)
        )
        text = _SESSIONS.format(
            where=self._where.text,
            edge=edge,
            order=ordering_text(orders, backwards=backwards),
            listed_order=", ".join(
                f"page.{one}" for one in ordering_text(orders, backwards=backwards).split(", ")
            ),
        )
        rows = run(text, {**self._where.parameters, **edges, "limit": limit})
        return [_session(row) for row in rows]

    def count(self) -> Count:
        """Count the sessions."""
        ((n,),) = run(
            _COUNT.format(where=self._where.text, most=COUNTED_MAX + 1), self._where.parameters
        )
        return count_text(n)

    def charged_nano(self) -> int:
        """Return what the sessions cost together."""
        ((nano,),) = run(_TOTAL.format(where=self._where.text), self._where.parameters)
        return nano or 0


def read_session(actor: Actor, id: UUID | None) -> SessionRow:
    """Return one session with all its turns that the actor may see. Raises Http404."""
    if id is None:
        raise Http404
    source = SessionSource(actor, Period(), Scope(session_id=id))
    rows = source.fetch([Order("last_at")], None, backwards=False, limit=1)
    if not rows:
        raise Http404
    return rows[0]


def list_turns(actor: Actor, id: UUID) -> StatementSource[Turn]:
    """List the turns of a session, by `id` in their order."""
    where = _of_session(actor, id)
    return StatementSource(_TURNS.format(where=where.text), where.parameters, _turn)


def read_turns(actor: Actor, id: UUID, request_ids: Collection[UUID]) -> dict[UUID, Turn]:
    """Return these turns of a session by their request, as far as the actor may see them."""
    where = _of_session(actor, id)
    text = f"{_TURNS.format(where=where.text)} AND r.request_id = ANY (%(requests)s)"
    rows = run(text, {**where.parameters, "requests": list(request_ids)})
    return {turn.request_id: turn for turn in (_turn(*row) for row in rows)}


def read_agents(actor: Actor, id: UUID) -> list[Agent]:
    """Return the agents of a session, each after its parent, AGENTS_MAX at most; empty without
    sub-agents. The first one is the main agent."""
    where = _of_session(actor, id)
    rows = run(_AGENTS.format(where=where.text), {**where.parameters, "most": AGENTS_MAX})
    return _in_tree_order({name: row for name, *row in rows}) if any(row[0] for row in rows) else []


def _of_session(actor: Actor, id: UUID) -> Where:
    return where_of(actor, "requests.read", Scope(session_id=id), Period())


def _in_tree_order(rows: Mapping[str, Sequence[Any]]) -> list[Agent]:
    """Return the agents in the order of a tree. An agent whose parent is unknown, or that is an
    ancestor of itself, is put below the main agent."""
    agents: list[Agent] = []
    seen = {""}

    def add(name: str, depth: int) -> None:
        _, turns, charge_nano, own_nano, meters = rows.get(name, ("", 0, 0, None, "{}"))
        agents.append(Agent(name, depth, turns, charge_nano, own_nano, read_json(meters or "{}")))
        for child, (parent, *_) in rows.items():
            if parent == name and child not in seen:
                seen.add(child)
                add(child, depth + 1)

    add("", 0)
    for name in rows:
        if name not in seen:
            seen.add(name)
            add(name, 1)
    return agents


def _session(row: Sequence[Any]) -> SessionRow:
    values = dict(zip(_COLUMNS, row, strict=True))
    named, meters = (read_json(values.pop(name) or "{}") for name in ("session", "meters"))
    values["models"] = values["models"] or ()
    return SessionRow(
        **values, name=named.get("name", ""), source=named.get("source", ""), meters=meters
    )


def _turn(*row: Any) -> Turn:
    values = {one.name: value for one, value in zip(fields(Turn), row, strict=True)}
    return Turn(**{**values, "meters": read_json(values["meters"])})


# In the order of the statement's columns.
_COLUMNS: Final = (
    "id", "last_at", "turns", "charge_nano", "first_at", "session", "app", "key_id", "key_name",
    "user", "models", "agents", "failed", "status", "kind", "meters", "running", "ended_at",
    "own_nano",
)  # fmt: skip
_OWN: Final = "r.final AND r.session_id IS NOT NULL"
_LISTED: Final = "count(*) > 1 OR coalesce(max(r.session->>'source'), '-') <> %(unlisted)s"
_METERS: Final = """(
        SELECT jsonb_object_agg(meter, units) FROM (
            SELECT one.key AS meter, sum(one.value::bigint) AS units
            FROM usage_usagerecord r, jsonb_each_text(r.meters) one
            WHERE {{where}} AND r.final AND {of}
            GROUP BY one.key
        ) summed
    )"""
# The sums of each session select the page. The other columns are read only for the page, by the
# index of sessions.
_SESSIONS: Final = f"""
    WITH page AS MATERIALIZED (
        SELECT * FROM (
            SELECT r.session_id AS id, max(r.ended_at) AS last_at, count(*) AS turns,
                   sum(r.charge_nano)::bigint AS charge_nano, {SHOWN_OWN}
            FROM usage_usagerecord r WHERE {{where}} AND {_OWN}
            GROUP BY r.session_id HAVING {_LISTED}
        ) listed
        WHERE {{edge}} ORDER BY {{order}} LIMIT %(limit)s
    ),
    running AS MATERIALIZED (
        SELECT DISTINCT a.session_id FROM billing_hold hold
        JOIN usage_attempt a ON a.organisation_id = hold.organisation_id AND a.id = hold.id
        WHERE hold.state = 'open' AND hold.organisation_id = %(organisation)s
    )
    SELECT page.id, page.last_at, page.turns, page.charge_nano, whole.first_at, whole.session,
           whole.client_app, whole.key_id, k.name, u.email, whole.models, whole.agents,
           whole.failed, whole.status, whole.kind, {_METERS.format(of="r.session_id = page.id")},
           EXISTS (SELECT FROM running WHERE running.session_id = page.id), ended.ended_at,
           page.own_nano
    FROM page
    CROSS JOIN LATERAL (
        SELECT min(r.admitted_at) AS first_at,
               (array_agg(r.session ORDER BY r.id))[1] AS session,
               (array_agg(r.client_app ORDER BY r.id))[1] AS client_app,
               (array_agg(r.key_id ORDER BY r.id))[1] AS key_id,
               (array_agg(r.user_id ORDER BY r.id))[1] AS user_id,
               array_agg(DISTINCT r.model) FILTER (WHERE r.model <> '') AS models,
               count(DISTINCT r.session->>'agent') AS agents,
               count(*) FILTER (WHERE {outcomes.FAILED_SQL}) AS failed,
               (array_agg(r.status ORDER BY r.id DESC))[1] AS status,
               (array_agg(r.kind ORDER BY r.id DESC))[1] AS kind
        FROM usage_usagerecord r WHERE {{where}} AND r.final AND r.session_id = page.id
    ) whole
    LEFT JOIN accounts_key k ON k.id = whole.key_id
    LEFT JOIN accounts_user u ON u.id = whole.user_id
    LEFT JOIN billing_endedsession ended ON ended.session_id = page.id
    ORDER BY {{listed_order}}"""  # noqa: S608 - only this file's own names are put in

_COUNT: Final = f"""
    SELECT count(*) FROM (
        SELECT FROM usage_usagerecord r WHERE {{where}} AND {_OWN}
        GROUP BY r.session_id HAVING {_LISTED} LIMIT {{most}}
    ) listed"""  # noqa: S608

_TOTAL: Final = f"""
    SELECT sum(charge_nano)::bigint FROM (
        SELECT sum(r.charge_nano) AS charge_nano FROM usage_usagerecord r
        WHERE {{where}} AND {_OWN}
        GROUP BY r.session_id HAVING {_LISTED}
    ) listed"""  # noqa: S608

_TURNS: Final = """
    SELECT r.id, r.request_id, r.admitted_at, r.model, coalesce(r.session->>'agent', '') AS agent,
           r.status, r.kind, r.meters, r.charge_nano, r.total_ms, r.own_nano, r.flags
    FROM usage_usagerecord r WHERE {where} AND r.final"""

_AGENTS: Final = f"""
    SELECT agent, parent, turns, charge_nano, own_nano, {
    _METERS.format(of="coalesce(r.session->>'agent', '') = listed.agent")
}
    FROM (
        SELECT coalesce(r.session->>'agent', '') AS agent,
               coalesce(max(r.session->>'parent'), '') AS parent,
               count(*) AS turns, sum(r.charge_nano)::bigint AS charge_nano, {SHOWN_OWN},
               min(r.id::text) AS first
        FROM usage_usagerecord r WHERE {{where}} AND r.final
        GROUP BY 1
    ) listed
    ORDER BY first LIMIT %(most)s"""  # noqa: S608
