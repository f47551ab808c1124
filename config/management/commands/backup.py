"""Back the installation up into one file, while it runs."""

import logging
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.system.backups import BackupError, Written, back_up, back_up_to
from config.system.scheduled_backups import file_name
from lib import clock

log = logging.getLogger(__name__)

_STANDARD_OUTPUT = "standard output"


class Command(BaseCommand):
    help = (
        "Back up the database, with the files in it, into one file. The secrets of the "
        "installation are not in it: keep WEIR_KEK, WEIR_KEY_PEPPER and SECRET_KEY elsewhere; "
        "without them the backup is of no use."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "target", help="a new file, a folder in which one is made, or - for standard output"
        )

    def handle(self, *args: Any, target: str, **options: Any) -> None:
        try:
            if target == "-":
                self._say(back_up_to(sys.stdout.buffer), _STANDARD_OUTPUT)
            else:
                file = _file_of(Path(target))
                self._say(back_up(file), str(file))
        except BackupError as error:
            raise CommandError(str(error)) from error

    def _say(self, written: Written, place: str) -> None:
        of = clock.rfc3339(written.manifest.made_at)
        text = f"{place}: {written.bytes} bytes, as of {of}"
        # Standard output may be the backup itself, and what is written to standard error is an
        # error in a log of JSON lines.
        if place == _STANDARD_OUTPUT or settings.LOG_FORMAT == "json":
            log.info(text)
        else:
            self.stdout.write(text)


def _file_of(target: Path) -> Path:
    return target / file_name(clock.now()) if target.is_dir() else target
