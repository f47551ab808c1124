"""Reports on usage: one SQL statement each, which returns rows as dataclasses.

Sums come from the rollups; single requests are in `usage/requests/log.py`. Every statement has a
condition on what the actor may see: the organisation's rows for a reader of all of it, their own
for a developer, and its own for a key that calls models. Column names come from the tables in this
file, never from a query.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from accounts.access.actors import Actor
from usage.buckets.buckets import Span
from usage.filters.filters import EVERYTHING, Metric, Scope, UsageFilter
from usage.filters.groupings import GroupBy
from usage.filters.visibility import NIL, Period, Where, run, where_of
from usage.records.counted_meters import TOKEN_METERS, ordered_meters
from usage.reports.used_rows import used_rows
from usage.rollups.levels import COMMON, Freshness, summed, summed_by_span
from usage.rollups.sums import MERGED_SAVED, SHOWN_OWN

SERIES_MAX: Final = 7
OTHER_SLOT: Final = 8

By = GroupBy | Literal["bucket", "all"]


# Sums -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Totals:
    """Sums over some requests. `errors` counts failed requests; one that was stopped, or that a
    guard rejected, has not failed. `saved_nano` is the saving by cached input, or None if it is not
    known for every request. `own_nano` is what the organisation paid its providers itself, in
    addition to the charge; None if that is nothing."""

    requests: int = 0
    errors: int = 0
    charge_nano: int = 0
    meters: Mapping[str, int] = field(default_factory=dict)
    saved_nano: int | None = 0
    own_nano: int | None = None

    @property
    def tokens(self) -> int:
        """All language-model tokens, input and output."""
        return sum(self.meters.get(meter, 0) for meter in TOKEN_METERS)

    def metric(self, name: Metric) -> int:
        """Return the figure with that name: nano for the cost, else a count."""
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
            None
            if self.saved_nano is None or other.saved_nano is None
            else self.saved_nano + other.saved_nano,
            sum(own)
            if (own := [n for n in (self.own_nano, other.own_nano) if n is not None])
            else None,
        )


@dataclass(frozen=True)
class Group:
    """The sums of one model, key, person or channel.

    `id` is the filter value (the UUID text of a key or channel, a person's email address). It is
    empty for a key without a person, and for a request that reached no channel.
    """

    id: str
    label: str
    totals: Totals


@dataclass(frozen=True)
class SeriesPart:
    """One colour of a chart. `id` None combines everything beyond the largest groups."""

    id: str | None
    label: str
    slot: int
    total: int


@dataclass(frozen=True)
class SeriesBucket:
    """One bar: a value for each part, in their order, and the sum."""

    span: Span
    values: tuple[int, ...]
    total: int


@dataclass(frozen=True)
class Series:
    """One metric over time by groups: the largest ones, and one for the others."""

    parts: tuple[SeriesPart, ...]
    buckets: tuple[SeriesBucket, ...]

    @property
    def total(self) -> int:
        return sum(bucket.total for bucket in self.buckets)


@dataclass(frozen=True)
class Choices:
    """The available filter values within a range, as (value, label); teams by slug."""

    models: tuple[str, ...] = ()
    keys: tuple[tuple[UUID, str], ...] = ()
    users: tuple[str, ...] = ()
    channels: tuple[tuple[UUID, str], ...] = ()
    teams: tuple[tuple[str, str], ...] = ()


NO_CHOICES: Final = Choices()


def usage_totals(
    actor: Actor, span: Span, scope: Scope = EVERYTHING, *, metered: bool = True
) -> Totals:
    """Return the sums over a span of whole buckets, without meters unless `metered`."""
    groups = _sums(actor, [span], scope, "all", metered=metered)
    return next((group.totals for group in groups), Totals())


def usage_by(
    actor: Actor,
    span: Span,
    by: GroupBy,
    *,
    limit: int | None = None,
    metered: bool = True,
) -> list[Group]:
    """Return the sums by model, key, person or channel, the most expensive first.

    Without `metered` the meters are left out, which is several times faster.
    """
    return _sums(actor, [span], EVERYTHING, by, limit=limit, metered=metered)


def usage_by_bucket(
    actor: Actor, usage_filter: UsageFilter, *, metered: bool = True, at: Freshness | None = None
) -> list[Totals]:
    """Return the sums of every bucket of the filter, in their order; zeros for buckets without
    usage."""
    spans = usage_filter.spans
    groups = _sums(actor, spans, usage_filter.scope, "bucket", metered=metered, at=at)
    totals = {int(group.id): group.totals for group in groups}
    return [totals.get(n, Totals()) for n in range(1, len(spans) + 1)]


def sum_of(totals: Sequence[Totals]) -> Totals:
    """Return the sum of the totals."""
    return reduce(lambda left, right: left + right, totals, Totals())


def series(actor: Actor, usage_filter: UsageFilter) -> Series:
    """Return the filter's metric over its buckets, by its groups. Beyond seven, the groups are
    combined."""
    group = GROUPS[usage_filter.group_by]
    scope, spans = usage_filter.scope, usage_filter.spans
    used = used_rows(actor, scope, spans, [usage_filter.group_by], runs=[spans])
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


def choices(actor: Actor, span: Span, at: Freshness | None = None) -> Choices:
    """Return the filter values in the actor's rows within a span. A model must have answered, been
    charged, or been sent to a channel, so mistyped names are left out."""
    totals = summed(_sums_condition(actor, EVERYTHING), [span], at)
    rows = run(
        f"""
        SELECT used.model, used.key_id, k.name, u.email, used.channel_id, used.channel_name,
               used.served, t.slug, t.name
        FROM (
            SELECT DISTINCT r.model, r.key_id, r.user_id, r.channel_id, r.channel_name, r.team_id,
                   r.requests > r.errors OR r.charge_nano <> 0 OR r.channel_id <> %(nil)s AS served
            FROM {totals.text} r
        ) used
        LEFT JOIN accounts_key k ON k.id = used.key_id
        LEFT JOIN accounts_user u ON u.id = used.user_id
        LEFT JOIN accounts_team t ON t.id = used.team_id""",  # noqa: S608 - own names only
        {**totals.parameters, "nil": NIL},
    )
    used = [_Used(*row) for row in rows]
    keys = {one.key_id: one.key_name or str(one.key_id) for one in used}
    channels = {one.channel_id: one.channel_name for one in used if one.channel_id != NIL}
    return Choices(
        models=tuple(sorted({one.model for one in used if one.served})),
        keys=tuple(sorted(keys.items(), key=lambda item: item[1].lower())),
        users=tuple(sorted({one.email for one in used if one.email})),
        channels=tuple(sorted(channels.items(), key=lambda item: item[1].lower())),
        teams=tuple(sorted({one.team for one in used if one.team_slug})),
    )


class _Used(NamedTuple):
    """The columns of `choices`: what some requests have in common, with current names."""

    model: str
    key_id: UUID
    key_name: str | None
    email: str | None
    channel_id: UUID
    channel_name: str
    served: bool
    team_slug: str | None
    team_name: str | None

    @property
    def team(self) -> tuple[str, str]:
        return self.team_slug or "", self.team_name or ""


# Statements -------------------------------------------------------------------------------------


class Grouping(NamedTuple):
    """How rows are grouped: the id in a rollup row, and the value and label of a group `g`."""

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
    "end_user": Grouping("r.end_user", "g.id", "g.id"),
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
    at: Freshness | None = None,
) -> list[Group]:
    group = GROUPS[by]
    picked = _sums_condition(actor, scope)
    used = summed_by_span(picked, [spans], at) if by == "bucket" else summed(picked, spans, at)
    # Meters that are columns are summed directly. The others, in few rows, are unnested.
    rows = run(
        f"""
        WITH sums AS (
            SELECT {group.id} AS id, max(r.channel_name) AS channel_name,
                   sum(r.requests)::bigint AS requests, sum(r.errors)::bigint AS errors,
                   sum(r.charge_nano)::bigint AS charge_nano, {MERGED_SAVED}, {SHOWN_OWN},
                   {COMMON_SUMS if metered else NO_METERS}
            FROM {used.text} r GROUP BY 1
        ){other_meters(group.id, used.text) if metered else ""}
        SELECT {group.value}, {group.label}, g.requests, g.errors, g.charge_nano,
               {"g.meters || coalesce(o.meters, '{}')" if metered else "g.meters"}, g.saved_nano,
               g.own_nano
        FROM sums g {"LEFT JOIN other o USING (id)" if metered else ""} {group.join}
        ORDER BY g.charge_nano DESC, g.requests DESC, g.id LIMIT %(limit)s""",  # noqa: S608 - own names only
        {**used.parameters, "starts": [span.start_at for span in spans], "limit": limit},
    )
    return [
        Group(
            str(id), label, Totals(requests, errors, charge_nano, summed_meters(meters), saved, own)
        )
        for id, label, requests, errors, charge_nano, meters, saved, own in rows
    ]


COMMON_SUMS: Final = (
    "jsonb_strip_nulls(jsonb_build_object({})) AS meters, bool_or(r.meters <> '{{}}') AS has_others"
).format(", ".join(f"'{name}', sum(r.{name})::bigint" for name in COMMON))
NO_METERS: Final = "'{}'::jsonb AS meters"


def other_meters(id: str, rows: str) -> str:
    """Return SQL for the sums of the less common meters, by group, of rows that have any."""
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
    """Return the statement for `series_of`. Parts beyond the largest are combined."""
    return f"""SELECT part.n, least(g.place, %(most)s)::int, max({group.value}),
               max({group.label}), sum(part.value)::bigint
        FROM part JOIN ranked g USING (id) {group.join}
        GROUP BY 1, 2"""  # noqa: S608 - own names only


def _sums_condition(actor: Actor, scope: Scope) -> Where:
    """Return the condition on sums, without their time."""
    return where_of(actor, "usage.read", scope, Period())


def series_of(usage_filter: UsageFilter, rows: Sequence[tuple[Any, ...]]) -> Series:
    """Convert rows of (bucket from 1, place from 1, value, label, figure) to bars with the same
    parts."""
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
    """Return a colour for each value: the colour of its name, or another if a larger value has that
    colour."""
    taken: dict[str, int] = {}
    for value in values:
        wanted = zlib.crc32(value.encode()) % SERIES_MAX
        while wanted + 1 in taken.values():
            wanted = (wanted + 1) % SERIES_MAX
        taken[value] = wanted + 1
    return taken


def summed_meters(stored: object) -> dict[str, int]:
    """Return summed meters in their order, without those that are 0, because a span may contain
    counts that are subtracted again (`levels.summed_by_span`)."""
    return {name: units for name, units in ordered_meters(stored).items() if units}
