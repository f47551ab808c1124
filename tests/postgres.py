"""A throw-away Postgres for the whole test run, started before Django's settings are read.

With DATABASE_URL set (a server that is already there), that one is used. The workers of a parallel
run inherit the variables set here, so that there is one server and one migrated database.
"""

import atexit
import contextlib
import os
import secrets
import sys
import tempfile
from pathlib import Path

from tests import databases

# A run starts dozens of Python processes, and compiling everything is much of what each costs.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ.setdefault(
    "SECRET_KEY", "a-secret-key-for-tests-that-is-long-enough-to-be-taken-as-real"
)
os.environ.setdefault("WEIR_KEK", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
os.environ.setdefault("WEIR_KEY_PEPPER", "a-pepper-for-tests")

if "DATABASE_URL" not in os.environ:
    from stack import postgres

    _until_exit = contextlib.ExitStack()
    atexit.register(_until_exit.close)
    _directory = _until_exit.enter_context(tempfile.TemporaryDirectory(prefix="weir-test-"))
    os.environ["DATABASE_URL"] = _until_exit.enter_context(
        postgres.server(Path(_directory) / "postgres")
    )

if databases.TEMPLATE not in os.environ:
    os.environ[databases.TEMPLATE] = f"weir_template_{secrets.token_hex(4)}"
    atexit.register(databases.drop_database, os.environ[databases.TEMPLATE])
