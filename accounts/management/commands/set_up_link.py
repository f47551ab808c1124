"""Print a one-time link that creates the first operator of an installation."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts.sign_up.first_run import make_set_up_link
from lib.refusal import Refused


class Command(BaseCommand):
    help = "Print a link that makes the first operator. It works once, within 24 hours."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(settings.PUBLIC_URL + make_set_up_link())
        except Refused as refused:
            text = f"{refused.message} To sign in as one: {settings.COMMAND} sign_in_link EMAIL"
            raise CommandError(text) from refused
