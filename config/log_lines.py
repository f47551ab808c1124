"""What the log says of a request that ended without a fault of ours."""

import logging


def shorten_refusal(record: logging.LogRecord) -> bool:
    """Leave the traceback out of what is told of an answer below 500: a refusal is no error, and
    whoever may not do something could fill the log with it. Every record passes."""
    if getattr(record, "status_code", 500) < 500:
        record.exc_info = record.exc_text = None
    return True
