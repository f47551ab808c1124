"""Usage as one relation: from the sums if they know everything that is requested, else from the
records, which have the labels, the application and the status of each request.

Sums are few, however many requests there were. Records are read one by one, so their number is
limited; beyond it, readers are asked to choose a shorter time.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

from accounts.access.actors import Actor
from lib.ids import ID_SLACK, first_id_at
from usage.buckets.buckets import Span
from usage.filters.filters import Scope
from usage.filters.groupings import SUMMED
from usage.filters.visibility import NIL, Period, Where, run, where_of
from usage.records.outcomes import ANSWERED_SQL, FAILED_SQL, STOPPED_SQL, STREAMED_SQL, TIMED_SQL
from usage.reports.too_many_records import check_records
from usage.rollups.histograms import histogram_sql
from usage.rollups.levels import COMMON, Freshness, columns_of, summed, summed_by_span
from usage.rollups.sums import written_sql


def used_rows(
    actor: Actor,
    scope: Scope,
    spans: Sequence[Span],
    groups: Collection[str],
    at: Freshness | None = None,
    *,
    runs: Sequence[Sequence[Span]] | None = None,
    bounded: bool = True,
) -> Where:
    """Return rows `r` with the columns of an hour's sums, within some spans of whole quarters. Rows
    from records also have `project`, `customer`, `end_user`, `tag`, `app` and `status`. With the
    grouping `tag`, a record appears once for each of its tags, and once if it has none. `runs` are
    the spans for counting by span (`levels.summed_by_span`). With `bounded`, for a waiting reader,
    raises TooManyRecords."""
    if are_summed(scope, groups):
        where = where_of(actor, "usage.read", scope, Period())
        return summed_by_span(where, runs, at) if runs else summed(where, spans, at)
    requests = _requests_of(actor, scope, spans, at) if bounded else 0
    check_records(requests)
    return _recorded_rows(actor, scope, spans, tagged="tag" in groups)


def are_summed(scope: Scope, groups: Collection[str]) -> bool:
    """Return whether the sums know everything that is requested."""
    return SUMMED.issuperset(groups) and not scope.picks_records


def _requests_of(
    actor: Actor, scope: Scope, spans: Sequence[Span], at: Freshness | None = None
) -> int:
    """Return how many requests the sums count in a time. Filters that only records know are
    ignored."""
    where = where_of(actor, "usage.read", scope.summed_part, Period())
    sums = summed(where, join_spans(spans), at)
    text = f"SELECT coalesce(sum(r.requests), 0)::bigint FROM {sums.text} r"  # noqa: S608 - own names
    return int(run(text, sums.parameters)[0][0])


def _recorded_rows(actor: Actor, scope: Scope, spans: Sequence[Span], *, tagged: bool) -> Where:
    where = where_of(actor, "usage.read", scope, Period(), of="records")
    parameters: dict[str, Any] = dict(where.parameters)
    texts = []
    for n, span in enumerate(join_spans(spans)):
        edges = {
            f"from_{n}": span.start_at,
            f"to_{n}": span.end_at,
            # The id contains the time too, so that partitions of other months are not opened.
            f"first_{n}": first_id_at(span.start_at - ID_SLACK),
            f"last_{n}": first_id_at(span.end_at + ID_SLACK),
        }
        parameters |= edges
        texts.append(
            f"r.admitted_at >= %(from_{n})s AND r.admitted_at < %(to_{n})s"
            f" AND r.id >= %(first_{n})s AND r.id < %(last_{n})s"
        )
    meters, rest = columns_of("quarter")
    common = ", ".join(f"{meter} AS {name}" for meter, name in zip(meters, COMMON, strict=True))
    # With a filter by tags, count only those tags, because a cell's link selects only its tag.
    tags = _TAGS.format(wanted="tag_name = ANY (%(tags)s)" if scope.tags else "true")
    return Where(
        f"""(
        SELECT r.organisation_id, r.admitted_at AS bucket_at, r.team_id, r.key_id,
               coalesce(r.user_id, 0) AS user_id, r.model,
               coalesce(r.channel_id, '{NIL}') AS channel_id, r.channel_name,
               r.final::int AS requests, (r.final AND {FAILED_SQL})::int AS errors, r.charge_nano,
               r.saved_nano, r.own_nano,
               {common}, {rest} AS meters, r.project, r.customer, r.end_user, r.client_app AS app,
               {"tag" if tagged else "''"} AS tag, {STATUS} AS status, {_TIMES}
        FROM usage_usagerecord r {tags if tagged else ""}
        WHERE {where.text} AND ({" OR ".join(texts)}))""",  # noqa: S608 - own names
        parameters,
    )


def join_spans(spans: Sequence[Span]) -> list[Span]:
    """Merge consecutive spans."""
    joined_spans: list[Span] = []
    for span in spans:
        if joined_spans and joined_spans[-1].end_at == span.start_at:
            joined_spans[-1] = Span(joined_spans[-1].start_at, span.end_at)
        else:
            joined_spans.append(span)
    return joined_spans


_TAGS: Final = """
    LEFT JOIN LATERAL jsonb_array_elements_text(r.tags) AS tagged (tag_name) ON {wanted}
    CROSS JOIN LATERAL (SELECT coalesce(tag_name, '') AS tag) named"""
# Expressions in the form of the sums. Columns that are not selected are not computed.
_TIMES: Final = f"""
               CASE WHEN {TIMED_SQL} THEN {histogram_sql("r.total_ms")} ELSE 0 END
                   AS total_histogram,
               CASE WHEN {TIMED_SQL} AND r.ttft_ms IS NOT NULL
                   THEN {histogram_sql("r.ttft_ms")} ELSE 0 END AS ttft_histogram,
               CASE WHEN {STREAMED_SQL} THEN {written_sql("r.meters")} END AS timed_tokens,
               CASE WHEN {STREAMED_SQL} THEN r.total_ms - r.ttft_ms END AS timed_ms"""
STATUS: Final = f"""CASE WHEN {ANSWERED_SQL} THEN 'ok' WHEN {FAILED_SQL} THEN 'error'
               WHEN {STOPPED_SQL} THEN 'stopped' ELSE 'rejected' END"""
