"""Bring over what another hub has (docs/start/coming-from-another-hub.md)."""

import json
import os
import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, transaction

from billing.prices.price_list import ListInvalid, PriceListRead, read_price_list
from config.apply.present import lock_installation
from config.system.secret_check import check_secrets
from extensions.import_hubs.converted import Converted
from extensions.import_hubs.databases import DatabaseUnreadable, open_database
from extensions.import_hubs.new_api.hubs import WrongPeer
from extensions.import_hubs.peers import PEERS, Peer, Settings
from extensions.import_hubs.report import Report, report_text, serialize_report
from extensions.import_hubs.values import ValueUnreadable
from extensions.import_hubs.writing import OtherInstallation, write_converted
from lib import clock, extras
from lib.env import ConfigurationError
from lib.vault import VaultError

_ENV = "env:"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")


class Command(BaseCommand):
    help = (
        "Import users, teams, keys with their secrets, channels, prices and balances from the "
        "database of another hub. Without --write nothing is changed: the report says what would "
        "be. What was restricted there in a way that is not here comes closed, and the report says "
        "what opens it. Run again, it imports only what is new."
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
        parser.add_argument(
            "--price-map",
            metavar="FILE",
            help="LiteLLM's list of prices (model_prices_and_context_window.json of the version in "
            "use), for models that state no price of their own",
        )
        parser.add_argument(
            "--accept",
            action="append",
            default=[],
            metavar="TABLE.COLUMN",
            help="a restriction, as the report names it, that may be lost: what it closes comes "
            "open. Can be given several times",
        )
        parser.add_argument("--write", action="store_true", help="import, and do not only report")
        parser.add_argument("--json", action="store_true", help="print the whole report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"] or options["peer"]
        if not _NAME.fullmatch(name):
            raise CommandError("--name: expected 1 to 60 lower-case letters, digits and dashes.")
        try:
            hub = PEERS[options["peer"]]
            settings = Settings(
                clock.now(),
                _salt_key(hub, options["salt_key"]),
                _price_map(hub, options["price_map"]),
                frozenset(options["accept"]),
            )
            _check_accepted(hub, settings.accepted)
            database = open_database(_location(options["database"]), hub.tables)
            report = _import(hub.convert(database, settings), name, write=options["write"])
        except (WrongPeer, ValueUnreadable) as error:
            raise CommandError(f"Nothing was imported: {error}.") from error
        except OperationalError as error:
            raise CommandError(f"The database of Weir cannot be used: {error}") from error
        except (DatabaseUnreadable, OtherInstallation, ConfigurationError, VaultError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            summary = {"written": options["write"], **serialize_report(report)}
            self.stdout.write(json.dumps(summary, indent=2, ensure_ascii=False))
            return
        self.stdout.write(report_text(report))
        if not options["write"]:
            self.stdout.write("\nNothing was written. Run it again with --write to import.")


def _location(location: str) -> str:
    return _variable("DATABASE", location) if location.startswith(_ENV) else location


def _salt_key(hub: Peer, salt_key: str | None) -> str:
    if salt_key is None:
        return ""
    if not hub.litellm:
        raise CommandError("--salt-key: only LiteLLM has one.")
    if not salt_key.startswith(_ENV):
        raise CommandError("--salt-key: expected env:NAME, so that no list of processes shows it.")
    try:
        extras.require("import")
    except extras.ExtraMissing as missing:
        raise CommandError(f"--salt-key: {missing}") from missing
    return _variable("--salt-key", salt_key)


def _check_accepted(hub: Peer, accepted: frozenset[str]) -> None:
    for name in sorted(accepted):
        if name.partition(".")[0] not in hub.tables:
            raise CommandError(f"--accept: there is no such restriction: {name}. See the report.")


def _price_map(hub: Peer, path: str | None) -> PriceListRead:
    if path is None:
        return PriceListRead({}, {}, {})
    if not hub.litellm:
        raise CommandError("--price-map: only LiteLLM has one.")
    try:
        return read_price_list(Path(path).read_bytes())
    except OSError as error:
        raise CommandError(f"--price-map: {path} cannot be read: {error.strerror}.") from error
    except ListInvalid as error:
        raise CommandError(f"--price-map: {path} is no list of prices. {error}") from error


def _variable(option: str, reference: str) -> str:
    value = os.environ.get(reference.removeprefix(_ENV), "")
    if not value:
        raise CommandError(f"{option}: the environment variable that it names is not set.")
    return value


def _import(converted: Converted, name: str, *, write: bool) -> Report:
    with transaction.atomic():
        lock_installation()
        check_secrets()
        # A run without --write also writes and then rolls back, so that it reports refusals.
        write_converted(name, converted)
        transaction.set_rollback(not write)
    return converted.report
