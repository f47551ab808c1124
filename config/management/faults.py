"""The faults of an installation that a command can meet: each ends it with a sentence and an exit
code, not with a traceback."""

import errno
import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from django.conf import settings
from django.core.management import CommandError
from django.db import DatabaseError, OperationalError
from psycopg import errors
from psycopg_pool import PoolTimeout

from lib.env import ConfigurationError
from lib.vault import VaultError

# A statement names a table or a column that only another version has.
_OTHER_TABLES = (errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction)
_CONNECT_S = 2


@contextmanager
def faults_as_sentences() -> Iterator[None]:
    """End the process with a sentence and exit code 1 if the block raises a fault of the
    installation. Other errors are bugs, and pass."""
    # Its attempts are not logged one by one: the sentence says why they failed.
    pool = logging.getLogger("psycopg.pool")
    level = pool.level
    pool.setLevel(logging.ERROR)
    try:
        yield
        sys.stdout.flush()
    except (CommandError, ConfigurationError, VaultError, DatabaseError, OSError) as error:
        text = fault_text(error)
        if text is None:
            raise
        _drop_output()
        sys.exit(text)
    finally:
        pool.setLevel(level)


def _drop_output() -> None:
    """Drop what cannot be written, which Python would try again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(io.UnsupportedOperation):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fault_text(error: Exception) -> str | None:
    """Return what is wrong and what to do, or None if the error is no fault of the installation."""
    if isinstance(error, DatabaseError):
        return _database_text(error)
    if isinstance(error, OSError):
        return _file_text(error)
    return str(error)


def _database_text(error: DatabaseError) -> str | None:
    cause = error.__cause__
    if isinstance(cause, PoolTimeout):
        error = _connection_error() or error
    message = " ".join(str(error).split()).rstrip(".")
    if isinstance(cause, _OTHER_TABLES):
        first = message.partition(" LINE 1:")[0]
        return f"The database is not of this version: {first}. Run the command migrate first."
    if isinstance(cause, errors.InsufficientPrivilege):
        return f"The login of DATABASE_URL may not do this: {message}. Grant it the right."
    if isinstance(cause, errors.DiskFull):
        return f"The database has no room left: {message}. Make room on its disk."
    if not isinstance(error, OperationalError):
        return None
    return (
        f"The database cannot be used: {message}. "
        "Check that it is running and that DATABASE_URL is right."
    )


def _connection_error() -> OperationalError | None:
    """Return why no connection can be made: the pool does not say it."""
    try:
        psycopg.connect(settings.DATABASE_URL or "", connect_timeout=_CONNECT_S).close()
    except psycopg.OperationalError as error:
        return OperationalError(str(error))
    return None


def _file_text(error: OSError) -> str:
    if isinstance(error, BrokenPipeError):
        return "The program that read the output has ended."
    subject = error.filename if isinstance(error.filename, str) else "A file or connection"
    advice = {
        errno.ENOSPC: " Make room on its disk.",
        errno.EACCES: " Run the command as a user who may.",
        errno.EPERM: " Run the command as a user who may.",
    }.get(error.errno or 0, "")
    return f"{subject} cannot be used: {error.strerror or error}.{advice}"
