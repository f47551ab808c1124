"""Reports on usage: one SQL each, rows as dataclasses.

Sums come from the rollups, single requests from the records. What an actor may see is a condition
of every statement: the organisation's rows for who reads all of it, one's own for a developer, its
own for a key that calls models. Names of columns come from the tables in this file, never from a
query.
"""

import datetime as dt
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, reduce
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from accounts.actors import Actor
from billing.rules.meters import METERS, Meter
from lib.tables.keyset import Order, Values
from lib.tables.sources import COUNTED_MAX, Count
from usage.filters import EVERYTHING, Metric, Scope, UsageFilter
from usage.levels import COMMON, Standing, standing, summed
from usage.narrowing import narrowed
from usage.rules.buckets import Span
from usage.rules.groupings import GroupBy
from usage.rules.outcomes import CLIENT_STOPPED, has_failed
from usage.used_rows import used_rows
from usage.visibility import NIL, Period, Where, run, where_of

SERIES_MAX: Final = 7
OTHER_SLOT: Final = 8

TOKEN_METERS: Final = [meter.name for meter in METERS.values() if meter.unit == "token"]


def _token_column(meter: Meter) -> str:
    if meter.side == "in":
        cached = meter.name == "in_cache_read" or meter.name.endswith("_cached")
        return "cached" if cached else "sent"
    return "reasoning" if meter.name == "out_reasoning" else "out"


TOKEN_COLUMNS: Final = {name: _token_column(METERS[name]) for name in TOKEN_METERS}

By = GroupBy | Literal["bucket", "all"]


# Sums -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Totals:
    """Sums over some requests. `errors` are those that failed; one that was stopped did not."""

    requests: int = 0
    errors: int = 0
    charge_nano: int = 0
    meters: Mapping[str, int] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """All language-model tokens, in and out."""
        return sum(self.meters.get(meter, 0) for meter in TOKEN_METERS)

    def metric(self, name: Metric) -> int:
        """The figure of that name: nano for the cost, else a count."""
        figures: dict[Metric, int] = {
            "cost": self.charge_nano,
            "requests": self.requests,
            "tokens": self.tokens,
            "errors": self.errors,
        }
        return figures[name]

    def __add__(self, other: "Totals") -> "Totals":
        meters = dict(self.meters)
        for meter, units in other.meters.items():
            meters[meter] = meters.get(meter, 0) + units
        return Totals(
            self.requests + other.requests,
            self.errors + other.errors,
            self.charge_nano + other.charge_nano,
            meters,
        )


@dataclass(frozen=True)
class Group:
    """The sums of one model, key, person or channel.

    `id` is what a filter takes (a key's and a channel's as UUID text, a person's e-mail address);
    empty where there is none: a key that belongs to nobody, a request that reached no channel.
    """

    id: str
    label: str
    totals: Totals


@dataclass(frozen=True)
class SeriesPart:
    """One colour of a chart; `id` None is everything beyond the largest ones."""

    id: str | None
    label: str
    slot: int
    total: int


@dataclass(frozen=True)
class SeriesBucket:
    """One bar: a value for each part, in their order, and their sum."""

    span: Span
    values: tuple[int, ...]
    total: int


@dataclass(frozen=True)
class Series:
    """One metric over time, by groups: the largest ones, the rest as one."""

    parts: tuple[SeriesPart, ...]
    buckets: tuple[SeriesBucket, ...]

    @property
    def total(self) -> int:
        return sum(bucket.total for bucket in self.buckets)


@dataclass(frozen=True)
class Choices:
    """What can be filtered by within a range, as (value, label); teams by their slug."""

    models: tuple[str, ...]
    keys: tuple[tuple[UUID, str], ...]
    users: tuple[str, ...]
    channels: tuple[tuple[UUID, str], ...]
    teams: tuple[tuple[str, str], ...]


def complete_to() -> dt.datetime | None:
    """Up to when all requests are in the rollups; None before the first run."""
    return standing().complete_to


