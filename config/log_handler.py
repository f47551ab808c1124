"""The log of one process: a handler that no caller waits for, and what else must go through it.

Warnings, exceptions that nobody caught, and Celery's words to a terminal would be written to stderr
past the log: in another form, and by whoever waits until they are read.
"""

import logging
import sys
import threading
from types import TracebackType
from typing import Any, Final

from lib.line_writer import FLUSH_S, LineWriter

_STDERR: Final = 2
_log = logging.getLogger(__name__)


class LogHandler(logging.Handler):
    """Hands each line to the one writer of the process; never waits for it."""

    def emit(self, record: logging.LogRecord) -> None:
        global _formatter
        if self.formatter is not None:
            _formatter = self.formatter
        try:
            self.write(self.format(record))
        except Exception:
            # A record whose arguments do not fit its message is a line as well: logging's own
            # answer is a traceback on stderr, which its caller would wait for.
            self.write(self.format(_broken(record)))

    def write(self, line: str) -> None:
        WRITER.put(line)

    def flush(self) -> None:
        """Called by `logging.shutdown` at the end of the process."""
        WRITER.close()


def close_log(seconds: float = FLUSH_S) -> None:
    """Write what waits, for so long at most; from now on each further line is waited for, too."""
    WRITER.close(seconds)


def log_uncaught() -> None:
    """Log warnings, and exceptions that nobody caught, in place of writing them to stderr."""
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


_formatter: logging.Formatter = logging.Formatter()


def _line(level: int, message: str) -> str:
    return _formatter.format(logging.LogRecord(__name__, level, "", 0, message, None, None))


def _dropped(lines: int) -> str:
    return _line(logging.WARNING, f"{lines} log lines were dropped: the log was not read in time")


def _broken(record: logging.LogRecord) -> logging.LogRecord:
    message = f"this line cannot be formatted: {record.msg!r} at {record.pathname}:{record.lineno}"
    return logging.LogRecord(record.name, logging.ERROR, "", 0, message, None, None)


def _uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    _log.critical("the process ends by an exception", exc_info=(kind, error, traceback))


def _uncaught_in_thread(arguments: Any) -> None:
    if arguments.exc_type is SystemExit:
        return
    _log.error(
        "thread %s ended by an exception",
        arguments.thread.name if arguments.thread else "?",
        exc_info=(arguments.exc_type, arguments.exc_value, arguments.exc_traceback),
    )


def _unraisable(arguments: Any) -> None:
    _log.error(
        "%s %r",
        arguments.err_msg or "an exception that nobody could hear of, in",
        arguments.object,
        exc_info=(arguments.exc_type, arguments.exc_value, arguments.exc_traceback),
    )


WRITER: Final = LineWriter(_STDERR, _dropped)
