"""Bring models and their prices up to date from a list that an operator names, as proposals."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.access.actors import SYSTEM
from gateway.catalogue.updates import Choice, fetch_list, source_of, update_catalogue
from lib.refusal import Refused


class Command(BaseCommand):
    help = (
        "Compare a list of models and prices with what holds. Each difference becomes a proposal, "
        "with its difference, that an operator accepts or ignores on the page Catalogue update. "
        "What you set yourself is left alone, and so is what a rule of that page ignores. The list "
        "is JSON in the form that LiteLLM publishes (model_prices_and_context_window.json)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("list", help="a file, or an https address")
        parser.add_argument(
            "--ignore",
            action="append",
            default=[],
            metavar="PATTERN",
            help='a model, or a pattern such as "azure/*", that is not proposed; may be repeated',
        )
        parser.add_argument(
            "--only",
            action="append",
            default=[],
            metavar="PATTERN",
            help="a model or pattern; nothing else is proposed then; may be repeated",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        place = options["list"]
        choice = Choice(options["only"], options["ignore"])
        try:
            result = update_catalogue(SYSTEM, _read(place), source_of(place), choice).result
        except OSError as error:
            raise CommandError(f"{place} cannot be read: {error.strerror}.") from error
        except Refused as refused:
            if refused.field == "list":
                raise CommandError(f"{place} is no list of prices. {refused}") from refused
            raise CommandError(str(refused)) from refused
        prices, facts = result["prices"], result["facts"]
        self.stdout.write(
            f"{prices['added']} new prices, {prices['changed']} changes and {prices['removed']} "
            f"removals are proposed, and {sum(facts.values())} facts of models. "
            "Decide on them at /admin/models/catalogue"
        )
        skipped, unknown = result["skipped"], result["unknown"]
        if options["verbosity"] > 1:
            for name, why in skipped.items():
                self.stdout.write(f"left out: {name}: {why}")
            for name, n in unknown.items():
                self.stdout.write(f"unknown field: {name}: of {n} models")
        elif skipped or unknown:
            self.stdout.write(
                f"{result['skipped_count']} models are left out and {len(unknown)} fields are "
                "unknown; --verbosity 2 says which"
            )


def _read(place: str) -> bytes:
    if place.startswith(("http://", "https://")):
        return fetch_list(place)
    return Path(place).read_bytes()