def usage_totals(
    actor: Actor, span: Span, scope: Scope = EVERYTHING, *, metered: bool = True
) -> Totals:
    """The sums over a span of whole buckets; without the meters where they are not wanted."""
    groups = _sums(actor, [span], scope, "all", metered=metered)
    return next((group.totals for group in groups), Totals())


def usage_by(
    actor: Actor,
    span: Span,
    by: GroupBy,
    scope: Scope = EVERYTHING,
    *,
    limit: int | None = None,
    metered: bool = True,
) -> list[Group]:
    """The sums by model, key, person or channel, dearest first.

    Without `metered` the meters are left out, which is several times quicker.
    """
    return _sums(actor, [span], scope, by, limit=limit, metered=metered)


def usage_by_bucket(
    actor: Actor, usage_filter: UsageFilter, *, metered: bool = True, at: Standing | None = None
) -> list[Totals]:
    """The sums of every bucket of the filter, in their order; zeros where nothing was."""
    spans = usage_filter.spans
    groups = _sums(actor, spans, usage_filter.scope, "bucket", metered=metered, at=at)
    totals = {int(group.id): group.totals for group in groups}
    return [totals.get(n, Totals()) for n in range(1, len(spans) + 1)]


def sum_of(totals: Sequence[Totals]) -> Totals:
    """All of them together."""
    return reduce(lambda left, right: left + right, totals, Totals())


def series(actor: Actor, usage_filter: UsageFilter) -> Series:
    """The filter's metric over its buckets, by its groups; the rest beyond seven as one."""
    group = GROUPS[usage_filter.group_by]
    scope, spans = usage_filter.scope, usage_filter.spans
    used = used_rows(actor, scope, spans, [usage_filter.group_by])
    rows = run(
        f"""
        WITH part AS (
            SELECT width_bucket(r.bucket_at, %(starts)s::timestamptz[]) AS n, {group.id} AS id,
                   max(r.channel_name) AS channel_name,
                   sum({METRICS[usage_filter.metric]}) AS value
            FROM {used.text} r GROUP BY 1, 2
        ),
        {RANKED}
        {series_parts(group)}""",  # noqa: S608 - only this file's own names are put in
        {
            **used.parameters,
            "starts": [span.start_at for span in usage_filter.spans],
            "token_meters": TOKEN_METERS,
            "most": SERIES_MAX + 1,
        },
    )
    return series_of(usage_filter, rows)


def choices(actor: Actor, span: Span, at: Standing | None = None) -> Choices:
    """What the actor's rows within a span can be filtered by. A model is one that was asked with
    success, charged, or sent to a channel: a name that was only mistyped is none."""
    found = summed(_picked(actor, EVERYTHING), [span], at)
    rows = run(
        f"""
        SELECT used.model, used.key_id, k.name, u.email, used.channel_id, used.channel_name,
               used.there, t.slug, t.name
        FROM (
            SELECT DISTINCT r.model, r.key_id, r.user_id, r.channel_id, r.channel_name, r.team_id,
                   r.requests > r.errors OR r.charge_nano <> 0 OR r.channel_id <> %(nil)s AS there
            FROM {found.text} r
        ) used
        LEFT JOIN accounts_key k ON k.id = used.key_id
        LEFT JOIN accounts_user u ON u.id = used.user_id
        LEFT JOIN accounts_team t ON t.id = used.team_id""",  # noqa: S608 - own names only
        {**found.parameters, "nil": NIL},
    )
    keys = {row[1]: row[2] or str(row[1]) for row in rows}
    channels = {row[4]: row[5] for row in rows if row[4] != NIL}
    return Choices(
        models=tuple(sorted({row[0] for row in rows if row[6]})),
        keys=tuple(sorted(keys.items(), key=lambda item: item[1].lower())),
        users=tuple(sorted({row[3] for row in rows if row[3]})),
        channels=tuple(sorted(channels.items(), key=lambda item: item[1].lower())),
        teams=tuple(sorted({(row[7], row[8]) for row in rows if row[7]})),
    )


