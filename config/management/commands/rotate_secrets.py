"""`manage.py rotate_secrets`: everything sealed comes under the first key of WEIR_KEK."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.access.actors import SYSTEM
from accounts.audit import audit
from accounts.models import SecretCheck
from accounts.secrets.key_ring import forget_unneeded, rewrap_all
from accounts.secrets.sealing import vault
from config.system.secret_check import compare_secrets


class Command(BaseCommand):
    help = (
        "Put everything that is sealed under the first key of WEIR_KEK, while processes run; say "
        "which keys nothing needs any more. It may be run again at any time. Exit code 1 when "
        "something opens with no key of WEIR_KEK."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        compare_secrets(all_keks=False)
        if not SecretCheck.objects.exists():
            raise CommandError("Nothing was ever sealed here. Start the installation first.")
        rotation = rewrap_all()
        ring = [kek.id for kek in vault().keks]
        with transaction.atomic():
            check = forget_unneeded(rotation.keks)
            counts = {id: rotation.keks[id] for id in ring}
            audit.record(SYSTEM, None, "secrets.rotated", check, secrets=counts)
        current, *others = ring
        self.stdout.write(f"Key {current} (the first): {rotation.keks[current]} secrets.")
        for id in others:
            count = rotation.keks[id]
            rest = (
                f"{count} secrets. Something still seals with it: restart every process with this "
                "WEIR_KEK, then run this again."
                if count
                else "nothing needs it. You can take it out of WEIR_KEK."
            )
            self.stdout.write(f"Key {id}: {rest}")
        for name, count in sorted(rotation.unopened.items()):
            self.stdout.write(f"{name}: {count} secrets open with no key of WEIR_KEK.")
        for lacking in sorted((rotation.keks.keys() - set(ring)) - {None}, key=str):
            count = rotation.keks[lacking]
            self.stdout.write(f"Key {lacking}: {count} secrets; WEIR_KEK does not hold it.")
        if rotation.unopened:
            sys.exit(1)
