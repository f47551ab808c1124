"""The traffic, counted from the usage records, for `/metrics` and for the health of channels and
models on pages.

Nothing is counted while requests are answered (docs/adr/0014). Every record has the id of the
transaction that wrote it. A run counts the records that it sees and the previous run's snapshot did
not, and stores its own snapshot in the same transaction. So every record is counted exactly once,
in whatever order transactions commit, whichever process counts, and whatever is killed. A run reads
from the oldest transaction of this database that was open at the previous run.
"""

import datetime as dt
from typing import Final
from uuid import UUID

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from billing.prices.meters import TOKEN_METERS
from gateway.health.histogram_bounds import DURATION_MS, FIRST_TOKEN_MS
from gateway.health.metric_labels import OTHER, Total
from gateway.health.sql import ALONE, ZONE, Family
from lib import clock
from lib.database.advisory_locks import AdvisoryLock
from lib.database.open_transactions import OPEN_HERE

CHANNEL_FAULTS: Final = (
    "upstream_error",
    "upstream_unreachable",
    "upstream_auth",
    "upstream_truncated",
    "upstream_malformed",
    "upstream_rate_limited",
    "overloaded",
    "timeout",
)
"""Failures of the channel. A request that its provider found invalid is not one."""
KEPT: Final = dt.timedelta(days=8)
"""How long buckets are kept."""
_KEYS_KEPT: Final = dt.timedelta(days=1)
_SPEND_KEPT: Final = dt.timedelta(days=62)
NO_CHANNEL: Final = UUID(int=0)
"""The channel of requests that were refused before any channel."""


def count_new_records() -> bool:
    """Count the records since the last run. Return False if another process is counting."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_try_advisory_xact_lock({AdvisoryLock.COUNT_TRAFFIC})")
        if not cursor.fetchone()[0]:
            return False
        before, since = _previous_snapshot(cursor)
        cursor.execute(
            _COUNT,
            {
                "before": before,
                "since": since,
                "faults": list(CHANNEL_FAULTS),
                "token_meters": sorted(TOKEN_METERS),
            },
        )
    return True


def requests_shed() -> int:
    """Return how many requests were refused by overloaded processes. These have no record."""
    return _single_total("shed")


def log_lines_dropped() -> int:
    """Return how many log lines were dropped because they were not read in time."""
    return _single_total("dropped_lines")


def content_dropped() -> int:
    """Return how many requests are missing from the content log."""
    return _single_total("content_dropped")


def guards_passed() -> int:
    """Return how often a guard failed, and texts passed unchecked."""
    return _single_total("guards_passed")


def damaged_records() -> int:
    """Return how many records of spools and journals were unreadable."""
    return _single_total("damaged_records")


def _single_total(family: Family) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM gateway_traffictotal WHERE family = %s", [family])
        row = cursor.fetchone()
        return row[0] if row else 0


def read_totals() -> list[Total]:
    """Return the totals of the records, in the order of their creation. Channels are given by
    name."""
    with connection.cursor() as cursor:
        cursor.execute(_TOTALS, [list(ALONE)])
        return [
            Total(family, tuple(labels), value, tuple(counts))
            for family, labels, value, counts in cursor
        ]


def drop_old() -> None:
    """Delete the buckets that no page shows any more, and reports of dead processes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM gateway_trafficbucket WHERE bucket_at < %s", [clock.now() - KEPT]
        )
        cursor.execute(
            "DELETE FROM gateway_keytrafficbucket WHERE bucket_at < %s", [clock.now() - _KEYS_KEPT]
        )
        cursor.execute(
            "DELETE FROM gateway_channelspend WHERE day < %s", [clock.now() - _SPEND_KEPT]
        )
        cursor.execute(
            "DELETE FROM gateway_channelkeyuse used WHERE used_at < %s AND NOT EXISTS ("
            "SELECT FROM gateway_channelkey key WHERE key.id = used.key_id)",
            [clock.now() - KEPT],
        )
        cursor.execute(
            "DELETE FROM gateway_channelreport WHERE reported_at < now() - interval '1 hour'"
        )


def _previous_snapshot(cursor: CursorWrapper) -> tuple[str, dt.datetime | None]:
    """Return the snapshot of the previous run, and the time since when records are counted."""
    cursor.execute(_READ)
    row = cursor.fetchone()
    if row is None:
        return _NOTHING_SEEN, None
    snapshot, since, foreign = row
    # A dump was restored into a newer server; its records were counted in the old one.
    return (_NOTHING_SEEN, clock.now()) if foreign else (snapshot, since)


def _histogram(column: str, bounds: tuple[int, ...]) -> str:
    counts = ", ".join(f"count(*) FILTER (WHERE {column} <= {bound})" for bound in bounds)
    return f"ARRAY[{counts}]"


