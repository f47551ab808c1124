"""Make the installation equal to a file; `config/apply/file_format.py` has its shape."""

import json
import os
import sys
from argparse import ArgumentParser
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, transaction

from accounts.secrets.key_lookup import digest_of
from config.apply.difference import Difference, compare, serialize_difference, summary
from config.apply.loading import Loaded, Unresolved, load
from config.apply.present import (
    lock_installation,
    organisation_names,
    present_items,
    project_names,
)
from config.apply.wanted import wanted_items
from config.apply.writing import write
from config.apply.yaml_source import FileInvalid, Problem, path_text
from config.system.secret_check import check_secrets
from gateway.channels.channels import secret_digest
from lib.env import ConfigurationError
from lib.vault import VaultError


class Command(BaseCommand):
    help = (
        "Make the installation equal to FILE, in one transaction, and print what changed. "
        "Applied again, the same file changes nothing."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="a YAML file; - reads standard input")
        parser.add_argument(
            "--dry-run", action="store_true", help="print the changes without making them"
        )
        parser.add_argument(
            "--prune",
            action="store_true",
            help="also remove what the file does not name (people, organisations, teams, "
            "projects, service accounts and the built-in price list stay). Without "
            "mail_server, this removes the mail server",
        )
        parser.add_argument("--json", action="store_true", help="print the changes as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        file, dry_run = options["file"], options["dry_run"]
        name = "standard input" if file == "-" else file
        try:
            loaded = load(_read(file), partial(_resolve, Path(file).parent))
            difference = _apply(loaded, prune=options["prune"], dry_run=dry_run)
        except OperationalError as error:
            raise CommandError(f"The database cannot be used: {error}") from error
        except (ConfigurationError, VaultError) as error:
            raise CommandError(str(error)) from error
        except FileInvalid as invalid:
            self._fail(invalid.problems, name, options["json"])
        notes = [loaded.source.problem(note.path, note.message) for note in difference.notes]
        if options["json"]:
            report = {
                "dry_run": dry_run,
                "changes": serialize_difference(difference),
                "notes": [_problem_fields(note, name) for note in notes],
            }
            self.stdout.write(json.dumps(report, indent=2, ensure_ascii=False))
            return
        self.stdout.write(summary(difference))
        for note in notes:
            self.stdout.write(f"note: {note.located(name)}")
        if dry_run and not difference.nothing:
            self.stdout.write("nothing was written (--dry-run)")

    def _fail(self, problems: list[Problem], file: str, as_json: bool) -> None:
        if as_json:
            report = {"errors": [_problem_fields(problem, file) for problem in problems]}
            self.stdout.write(json.dumps(report, indent=2, ensure_ascii=False))
        raise CommandError("\n".join(problem.located(file) for problem in problems))


def _apply(loaded: Loaded, *, prune: bool, dry_run: bool) -> Difference:
    with transaction.atomic():
        lock_installation()
        check_secrets()
        wanted = wanted_items(
            loaded,
            organisations=organisation_names(),
            projects=project_names(),
            key_digest=digest_of,
            channel_key_digest=secret_digest,
        )
        difference = compare(present_items(), wanted, prune=prune)
        if difference.refused:
            source = loaded.source
            raise FileInvalid([source.problem(no.path, no.message) for no in difference.refused])
        # A dry run also writes and then rolls back, so that it reports what the database would
        # refuse.
        write(difference.changes, loaded.source)
        transaction.set_rollback(dry_run)
    return difference


def _read(file: str) -> str:
    try:
        octets = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return octets.decode()
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{file} is not UTF-8 text.") from error


def _resolve(directory: Path, reference: str) -> str:
    """Resolve `env:NAME` or `file:PATH`. Paths are relative to the file that names them."""
    kind, _, name = reference.partition(":")
    if kind == "env":
        value = os.environ.get(name, "")
        if not value:
            raise Unresolved(f"the environment variable {name} is not set")
        return value
    try:
        value = (directory / name).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unresolved(f"the file {name} cannot be read: {error}") from error
    if not value:
        raise Unresolved(f"the file {name} is empty")
    if "\x00" in value:
        raise Unresolved(f"the file {name} contains a zero byte")
    return value


def _problem_fields(problem: Problem, file: str) -> dict[str, object]:
    return {
        "file": file,
        "line": problem.line,
        "path": path_text(problem.path),
        "message": problem.message,
    }
