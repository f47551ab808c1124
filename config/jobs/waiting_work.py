"""Checks, by task, whether work is waiting for a background job. A job with a check starts only if
there is work, and regardless after a while, so that no work depends on its check alone: every half
minute if the check asks for a part of its work, every ten minutes if it asks for all of it. Jobs
without a check start at their time."""

from collections.abc import Mapping
from typing import Final

from lib.database import prepared

LOOK_PAST_S: Final = 30.0
"""The most seconds without a start of a job for which no work was found, if its check asks for a
part of its work."""
ALL_ASKED_S: Final = 600.0
"""The same if its check asks for all of it. Every `LOOK_PAST_S` the job then counts as run."""


def waiting_jobs() -> frozenset[str]:
    """Return the tasks with waiting work. Takes one statement."""
    (tasks,) = prepared.first_row(_ASK)
    return frozenset(task for task in tasks if task)


def has_waiting_work(task: str) -> bool:
    """Return whether work is waiting for a task."""
    (is_waiting,) = prepared.first_row(f"SELECT EXISTS ({_WORK[task]})")
    return bool(is_waiting)


def _first(table: str, condition: str, order: str) -> str:
    """Return a query for the first row in the order of an index, in a query of its own, because
    EXISTS would drop the order. Without the order the planner expects to meet a row soon, and reads
    the whole table if there is none."""
    return f"""
        SELECT FROM (
            SELECT FROM {table} WHERE {condition} ORDER BY {order} LIMIT 1
        ) first"""  # noqa: S608 - only constants are put in


