"""The log of requests, from their records. Their sums are in `reports.py`."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Final, Literal
from uuid import UUID

from accounts.access.actors import Actor
from lib.tables.keyset import Order, Values
from lib.tables.sources import COUNTED_MAX, Count, count_text
from usage.buckets.buckets import Span
from usage.filters.filters import EVERYTHING, Scope
from usage.filters.visibility import Period, run, where_of
from usage.records.counted_meters import ordered_meters, read_json
from usage.records.outcomes import CLIENT_STOPPED
from usage.reports.reports import Totals, usage_totals
from usage.requests.log_position import Place, place_of
from usage.requests.narrowing import finds_unanswered, narrow_rows
from usage.requests.refusals import IS_BY_BUDGET, display_kind, is_rejected, is_unanswered


@dataclass(frozen=True)
class RequestRow:
    """One request of the log. While it runs, `status` is None and `hold_nano` is its hold.

    `id`, `charge_nano`, `price_version_id` and the others are from its final record, because no
    earlier attempt is charged. `cost_nano`, for operators, is the cost of all attempts, as far as
    known; the last provider's name of the model is for operators too. `dropped` are the omitted
    parameters. `own_nano` is what the organisation pays its provider itself, with its own key, None
    for the installation's keys; the charge is then by `own_fee`. `saved_nano` is the saving by
    cached input, None if it was not counted. `session_id` is the id of its session. `pricing` says
    how it was priced if not by its meters at its version; only the page of a single request has it.
    """

    id: UUID
    request_id: UUID
    admitted_at: dt.datetime
    organisation: str
    team: str | None
    team_name: str | None
    key_id: UUID
    key_name: str | None
    user: str | None
    model: str
    upstream_model: str
    channel_id: UUID | None
    channel_name: str
    dialect: str
    operation: str
    stream: bool
    source: str
    status: int | None
    kind: str | None
    finish_reason: str
    meters: Mapping[str, int]
    charge_nano: int
    hold_nano: int
    basis: str
    price_version_id: int | None
    ttft_ms: int | None
    total_ms: int | None
    flags: Sequence[str]
    attempts: int
    cost_nano: int | None = None
    project: str = ""
    tags: Sequence[str] = ()
    customer: str = ""
    app: str = ""
    session_id: UUID | None = None
    end_user: str = ""
    prompt: str | None = None
    prompt_version: int | None = None
    upstream_request_id: str = ""
    dropped: Sequence[str] = ()
    saved_nano: int | None = None
    own_nano: int | None = None
    by_budget: bool = False
    pricing: Mapping[str, Any] | None = None
    own_fee: Any = None

    @property
    def display_kind(self) -> str:
        """The kind that pages show: one for the balance, one for budgets."""
        return display_kind(self.kind, by_budget=self.by_budget)

    @property
    def running(self) -> bool:
        return self.status is None

    @property
    def unanswered(self) -> bool:
        """Whether the request failed or was rejected."""
        return is_unanswered(self.status)

    @property
    def rejected(self) -> bool:
        """Whether a guard rejected the request, so that it neither succeeded nor failed."""
        return is_rejected(self.status, self.kind)

    @property
    def stopped(self) -> bool:
        """Whether the client disconnected before the end, so that the request neither succeeded nor
        failed."""
        return self.status == CLIENT_STOPPED


@dataclass(frozen=True)
class RequestPage:
    """One page of the log, newest first, with the ids from which to continue in both directions."""

    running: list[RequestRow]
    rows: list[RequestRow]
    newer: UUID | None
    older: UUID | None


def request_page(
    actor: Actor,
    period: Period | Span,
    scope: Scope = EVERYTHING,
    *,
    limit: int,
    older_than: UUID | None = None,
    newer_than: UUID | None = None,
    running: bool = False,
) -> RequestPage:
    """Return ended requests by the id of their last record. `running` adds the open requests to the
    first page.

    A row that arrives between two pages is never shown twice, because a page continues from an id,
    not from a number.
    """
    where = narrow_rows(actor, scope, period)
    texts, parameters = [where.text], {**where.parameters, "limit": limit + 1}
    backwards = newer_than is not None and older_than is None
    if older_than is not None:
        texts.append("r.id < %(cursor)s")
        parameters["cursor"] = older_than
    elif newer_than is not None:
        texts.append("r.id > %(cursor)s")
        parameters["cursor"] = newer_than
    page = [
        _request_row(row)
        for row in run(
            _requests(texts, f"r.id {'ASC' if backwards else 'DESC'}", parameters),
            parameters,
        )
    ]
    more, rows = len(page) > limit, page[:limit]
    if backwards:
        rows.reverse()
    has_newer = more if backwards else older_than is not None
    has_older = bool(rows) if backwards else more
    on_top = older_than is None and newer_than is None
    return RequestPage(
        running=_running(actor, period, scope) if running and on_top else [],
        rows=rows,
        newer=rows[0].id if rows and has_newer else None,
        older=rows[-1].id if rows and has_older else None,
    )


class RequestSource:
    """The ended requests for a table, sorted by an index: by their id, which is in the order of
    time, or by their charge."""

    def __init__(
        self, actor: Actor, span: Span, scope: Scope = EVERYTHING, sums: Totals | None = None
    ) -> None:
        """`sums` are those of the span and scope, if known."""
        self._where = narrow_rows(actor, scope, span)
        self._actor, self._span, self._scope, self._known = actor, span, scope, sums

    def fetch(
        self, orders: Sequence[Order], boundary: Values | None, *, backwards: bool, limit: int
    ) -> list[RequestRow]:
        texts, parameters, order = self._beyond(orders, boundary, backwards, limit)
        return [_request_row(row) for row in run(_requests(texts, order, parameters), parameters)]

    def _beyond(
        self, orders: Sequence[Order], boundary: Values | None, backwards: bool, limit: int
    ) -> tuple[list[str], dict[str, Any], str]:
        """Return the conditions on rows beyond a boundary, their parameters, and the order."""
        names = [self._sorted_by(str(order.path)) for order in orders]
        down = orders[0].descending != backwards
        texts, parameters = [self._where.text], {**self._where.parameters, "limit": limit}
        if boundary is not None:
            # Compare whole rows, because an index can then start at this point.
            places = ", ".join(f"%(edge_{n})s" for n in range(len(names)))
            texts.append(f"({', '.join(names)}) {'<' if down else '>'} ({places})")
            parameters |= {f"edge_{n}": value for n, value in enumerate(boundary)}
        return texts, parameters, ", ".join(f"{n} {'DESC' if down else 'ASC'}" for n in names)

    def _sorted_by(self, path: str) -> str:
        # Failed requests cost nothing: they are at the far end of the index by charge, and few.
        # With this condition, which the index lacks, they are read from their own index and sorted.
        if path == "charge_nano" and finds_unanswered(self._scope):
            return "(r.charge_nano + 0)"
        return _SORTED_BY[path]

    def running(self) -> list[RequestRow]:
        """Return the newest running requests; none if the filter only matches ended ones."""
        return _running(self._actor, self._span, self._scope)

    def charged_nano(self) -> int | None:
        """Return the sum of the charges, or None if the rollups do not have it."""
        return self._sums.charge_nano if self._summed else None

    def count(self) -> Count | None:
        """Return an exact count of a small number of requests. A larger number comes from the
        rollups, unless the filter needs single records."""
        if self._sums.requests > COUNTED_MAX:
            return Count(self._sums.requests, exact=False) if self._summed else None
        return _counted(self._where.text, self._where.parameters)

    @cached_property
    def _sums(self) -> Totals:
        if self._known is not None:
            return self._known
        return usage_totals(self._actor, self._span, self._scope, metered=False)

    @property
    def _summed(self) -> bool:
        return not self._scope.picks_records


def place_now() -> Place:
    """Return the log's current place, for `requests_since`."""
    return place_of(run("SELECT pg_current_snapshot()::text", {})[0][0])


