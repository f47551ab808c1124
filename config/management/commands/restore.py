"""Make the installation of a backup in an empty database, and check it."""

import sys
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.system.backups import BackupError
from config.system.restore import restore
from lib import clock


class Command(BaseCommand):
    help = (
        "Restore a backup into an empty database, with the secrets of the installation that it is "
        "of, while no process of it runs. The exit code is 1 if it cannot be, or if what was "
        "restored does not hold."
    )
    # There are no tables yet to run the checks against.
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            restored = restore(file, lambda step: self.stdout.write(f"{step} …"))
        except BackupError as error:
            raise CommandError(str(error)) from error
        of = clock.rfc3339(restored.manifest.made_at)
        self.stdout.write(
            f"Restored as of {of}: {restored.requests} requests that were in flight are ended, "
            f"{restored.sessions} sign-ins are ended."
        )
        call_command("verify", tamper_check=True, stdout=self.stdout)
        sys.stdout.flush()
