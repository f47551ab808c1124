"""Remove a person's second factor. Needed for operators, whom other operators cannot reset."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.access.actors import SYSTEM
from accounts.models import User
from accounts.second_factor.second_factor import reset_factors


class Command(BaseCommand):
    help = "Remove a person's authenticator app, passkeys and recovery codes. They get an email."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email__iexact=options["email"]).first()
        if user is None:
            raise CommandError(f"Nobody has the address {options['email']}.")
        reset_factors(SYSTEM, user)
        self.stdout.write(f"{user.email} signs in with a password or a link until it is set up.")
