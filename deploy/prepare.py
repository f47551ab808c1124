"""Bring the database to what this image expects; every process waits until this has ended well.

    python -m deploy.prepare DIRECTORY

Applies migrations, compares the secrets with those of before, loads the shipped price list into a
fresh installation, and then makes the installation equal to every *.yaml in DIRECTORY, in the order
of their names. Every step may run again.
"""

import contextlib
import logging
import os
import sys
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command

# The log is JSON from here on.
from config.management.faults import faults_as_sentences
from config.server.early_log import JsonStream
from lib.database.writer import check_writer


def prepare(directory: Path) -> None:
    # Models can be imported only now that Django stands.
    from config.system.secret_check import check_secrets

    check_writer()
    call_command("migrate", interactive=False)
    check_secrets()
    call_command("load_catalogue")
    for file in sorted(directory.glob("*.yaml")):
        call_command("apply", str(file))


def main(directory: Path) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    with contextlib.ExitStack() as until_done:
        until_done.enter_context(faults_as_sentences())
        django.setup()
        if settings.LOG_FORMAT == "json":
            # What commands say is a line of the log too.
            stream = JsonStream(sys.stdout, "prepare", logging.INFO)
            until_done.enter_context(contextlib.redirect_stdout(stream))
        prepare(directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
