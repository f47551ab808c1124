"""The questions that our pages ask, asked of LiteLLM's own tables with the same requests.

Its schema is that of its package (its migrations, one after the other, and the index that its
migration job builds after them); its statements are those of its endpoints, as the docstring of
each says. They lie in a schema of their own in the same database, and hold the requests of the
organisation that our pages show. How its proxy makes an answer of the rows is not counted; of our
pages only the database's part is compared.
"""

import datetime as dt
import json
import os
import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg

from tests.bench import peers
from tests.bench.cost import cost_of

Connection = psycopg.Connection[tuple[Any, ...]]

_SCHEMA: Final = "litellm"
# Of its page of logs, and the most that it counts.
_PAGE_ROWS: Final = 50
_COUNTED: Final = 10_001
_INDEX: Final = """
    CREATE INDEX "LiteLLM_SpendLogs_api_key_startTime_idx"
    ON "LiteLLM_SpendLogs" (api_key, "startTime")"""
_FILL: Final = """
    INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, api_key, spend, total_tokens,
        prompt_tokens, completion_tokens, "startTime", "endTime", request_duration_ms,
        "completionStartTime", model, model_id, model_group, custom_llm_provider, api_base, "user",
        metadata, cache_hit, request_tags, team_id, organization_id, end_user, session_id, status,
        litellm_call_id)
    SELECT r.request_id::text, 'acompletion', encode(sha256(r.key_id::text::bytea), 'hex'),
        r.charge_nano / 1e9, sent + out, sent, out, r.admitted_at AT TIME ZONE 'UTC',
        r.ended_at AT TIME ZONE 'UTC', r.total_ms,
        (r.admitted_at + r.ttft_ms * interval '1 ms') AT TIME ZONE 'UTC', r.model,
        coalesce(r.channel_id::text, ''), r.model, 'openai', 'https://provider.example/v1',
        coalesce(u.email, ''), jsonb_build_object('user_api_key_alias', k.name), 'None',
        coalesce(r.tags, '[]'), r.team_id::text, r.organisation_id::text, r.customer,
        r.request_id::text, CASE WHEN r.status = 200 THEN 'success' ELSE 'failure' END,
        r.id::text
    FROM public.usage_usagerecord r
    JOIN public.accounts_organisation o ON o.id = r.organisation_id AND o.slug = 'demo-1'
    JOIN public.accounts_key k ON k.id = r.key_id
    LEFT JOIN public.accounts_user u ON u.id = r.user_id,
    LATERAL (SELECT
        coalesce((r.meters->>'in_text')::int, 0) + coalesce((r.meters->>'in_cache_read')::int, 0),
        coalesce((r.meters->>'out_text')::int, 0) + coalesce((r.meters->>'out_reasoning')::int, 0)
    ) AS tokens (sent, out)
    WHERE r.final"""
_SUM_UP: Final = """
    INSERT INTO "LiteLLM_DailyUserSpend" (id, user_id, date, api_key, model, model_group,
        custom_llm_provider, endpoint, prompt_tokens, completion_tokens, spend, api_requests,
        successful_requests, failed_requests, updated_at)
    SELECT gen_random_uuid()::text, "user", to_char("startTime", 'YYYY-MM-DD'), api_key, model,
        model_group, custom_llm_provider, '/chat/completions', sum(prompt_tokens),
        sum(completion_tokens), sum(spend), count(*), count(*) FILTER (WHERE status = 'success'),
        count(*) FILTER (WHERE status <> 'success'), now()
    FROM "LiteLLM_SpendLogs" GROUP BY "user", 3, api_key, model, model_group, custom_llm_provider"""
_COLUMNS: Final = """
    request_id, call_type, api_key, spend, total_tokens, prompt_tokens, completion_tokens,
    "startTime", "endTime", "completionStartTime", model, model_id, model_group,
    custom_llm_provider, api_base, "user", metadata, cache_hit, cache_key, request_tags, team_id,
    organization_id, end_user, requester_ip_address, session_id, status, mcp_namespaced_tool_name,
    agent_id, litellm_call_id, COALESCE(request_duration_ms,
        (EXTRACT(EPOCH FROM ("endTime" - "startTime")) * 1000)::INTEGER) AS request_duration_ms"""
_BETWEEN: Final = """
    "startTime" >= ($1::timestamptz AT TIME ZONE 'UTC')
    AND "startTime" <= ($2::timestamptz AT TIME ZONE 'UTC')"""
# The one of its sums by the day, printed by its own code.
_DAILY: Final = """
import json, sys
from litellm.repositories.daily_activity_sql import build_aggregated_sql
from litellm.types.repositories.daily_activity import DailyActivityScope, DailyActivityTable
scope = DailyActivityScope(
    table=DailyActivityTable.USER, entity_id_field="user_id", entity_ids=None,
    exclude_entity_ids=(), api_keys=None, start_date=sys.argv[1], end_date=sys.argv[2], model=None,
    timezone_offset_minutes=None)
made = build_aggregated_sql(scope, api_key_limit=100)
print(json.dumps([made.sql, made.params]))
"""


