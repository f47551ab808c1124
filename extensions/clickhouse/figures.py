"""Figures of usage from ClickHouse. It answers the queries of reports with the same figures as
Postgres.

    cells      the sums of one or two groupings together, or of everything
    largest    the groups with the most of one metric
    parts      that metric in each bucket, by these groups and the rest

Postgres has all records too, and answers whatever ClickHouse cannot, so readers do not notice when
it is away. After a failure it is not asked for some seconds.
"""

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar
from uuid import UUID

from accounts.access.actors import Actor
from extensions.clickhouse.client import ClickHouse, ClickHouseError, Value
from extensions.clickhouse.models import ClickHouseCursor
from extensions.clickhouse.sending import batches_there
from extensions.clickhouse.server import RECORDS, SCHEMA, server
from usage.buckets.buckets import Span
from usage.filters.filters import Metric, Scope
from usage.filters.groupings import GroupBy
from usage.filters.visibility import NIL, Pick, labels, picks_of_scope, seen_by
from usage.records import outcomes
from usage.records.counted_meters import TOKEN_METERS
from usage.reports.used_rows import STATUS, join_spans
from usage.rollups.histograms import SHARES
from usage.rollups.levels import COMMON
from usage.sinks.usage_sink import CellRow, Largest, Part

log = logging.getLogger(__name__)

_PAUSE_S: Final = 15.0
_paused_until = 0.0

T = TypeVar("T")


def read(actor: Actor, scope: Scope, ask: Callable[["Reader"], T]) -> T | None:
    """Return what ClickHouse answers, or None if it cannot answer for the scope or fails."""
    global _paused_until
    there = server()
    # ClickHouse does not know which records are under review, or belong to a session.
    if there is None or scope.status == "review" or scope.session_id:
        return None
    if time.monotonic() < _paused_until:
        return None
    cursor = ClickHouseCursor.objects.get()
    if cursor.schema != SCHEMA or cursor.complete_to is None:
        return None  # it is being filled again
    try:
        answer = ask(_reader(there, actor, scope))
        if batches_there(there, cursor) < cursor.batches:
            raise ClickHouseError("it has lost records")
        return answer
    except ClickHouseError as error:
        log.warning("ClickHouse: %s; Postgres is asked instead", error)
        _paused_until = time.monotonic() + _PAUSE_S
        return None


