"""All background jobs in one table: the task, the interval in seconds, the seconds without success
after which operators are told, and the title. The last time is at least twice the interval, and
long enough for a restart of the worker."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from django.utils.translation import gettext_lazy as _
from django.utils.translation import override

from lib.extensions.installed import extend


class Job(NamedTuple):
    """One background job."""

    task: str
    every_s: int
    late_s: int
    title: Any

    @property
    def source_title(self) -> str:
        """Return the job's title without translation. An email translates it for its reader."""
        with override(None):
            return str(self.title)


# The only job of the web processes: check whether the others run. So a dead worker is noticed.
WATCH: Final = Job("config.job_runs.watch", 10, 60, _("Monitor background jobs"))
SCHEDULE: Final = (
    Job("usage.tasks.roll_up", 2, 90, _("Aggregate usage")),
    Job("usage.tasks.make_partitions", 3600, 7200, _("Create partitions for coming months")),
    # A look; a check takes place each minute, and its queries may take this long.
    Job("usage.tasks.check_books", 30, 240, _("Check the ledger")),
    # Each run checks one part and then rests (usage/books/full_walk.py).
    Job("usage.tasks.check_whole_books", 2, 240, _("Check the whole ledger")),
    Job("usage.tasks.draft_invoices", 3600, 7200, _("Draft invoices")),
    Job("usage.tasks.drop_old_addresses", 3600, 7200, _("Delete old client IP addresses")),
    # A run takes as long as its export: some minutes for millions of rows.
    Job("usage.tasks.make_export", 2, 900, _("Make exports")),
    Job("usage.tasks.send_reports", 15, 120, _("Send scheduled reports")),
    Job("usage.tasks.drop_old_exports", 3600, 7200, _("Delete old exports")),
    Job("billing.tasks.seal_books", 60, 120, _("Seal the ledger")),
    Job("billing.tasks.check_trail", 3600, 7200, _("Verify the audit log")),
    Job("billing.tasks.cut_trail", 3600, 7200, _("Delete old audit events")),
    Job("billing.tasks.end_expired_promo", 5, 90, _("Expire promotional credit")),
    Job("billing.tasks.count_promo", 60, 120, _("Calculate promotional credit")),
    Job("billing.tasks.renew_subscriptions", 60, 120, _("Renew subscriptions")),
    Job("billing.tasks.watch_balances", 10, 90, _("Monitor balances")),
    Job("billing.tasks.watch_budgets", 5, 90, _("Monitor budgets")),
    Job("billing.tasks.settle_invoices", 60, 120, _("Settle invoices")),
    Job("billing.tasks.repay_debts", 5, 90, _("Repay debts")),
    Job("billing.tasks.close_statement_days", 900, 1800, _("Close daily statements")),
    Job("billing.tasks.drop_old", 600, 1200, _("Delete old redemption attempts")),
    Job("content.tasks.drop_expired", 300, 7200, _("Delete expired texts")),
    Job("notify.tasks.tell", 2, 90, _("Send webhooks and emails")),
    Job("notify.tasks.drop_old", 3600, 7200, _("Delete old events")),
    Job("gateway.tasks.resolve_expired_holds", 5, 90, _("Resolve expired holds")),
    Job("gateway.tasks.drop_expired_state", 60, 120, _("Delete expired content")),
    Job("gateway.tasks.poll_media_tasks", 2, 180, _("Poll media tasks")),
    Job("gateway.tasks.count_traffic", 2, 90, _("Count traffic")),
    Job("gateway.tasks.note_rests", 2, 90, _("Record when channels rest")),
    Job("gateway.tasks.drop_old_traffic", 3600, 7200, _("Delete old traffic figures")),
    Job("gateway.tasks.go_on_with_previews", 2, 90, _("Compute price previews")),
    Job("gateway.tasks.test_channels", 15, 180, _("Test channels")),
    Job("gateway.tasks.go_on_with_channel_tests", 2, 180, _("Test all channels")),
    Job("gateway.tasks.check_models", 60, 240, _("Check providers for new models and prices")),
    # A single channel may take two minutes.
    Job("gateway.tasks.check_balances", 20, 240, _("Ask providers for balances")),
    # After a failed backup this job fails until a backup succeeds.
    Job("config.tasks.back_up", 300, 600, _("Make backups")),
    Job("playground.tasks.interrupt_lost_runs", 3, 90, _("End interrupted answers")),
    Job("playground.tasks.drop_deleted_chats", 3600, 7200, _("Purge deleted chats")),
    Job("playground.tasks.drop_unsent_files", 3600, 7200, _("Delete files that were never sent")),
    Job("playground.tasks.drop_temporary_chats", 15, 90, _("Delete temporary chats")),
    Job("playground.tasks.erase_people", 5, 300, _("Erase people")),
    Job("playground.tasks.drop_expired_events", 60, 120, _("Delete old answer events")),
)
JOBS: Final = {job.task: job for job in (WATCH, *SCHEDULE)}
extend(JOBS, "jobs", Job, lambda added: {job.task: job for job in added})
# Backups, also those by `manage.py backup`.
BACKUP_TASK: Final = "config.backups.back_up"


def backup_job(every_hours: int) -> Job:
    """Return the backup job for an interval in hours. It counts as late after one and a half
    intervals, because a backup takes a while."""
    return Job(BACKUP_TASK, every_hours * 3600, every_hours * 3600 * 3 // 2, _("Back up"))


def beat_schedule() -> dict[str, Any]:
    """Return the schedule in the form of Celery's beat."""
    schedule = _entries(SCHEDULE)
    extend(schedule, "jobs", dict, _entries)
    return schedule


def _entries(jobs: Iterable[Job]) -> dict[str, dict[str, Any]]:
    # A run that was not fetched before the next one is due expires, because the next one does its
    # work.
    return {
        job.task: {
            "task": job.task,
            "schedule": job.every_s,
            "options": {"expires": job.every_s},
        }
        for job in jobs
    }
