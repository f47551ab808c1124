"""Log lines, and the handler of a process that writes them, which never makes a caller wait (P34).
Warnings and uncaught exceptions, which Python writes to stderr in another form, go through it too.

A line is text for a terminal, or a JSON object for a collector. It has the id of its request, as
the client received it, and never contains a key.
"""

import datetime as dt
import json
import logging
import math
import re
import sys
import threading
import time
from types import TracebackType
from typing import Any, Final

import psycopg

from dialects.errors.masking import mask_upstream
from lib.process.line_writer import LineWriter
from lib.process.log_context import current_request_id

_STDERR: Final = 2
_POOL: Final = "psycopg.pool"
_AWAY_EVERY_S: Final = 60.0
# Connection exceptions, and a server that stops or starts (PostgreSQL, appendix A).
_AWAY_STATES: Final = ("08", "57P")
_log = logging.getLogger(__name__)


class LogHandler(logging.Handler):
    """Passes each line to the process's single writer."""

    def __init__(self) -> None:
        super().__init__()
        self.writer = LineWriter(_STDERR, self._compose_notice)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:
            # logging itself would write a traceback to stderr and wait for the reader.
            place = f"{record.pathname}:{record.lineno}"
            line = self._compose(logging.ERROR, f"cannot format {record.msg!r} of {place}")
        self.writer.put(line)

    def close(self) -> None:
        self.writer.close()
        super().close()

    def _compose(self, level: int, message: str) -> str:
        record = logging.LogRecord(__name__, level, "", 0, msg=message, args=None, exc_info=None)
        return self.format(record)

    def _compose_notice(self, dropped: int) -> str:
        message = f"{dropped} log lines were dropped: the log was not read in time"
        return self._compose(logging.WARNING, message)


def find_log_handler() -> LogHandler | None:
    """Return the handler of this process, or None if the settings did not set up its log."""
    handlers = logging.getLogger().handlers
    return next((one for one in handlers if isinstance(one, LogHandler)), None)


def close_log() -> None:
    """Write all waiting lines, within a limited time, before a signal ends the process."""
    if handler := find_log_handler():
        handler.writer.close()


def log_uncaught() -> None:
    """Log warnings and uncaught exceptions instead of writing them to stderr."""
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread
    sys.unraisablehook = _log_unraisable


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        _log.critical("an exception ended the process", exc_info=(kind, error, traceback))


def _log_uncaught_in_thread(arguments: Any) -> None:
    if arguments.exc_type is not SystemExit:
        _log.error(
            "an exception ended the thread %s",
            arguments.thread.name if arguments.thread else "?",
            exc_info=(arguments.exc_type, arguments.exc_value, arguments.exc_traceback),
        )


def _log_unraisable(arguments: Any) -> None:
    _log.error(
        "%s %r",
        arguments.err_msg or "Exception ignored in",
        arguments.object,
        exc_info=(arguments.exc_type, arguments.exc_value, arguments.exc_traceback),
    )


_PASSWORD_IN_URL = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")


def shorten_refusal(record: logging.LogRecord) -> bool:
    """Drop the traceback of responses below 500, because a refusal is not an error and anybody
    could fill the log with it; and of a 503, because every request gets one while the database is
    away. Always returns True."""
    status = getattr(record, "status_code", 500)
    if status < 500 or status == 503:
        record.exc_info = record.exc_text = None
    return True


class OnceAMinute(logging.Filter):
    """Let one line a minute tell that the database cannot be reached, without its traceback: while
    it is away, everything that asks it fails again and again."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._next_s = -math.inf
        self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        error = _unreachable_by(record)
        if not error:
            return True
        now_s = time.monotonic()
        with self._lock:
            if now_s < self._next_s:
                self._left_out += 1
                return False
            self._next_s = now_s + _AWAY_EVERY_S
            left_out, self._left_out = self._left_out, 0
        before = f" ({left_out} more such lines since the last one)" if left_out else ""
        record.msg, record.args = "the database cannot be reached: %s%s", (error, before)
        record.exc_info = record.exc_text = None
        return True


def _unreachable_by(record: logging.LogRecord) -> str:
    """Return the error by which the record tells that the database cannot be reached, "" if it
    tells something else."""
    if record.name == _POOL:
        message = record.getMessage()
        return message.partition("\n")[0] if message.startswith("error connecting") else ""
    arguments = record.args if isinstance(record.args, tuple) else ()
    errors = [one for one in arguments if isinstance(one, BaseException)]
    if record.exc_info and record.exc_info[1] is not None:
        errors.append(record.exc_info[1])
    for error in errors:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
                # Everything else was refused by a database that is there.
                away = cause.sqlstate is None or cause.sqlstate.startswith(_AWAY_STATES)
                return str(cause).partition("\n")[0] if away else ""
            cause = cause.__cause__ or cause.__context__
    return ""


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
