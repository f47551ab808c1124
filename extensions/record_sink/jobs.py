"""The jobs exist only if the installation has a record sink."""

from typing import Any, Final

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from config.jobs.schedule import Job

# Seldom, so that an object store has few small objects.
_SEND: Final = Job(
    "extensions.record_sink.tasks.send_records", 30, 300, _("Send usage to the record sink")
)
_SEND_CONTENTS: Final = Job(
    "extensions.record_sink.tasks.send_contents", 30, 300, _("Send texts to the record sink")
)
# mypy knows only the settings of config/settings.py.
_SETTINGS: Final[Any] = settings
# Read where models cannot be imported yet.
JOBS: Final = [
    *([_SEND] if _SETTINGS.RECORD_SINK_URL else ()),
    *([_SEND_CONTENTS] if _SETTINGS.RECORD_SINK_CONTENT else ()),
]
