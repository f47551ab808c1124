"""Periodic jobs of the whole installation. Each may run twice, late, or in several processes at
once."""

from celery import shared_task

from config.system import scheduled_backups


@shared_task  # type: ignore[untyped-decorator]
def back_up() -> None:
    scheduled_backups.back_up_when_due()
