"""Print a one-time link that signs a person in: for the first visit, or after a lost password."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from accounts.sign_in.sign_in import make_sign_in_link


class Command(BaseCommand):
    help = "Print a link that signs a person in. It works once, within 30 minutes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email__iexact=options["email"], is_active=True).first()
        if user is None:
            raise CommandError(f"No active person has the address {options['email']}.")
        self.stdout.write(settings.PUBLIC_URL + make_sign_in_link(user))
