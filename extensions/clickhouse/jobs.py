"""The job exists only if the installation uses ClickHouse."""

from typing import Any, Final

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from config.jobs.schedule import Job

_SEND: Final = Job(
    "extensions.clickhouse.tasks.send_to_clickhouse", 2, 120, _("Send usage to ClickHouse")
)
# mypy knows only the settings of config/settings.py.
_SETTINGS: Final[Any] = settings
# Read where models cannot be imported yet.
JOBS: Final = [_SEND] if _SETTINGS.CLICKHOUSE_URL else []
