"""The record sink as a sink of usage."""

from typing import Final

from django.utils.translation import gettext_lazy

from extensions.record_sink.sending import backlog, forget_person, is_used, was_used
from usage.sinks.usage_sink import UsageSink

SINK: Final = UsageSink(
    name="record_sink",
    title=gettext_lazy("Record sink"),
    is_used=is_used,
    was_used=was_used,
    backlog=backlog,
    forget_person=forget_person,
)
