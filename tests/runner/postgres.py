"""A throw-away Postgres for the whole test run, started before Django's settings are read.

With DATABASE_URL set (a server that is already there), that one is used. What the
run starts inherits the variables set here, so that there is one server and one migrated database.
"""

import atexit
import contextlib
import fcntl
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.runner import databases

# Where Linux keeps files in memory: a database is a thousand of them, and making these on a disk
# takes ten times as long.
_MEMORY: Final = Path("/dev/shm")
_MEMORY_MIN: Final = 2 * 2**30
_PREFIX: Final = "weir-test-"


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    """A folder for the length of the block, in memory where there is enough of it."""
    memory = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _MEMORY_MIN
    parent = _MEMORY if memory else Path(tempfile.gettempdir())
    with contextlib.ExitStack() as until_done:
        # Whoever makes a folder has it locked before another run looks for what was left.
        with _locked(parent):
            if memory:
                _remove_what_is_left(parent)
            created = until_done.enter_context(
                tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent)
            )
            until_done.enter_context(_locked(Path(created)))
        yield Path(created)


@contextlib.contextmanager
def _locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """BlockingIOError if not `wait` and somebody holds it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


def _remove_what_is_left(parent: Path) -> None:
    """Folders of runs that were killed: their memory would be gone for good."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), _locked(folder, wait=False):
            shutil.rmtree(folder, ignore_errors=True)


# A run starts dozens of Python processes, and compiling everything is much of what each costs.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# What this machine trusts is no setting of an installation.
os.environ.pop("SSL_CERT_FILE", None)
os.environ.setdefault(
    "SECRET_KEY", "a-secret-key-for-tests-that-is-long-enough-to-be-taken-as-real"
)
os.environ.setdefault("WEIR_KEK", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
os.environ.setdefault("WEIR_KEY_PEPPER", "a-pepper-for-tests")

if "DATABASE_URL" not in os.environ:
    from stack.database import postgres

    _until_exit = contextlib.ExitStack()
    atexit.register(_until_exit.close)
    _server = postgres.server(_until_exit.enter_context(_directory()) / "postgres")
    os.environ["DATABASE_URL"] = _until_exit.enter_context(_server)

if databases.TEMPLATE not in os.environ:
    os.environ[databases.TEMPLATE] = f"weir_template_{secrets.token_hex(4)}"
    atexit.register(databases.drop_database, os.environ[databases.TEMPLATE])
