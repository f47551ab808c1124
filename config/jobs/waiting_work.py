"""Checks, by task, whether work is waiting for a background job. A job with a check starts only if
there is work, and every half minute regardless, so that no work depends on its check alone. Jobs
without a check start at their time."""

from collections.abc import Mapping
from typing import Final

from lib.database import prepared

LOOK_PAST_S: Final = 30.0
"""The most seconds without a start of a job for which no work was found."""


def waiting_jobs() -> frozenset[str]:
    """Return the tasks with waiting work. Takes one statement."""
    (tasks,) = prepared.first_row(_ASK)
    return frozenset(task for task in tasks if task)


def has_waiting_work(task: str) -> bool:
    """Return whether work is waiting for a task."""
    (is_waiting,) = prepared.first_row(f"SELECT EXISTS ({_WORK[task]})")
    return bool(is_waiting)


# Tables that grow with every request are read only by indexes of waiting rows.
_WORK: Final[Mapping[str, str]] = {
    "usage.tasks.roll_up": """
        SELECT FROM usage_usagerecord
        WHERE xid >= (SELECT xid::text::xid8 FROM usage_rollupwatermark)
        UNION ALL
        SELECT WHERE NOT EXISTS (SELECT FROM usage_rollupwatermark)""",
    "gateway.tasks.count_traffic": """
        SELECT FROM usage_usagerecord
        WHERE xid >= (SELECT pg_snapshot_xmin(snapshot::pg_snapshot) FROM gateway_trafficcursor)
          AND NOT pg_visible_in_snapshot(
              xid, (SELECT snapshot::pg_snapshot FROM gateway_trafficcursor))
        UNION ALL
        SELECT WHERE NOT EXISTS (SELECT FROM gateway_trafficcursor)""",
    # A report says "out" of a channel or one of its keys.
    "gateway.tasks.note_rests": """
        SELECT FROM gateway_channelreport
        WHERE reported_at > now() - interval '12 seconds'
          AND jsonb_path_exists(channels, '$.**.out ? (@ == true)')
        UNION ALL
        SELECT FROM gateway_channelrest WHERE ended_at IS NULL""",
    "notify.tasks.tell": """
        SELECT FROM outbox_fact WHERE taken_at IS NULL
        UNION ALL
        SELECT FROM notify_delivery WHERE state = 'pending' AND due_at <= statement_timestamp()""",
    "usage.tasks.check_whole_books": """
        SELECT FROM billing_bookswalk WHERE name = 'turn' AND rest_until <= now()
        UNION ALL
        SELECT WHERE NOT EXISTS (SELECT FROM billing_bookswalk WHERE name = 'turn')""",
    "usage.tasks.send_reports": """
        SELECT FROM usage_reportschedule WHERE due_at <= now()""",
    "usage.tasks.make_export": """
        SELECT FROM usage_export
        WHERE state = 'queued' OR (state = 'running' AND taken_until <= now())""",
    "gateway.tasks.go_on_with_previews": """
        SELECT FROM gateway_pricepreview WHERE state IN ('queued', 'running')""",
    "gateway.tasks.go_on_with_channel_tests": """
        SELECT FROM gateway_channeltestrun WHERE ended_at IS NULL""",
    "gateway.tasks.check_balances": """
        SELECT FROM gateway_channel
        WHERE balance_source <> 'none' AND (next_balance_at IS NULL OR next_balance_at <= now())
          AND (enabled OR taken_out IS NOT NULL)""",
    "gateway.tasks.poll_media_tasks": """
        SELECT FROM gateway_mediatask WHERE next_poll_at <= now()""",
    # The job itself checks whether the processes are alive.
    "gateway.tasks.resolve_expired_holds": """
        SELECT FROM billing_hold WHERE state = 'open'""",
    "playground.tasks.interrupt_lost_runs": """
        SELECT FROM playground_run WHERE ended_at IS NULL
        UNION ALL
        SELECT FROM playground_mediarun WHERE ended_at IS NULL""",
    "billing.tasks.end_expired_promo": """
        SELECT FROM billing_promogrant
        WHERE amount_nano > consumed_nano + expired_nano AND expires_at <= now()""",
    "billing.tasks.watch_budgets": """
        SELECT FROM billing_budget WHERE removed_at IS NULL""",
    "billing.tasks.repay_debts": """
        SELECT FROM billing_account WHERE kind = 'customer:debt' AND balance_nano < 0""",
    "billing.tasks.watch_balances": """
        SELECT FROM billing_walletsetting WHERE low_nano IS NOT NULL OR auto_enabled
        UNION ALL
        SELECT FROM billing_topup WHERE automatic AND state = 'ordered'""",
    "playground.tasks.erase_people": """
        SELECT FROM accounts_erasure WHERE done_at IS NULL""",
    "playground.tasks.drop_temporary_chats": """
        SELECT FROM playground_conversation WHERE ends_at <= now()""",
}
JOBS_THAT_WAIT: Final = frozenset(_WORK)
_ASK: Final = "SELECT ARRAY[{}]".format(
    ", ".join(f"CASE WHEN EXISTS ({work}) THEN '{task}' END" for task, work in _WORK.items())
)
