"""The format of log lines: text for a terminal, or a JSON object per line for a collector.

Each line has the id of its request, as the client received it. No line ever contains a key.
"""

import datetime as dt
import json
import logging
import re

from dialects.errors.errors import mask_upstream
from lib.process.log_context import current_request_id

_PASSWORD_IN_URL = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")


def shorten_refusal(record: logging.LogRecord) -> bool:
    """Drop the traceback of responses below 500, because a refusal is not an error and anybody
    could fill the log with it; and of a 503, because every request gets one while the database is
    away. Always returns True."""
    status = getattr(record, "status_code", 500)
    if status < 500 or status == 503:
        record.exc_info = record.exc_text = None
    return True


def name_request(record: logging.LogRecord) -> bool:
    """Add the request's id to the record, if there is one. Always returns True."""
    if not hasattr(record, "request_id"):
        record.request_id = current_request_id()
    return True


class TextLine(logging.Formatter):
    """`LEVEL logger: message [request id]`, followed by the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        request_id = getattr(record, "request_id", None)
        suffix = f" [{request_id}]" if request_id else ""
        line = f"{record.levelname} {record.name}: {record.getMessage()}{suffix}"
        traceback = self._traceback(record)
        return _mask(f"{line}\n{traceback}" if traceback else line)

    def _traceback(self, record: logging.LogRecord) -> str:
        return self.formatException(record.exc_info) if record.exc_info else ""


class JsonLine(TextLine):
    """One JSON object per line, with escaped control characters: `time` (UTC), `level`, `logger`,
    `message`, and `request_id` and `traceback` if there are any."""

    def format(self, record: logging.LogRecord) -> str:
        time = dt.datetime.fromtimestamp(record.created, dt.UTC)
        line = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": _mask(record.getMessage()),
            "request_id": getattr(record, "request_id", None),
            "traceback": _mask(self._traceback(record)),
        }
        return json.dumps({name: value for name, value in line.items() if value})


def _mask(text: str) -> str:
    return mask_upstream(_PASSWORD_IN_URL.sub("***", text))
