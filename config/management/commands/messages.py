"""`manage.py messages`: update the catalogues under locale/ from the source.

It extends Django's makemessages with texts that it cannot see: those of the API reference, which
come from the schema, descriptions of providers, and texts of libraries that we reword. Needs GNU
gettext.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from django.core.management.commands import makemessages

from config.api import reference as api_reference
from config.api.api import api
from gateway.providers import PROVIDERS
from gateway.providers.task_services import OWN_PRODUCTS

# These texts of libraries do not fit the style of the pages, or have no translation.
BORROWED: Final = (
    "Email",
    "Enter a valid email address.",
    "Please type your current password.",
    "Select a valid choice. %(value)s is not one of the available choices.",
    "The email address and/or password you specified are not correct.",
    "The password reset token was invalid.",
    "This field is required.",
    "Too many failed login attempts. Try again later.",
    "You must type the same password each time.",
)
# The text is the same in singular and plural.
BORROWED_PLURALS: Final = (
    (
        "This password is too short. It must contain at least %d character.",
        "This password is too short. It must contain at least %d characters.",
    ),
)
_NOISE: Final = re.compile(r'^"POT-Creation-Date:.*\n', re.MULTILINE)
_NO_SOURCE: Final = (
    ".*",
    "tests",
    "stack",
    "deploy",
    "docs",
    "tools",
    "staticfiles",
    "templates/design",
)


def unseen_texts() -> list[str]:
    """Return the texts of pages that no gettext call contains."""
    texts = {*BORROWED, *(provider.label for provider in PROVIDERS.values())}
    texts |= {service.products for service in OWN_PRODUCTS.values()}
    texts |= {provider.note for provider in PROVIDERS.values() if provider.note}

    def collect(text: str) -> str:
        texts.add(text)
        return text

    api_reference.sections(api.get_openapi_schema(), collect)
    return sorted(texts)


class Command(makemessages.Command):
    """Updates the Chinese catalogue. Removed texts are deleted, new ones are empty."""

    help = __doc__
    # No fuzzy translations: a test lists the empty ones.
    msgmerge_options = [*makemessages.Command.msgmerge_options, "--no-fuzzy-matching"]

    def add_arguments(self, parser: Any) -> None:
        super().add_arguments(parser)
        parser.set_defaults(
            locale=["zh_Hans"], no_location=True, no_obsolete=True, ignore_patterns=list(_NO_SOURCE)
        )

    def process_files(self, file_list: Iterable[makemessages.TranslatableFile]) -> None:
        with TemporaryDirectory() as folder:
            calls = [f"gettext_noop({text!r})" for text in unseen_texts()]
            calls += [
                f"ngettext({singular!r}, {plural!r}, 2)" for singular, plural in BORROWED_PLURALS
            ]
            Path(folder, "unseen.py").write_text("\n".join(calls))
            unseen = makemessages.TranslatableFile(folder, "unseen.py", self.default_locale_path)
            super().process_files([*file_list, unseen])

    def write_po_file(self, potfile: str, locale: str) -> None:
        super().write_po_file(potfile, locale)
        texts = Path(potfile).parent / locale / "LC_MESSAGES" / f"{self.domain}.po"
        # Remove the date of the last run, which would change the file without need.
        texts.write_text(_NOISE.sub("", texts.read_text()))
