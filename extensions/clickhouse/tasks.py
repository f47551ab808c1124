"""The background job of ClickHouse. It may run twice, late, or in several processes at once."""

from celery import shared_task

from extensions.clickhouse import sending


@shared_task  # type: ignore[untyped-decorator]
def send_to_clickhouse() -> int:
    return sending.send()