_TOTALS: Final = f"""
    SELECT total.family,
           CASE WHEN total.family = 'attempts'
                THEN ARRAY[coalesce(channel.name, '{OTHER}')::text, total.labels[2]]
                ELSE total.labels::text[] END,
           total.value, total.counts
    FROM gateway_traffictotal total
    LEFT JOIN gateway_channel channel
      ON total.family = 'attempts' AND channel.id::text = total.labels[1]
    WHERE total.family <> ALL(%s)
    ORDER BY total.id"""  # noqa: S608
_NOTHING_SEEN: Final = "1:1:"
_READ: Final = """
    SELECT snapshot, since,
           pg_snapshot_xmax(snapshot::pg_snapshot) > pg_snapshot_xmax(pg_current_snapshot())
    FROM gateway_trafficcursor"""

# A client's model name is not used as a label. The matching route is, of which operators create as
# many as they need. A pattern is converted to LIKE's syntax.
_LABEL: Final = f"""
    coalesce((
        SELECT route.model FROM gateway_route route
        WHERE route.model = name.model
           OR (route.model LIKE '%%*%%' AND name.model LIKE replace(regexp_replace(
                   route.model, '([\\\\%%_])', '\\\\\\1', 'g'), '*', '%%'))
        ORDER BY route.model = name.model DESC, length(route.model) DESC, route.model LIMIT 1
    ), '{OTHER}')"""  # noqa: S608 - only constants are put in

# The writing speed of a bucket's answers, and the time to their start.
_SPEED: Final = f"""
               coalesce(sum(written) FILTER (WHERE ttft_ms IS NOT NULL), 0),
               coalesce(sum(total_ms - ttft_ms) FILTER (WHERE written > 0), 0),
               {_histogram("ttft_ms", FIRST_TOKEN_MS)}"""
_ADDED: Final = """
            attempts = bucket.attempts + excluded.attempts,
            failed = bucket.failed + excluded.failed,
            output_tokens = bucket.output_tokens + excluded.output_tokens,
            writing_ms = bucket.writing_ms + excluded.writing_ms,
            first_tokens = ARRAY(
                SELECT a + b FROM unnest(bucket.first_tokens, excluded.first_tokens)
                    WITH ORDINALITY AS pair (a, b, n) ORDER BY n)"""

