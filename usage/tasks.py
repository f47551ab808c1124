"""Periodic jobs of usage. Each may run twice, late, or in several processes concurrently."""

from celery import shared_task

from usage.books import check as books_check
from usage.books import full_walk
from usage.exports import exports
from usage.months import close as month_close
from usage.records import partitions
from usage.requests import client_addresses
from usage.rollups import rollups
from usage.saved_views import scheduled_reports


@shared_task  # type: ignore[untyped-decorator]
def roll_up() -> None:
    rollups.roll_up(rest=True)


@shared_task  # type: ignore[untyped-decorator]
def make_partitions() -> None:
    partitions.ensure_partitions()


@shared_task  # type: ignore[untyped-decorator]
def check_books() -> None:
    books_check.check_when_due()


@shared_task  # type: ignore[untyped-decorator]
def check_whole_books() -> None:
    full_walk.check_whole()


@shared_task  # type: ignore[untyped-decorator]
def draft_invoices() -> int:
    return month_close.draft_invoices()


@shared_task  # type: ignore[untyped-decorator]
def drop_old_addresses() -> int:
    return client_addresses.drop_old()


@shared_task  # type: ignore[untyped-decorator]
def make_export() -> bool:
    return exports.make_next()


@shared_task  # type: ignore[untyped-decorator]
def drop_old_exports() -> int:
    return exports.drop_old()


@shared_task  # type: ignore[untyped-decorator]
def send_reports() -> int:
    return scheduled_reports.send_due()
