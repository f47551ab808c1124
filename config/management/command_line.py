"""Run the commands of `manage.py`. A fault of the installation is reported in one line;
`--traceback` shows its origin."""

from collections.abc import Sequence
from contextlib import nullcontext

from django.core.management import execute_from_command_line

from accounts.audit.origin import ORIGIN, Origin
from config.management.faults import faults_as_sentences


def run(argv: Sequence[str]) -> None:
    """Run a command. A fault of the installation ends the process with an error."""
    token = ORIGIN.set(lambda: Origin(client=" ".join(["manage.py", *argv[1:2]])))
    try:
        with nullcontext() if "--traceback" in argv else faults_as_sentences():
            execute_from_command_line(list(argv))
    finally:
        ORIGIN.reset(token)
