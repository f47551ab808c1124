"""Statements about the comparisons of shadow traffic. The relay writes them in batches."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

Statement = tuple[str, dict[str, str]]


def write_shadow_answers(rows: Sequence[Mapping[str, Any]]) -> Statement:
    """Write comparisons, given by column name, and add their cost to today's sums of their rules
    and channels. A comparison that exists already is neither changed nor counted again."""
    return _WRITE, {"rows": json.dumps(rows)}


def read_shadow_spend() -> Statement:
    """Return a statement for the cost of each rule's shadows since the start of the day (UTC):
    (rule, nano)."""
    return _SPEND, {}


_COLUMNS: Final = """
    id, rule, request_id, model, main_channel, main_status, main_ttft_ms, main_total_ms,
    main_tokens, main_finish, main_cost_nano, channel_id, channel, upstream_model, fault, ttft_ms,
    total_ms, tokens, finish, cost_nano, cost_unknown, likeness,
    same_structure"""
_WRITE: Final = f"""
    WITH written AS (
        INSERT INTO gateway_shadowanswer ({_COLUMNS})
        SELECT {_COLUMNS}
        FROM jsonb_populate_recordset(NULL::gateway_shadowanswer, %(rows)s::jsonb)
        ON CONFLICT (id) DO NOTHING
        RETURNING rule, channel_id, (at AT TIME ZONE 'UTC')::date AS day, cost_nano, cost_unknown
    ), of_rules AS (
        INSERT INTO gateway_shadowspend AS spend (rule, day, cost_nano, unknown)
        SELECT rule, day, sum(cost_nano), count(*) FILTER (WHERE cost_unknown) FROM written
        GROUP BY rule, day HAVING sum(cost_nano) > 0 OR bool_or(cost_unknown) ORDER BY rule, day
        ON CONFLICT (rule, day) DO UPDATE
        SET cost_nano = spend.cost_nano + excluded.cost_nano,
            unknown = spend.unknown + excluded.unknown
    )
    INSERT INTO gateway_channelspend AS spend (channel_id, day, cost_nano)
    SELECT channel_id, day, sum(cost_nano) FROM written
    GROUP BY channel_id, day HAVING sum(cost_nano) > 0 ORDER BY channel_id, day
    ON CONFLICT (channel_id, day) DO UPDATE
    SET cost_nano = spend.cost_nano + excluded.cost_nano"""  # noqa: S608 - only constants are put in
_SPEND: Final = """
    SELECT rule, cost_nano FROM gateway_shadowspend
    WHERE day = (now() AT TIME ZONE 'UTC')::date"""