def requests_since(
    actor: Actor, period: Period | Span, scope: Scope, place: Place, now: Place, limit: int
) -> list[RequestRow]:
    """Return the requests that ended between two places, newest first: those that the later
    snapshot sees and the earlier one does not. Ids are in the order of starts, while transactions
    end in any order, so only snapshots neither miss nor repeat a request."""
    text, parameters = _since(actor, period, scope, place, now)
    parameters["limit"] = limit
    statement = _requests([text], "r.id DESC", parameters)
    return [_request_row(row) for row in run(statement, parameters)]


def count_since(
    actor: Actor, period: Period | Span, scope: Scope, place: Place, now: Place
) -> Count:
    """Return the number of requests that ended between two places, COUNTED_MAX at most."""
    text, parameters = _since(actor, period, scope, place, now)
    return _counted(text, parameters)


def _since(
    actor: Actor, period: Period | Span, scope: Scope, place: Place, now: Place
) -> tuple[str, dict[str, Any]]:
    where = where_of(actor, "requests.read", scope, period)
    return f"{where.text} AND {_SINCE}", {
        **where.parameters,
        "now": now.text,
        "first": str(place.end),
        "end": str(now.end),
        "open": [str(xid) for xid in place.open],
    }


def _counted(where: str, parameters: Mapping[str, Any]) -> Count:
    text = f"""
        SELECT count(*) FROM (
            SELECT FROM usage_usagerecord r WHERE {where} AND r.final LIMIT %(most)s
        ) counted"""  # noqa: S608 - only this file's own names are put in
    return count_text(run(text, {**parameters, "most": COUNTED_MAX + 1})[0][0])


