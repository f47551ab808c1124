"""Bring the database to what this image expects; every process waits until this has ended well.

    python -m deploy.prepare DIRECTORY

Applies migrations, loads the shipped price list into a fresh installation, and then makes the
installation equal to every *.yaml in DIRECTORY, in the order of their names. Every step may run
again.
"""

import os
import sys
from pathlib import Path

import django
from django.core.management import call_command


def prepare(directory: Path) -> None:
    call_command("migrate", interactive=False)
    call_command("load_catalogue")
    for file in sorted(directory.glob("*.yaml")):
        call_command("apply", str(file))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    prepare(Path(sys.argv[1]))
