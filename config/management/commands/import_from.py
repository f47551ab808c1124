"""Bring over what another hub has (docs/coming-from-another-hub.md)."""

import json
import os
import re
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, transaction

from config.management.imports.converted import Converted
from config.management.imports.databases import DatabaseUnreadable, open_database
from config.management.imports.peers import PEERS, Peer, WrongPeer
from config.management.imports.report import Report, as_json, as_text
from config.management.imports.values import ValueUnreadable
from config.management.imports.writing import OtherInstallation, write_converted
from config.management.present import lock_installation
from config.secret_check import check_secrets
from lib.env import ConfigurationError
from lib.vault import VaultError

_ENV = "env:"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")


class Command(BaseCommand):
    help = (
        "Import users, teams, keys with their secrets, channels, prices and balances from the "
        "database of another hub. Without --write nothing is changed: the report says what would "
        "be. Run again, it imports only what is new."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("peer", choices=PEERS, help="the program that the database belongs to")
        parser.add_argument(
            "database",
            metavar="DATABASE",
            help="a SQLite file, a dump (.sql) of MySQL or Postgres, a postgresql:// address, or "
            "env:NAME for an environment variable that holds one of them",
        )
        parser.add_argument(
            "--name",
            help="tells two installations of the same program apart (default: the program's name)",
        )
        parser.add_argument(
            "--salt-key",
            metavar="env:NAME",
            help="the environment variable with LiteLLM's LITELLM_SALT_KEY (its master key where "
            "it has none), which opens the settings of its models",
        )
        parser.add_argument("--write", action="store_true", help="import, and do not only report")
        parser.add_argument("--json", action="store_true", help="print the whole report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"] or options["peer"]
        if not _NAME.fullmatch(name):
            raise CommandError("--name: expected 1 to 60 lower-case letters, digits and dashes.")
        try:
            hub = PEERS[options["peer"]]
            salt_key = _salt_key(hub, options["salt_key"])
            database = open_database(_location(options["database"]), hub.tables)
            report = _import(hub.convert(database, salt_key), name, write=options["write"])
        except (WrongPeer, ValueUnreadable) as error:
            raise CommandError(f"Nothing was imported: {error}.") from error
        except OperationalError as error:
            raise CommandError(f"The database of Weir cannot be used: {error}") from error
        except (DatabaseUnreadable, OtherInstallation, ConfigurationError, VaultError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            summary = {"written": options["write"], **as_json(report)}
            self.stdout.write(json.dumps(summary, indent=2, ensure_ascii=False))
            return
        self.stdout.write(as_text(report))
        if not options["write"]:
            self.stdout.write("\nNothing was written. Run it again with --write to import.")


def _location(given: str) -> str:
    return _variable("DATABASE", given) if given.startswith(_ENV) else given


def _salt_key(hub: Peer, given: str | None) -> str:
    if given is None:
        return ""
    if not hub.seals:
        raise CommandError("--salt-key: only LiteLLM has one.")
    if not given.startswith(_ENV):
        raise CommandError("--salt-key: expected env:NAME, so that no list of processes shows it.")
    return _variable("--salt-key", given)


def _variable(option: str, reference: str) -> str:
    value = os.environ.get(reference.removeprefix(_ENV), "")
    if not value:
        raise CommandError(f"{option}: the environment variable that it names is not set.")
    return value


def _import(converted: Converted, name: str, *, write: bool) -> Report:
    with transaction.atomic():
        lock_installation()
        check_secrets()
        # Without --write it writes too, so that what would be refused is told, and takes it back.
        write_converted(name, converted)
        transaction.set_rollback(not write)
    return converted.report