# The newest transaction that wrote a usage record, and what was seen at the last count.
_NEWEST: Final = "(SELECT xid FROM usage_usagerecord ORDER BY xid DESC LIMIT 1) newest"
_SEEN: Final = "(SELECT snapshot::pg_snapshot AS seen FROM gateway_trafficcursor) cursor"
# Tables that grow are read only by indexes of waiting rows.
_WORK: Final[Mapping[str, str]] = {
    "usage.tasks.roll_up": f"""
        SELECT FROM {_NEWEST}
        WHERE xid >= (SELECT xid::text::xid8 FROM usage_rollupwatermark)
        UNION ALL
        SELECT WHERE NOT EXISTS (SELECT FROM usage_rollupwatermark)""",  # noqa: S608
    # Records of transactions that began after the last count, or that were open during it.
    "gateway.tasks.count_traffic": f"""
        SELECT FROM {_SEEN}, {_NEWEST} WHERE xid >= pg_snapshot_xmax(seen)
        UNION ALL
        SELECT FROM {_SEEN}, pg_snapshot_xip(seen) AS open, LATERAL (
            SELECT xid FROM usage_usagerecord WHERE xid >= open ORDER BY xid LIMIT 1
        ) next WHERE xid = open
        UNION ALL
        SELECT WHERE NOT EXISTS (SELECT FROM gateway_trafficcursor)""",  # noqa: S608
    # A report says "out" of a channel or one of its keys.
    "gateway.tasks.note_rests": """
        SELECT FROM gateway_channelreport
        WHERE reported_at > now() - interval '12 seconds'
          AND jsonb_path_exists(channels, '$.**.out ? (@ == true)')
        UNION ALL
        SELECT FROM gateway_channelrest WHERE ended_at IS NULL""",
    "notify.tasks.tell": " UNION ALL ".join(
        (
            _first("outbox_fact", "taken_at IS NULL", "id"),
            _first(
                "notify_delivery",
                "state = 'pending' AND due_at <= statement_timestamp()",
                "due_at",
            ),
        )
    ),
    "usage.tasks.check_whole_books": """
        SELECT FROM billing_bookswalk WHERE name = 'turn' AND rest_until <= now()
        UNION ALL
        SELECT WHERE NOT EXISTS (SELECT FROM billing_bookswalk WHERE name = 'turn')""",
    "usage.tasks.send_reports": """
        SELECT FROM usage_reportschedule WHERE due_at <= now()""",
    "usage.tasks.make_export": """
        SELECT FROM (
            SELECT state, taken_until FROM usage_export WHERE state IN ('queued', 'running')
            ORDER BY id OFFSET 0
        ) unfinished WHERE state = 'queued' OR taken_until <= now()""",
    "gateway.tasks.go_on_with_previews": _first(
        "gateway_pricepreview", "state IN ('queued', 'running')", "id"
    ),
    "gateway.tasks.go_on_with_channel_tests": _first(
        "gateway_channeltestrun", "ended_at IS NULL", "id"
    ),
    "gateway.tasks.check_balances": """
        SELECT FROM gateway_channel
        WHERE balance_source <> 'none' AND (next_balance_at IS NULL OR next_balance_at <= now())
          AND (enabled OR taken_out IS NOT NULL)""",
    # All that it does is by the rules of channels, which few have.
    "gateway.tasks.test_channels": """
        SELECT FROM gateway_channel
        WHERE jsonb_typeof(testing -> 'every_min') = 'number'
           OR jsonb_typeof(testing -> 'success_percent') = 'number'""",
    "gateway.tasks.check_models": """
        SELECT FROM gateway_channel
        WHERE check_models_every_h IS NOT NULL AND enabled
          AND (next_models_check_at IS NULL OR next_models_check_at <= now())
        UNION ALL
        SELECT FROM gateway_upstreampricelist prices JOIN gateway_channel c ON c.id = channel_id
        WHERE c.enabled AND (next_check_at IS NULL OR next_check_at <= now())""",
    "gateway.tasks.poll_media_tasks": _first(
        "gateway_mediatask", "next_poll_at <= now()", "next_poll_at"
    ),
    "gateway.tasks.drop_expired_state": " UNION ALL ".join(
        (
            *(
                _first(table, "expires_at <= now()", "expires_at")
                for table in (
                    "gateway_keptstate",
                    "gateway_cachedanswer",
                    "gateway_idempotentanswer",
                    "gateway_answerpiece",
                )
            ),
            _first(
                "gateway_mediatask",
                "expires_at <= now() AND NOT (request IS NULL AND result IS NULL)",
                "expires_at",
            ),
        )
    ),
    # The job itself checks whether the processes are alive.
    "gateway.tasks.resolve_expired_holds": _first("billing_hold", "state = 'open'", "expires_at"),
    "playground.tasks.interrupt_lost_runs": " UNION ALL ".join(
        _first(table, "ended_at IS NULL", "heartbeat_at")
        for table in ("playground_run", "playground_mediarun")
    ),
    "billing.tasks.end_expired_promo": _first(
        "billing_promogrant",
        "amount_nano > consumed_nano + expired_nano AND expires_at <= now()",
        "expires_at",
    ),
    "billing.tasks.count_promo": _first(
        "billing_promogrant", "amount_nano > consumed_nano + expired_nano", "expires_at"
    ),
    # Days of all zones begin within one day of that of UTC.
    "billing.tasks.renew_subscriptions": _first(
        "billing_subscription",
        "NOT state = 'ended'"
        " AND month < date_trunc('month', now() AT TIME ZONE 'UTC' + interval '1 day')",
        "month",
    ),
    "billing.tasks.settle_invoices": "SELECT FROM billing_invoicedue",
    "billing.tasks.watch_budgets": """
        SELECT FROM billing_budget WHERE removed_at IS NULL""",
    "billing.tasks.repay_debts": """
        SELECT FROM billing_account WHERE kind = 'customer:debt' AND balance_nano < 0""",
    "billing.tasks.watch_balances": """
        SELECT FROM billing_walletsetting WHERE low_nano IS NOT NULL OR auto_enabled
        UNION ALL
        SELECT FROM billing_topup WHERE automatic AND state = 'ordered'""",
    "playground.tasks.erase_people": _first("accounts_erasure", "done_at IS NULL", "id"),
    "playground.tasks.drop_temporary_chats": _first(
        "playground_conversation", "ends_at <= now()", "ends_at"
    ),
}
JOBS_THAT_WAIT: Final = frozenset(_WORK)
# What these do besides, no check asks for: sums of hours that end, old cursors, truths that came
# late, and dead processes.
ASKED_IN_PART: Final = frozenset({
    "usage.tasks.roll_up", "gateway.tasks.count_traffic", "gateway.tasks.resolve_expired_holds",
})  # fmt: skip
ASKED_IN_FULL: Final = JOBS_THAT_WAIT - ASKED_IN_PART
_ASK: Final = "SELECT ARRAY[{}]".format(
    ", ".join(f"CASE WHEN EXISTS ({work}) THEN '{task}' END" for task, work in _WORK.items())
)
