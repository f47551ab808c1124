"""The shipped price list becomes the prices of a fresh installation, else proposals."""

from typing import Any

from django.core.management.base import BaseCommand

from accounts.access import SYSTEM
from billing.shipped_catalogue import bring_shipped


class Command(BaseCommand):
    help = (
        "Load the shipped price list into an installation that has none. Where there are prices, "
        "what it changes becomes proposals that an operator accepts on the page Prices."
    )
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        brought = bring_shipped(SYSTEM)
        if not options["verbosity"]:
            return
        if brought.made:
            self.stdout.write(f"{brought.made} prices from {brought.source}")
        elif any(brought.proposed):
            added, changed, removed = brought.proposed
            self.stdout.write(
                f"{brought.source} proposes {added} new prices, {changed} changes and "
                f"{removed} removals: an operator decides on them at /admin/prices/proposals"
            )
        else:
            self.stdout.write("the price list is loaded already")