@dataclass(frozen=True)
class Reader:
    """Queries what an actor may see and a scope matches. Its methods raise ClickHouseError."""

    there: ClickHouse
    texts: tuple[str, ...]
    parameters: Mapping[str, Value]

    def of_keys(self, keys: Sequence[str]) -> "Reader":
        """Return the same reader, limited to these keys."""
        text, value = _one_of(Pick("among_keys", "key_id", [UUID(key) for key in keys]))
        parameters = {**self.parameters, "among_keys": value}
        return replace(self, texts=(*self.texts, text), parameters=parameters)

    def cells(
        self,
        spans: Sequence[Span],
        by: Sequence[str],
        limit: int,
        *,
        metered: bool = True,
        timed: bool = False,
    ) -> list[CellRow]:
        """Return the most expensive cells of some groupings. The grouping "day" is a bucket of the
        spans. Without `metered` the totals have no meters."""
        axes = [self._axis(name) for name in by]
        groups = "".join(f"{axis} AS g{n}, " for n, axis in enumerate(axes))
        by_groups = f"GROUP BY {', '.join(f'g{n}' for n in range(len(axes)))}" if axes else ""
        ids = ", ".join(
            f"toString(indexOf({{starts:Array(Int64)}}, g{n}))"
            if name == "day"
            else f"toString(g{n})"
            for n, name in enumerate(by)
        )
        text = f"""
            SELECT CAST([{ids}], 'Array(String)') AS ids, {_SUMS}, {_TIMES if timed else _NO_TIMES}
            FROM (
                SELECT {groups}{_SUMMED}, {_TIMED if timed else "1"}
                FROM {RECORDS} AS r FINAL WHERE {self._where(spans)}
                {by_groups} HAVING count() > 0
            )
            ORDER BY nano DESC, requests DESC, ids LIMIT {{limit:UInt32}}"""  # noqa: S608 - own names only
        return [_cell(row, metered=metered) for row in self._query(text, spans, limit=limit)]

    def largest(
        self, spans: Sequence[Span], by: GroupBy, metric: Metric, limit: int
    ) -> list[Largest]:
        """Return the groups with the most, the largest first."""
        text = f"""
            SELECT toString(g), channel_name, value
            FROM (
                SELECT {self._axis(by)} AS g, max(r.channel_name) AS channel_name,
                       {_METRICS[metric]} AS value
                FROM {RECORDS} AS r FINAL WHERE {self._where(spans)} GROUP BY g
            )
            WHERE value > 0
            ORDER BY value DESC, {"g" if by == "user" else "toString(g)"}
            LIMIT {{limit:UInt32}}"""  # noqa: S608 - own names only
        return [Largest(*row) for row in self._query(text, spans, limit=limit)]

    def parts(
        self, spans: Sequence[Span], by: GroupBy, metric: Metric, groups: Sequence[str]
    ) -> list[Part]:
        """Return the figures of the non-empty buckets, by these groups and all others as one."""
        id_ = f"toString({self._axis(by)})"
        text = f"""
            SELECT indexOf({{starts:Array(Int64)}}, start), shown_id, value
            FROM (
                SELECT {_START} AS start, if(has({{shown:Array(String)}}, {id_}), {id_}, NULL)
                       AS shown_id, {_METRICS[metric]} AS value
                FROM {RECORDS} AS r FINAL WHERE {self._where(spans)} GROUP BY start, shown_id
            )
            WHERE value > 0"""  # noqa: S608 - own names only
        return [Part(*row) for row in self._query(text, spans, shown=list(groups))]

    def _axis(self, name: str) -> str:
        if name != "tag":
            return _AXES[name]
        # With a filter by tags, count only those tags, because a cell's link selects only its tag.
        wanted = "arrayFilter(tag -> has({tags:Array(String)}, tag), r.tags)"
        tags = wanted if "tags" in self.parameters else "r.tags"
        return f"arrayJoin(if(empty({tags}), [''], {tags}))"

    def _where(self, spans: Sequence[Span]) -> str:
        times = " OR ".join(
            f"(r.admitted_at >= {{from_{n}:{_TIME}}} AND r.admitted_at < {{to_{n}:{_TIME}}})"
            for n in range(len(join_spans(spans)))
        )
        return " AND ".join([*self.texts, f"({times})"])

    def _query(self, text: str, spans: Sequence[Span], **also: Value) -> list[list[Any]]:
        edges: dict[str, Value] = {}
        for n, span in enumerate(join_spans(spans)):
            edges |= {f"from_{n}": span.start_at, f"to_{n}": span.end_at}
        starts = [(span.start_at - _EPOCH) // _MICROSECOND for span in spans]
        own: dict[str, Value] = {"starts": starts, "token_meters": TOKEN_METERS}
        # All copies of a record are in the month of its admission.
        text += " SETTINGS do_not_merge_across_partitions_select_final = 1"
        return self.there.rows(text, {**self.parameters, **edges, **own, **also})


def _reader(there: ClickHouse, actor: Actor, scope: Scope) -> Reader:
    """Build the reader. The condition on the organisation always comes first."""
    seen = seen_by(actor, "usage.read")
    picks = [
        *seen,
        *(one for one in picks_of_scope(seen[0].values[0], scope, records=True) if one.values),
    ]
    texts, parameters = [], dict[str, Value]()
    for pick in picks:
        text, parameters[pick.name] = _one_of(pick)
        if pick.otherwise:
            other, parameters[pick.otherwise.name] = _one_of(pick.otherwise)
            text = f"({text} OR {other})"
        texts.append(text)
    for text, name, value in _others(scope):
        texts.append(text)
        if name:
            parameters[name] = value
    return Reader(there, tuple(texts), parameters)


def _one_of(pick: Pick) -> tuple[str, Value]:
    """Return a condition and its parameter's value."""
    type_ = _TYPES.get(pick.column, "String")
    values = [value for value in pick.values if value is not None]
    if len(values) == 1:
        # With this condition, the table's key finds the rows.
        return f"r.{pick.column} = {{{pick.name}:{type_}}}", values[0]
    return f"has({{{pick.name}:Array({type_})}}, r.{pick.column})", values


def _others(scope: Scope) -> Iterator[tuple[str, str, Value]]:
    """Yield the other conditions of a scope, each with its parameter's name and value; the name is
    "" without a parameter."""
    for pick in labels(scope):
        if pick.values:
            yield f"r.{pick.column} <> ''", "", ""
    for grouping in scope.without:
        yield _NO_GROUP[grouping], "", ""
    if scope.tags:
        yield "hasAny(r.tags, {tags:Array(String)})", "tags", list(scope.tags)
    if scope.status:
        yield _BY_STATUS[scope.status], "", ""
    if scope.causes:
        yield f"({outcomes.UNANSWERED_SQL})", "", ""
        yield "has({causes:Array(String)}, r.kind)", "causes", list(scope.causes)
    if scope.min_cost_nano:
        yield "r.charge_nano >= {min_cost:Int64}", "min_cost", scope.min_cost_nano
    if scope.request_id:
        yield "r.request_id = {request:UUID}", "request", scope.request_id


def _cell(row: list[Any], *, metered: bool) -> CellRow:
    ids, channel_name, requests, errors, nano, saved, own, common, names, sums, *times = row
    ttft, total, written, ms = times
    meters: dict[str, int] = {}
    if metered:
        meters = {name: n for name, n in zip(COMMON, common, strict=True) if n is not None}
        # A meter that sums to nothing is left out of `sums`.
        meters |= {name: sums.get(name, 0) for name in names}
    rate = (2 * 10_000 * written + ms) // (2 * ms) if ms else None
    sums_of_cell = (requests, errors, nano, meters, saved, own)
    return CellRow(ids, channel_name, *sums_of_cell, ttft or None, total or None, rate)


_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_TIME: Final = "DateTime64(6, 'UTC')"
_TYPES: Final = {
    "organisation_id": "UUID",
    "team_id": "UUID",
    "key_id": "UUID",
    "channel_id": "UUID",
    "user_id": "Int64",
}
_START: Final = "roundDown(toUnixTimestamp64Micro(r.admitted_at), {starts:Array(Int64)})"
_AXES: Final[Mapping[str, str]] = {
    "model": "r.model",
    "key": "r.key_id",
    "user": "r.user_id",
    "team": "r.team_id",
    "channel": "r.channel_id",
    "project": "r.project",
    "customer": "r.customer",
    "end_user": "r.end_user",
    "app": "r.client_app",
    "status": STATUS,
    "day": _START,
}
_NO_GROUP: Final[Mapping[GroupBy, str]] = {
    "model": "r.model = ''",
    "user": "r.user_id = 0",
    "channel": f"r.channel_id = toUUID('{NIL}')",
    "project": "r.project = ''",
    "customer": "r.customer = ''",
    "end_user": "r.end_user = ''",
    "app": "r.client_app = ''",
    "tag": "empty(r.tags)",
}
_BY_STATUS: Final = {
    "ok": f"({outcomes.ANSWERED_SQL})",
    "error": f"({outcomes.FAILED_SQL})",
    "stopped": f"({outcomes.STOPPED_SQL})",
}
_ERRORS: Final = f"countIf(r.final AND {outcomes.FAILED_SQL})"
_COMMON_SUMS: Final = ", ".join(f"sum(r.{name})" for name in COMMON)
_SUMMED: Final = f"""max(r.channel_name) AS last_name, countIf(r.final) AS requests,
    {_ERRORS} AS errors, sum(r.charge_nano) AS nano,
    if(count() = count(r.saved_nano), sum(r.saved_nano), NULL) AS saved,
    nullIf(sum(r.own_nano), 0) AS own,
    tuple({_COMMON_SUMS}) AS common,
    groupUniqArrayArray(mapKeys(r.meters)) AS names, sumMap(r.meters) AS units"""
_SUMS: Final = "last_name, requests, errors, nano, saved, own, common, names, units"
_ANSWERED: Final = f"r.final AND {outcomes.ANSWERED_SQL}"
_WRITING: Final = f"{_ANSWERED} AND r.ttft_ms < r.total_ms"
_TIMED: Final = f"""
    arraySort(groupArrayIf(r.ttft_ms, {_ANSWERED} AND r.ttft_ms IS NOT NULL)) AS ttfts,
    arraySort(groupArrayIf(r.total_ms, {_ANSWERED})) AS totals,
    sumIf(ifNull(r.out_text, 0) + ifNull(r.out_reasoning, 0), {_WRITING}) AS written,
    sumIf(r.total_ms - r.ttft_ms, {_WRITING}) AS ms"""


def _three(times: str) -> str:
    """Return the percentiles of durations, each the duration of one answer; empty without any."""
    places = [f"{times}[intDiv(length({times}) * {share} + 99, 100)]" for share in SHARES]
    return f"if(empty({times}), [], [{', '.join(places)}])"


_TIMES: Final = f"{_three('ttfts')}, {_three('totals')}, written, ms"
_NO_TIMES: Final = "NULL, NULL, 0, 0"
_METRICS: Final[Mapping[Metric, str]] = {
    "cost": "sum(r.charge_nano)",
    "requests": "countIf(r.final)",
    "errors": _ERRORS,
    "tokens": " + ".join(f"ifNull(sum(r.{name}), 0)" for name in COMMON)
    + " + arraySum(mapValues(mapFilter("
    "(name, units) -> has({token_meters:Array(String)}, name), sumMap(r.meters))))",
}
