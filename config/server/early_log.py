"""JSON logging before the settings are read. Early errors, and writes to stderr that bypass the
log, become one JSON object per line too."""

import atexit
import io
import logging
import sys
from typing import Final, TextIO

from config.server.log_handler import JsonLine, log_uncaught

_LINE: Final = JsonLine()


class JsonStream(io.TextIOBase):
    """Replaces stderr or stdout, to which argparse, Celery and Python write text."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, stream: TextIO, name: str, level: int) -> None:
        self._stream, self._name, self._level = stream, name, level
        self._rest = ""

    def write(self, text: str) -> int:
        whole, _, self._rest = (self._rest + text).rpartition("\n")
        self._write_line(whole)
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def write_rest(self) -> None:
        """Write the text after the last line end."""
        rest, self._rest = self._rest, ""
        self._write_line(rest)
        self.flush()

    def _write_line(self, text: str) -> None:
        if text.strip():
            record = logging.LogRecord(
                self._name, self._level, "", 0, msg=text.strip(), args=None, exc_info=None
            )
            self._stream.write(_LINE.format(record) + "\n")


def write_json_from_the_start() -> None:
    """Log as JSON until the settings configure the log, and convert writes to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LINE)
    logging.getLogger().addHandler(handler)
    log_uncaught()
    stream = JsonStream(sys.stderr, "stderr", logging.ERROR)
    sys.stderr = stream
    atexit.register(stream.write_rest)