_COUNT: Final = f"""
    WITH record AS MATERIALIZED (
        SELECT r.organisation_id, r.id, r.model,
               -- What goes wrong with a customer's own key says nothing about the channel.
               CASE WHEN r.own_nano IS NULL THEN coalesce(r.channel_id, '{NO_CHANNEL}')
                    ELSE '{NO_CHANNEL}' END AS channel_id,
               r.final, r.status, r.kind,
               r.own_nano IS NULL AND coalesce(r.kind = ANY (%(faults)s), false) AS fault,
               r.own_nano IS NULL AND r.status >= 500 AS failed, r.meters, r.charge_nano,
               coalesce(r.cost_nano, r.charge_nano) AS cost_nano,
               r.ttft_ms, r.total_ms, r.ended_at,
               coalesce((r.meters->>'out_text')::bigint, 0)
                   + coalesce((r.meters->>'out_reasoning')::bigint, 0) AS written,
               coalesce((r.meters->>'in_cache_read')::bigint, 0) AS cached,
               coalesce((r.meters->>'in_text')::bigint, 0) AS uncached
        FROM usage_usagerecord r
        WHERE r.xid >= pg_snapshot_xmin(%(before)s::pg_snapshot)
          AND NOT pg_visible_in_snapshot(r.xid, %(before)s::pg_snapshot)
          AND (%(since)s::timestamptz IS NULL OR r.ended_at >= %(since)s)
    ),
    moved AS (
        INSERT INTO gateway_trafficcursor (id, snapshot, since)
        VALUES (1, {OPEN_HERE}::text, %(since)s)
        ON CONFLICT (id) DO UPDATE SET snapshot = excluded.snapshot, since = excluded.since
    ),
    label AS MATERIALIZED (
        SELECT name.model, {_LABEL} AS label FROM (SELECT DISTINCT model FROM record) name
    ),
    labelled AS MATERIALIZED (SELECT * FROM record JOIN label USING (model)),
    spent AS (
        INSERT INTO gateway_channelspend AS spend (channel_id, day, cost_nano)
        SELECT channel_id, (ended_at AT TIME ZONE '{ZONE}')::date, sum(cost_nano) FROM record
        WHERE channel_id <> '{NO_CHANNEL}' GROUP BY 1, 2 HAVING sum(cost_nano) <> 0
        -- As shadow traffic writes them (gateway/routing/shadow_sql.py), so that none deadlocks.
        ORDER BY 1, 2
        ON CONFLICT (channel_id, day) DO UPDATE SET cost_nano = spend.cost_nano + excluded.cost_nano
    ),
    bucketed AS (
        INSERT INTO gateway_trafficbucket AS bucket (
            bucket_at, channel_id, model, attempts, failed, output_tokens, writing_ms, first_tokens,
            requests, failed_requests, answers, first_token_ms, answer_ms, input_tokens,
            cached_tokens)
        SELECT date_bin('5 minutes', ended_at, 'epoch'), channel_id, label,
               count(*) FILTER (WHERE channel_id <> '{NO_CHANNEL}'),
               count(*) FILTER (WHERE channel_id <> '{NO_CHANNEL}' AND fault), {_SPEED},
               count(*) FILTER (WHERE final),
               count(*) FILTER (WHERE final AND (failed OR fault)),
               count(*) FILTER (WHERE ttft_ms IS NOT NULL AND NOT fault),
               coalesce(sum(ttft_ms) FILTER (WHERE NOT fault), 0),
               coalesce(sum(total_ms) FILTER (WHERE ttft_ms IS NOT NULL AND NOT fault), 0),
               coalesce(sum(cached + uncached), 0), coalesce(sum(cached), 0)
        FROM labelled WHERE ended_at > now() - interval '{KEPT.days} days'
        GROUP BY 1, 2, 3
        ON CONFLICT (bucket_at, channel_id, model) DO UPDATE SET {_ADDED},
            requests = bucket.requests + excluded.requests,
            failed_requests = bucket.failed_requests + excluded.failed_requests,
            answers = bucket.answers + excluded.answers,
            first_token_ms = bucket.first_token_ms + excluded.first_token_ms,
            answer_ms = bucket.answer_ms + excluded.answer_ms,
            input_tokens = bucket.input_tokens + excluded.input_tokens,
            cached_tokens = bucket.cached_tokens + excluded.cached_tokens
    ),
    with_key AS MATERIALIZED (
        SELECT record.*, attempt.channel_key_id FROM record CROSS JOIN LATERAL (
            -- One after the other: the executor leaves out partitions by the id.
            SELECT channel_key_id FROM usage_attempt
            WHERE organisation_id = record.organisation_id AND id = record.id LIMIT 1
        ) attempt
        WHERE channel_id <> '{NO_CHANNEL}' AND channel_key_id IS NOT NULL
    ),
    used AS (
        INSERT INTO gateway_channelkeyuse AS uses (key_id, used_at)
        SELECT channel_key_id, max(ended_at) FROM with_key GROUP BY 1
        ON CONFLICT (key_id) DO UPDATE SET used_at = greatest(uses.used_at, excluded.used_at)
    ),
    keyed AS (
        INSERT INTO gateway_keytrafficbucket AS bucket (
            bucket_at, channel_id, channel_key, attempts, failed, output_tokens, writing_ms,
            first_tokens)
        SELECT date_bin('5 minutes', ended_at, 'epoch'), channel_id, channel_key_id::text, count(*),
               count(*) FILTER (WHERE fault), {_SPEED}
        FROM with_key WHERE ended_at > now() - interval '{_KEYS_KEPT.days} days'
        GROUP BY 1, 2, 3
        ON CONFLICT (bucket_at, channel_id, channel_key) DO UPDATE SET {_ADDED}
    )
    INSERT INTO gateway_traffictotal AS total (family, labels, value, counts)
    SELECT 'requests', ARRAY[label, status::text], count(*), '{{}}'::bigint[]
    FROM labelled WHERE final GROUP BY 2
    UNION ALL
    SELECT 'attempts', ARRAY[channel_id::text, coalesce(kind, 'ok')], count(*), '{{}}'
    FROM labelled WHERE channel_id <> '{NO_CHANNEL}' GROUP BY 2
    UNION ALL
    SELECT 'tokens', ARRAY[label, meter], sum(units::bigint), '{{}}'
    FROM labelled, jsonb_each_text(meters) AS counted (meter, units)
    WHERE meter = ANY (%(token_meters)s) GROUP BY 2
    UNION ALL
    SELECT 'charge', ARRAY[label], sum(charge_nano), '{{}}'
    FROM labelled GROUP BY 2 HAVING sum(charge_nano) > 0
    UNION ALL
    SELECT 'first_token', ARRAY[label], sum(ttft_ms),
           {_histogram("ttft_ms", FIRST_TOKEN_MS)} || count(*)
    FROM labelled WHERE final AND ttft_ms IS NOT NULL GROUP BY 2
    UNION ALL
    SELECT 'duration', ARRAY[label], sum(total_ms),
           {_histogram("total_ms", DURATION_MS)} || count(*)
    FROM labelled WHERE final GROUP BY 2
    ON CONFLICT (family, labels) DO UPDATE SET
        value = total.value + excluded.value,
        counts = ARRAY(
            SELECT a + b FROM unnest(total.counts, excluded.counts)
                WITH ORDINALITY AS pair (a, b, n) ORDER BY n)"""  # noqa: S608
