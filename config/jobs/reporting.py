"""Each worker reports itself while it runs (config/system/processes.py), whether or not its threads
are free."""

from typing import Any

from celery import Celery, bootsteps


def offer_reporting(app: Celery) -> None:
    """Let the workers of this app report themselves."""
    app.steps["worker"].add(ReportingStep)


class ReportingStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Starts and stops the reports with the worker."""

    requires = ("celery.worker.components:Pool",)

    def create(self, parent: Any) -> Any:
        # Models can be imported only after Django's setup.
        from config.system.processes import Reporting

        return Reporting("worker")
