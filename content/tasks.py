"""Periodic jobs of content. Each may run twice, late, or in several processes concurrently."""

from celery import shared_task

from content.log import retention


@shared_task  # type: ignore[untyped-decorator]
def drop_expired() -> int:
    return retention.drop_expired()