class Tokens(NamedTuple):
    """Language-model tokens in four columns that add up to all of them; `read` is all input,
    `written` all output."""

    sent: int
    cached: int
    out: int
    reasoning: int

    @property
    def read(self) -> int:
        return self.sent + self.cached

    @property
    def written(self) -> int:
        return self.out + self.reasoning


def tokens_of(meters: Mapping[str, int]) -> Tokens:
    """The tokens among the meters."""
    columns = dict.fromkeys(Tokens._fields, 0)
    for name, units in meters.items():
        if name in TOKEN_COLUMNS:
            columns[TOKEN_COLUMNS[name]] += units
    return Tokens(**columns)


# Requests ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RequestRow:
    """One request of the log; `status` is None while it runs, and then `hold_nano` is held.

    `id` is that of its final record, and so are `charge_nano`, `price_version_id` and the rest: no
    attempt before the last is charged. `cost_nano` is for operators: what all attempts cost us, as
    far as it is known; and so is what the provider calls the last one. `dropped` are the parameters
    that were left out.
    """

    id: UUID
    request_id: UUID
    admitted_at: dt.datetime
    organisation: str
    team: str | None
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
    end_user: str = ""
    upstream_request_id: str = ""
    dropped: Sequence[str] = ()

    @property
    def running(self) -> bool:
        return self.status is None

    @property
    def failed(self) -> bool:
        return has_failed(self.status)

    @property
    def stopped(self) -> bool:
        """Its client went before the end: neither answered nor failed."""
        return self.status == CLIENT_STOPPED


