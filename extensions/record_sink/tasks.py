"""The background jobs of the record sink. Each may run twice, late, or in several processes at
once."""

from celery import shared_task

from extensions.record_sink import contents, sending


@shared_task  # type: ignore[untyped-decorator]
def send_records() -> int:
    return sending.send()


@shared_task  # type: ignore[untyped-decorator]
def send_contents() -> int:
    return contents.send()
