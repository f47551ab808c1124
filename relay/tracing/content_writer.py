"""The process that writes the content log of a web process whose spans have content.

python -m relay.tracing.content_writer
"""

import logging

from content.log.kept import Kept
from relay.content_log.entry import SpanContent
from relay.content_log.writer_process import main
from relay.tracing.span_content import span_content

log = logging.getLogger(__name__)


def _describe(kept: Kept, dialect: str, model: str) -> SpanContent:
    try:
        return span_content(kept, dialect, model)
    except Exception as error:
        # No text may stop the content log. The error's message may contain the text.
        log.warning("a span is sent without its content: %s", type(error).__name__)
        return {}


if __name__ == "__main__":
    main(_describe)
