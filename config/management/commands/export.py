"""Print the installation as a file for `apply`."""

from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from config.apply.exporting import document, dump_yaml
from config.apply.present import lock_installation, present_items


class Command(BaseCommand):
    help = "Print the installation as a file for `apply`. Secrets are left out, as `keep`."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic():
            lock_installation()
            whole = document(present_items())
        self.stdout.write(dump_yaml(whole), ending="")
