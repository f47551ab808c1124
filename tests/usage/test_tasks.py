"""The periodic tasks exist under the names that the schedule calls."""

import pytest

from config.celery import app
from config.jobs.schedule import SCHEDULE
from usage.models import RollupWatermark
from usage.tasks import make_partitions, roll_up


def test_the_schedule_names_them() -> None:
    app.loader.import_default_modules()
    names = {job.task for job in SCHEDULE if job.task.startswith("usage.")}
    assert names == {
        "usage.tasks.roll_up",
        "usage.tasks.make_partitions",
        "usage.tasks.check_books",
        "usage.tasks.check_whole_books",
        "usage.tasks.draft_invoices",
        "usage.tasks.drop_old_addresses",
        "usage.tasks.drop_old_exports",
        "usage.tasks.make_export",
        "usage.tasks.send_reports",
    }
    assert names <= set(app.tasks)


@pytest.mark.django_db(transaction=True)
def test_jobs_run_twice_safely() -> None:
    for _ in range(2):
        roll_up()
        make_partitions()
    assert RollupWatermark.objects.get().complete_to is not None
