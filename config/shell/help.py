"""Which section of the manual explains a page: where the `?` beside its title leads."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from accounts.access.actors import Actor
from config.shell.navigation import open_address
from config.shell.pages import all_pages
from reference.manual.pages import section_url

# By the page's URL name. A page below one of the menu that has none has the one of that page.
HELP: Final[Mapping[str, str]] = MappingProxyType(
    {page.address: page.help for page in all_pages() if page.help}
)


def help_url(actor: Actor | None, name: str, path: str) -> str:
    """Return the address of the section that explains the page of that URL name at `path`; "" if
    there is none."""
    section = HELP.get(name) or HELP.get(open_address(actor, path))
    return section_url(section) if section else ""