Statement = tuple[str, Sequence[Any]]


class Question(NamedTuple):
    """What is asked; the page of ours that asks the same (`growth.PAGES`), and how LiteLLM does."""

    name: str
    page: str
    statements: Sequence[Statement]


class Asked(NamedTuple):
    """A question, the page of ours that asks the same, and milliseconds of the database's
    process."""

    name: str
    page: str
    database_ms: float


def measure(dsn: str, runs: int) -> list[Asked]:
    """What each question costs; none where LiteLLM cannot be installed."""
    try:
        command = peers.litellm()
    except peers.Missing:
        return []
    results: list[Asked] = []
    with psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.RawCursor) as connection:
        connection.execute("SET max_parallel_workers_per_gather = 0")
        _install(connection, command)
        backend = connection.info.backend_pid
        for name, page, statements in _questions(command):
            cost = cost_of(partial(_ask, connection, statements), backend, runs=runs)
            results.append(Asked(name, page, cost.database_ms))
        connection.execute(f"DROP SCHEMA {_SCHEMA} CASCADE".encode())
    return results


def _ask(connection: Connection, statements: Sequence[Statement]) -> None:
    for text, parameters in statements:
        connection.execute(text.encode(), parameters).fetchall()


def _install(connection: Connection, command: Path) -> None:
    """Its tables, with the requests in them."""
    connection.execute(f"CREATE SCHEMA {_SCHEMA}".encode())
    connection.execute(f"SET search_path = {_SCHEMA}, public".encode())
    (folder,) = command.parent.parent.glob("lib/python*/site-packages/litellm_proxy_extras")
    for path in sorted(folder.glob("migrations/*/migration.sql")):
        text = path.read_text()
        # Of these none is about the two tables.
        if "CONCURRENTLY" not in text:
            connection.execute(text.encode())
    for text in (_INDEX, _FILL, _SUM_UP):
        connection.execute(text.encode())
    for table in ("LiteLLM_SpendLogs", "LiteLLM_DailyUserSpend"):
        connection.execute(f'VACUUM (ANALYZE) "{table}"'.encode())


def _questions(command: Path) -> list[Question]:
    day = dt.timedelta(days=1)
    today = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    quarter, month = (today - 89 * day, today + day), (today - 29 * day, today + day)
    nothing = ("AND model = $3 AND status = $4 AND spend >= $5", "demo-model-20", "failure", 9.0)
    of_two = ('AND model = $3 AND "user" = $4', "demo-model-3", "person-1-2@demo.example")
    failed = ("AND end_user = $3 AND status = $4", "customer-1", "failure")
    logs = {
        "Requests, 30 days": _log(*month),
        "Requests, 90 days": _log(*quarter),
        "Requests, 90 days, of a model and a person": _log(*quarter, *of_two),
        "Requests, 90 days, failed, of a customer": _log(*quarter, *failed),
        "Requests, 90 days, a filter that fits nothing": _log(*quarter, *nothing),
        "Usage, 30 days": [_summed(*month)],
        "Usage, 90 days": [_summed(*quarter)],
    }
    asked = [Question(name, name, statements) for name, statements in logs.items()]
    daily = _daily(command, *quarter)
    return [*asked, Question("Usage, 90 days, of its sums by the day", "Usage, 90 days", [daily])]


def _log(
    start_at: dt.datetime, end_at: dt.datetime, condition: str = "", *values: object
) -> list[Statement]:
    """The first page of its list of requests and how many there are: `ui_view_spend_logs`."""
    parameters, n = [start_at, end_at, *values], len(values) + 3
    rows = f'FROM "LiteLLM_SpendLogs" WHERE {_BETWEEN} {condition}'
    count = f"SELECT COUNT(*) AS total_count FROM (SELECT 1 {rows} LIMIT ${n}) AS bounded_matches"
    page = f'SELECT {_COLUMNS} {rows} ORDER BY "startTime" DESC LIMIT ${n} OFFSET ${n + 1}'
    return [(count, [*parameters, _COUNTED]), (page, [*parameters, _PAGE_ROWS, 0])]


def _summed(start_at: dt.datetime, end_at: dt.datetime) -> Statement:
    """Spend by day, key, user and model: `view_spend_logs` with two dates."""
    text = f"""
        SELECT to_char(date_trunc('day', "startTime"), 'YYYY-MM-DD') AS day, api_key, "user", model,
            SUM(spend) AS spend
        FROM "LiteLLM_SpendLogs" WHERE {_BETWEEN} GROUP BY 1, 2, 3, 4 ORDER BY 1"""
    return text, [start_at, end_at]


def _daily(command: Path, start_at: dt.datetime, end_at: dt.datetime) -> Statement:
    """What its page of usage asks of its sums by day: `/user/daily/activity/aggregated`."""
    days = [f"{at:%Y-%m-%d}" for at in (start_at, end_at)]
    done = subprocess.run(
        [command.with_name("python"), "-c", _DAILY, *days],
        # Else it asks the net for the prices of models.
        env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    text, parameters = json.loads(done.stdout.splitlines()[-1])
    return text, parameters
