"""The record sink as a sink of the content log."""

from typing import Final

from django.utils.translation import gettext_lazy

from content.sinks.sinks import ContentSink
from extensions.record_sink.contents import backlog, count_expired, is_used

SINK: Final = ContentSink(
    name="content_sink",
    title=gettext_lazy("Record sink: content log"),
    is_used=is_used,
    backlog=backlog,
    count_expired=count_expired,
)
