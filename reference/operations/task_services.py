"""The pages of all task services."""

from typing import Final

from lib.extensions.installed import extend
from reference.operations.service_pages import ServicePages

_ADDED: Final[dict[str, ServicePages]] = {}
extend(_ADDED, "service_pages", ServicePages, lambda pages: {pages.name: pages})
SERVICE_PAGES: Final[tuple[ServicePages, ...]] = tuple(_ADDED.values())
