"""Periodic work: runs whose process is gone, and events that nobody needs any more."""

from celery import shared_task

from lib import clock
from playground import events, runs


@shared_task  # type: ignore[untyped-decorator]
def interrupt_lost_runs() -> None:
    runs.interrupt_lost_runs()


@shared_task  # type: ignore[untyped-decorator]
def drop_expired_events() -> None:
    events.drop_expired(clock.now())
