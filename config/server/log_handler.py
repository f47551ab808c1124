"""The log handler of a process, which never makes a caller wait (P34). Warnings and uncaught
exceptions, which Python writes to stderr in another form, go through it too."""

import logging
import sys
import threading
from types import TracebackType
from typing import Any, Final

from lib.process.line_writer import LineWriter

_STDERR: Final = 2
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
