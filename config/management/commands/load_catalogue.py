"""The shipped price list becomes the prices of a fresh installation, else proposals."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.access.actors import SYSTEM
from billing.prices.catalogue.shipped import load_shipped_catalogue
from config.management.commands.migrate import OLDER_VERSION
from lib.database.code_migrations import newer_version


class Command(BaseCommand):
    help = (
        "Load the built-in price list. If the installation already has prices, each difference "
        "becomes a proposal that an operator accepts on the page Drafts and proposals."
    )
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        # Its proposals would replace those of the newer version's list.
        if problem := newer_version():
            raise CommandError(f"{problem} {OLDER_VERSION}")
        brought = load_shipped_catalogue(SYSTEM)
        if not options["verbosity"]:
            return
        if brought.made:
            self.stdout.write(f"{brought.made} prices from {brought.source}")
        elif any(brought.proposed):
            added, changed, removed = brought.proposed
            self.stdout.write(
                f"{brought.source} proposes {added} new prices, {changed} changes and "
                f"{removed} removals. Decide on them at /admin/prices/proposals"
            )
        else:
            self.stdout.write("the price list is already loaded")