def latest_requests(actor: Actor, limit: int) -> list[RequestRow]:
    """Return the newest requests that the actor may see, running ones first."""
    page = request_page(actor, Period(), limit=limit, running=True)
    return [*page.running, *page.rows][:limit]


def oldest_request_at(actor: Actor) -> dt.datetime | None:
    """Return when the first request that the actor may see was admitted, or None."""
    return _admission_at_end(actor, "ASC")


def newest_request_at(actor: Actor, scope: Scope = EVERYTHING) -> dt.datetime | None:
    """Return when the last request that the actor may see was admitted, or None."""
    return _admission_at_end(actor, "DESC", scope)


def _admission_at_end(
    actor: Actor,
    order: Literal["ASC", "DESC"],
    scope: Scope = EVERYTHING,
) -> dt.datetime | None:
    where = narrow_rows(actor, scope, Period())
    rows = run(
        f"""
        SELECT r.admitted_at FROM usage_usagerecord r WHERE {where.text} AND r.final
        ORDER BY r.id {order} LIMIT 1""",  # noqa: S608 - only this file's own names are put in
        where.parameters,
    )
    return rows[0][0] if rows else None


def _running(actor: Actor, period: Period | Span, scope: Scope) -> list[RequestRow]:
    if scope.status or scope.min_cost_nano or scope.causes or scope.guards:
        return []
    where = where_of(actor, "requests.read", scope, period)
    return [_request_row(row) for row in run(_RUNNING.format(where=where.text), where.parameters)]


def _request_row(row: tuple[Any, ...]) -> RequestRow:
    values = list(row)
    values[_METERS_AT] = ordered_meters(row[_METERS_AT])
    if len(row) > _TAGS_AT:
        values[_TAGS_AT] = read_json(row[_TAGS_AT]) or ()
    if len(row) > _DROPPED_AT:
        values[_DROPPED_AT] = row[_DROPPED_AT] or ()
    return RequestRow(*values)


