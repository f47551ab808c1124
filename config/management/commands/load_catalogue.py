"""The shipped price list becomes the prices of a fresh installation."""

from typing import Any

import genai_prices
from django.core.management.base import BaseCommand
from genai_prices import data

from accounts.access import SYSTEM
from billing import prices
from billing.rules.catalogue import convert_catalogue


class Command(BaseCommand):
    help = (
        "Load the shipped price list into an installation that has none. Models that have a price "
        "keep it, and a later list changes nothing by itself."
    )
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        source = f"{prices.CATALOGUE} {genai_prices.__version__}"
        made = 0
        if not prices.catalogue_loaded():
            made = prices.load_catalogue(SYSTEM, convert_catalogue(data.providers).rows, source)
        if options["verbosity"]:
            self.stdout.write(
                f"{made} prices from {source}" if made else "the price list is loaded already"
            )
