"""The job exists only if the installation uses ClickHouse."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from config.jobs.schedule import Job
from extensions.clickhouse.server import server

_SEND: Final = Job(
    "extensions.clickhouse.tasks.send_to_clickhouse", 2, 120, _("Send usage to ClickHouse")
)
JOBS: Final = [_SEND] if server() else []
