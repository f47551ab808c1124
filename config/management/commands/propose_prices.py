"""Bring the prices of models up to date from a list that an operator names, as proposals."""

import asyncio
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand, CommandError

from accounts.actors import SYSTEM
from billing.proposals import propose_list
from billing.rules.patterns import matches
from billing.rules.price_list import ListInvalid, read_price_list
from gateway.installation import egress_policy_users
from lib.egress import EgressError, fetched

_BYTES_MAX: Final = 16 << 20
_FETCH_S: Final = 30.0
# As long as the source of a proposal may be.
_SOURCE_MAX: Final = 60


class Command(BaseCommand):
    help = (
        "Compare a list of prices with those in force. Each difference becomes a proposal, with "
        "its difference, that an operator accepts or ignores on the page Drafts and proposals. "
        "Prices that you set yourself are left alone. The list is JSON in the form that LiteLLM "
        "publishes (model_prices_and_context_window.json)."
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
        try:
            found = read_price_list(_read(place))
        except ListInvalid as error:
            raise CommandError(f"{place} is no list of prices. {error}") from error
        except OSError as error:
            raise CommandError(f"{place} cannot be read: {error.strerror}.") from error
        except (EgressError, TimeoutError) as error:
            why = str(error) or str(error.__cause__ or "no answer in time")
            raise CommandError(f"{place} cannot be fetched: {why}") from error
        rates = found.rates
        if options["only"]:
            rates = {name: rates[name] for name in rates if _meets(options["only"], name)}
        made = propose_list(SYSTEM, rates, _source_of(place), ignored=options["ignore"])
        self.stdout.write(
            f"{made.added} new prices and {made.changed} changes are proposed. "
            "Decide on them at /admin/prices/proposals"
        )
        if options["verbosity"] > 1:
            for name, why in found.skipped.items():
                self.stdout.write(f"left out: {name}: {why}")
        elif found.skipped:
            self.stdout.write(f"{len(found.skipped)} models are left out; --verbosity 2 says why")


def _read(place: str) -> bytes:
    if not place.startswith(("http://", "https://")):
        return Path(place).read_bytes()

    async def fetch() -> bytes:
        async with asyncio.timeout(_FETCH_S):
            answer = await fetched(egress_policy, place, bytes_max=_BYTES_MAX)
        return answer.body

    egress_policy = egress_policy_users()
    return asyncio.run(fetch())


def _source_of(place: str) -> str:
    """What tells one list from another, without what may be secret of an address."""
    parts = urlsplit(place)
    name = f"{parts.hostname}{parts.path}" if parts.hostname else Path(place).name
    return f"list {name}"[:_SOURCE_MAX]


def _meets(patterns: list[str], name: str) -> bool:
    return any(matches(pattern, name) for pattern in patterns)