_METERS_AT, _TAGS_AT, _DROPPED_AT = (
    [field.name for field in fields(RequestRow)].index(name)
    for name in ("meters", "tags", "dropped")
)
_SORTED_BY: Final = {"id": "r.id", "charge_nano": "r.charge_nano"}
_NAMES: Final = """
    JOIN accounts_organisation o ON o.id = r.organisation_id
    LEFT JOIN accounts_team t ON t.id = r.team_id
    LEFT JOIN accounts_key k ON k.id = r.key_id
    LEFT JOIN accounts_user u ON u.id = r.user_id"""
_WHO_AND_WHAT: Final = """
    r.id, r.request_id, r.admitted_at, o.slug, t.slug, t.name, r.key_id, k.name, u.email,
    r.model, r.upstream_model, r.channel_id, r.channel_name, r.dialect, r.operation, r.stream,
    r.source"""

# The earlier snapshot does not see the transactions that were running then, and later ones. In this
# form, the index of transactions finds them, however long one of them runs.
_SINCE: Final = """
    (r.xid >= %(first)s::text::xid8 OR r.xid = ANY (%(open)s::text[]::xid8[]))
    AND r.xid < %(end)s::text::xid8
    AND pg_visible_in_snapshot(r.xid, %(now)s::pg_snapshot)"""

_COUNTED_TO: Final = """
    r.project, r.tags, r.customer, r.client_app, r.session_id, r.end_user, r.prompt,
    r.prompt_version"""


def _requests(where: Sequence[str], order: str, parameters: Mapping[str, Any]) -> str:
    """Return the statement of a page."""
    near = near_attempts(parameters)
    return _REQUESTS.format(where=" AND ".join(where), order=order, near=near)


def near_attempts(parameters: Mapping[str, Any]) -> str:
    """Return a condition that finds the attempts `a` of the requests that the same parameters
    select. The ids of a request's attempts differ by at most the slack."""
    edges = {"start_at_id": ">=", "end_at_id": "<"}
    return " ".join(
        f"AND a.id {sign} %({name})s" for name, sign in edges.items() if name in parameters
    )


_REQUESTS: Final = f"""
    SELECT {_WHO_AND_WHAT}, r.status, r.kind, r.finish_reason, r.meters, r.charge_nano,
           r.hold_nano, r.basis, r.price_version_id, r.ttft_ms, r.total_ms, r.flags,
           whole.attempts, whole.cost_nano, {_COUNTED_TO}, r.upstream_request_id, r.dropped,
           r.saved_nano, r.own_nano, {IS_BY_BUDGET}
    FROM (
        SELECT * FROM usage_usagerecord r WHERE {{where}} AND r.final
        ORDER BY {{order}} LIMIT %(limit)s
    ) r
    CROSS JOIN LATERAL (
        SELECT sum(a.cost_nano)::bigint AS cost_nano,
               (count(*) FILTER (WHERE a.id <> a.request_id))::int AS attempts
        FROM usage_usagerecord a
        WHERE a.organisation_id = r.organisation_id AND a.request_id = r.request_id {{near}}
    ) whole
    {_NAMES}
    ORDER BY {{order}}"""  # noqa: S608 - only this file's own names are put in

_RUNNING: Final = f"""
    SELECT {_WHO_AND_WHAT}, NULL, NULL, '', '{{{{}}}}'::jsonb, 0, r.hold_nano, 'none',
           r.price_version_id, NULL, NULL, '{{{{}}}}'::text[], r.n, NULL, {_COUNTED_TO}
    FROM billing_hold hold
    JOIN usage_attempt r ON r.organisation_id = hold.organisation_id AND r.id = hold.id
    {_NAMES}
    WHERE hold.state = 'open' AND hold.organisation_id = %(organisation)s AND {{where}}
    ORDER BY r.id DESC LIMIT 50"""  # noqa: S608 - only this file's own names are put in