@dataclass(frozen=True)
class RequestPage:
    """One page of the log, newest first, with the ids to go on from in both directions."""

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
    """Ended requests by the id of their last record; `running` adds the open ones to the top page.

    Rows that arrive meanwhile never show twice: a page goes on from an id, not from a number.
    """
    where = narrowed(actor, scope, period)
    texts, parameters = [where.text], {**where.parameters, "limit": limit + 1}
    backwards = newer_than is not None and older_than is None
    if older_than is not None:
        texts.append("r.id < %(cursor)s")
        parameters["cursor"] = older_than
    elif newer_than is not None:
        texts.append("r.id > %(cursor)s")
        parameters["cursor"] = newer_than
    page = [
        _row(row)
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
    """The ended requests as a table shows them, sorted by an index: by their id, which is by time,
    or by what they were charged."""

    def __init__(
        self, actor: Actor, span: Span, scope: Scope = EVERYTHING, sums: Totals | None = None
    ) -> None:
        """`sums` are those of the span and scope, where they are known."""
        self._where = narrowed(actor, scope, span)
        self._actor, self._span, self._scope, self._known = actor, span, scope, sums

    def fetch(
        self, orders: Sequence[Order], boundary: Values | None, *, backwards: bool, limit: int
    ) -> list[RequestRow]:
        texts, parameters, order = self._beyond(orders, boundary, backwards, limit)
        return [_row(row) for row in run(_requests(texts, order, parameters), parameters)]

    def _beyond(
        self, orders: Sequence[Order], boundary: Values | None, backwards: bool, limit: int
    ) -> tuple[list[str], dict[str, Any], str]:
        """The conditions on what is beyond a boundary, their parameters, and the order."""
        names = [self._sorted_by(str(order.path)) for order in orders]
        down = orders[0].descending != backwards
        texts, parameters = [self._where.text], {**self._where.parameters, "limit": limit}
        if boundary is not None:
            # As one row, which an index reads from there on.
            places = ", ".join(f"%(edge_{n})s" for n in range(len(names)))
            texts.append(f"({', '.join(names)}) {'<' if down else '>'} ({places})")
            parameters |= {f"edge_{n}": value for n, value in enumerate(boundary)}
        return texts, parameters, ", ".join(f"{n} {'DESC' if down else 'ASC'}" for n in names)

    def _sorted_by(self, path: str) -> str:
        # Those that failed cost nothing: they lie at the far end of the index by charge, and are
        # few. By this, which no index has, they are found by their own and sorted.
        if path == "charge_nano" and (self._scope.status == "error" or self._scope.causes):
            return "(r.charge_nano + 0)"
        return _SORTED_BY[path]

    def running(self) -> list[RequestRow]:
        """The newest of those that still run; none where only ended ones can be meant."""
        return _running(self._actor, self._span, self._scope)

    def charged_nano(self) -> int | None:
        """What all of them were charged; None where the rollups do not know them."""
        return self._sums.charge_nano if self._summed else None

    def count(self) -> Count | None:
        """Exact where there are few. Many are counted by the rollups, which know no single one."""
        if self._sums.requests > COUNTED_MAX:
            return Count(self._sums.requests, exact=False) if self._summed else None
        text = f"""
            SELECT count(*) FROM (
                SELECT FROM usage_usagerecord r WHERE {self._where.text} AND r.final LIMIT %(most)s
            ) counted"""  # noqa: S608 - only this file's own names are put in
        n = run(text, {**self._where.parameters, "most": COUNTED_MAX + 1})[0][0]
        return Count(min(n, COUNTED_MAX), exact=n <= COUNTED_MAX, at_least=n > COUNTED_MAX)

    @cached_property
    def _sums(self) -> Totals:
        if self._known is not None:
            return self._known
        return usage_totals(self._actor, self._span, self._scope, metered=False)

    @property
    def _summed(self) -> bool:
        return not self._scope.picks_records


def latest_requests(actor: Actor, limit: int) -> list[RequestRow]:
    """The newest requests that the actor may see, the running ones first."""
    page = request_page(actor, Period(), limit=limit, running=True)
    return [*page.running, *page.rows][:limit]


def oldest_request_at(actor: Actor) -> dt.datetime | None:
    """When the first request that the actor may see was admitted; None without any."""
    return _admitted(actor, "ASC")


def newest_request_at(actor: Actor, scope: Scope = EVERYTHING) -> dt.datetime | None:
    """When the last request that the actor may see was admitted; None without any."""
    return _admitted(actor, "DESC", scope)


def _admitted(
    actor: Actor,
    order: Literal["ASC", "DESC"],
    scope: Scope = EVERYTHING,
) -> dt.datetime | None:
    where = narrowed(actor, scope, Period())
    rows = run(
        f"""
        SELECT r.admitted_at FROM usage_usagerecord r WHERE {where.text} AND r.final
        ORDER BY r.id {order} LIMIT 1""",  # noqa: S608 - only this file's own names are put in
        where.parameters,
    )
    return rows[0][0] if rows else None


def _running(actor: Actor, period: Period | Span, scope: Scope) -> list[RequestRow]:
    if scope.status or scope.min_cost_nano or scope.causes:
        return []
    where = where_of(actor, "requests.read", scope, period)
    return [_row(row) for row in run(_RUNNING.format(where=where.text), where.parameters)]


# Statements -------------------------------------------------------------------------------------


class Grouping(NamedTuple):
    """How rows are grouped: the id in a rollup row, and of a group `g` its value and label."""

    id: str
    value: str
    label: str
    join: str = ""


_KEY_JOIN: Final = "LEFT JOIN accounts_key k ON k.id = g.id"
_TEAM_JOIN: Final = "LEFT JOIN accounts_team t ON t.id = g.id"
_USER_JOIN: Final = "LEFT JOIN accounts_user u ON u.id = g.id"
GROUPS: Final[dict[By, Grouping]] = {
    "model": Grouping("r.model", "g.id", "g.id"),
    "key": Grouping("r.key_id", "g.id::text", "coalesce(k.name, '')", _KEY_JOIN),
    "user": Grouping("r.user_id", "coalesce(u.email, '')", "coalesce(u.email, '')", _USER_JOIN),
    "team": Grouping("r.team_id", "coalesce(t.slug, '')", "coalesce(t.name, '')", _TEAM_JOIN),
    "project": Grouping("r.project", "g.id", "g.id"),
    "customer": Grouping("r.customer", "g.id", "g.id"),
    "app": Grouping("r.app", "g.id", "g.id"),
    "tag": Grouping("r.tag", "g.id", "g.id"),
    "status": Grouping("r.status", "g.id", "g.id"),
    "channel": Grouping(
        "r.channel_id", f"coalesce(nullif(g.id, '{NIL}')::text, '')", "g.channel_name"
    ),
    "bucket": Grouping("width_bucket(r.bucket_at, %(starts)s::timestamptz[])", "g.id::text", "''"),
    "all": Grouping("0", "''", "''"),
}
METRICS: Final[dict[Metric, str]] = {
    "cost": "r.charge_nano",
    "requests": "r.requests",
    "errors": "r.errors",
    "tokens": " + ".join(
        [
            *(f"coalesce(r.{name}, 0)" for name in COMMON),
            """CASE WHEN r.meters = '{}' THEN 0 ELSE (
                SELECT coalesce(sum(units::bigint), 0)
                FROM jsonb_each_text(r.meters) AS counted (meter, units)
                WHERE meter = ANY (%(token_meters)s)) END""",
        ]
    ),
}


def _sums(
    actor: Actor,
    spans: Sequence[Span],
    scope: Scope,
    by: By,
    *,
    limit: int | None = None,
    metered: bool = True,
    at: Standing | None = None,
) -> list[Group]:
    group = GROUPS[by]
    used = summed(_picked(actor, scope), spans, at)
    # Meters that are columns are summed in place; the others, of a few rows, are unnested.
    rows = run(
        f"""
        WITH sums AS (
            SELECT {group.id} AS id, max(r.channel_name) AS channel_name,
                   sum(r.requests)::bigint AS requests, sum(r.errors)::bigint AS errors,
                   sum(r.charge_nano)::bigint AS charge_nano,
                   {COMMON_SUMS if metered else NO_METERS}
            FROM {used.text} r GROUP BY 1
        ){other_meters(group.id, used.text) if metered else ""}
        SELECT {group.value}, {group.label}, g.requests, g.errors, g.charge_nano,
               {"g.meters || coalesce(o.meters, '{}')" if metered else "g.meters"}
        FROM sums g {"LEFT JOIN other o USING (id)" if metered else ""} {group.join}
        ORDER BY g.charge_nano DESC, g.requests DESC, g.id LIMIT %(limit)s""",  # noqa: S608 - own names only
        {**used.parameters, "starts": [span.start_at for span in spans], "limit": limit},
    )
    return [
        Group(str(id), label, Totals(requests, errors, charge_nano, ordered_meters(meters)))
        for id, label, requests, errors, charge_nano, meters in rows
    ]


COMMON_SUMS: Final = (
    "jsonb_strip_nulls(jsonb_build_object({})) AS meters, bool_or(r.meters <> '{{}}') AS has_others"
).format(", ".join(f"'{name}', sum(r.{name})::bigint" for name in COMMON))
NO_METERS: Final = "'{}'::jsonb AS meters"


def other_meters(id: str, rows: str) -> str:
    """The meters that are no columns, by group, of rows whose `sums` have any: else none is read
    again."""
    return f""",
        counted AS (
            SELECT {id} AS id, meter, sum(units::bigint)::bigint AS units
            FROM {rows} r, jsonb_each_text(r.meters) AS one (meter, units)
            WHERE r.meters <> '{{}}' AND (SELECT bool_or(has_others) FROM sums)
            GROUP BY 1, 2
        ),
        other AS (SELECT id, jsonb_object_agg(meter, units) AS meters FROM counted GROUP BY id)"""  # noqa: S608 - own names only


# The groups of a chart's parts (n, id, channel_name, value), the largest first.
RANKED: Final = """ranked AS MATERIALIZED (
            SELECT id, max(channel_name) AS channel_name,
                   row_number() OVER (ORDER BY sum(value) DESC, id) AS place
            FROM part GROUP BY id HAVING sum(value) > 0
        )"""


def series_parts(group: Grouping) -> str:
    """What `series_of` reads, of ranked parts: those beyond the largest ones as one."""
    return f"""SELECT part.n, least(g.place, %(most)s)::int, max({group.value}),
               max({group.label}), sum(part.value)::bigint
        FROM part JOIN ranked g USING (id) {group.join}
        GROUP BY 1, 2"""  # noqa: S608 - own names only


def _picked(actor: Actor, scope: Scope) -> Where:
    """The condition on sums, without their time."""
    return where_of(actor, "usage.read", scope, Period())


def series_of(usage_filter: UsageFilter, rows: Sequence[tuple[Any, ...]]) -> Series:
    """Rows of (bucket from 1, place from 1, value, label, figure) as bars of equal parts."""
    totals: dict[int, int] = {}
    names: dict[int, tuple[str, str]] = {}
    figures: dict[tuple[int, int], int] = {}
    for n, place, value, label, figure in rows:
        totals[place] = totals.get(place, 0) + figure
        names[place] = (value, label)
        figures[n, place] = figure
    slots = _slots([names[place][0] for place in sorted(names) if place <= SERIES_MAX])
    parts = []
    for place in sorted(names):
        value, label = names[place]
        if place > SERIES_MAX:
            parts.append(SeriesPart(None, "", OTHER_SLOT, totals[place]))
        else:
            parts.append(SeriesPart(value, label, slots[value], totals[place]))
    buckets = []
    for n, span in enumerate(usage_filter.spans, start=1):
        values = tuple(figures.get((n, place), 0) for place in sorted(names))
        buckets.append(SeriesBucket(span, values, sum(values)))
    return Series(tuple(parts), tuple(buckets))


def _slots(values: Sequence[str]) -> dict[str, int]:
    """A colour for each: its own by its name, another where a larger one has that already."""
    taken: dict[str, int] = {}
    for value in values:
        wanted = zlib.crc32(value.encode()) % SERIES_MAX
        while wanted + 1 in taken.values():
            wanted = (wanted + 1) % SERIES_MAX
        taken[value] = wanted + 1
    return taken


def ordered_meters(stored: object) -> dict[str, int]:
    """Meters as stored, in the order of the meters' own table."""
    meters: dict[str, int] = read_json(stored)
    return dict(
        sorted(meters.items(), key=lambda item: (_ORDER.get(item[0].split("[")[0], 99), item[0]))
    )


def _row(row: tuple[Any, ...]) -> RequestRow:
    values = list(row)
    values[_METERS_AT] = ordered_meters(row[_METERS_AT])
    if len(row) > _TAGS_AT:
        values[_TAGS_AT] = read_json(row[_TAGS_AT]) or ()
    if len(row) > _DROPPED_AT:
        values[_DROPPED_AT] = row[_DROPPED_AT] or ()
    return RequestRow(*values)


def read_json(stored: Any) -> Any:
    """A value of the database that may come as its text."""
    return msgspec.json.decode(stored) if isinstance(stored, str) else stored


_ORDER: Final = {name: place for place, name in enumerate(METERS)}
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
    r.id, r.request_id, r.admitted_at, o.slug, t.slug, r.key_id, k.name, u.email, r.model,
    r.upstream_model, r.channel_id, r.channel_name, r.dialect, r.operation, r.stream, r.source"""

_COUNTED_TO: Final = "r.project, r.tags, r.customer, r.client_app, r.end_user"


def _requests(where: Sequence[str], order: str, parameters: Mapping[str, Any]) -> str:
    """The statement of a page."""
    near = near_attempts(parameters)
    return _REQUESTS.format(where=" AND ".join(where), order=order, near=near)


def near_attempts(parameters: Mapping[str, Any]) -> str:
    """The condition on attempts `a` by those on their requests: all attempts of a request are
    within the slack of a time's ids."""
    edges = {"start_at_id": ">=", "end_at_id": "<"}
    return " ".join(
        f"AND a.id {sign} %({name})s" for name, sign in edges.items() if name in parameters
    )


_REQUESTS: Final = f"""
    SELECT {_WHO_AND_WHAT}, r.status, r.kind, r.finish_reason, r.meters, r.charge_nano,
           r.hold_nano, r.basis, r.price_version_id, r.ttft_ms, r.total_ms, r.flags,
           whole.attempts, whole.cost_nano, {_COUNTED_TO}, r.upstream_request_id, r.dropped
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
