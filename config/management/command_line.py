"""Run the commands of `manage.py`. A fault of the installation is reported in one line;
`--traceback` shows its origin."""

import sys
from collections.abc import Sequence

from django.core.management import execute_from_command_line
from django.db import OperationalError

from accounts.audit.origin import ORIGIN, Origin
from lib.env import ConfigurationError
from lib.vault import VaultError


def run(argv: Sequence[str]) -> None:
    """Run a command. A fault of the installation ends the process with an error."""
    token = ORIGIN.set(lambda: Origin(client=" ".join(["manage.py", *argv[1:2]])))
    try:
        execute_from_command_line(list(argv))
    except (ConfigurationError, VaultError, OperationalError) as error:
        if "--traceback" in argv:
            raise
        sys.exit(_error_text(error))
    finally:
        ORIGIN.reset(token)


def _error_text(error: Exception) -> str:
    if not isinstance(error, OperationalError):
        return str(error)
    message = str(error).strip().rstrip(".")
    return (
        f"The database cannot be used: {message}. "
        "Check that it is running and that DATABASE_URL is right."
    )
