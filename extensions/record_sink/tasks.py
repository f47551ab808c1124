"""The background job of the record sink. It may run twice, late, or in several processes at
once."""

from celery import shared_task

from extensions.record_sink import sending


@shared_task  # type: ignore[untyped-decorator]
def send_records() -> int:
    return sending.send()
